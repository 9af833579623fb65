//! One relay thread.
//!
//! A level-triggered epoll loop: for each ready socket one packet is received,
//! shown to its stream, and sent out of the other side's socket. There is no
//! lock, no allocation and no log for a packet, and one look at the clock for
//! each waking. Measured against edge-triggered epoll, recvmmsg and io_uring
//! nothing plainer was slower by more than a few per cent.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use tokio::sync::mpsc::UnboundedSender;
use tracing::error;

use super::icmp::ErrorReader;
use super::slab::{Key, Slab};
use super::{Ending, Failures, Notice, StreamEnd, StreamSockets};
use crate::clock::Clock;
use crate::config::LatchMode;
use crate::family::{Family, PerFamily};
use crate::media::command::{LegDescription, Obituary, SessionId, StreamId};
use crate::media::stream::{Component, Stream};

/// Ready sockets taken at a waking.
const EVENTS: usize = 256;
/// Orders carried out before packets get their turn again; a call has a handful.
const ORDERS: usize = 1024;
/// ICMP errors read from a socket before the others get their turn again.
const ERRORS: usize = 16;
/// The largest UDP datagram, and more.
const BUFFER: usize = 65_536;
/// The epoll datum of the eventfd; no [`SocketKey`] comes near it.
const WAKE: u64 = u64::MAX;

/// What the signalling tells a relay thread.
#[derive(Debug)]
pub(super) enum Order {
    /// Relay this stream.
    Open { session: SessionId, stream: StreamId, latch: LatchMode, sockets: Box<StreamSockets> },
    /// A leg is described anew.
    Describe { stream: StreamId, side: Family, leg: LegDescription },
    /// Say when the session was last heard.
    Query { session: SessionId },
    /// End one stream.
    CloseStream { stream: StreamId },
    /// End all streams of a session.
    Close { session: SessionId, obituary: Box<Obituary> },
}

/// Which socket an epoll event speaks of. It outlives the socket, as an event
/// of the same waking may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SocketKey {
    stream: Key,
    side: Family,
    component: Component,
}

impl SocketKey {
    /// The 64 bits that epoll keeps for us: generation, place (30 bits), side, component.
    fn datum(self) -> u64 {
        let side = u64::from(self.side == Family::V6);
        let component = u64::from(self.component == Component::Rtcp);
        u64::from(self.stream.generation) << 32 | u64::from(self.stream.index) << 2 | side << 1 | component
    }

    fn from_datum(datum: u64) -> Self {
        Self {
            stream: Key {
                index: u32::try_from(datum >> 2 & 0x3fff_ffff).unwrap_or(u32::MAX),
                generation: u32::try_from(datum >> 32).unwrap_or(u32::MAX),
            },
            side: if datum & 2 == 0 { Family::V4 } else { Family::V6 },
            component: if datum & 1 == 0 { Component::Rtp } else { Component::Rtcp },
        }
    }
}

/// A stream with its sockets.
#[derive(Debug)]
struct Relayed {
    id: StreamId,
    session: SessionId,
    stream: Stream,
    sockets: StreamSockets,
    failures: PerFamily<Failures>,
}

/// The streams of a session on this thread.
#[derive(Debug, Default)]
struct Session {
    open: Vec<Key>,
    ended: Vec<StreamEnd>,
    /// When one of the ended streams was last heard.
    heard: Option<Duration>,
}

/// One relay thread: what it owns.
#[derive(Debug)]
pub(super) struct Worker {
    epoll: Epoll,
    wake: Arc<EventFd>,
    orders: Receiver<Order>,
    notices: UnboundedSender<Notice>,
    clock: Clock,
    streams: Slab<Relayed>,
    keys: HashMap<StreamId, Key>,
    sessions: HashMap<SessionId, Session>,
    buffer: Box<[u8]>,
    errors: ErrorReader,
}

impl Worker {
    /// A thread's belongings, before it starts.
    pub(super) fn new(
        wake: Arc<EventFd>,
        orders: Receiver<Order>,
        notices: UnboundedSender<Notice>,
        clock: Clock,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self {
            epoll,
            wake,
            orders,
            notices,
            clock,
            streams: Slab::new(),
            keys: HashMap::new(),
            sessions: HashMap::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            errors: ErrorReader::new(),
        })
    }

    /// Relays until the handle is dropped.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return error!(%errno, "a relay thread cannot go on"),
            };
            let now = self.clock.now();
            let events = events.get(..ready).unwrap_or_default();
            // Orders first: a packet may be the answer to a message that was sent
            // after them, and yet stand before the waking in the list.
            if events.iter().any(|event| event.data() == WAKE) {
                let _ = self.wake.read();
            }
            if !self.carry_out() {
                return;
            }
            for &event in events.iter().filter(|event| event.data() != WAKE) {
                self.packet(now, event);
            }
        }
    }

    /// Relays one packet. An event of a socket that was closed since is ignored.
    fn packet(&mut self, now: Duration, event: EpollEvent) {
        let key = SocketKey::from_datum(event.data());
        let Some(relayed) = self.streams.find(key.stream) else { return };
        if event.events().contains(EpollFlags::EPOLLERR) {
            relayed.read_errors(key, &mut self.errors);
        }
        let socket = relayed.sockets.of(key.side, key.component);
        // An error here is one from ICMP, which this very call takes off the
        // socket, or a packet with a bad checksum: nothing that stays.
        let Ok((length, from)) = socket.recv_from(&mut self.buffer) else { return };
        let Some(packet) = self.buffer.get(..length) else { return };
        let Some(to) = relayed.stream.packet(now, key.side, key.component, from, packet) else { return };
        let outgoing = key.side.other();
        let socket = relayed.sockets.of(outgoing, key.component);
        // A first failure may be an ICMP error for a packet before this one.
        if socket.send_to(packet, to).is_err()
            && let Err(error) = socket.send_to(packet, to)
        {
            let failures = &mut relayed.failures[outgoing];
            failures.unsent = failures.unsent.saturating_add(1);
            failures.last_unsent = Some((to, error.raw_os_error().unwrap_or(0)));
        }
    }

    /// Carries out what the signalling ordered; `false`: the handle is gone.
    fn carry_out(&mut self) -> bool {
        for _ in 0..ORDERS {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        // The rest after the packets that wait.
        let _ = self.wake.write(1);
        true
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Open { session, stream, latch, sockets } => self.open(session, stream, latch, *sockets),
            Order::Describe { stream, side, leg } => {
                if let Some(relayed) = self.keys.get(&stream).and_then(|&key| self.streams.find(key)) {
                    relayed.stream.describe(side, leg);
                }
            }
            Order::Query { session } => self.answer(session),
            Order::CloseStream { stream } => self.close_stream(stream),
            Order::Close { session, obituary } => self.close(session, *obituary),
        }
    }

    fn open(&mut self, session: SessionId, id: StreamId, latch: LatchMode, sockets: StreamSockets) {
        let stream = Stream::new(latch);
        let failures = PerFamily::default();
        let key = self.streams.insert(Relayed { id, session, stream, sockets, failures });
        self.keys.insert(id, key);
        self.sessions.entry(session).or_default().open.push(key);
        let Some(relayed) = self.streams.find(key) else { return };
        for socket in socket_keys(key) {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, socket.datum());
            if let Err(errno) = self.epoll.add(relayed.sockets.of(socket.side, socket.component), event) {
                error!(%errno, "a media port cannot be watched; see fs.epoll.max_user_watches");
            }
        }
    }

    fn answer(&mut self, session: SessionId) {
        let mut last = None;
        if let Some(entry) = self.sessions.get(&session) {
            last = entry.heard;
            for &key in &entry.open {
                last = last.max(self.streams.find(key).and_then(|relayed| relayed.stream.last_heard()));
            }
        }
        let _ = self.notices.send(Notice::Heard { session, last });
    }

    fn close_stream(&mut self, stream: StreamId) {
        let Some(key) = self.keys.get(&stream).copied() else { return };
        let Some(relayed) = self.release(key) else { return };
        if let Some(session) = self.sessions.get_mut(&relayed.session) {
            session.open.retain(|&other| other != key);
            session.heard = session.heard.max(relayed.stream.last_heard());
            session.ended.push(relayed.end());
        }
    }

    fn close(&mut self, session: SessionId, obituary: Obituary) {
        let Session { open, ended: mut streams, .. } = self.sessions.remove(&session).unwrap_or_default();
        for key in open {
            streams.extend(self.release(key).map(|relayed| relayed.end()));
        }
        let at = self.clock.now();
        let _ = self.notices.send(Notice::Ended(Box::new(Ending { obituary, at, streams })));
    }

    /// Takes a stream out; its sockets close when it is dropped.
    fn release(&mut self, key: Key) -> Option<Relayed> {
        let mut relayed = self.streams.remove(key)?;
        self.keys.remove(&relayed.id);
        for socket in socket_keys(key) {
            relayed.read_errors(socket, &mut self.errors);
            // Closing would do, unless another process shares the socket.
            let _ = self.epoll.delete(relayed.sockets.of(socket.side, socket.component));
        }
        Some(relayed)
    }
}

impl Relayed {
    /// Counts the ICMP errors that wait at a socket. As long as one is there
    /// epoll reports the socket.
    fn read_errors(&mut self, key: SocketKey, errors: &mut ErrorReader) {
        let descriptor = self.sockets.of(key.side, key.component).as_raw_fd();
        let failures = &mut self.failures[key.side];
        for error in std::iter::from_fn(|| errors.next(descriptor)).take(ERRORS) {
            if error.unreachable {
                failures.unreachable = failures.unreachable.saturating_add(1);
                failures.last_unreachable = error.destination.or(failures.last_unreachable);
            }
        }
    }

    fn end(&self) -> StreamEnd {
        StreamEnd {
            stream: self.id,
            ports: PerFamily::from_fn(|side| self.sockets.of(side, Component::Rtp).local_addr().ok()),
            legs: PerFamily::from_fn(|side| self.stream.report(side)),
            failures: self.failures,
        }
    }
}

fn socket_keys(stream: Key) -> impl Iterator<Item = SocketKey> {
    Family::BOTH
        .into_iter()
        .flat_map(move |side| Component::BOTH.map(|component| SocketKey { stream, side, component }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datum_names_one_socket_of_one_generation() {
        for generation in [0, 1, u32::MAX] {
            for index in [0, 1, 0x3fff_fffe] {
                for key in socket_keys(Key { index, generation }) {
                    assert_eq!(SocketKey::from_datum(key.datum()), key);
                    assert_ne!(key.datum(), WAKE);
                }
            }
        }
    }
}
