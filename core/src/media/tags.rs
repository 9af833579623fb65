//! Which session a message belongs to.
//!
//! A session joins two parties, each a *tag* on a side, of one Call-ID. A message
//! belongs to the session that has its sender's tag on the arriving side, else
//! to the one that has the other party's tag on the leaving side. The two
//! passes of a hairpin have the same Call-ID and tags, but the sides swapped.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::SessionId;
use super::signal::Signal;
use crate::config::Key;
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;
use crate::siphash::SipHash;

/// How long what belonged to a dialog may still come when it has ended: so long a 200 is
/// sent again (RFC 3261 §13.3.1.4, 64 times T1).
const LATE_PERIOD: Duration = Duration::from_secs(32);

/// How many dialogs that ended are remembered.
const MAX_OVER: usize = 1024;

/// A tag on a side of a Call-ID, as a keyed hash: nobody can make two that
/// collide, and none costs more memory than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tag(u128);

impl Tag {
    /// What stands for the request that begins a session, or whose answer does: its branch
    /// is a keyed hash already.
    pub fn of_branch(branch: u64) -> Self {
        Self(branch.into())
    }
}

/// A Call-ID, as the same keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHash(u128);

/// The tags of one message.
#[derive(Clone, Copy, Debug)]
pub struct MessageTags {
    /// The sender on the arriving side; `None` in a response without To-tag.
    pub sender: Option<Tag>,
    /// The other party on the leaving side; `None` in a request without To-tag.
    pub other: Option<Tag>,
}

/// All tags of all sessions.
#[derive(Debug)]
pub struct Tags {
    key: Key,
    sessions: HashMap<Tag, SessionId, BuildHasherDefault<OwnBits>>,
    /// Dialogs that ended, oldest first.
    over: VecDeque<Over>,
}

/// A dialog that ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Over {
    since: Duration,
    callee: Tag,
    /// The last CSeq of each side that came before its BYE; `None`: its INVITE failed.
    last: Option<PerFamily<Option<u32>>>,
}

/// The hash of an [`Tag`], which is one already: no second one is needed.
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

impl Tags {
    /// None yet.
    pub fn new(key: Key) -> Self {
        Self { key, sessions: HashMap::default(), over: VecDeque::new() }
    }

    /// No session yet, but dialogs that ended: at most so many as another process tells.
    pub fn after(key: Key, over: Vec<Over>) -> Self {
        Self { over: over.into_iter().take(MAX_OVER).collect(), ..Self::new(key) }
    }

    /// The dialogs that ended.
    pub fn over(&self) -> Vec<Over> {
        self.over.iter().copied().collect()
    }

    /// The key of the hashes.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The Call-ID of a message alone, as its tags have it.
    pub fn call(&self, signal: &Signal<'_>) -> CallHash {
        CallHash(self.hash(signal).finish128())
    }

    fn tag(&self, signal: &Signal<'_>, side: Family, tag: &[u8]) -> Tag {
        let mut hash = self.hash(signal);
        hash.byte(side as u8);
        hash.bytes(tag);
        Tag(hash.finish128())
    }

    /// One that has taken in the Call-ID.
    #[inline]
    fn hash(&self, signal: &Signal<'_>) -> SipHash<siphasher::sip128::SipHasher24> {
        let mut call = SipHash::new128(&self.key);
        call.word(signal.call_id.len() as u64);
        call.bytes(signal.call_id);
        call
    }

    /// The tags of a message. From has a tag always; where an old one has none
    /// (RFC 2543), that stands for a tag.
    pub fn of(&self, signal: &Signal<'_>) -> MessageTags {
        let hashed = |side, tag| self.tag(signal, side, tag);
        let (arriving, leaving) = (signal.arrival, signal.arrival.other());
        let from = signal.from_tag.unwrap_or_default();
        let to = match signal.method {
            // The callee of RFC 2543 has no tag where a dialog has one.
            Method::Bye => Some(signal.to_tag.unwrap_or_default()),
            Method::Invite if matches!(signal.status, Some(200..=299)) => Some(signal.to_tag.unwrap_or_default()),
            _ => signal.to_tag,
        };
        let (sender, other) = match signal.status {
            None => (Some(hashed(arriving, from)), to.map(|tag| hashed(leaving, tag))),
            Some(_) => (to.map(|tag| hashed(arriving, tag)), Some(hashed(leaving, from))),
        };
        MessageTags { sender, other }
    }

    /// The session that a message belongs to.
    pub fn find(&self, tags: &MessageTags) -> Option<SessionId> {
        let find = |tag: Option<Tag>| self.sessions.get(&tag?).copied();
        find(tags.sender).or_else(|| find(tags.other))
    }

    /// Whether a tag is some session's.
    pub fn has(&self, tag: Tag) -> bool {
        self.sessions.contains_key(&tag)
    }

    /// Makes a tag one of a session's; `false`: it is somebody's already.
    pub fn insert(&mut self, tag: Tag, session: SessionId) -> bool {
        let vacant = !self.has(tag);
        if vacant {
            self.sessions.insert(tag, session);
        }
        vacant
    }

    /// Forgets a tag.
    pub fn remove(&mut self, tag: Tag) {
        self.sessions.remove(&tag);
    }

    /// `signal` ended the dialog with this callee: a BYE, or the failure of its INVITE.
    /// `last` are the CSeqs of the requests that described media in it last.
    pub fn note_over(&mut self, now: Duration, callee: Tag, signal: &Signal<'_>, mut last: PerFamily<Option<u32>>) {
        if self.over.len() >= MAX_OVER {
            self.over.pop_front();
        }
        last[signal.arrival] = Some(signal.cseq);
        self.over.push_back(Over { since: now, callee, last: Some(last).filter(|_| signal.method == Method::Bye) });
    }

    /// Whether a message is late, of a dialog that has just ended: a response, an ACK, or a
    /// request from before the BYE, or of an INVITE that failed.
    pub fn is_late(&self, now: Duration, signal: &Signal<'_>, tags: &MessageTags) -> bool {
        let asks = signal.status.is_none() && signal.method != Method::Ack;
        let came_before = |last: PerFamily<Option<u32>>| last[signal.arrival].is_some_and(|last| signal.cseq <= last);
        let recent = self.over.iter().rev().take_while(|over| now.saturating_sub(over.since) < LATE_PERIOD);
        let mut of_it = recent.filter(|over| [tags.sender, tags.other].contains(&Some(over.callee)));
        of_it.any(|over| !asks || over.last.is_none_or(came_before))
    }

    /// Whether no session is left.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}
