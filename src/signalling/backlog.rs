//! Datagrams that wait for their turn.
//!
//! While more arrives than is handled, all that waits in the kernel is taken in
//! here, in order. Only so can a request that begins something make way for what
//! belongs to calls that are there: the kernel drops whatever comes when its queue
//! is full. What begins something is dropped when too much waits, the oldest first;
//! its sender has waited longest and will soon try again (RFC 3261 §17.1). Nothing
//! overtakes anything.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::scan::{self, find};

/// So many may wait: a few milliseconds of new calls.
const MAX_WAITING: usize = 256;
/// Buffers larger than this are not kept.
const MAX_BUFFER: usize = 4096;
/// So many bytes may wait.
const MAX_BYTES: usize = MAX_WAITING * MAX_BUFFER;

/// A datagram that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) bytes: Vec<u8>,
    /// Whether it begins something, once that was asked.
    begins: Option<bool>,
}

/// Datagrams that wait, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Waiting>,
    /// The bytes of these.
    bytes: usize,
    room: Vec<Vec<u8>>,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether more may come, after [`Backlog::shed`]: not while all that waits must stay.
    pub(super) fn has_room(&self) -> bool {
        has_room(self.waiting.len(), self.bytes)
    }

    /// One more waits.
    pub(super) fn push(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        let mut bytes = self.room.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        self.bytes += datagram.len();
        self.waiting.push_back(Waiting { local, remote, bytes, begins: None });
    }

    /// Drops the oldest of what begins something until no more waits than may; how
    /// many were dropped.
    pub(super) fn shed(&mut self) -> usize {
        if self.has_room() {
            return 0;
        }
        let Self { waiting, bytes, room } = self;
        let before = waiting.len();
        let mut left = before;
        waiting.retain_mut(|waiting| {
            let stays = has_room(left, *bytes) || !waiting.begins_something();
            if !stays {
                left -= 1;
                *bytes -= waiting.bytes.len();
                keep(room, std::mem::take(&mut waiting.bytes));
            }
            stays
        });
        before - left
    }

    /// The one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.bytes.len();
        Some(first)
    }

    /// It has been handled.
    pub(super) fn give_back(&mut self, Waiting { bytes, .. }: Waiting) {
        keep(&mut self.room, bytes);
    }
}

impl Waiting {
    fn begins_something(&mut self) -> bool {
        *self.begins.get_or_insert_with(|| begins_something(&self.bytes))
    }
}

fn has_room(count: usize, bytes: usize) -> bool {
    count <= MAX_WAITING && bytes <= MAX_BYTES
}

/// Keeps a buffer for another datagram.
fn keep(room: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if room.len() < MAX_WAITING && buffer.capacity() <= MAX_BUFFER {
        room.push(buffer);
    }
}

/// Methods that belong to something that is there, whether or not they say so
/// (RFC 3261 §9, §12.2, §17; RFC 3262, RFC 3311, RFC 6086).
const ONGOING: [&[u8]; 6] = [b"ACK", b"BYE", b"CANCEL", b"PRACK", b"UPDATE", b"INFO"];

/// Whether a datagram is a request outside of a dialog, or nothing that is known.
/// A quick look; whoever lies here gains no more than a place in the queue.
fn begins_something(datagram: &[u8]) -> bool {
    if datagram.starts_with(b"SIP/2.0 ") {
        return false;
    }
    let method = find(datagram, b' ').and_then(|end| datagram.get(..end)).unwrap_or_default();
    !ONGOING.contains(&method) && !has_to_tag(datagram)
}

/// What begins a tag behind an address (RFC 3261 §25.1, tag-param).
const TAG: &[u8] = b";tag=";

/// Whether the To of a message has a tag.
fn has_to_tag(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some(end) = find(rest, b'\n') {
        let (line, behind) = rest.split_at(end.saturating_add(1));
        if let [b't' | b'T', tail @ ..] = line {
            let tail = if let [b'o' | b'O', tail @ ..] = tail { tail } else { tail };
            if let [b':', value @ ..] = scan::trim(tail) {
                return value.windows(TAG.len()).any(|part| part == TAG);
            }
        }
        if line.len() <= 2 {
            return false;
        }
        rest = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(start: &str, to: &str) -> Vec<u8> {
        format!("{start}\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>;tag=1\r\n{to}\r\nCall-ID: x\r\n\r\n;tag=body")
            .into_bytes()
    }

    #[test]
    fn what_belongs_to_a_call_is_told_from_what_begins_one() {
        for (start, to, begins) in [
            ("INVITE sip:a@b SIP/2.0", "To: <sip:a@b>", true),
            ("INVITE sip:a@b SIP/2.0", "To: <sip:a@b>;tag=2", false),
            ("SUBSCRIBE sip:a@b SIP/2.0", "t:<sip:a@b>;tag=2", false),
            ("REGISTER sip:b SIP/2.0", "TO : <sip:a@b>", true),
            ("BYE sip:a@b SIP/2.0", "To: <sip:a@b>", false),
            ("CANCEL sip:a@b SIP/2.0", "To: <sip:a@b>", false),
            ("SIP/2.0 486 Busy", "To: <sip:a@b>", false),
            ("NOSUCH", "", true),
        ] {
            assert_eq!(begins_something(&message(start, to)), begins, "{start}, {to}");
        }
        assert!(begins_something(b"\r\n\r\n") && begins_something(b""));
    }

    #[test]
    fn the_oldest_that_begins_something_makes_way_and_nothing_overtakes() {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        let mut backlog = Backlog::new();
        let invite = |number| message(&format!("INVITE sip:{number}@b SIP/2.0"), "To: <sip:a@b>");
        let bye = |number| message(&format!("BYE sip:{number}@b SIP/2.0"), "To: <sip:a@b>;tag=2");
        for number in 0..200 {
            backlog.push(local, remote, &invite(number));
            backlog.push(local, remote, &bye(number));
        }
        assert_eq!(backlog.shed(), 400 - MAX_WAITING);
        let mut left = Vec::new();
        while let Some(waiting) = backlog.pop() {
            left.push(waiting.bytes.clone());
            backlog.give_back(waiting);
        }
        let first_kept = 200 - (MAX_WAITING - 200);
        let expected = (0..200).flat_map(|number| {
            let kept = (number >= first_kept).then(|| invite(number));
            kept.into_iter().chain([bye(number)])
        });
        assert!(left.into_iter().eq(expected));
        assert!(backlog.is_empty() && backlog.has_room());
    }

    #[test]
    fn calls_alone_are_left_to_wait_in_the_kernel() {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        let mut backlog = Backlog::new();
        for _ in 0..MAX_WAITING {
            assert_eq!((backlog.shed(), backlog.has_room()), (0, true));
            backlog.push(local, remote, b"SIP/2.0 200 OK\r\n\r\n");
        }
        backlog.push(local, remote, b"SIP/2.0 200 OK\r\n\r\n");
        assert_eq!((backlog.shed(), backlog.has_room()), (0, false));
    }

    #[test]
    fn large_ones_take_the_place_of_many() {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        let mut backlog = Backlog::new();
        let large = |start: &str| [start.as_bytes(), &[b'x'; 60_000]].concat();
        for _ in 0..20 {
            backlog.push(local, remote, &large("INVITE sip:a@b SIP/2.0\r\n"));
        }
        assert_eq!((backlog.shed(), backlog.has_room()), (3, true));
        for _ in 0..20 {
            backlog.push(local, remote, &large("SIP/2.0 200 OK\r\n"));
        }
        assert_eq!((backlog.shed(), backlog.has_room()), (17, false));
        while backlog.pop().is_some() {}
        assert!(backlog.has_room());
    }
}
