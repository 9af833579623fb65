//! One proxy with a state of its own: the whole daemon as a function.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{Datagram, Memory, Outcome, Proxy};
use crate::address::Directory;
use crate::config::Config;
use crate::family::Family;
use crate::media::command::{Command, SessionId};

/// A [`Proxy`] with its [`Memory`]: for test mode, tests and fuzzing.
///
/// Whoever carries out the commands may find a port taken: after
/// [`Standalone::port_taken`] the same datagram is handled again and gives the
/// message anew, with another port.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sipproxy64_core::{config::Config, proxy::{Datagram, Outcome, Reason, Standalone}};
/// let config = Config::new("192.0.2.1:5060".parse()?, "[2001:db8::1]:5060".parse()?);
/// let mut proxy = Standalone::new(Arc::new(config));
/// let datagram = Datagram { local: "192.0.2.1:5060".parse()?, remote: "192.0.2.9:5060".parse()?, bytes: b"\r\n\r\n" };
/// let mut out = Vec::new();
/// assert_eq!(proxy.handle(Duration::ZERO, &datagram, &mut out), Outcome::Drop(Reason::KeepAlive));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Standalone {
    proxy: Proxy,
    memory: Memory,
}

impl Standalone {
    /// A proxy without any call.
    pub fn new(config: Arc<Config>) -> Self {
        let memory = Memory::new(&config);
        Self { proxy: Proxy::new(Arc::new(Directory::new(config))), memory }
    }

    /// Handles one datagram; see [`Proxy::handle`].
    pub fn handle(&mut self, now: Duration, datagram: &Datagram<'_>, out: &mut Vec<u8>) -> Outcome {
        self.proxy.handle(now, datagram, &mut self.memory, out)
    }

    /// A request could not leave; see [`Proxy::unsent`].
    pub fn unsent(&mut self, now: Duration, sent: &Datagram<'_>, out: &mut Vec<u8>) -> bool {
        self.proxy.unsent(now, sent, &mut self.memory, out)
    }

    /// The addresses of a side's uplink, where that is a host name.
    pub fn set_uplink(&mut self, side: Family, addresses: Vec<IpAddr>) {
        let mut directory = Directory::clone(self.proxy.directory());
        directory.set_uplink(side, addresses);
        self.proxy.set_directory(Arc::new(directory));
    }

    /// Goes by the maps, names and uplinks of another configuration from now on.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.memory.table.reconfigure(&config);
        let directory = self.proxy.directory().reconfigured(config);
        self.proxy.set_directory(Arc::new(directory));
    }

    /// The addresses of this machine, beside those of the configuration.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.memory.table.set_local_addresses(addresses, Vec::new());
    }

    /// A port that [`Command::Open`] asked for cannot be bound. `true`: another
    /// one was chosen; handle the same datagram again.
    pub fn port_taken(&mut self, now: Duration, side: Family, port: u16) -> bool {
        self.memory.table.port_taken(now, side, port)
    }

    /// Media came to a stream that is open on one side only; see [`Command::OpenRest`].
    pub fn open_rest(&mut self, session: SessionId) {
        self.memory.table.open_rest(session);
    }

    /// When a packet of a session last came: the answer to [`Command::Query`].
    pub fn heard(&mut self, now: Duration, session: SessionId, last: Option<Duration>) {
        self.memory.table.heard(now, session, last);
    }

    /// What is to be done next.
    pub fn next_command(&mut self) -> Option<Command> {
        self.memory.table.next_command()
    }

    /// When [`Standalone::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.memory.table.poll_timeout()
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.memory.table.handle_timeout(now);
    }

    /// Whether `endpoint` is one of our sockets: what is sent there comes in again.
    pub fn is_ours(&self, endpoint: SocketAddr) -> bool {
        self.proxy.is_ours(endpoint)
    }

    /// How many media sessions there are.
    pub fn sessions(&self) -> usize {
        self.memory.table.sessions()
    }
}
