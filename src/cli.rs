//! The command line: from arguments to [`Options`], or one clear line.
//!
//! [`arguments`] finds the options of [`table`]; each value is read by a function of
//! [`values`], whose error says what would be right; [`complaint`] makes one line of
//! whatever is wrong. A configuration file holds the same options ([`mod@file`]) and
//! is put in front of the arguments (`merge`); what both say, `given` makes into
//! [`Options`]. What an option means stands in sipproxy64(8).

pub mod arguments;
mod captures;
pub mod complaint;
pub mod file;
mod given;
pub mod help;
mod merge;
pub mod table;
pub mod values;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::arguments::{ArgumentError, Opt};
use self::complaint::Complaint;
use self::given::Given;
use self::merge::FromFile;
use crate::captures::Settings;
use crate::config::{Config, Key};
use crate::control;
use crate::logging::{Destination, Form};
use crate::metrics;
use crate::process::Account;

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

    /// These options read anew: the command line, with what its configuration file says
    /// now. The key stays.
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
        command_line: Vec<OsString>,
        key: Option<Key>,
        file: impl FnOnce(&Path) -> Result<Vec<u8>, Complaint>,
    ) -> Result<Self, Complaint> {
        let behind = command_line.get(1..).unwrap_or_default();
        let alone = Given::read(behind)?;
        let from_file = match &alone.arguments.config {
            Some(path) => FromFile::of(path, &file(path)?, &alone.said)?,
            None => FromFile::default(),
        };
        let together: Vec<OsString> = from_file.arguments().chain(behind.iter().cloned()).collect();
        let given = Given::read(&together)?;

        let arguments = &given.arguments;
        let mut config = arguments.config(from_file.path())?;
        config.check().map_err(|error| from_file.unfit(&error))?;
        match arguments.mode() {
            Mode::Run => arguments.make_unforeseeable(&mut config, key, &from_file)?,
            Mode::Check => arguments.check_secret(&from_file)?,
            // They have the key and the port order of Config::new.
            Mode::Print | Mode::Transcript(_) => {}
        }
        let observers = arguments.captures.settings(&config, &from_file)?;
        Ok(given.options(config, observers, from_file.path(), command_line))
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
