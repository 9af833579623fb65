//! What a session description asks of the relay, and what it gets.
//!
//! These values pass between the rewriter, which reads and writes SDP, and the
//! media table, which owns sessions and ports; neither knows the other.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// How many streams of one description, and of a session, are relayed at most. Those
/// behind are not asked for and leave with port 0.
pub const MAX_STREAMS: usize = 64;

/// One `m=` line, as far as the relay cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The address of its `c=` line (canonical: an IPv4-mapped one is IPv4).
    /// `None` where that is a host name: whoever is learned.
    pub address: Option<IpAddr>,
    /// The port of the `m=` line; 0 where the stream is refused or removed.
    pub port: u16,
    /// Where RTCP is wanted if `a=rtcp` says so (RFC 3605), address included.
    pub rtcp: Option<SocketAddr>,
    /// What travels in the stream.
    pub transport: Transport,
    /// The description holds the stream back: `a=sendonly`, `a=inactive`, or
    /// the unspecified address of RFC 2543.
    pub held: bool,
}

/// What travels in a stream, by the proto field of its `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// RTP with its RTCP (`RTP/AVP`, `RTP/SAVP`, `UDP/TLS/RTP/SAVPF`, ...).
    Rtp,
    /// T.38 over UDP (`udptl`).
    Udptl,
    /// Other UDP without RTCP (`UDP/BFCP`, ...).
    Udp,
    /// What a UDP relay cannot carry: TCP media, multicast.
    NotRelayable,
}

/// What the media table says of one `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It is relayed: in the outgoing family our address and this even port
    /// stand in the description.
    Relayed {
        /// The RTP port; RTCP is next to it.
        port: u16,
    },
    /// Its address is in the outgoing family already: it passes as it is.
    Untouched,
    /// Port 0 toward the other side.
    Refused,
}
