//! What the handle tells a relay thread.

use std::fmt;

use tokio::sync::mpsc::UnboundedSender;

use super::figures::SessionFigures;
use super::handover::DetachedSession;
use super::relayed::Relayed;
use super::slab::Key;
use super::sockets::OpenPair;
use crate::family::Family;
use crate::media::command::{LegDescription, Obituary, SessionId};

/// One order; they are carried out in turn.
#[derive(Debug)]
pub(super) enum Order {
    /// Relay this stream. It is made ready, and its sockets are watched already, where
    /// the order is given, and stays where it is.
    Open(Key, Box<Relayed>),
    /// Relay it with these sockets on its other side too.
    OpenRest { key: Key, side: Family, sockets: OpenPair },
    /// A leg is described anew.
    Describe { key: Key, side: Family, leg: LegDescription },
    /// Say when the session was last heard.
    Query { session: SessionId },
    /// End one stream.
    CloseStream { key: Key },
    /// End all streams of a session.
    Close { session: SessionId, obituary: Box<Obituary> },
    /// Tell what was counted so far.
    Snapshot(Answer<SessionFigures>),
    /// Give all sessions out.
    Detach(Answer<DetachedSession>),
    /// Relay a session that was given out, its streams under these keys.
    Attach(Box<DetachedSession>, Vec<Key>),
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
