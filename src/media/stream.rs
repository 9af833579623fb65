//! A stream: one `m=` line, relayed between its two legs.
//!
//! A [`Stream`] is owned by the thread that relays it. It is asked once for
//! each packet, allocates nothing and looks nothing up.

use std::net::SocketAddr;
use std::time::Duration;

use super::command::LegDescription;
use crate::config::LatchMode;
use crate::family::{Family, PerFamily};

/// Which port of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The even one.
    Rtp,
    /// The odd one above it.
    Rtcp,
}

impl Component {
    /// Both components.
    pub const BOTH: [Self; 2] = [Self::Rtp, Self::Rtcp];
}

/// What one leg of a stream has seen, for the log line at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Packets of this leg's party that were let in, RTCP among them.
    pub packets: u64,
    /// Their UDP payload, in octets.
    pub bytes: u64,
    /// RTP packets that never came, by the sequence numbers.
    pub lost: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1), the last value;
    /// `None` where the clock rate is not known.
    pub jitter: Option<f32>,
    /// Packets to this leg that went out.
    pub sent: u64,
    /// Packets to this leg that were held back: its address never answered, or none is known.
    pub withheld: u64,
    /// Packets that the latch refused.
    pub refused: u64,
    /// Where the last of those came from.
    pub last_refused: Option<SocketAddr>,
    /// When the party was last heard.
    pub last_heard: Option<Duration>,
    /// Where its RTP is sent.
    pub destination: Option<SocketAddr>,
}

/// Both legs of one `m=` line.
#[derive(Debug)]
pub struct Stream {
    legs: PerFamily<Report>,
}

#[allow(unused_variables)]
impl Stream {
    /// A stream whose parties are not described yet: nothing passes, except
    /// with [`LatchMode::First`].
    pub fn new(mode: LatchMode) -> Self {
        Self { legs: PerFamily::default() }
    }

    /// The leg on `side` is described anew ([`super::command::Command::Describe`]).
    pub fn describe(&mut self, side: Family, leg: LegDescription) {}

    /// A packet came in on the socket of `component` on `side`. The answer is
    /// where it goes, out of the other side's socket of the same component;
    /// `None`: nowhere.
    pub fn packet(
        &mut self,
        now: Duration,
        side: Family,
        component: Component,
        from: SocketAddr,
        packet: &[u8],
    ) -> Option<SocketAddr> {
        None
    }

    /// When a packet of either party was last let in: for
    /// [`super::command::Command::Query`], the latest of all streams of a session.
    pub fn last_heard(&self) -> Option<Duration> {
        None
    }

    /// What the leg on `side` has seen.
    pub fn report(&self, side: Family) -> Report {
        self.legs[side]
    }
}
