//! The program: options, log, run, exit status.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use sipproxy64::cli::{Mode, Options};
use sipproxy64::logging::{self, Destination};
use sipproxy64::process::{self, Side};
use sipproxy64::{check, daemon, status_command, transcript};

fn main() -> ExitCode {
    if let Some(exit_code) = status_command::run(std::env::args_os()) {
        return exit_code;
    }
    let options = Options::parse();
    let log = options.log;
    let leave_shell = || process::leave_shell(log == Destination::Stderr);
    let detached = match options.daemon.then(leave_shell).transpose() {
        Ok(None) => None,
        Ok(Some(Side::Daemon(detached))) => Some(detached),
        Ok(Some(Side::Shell(status))) => return status,
        Err(error) => return exit_code(Err(error), Destination::Stderr, 1),
    };
    logging::start(log, options.log_format, options.verbosity);
    if let Mode::Transcript(files) = &options.mode {
        let ended = transcript::run(options.config, files, &mut io::stdout().lock());
        return exit_code(ended, log, 2);
    }
    if options.mode == Mode::Check {
        return exit_code(check::run(&options, &mut io::stdout().lock()), log, 2);
    }
    exit_code(daemon::run(options, detached), log, 1)
}

/// `status` and one line, where it did not end well.
fn exit_code(ended: Result<(), impl Error>, log: Destination, status: u8) -> ExitCode {
    let Err(error) = ended else {
        logging::flush();
        return ExitCode::SUCCESS;
    };
    if log == Destination::Syslog {
        tracing::error!("{error}");
    }
    logging::flush();
    // Not eprintln!, which panics when stderr is gone.
    let _ = writeln!(io::stderr(), "sipproxy64: {error}");
    ExitCode::from(status)
}
