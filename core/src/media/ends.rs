//! Which session a message belongs to.
//!
//! A session joins two *ends*, each a tag on a side, of one Call-ID. A message
//! belongs to the session that has its sender's tag on the arriving side, else
//! to the one that has the other party's tag on the leaving side. The two
//! passes of a hairpin have the same Call-ID and tags, but the sides swapped.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::SessionId;
use super::table::Signal;
use crate::config::Key;
use crate::family::Family;
use crate::sip::method::Method;
use crate::siphash::SipHash;

/// How long what belonged to a dialog may still come when a BYE has ended it: so long a
/// 200 is sent again (RFC 3261 §13.3.1.4, 64 times T1).
pub const LATE: Duration = Duration::from_secs(32);

/// How many dialogs that a BYE ended are remembered.
const MAX_HUNG_UP: usize = 1024;

/// A tag on a side of a Call-ID, as a keyed hash: nobody can make two that
/// collide, and none costs more memory than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End(u128);

/// The ends that one message names.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Call-ID alone.
    pub call: u128,
    /// The sender on the arriving side; `None` in a response without To-tag.
    pub sender: Option<End>,
    /// The other party on the leaving side; `None` in a request without To-tag.
    pub other: Option<End>,
}

/// All ends of all sessions.
#[derive(Debug)]
pub struct Ends {
    key: Key,
    sessions: HashMap<End, SessionId, BuildHasherDefault<OwnBits>>,
    /// The callees of dialogs that a BYE ended, and when, oldest first.
    hung_up: VecDeque<(Duration, End)>,
}

/// The hash of an [`End`], which is one already: no second one is needed.
#[derive(Clone, Copy, Debug, Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Ends {
    /// None yet.
    pub fn new(key: Key) -> Self {
        Self { key, sessions: HashMap::default(), hung_up: VecDeque::new() }
    }

    /// The key of the hashes.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The ends of a message. From has a tag always; where an old one has none
    /// (RFC 2543), that stands for a tag.
    pub fn name(&self, signal: &Signal<'_>) -> Named {
        let mut call = SipHash::new128(&self.key);
        call.word(signal.call_id.len() as u64);
        call.bytes(signal.call_id);
        let end = |side: Family, tag: &[u8]| {
            let mut end = call;
            end.byte(side as u8);
            end.bytes(tag);
            End(end.finish128())
        };
        let (arriving, leaving) = (signal.arrival, signal.arrival.other());
        let from = signal.from_tag.unwrap_or_default();
        let to = match signal.method {
            // The callee of RFC 2543 has no tag where a dialog has one.
            Method::Bye => Some(signal.to_tag.unwrap_or_default()),
            Method::Invite if matches!(signal.status, Some(200..=299)) => Some(signal.to_tag.unwrap_or_default()),
            _ => signal.to_tag,
        };
        let (sender, other) = match signal.status {
            None => (Some(end(arriving, from)), to.map(|tag| end(leaving, tag))),
            Some(_) => (to.map(|tag| end(arriving, tag)), Some(end(leaving, from))),
        };
        Named { call: call.finish128(), sender, other }
    }

    /// The session that a message belongs to.
    pub fn find(&self, named: &Named) -> Option<SessionId> {
        let find = |end: Option<End>| self.sessions.get(&end?).copied();
        find(named.sender).or_else(|| find(named.other))
    }

    /// Makes an end one of a session's; `false`: it is somebody's already.
    pub fn insert(&mut self, end: End, session: SessionId) -> bool {
        let vacant = !self.sessions.contains_key(&end);
        if vacant {
            self.sessions.insert(end, session);
        }
        vacant
    }

    /// Forgets an end.
    pub fn remove(&mut self, end: End) {
        self.sessions.remove(&end);
    }

    /// A BYE ended the dialog with this callee.
    pub fn hang_up(&mut self, now: Duration, callee: End) {
        if self.hung_up.len() >= MAX_HUNG_UP {
            self.hung_up.pop_front();
        }
        self.hung_up.push_back((now, callee));
    }

    /// Whether a message is of a dialog that a BYE has just ended.
    pub fn is_late(&self, now: Duration, named: &Named) -> bool {
        let recent = self.hung_up.iter().rev().take_while(|(then, _)| now.saturating_sub(*then) < LATE);
        recent.into_iter().any(|&(_, callee)| [named.sender, named.other].contains(&Some(callee)))
    }

    /// Whether no session is left.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}
