//! The command line: from arguments to [`Options`], or one clear line.
//!
//! [`arguments`] finds the options of [`table`]; each value is read by a function of
//! [`values`], whose error says what would be right; [`complaint`] makes one line of
//! whatever is wrong. A configuration file holds the same options ([`mod@file`]) and
//! is put in front of the arguments (`merge`). What an option means stands in
//! sipproxy64(8).

pub mod arguments;
mod captures;
pub mod complaint;
pub mod file;
pub mod help;
mod merge;
pub mod table;
pub mod values;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::arguments::{ArgumentError, Opt, Said, Target, Unfit};
use self::captures::Captures;
use self::complaint::Complaint;
use self::merge::FromFile;
use self::table::OPTIONS;
use self::values::{flag, path, push, put};
use crate::captures::Settings;
use crate::config::{Config, Key, LatchMode, Map, Name, PortOrder, PortRange, Timeouts, Uplink};
use crate::control;
use crate::family::{Family, PerFamily};
use crate::logging::{Destination, Form};
use crate::metrics;
use crate::process::Account;
use crate::secret;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// Addresses, ports, limits and keys, checked.
    pub config: Config,
    /// What to do with them.
    pub mode: Mode,
    /// Bind addresses that are not on an interface yet.
    pub freebind: bool,
    /// The DSCP of relayed media, 0 to 63 (RFC 2474 §3); `None`: as the system has it.
    pub dscp: Option<u8>,
    /// How long media packets may wait for others; zero: none waits.
    pub batch: Duration,
    /// Where `sipproxy64 status` asks this daemon.
    pub control: control::SocketPath,
    /// Where the web server for those who look listens.
    pub metrics: Option<metrics::ServerAddress>,
    /// Who looks at what crosses.
    pub observers: Settings,
    /// Leave the shell once the start has succeeded.
    pub daemon: bool,
    /// Where the number of the process is written.
    pub pid_file: Option<PathBuf>,
    /// Whom to become once all is bound.
    pub user: Option<Account>,
    /// Keep rights that are not needed after the start.
    pub no_sandbox: bool,
    /// Where the log goes.
    pub log: Destination,
    /// What a line of it looks like.
    pub log_format: Form,
    /// How much is logged: -q is -1, each -v adds 1.
    pub verbosity: i8,
    /// The file of `--secret`.
    pub secret: Option<PathBuf>,
    /// The control socket of the daemon to take over from.
    pub takeover: Option<PathBuf>,
    /// Every option in force, as a line of a configuration file.
    pub in_force: Vec<String>,
    /// The file of `--config`, from the root on.
    pub file: Option<PathBuf>,
    /// The command line, with the program's name.
    arguments: Vec<OsString>,
}

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Be the daemon.
    Run,
    /// `--test`: bind as usual, print each message instead of sending it.
    Print,
    /// `--test FILE...`: read recorded messages; no sockets.
    Transcript(Vec<PathBuf>),
    /// `--check`: say what would be done.
    Check,
}

impl Options {
    /// The options of this process. Ends it with status 0 after `--help` or
    /// `--version`, and with status 2 and one line on stderr where an option is
    /// wrong.
    pub fn parse() -> Self {
        match Self::from_arguments(std::env::args_os()) {
            Ok(options) => options,
            // Whether anybody reads the line does not change what follows.
            Err(Complaint::Asked(text)) => {
                let _ = std::io::stdout().write_all(text.as_bytes());
                std::process::exit(0);
            }
            Err(Complaint::Wrong(line)) => {
                let _ = writeln!(std::io::stderr(), "sipproxy64: {line}");
                std::process::exit(2);
            }
        }
    }

    /// The options in `arguments`, of which the first is the program's name, and
    /// in the configuration file that they name. Reads the file of `--secret`, or
    /// creates it, once all else is right.
    ///
    /// # Errors
    ///
    /// [`Complaint::Wrong`] with one line that says which option is wrong, and
    /// what would be right; [`Complaint::Asked`] for `--help` and `--version`.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Complaint> {
        Self::read(arguments.into_iter().collect(), None, merge::read)
    }

    /// The options in `arguments` with this text for the configuration file, if
    /// they name one.
    ///
    /// # Errors
    /// As [`Options::from_arguments`].
    pub fn with_file(arguments: impl IntoIterator<Item = OsString>, text: &[u8]) -> Result<Self, Complaint> {
        Self::read(arguments.into_iter().collect(), None, |_| Ok(text.to_vec()))
    }

    /// The same command line again, with what its configuration file says now.
    /// The key stays.
    ///
    /// # Errors
    /// As [`Options::from_arguments`].
    pub fn again(&self) -> Result<Self, Complaint> {
        // The working directory may be another one by now.
        let read = |path: &Path| merge::read_again(self.file.as_deref().unwrap_or(path));
        let mut options = Self::read(self.arguments.clone(), Some(self.config.key), read)?;
        options.config.port_order = self.config.port_order;
        Ok(options)
    }

    fn read(
        given: Vec<OsString>,
        key: Option<Key>,
        file: impl FnOnce(&Path) -> Result<Vec<u8>, Complaint>,
    ) -> Result<Self, Complaint> {
        let behind = given.get(1..).unwrap_or_default();
        let alone = Given::read(behind)?;
        let from_file = match &alone.arguments.config {
            Some(path) => FromFile::of(path, &file(path)?, &alone.said)?,
            None => FromFile::default(),
        };
        let together: Vec<OsString> = from_file.arguments().chain(behind.iter().cloned()).collect();
        let Given { arguments, said } = Given::read(&together)?;

        let mode = arguments.mode();
        let mut config = arguments.config(from_file.path())?;
        config.check().map_err(|error| from_file.unfit(&error))?;
        match mode {
            Mode::Run => arguments.make_unforeseeable(&mut config, key, &from_file)?,
            Mode::Check => arguments.check_secret(&from_file)?,
            // They have the key and the port order of Config::new.
            Mode::Print | Mode::Transcript(_) => {}
        }
        let verbosity = if arguments.quiet { -1 } else { i8::try_from(arguments.verbose).unwrap_or(i8::MAX) };
        let control = arguments.control(&mode);
        let observers = arguments.captures.settings(&config, &from_file)?;
        let in_force = in_force(&said);
        // Test mode and --check answer where they were asked.
        let daemon = arguments.daemon && mode == Mode::Run;
        let log = arguments.log.unwrap_or(if daemon { Destination::Syslog } else { Destination::Stderr });
        let file = from_file.path().map(absolute);
        let pid_file = arguments.pid_file.as_deref().map(absolute);
        let Arguments { freebind, dscp, batch_us, secret, takeover, user, no_sandbox, log_format, metrics, .. } =
            arguments;
        let (log_format, metrics) = (log_format.unwrap_or_default(), metrics.filter(|_| mode != Mode::Print));
        Ok(Self {
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
            in_force,
            file,
            arguments: given,
        })
    }
}

/// What stands behind the lines of the options in `--help`.
const BEHIND: &str = "\
`sipproxy64 status` shows what a running one does, see sipproxy64 status --help.
See sipproxy64(8) for what each option means, with examples.";

/// Arguments that could be read.
struct Given {
    arguments: Arguments,
    said: Vec<Said>,
}

impl Given {
    fn read(given: &[OsString]) -> Result<Self, Complaint> {
        let mut arguments = Arguments::default();
        match arguments::read(&mut arguments, given) {
            Ok(said) => Ok(Self { arguments, said }),
            Err(error) => Err(asked("sipproxy64", env!("CARGO_PKG_DESCRIPTION"), &OPTIONS, BEHIND, &error)),
        }
    }
}

/// The answer to `--help` and `--version`, or the complaint about what is wrong.
pub(crate) fn asked(program: &str, about: &str, options: &[Opt], behind: &str, error: &ArgumentError) -> Complaint {
    match error {
        ArgumentError::Asked(option) if option.long == "help" => {
            Complaint::Asked(help::help(about, program, options, behind))
        }
        ArgumentError::Asked(_) => Complaint::Asked(format!("{program} {}\n", env!("CARGO_PKG_VERSION"))),
        error => Complaint::of_arguments(error),
    }
}

/// The same file also from another working directory.
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
struct Arguments {
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
    captures: Captures,
    daemon: bool,
    pid_file: Option<PathBuf>,
    user: Option<Account>,
    no_sandbox: bool,
    log: Option<Destination>,
    log_format: Option<Form>,
    verbose: u8,
    quiet: bool,
    config: Option<PathBuf>,
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
    fn mode(&self) -> Mode {
        match &self.test {
            _ if self.check => Mode::Check,
            None => Mode::Run,
            Some(files) if files.is_empty() => Mode::Print,
            Some(files) => Mode::Transcript(files.clone()),
        }
    }

    /// Gives the configuration a key, this one or that of `--secret` or of this run,
    /// and ports that nobody can foresee.
    fn make_unforeseeable(&self, config: &mut Config, key: Option<Key>, from_file: &FromFile) -> Result<(), Complaint> {
        let read_key = || self.secret.as_deref().map_or_else(secret::random, secret::of_file);
        config.key = key.map_or_else(read_key, Ok).map_err(|error| from_file.wrong("secret", &error))?;
        let seed = getrandom::u64().map_err(|error| Complaint::wrong(&secret::SecretError::Random(error)))?;
        config.port_order = PortOrder::Random(seed);
        Ok(())
    }

    /// Whether the file of `--secret` will do; it may not exist yet.
    fn check_secret(&self, from_file: &FromFile) -> Result<(), Complaint> {
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

    fn config(&self, file: Option<&Path>) -> Result<Config, Complaint> {
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
