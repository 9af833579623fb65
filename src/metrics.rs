//! `--metrics`: a small web server for those who look.
//!
//! | path | what |
//! |------|------|
//! | `/` | one page that shows what the proxy does, live |
//! | `/metrics` | figures for Prometheus |
//! | `/status.json` | the [`Snapshot`], as `sipproxy64 status --json` prints it |
//! | `/ladders.json`, `/ladder/N.json` | the last messages, see [`ladder`] |
//!
//! It answers GET and nothing else. Who a message is for and what it says is
//! private, so it listens on a loopback address, or where `public:` says that
//! more is meant. A web page of somebody else cannot read it through a browser:
//! nothing allows other origins, and a `Host` that is a name somebody chose is
//! refused (DNS rebinding). Clients are few at a time, requests short, and each
//! has seconds; those who ask nothing make way for others.

mod arrivals;
mod exposition;
mod http;
pub mod ladder;
mod page;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::str::FromStr;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use self::arrivals::Arrivals;
use self::http::{Reply, Request};
use self::ladder::Ladders;
use crate::config::Name;
use crate::observer::{Observer, Sink};
use crate::status::Snapshot;
use crate::status::gather::Asking;
use crate::task;

/// Clients that may be about to ask at once: of more, the one that came first gives way.
const MAX_ASKERS: usize = 16;
/// Clients that are there at once; more of them wait for their turn.
const MAX_CLIENTS: usize = 2 * MAX_ASKERS;
/// Clients that may wait to be taken in by the system.
const BACKLOG: i32 = 128;
/// How long a client may take for its request.
const ASKING: Duration = Duration::from_secs(5);
/// How long a client may take to read its answer.
const ANSWERING: Duration = Duration::from_secs(10);
/// How long the daemon may take for a snapshot.
const GATHERING: Duration = Duration::from_secs(5);

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The address and port.
    pub address: SocketAddr,
}

/// Why a value of `--metrics` does not do. Each text says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerAddressError {
    /// It is no address.
    #[error("write a numeric address and a port, as in 127.0.0.1:9064 or [::1]:9064")]
    Form,
    /// Others could reach it.
    #[error(
        "everybody who reaches this address would see who calls whom; take 127.0.0.1 or [::1], or write public:{0} \
         if that is meant"
    )]
    NotLoopback(SocketAddr),
}

impl FromStr for ServerAddress {
    type Err = ServerAddressError;

    fn from_str(text: &str) -> Result<Self, ServerAddressError> {
        let (public, address) = text.strip_prefix("public:").map_or((false, text), |address| (true, address));
        let address: SocketAddr = address.parse().map_err(|_| ServerAddressError::Form)?;
        match address.ip().to_canonical().is_loopback() || public {
            true => Ok(Self { address }),
            false => Err(ServerAddressError::NotLoopback(address)),
        }
    }
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("--metrics {address}: {error}; is it taken, or not on an interface?")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

/// The server, bound and not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    ladders: Ladders,
}

/// The server, serving.
#[derive(Debug)]
pub struct Serving {
    /// Who wants a snapshot.
    pub asked: Receiver<Asking>,
    /// Takes clients in, and has the address until it ends.
    pub listening: JoinHandle<()>,
}

impl Server {
    /// Binds the address. It needs no tokio runtime yet, so that it can be done
    /// before rights are dropped. `shared`: with the process that this one takes
    /// over from.
    ///
    /// # Errors
    ///
    /// The address cannot be had.
    pub fn bind(address: ServerAddress, shared: bool) -> Result<Self, BindError> {
        let ServerAddress { address } = address;
        let listener = listen(address, shared).map_err(|error| BindError { address, error })?;
        Ok(Self { listener, ladders: Ladders::default() })
    }

    /// Who keeps the last messages for it: to be shown all.
    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.ladders.clone())
    }

    /// Serves from now on; a tokio runtime must be there. `names` are hosts of
    /// ours beside numeric ones; `observer` tells what was lost to captures. Who wants
    /// a snapshot comes out of the end that is given back.
    ///
    /// # Errors
    ///
    /// Where the system does not let the socket be watched.
    pub fn serve(self, names: &[Name], observer: Option<Observer>) -> io::Result<Serving> {
        let (asking, asked) = channel(MAX_CLIENTS);
        self.listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(self.listener)?;
        info!(address = %listener.local_addr()?, "metrics");
        let names = names.iter().map(|name| name.host.clone()).collect();
        let site = Arc::new(Site { names, asking, ladders: self.ladders, observer, arrivals: Arrivals::default() });
        let accept = move |context: &mut Context<'_>| listener.poll_accept(context).map_ok(|(stream, _)| stream);
        let serve = move |stream, permit| serve(stream, site.arrivals.add(), Arc::clone(&site), permit);
        let listening = task::spawn(task::serve_clients("metrics", MAX_CLIENTS, accept, serve));
        Ok(Serving { asked, listening })
    }
}

/// Another program that has the address is noticed, but for the process of the
/// same user that this one takes the place of: only then is it shared from the
/// beginning (SO_REUSEPORT, socket(7)).
fn listen(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // As the standard library has it: connections of before are in nobody's way.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// What all clients are shown.
#[derive(Debug)]
struct Site {
    names: Vec<String>,
    asking: Sender<Asking>,
    ladders: Ladders,
    observer: Option<Observer>,
    arrivals: Arrivals,
}

/// One request, one answer.
async fn serve(mut stream: TcpStream, number: usize, site: Arc<Site>, _permit: OwnedSemaphorePermit) {
    let asked = tokio::select! {
        biased;
        head = timeout(ASKING, http::read_head(&stream)) => head,
        () = site.arrivals.behind(number, MAX_ASKERS) => return,
    };
    let Ok(Ok(head)) = asked else { return };
    let reply = match Request::parse(&head, &site.names) {
        Ok(request) => site.answer(request).await,
        Err(refusal) => refusal,
    };
    if timeout(ANSWERING, http::write(&mut stream, &reply)).await.is_err() {
        debug!("a client of --metrics did not read its answer");
    }
}

impl Site {
    async fn answer(&self, request: Request<'_>) -> Reply {
        match request.path {
            "/" => page::page(),
            "/metrics" => match self.snapshot().await {
                Some(snapshot) => {
                    let lost = self.observer.as_ref().map_or(0, Observer::lost);
                    Reply::new("text/plain; version=0.0.4; charset=utf-8", exposition::write(&snapshot, lost).into())
                }
                None => Reply::unavailable(),
            },
            "/status.json" => match self.snapshot().await {
                Some(snapshot) => Reply::json(snapshot.json()),
                None => Reply::unavailable(),
            },
            "/ladders.json" => Reply::json(self.ladders.overview()),
            path => {
                let number = path.strip_prefix("/ladder/").and_then(|name| name.strip_suffix(".json"));
                let ladder = number.and_then(|number| self.ladders.ladder(number.parse().ok()?));
                ladder.map_or_else(Reply::not_found, Reply::json)
            }
        }
    }

    async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let (asking, gathered) = oneshot::channel();
        self.asking.try_send(asking).ok()?;
        timeout(GATHERING, gathered).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_opens_it_to_others() {
        let read = |text: &str| text.parse::<ServerAddress>().map(|read| read.address.to_string());
        assert_eq!(read("127.0.0.1:9064").as_deref(), Ok("127.0.0.1:9064"));
        assert_eq!(read("[::1]:9064").as_deref(), Ok("[::1]:9064"));
        assert_eq!(read("public:0.0.0.0:9064").as_deref(), Ok("0.0.0.0:9064"));
        for text in ["0.0.0.0:9064", "192.0.2.1:9064", "[::]:9064", "[2001:db8::1]:9064"] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(&format!("write public:{text}")), "{said}");
        }
        for text in ["9064", "127.0.0.1", "localhost:9064", "public:9064", "::1:9064", ""] {
            assert_eq!(read(text), Err(ServerAddressError::Form), "{text}");
        }
    }
}
