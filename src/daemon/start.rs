//! The start: what can be refused comes first, what others see comes last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tracing::{info, warn};

use super::belongings::{Belongings, Places};
use super::handover::{self, Heir, Succession};
use super::{Daemon, DaemonError, Incoming, Signals, limits, warnings, written};
use crate::captures::Opened;
use crate::cli::{Mode, Options};
use crate::clock::Clock;
use crate::config::{Config, Plain};
use crate::control::{self, Control, Request};
use crate::family::{Family, PerFamily};
use crate::hep::Collector;
use crate::logging;
use crate::metrics::{Server, Serving};
use crate::observer::{Observer, ObserverThread};
use crate::process::{Account, Detached, UserError};
use crate::relay::{Notice, Relay, RelayOptions, usual_threads};
use crate::resolver::Resolver;
use crate::sandbox::{self, Needs};
use crate::service::ServiceManager;
use crate::signalling::{BoundSockets, Output, Parts, Signalling};
use crate::socket::SocketOptions;
use crate::status::gather::Gatherer;
use crate::takeover::new::Predecessor;

/// A daemon that has all it needs and reads nothing yet.
pub(super) struct Start {
    options: Options,
    config: Arc<Config>,
    clock: Clock,
    belongings: Belongings,
    sockets: BoundSockets,
    output: Output,
    server: Option<Server>,
    observer: Option<Observer>,
    relay: Relay,
    notices: UnboundedReceiver<Notice>,
}

/// A daemon that reads nothing yet, and who is waited for at the very end.
pub(super) struct Prepared {
    pub(super) start: Start,
    /// The thread of the observer.
    pub(super) watching: Option<ObserverThread>,
}

impl Start {
    /// Opens everything that the old process, if there is one, has not; gives up
    /// rights, and starts threads.
    ///
    /// # Errors
    /// What cannot be had.
    pub(super) fn prepare(old: Option<&Predecessor>, options: Options) -> Result<Prepared, DaemonError> {
        let belongings = Belongings::make(&options, old.map_or(&[], |old| &old.offer().belongings))?;
        let clock = old.map_or_else(Clock::start, |old| Clock::resume(old.offer().clock));
        let mut config = config_after(old, options.config.clone(), options.secret.is_some());
        let output = if matches!(options.mode, Mode::Print) { Output::Stdout } else { Output::Network };
        config.most_streams = limits::raise_files(&config);
        let config = Arc::new(config);
        let sockets = match old {
            Some(old) => handover::bind_rest(old, &config, socket_options(&options), output.threads())?,
            None => BoundSockets::bind(&config, socket_options(&options), output.threads())?,
        };
        let Opened { mut sinks, made } = options.observers.sinks(&config, clock)?;
        let server = options.metrics.map(|address| Server::bind(address, old.is_some())).transpose()?;
        sinks.extend(server.iter().map(Server::sink));
        if let Some(user) = &options.user {
            give_up_rights(user, belongings.control.as_ref(), &made, &sockets)?;
        }
        options.observers.may_write()?;
        // Before there are threads that could do more.
        if !options.no_sandbox {
            sandbox::files(&needs(&options));
        }
        // In test mode lines come between what is printed.
        if output == Output::Network {
            logging::in_background().map_err(DaemonError::system("start the thread of the log"))?;
        }
        let (observer, watching) =
            Observer::start(sinks, clock).map_err(DaemonError::system("start the observer"))?.unzip();
        let tap = observer.as_ref().and_then(Observer::tap);
        let relay_options =
            RelayOptions { threads: usual_threads(), sockets: socket_options(&options), batch: options.batch, tap };
        let (relay, notices) = Relay::start(clock, &relay_options).map_err(DaemonError::system("start the relay"))?;
        summary(&config, options.observers.hep.as_ref());
        options.observers.log();
        let start = Self { options, config, clock, belongings, sockets, output, server, observer, relay, notices };
        Ok(Prepared { start, watching })
    }

    /// Begins to read, within the runtime; when this returns, everybody knows this
    /// process who must. The old one is taken over from, if there is one.
    ///
    /// # Errors
    /// What cannot be had; the old process goes on then, with all that is its.
    pub(super) fn begin(
        mut self,
        old: &mut Option<Predecessor>,
        detached: Option<Detached>,
    ) -> Result<(Daemon, Incoming), DaemonError> {
        let signals = Signals::catch().map_err(DaemonError::system("catch signals"))?;
        if let Some(detached) = &detached {
            detached.leave_directory().map_err(DaemonError::system("leave the shell"))?;
        }
        let serving = self.onlookers()?;
        let (onlookers, listening) = serving.map(|serving| (serving.asked, serving.listening)).unzip();
        let parts = Parts {
            config: Arc::clone(&self.config),
            clock: self.clock,
            options: socket_options(&self.options),
            relay: self.relay,
            output: self.output,
            observer: self.observer.clone(),
        };
        let (mut signalling, faults) =
            Signalling::start(parts).map_err(DaemonError::system("start the SIP threads"))?;
        let heir = Heir {
            signalling: &mut signalling,
            observer: self.observer.as_ref(),
            sockets: self.sockets,
            places: Places::of(&self.options),
            belongings: &mut self.belongings,
            socket: self.options.takeover.clone().unwrap_or_default(),
        };
        let succession = heir.serve(old.take())?;
        let (answers, found) = unbounded_channel();
        let known = PerFamily::from_fn(|side| signalling.uplink_addresses(side).to_vec());
        let resolver = Resolver::start(&self.config, &known, answers);
        if !self.options.no_sandbox {
            sandbox::calls();
        }
        info!("ready");
        let gatherer = Gatherer::new(self.clock);
        if let Some(succession) = &succession {
            gatherer.resume(succession.past.clone());
        }
        let (service, requests) = announce(succession, detached, &mut self.belongings)?;
        let (prepared, successors) = unbounded_channel();
        let incoming = Incoming { notices: self.notices, answers: found, faults, requests, successors, onlookers };
        let daemon = Daemon {
            signalling,
            observer: self.observer,
            clock: self.clock,
            signals,
            options: self.options,
            resolver,
            service,
            belongings: self.belongings,
            listening,
            prepared,
            preparing: false,
            leaving: false,
            gatherer,
        };
        Ok((daemon, incoming))
    }

    /// Begins to serve the web page, if there is to be one: who wants to see what goes on.
    fn onlookers(&mut self) -> Result<Option<Serving>, DaemonError> {
        let serve = |server: Server| server.serve(&self.config.names, self.observer.clone());
        let onlookers = self.server.take().map(serve).transpose();
        onlookers.map_err(DaemonError::system("watch the socket of --metrics"))
    }
}

/// Lets the old process, the shell and the service manager know, in this order: the pid
/// file is right when the shell goes on, and the process that waited is gone when the
/// service manager looks, so that this one is its own child.
fn announce(
    succession: Option<Succession>,
    detached: Option<Detached>,
    belongings: &mut Belongings,
) -> Result<(ServiceManager, Option<Receiver<Request>>), DaemonError> {
    let (requests, told) = match succession {
        None => (belongings.serve()?, None),
        Some(succession) => {
            let (requests, told) = succession.complete(belongings)?;
            (requests, Some(told))
        }
    };
    match detached.map_or(Ok(()), Detached::tell) {
        // The calls are here now.
        Err(error) if told.is_some() => warn!(%error, "the shell does not hear of the start"),
        heard => heard.map_err(DaemonError::system("leave the shell"))?,
    }
    let service = ServiceManager::of_environment();
    service.ready("SIP and media cross");
    // The old process ends.
    drop(told);
    Ok((service, requests))
}

fn socket_options(options: &Options) -> SocketOptions {
    SocketOptions { freebind: options.freebind, dscp: options.dscp }
}

/// The configuration with the key that is to be used: the file's if there is one,
/// else that of the process before, whose signatures are in use.
fn config_after(old: Option<&Predecessor>, config: Config, has_secret: bool) -> Config {
    match old {
        Some(old) if !has_secret => Config { key: old.offer().key, ..config },
        _ => config,
    }
}

/// Becomes the user of `--user`, who gets the control socket and all others for its own.
fn give_up_rights(
    user: &Account,
    control: Option<&Control>,
    made: &[PathBuf],
    BoundSockets(sets): &BoundSockets,
) -> Result<(), UserError> {
    made.iter().try_for_each(|path| user.own(path))?;
    sets.iter().flatten().for_each(|socket| user.own_socket(&socket.socket));
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

/// What the daemon will do, for the log.
fn summary(config: &Config, collector: Option<&Collector>) {
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
        max_streams = config.streams(),
        max_calls = config.max_calls.unwrap_or_else(|| config.streams()),
        max_calls_per_source = config.max_calls_per_source,
        "start"
    );
    // That of the limit of open files was given when it was raised.
    let limit = limits::files_advice(config);
    for warning in warnings::all(config, collector).into_iter().filter(|warning| Some(warning) != limit.as_ref()) {
        warn!("{warning}");
    }
    for map in &config.maps {
        info!(phone = %Plain(map.phone), fake = %Plain(map.fake), "map");
    }
}
