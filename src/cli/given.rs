//! What stands on the command line and in the file, one by one, and the options that it
//! comes to.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{self, Opt, Said, Target, Unfit};
use super::captures::Captures;
use super::complaint::{self, Complaint};
use super::merge::FromFile;
use super::table::OPTIONS;
use super::values::{self, flag, path, push, put};
use super::{Mode, Options, asked};
use crate::captures::Settings;
use crate::config::{Config, Key, LatchMode, Map, Name, PortOrder, PortRange, Timeouts, Uplink};
use crate::control;
use crate::family::{Family, PerFamily};
use crate::logging::{Destination, Form};
use crate::metrics;
use crate::process::Account;
use crate::secret;

/// What stands behind the lines of the options in `--help`.
const BEHIND: &str = "\
`sipproxy64 status` shows what a running one does, see sipproxy64 status --help.
See sipproxy64(8) for what each option means, with examples.";

/// Arguments that could be read.
pub(super) struct Given {
    pub(super) arguments: Arguments,
    pub(super) said: Vec<Said>,
}

impl Given {
    /// Reads them.
    ///
    /// # Errors
    /// The first that is wrong.
    pub(super) fn read(given: &[OsString]) -> Result<Self, Complaint> {
        let mut arguments = Arguments::default();
        match arguments::read(&mut arguments, given) {
            Ok(said) => Ok(Self { arguments, said }),
            Err(error) => Err(asked("sipproxy64", env!("CARGO_PKG_DESCRIPTION"), &OPTIONS, BEHIND, &error)),
        }
    }

    /// The options that they are, with all that was made of them.
    pub(super) fn options(
        self,
        config: Config,
        observers: Settings,
        file: Option<&Path>,
        command_line: Vec<OsString>,
    ) -> Options {
        let Self { arguments, said } = self;
        let mode = arguments.mode();
        let verbosity = if arguments.quiet { -1 } else { i8::try_from(arguments.verbose).unwrap_or(i8::MAX) };
        let control = arguments.control(&mode);
        // Test mode and --check answer where they were asked.
        let daemon = arguments.daemon && mode == Mode::Run;
        let log = arguments.log.unwrap_or(if daemon { Destination::Syslog } else { Destination::Stderr });
        let pid_file = arguments.pid_file.as_deref().map(absolute);
        let Arguments { freebind, dscp, batch_us, secret, takeover, user, no_sandbox, log_format, metrics, .. } =
            arguments;
        let (log_format, metrics) = (log_format.unwrap_or_default(), metrics.filter(|_| mode != Mode::Print));
        Options {
            config,
            mode,
            freebind,
            dscp,
            batch: batch_us.unwrap_or_default(),
            control,
            metrics,
            observers,
            daemon,
            pid_file,
            user,
            no_sandbox,
            log,
            log_format,
            verbosity,
            secret,
            takeover,
            in_force: in_force(&said),
            file: file.map(absolute),
            arguments: command_line,
        }
    }
}

/// A path that is the same from another working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What was said, by the command line or the file, as lines of such a file.
fn in_force(said: &[Said]) -> Vec<String> {
    let of_run = |option: &&Opt| !["config", "check", "test"].contains(&option.long);
    let of_option = |option| said.iter().filter(move |said| said.option == option);
    let line = |said: &Said| match &said.value {
        Some(value) => format!("{} {}", said.option.long, value.to_string_lossy()),
        None => said.option.long.to_owned(),
    };
    OPTIONS.iter().filter(of_run).flat_map(of_option).map(line).collect()
}

/// What the arguments say, one by one.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    listen4: Option<SocketAddr>,
    listen6: Option<SocketAddr>,
    uplink4: Option<Uplink>,
    uplink6: Option<Uplink>,
    maps: Vec<Map>,
    names: Vec<Name>,
    rtp_ports: Option<PortRange>,
    rtp_timeout: Option<Duration>,
    ringing_timeout: Option<Duration>,
    hold_timeout: Option<Duration>,
    latch: Option<LatchMode>,
    max_calls: Option<usize>,
    max_calls_per_source: Option<usize>,
    dscp: Option<u8>,
    batch_us: Option<Duration>,
    no_foreign_challenges: bool,
    wrapper: bool,
    lenient: bool,
    secret: Option<PathBuf>,
    freebind: bool,
    takeover: Option<PathBuf>,
    control: Option<PathBuf>,
    metrics: Option<metrics::ServerAddress>,
    pub(super) captures: Captures,
    daemon: bool,
    pid_file: Option<PathBuf>,
    user: Option<Account>,
    no_sandbox: bool,
    log: Option<Destination>,
    log_format: Option<Form>,
    verbose: u8,
    quiet: bool,
    pub(super) config: Option<PathBuf>,
    check: bool,
    test: Option<Vec<PathBuf>>,
}

impl Target for Arguments {
    fn options(&self) -> &'static [Opt] {
        &OPTIONS
    }

    fn set(&mut self, option: &Opt, value: Option<&OsStr>) -> Result<(), Unfit> {
        let text = value.unwrap_or_default();
        match option.long {
            "listen4" => put(&mut self.listen4, values::listen4, text),
            "listen6" => put(&mut self.listen6, values::listen6, text),
            "uplink4" => put(&mut self.uplink4, values::uplink4, text),
            "uplink6" => put(&mut self.uplink6, values::uplink6, text),
            "map" => push(&mut self.maps, values::map, text),
            "name" => push(&mut self.names, values::name, text),
            "rtp-ports" => put(&mut self.rtp_ports, values::port_range, text),
            "rtp-timeout" => put(&mut self.rtp_timeout, values::seconds, text),
            "ringing-timeout" => put(&mut self.ringing_timeout, values::seconds, text),
            "hold-timeout" => put(&mut self.hold_timeout, values::seconds, text),
            "latch" => put(&mut self.latch, values::latch, text),
            "max-calls" => put(&mut self.max_calls, values::count, text),
            "max-calls-per-source" => put(&mut self.max_calls_per_source, values::count, text),
            "dscp" => put(&mut self.dscp, values::dscp, text),
            "batch-us" => put(&mut self.batch_us, values::batch, text),
            "no-foreign-challenges" => flag(&mut self.no_foreign_challenges),
            "wrapper" => flag(&mut self.wrapper),
            "lenient" => flag(&mut self.lenient),
            "secret" => path(&mut self.secret, text),
            "freebind" => flag(&mut self.freebind),
            "takeover" => path(&mut self.takeover, text),
            "control" => path(&mut self.control, text),
            "metrics" => put(&mut self.metrics, values::metrics, text),
            "daemon" => flag(&mut self.daemon),
            "pid-file" => path(&mut self.pid_file, text),
            "user" => put(&mut self.user, values::account, text),
            "no-sandbox" => flag(&mut self.no_sandbox),
            "log" => put(&mut self.log, values::destination, text),
            "log-format" => put(&mut self.log_format, values::form, text),
            "verbose" => {
                self.verbose = self.verbose.saturating_add(1);
                Ok(())
            }
            "quiet" => flag(&mut self.quiet),
            "config" => path(&mut self.config, text),
            "check" => flag(&mut self.check),
            "test" => {
                let files = self.test.get_or_insert_default();
                value.map_or(Ok(()), |file| values::one_path(file).map(|file| files.push(file)))
            }
            long => self.captures.set(long, text).unwrap_or_else(|| Err(Unfit::Why("no such option".to_owned()))),
        }
    }
}

impl Arguments {
    /// What is to be done.
    pub(super) fn mode(&self) -> Mode {
        match &self.test {
            _ if self.check => Mode::Check,
            None => Mode::Run,
            Some(files) if files.is_empty() => Mode::Print,
            Some(files) => Mode::Transcript(files.clone()),
        }
    }

    /// Gives the configuration a key, this one or that of `--secret` or of this run,
    /// and ports that nobody can foresee.
    pub(super) fn make_unforeseeable(
        &self,
        config: &mut Config,
        key: Option<Key>,
        from_file: &FromFile,
    ) -> Result<(), Complaint> {
        let read_key = || self.secret.as_deref().map_or_else(secret::random, secret::of_file);
        config.key = key.map_or_else(read_key, Ok).map_err(|error| from_file.wrong("secret", &error))?;
        let seed = getrandom::u64().map_err(|error| Complaint::wrong(&secret::SecretError::Random(error)))?;
        config.port_order = PortOrder::Random(seed);
        Ok(())
    }

    /// Whether the file of `--secret` will do; it may not exist yet.
    pub(super) fn check_secret(&self, from_file: &FromFile) -> Result<(), Complaint> {
        let checked = self.secret.as_deref().map(secret::check).transpose();
        checked.map(drop).map_err(|error| from_file.wrong("secret", &error))
    }

    /// Test mode has no control socket: it leaves nothing behind.
    fn control(&self, mode: &Mode) -> control::SocketPath {
        match (mode, &self.control) {
            (Mode::Run | Mode::Check, Some(value)) => {
                match control::SocketPath::parse(value.clone().into_os_string()) {
                    control::SocketPath::Given(path) => control::SocketPath::Given(absolute(&path)),
                    other => other,
                }
            }
            (Mode::Run | Mode::Check, None) => control::SocketPath::Usual,
            (Mode::Print | Mode::Transcript(_), _) => control::SocketPath::Nowhere,
        }
    }

    /// The configuration, with a key that everybody knows.
    pub(super) fn config(&self, file: Option<&Path>) -> Result<Config, Complaint> {
        let plain = match (self.listen4, self.listen6) {
            (Some(listen4), Some(listen6)) => Config::new(listen4, listen6),
            (Some(_), None) => return Err(complaint::missing(&["--listen6"], file)),
            (None, Some(_)) => return Err(complaint::missing(&["--listen4"], file)),
            (None, None) => return Err(complaint::missing(&["--listen4", "--listen6"], file)),
        };
        let timeouts = Timeouts {
            rtp: self.rtp_timeout.unwrap_or(plain.timeouts.rtp),
            ringing: self.ringing_timeout.unwrap_or(plain.timeouts.ringing),
            hold: self.hold_timeout.unwrap_or(plain.timeouts.hold),
        };
        Ok(Config {
            uplinks: PerFamily::from_fn(|family| match family {
                Family::V4 => self.uplink4.clone(),
                Family::V6 => self.uplink6.clone(),
            }),
            maps: self.maps.clone(),
            names: self.names.clone(),
            rtp_ports: self.rtp_ports.unwrap_or(plain.rtp_ports),
            timeouts,
            latch: self.latch.unwrap_or(plain.latch),
            max_calls: self.max_calls.or(plain.max_calls),
            max_calls_per_source: self.max_calls_per_source.unwrap_or(plain.max_calls_per_source),
            no_foreign_challenges: self.no_foreign_challenges,
            wrapper: self.wrapper,
            lenient: self.lenient,
            ..plain
        })
    }
}
