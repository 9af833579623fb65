//! The daemon: its runtime, its signals, its start and its end.

mod belongings;
mod handover;
pub(crate) mod limits;
mod reload;
mod start;
pub(crate) mod warnings;

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::libc;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{info, warn};

use self::belongings::Belongings;
use self::start::{Prepared, Start};
use crate::captures::SettingsError;
use crate::cli::{Mode, Options};
use crate::clock::Clock;
use crate::config::{Config, Uplink, UplinkHost};
use crate::control::{Client, ControlError, Request, Verb};
use crate::family::Family;
use crate::logging;
use crate::metrics;
use crate::observer::{Change, Observer};
use crate::process::{Detached, PidFileError, UserError};
use crate::relay::Notice;
use crate::resolver::{Answer, Resolver};
use crate::service::ServiceManager;
use crate::signalling::{Signalling, ThreadError};
use crate::socket::BindError;
use crate::status::gather::{Asking, Gatherer};
use crate::status::{Snapshot, text};
use crate::takeover::TakeoverError;
use crate::takeover::new::Predecessor;
use crate::takeover::old::Successor;
use crate::task;

/// When to look again where nothing is due.
const FAR: Duration = Duration::from_secs(3600);
/// How often what goes on is looked after.
const MINUTE: Duration = Duration::from_secs(60);

/// How long the end waits for what a relay thread has to tell.
const NOTICE_PATIENCE: Duration = Duration::from_secs(1);

/// Why the daemon does not start, or cannot go on. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A SIP address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A SIP thread cannot go on.
    #[error(transparent)]
    Signalling(#[from] ThreadError),
    /// There is no control socket where one was asked for.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The calls of the running daemon cannot be taken over.
    #[error("--takeover {}: {error}", socket.display())]
    Takeover {
        /// Its control socket.
        socket: PathBuf,
        /// Why not.
        #[source]
        error: TakeoverError,
    },
    /// The address of `--metrics` cannot be had.
    #[error(transparent)]
    Metrics(#[from] metrics::BindError),
    /// Who looks at messages cannot.
    #[error(transparent)]
    Observer(#[from] SettingsError),
    /// The number of the process cannot be written down.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// Root's rights cannot be given up.
    #[error(transparent)]
    User(#[from] UserError),
    /// The system refuses something else that the daemon needs.
    #[error("cannot {what}: {error}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

impl DaemonError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// Runs the daemon until a signal ends it: SIGTERM and SIGINT at once, SIGHUP
/// when the last media session has ended; or until another process has taken over.
///
/// # Errors
/// Where an address cannot be bound, or the system refuses threads, signals and
/// the like at the start.
pub fn run(options: Options, detached: Option<Detached>) -> Result<(), DaemonError> {
    // In test mode lines come between what is printed.
    if options.mode != Mode::Print {
        logging::keep();
    }
    let mut old = match &options.takeover {
        Some(socket) => handover::ask(socket, &options.config)?,
        None => None,
    };
    run_after(&mut old, options, detached).inspect_err(|error| {
        if let Some(old) = old {
            old.refuse(error);
        }
    })
}

/// Runs the daemon, in the place of an old process if there is one. That is taken
/// out when it has been taken over.
fn run_after(old: &mut Option<Predecessor>, options: Options, detached: Option<Detached>) -> Result<(), DaemonError> {
    let Prepared { start, watching } = Start::prepare(old.as_ref(), options)?;
    let runtime = runtime().map_err(DaemonError::system("start the runtime"))?;
    let result = runtime.block_on(async {
        let (daemon, incoming) = start.begin(old, detached)?;
        daemon.serve(incoming).await
    });
    drop(runtime);
    // The threads that hand over copies have ended: this is all of them.
    if let Some(watching) = watching {
        watching.finish();
    }
    result
}

/// The control side needs one thread only: this one.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The uplink of a side, for the log.
fn written(config: &Config, side: Family) -> &str {
    config.uplinks[side].as_ref().map_or("none", |Uplink { written, .. }| written)
}

/// The signals that end a daemon, or let it read its options again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user2: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        // Nobody waits for it, but once caught it ends nothing: a capture file that reaches
        // a limit of the system is told as a full disk is.
        drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }
}

/// The next request; where nobody can ask, none ever.
async fn next<T>(requests: &mut Option<Receiver<T>>) -> Option<T> {
    match requests {
        Some(requests) => requests.recv().await,
        None => pending().await,
    }
}

/// What the main thread waits for, beside signals and time.
struct Incoming {
    notices: UnboundedReceiver<Notice>,
    answers: UnboundedReceiver<Answer>,
    faults: UnboundedReceiver<ThreadError>,
    /// None without a control socket.
    requests: Option<Receiver<Request>>,
    /// Processes that are ready to take over, or why one is not.
    successors: UnboundedReceiver<Result<Successor, TakeoverError>>,
    /// Who wants to see what goes on; none without `--metrics`.
    onlookers: Option<Receiver<Asking>>,
}

struct Daemon {
    signalling: Signalling,
    /// Who looks at messages, if anybody.
    observer: Option<Observer>,
    clock: Clock,
    signals: Signals,
    /// As they were at the start.
    options: Options,
    resolver: Resolver,
    service: ServiceManager,
    /// They go away as soon as another daemon may start.
    belongings: Belongings,
    /// Takes in who wants to see what goes on; none without `--metrics`. It goes away then, too.
    listening: Option<JoinHandle<()>>,
    /// Where it comes out that a process is ready to take over.
    prepared: UnboundedSender<Result<Successor, TakeoverError>>,
    /// One makes itself ready.
    preparing: bool,
    /// SIGHUP came: the SIP sockets are closed, media goes on.
    leaving: bool,
    gatherer: Gatherer,
}

impl Daemon {
    async fn serve(mut self, mut incoming: Incoming) -> Result<(), DaemonError> {
        let mut minute = interval(MINUTE);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What it is for is done at the start too.
        minute.reset();
        while !(self.leaving && self.signalling.is_idle()) {
            let deadline = self.deadline();
            tokio::select! {
                Some(notice) = incoming.notices.recv() => self.notice(notice),
                Some(answer) = incoming.answers.recv() => self.uplink_found(answer),
                Some(request) = next(&mut incoming.requests) => self.request(request),
                Some(asking) = next(&mut incoming.onlookers) => self.gather(asking),
                () = sleep_until(deadline) => self.signalling.timers(),
                () = self.signalling.sooner() => {}
                Some(successor) = incoming.successors.recv() => {
                    if self.succeeded(successor, &mut incoming).await {
                        return Ok(());
                    }
                }
                Some(fault) = incoming.faults.recv() => return Err(fault.into()),
                () = self.service.beat() => {}
                _ = minute.tick() => self.signalling.every_minute(),
                _ = self.signals.hang_up.recv() => self.begin_leaving().await,
                _ = self.signals.user2.recv() => self.reload(),
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
            }
        }
        self.service.stopping();
        let calls_cut_off = self.signalling.relayed();
        self.cut_off(&mut incoming.notices).await;
        info!(calls_cut_off, "stopped");
        Ok(())
    }

    /// Ends all calls, so that the log has what was seen of each.
    async fn cut_off(&mut self, notices: &mut UnboundedReceiver<Notice>) {
        self.signalling.stop_listening();
        self.signalling.end_calls();
        while !self.signalling.is_idle() {
            let Ok(Some(notice)) = timeout(NOTICE_PATIENCE, notices.recv()).await else { break };
            self.notice(notice);
        }
        // There is no later time to tell it.
        self.signalling.log_held_back();
    }

    /// When the signalling wants to be called next.
    fn deadline(&self) -> Instant {
        let far = self.clock.now().saturating_add(FAR);
        let wanted = self.signalling.deadline().map_or(far, |deadline| deadline.min(far));
        self.clock.instant(wanted).map_or_else(Instant::now, Instant::from_std)
    }

    /// Answers a client of the control socket.
    fn request(&mut self, Request { verb, client }: Request) {
        match verb {
            Verb::Status => self.tell(client, |snapshot| text::status(snapshot).into_bytes()),
            Verb::StatusJson => self.tell(client, Snapshot::json),
            Verb::Takeover if self.preparing => {
                client.answer(b"error: another process is about to take over\n".to_vec());
            }
            Verb::Takeover => self.prepare(client),
        }
    }

    /// Offers everything to a process that wants to take over, beside everything else.
    fn prepare(&mut self, client: Client) {
        let (offer, prepared) = (self.offer(), self.prepared.clone());
        self.preparing = true;
        let started = task::thread("takeover".to_owned(), move || {
            let stream = client.into_stream().map_err(TakeoverError::from);
            // Where nobody waits for it any more, the daemon has ended.
            let _ = prepared.send(stream.and_then(|stream| Successor::prepare(stream, &offer)));
        });
        if let Err(error) = started {
            let _ = self.prepared.send(Err(error.into()));
        }
    }

    /// A process is ready to take over, or will not; whether it has.
    async fn succeeded(&mut self, successor: Result<Successor, TakeoverError>, incoming: &mut Incoming) -> bool {
        self.preparing = false;
        match successor {
            Ok(successor) if !self.leaving => self.hand_over(successor, incoming).await,
            Ok(_) => {
                self.stay();
                false
            }
            Err(error) => {
                warn!(%error, "no takeover; this process goes on");
                self.stay();
                false
            }
        }
    }

    /// Nobody has taken over, though somebody was about to.
    fn stay(&self) {
        if let Some(observer) = &self.observer {
            observer.change(Change::Back);
        }
    }

    fn uplink_found(&mut self, Answer { side, name, addresses }: Answer) {
        let uplink = self.signalling.config().uplinks[side].as_ref();
        // It may have been looked up for an uplink of before a reload.
        if uplink.is_some_and(|uplink| uplink.host == UplinkHost::Name(name.clone())) {
            if let Some(observer) = &self.observer {
                observer.change(Change::Uplink(side, addresses.clone()));
            }
            self.signalling.set_uplink(side, addresses);
            if self.signalling.uplink_addresses(side).is_empty() {
                warn!(%name, %side, "the uplink's name is this proxy's own; name the provider, PBX or registrar");
            }
        }
    }

    /// Tells a client what this daemon is doing.
    fn tell(&self, client: Client, write: fn(&Snapshot) -> Vec<u8>) {
        let (asking, gathered) = oneshot::channel();
        self.gather(asking);
        task::spawn(async move {
            if let Ok(snapshot) = gathered.await {
                client.answer(write(&snapshot));
            }
        });
    }

    /// Gathers what is to be seen, for whoever asks.
    fn gather(&self, asking: Asking) {
        self.gatherer.gather(&self.signalling, asking);
    }

    /// Takes in what a relay thread tells.
    fn notice(&self, notice: Notice) {
        if let Notice::Ended(ending) = &notice {
            self.gatherer.ended(ending);
        }
        self.signalling.notice(notice);
    }

    async fn begin_leaving(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.signalling.stop_listening();
            if let Some(listening) = self.listening.take() {
                listening.abort();
                // It has the address until it has ended.
                let _ = listening.await;
            }
            self.service.status("SIP sockets closed; media is relayed until the last call ends");
            // For the daemon that starts meanwhile.
            self.belongings = Belongings::default();
            info!(calls = self.signalling.relayed(), "SIP sockets closed; media is relayed until the last call ends");
        }
    }
}
