//! `sipproxy64 status`: asks a running daemon and shows what it says.

mod watch;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli;
use crate::cli::arguments::{self, Opt, Takes, Target, Unfit};
use crate::cli::complaint::Complaint;
use crate::cli::values::{flag, path};
use crate::control::{self, AskError, SocketPath};

/// The options, in the order of `--help`.
pub static OPTIONS: [Opt; 5] = [
    Opt::flag("json", "For programs: one object of JSON").against(&["watch"]),
    Opt::flag("watch", "Show it anew each second; q ends"),
    Opt::of("control", Takes::One("PATH"), "The control socket of the daemon [default: the usual one]"),
    Opt::flag("help", "Print help").short('h'),
    Opt::flag("version", "Print version").short('V'),
];

/// What they say.
#[derive(Debug, Default)]
struct Arguments {
    json: bool,
    watch: bool,
    control: Option<PathBuf>,
}

impl Target for Arguments {
    fn options(&self) -> &'static [Opt] {
        &OPTIONS
    }

    fn set(&mut self, option: &Opt, value: Option<&OsStr>) -> Result<(), Unfit> {
        match option.long {
            "json" => flag(&mut self.json),
            "watch" => flag(&mut self.watch),
            _ => path(&mut self.control, value.unwrap_or_default()),
        }
    }
}

/// What the subcommand calls itself.
const PROGRAM: &str = "sipproxy64 status";
/// What `--help` says of it.
pub const ABOUT: &str = "Shows what a running sipproxy64 does";
/// What stands behind the lines of the options there.
const BEHIND: &str = "See sipproxy64(8) for what it shows, and the fields of --json.";

/// Why there is nothing to see. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("--watch needs a terminal; without it, try: watch sipproxy64 status")]
    NoTerminal,
    #[error("cannot write to the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the subcommand, if `arguments` (the first is the program's name) ask for it.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != "status" {
        return None;
    }
    let given: Vec<OsString> = arguments.collect();
    let mut arguments = Arguments::default();
    let read = arguments::read(&mut arguments, &given);
    let (line, status) = match read.map_err(|error| cli::asked(PROGRAM, ABOUT, &OPTIONS, BEHIND, &error)) {
        Ok(_) => match show(&arguments) {
            Ok(()) => return Some(ExitCode::SUCCESS),
            Err(error) => (error.to_string(), 1),
        },
        Err(Complaint::Asked(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return Some(ExitCode::SUCCESS);
        }
        Err(Complaint::Wrong(line)) => (line, 2),
    };
    let _ = writeln!(io::stderr(), "sipproxy64: {line}");
    Some(ExitCode::from(status))
}

fn show(arguments: &Arguments) -> Result<(), StatusError> {
    let socket_path =
        arguments.control.clone().map_or(SocketPath::Usual, |path| SocketPath::parse(path.into_os_string()));
    if arguments.watch {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(StatusError::NoTerminal);
        }
        // Before the screen is taken: where nobody answers, one line says so.
        let first = control::ask(&socket_path, "status")?;
        return Ok(watch::watch(first, || control::ask(&socket_path, "status"))?);
    }
    let answer = control::ask(&socket_path, if arguments.json { "status json" } else { "status" })?;
    match io::stdout().write_all(&answer).and_then(|()| io::stdout().flush()) {
        // Whoever reads only the beginning has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
