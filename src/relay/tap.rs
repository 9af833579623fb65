//! A look at the packets that pass, for who records them.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::media::command::{SessionId, StreamId};
use crate::media::stream::Component;

/// A packet that came to a media port, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// When.
    pub at: SystemTime,
    /// The session of the port.
    pub session: SessionId,
    /// Its stream.
    pub stream: StreamId,
    /// Which port of the pair.
    pub component: Component,
    /// Who sent it.
    pub from: SocketAddr,
    /// The port of ours that it came to.
    pub arrived: SocketAddr,
    /// The port of ours that it left from, and where it went; `None`: the latch
    /// refused it, or nobody is known to want it.
    pub sent: Option<(SocketAddr, SocketAddr)>,
    /// The UDP payload.
    pub bytes: &'a [u8],
}

/// Who is shown each packet, by the thread that relays it: so it must neither
/// wait nor fail. To hand a copy to a bounded channel, and to count what that
/// has no room for, is all that it should do.
pub trait Tap: fmt::Debug + Send + Sync {
    /// One packet.
    fn packet(&self, passage: Passage<'_>);
}
