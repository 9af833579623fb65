//! What one process tells the next of its calls.
//!
//! A new process that takes over from an old one goes on with every session:
//! [`Table::save`](super::table::Table::save) is what it is told and
//! [`Table::resume`](super::table::Table::resume) what it makes of it. Only facts
//! travel; what can be counted or looked up from them (who has which port, how
//! many calls a stranger has) is counted anew, so that it cannot contradict them,
//! and so that the limits and ports of another configuration may hold.
//!
//! The teller is a process of ours. Yet nothing it says may break this one, so
//! what could is checked, and refused as [`Unfit`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::SessionId;
use super::session::Session;
use super::tags::Over;
use crate::config::Key;
use crate::family::{Family, PerFamily};

/// A table as it is told. Times are those of the clock, which goes on too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The key under which tags and Call-IDs were hashed; its hashes travel, not
    /// the tags themselves.
    pub(super) key: Key,
    pub(super) sessions: Vec<(SessionId, Session)>,
    /// Dialogs that ended.
    pub(super) over: Vec<Over>,
    pub(super) last_session: u64,
    pub(super) last_stream: u64,
    pub(super) set_aside: PerFamily<SetAside>,
}

/// The port pairs of a side that nobody has but that may not be taken, by their
/// even ports, with when they may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// They rest after a call.
    pub resting: Vec<(Duration, u16)>,
    /// Another program was found to have them.
    pub taken: Vec<(Duration, u16)>,
}

/// Why no table can be made of what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A session stands there twice, or is newer than the last one.
    #[error("session {0} stands there twice or out of order")]
    Session(u64),
    /// A session has more of something than any has.
    #[error("session {0} is larger than any can be")]
    TooLarge(u64),
    /// A stream stands there twice, or is newer than the last one.
    #[error("stream {0} stands there twice or out of order")]
    Stream(u64),
    /// Two streams have one port, or one has an odd one.
    #[error("{family} port {port} is odd or has two streams")]
    Port {
        /// The side.
        family: Family,
        /// The RTP port.
        port: u16,
    },
}
