//! What can be seen of the table from outside: calls, and how near the limits are.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::command::{SessionId, StreamId, Wish};
use crate::family::{Family, PerFamily};

/// One session, as the signalling knows it. What its packets say is known to
/// the threads that relay its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// The session.
    pub session: SessionId,
    /// Its Call-ID, as far as the log shows it.
    pub call_id: Box<[u8]>,
    /// The side that called.
    pub caller: Family,
    /// Each side's party, by the address of its SIP.
    pub parties: PerFamily<Option<SocketAddr>>,
    /// How far the call is.
    pub state: CallState,
    /// For how long it has been known.
    pub age: Duration,
    /// What each side's party last said of its media.
    pub wishes: PerFamily<Wish>,
    /// Its streams with sockets of ours.
    pub streams: Vec<StreamView>,
}

/// One stream with sockets of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// The stream.
    pub stream: StreamId,
    /// Its RTP port on each side.
    pub ports: PerFamily<u16>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// Nothing came back for its INVITE yet.
    Trying,
    /// A provisional response came.
    Ringing,
    /// It was answered.
    Answered,
    /// It was answered and is on hold.
    Held,
}

/// How near the limits are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitView {
    /// Calls, and how many there may be.
    pub calls: Nearness,
    /// Calls of that unknown source which has the most, and how many one may have.
    pub calls_of_one_source: Nearness,
    /// Calls of all unknown sources together.
    pub calls_of_strangers: Nearness,
    /// Streams of all unknown sources together.
    pub streams_of_strangers: Nearness,
}

/// How much there is, and how much there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nearness {
    /// So much there is.
    pub now: usize,
    /// So much there may be.
    pub most: usize,
}
