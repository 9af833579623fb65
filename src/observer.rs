//! Who looks at messages as they cross.
//!
//! Each SIP thread shows an [`Observer`], if there is one, what came in and what
//! became of it. Showing copies what is needed into a bounded channel and never
//! waits; files and the network are another thread's business.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::proxy::Reason;

/// A datagram and what became of it. A message that came back to ourselves is
/// shown once for each pass.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    /// When it came in.
    pub at: SystemTime,
    /// Which of our sockets it came in on.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// What it holds.
    pub received: &'a [u8],
    /// What became of it.
    pub fate: Fate<'a>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// A message was sent.
    Sent {
        /// From this socket of ours.
        from: SocketAddr,
        /// To this address.
        to: SocketAddr,
        /// What it holds.
        bytes: &'a [u8],
        /// Why it is an answer of our own; `None`: forwarded.
        refused: Option<Reason>,
    },
    /// Nothing was sent.
    Dropped(Reason),
}

/// The end of the channel that SIP threads hold.
#[derive(Clone, Debug)]
pub struct Observer(());

impl Observer {
    /// Shows a datagram. Called for each one: it must be cheap and never wait.
    pub fn message(&self, _crossed: &Crossed<'_>) {}
}
