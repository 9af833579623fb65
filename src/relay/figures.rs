//! What the relay has counted.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::family::PerFamily;
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::Report;

/// All streams of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionFigures {
    /// The session.
    pub session: SessionId,
    /// The streams that are relayed.
    pub streams: Vec<StreamFigures>,
    /// Those that were closed while the session went on.
    pub closed: Vec<StreamFigures>,
}

/// What one stream has counted: for the line at the end, or when somebody looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFigures {
    /// The stream.
    pub stream: StreamId,
    /// Our RTP port on each side.
    pub ports: PerFamily<Option<SocketAddr>>,
    /// What each side's leg has seen.
    pub legs: PerFamily<Report>,
    /// What did not get to each side's party.
    pub failures: PerFamily<Failures>,
}

/// Packets to one party that did not get there, as far as this system is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// ICMP errors ("port unreachable" and the like) that came back.
    pub unreachable: u64,
    /// Where the packet of the last of them went.
    pub last_unreachable: Option<SocketAddr>,
    /// Packets that this system did not take for sending.
    pub unsent: u64,
    /// Where the last of these should have gone, and the error number (errno(3)).
    pub last_unsent: Option<(SocketAddr, i32)>,
}

impl Failures {
    /// Counts a packet that this system did not take.
    #[cold]
    pub(super) fn not_sent(&mut self, to: SocketAddr, error: &io::Error) {
        self.unsent = self.unsent.saturating_add(1);
        self.last_unsent = Some((to, error.raw_os_error().unwrap_or(0)));
    }
}
