//! `--daemon`: out of the shell, but not before the start has succeeded.
//!
//! The program starts itself once more and waits for one byte from it. The new
//! process does all of the start with the standard error of the shell, so that
//! every error is seen there, whenever it comes; its exit status becomes that of
//! the first process. The byte comes when nothing can fail any more. So nothing
//! is forked that has threads, and nothing is left to be told after that.

use std::env;
use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};
use rustix::process::{PidfdFlags, getppid, pidfd_open};

/// Tells the new process who waits for it, by the number of that process: in an
/// environment that somebody else inherits it means nothing.
const WAITING: &str = "SIPPROXY64_WAITING";
/// How long the process that waits may take to end, in milliseconds.
const ENDING: u16 = 500;
/// The byte that says "started".
const STARTED: u8 = b'+';

/// Which of the two processes this one is.
#[derive(Debug)]
pub enum Side {
    /// The one that the shell waits for, when all is said: this is its exit status.
    Shell(ExitCode),
    /// The daemon.
    Daemon(Detached),
}

/// Leaves the shell: in the first process when the daemon has started or cannot,
/// in the daemon at once. With `keep_stderr` the daemon's standard error stays
/// what it is, as the log goes there.
///
/// # Errors
/// Where the system starts no process, or has no /dev/null or no session for it.
pub fn leave_shell(keep_stderr: bool) -> io::Result<Side> {
    match Detached::here(keep_stderr)? {
        Some(detached) => Ok(Side::Daemon(detached)),
        None => Ok(Side::Shell(start()?)),
    }
}

/// Starts this program once more and waits until it has started. The exit status
/// is 0 then, else that of the other one.
fn start() -> io::Result<ExitCode> {
    let (heard, told) = pipe2(OFlag::O_CLOEXEC)?;
    let child = start_again(told)?;
    if has_started(heard) {
        return Ok(ExitCode::SUCCESS);
    }
    // It has said why, unless something killed it.
    match waitpid(child, None)? {
        WaitStatus::Exited(_, code) if code != 0 => Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)),
        WaitStatus::Signaled(_, signal, _) => Err(ended(&format!("by {signal:?}"))),
        _ => Err(ended("without a word")),
    }
}

fn ended(how: &str) -> io::Error {
    io::Error::other(format!("the detached process ended at the start, {how}"))
}

/// The same program with the same arguments, and `told` as its standard output.
/// Not by `std::process`, which could do far more and is as large.
fn start_again(told: OwnedFd) -> io::Result<Pid> {
    let arguments = env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
    let waiting = (OsString::from(WAITING), OsString::from(std::process::id().to_string()));
    let others = env::vars_os().filter(|(name, _)| name != WAITING);
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        text(name)
    };
    let environment = others.chain([waiting]).map(variable).collect::<io::Result<Vec<_>>>()?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(told.as_raw_fd(), io::stdout().as_raw_fd())?;
    Ok(posix_spawn(&program()?, &files, &PosixSpawnAttr::init()?, &arguments, &environment)?)
}

fn text(text: OsString) -> io::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

/// The file of this program, also where its name is gone.
fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    Ok(if path.exists() { path } else { "/proc/self/exe".into() })
}

fn has_started(heard: OwnedFd) -> bool {
    let mut byte = [0];
    File::from(heard).read_exact(&mut byte).is_ok() && byte == [STARTED]
}

/// The new process, while the first one waits.
#[derive(Debug)]
pub struct Detached {
    nothing: File,
    keep_stderr: bool,
    /// The process that waits, where this kernel has handles for processes.
    waiting: Option<OwnedFd>,
}

impl Detached {
    /// Whether this process is one that [`start`] made; then it is out of the
    /// shell's session, so that no terminal ends it.
    fn here(keep_stderr: bool) -> io::Result<Option<Self>> {
        if env::var(WAITING).is_ok_and(|waiting| waiting == parent_id().to_string()) {
            match setsid() {
                // The leader of a process group has left its shell already.
                Ok(_) | Err(Errno::EPERM) => {}
                Err(error) => return Err(error.into()),
            }
            let nothing = OpenOptions::new().read(true).write(true).open("/dev/null");
            let nothing =
                nothing.map_err(|error| io::Error::other(format!("--daemon: /dev/null: {error}; it must be there")))?;
            let waiting = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
            return Ok(Some(Self { nothing, keep_stderr, waiting }));
        }
        Ok(None)
    }

    /// Out of the working directory, which could not be unmounted otherwise.
    /// Relative paths mean something else from now on.
    ///
    /// # Errors
    /// Where there is no root directory.
    pub fn leave_directory(&self) -> io::Result<()> {
        env::set_current_dir("/")
    }

    /// Tells the process that waits that the start has succeeded, and lets go of
    /// what it shares with the shell. That process has ended when this returns, so that
    /// this one belongs to who started it; unless it does not come to that soon.
    ///
    /// # Errors
    /// Where nobody waits any more.
    pub fn tell(self) -> io::Result<()> {
        let told = io::stdout().write_all(&[STARTED]).and_then(|()| io::stdout().flush());
        told.map_err(|error| io::Error::new(error.kind(), format!("the process that waits is gone ({error})")))?;
        dup2_stdin(&self.nothing)?;
        dup2_stdout(&self.nothing)?;
        if !self.keep_stderr {
            dup2_stderr(&self.nothing)?;
        }
        if let Some(waiting) = &self.waiting {
            // The handle can be read when the process is gone (pidfd_open(2)).
            let _ = poll(&mut [PollFd::new(waiting.as_fd(), PollFlags::POLLIN)], ENDING);
        }
        Ok(())
    }
}
