//! The command line: from arguments to [`Options`], or one clear line.
//!
//! clap finds the options; each value is read by a function of [`values`],
//! whose error says what would be right; [`complaint`] makes one line of
//! whatever clap found wrong. A configuration file holds the same options
//! ([`mod@file`]) and is put in front of the arguments (`merge`). What an option
//! means stands in sipproxy64(8).

mod captures;
pub mod complaint;
pub mod endpoint;
pub mod file;
mod merge;
pub mod values;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

use self::captures::Captures;
use self::complaint::Complaint;
use self::merge::FromFile;
use crate::config::{Config, Key, LatchMode, Map, Name, PortOrder, PortRange, Timeouts, Uplink};
use crate::control;
use crate::family::{Family, PerFamily};
use crate::logging::{Destination, Form};
use crate::metrics;
use crate::observer::settings::Settings;
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
    pub control: control::Place,
    /// Where the web server for those who look listens.
    pub metrics: Option<metrics::Place>,
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
    /// The command line, with the program's name.
    arguments: Vec<OsString>,
    /// The file of `--config`, from the root on.
    pub file: Option<PathBuf>,
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
        let read = |path: &Path| merge::read(self.file.as_deref().unwrap_or(path));
        let mut options = Self::read(self.arguments.clone(), Some(self.config.key), read)?;
        options.config.port_order = self.config.port_order;
        Ok(options)
    }

    fn read(
        given: Vec<OsString>,
        key: Option<Key>,
        file: impl FnOnce(&Path) -> Result<Vec<u8>, Complaint>,
    ) -> Result<Self, Complaint> {
        let mut command = Arguments::command();
        let alone = matches(&mut command, given.clone())?;
        let from_file = match alone.get_one::<PathBuf>("config") {
            Some(path) => FromFile::of(path, &file(path)?, &mut command, &alone)?,
            None => FromFile::default(),
        };
        let (program, behind) = given.split_at_checked(1).unwrap_or_default();
        let together = program.iter().cloned().chain(from_file.arguments()).chain(behind.iter().cloned());
        let matches = matches(&mut command, together.collect())?;
        let arguments = Arguments::from_arg_matches(&matches).map_err(|error| Complaint::from_clap(&error))?;

        let mode = arguments.mode();
        let mut config = arguments.config(from_file.path())?;
        config.check().map_err(|error| from_file.unfit(&error))?;
        // Config::new has the key and the port order of test mode.
        if mode == Mode::Run {
            let read_key = || arguments.secret.as_deref().map_or_else(secret::random, secret::of_file);
            config.key = key.map_or_else(read_key, Ok).map_err(|error| from_file.wrong("secret", &error))?;
            let seed = getrandom::u64().map_err(|error| Complaint::wrong(&secret::SecretError::Random(error)))?;
            config.port_order = PortOrder::Random(seed);
        }
        if let (Mode::Check, Some(file)) = (&mode, &arguments.secret) {
            secret::check(file).map_err(|error| from_file.wrong("secret", &error))?;
        }
        let verbosity = if arguments.quiet { -1 } else { i8::try_from(arguments.verbose).unwrap_or(i8::MAX) };
        let control = arguments.control(&mode);
        let observers = arguments.captures.settings()?;
        let in_force = in_force(&command, &matches);
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
            arguments: given,
            file,
        })
    }
}

/// The options as clap sees them: what the completions of shells are made from.
pub fn command() -> Command {
    Arguments::command()
}

fn matches(command: &mut Command, arguments: Vec<OsString>) -> Result<ArgMatches, Complaint> {
    command.try_get_matches_from_mut(arguments).map_err(|error| Complaint::from_clap(&error))
}

/// The same file also from another working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What was said, by the command line or the file, as lines of such a file.
fn in_force(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let of_run = |argument: &&Arg| !["config", "check", "test"].contains(&argument.get_id().as_str());
    let said = |argument: &&Arg| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut lines = Vec::new();
    for argument in command.get_arguments().filter(of_run).filter(said) {
        let (id, name) = (argument.get_id().as_str(), argument.get_long().unwrap_or_default());
        match argument.get_action() {
            ArgAction::Set | ArgAction::Append => {
                let values = matches.get_raw(id).into_iter().flatten();
                lines.extend(values.map(|value| format!("{name} {}", value.to_string_lossy())));
            }
            ArgAction::Count => lines.extend((0..matches.get_count(id)).map(|_| name.to_owned())),
            _ => lines.push(name.to_owned()),
        }
    }
    lines
}

/// The options as clap sees them. The comments are the text of `--help`.
#[derive(Debug, Parser)]
#[command(name = "sipproxy64", version, about, args_override_self = false)]
#[command(after_help = "\
`sipproxy64 status` shows what a running one does, see sipproxy64 status --help.
See sipproxy64(8) for what each option means, with examples.")]
struct Arguments {
    /// IPv4 listen address
    #[arg(short = 'l', long, value_name = "ADDR[:PORT]", value_parser = values::listen4)]
    listen4: Option<SocketAddr>,

    /// IPv6 listen address
    #[arg(short = 'L', long, value_name = "ADDR[:PORT]", value_parser = values::listen6)]
    listen6: Option<SocketAddr>,

    /// Where undirected traffic from the IPv6 side goes
    #[arg(short = 'u', long, value_name = "HOST[:PORT]", value_parser = values::uplink4)]
    uplink4: Option<Uplink>,

    /// Where undirected traffic from the IPv4 side goes
    #[arg(short = 'U', long, value_name = "HOST[:PORT]", value_parser = values::uplink6)]
    uplink6: Option<Uplink>,

    /// One phone and its stand-in in the other family; repeat
    #[arg(short = 'm', long = "map", value_name = "PHONE=FAKE", value_parser = values::map)]
    maps: Vec<Map>,

    /// A name under which phones know us as outbound proxy; repeat
    #[arg(long = "name", value_name = "HOST[:PORT]", value_parser = values::name)]
    names: Vec<Name>,

    /// Media ports [default: 16384-32767]
    #[arg(short = 'p', long, value_name = "LOW-HIGH", value_parser = values::port_range)]
    rtp_ports: Option<PortRange>,

    /// Silence that ends an answered call, in seconds [default: 60]
    #[arg(long, value_name = "S", value_parser = values::seconds, allow_negative_numbers = true)]
    rtp_timeout: Option<Duration>,

    /// Silence that ends a ringing call, in seconds [default: 180]
    #[arg(long, value_name = "S", value_parser = values::seconds, allow_negative_numbers = true)]
    ringing_timeout: Option<Duration>,

    /// Silence that ends a call on hold, in seconds [default: 3600]
    #[arg(long, value_name = "S", value_parser = values::seconds, allow_negative_numbers = true)]
    hold_timeout: Option<Duration>,

    /// Whom media may come from [default: signalled]
    #[arg(long, value_name = "signalled|first|off", value_parser = values::latch)]
    latch: Option<LatchMode>,

    /// Calls with media at once [default: as the media ports allow]
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    max_calls: Option<usize>,

    /// Of these asked for by one unknown IPv4 address or IPv6 /64 [default: 32]
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    max_calls_per_source: Option<usize>,

    /// DSCP of relayed media, 46 for EF [default: as the system has it]
    #[arg(long, value_name = "N", value_parser = values::dscp, allow_negative_numbers = true)]
    dscp: Option<u8>,

    /// Microseconds that media packets may wait for others, to save processor time [default: 0]
    #[arg(long, value_name = "N", value_parser = values::batch, allow_negative_numbers = true)]
    batch_us: Option<Duration>,

    /// Let nobody but uplinks and phones ask phones for their password
    #[arg(long)]
    no_foreign_challenges: bool,

    /// Leave Contact headers to a wrapper
    #[arg(short = 'w', long)]
    wrapper: bool,

    /// Repair IPv6 addresses that came without brackets
    #[arg(long)]
    lenient: bool,

    /// File of the key for signatures, created if absent [default: a random key for this run]
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,

    /// Bind addresses that are not on an interface yet
    #[arg(long)]
    freebind: bool,

    /// Take over all calls of the daemon at this control socket
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["test", "check"])]
    takeover: Option<PathBuf>,

    /// Socket at which `sipproxy64 status` asks, or none [default: /run/sipproxy64/control for root]
    #[arg(long, value_name = "PATH")]
    control: Option<OsString>,

    /// Web page and Prometheus metrics at this address; public: before it where others may look
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::metrics)]
    metrics: Option<metrics::Place>,
    #[command(flatten)]
    captures: Captures,

    /// Leave the shell once the start has succeeded
    #[arg(short = 'd', long)]
    daemon: bool,

    /// File for the number of the process
    #[arg(short = 'P', long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Whom to become once all is bound
    #[arg(long, value_name = "USER[:GROUP]", value_parser = values::account)]
    user: Option<Account>,

    /// Keep what the system lets one do but is not needed after the start
    #[arg(long)]
    no_sandbox: bool,

    /// Where the log goes [default: stderr, with --daemon syslog]
    #[arg(long, value_name = "stderr|syslog", value_parser = values::destination)]
    log: Option<Destination>,

    /// What a line of the log looks like [default: text]
    #[arg(long, value_name = "text|json", value_parser = values::form)]
    log_format: Option<Form>,

    /// Log more; repeat
    #[arg(short = 'v', long, action = ArgAction::Count)]
    verbose: u8,

    /// Log warnings and errors alone
    #[arg(short = 'q', long, conflicts_with = "verbose")]
    quiet: bool,

    /// File with more options, one a line, without dashes
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Say what would be done, and whether the options are right
    #[arg(long, conflicts_with = "test")]
    check: bool,

    /// Print instead of sending; with files, read recorded messages
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..)]
    test: Option<Vec<PathBuf>>,
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

    /// Test mode has no control socket: it leaves nothing behind.
    fn control(&self, mode: &Mode) -> control::Place {
        match (mode, &self.control) {
            (Mode::Run | Mode::Check, Some(value)) => match control::Place::parse(value.clone()) {
                control::Place::Given(path) => control::Place::Given(absolute(&path)),
                place => place,
            },
            (Mode::Run | Mode::Check, None) => control::Place::Usual,
            (Mode::Print | Mode::Transcript(_), _) => control::Place::Nowhere,
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
