//! The other end of the control socket: asks a running daemon.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connect;
use super::path::SocketPath;

/// How long the daemon may take for each step.
const STEP_PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no answer. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It is not known where to ask.
    #[error("no control socket is known here; name one with --control PATH")]
    Nowhere,
    /// Nobody is there.
    #[error("no daemon answers at {}: is one running, with this --control?", .0.display())]
    Nobody(PathBuf),
    /// Somebody is there, and says nothing.
    #[error("the daemon at {} does not answer: it is stopped (wake it: kill -CONT PID) or stuck (start it anew)", .0.display())]
    Silent(PathBuf),
    /// Somebody is there, and the caller has no right to ask.
    #[error("no permission to ask the daemon at {}; try as root or as the user it runs as", .0.display())]
    Forbidden(PathBuf),
    /// The daemon says no.
    #[error("the daemon at {} says: {answer}", path.display())]
    Refused {
        /// Where it was asked.
        path: PathBuf,
        /// What it said.
        answer: String,
    },
    /// The conversation broke off.
    #[error("asking the daemon at {}: {error}", path.display())]
    System {
        /// Where it was asked.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Sends one line to the daemon at `socket_path` and gives its answer.
///
/// # Errors
///
/// Where nobody answers, or with a refusal.
pub fn ask(socket_path: &SocketPath, line: &str) -> Result<Vec<u8>, AskError> {
    ask_within(socket_path, line, STEP_PATIENCE)
}

/// As [`ask`], of a daemon that may take so long for each step.
pub(super) fn ask_within(socket_path: &SocketPath, line: &str, patience: Duration) -> Result<Vec<u8>, AskError> {
    let path = socket_path.path_of_client().ok_or(AskError::Nowhere)?;
    let answer = match converse(&path, line, patience) {
        Ok(answer) => answer,
        Err(error) => {
            return Err(match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::Nobody(path),
                ErrorKind::PermissionDenied => AskError::Forbidden(path),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Silent(path),
                _ => AskError::System { path, error },
            });
        }
    };
    match answer.strip_prefix(b"error: ") {
        Some(refusal) => {
            let answer = String::from_utf8_lossy(refusal).trim_end().to_owned();
            Err(AskError::Refused { path, answer })
        }
        None => Ok(answer),
    }
}

fn converse(path: &Path, line: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(path, patience)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it ended without an answer"));
    }
    Ok(answer)
}
