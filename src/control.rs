//! The control socket: a unix stream socket at which a running daemon answers.
//!
//! A client sends one line, gets one answer, and the connection ends. The file
//! has mode 0600 from the first moment on, so that only the daemon's own user
//! and root can ask. What clients do costs little: a few at a time, a short
//! line, and a few seconds. The daemon answers between other things; a client
//! that does not read its answer holds up nobody.
//!
//! Requests are [`Verb`]s. An answer that begins with `error: ` is a refusal.

mod ask;
mod path;

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process;
use std::task::Context;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::file_id::FileId;
use crate::task;

pub use self::ask::{AskError, ask};
pub use self::path::{OF_ROOT, SocketPath};

/// Clients that are served at once; more of them wait for their turn.
const MAX_CLIENTS: usize = 8;
/// Length of a request, in octets.
const MAX_LINE: usize = 256;
/// Clients that may wait to be taken in by the system.
const BACKLOG: i32 = 16;
/// How long a client may take for its line.
const ASKING: Duration = Duration::from_secs(2);
/// How long a client may take to read its answer.
const ANSWERING: Duration = Duration::from_secs(10);
/// How long another daemon may take to let this one connect.
const CONNECTING: Duration = Duration::from_millis(100);

/// Why there is no control socket. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another daemon answers there.
    #[error("--control {}: another daemon answers there; take its place by --takeover, or give this one a path of its own, or none", .0.display())]
    InUse(PathBuf),
    /// Something else has the name.
    #[error("--control {}: that is a file, not the socket of an earlier daemon; remove it or take another path", .0.display())]
    Occupied(PathBuf),
    /// The system refuses.
    #[error("--control {}: {error}; its directory must exist and be writable", path.display())]
    System {
        /// Where the socket should be.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `status`: for people.
    Status,
    /// `status json`: for programs.
    StatusJson,
    /// `takeover`: all calls, for a daemon that takes this one's place.
    Takeover,
}

impl Verb {
    /// The verb that a line holds.
    fn parse(line: &[u8]) -> Option<Self> {
        match line {
            b"status" => Some(Self::Status),
            b"status json" => Some(Self::StatusJson),
            b"takeover" => Some(Self::Takeover),
            _ => None,
        }
    }
}

/// One request, to be answered.
#[derive(Debug)]
pub struct Request {
    /// What it asks for.
    pub verb: Verb,
    /// Who asks.
    pub client: Client,
}

/// A client that waits for its answer.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    permit: OwnedSemaphorePermit,
}

impl Client {
    /// Answers, beside everything else. Whether the client reads it is its own affair.
    pub fn answer(mut self, answer: Vec<u8>) {
        task::spawn(async move {
            if timeout(ANSWERING, self.stream.write_all(&answer)).await.is_err() {
                debug!("a client of the control socket did not read its answer");
            }
            drop(self.permit);
        });
    }

    /// The connection itself, blocking, for whoever has more to say than one answer.
    ///
    /// # Errors
    ///
    /// Where the system does not let go of it.
    pub fn into_stream(self) -> io::Result<StdStream> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// The control socket of this daemon. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Control {
    file: SocketFile,
    /// The socket itself, for another process.
    socket: OwnedFd,
    listener: Option<std::os::unix::net::UnixListener>,
    acceptor: Option<JoinHandle<()>>,
}

/// The file of a socket; removed at the end, if it is still the same one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl Control {
    /// Makes the socket, if there is to be one. It needs no tokio runtime yet, so
    /// that it can be made before rights are dropped.
    ///
    /// # Errors
    ///
    /// Where the path was given and cannot be had. At the default path that is
    /// only a warning.
    pub fn open(socket_path: &SocketPath) -> Result<Option<Self>, ControlError> {
        let Some(path) = socket_path.path() else {
            if *socket_path == SocketPath::Usual {
                info!(
                    "no control socket, as neither root nor XDG_RUNTIME_DIR names a folder for it; --control PATH does"
                );
            }
            return Ok(None);
        };
        match (Self::at(&path), socket_path) {
            (Ok(control), _) => Ok(Some(control)),
            (Err(error), SocketPath::Given(_)) => Err(error),
            (Err(error), _) => {
                warn!("no control socket: {error}");
                Ok(None)
            }
        }
    }

    /// The socket at `path`, in the place of a dead daemon's.
    fn at(path: &Path) -> Result<Self, ControlError> {
        let failed = |error| ControlError::System { path: path.to_owned(), error };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(ControlError::Occupied(path.to_owned())),
            Ok(_) if is_alive(path) => return Err(ControlError::InUse(path.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => path::prepare(path).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        let (listener, id) = listen(path).map_err(failed)?;
        Self::with(listener, path, id).map_err(failed)
    }

    /// The socket of another daemon, which has handed it to this one with its path
    /// and its [`Control::file_id`].
    ///
    /// # Errors
    /// Where the system does not let a descriptor be doubled.
    pub fn adopt(socket: OwnedFd, path: &Path, id: FileId) -> io::Result<Self> {
        Self::with(socket.into(), path, id)
    }

    fn with(listener: std::os::unix::net::UnixListener, path: &Path, id: FileId) -> io::Result<Self> {
        let socket = listener.try_clone()?.into();
        let file = SocketFile { path: path.to_owned(), id };
        Ok(Self { file, socket, listener: Some(listener), acceptor: None })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What tells its file from others of the same path.
    pub fn file_id(&self) -> FileId {
        self.file.id
    }

    /// Lets go of the socket, and leaves its file to the process that has it too.
    pub fn disown(mut self) {
        self.file.id = FileId::NONE;
    }

    /// Begins to take in clients; a tokio runtime must be there. What they ask
    /// comes out of the end that is given back.
    ///
    /// # Errors
    ///
    /// Where the system does not let the socket be watched.
    pub fn serve(&mut self) -> io::Result<Receiver<Request>> {
        let (requests, asked) = channel(MAX_CLIENTS);
        if let Some(listener) = self.listener.take() {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            let accept = move |context: &mut Context<'_>| listener.poll_accept(context).map_ok(|(stream, _)| stream);
            let serve = move |stream, permit| listen_to(Client { stream, permit }, requests.clone());
            self.acceptor = Some(task::spawn(task::serve_clients("control socket", MAX_CLIENTS, accept, serve)));
        }
        Ok(asked)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A daemon that took this one's place has put its own there.
        let ours = FileId::at(&self.path).is_ok_and(|there| there == self.id);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            debug!(path = %self.path.display(), %error, "the control socket stays");
        }
    }
}

/// Connects to the socket of a daemon. Each step takes no longer than `patience`, this
/// one too: a daemon that is stopped takes nobody in, and only a few can wait for it.
///
/// # Errors
///
/// [`ErrorKind::WouldBlock`] where it takes longer, and what else the system refuses.
pub fn connect(path: &Path, patience: Duration) -> io::Result<StdStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Whether somebody answers at this socket.
fn is_alive(path: &Path) -> bool {
    match connect(path, CONNECTING) {
        Ok(_) => true,
        // Others (no right to connect, too many wait) tell of one who is there.
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
    }
}

/// A socket that listens under a name of its own, then takes the place of `path`:
/// nobody sees one that is not ready, or finds none in between.
fn listen(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, FileId)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file gets the mode of the socket, less the umask; so it is never more.
    File::from(OwnedFd::from(socket.try_clone()?)).set_permissions(Permissions::from_mode(0o600))?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let listening = socket.listen(BACKLOG).and_then(|()| {
        let id = FileId::at(&beside)?;
        fs::rename(&beside, path)?;
        Ok(id)
    });
    let id = listening.inspect_err(|_| drop(fs::remove_file(&beside)))?;
    Ok((OwnedFd::from(socket).into(), id))
}

/// Reads one client's line and hands it on.
async fn listen_to(client: Client, requests: Sender<Request>) {
    let line = match timeout(ASKING, read_line(&client.stream)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return client.answer(format!("error: {error}\n").into_bytes()),
        Err(_) => return client.answer(b"error: no request came\n".to_vec()),
    };
    match Verb::parse(&line) {
        // A full queue means that the daemon is ending.
        Some(verb) => drop(requests.try_send(Request { verb, client })),
        None => client.answer(b"error: unknown request; known are: status, status json, takeover\n".to_vec()),
    }
}

/// The one line that a client sends, without its end.
async fn read_line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(MAX_LINE);
    loop {
        stream.readable().await?;
        let mut buffer = [0; 4 * MAX_LINE];
        let length = match stream.try_read(&mut buffer) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the line has no end")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        line.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let end = line.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(line.len()) > MAX_LINE {
            return Err(io::Error::new(ErrorKind::InvalidData, "the line is too long"));
        }
        match end {
            Some(end) if end + 1 == line.len() => {
                line.truncate(end);
                return Ok(line);
            }
            Some(_) => return Err(io::Error::new(ErrorKind::InvalidData, "more than one line")),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
