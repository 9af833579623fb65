//! The daemon: its runtime, its signals, its start and its end.

mod belongings;
mod handover;
pub(crate) mod limits;
mod reload;
pub(crate) mod warnings;

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use self::belongings::{Belongings, Places};
use self::handover::Heir;
use crate::cli::{Mode, Options};
use crate::clock::Clock;
use crate::config::{Config, Plain, Uplink, UplinkHost};
use crate::control::{self, Client, Control, ControlError, Request, Verb};
use crate::family::Family;
use crate::metrics::{self, Server};
use crate::observer::settings::{Opened, SettingsError};
use crate::observer::{Change, Observer};
use crate::process::{Account, Detached, PidFileError, UserError};
use crate::relay::{Notice, Relay, RelayOptions, usual_threads};
use crate::resolver::{Answer, Resolver};
use crate::sandbox::{self, Needs};
use crate::service::ServiceManager;
use crate::signalling::{BoundSockets, Fault, Output, Parts, Signalling};
use crate::socket::{BindError, SocketOptions};
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

/// Why the daemon does not start, or cannot go on. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A SIP address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A SIP thread cannot go on.
    #[error(transparent)]
    Signalling(#[from] Fault),
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
    let places = Places::of(&options);
    let mut belongings = Belongings::make(&options, old.as_ref().map_or(&[], |old| &old.offer().belongings))?;
    let clock = old.as_ref().map_or_else(Clock::start, |old| Clock::resume(old.offer().clock));
    let config = Arc::new(config_after(old.as_ref(), options.config.clone(), options.secret.is_some()));
    let output = if matches!(options.mode, Mode::Print) { Output::Paper } else { Output::Network };
    limits::raise_files(&config);
    let socket_options = SocketOptions { freebind: options.freebind, dscp: options.dscp };
    let sockets = match &old {
        Some(old) => handover::bind_rest(old, &config, socket_options, output.threads())?,
        None => BoundSockets::bind(&config, socket_options, output.threads())?,
    };
    let Opened { mut sinks, made } = options.observers.sinks(&config, clock)?;
    let server = options.metrics.map(|place| Server::bind(place, old.is_some())).transpose()?;
    sinks.extend(server.iter().map(Server::sink));
    let needs = needs(&options);
    if let Some(user) = &options.user {
        give_up_rights(user, belongings.control.as_ref(), &made)?;
    }
    // Before there are threads that could do more.
    if !options.no_sandbox {
        sandbox::files(&needs);
    }
    let (observer, watching) =
        Observer::start(sinks, clock).map_err(DaemonError::system("start the observer"))?.unzip();
    let tap = observer.as_ref().and_then(Observer::tap);
    let relay_options = RelayOptions { threads: usual_threads(), sockets: socket_options, batch: options.batch, tap };
    let (relay, notices) = Relay::start(clock, &relay_options).map_err(DaemonError::system("start the relay"))?;
    let runtime = runtime().map_err(DaemonError::system("start the runtime"))?;
    summary(&config);
    let parts = Parts {
        config: Arc::clone(&config),
        clock,
        options: socket_options,
        relay,
        output,
        observer: observer.clone(),
    };
    let result = runtime.block_on(async {
        let (answers, found) = unbounded_channel();
        let signals = Signals::catch().map_err(DaemonError::system("catch signals"))?;
        let (mut signalling, faults) =
            Signalling::start(parts).map_err(DaemonError::system("start the SIP threads"))?;
        let succession = match old.take() {
            None => {
                signalling.serve(sockets);
                None
            }
            Some(old) => {
                let heir = Heir { signalling: &mut signalling, sockets, places, belongings: &mut belongings };
                let socket = options.takeover.clone().unwrap_or_default();
                Some(heir.take(old).map_err(|error| DaemonError::Takeover { socket, error })?)
            }
        };
        let resolver = Resolver::start(&config, answers);
        let serve = |control: &mut Control| control.serve().map_err(DaemonError::system("watch the control socket"));
        let requests = belongings.control.as_mut().map(serve).transpose()?;
        if !options.no_sandbox {
            sandbox::calls();
        }
        let service = ServiceManager::of_environment();
        // Before the process that waits ends: systemd asks who the main process is then.
        service.ready("SIP and media cross");
        if let Some(detached) = &detached {
            detached.leave_directory().map_err(DaemonError::system("leave the shell"))?;
        }
        let serve = |server: Server| server.serve(&config.names, observer.clone());
        let onlookers = server.map(serve).transpose().map_err(DaemonError::system("watch the socket of --metrics"))?;
        info!("ready");
        let gatherer = Gatherer::new(clock);
        if let Some(succession) = succession {
            gatherer.resume(succession.past);
            succession.complete(&mut belongings);
        }
        // The shell is told last: then the pid file is right.
        if let Some(detached) = detached {
            detached.tell().map_err(DaemonError::system("leave the shell"))?;
        }
        let (prepared, successors) = unbounded_channel();
        let (preparing, leaving) = (false, false);
        let daemon = Daemon {
            signalling,
            observer,
            clock,
            signals,
            options,
            resolver,
            service,
            belongings,
            prepared,
            preparing,
            leaving,
            gatherer,
        };
        daemon.serve(Incoming { notices, answers: found, faults, requests, successors, onlookers }).await
    });
    // A look-up may hang in the system's resolver; nobody waits for it any more.
    runtime.shutdown_background();
    // The threads that hand over copies have ended: this is all of them.
    if let Some(watching) = watching {
        watching.finish();
    }
    result
}

/// The configuration with the key that is to be used: the file's if there is one,
/// else that of the process before, whose signatures are in use.
fn config_after(old: Option<&Predecessor>, config: Config, has_secret: bool) -> Config {
    match old {
        Some(old) if !has_secret => Config { key: old.offer().key, ..config },
        _ => config,
    }
}

/// Becomes the user of `--user`, who gets the control socket for its own.
fn give_up_rights(user: &Account, control: Option<&Control>, made: &[PathBuf]) -> Result<(), UserError> {
    made.iter().try_for_each(|path| user.own(path))?;
    if let Some(control) = control {
        user.own(control.path())?;
        // Where it could not be removed at the end. Only a folder that is ours.
        let folder = control.path().parent().filter(|folder| *folder == Path::new(control::OF_ROOT));
        folder.map_or(Ok(()), |folder| user.own(folder))?;
    }
    user.become_it()
}

/// What is done with files after the start.
fn needs(options: &Options) -> Needs {
    let folder = |path: &Path| path.parent().map(Path::to_owned);
    // Where an editor puts a new file in the place of the old one, too.
    let config =
        options.file.iter().flat_map(|file| [folder(file), file.canonicalize().ok().as_deref().and_then(folder)]);
    let control = options.control.path();
    let removed = [control.as_deref(), options.pid_file.as_deref()];
    Needs {
        read: config.flatten().collect(),
        write: options.observers.folders(),
        remove: removed.into_iter().flatten().filter_map(folder).collect(),
    }
}

/// The control side needs one thread only: this one.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(4).build()
}

/// What the daemon will do, for the log.
fn summary(config: &Config) {
    let uplink = |side| written(config, side);
    let (low, high) = config.rtp_ports.bounds();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen4 = %Plain(config.listen[Family::V4]),
        listen6 = %Plain(config.listen[Family::V6]),
        uplink4 = uplink(Family::V4),
        uplink6 = uplink(Family::V6),
        maps = config.maps.len(),
        sip_addresses = config.maps.len().saturating_add(2),
        rtp_ports = %format_args!("{low}-{high}"),
        max_streams = config.rtp_ports.pairs(),
        max_calls = %config.max_calls.map_or_else(|| "by the ports".to_owned(), |calls| calls.to_string()),
        max_calls_per_source = config.max_calls_per_source,
        "start"
    );
    // That of the limit of open files was given when it was raised.
    let limit = limits::files_advice(config);
    for warning in warnings::all(config).into_iter().filter(|warning| Some(warning) != limit.as_ref()) {
        warn!("{warning}");
    }
    for map in &config.maps {
        info!(phone = %Plain(map.phone), fake = %Plain(map.fake), "map");
    }
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
    faults: UnboundedReceiver<Fault>,
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
                _ = self.signals.hang_up.recv() => self.leave(),
                _ = self.signals.user2.recv() => self.reload(),
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
            }
        }
        self.service.stopping();
        info!(calls_cut_off = self.signalling.sessions(), "stopped");
        Ok(())
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
        spawn_blocking(move || {
            let stream = client.into_stream().map_err(TakeoverError::from);
            // Where nobody waits for it any more, the daemon has ended.
            let _ = prepared.send(stream.and_then(|stream| Successor::prepare(stream, &offer)));
        });
    }

    /// A process is ready to take over, or will not; whether it has.
    async fn succeeded(&mut self, successor: Result<Successor, TakeoverError>, incoming: &mut Incoming) -> bool {
        self.preparing = false;
        match successor {
            Ok(successor) if !self.leaving => self.hand_over(successor, incoming).await,
            Ok(_) => false,
            Err(error) => {
                warn!(%error, "no takeover; this process goes on");
                false
            }
        }
    }

    fn uplink_found(&mut self, Answer { side, name, addresses }: Answer) {
        let uplink = self.signalling.config().uplinks[side].as_ref();
        // It may have been looked up for an uplink of before a reload.
        if uplink.is_some_and(|uplink| uplink.host == UplinkHost::Name(name)) {
            if let Some(observer) = &self.observer {
                observer.change(Change::Uplink(side, addresses.clone()));
            }
            self.signalling.set_uplink(side, addresses);
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
        self.gatherer.gather(&self.signalling, self.leaving, asking);
    }

    /// Takes in what a relay thread tells.
    fn notice(&self, notice: Notice) {
        if let Notice::Ended(ending) = &notice {
            self.gatherer.ended(ending);
        }
        self.signalling.notice(notice);
    }

    fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.signalling.stop_listening();
            self.service.status("SIP sockets closed; media is relayed until the last call ends");
            // For the daemon that starts meanwhile.
            self.belongings = Belongings::default();
            info!(calls = self.signalling.sessions(), "SIP sockets closed; media is relayed until the last call ends");
        }
    }
}
