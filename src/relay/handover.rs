//! Streams on their way from one process to another.
//!
//! [`Relay::detach`](super::Relay::detach) gives all sessions of a relay out,
//! [`Relay::attach`](super::Relay::attach) takes one in: in the process that
//! takes over, or in the same one again where the takeover has failed. In
//! between packets wait in the sockets. All times are of the daemon's clock,
//! which the other process lets go on with [`Clock::resume`](crate::clock::Clock::resume).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::figures::{Failures, StreamFigures};
use super::sockets::StreamSockets;
use crate::family::PerFamily;
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::Stream;

/// A session that no thread relays at the moment.
#[derive(Debug)]
pub struct DetachedSession {
    /// All that is known of it.
    pub state: SessionState,
    /// The sockets of each of its streams, in the same order.
    pub sockets: Vec<StreamSockets>,
}

/// What a relay thread knows of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionState {
    /// The session.
    pub session: SessionId,
    /// Its streams.
    pub streams: Vec<StreamState>,
    /// What the streams counted that were closed before.
    pub(super) closed: Vec<StreamFigures>,
    /// When one of those was last heard.
    pub(super) heard: Option<Duration>,
}

/// What a relay thread knows of a stream: its latches, allowance and counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamState {
    /// The stream.
    pub id: StreamId,
    pub(super) stream: Stream,
    pub(super) failures: PerFamily<Failures>,
}
