//! A stream with its sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use tracing::error;

use super::figures::{Failures, StreamFigures};
use super::handover::StreamState;
use super::key::{SocketKey, Way};
use super::slab::Key;
use super::sockets::StreamSockets;
use super::tap::{Passage, Tap};
use crate::clock::wall_clock;
use crate::config::LatchMode;
use crate::family::{Family, PerFamily};
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::{Component, Stream};
use crate::socket::SocketOptions;
use crate::socket::icmp::ErrorReader;

/// ICMP errors read from a socket before the others get their turn again.
const MAX_ERRORS: usize = 16;
/// Packets taken off a socket at once where one takes the place of another; it
/// rarely has more than one or two.
const MAX_WAITING: usize = 64;
/// How often a peer socket is made anew for one packet, before it is given up for now.
const MAX_CHANGES: usize = 3;

/// What a thread has for all its streams.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) epoll: Arc<Epoll>,
    pub(super) buffer: Box<[u8]>,
    pub(super) errors: ErrorReader,
    pub(super) tap: Option<Arc<dyn Tap>>,
    /// How media sockets are made.
    pub(super) sockets: SocketOptions,
    /// Files beyond this number are for the open sockets of calls.
    pub(super) most_files: u64,
}

/// A stream with its sockets.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) stream: Stream,
    pub(super) sockets: StreamSockets,
    pub(super) id: StreamId,
    pub(super) session: SessionId,
    pub(super) failures: PerFamily<Failures>,
    /// Another process has the open sockets too, or had them.
    pub(super) shared: bool,
    /// What comes is held back until its other side is open, and that was told.
    pub(super) early: bool,
}

impl Relayed {
    /// A stream that begins.
    pub(super) fn new(session: SessionId, id: StreamId, latch: LatchMode, sockets: StreamSockets) -> Self {
        let stream = Stream::new(latch);
        Self { stream, sockets, id, session, failures: PerFamily::default(), shared: false, early: false }
    }

    /// Lets an epoll tell of one of the open sockets, if it is there.
    pub(super) fn watch(&self, key: SocketKey, epoll: &Epoll) {
        let Some(socket) = self.sockets.open(key.side, key.component) else { return };
        match epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, key.datum())) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => error!(%errno, "a media port cannot be watched; see fs.epoll.max_user_watches"),
        }
    }

    /// Reads a value of each line of the cache that a packet from `side` needs.
    pub(super) fn touch(&self, side: Family) -> u64 {
        self.stream.touch(side) ^ self.sockets.touch()
    }

    /// Relays one packet of a socket, if one waits.
    pub(super) fn packet(&mut self, now: Duration, key: SocketKey, around: &mut Around) {
        let from = self.carry(now, key, around);
        // What comes by a peer socket is from its party, and changes nothing.
        if key.component == Component::Rtp
            && from.is_some()
            && (key.way == Way::Open || from != self.sockets.party(key.side))
        {
            self.settle(now, key, around);
        }
    }

    /// Relays what waits in the sockets, as far as it can leave.
    #[cold]
    pub(super) fn packets(&mut self, now: Duration, key: Key, around: &mut Around) {
        let peers = Family::BOTH.map(|side| SocketKey::peer(key, side));
        for socket in peers.into_iter().chain(SocketKey::open(key)) {
            if self.sockets.is_open(socket.side.other()) {
                self.carry_waiting(now, socket, around);
            }
        }
        peers.into_iter().for_each(|peer| self.settle(now, peer, around));
    }

    /// Takes one packet off a socket and sends it on. The answer is where it
    /// came from; `None`: none waits.
    fn carry(&mut self, now: Duration, key: SocketKey, around: &mut Around) -> Option<SocketAddr> {
        let SocketKey { side, component, way, .. } = key;
        // An error here is one from ICMP, which this very call takes off the
        // socket, or a packet with a bad checksum: nothing that stays.
        let (length, from) = self.sockets.receive(side, component, way, &mut around.buffer).ok()?;
        let packet = around.buffer.get(..length)?;
        let to = match self.sockets.peer(side.other(), component) {
            Some(party) => self.stream.packet_to_speaker(now, side, component, from, packet).then_some(party),
            None => self.stream.packet(now, side, component, from, packet),
        };
        if let Some(tap) = around.tap.as_deref() {
            self.show(tap, key, from, to, packet);
        }
        if let Some(to) = to
            && let Err(error) = self.sockets.send(side.other(), component, packet, to)
        {
            self.failures[side.other()].not_sent(to, &error);
        }
        Some(from)
    }

    /// Relays what waits in a socket, before another takes its place.
    fn carry_waiting(&mut self, now: Duration, key: SocketKey, around: &mut Around) {
        for _ in 0..MAX_WAITING {
            if self.carry(now, key, around).is_none() {
                break;
            }
        }
    }

    /// Sees to it that the peer socket on a side is of the party that the latch has found.
    pub(super) fn settle(&mut self, now: Duration, key: SocketKey, around: &mut Around) {
        // What waits in the one socket or the other may change it again.
        for _ in 0..MAX_CHANGES {
            let speaker = self.stream.speaker(key.side);
            if speaker == self.sockets.party(key.side) {
                return;
            }
            self.close_peer(now, key, around);
            if let Some(party) = speaker {
                self.connect(now, key, party, around);
            }
        }
        self.close_peer(now, key, around);
    }

    #[cold]
    fn connect(&mut self, now: Duration, key: SocketKey, party: SocketAddr, around: &mut Around) {
        self.sockets.connect(key.side, party, around.sockets, around.most_files);
        let Some(connected) = self.sockets.connected(key.side) else { return };
        let peer = SocketKey::peer(key.stream, key.side);
        if around.epoll.add(connected, EpollEvent::new(EpollFlags::EPOLLIN, peer.datum())).is_err() {
            return self.close_peer(now, key, around);
        }
        // What came before goes first.
        let open = SocketKey { way: Way::Open, ..peer };
        self.carry_waiting(now, open, around);
    }

    /// Closes the peer socket on a side, but relays what waits in it.
    #[cold]
    fn close_peer(&mut self, now: Duration, key: SocketKey, around: &mut Around) {
        let peer = SocketKey::peer(key.stream, key.side);
        if self.sockets.connected(key.side).is_some() {
            self.sockets.disconnect(key.side);
            self.carry_waiting(now, peer, around);
            self.read_errors(peer, &mut around.errors);
        }
        self.sockets.close_peer(key.side);
    }

    /// Closes both peer sockets, so that only the open sockets are left.
    pub(super) fn close_peers(&mut self, now: Duration, key: Key, around: &mut Around) {
        for side in Family::BOTH {
            self.close_peer(now, SocketKey::peer(key, side), around);
        }
    }

    #[cold]
    fn show(&self, tap: &dyn Tap, key: SocketKey, from: SocketAddr, to: Option<SocketAddr>, bytes: &[u8]) {
        let SocketKey { side, component, .. } = key;
        tap.packet(Passage {
            at: wall_clock(),
            session: self.session,
            stream: self.id,
            component,
            from,
            arrived: self.sockets.address(side, component),
            sent: to.map(|to| (self.sockets.address(side.other(), component), to)),
            bytes,
        });
    }

    /// Counts the ICMP errors that wait at a socket. As long as one is there
    /// epoll reports the socket. Many a phone that is well has no RTCP port.
    pub(super) fn read_errors(&mut self, key: SocketKey, errors: &mut ErrorReader) {
        let Some(descriptor) = self.sockets.raw(key.side, key.component, key.way) else { return };
        let failures = &mut self.failures[key.side];
        for error in std::iter::from_fn(|| errors.next(descriptor)).take(MAX_ERRORS) {
            if error.is_unreachable() && key.component == Component::Rtp {
                failures.unreachable = failures.unreachable.saturating_add(1);
                failures.last_unreachable = error.destination.or(failures.last_unreachable);
            }
        }
    }

    /// Gives the stream out, once its peer sockets are closed.
    pub(super) fn detach(self) -> (StreamState, StreamSockets) {
        (StreamState { id: self.id, stream: self.stream, failures: self.failures }, self.sockets)
    }

    /// Takes a stream of this session in again.
    pub(super) fn attach(session: SessionId, state: StreamState, sockets: StreamSockets) -> Self {
        let StreamState { id, stream, failures } = state;
        Self { id, session, stream, sockets, failures, shared: true, early: false }
    }

    /// What was counted so far.
    pub(super) fn figures(&self) -> StreamFigures {
        StreamFigures {
            stream: self.id,
            ports: PerFamily::from_fn(|side| Some(self.sockets.address(side, Component::Rtp))),
            legs: PerFamily::from_fn(|side| self.stream.report(side)),
            failures: self.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_two_and_a_half_kilobytes() {
        assert!(size_of::<Relayed>() <= 2560, "{}", size_of::<Relayed>());
    }
}
