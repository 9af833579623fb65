//! The command line: from arguments to [`Options`], or one clear line.
//!
//! clap finds the options; each value is read by a function of [`values`],
//! whose error says what would be right; [`complaint`] makes one line of
//! whatever clap found wrong. What an option means stands in sipproxy64(8).

mod captures;
pub mod complaint;
pub mod endpoint;
pub mod values;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

use self::captures::Captures;
use self::complaint::Complaint;
use crate::config::{Config, LatchMode, Map, Name, PortOrder, PortRange, Timeouts, Uplink};
use crate::control;
use crate::family::{Family, PerFamily};
use crate::logging::Destination;
use crate::observer::settings::Settings;
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
    /// Where `sipproxy64 status` asks this daemon.
    pub control: control::Place,
    /// Who looks at what crosses.
    pub observers: Settings,
    /// Where the log goes.
    pub log: Destination,
    /// How much is logged: -q is -1, each -v adds 1.
    pub verbosity: i8,
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

    /// The options in `arguments`, of which the first is the program's name.
    /// Reads the file of `--secret`, or creates it, once all else is right.
    ///
    /// # Errors
    ///
    /// [`Complaint::Wrong`] with one line that says which option is wrong, and
    /// what would be right; [`Complaint::Asked`] for `--help` and `--version`.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Complaint> {
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| Complaint::from_clap(&error))?;
        let mode = arguments.mode();
        let mut config = arguments.config();
        config.check().map_err(|error| Complaint::wrong(&error))?;
        // Config::new has the key and the port order of test mode.
        if mode == Mode::Run {
            config.key = match &arguments.secret {
                Some(file) => secret::of_file(file),
                None => secret::random(),
            }
            .map_err(|error| Complaint::wrong(&error))?;
            let seed = getrandom::u64().map_err(|error| Complaint::wrong(&secret::SecretError::Random(error)))?;
            config.port_order = PortOrder::Random(seed);
        }
        let verbosity = if arguments.quiet { -1 } else { i8::try_from(arguments.verbose).unwrap_or(i8::MAX) };
        let control = arguments.control(&mode);
        let observers = arguments.captures.settings();
        let Arguments { freebind, dscp, log, .. } = arguments;
        Ok(Self { config, mode, freebind, dscp, control, observers, log, verbosity })
    }
}

/// The options as clap sees them. The comments are the text of `--help`.
#[derive(Debug, Parser)]
#[command(name = "sipproxy64", version, about, args_override_self = false)]
#[command(after_help = "See sipproxy64(8) for what each option means, with examples.")]
struct Arguments {
    /// IPv4 listen address
    #[arg(short = 'l', long, value_name = "ADDR[:PORT]", required = true, value_parser = values::listen4)]
    listen4: std::net::SocketAddr,

    /// IPv6 listen address
    #[arg(short = 'L', long, value_name = "ADDR[:PORT]", required = true, value_parser = values::listen6)]
    listen6: std::net::SocketAddr,

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

    /// Socket at which `sipproxy64 status` asks, or none [default: /run/sipproxy64/control for root]
    #[arg(long, value_name = "PATH")]
    control: Option<OsString>,

    #[command(flatten)]
    captures: Captures,

    /// Where the log goes
    #[arg(long, value_name = "stderr|syslog", default_value = "stderr", value_parser = values::destination)]
    log: Destination,

    /// Log more; repeat
    #[arg(short = 'v', long, action = ArgAction::Count)]
    verbose: u8,

    /// Log warnings and errors alone
    #[arg(short = 'q', long, conflicts_with = "verbose")]
    quiet: bool,

    /// Print instead of sending; with files, read recorded messages
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..)]
    test: Option<Vec<PathBuf>>,
}

impl Arguments {
    fn mode(&self) -> Mode {
        match &self.test {
            None => Mode::Run,
            Some(files) if files.is_empty() => Mode::Print,
            Some(files) => Mode::Transcript(files.clone()),
        }
    }

    /// Test mode has no control socket: it leaves nothing behind.
    fn control(&self, mode: &Mode) -> control::Place {
        match (mode, &self.control) {
            (Mode::Run, Some(value)) => control::Place::parse(value.clone()),
            (Mode::Run, None) => control::Place::Usual,
            (Mode::Print | Mode::Transcript(_), _) => control::Place::Nowhere,
        }
    }

    fn config(&self) -> Config {
        let plain = Config::new(self.listen4, self.listen6);
        let timeouts = Timeouts {
            rtp: self.rtp_timeout.unwrap_or(plain.timeouts.rtp),
            ringing: self.ringing_timeout.unwrap_or(plain.timeouts.ringing),
            hold: self.hold_timeout.unwrap_or(plain.timeouts.hold),
        };
        Config {
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
        }
    }
}
