//! `sipproxy64 status`: asks a running daemon and shows what it says.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use super::watch;
use crate::cli::complaint::Complaint;
use crate::control::{self, AskError, Place};

/// The options as clap sees them. The comments are the text of `--help`.
#[derive(Debug, Parser)]
#[command(
    name = "sipproxy64 status",
    bin_name = "sipproxy64 status",
    version,
    about = "Shows what a running sipproxy64 does"
)]
#[command(after_help = "See sipproxy64(8) for what it shows, and the fields of --json.")]
struct Arguments {
    /// For programs: one object of JSON
    #[arg(long, conflicts_with = "watch")]
    json: bool,

    /// Show it anew each second; q ends
    #[arg(long)]
    watch: bool,

    /// The control socket of the daemon [default: the usual one]
    #[arg(long, value_name = "PATH")]
    control: Option<OsString>,
}

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

/// The options as clap sees them: what the completions of shells are made from.
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Runs the subcommand, if `arguments` (the first is the program's name) ask for it.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next();
    if arguments.next()? != "status" {
        return None;
    }
    let parsed = Arguments::try_parse_from(program.into_iter().chain(arguments));
    let (line, status) = match parsed.map_err(|error| Complaint::from_clap(&error)) {
        Ok(arguments) => match show(&arguments) {
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
    let place = arguments.control.clone().map_or(Place::Usual, Place::parse);
    if arguments.watch {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(StatusError::NoTerminal);
        }
        // Before the screen is taken: where nobody answers, one line says so.
        let first = control::ask(&place, "status")?;
        return Ok(watch::watch(first, || control::ask(&place, "status"))?);
    }
    let answer = control::ask(&place, if arguments.json { "status json" } else { "status" })?;
    match io::stdout().write_all(&answer).and_then(|()| io::stdout().flush()) {
        // Whoever reads only the beginning has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
