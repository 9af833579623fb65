//! What the handle tells a relay thread.

use std::fmt;

use tokio::sync::mpsc::UnboundedSender;

use super::figures::SessionFigures;
use super::handover::DetachedSession;
use super::relayed::Relayed;
use super::sockets::OpenPair;
use crate::family::Family;
use crate::media::command::{LegDescription, Obituary, SessionId, StreamId};

/// One order; they are carried out in turn.
#[derive(Debug)]
pub(super) enum Order {
    /// Relay this stream. It is made ready where the order is given, and stays where
    /// it is.
    Open(Box<Relayed>),
    /// Relay it with these sockets on its other side too.
    OpenRest { stream: StreamId, side: Family, sockets: OpenPair },
    /// A leg is described anew.
    Describe { stream: StreamId, side: Family, leg: LegDescription },
    /// Say when the session was last heard.
    Query { session: SessionId },
    /// End one stream.
    CloseStream { stream: StreamId },
    /// End all streams of a session.
    Close { session: SessionId, obituary: Box<Obituary> },
    /// Tell what was counted so far.
    Snapshot(Answer<SessionFigures>),
    /// Give all sessions out.
    Detach(Answer<DetachedSession>),
    /// Relay a session that was given out.
    Attach(Box<DetachedSession>),
}

/// Where the answer of one thread goes, which the answers of all the others join.
pub(super) struct Answer<T>(pub(super) UnboundedSender<Vec<T>>);

impl<T> Answer<T> {
    /// Nobody listens any more, where it fails.
    pub(super) fn give(self, answer: Vec<T>) -> Result<(), Vec<T>> {
        self.0.send(answer).map_err(|refused| refused.0)
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}
