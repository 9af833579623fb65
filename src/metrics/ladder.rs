//! The last messages of each call, as they came and as they left.
//!
//! The observer shows every message; those of the last calls are kept in bounded
//! room: so many calls, so many messages of each, so many octets. Whoever asks for
//! them gets them with their secrets blanked; until then no more is done than to
//! keep them. Where room is wanted, Call-IDs of which nothing was forwarded go
//! first, so that a stranger's noise does not push out what people look for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::diff::{self, Line};
use crate::escaped::Escaped;
use crate::glance::{call_id, start_line};
use crate::observer::{Crossed, Fate, Sink};
use crate::reason::Reason;
use crate::redact::redacted;
use crate::task::lock;

/// Messages a second of which copies are made: more than anybody can read, and
/// what a call costs does not double under load.
const MAX_A_SECOND: u32 = 500;
/// Call-IDs that are kept.
const MAX_CALLS: usize = 200;
/// Messages kept of each; of more, the first ones stay and the last ones.
const MAX_MESSAGES: usize = 64;
/// Of these, from the beginning of the call.
const FIRST_MESSAGES: usize = 16;
/// Octets kept of each message, on each side.
const MAX_MESSAGE: usize = 8192;
/// Octets kept of all.
const MAX_OCTETS: usize = 4 << 20;
/// Octets of a Call-ID by which it is known.
const MAX_CALL_ID: usize = 128;

/// What is kept, shared by the observer's thread and those who look.
#[derive(Clone, Debug, Default)]
pub struct Ladders(Arc<Mutex<Store>>);

#[derive(Debug, Default)]
struct Store {
    /// The one with the latest message last.
    calls: VecDeque<Call>,
    octets: usize,
    last_id: u64,
}

/// The messages of one Call-ID.
#[derive(Debug)]
struct Call {
    id: u64,
    call_id: Box<[u8]>,
    /// Something was forwarded, not only refused or dropped.
    forwarded: bool,
    messages: VecDeque<Kept>,
    /// Between the first messages and the last, so many are gone.
    omitted: u64,
}

/// A message as it came and as it left.
#[derive(Debug)]
struct Kept {
    at: SystemTime,
    /// Who sent it, and our socket it came in on.
    came: (SocketAddr, SocketAddr),
    /// Our socket it left from, and to whom.
    left: Option<(SocketAddr, SocketAddr)>,
    /// Why it was not simply forwarded.
    why: Option<Reason>,
    before: Box<[u8]>,
    after: Box<[u8]>,
}

impl Kept {
    fn new(crossed: &Crossed<'_>) -> Self {
        let cut = |message: &[u8]| -> Box<[u8]> { message.get(..MAX_MESSAGE).unwrap_or(message).into() };
        let (left, why, after) = match crossed.fate {
            Fate::Sent { from, to, message, refused } => (Some((from, to)), refused, message),
            Fate::Dropped(reason) => (None, Some(reason), &[][..]),
        };
        let (at, came) = (crossed.at, (crossed.remote, crossed.local));
        Self { at, came, left, why, before: cut(crossed.received), after: cut(after) }
    }

    fn octets(&self) -> usize {
        size_of::<Self>() + self.before.len() + self.after.len()
    }

    fn is_forwarded(&self) -> bool {
        self.left.is_some() && self.why.is_none()
    }
}

impl Sink for Ladders {
    fn message(&mut self, crossed: &Crossed<'_>) {
        let call_id = call_id(crossed.received);
        if !call_id.is_empty() {
            self.store().keep(call_id.get(..MAX_CALL_ID).unwrap_or(call_id), Kept::new(crossed));
        }
    }

    fn enough(&self) -> Option<u32> {
        Some(MAX_A_SECOND)
    }
}

impl Store {
    fn keep(&mut self, call_id: &[u8], kept: Kept) {
        let mut call = match self.calls.iter().rposition(|call| *call.call_id == *call_id) {
            Some(at) => self.calls.remove(at),
            None => None,
        }
        .unwrap_or_else(|| {
            self.last_id += 1;
            Call { id: self.last_id, call_id: call_id.into(), forwarded: false, messages: VecDeque::new(), omitted: 0 }
        });
        call.forwarded |= kept.is_forwarded();
        self.octets += kept.octets();
        call.messages.push_back(kept);
        if call.messages.len() > MAX_MESSAGES
            && let Some(gone) = call.messages.remove(FIRST_MESSAGES)
        {
            call.omitted += 1;
            self.octets = self.octets.saturating_sub(gone.octets());
        }
        self.calls.push_back(call);
        while self.calls.len() > MAX_CALLS || (self.octets > MAX_OCTETS && self.calls.len() > 1) {
            self.forget();
        }
    }

    /// Makes room: the oldest of which nothing was forwarded, else the oldest.
    fn forget(&mut self) {
        // The last one is the one that room is made for.
        let others = self.calls.len().saturating_sub(1);
        let noise = self.calls.iter().take(others).position(|call| !call.forwarded);
        if let Some(gone) = self.calls.remove(noise.unwrap_or(0)) {
            let octets: usize = gone.messages.iter().map(Kept::octets).sum();
            self.octets = self.octets.saturating_sub(octets);
        }
    }
}

impl Ladders {
    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.0)
    }

    /// All calls, the latest first, as JSON.
    pub(super) fn overview(&self) -> Vec<u8> {
        let store = self.store();
        let calls: Vec<Overview> = store.calls.iter().rev().map(Overview::of).collect();
        serde_json::to_vec(&calls).unwrap_or_default()
    }

    /// The messages of one call, as JSON; `None`: it is not kept.
    pub(super) fn ladder(&self, id: u64) -> Option<Vec<u8>> {
        let store = self.store();
        let call = store.calls.iter().find(|call| call.id == id)?;
        let ladder = Ladder {
            id,
            call_id: Escaped(&call.call_id, MAX_CALL_ID).to_string(),
            first: FIRST_MESSAGES,
            omitted: call.omitted,
            messages: call.messages.iter().map(Message::of).collect(),
        };
        serde_json::to_vec(&ladder).ok()
    }
}

/// A call in the list of all.
#[derive(Serialize)]
struct Overview {
    id: u64,
    call_id: String,
    /// The start-line that came first, and who sent it.
    first: String,
    from: SocketAddr,
    /// The start-line that came last.
    last: String,
    /// When that was, in seconds since 1970.
    at: f64,
    messages: u64,
    forwarded: bool,
}

impl Overview {
    fn of(call: &Call) -> Self {
        let (first, last) = (call.messages.front(), call.messages.back());
        let start =
            |kept: Option<&Kept>| kept.map_or_else(String::new, |kept| text(&redacted(start_line(&kept.before))));
        Self {
            id: call.id,
            call_id: Escaped(&call.call_id, MAX_CALL_ID).to_string(),
            first: start(first),
            from: first.map_or(([0; 4], 0).into(), |kept| kept.came.0),
            last: start(last),
            at: last.map_or(0.0, |kept| seconds(kept.at)),
            messages: call.omitted.saturating_add(call.messages.len() as u64),
            forwarded: call.forwarded,
        }
    }
}

#[derive(Serialize)]
struct Ladder {
    id: u64,
    call_id: String,
    /// Behind so many messages, so many are omitted.
    first: usize,
    omitted: u64,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    at: f64,
    /// Who sent it, and our socket it came in on.
    came: [SocketAddr; 2],
    /// Our socket it left from, and to whom; null: it did not.
    left: Option<[SocketAddr; 2]>,
    why: Option<String>,
    /// The start-lines as it came and as it left.
    starts: [String; 2],
    /// Its lines: `=` stayed, `-` came, `+` left.
    lines: Vec<(char, String)>,
}

impl Message {
    fn of(kept: &Kept) -> Self {
        // Of an answer of our own, and of what was dropped, nothing was changed.
        let forwarded = kept.is_forwarded();
        let (before, after) = (redacted(&kept.before), redacted(&kept.after));
        let lines = if forwarded {
            diff::lines(&before, &after)
        } else {
            let came = diff::lines(&before, &before);
            let left = diff::lines(&[], &after);
            came.into_iter().chain(left).collect()
        };
        Self {
            at: seconds(kept.at),
            came: kept.came.into(),
            left: kept.left.map(Into::into),
            why: kept.why.map(|why| why.to_string()),
            starts: [text(start_line(&before)), text(start_line(&after))],
            lines: lines
                .into_iter()
                .map(|line| match line {
                    Line::Same(line) if forwarded => ('=', text(line)),
                    Line::Same(line) | Line::Gone(line) => ('-', text(line)),
                    Line::New(line) => ('+', text(line)),
                })
                .collect(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn message(call_id: &str, start: &str, more: &str) -> Vec<u8> {
        format!("{start}\r\nVia: x\r\nCall-ID: {call_id}\r\n{more}\r\n").into_bytes()
    }

    fn show(ladders: &mut Ladders, received: &[u8], sent: Option<&[u8]>) {
        let fate = match sent {
            Some(message) => {
                Fate::Sent { from: at("192.0.2.1:5060"), to: at("192.0.2.101:5060"), message, refused: None }
            }
            None => Fate::Dropped(Reason::ForeignResponse),
        };
        let (local, remote) = (at("[2001:db8::1]:5060"), at("[2001:db8:9::55]:5062"));
        ladders.message(&Crossed { at: UNIX_EPOCH, local, remote, received, fate });
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_message_is_shown_as_it_came_and_as_it_left() {
        let mut ladders = Ladders::default();
        let came = message("c1", "INVITE sip:a SIP/2.0", "Authorization: Digest response=\"SECRET\"\r\n");
        let left = message("c1", "INVITE sip:b SIP/2.0", "Authorization: Digest response=\"SECRET\"\r\n");
        show(&mut ladders, &came, Some(&left));
        let overview = json(&ladders.overview());
        assert_eq!((&overview[0]["call_id"], &overview[0]["first"]), (&"c1".into(), &"INVITE sip:a SIP/2.0".into()));
        let ladder = ladders.ladder(overview[0]["id"].as_u64().unwrap()).unwrap();
        assert!(!String::from_utf8_lossy(&ladder).contains("SECRET"));
        let ladder = json(&ladder);
        let shown = &ladder["messages"][0];
        assert_eq!(shown["came"], serde_json::json!(["[2001:db8:9::55]:5062", "[2001:db8::1]:5060"]));
        let lines = shown["lines"].as_array().unwrap();
        assert_eq!(lines[0], serde_json::json!(["-", "INVITE sip:a SIP/2.0"]));
        assert_eq!(lines[1], serde_json::json!(["+", "INVITE sip:b SIP/2.0"]));
        assert_eq!(lines[2], serde_json::json!(["=", "Via: x"]));
        assert_eq!(ladders.ladder(99), None);
    }

    #[test]
    fn a_strangers_noise_takes_no_more_than_its_room_and_pushes_no_call_out() {
        let mut ladders = Ladders::default();
        let call = message("call", "INVITE sip:a SIP/2.0", "");
        show(&mut ladders, &call, Some(&call));
        for number in 0..5000 {
            show(
                &mut ladders,
                &message(&format!("noise {number}"), "OPTIONS sip:a SIP/2.0", &"x".repeat(60_000)),
                None,
            );
        }
        let store = ladders.store();
        assert!(store.calls.len() <= MAX_CALLS && store.octets <= MAX_OCTETS, "{} {}", store.calls.len(), store.octets);
        let kept: usize = store.calls.iter().flat_map(|call| &call.messages).map(Kept::octets).sum();
        assert_eq!(kept, store.octets);
        assert!(store.calls.iter().any(|call| *call.call_id == *b"call"));
    }

    #[test]
    fn of_a_long_call_the_beginning_and_the_end_stay() {
        let mut ladders = Ladders::default();
        for number in 0..200 {
            let message = message("long", &format!("OPTIONS sip:{number} SIP/2.0"), "");
            show(&mut ladders, &message, Some(&message));
        }
        let ladder = json(&ladders.ladder(1).unwrap());
        let messages = ladder["messages"].as_array().unwrap();
        assert_eq!((messages.len(), &ladder["omitted"]), (MAX_MESSAGES, &136.into()));
        assert_eq!(messages[FIRST_MESSAGES - 1]["starts"][0], format!("OPTIONS sip:{} SIP/2.0", FIRST_MESSAGES - 1));
        assert_eq!(messages[MAX_MESSAGES - 1]["starts"][0], "OPTIONS sip:199 SIP/2.0");
    }

    #[test]
    fn what_is_no_sip_is_not_kept() {
        let mut ladders = Ladders::default();
        show(&mut ladders, b"\r\n\r\n", None);
        show(&mut ladders, &[0xff; 1000], None);
        assert_eq!(json(&ladders.overview()), serde_json::json!([]));
    }
}
