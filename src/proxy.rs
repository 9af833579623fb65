//! The daemon without sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::family::Family;
use crate::media::command::{Command, SessionId};

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Which of our sockets it came in on.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message in `out` is to be sent.
    Send {
        /// From this socket of ours.
        from: SocketAddr,
        /// To this address; it may be a socket of ours again, and is then
        /// handled at once instead of being sent.
        to: SocketAddr,
        /// Why it is an answer of our own; `None`: forwarded.
        refused: Option<Reason>,
    },
    /// Nothing is sent.
    Drop(Reason),
}

/// Why a message was refused or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// CRLF, zero bytes or STUN (RFC 5626 §3.5.1).
    #[error("keep-alive")]
    KeepAlive,
}

/// The whole daemon, as a function of datagrams and time. Time is counted from
/// the start of the daemon.
#[derive(Debug)]
pub struct Proxy {
    config: Arc<Config>,
}

#[allow(unused_variables)]
impl Proxy {
    /// A proxy without any call.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// The addresses of a side's uplink, where that is a host name.
    pub fn set_uplink(&mut self, side: Family, addresses: Vec<IpAddr>) {}

    /// The addresses of this machine, beside those of the configuration.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>) {}

    /// Handles one datagram; what is to be sent is written into `out`, which is
    /// cleared first. Commands that come of it are to be carried out before.
    pub fn handle(&mut self, now: Duration, datagram: &Datagram<'_>, out: &mut Vec<u8>) -> Outcome {
        Outcome::Drop(Reason::KeepAlive)
    }

    /// A port that [`Command::Open`] asked for cannot be bound. `true`: another
    /// one was chosen; handle the same datagram again.
    pub fn port_taken(&mut self, now: Duration, side: Family, port: u16) -> bool {
        false
    }

    /// When a packet of a session last came: the answer to [`Command::Query`].
    pub fn heard(&mut self, now: Duration, session: SessionId, last: Option<Duration>) {}

    /// What the shell is to do next.
    pub fn next_command(&mut self) -> Option<Command> {
        None
    }

    /// When [`Proxy::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now: Duration) {}

    /// How many media sessions there are.
    pub fn sessions(&self) -> usize {
        0
    }
}
