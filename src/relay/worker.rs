//! One relay thread.
//!
//! A level-triggered epoll loop: for each ready socket one packet is received,
//! shown to its stream, and sent out of the other side's socket. There is no
//! lock, no allocation and no log for a packet, and one look at the clock for
//! each waking. Edge-triggered epoll, recvmmsg and io_uring were measured, and none gains
//! more than a few per cent.

use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use tokio::sync::mpsc::UnboundedSender;
use tracing::error;

use super::figures::{SessionFigures, StreamFigures};
use super::handover::{DetachedSession, SessionState};
use super::key::{SocketKey, WAKE};
use super::order::Order;
use super::relayed::{Around, Relayed};
use super::slab::{Key, Slab};
use super::sockets::OpenPair;
use super::{Ending, Notice, RelayOptions, most_files};
use crate::clock::Clock;
use crate::family::Family;
use crate::hashing::Hashing;
use crate::media::command::{Obituary, SessionId};
use crate::orders::{Next, Orders};
use crate::socket::icmp::ErrorReader;

/// Ready sockets taken at a waking.
const MAX_EVENTS: usize = 256;
/// Packets whose streams are looked at before the first of them is relayed.
const MAX_AHEAD: usize = 16;
/// Orders carried out before packets get their turn again; a call has a handful.
const MAX_ORDERS: usize = 1024;
/// The largest UDP datagram, and more.
const BUFFER: usize = 65_536;

/// The streams of a session on this thread.
#[derive(Debug, Default)]
struct Session {
    open: Vec<Key>,
    closed: Vec<StreamFigures>,
    /// When one of the closed streams was last heard.
    heard: Option<Duration>,
}

/// One relay thread: what it owns.
#[derive(Debug)]
pub(super) struct Worker {
    orders: Orders<Order>,
    notices: UnboundedSender<Notice>,
    clock: Clock,
    streams: Slab<Relayed>,
    sessions: HashMap<SessionId, Session, Hashing>,
    /// Legs that were described anew and whose peer sockets are to be looked at.
    described: Vec<SocketKey>,
    /// Sessions of which it was asked when they were last heard.
    asked: Vec<SessionId>,
    around: Around,
    batch: Duration,
}

impl Worker {
    /// A thread's belongings, before it starts.
    pub(super) fn new(
        epoll: Arc<Epoll>,
        orders: Orders<Order>,
        notices: UnboundedSender<Notice>,
        clock: Clock,
        options: &RelayOptions,
    ) -> io::Result<Self> {
        epoll.add(&orders, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self {
            orders,
            notices,
            clock,
            streams: Slab::new(),
            sessions: HashMap::default(),
            described: Vec::new(),
            asked: Vec::new(),
            around: Around {
                epoll,
                buffer: vec![0; BUFFER].into_boxed_slice(),
                errors: ErrorReader::default(),
                tap: options.tap.clone(),
                sockets: options.sockets,
                most_files: most_files(),
            },
            batch: options.batch,
        })
    }

    /// Relays until the handle is dropped.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); MAX_EVENTS];
        loop {
            let ready = match self.around.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(errno) => return error!(%errno, "a relay thread cannot go on"),
            };
            let now = self.clock.now();
            let events = events.get(..ready).unwrap_or_default();
            // Orders first: a packet may be the answer to a message that was sent
            // after them, and yet stand before the waking in the list.
            if events.iter().any(|event| event.data() == WAKE) {
                self.orders.woken();
                if !self.carry_out() {
                    return;
                }
            }
            for some in events.chunks(MAX_AHEAD) {
                self.look_ahead(some);
                for &event in some {
                    match event.data() {
                        WAKE => {}
                        _ => self.packet(now, event),
                    }
                }
            }
            // More come meanwhile, and are taken at one waking. A full list
            // says that they do not have to be waited for.
            if !self.batch.is_zero() && events.len() < MAX_EVENTS {
                thread::sleep(self.batch);
            }
        }
    }

    /// Looks at the streams of some events. Of many calls each packet finds its own gone
    /// from the cache; what is asked for all at once comes together, and what is asked
    /// for packet by packet comes one after the other.
    fn look_ahead(&mut self, events: &[EpollEvent]) {
        let touch = |event: &EpollEvent| {
            let key = SocketKey::from_datum(event.data());
            self.streams.find(key.stream).map_or(0, |relayed| relayed.touch(key.side))
        };
        // For the reading alone.
        black_box(events.iter().map(touch).fold(0, |all, one| all ^ one));
    }

    /// Relays one packet.
    fn packet(&mut self, now: Duration, event: EpollEvent) {
        let key = SocketKey::from_datum(event.data());
        let Some(relayed) = self.streams.find(key.stream) else { return self.unknown() };
        if !relayed.sockets.is_open(key.side.other()) {
            return self.hold_back(key);
        }
        if event.events().contains(EpollFlags::EPOLLERR) {
            relayed.read_errors(key, &mut self.around.errors);
        }
        relayed.packet(now, key, &mut self.around);
    }

    /// An event of a socket that was closed since, or of a stream whose order was not
    /// read yet, as it wakes nobody: what waits there is told again.
    #[cold]
    fn unknown(&mut self) {
        // That the handle is gone is told by a waking, too.
        self.carry_out();
    }

    /// Lets wait what comes before there are sockets that it could leave by.
    #[cold]
    fn hold_back(&mut self, key: SocketKey) {
        let Some(relayed) = self.streams.find(key.stream) else { return };
        if let Some(socket) = relayed.sockets.open(key.side, key.component) {
            let _ = self.around.epoll.delete(socket);
        }
        if !std::mem::replace(&mut relayed.early, true) {
            let _ = self.notices.send(Notice::Early { session: relayed.session });
        }
    }

    /// Carries out what the signalling ordered; `false`: the handle is gone.
    fn carry_out(&mut self) -> bool {
        let goes_on = self.obey_all();
        // Not between orders: what waits in a peer socket may have come after the last one.
        let now = self.clock.now();
        for key in self.described.drain(..) {
            if let Some(relayed) = self.streams.find(key.stream) {
                relayed.settle(now, key, &mut self.around);
            }
        }
        self.answer_all(now);
        goes_on
    }

    /// Answers what was asked.
    fn answer_all(&mut self, now: Duration) {
        while let Some(session) = self.asked.pop() {
            self.answer(now, session);
        }
    }

    fn obey_all(&mut self) -> bool {
        for _ in 0..MAX_ORDERS {
            match self.orders.next() {
                Next::Order(order) => self.obey(order),
                Next::Nothing => return true,
                Next::Over => return false,
            }
        }
        // The rest after the packets that wait.
        self.orders.wake();
        true
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Open(key, relayed) => self.take_in(key, relayed),
            Order::OpenRest { key, side, sockets } => self.open_rest(key, side, sockets),
            Order::Describe { key, side, leg } => {
                let Some(relayed) = self.streams.find(key) else { return };
                relayed.stream.describe(side, leg);
                self.described.push(SocketKey::peer(key, side));
            }
            Order::Query { session } => self.asked.push(session),
            Order::CloseStream { key } => self.close_stream(key),
            Order::Close { session, obituary } => self.close(session, *obituary),
            Order::Snapshot(answer) => {
                // Nobody waits for it any more, where it is refused.
                let _ = answer.give(self.figures());
            }
            Order::Detach(answer) => {
                // Afterwards there are no sessions to ask for.
                self.answer_all(self.clock.now());
                // Where it is refused there is nobody to relay for, either.
                let _ = answer.give(self.detach());
            }
            Order::Attach(session, keys) => self.attach(*session, keys),
        }
    }

    /// Takes a stream in.
    fn take_in(&mut self, key: Key, relayed: Box<Relayed>) {
        self.sessions.entry(relayed.session).or_default().open.push(key);
        self.streams.put(key, relayed);
    }

    /// Watches one of the open sockets, if it is there.
    fn watch_socket(&mut self, key: SocketKey) {
        let Some(relayed) = self.streams.find(key.stream) else { return };
        relayed.watch(key, &self.around.epoll);
    }

    /// Takes in the sockets of a stream's other side; what waited for them goes on.
    fn open_rest(&mut self, key: Key, side: Family, sockets: OpenPair) {
        let Some(relayed) = self.streams.find(key) else { return };
        relayed.sockets.set(side, sockets);
        let early = std::mem::take(&mut relayed.early);
        for socket in SocketKey::open(key).filter(|socket| early || socket.side == side) {
            self.watch_socket(socket);
        }
    }

    /// Tells when a session was last heard. What waits counts: where this process was
    /// stopped, as with a virtual machine, that is all that came for longer than a timeout.
    fn answer(&mut self, now: Duration, session: SessionId) {
        let mut last = None;
        if let Some(entry) = self.sessions.get(&session) {
            last = entry.heard;
            for &key in &entry.open {
                let Some(relayed) = self.streams.find(key) else { continue };
                relayed.packets(now, key, &mut self.around);
                last = last.max(relayed.stream.last_heard());
            }
        }
        let _ = self.notices.send(Notice::Heard { session, last });
    }

    fn close_stream(&mut self, key: Key) {
        let Some(relayed) = self.release(key) else { return };
        if let Some(session) = self.sessions.get_mut(&relayed.session) {
            session.open.retain(|&other| other != key);
            session.heard = session.heard.max(relayed.stream.last_heard());
            session.closed.push(relayed.figures());
        }
    }

    fn close(&mut self, session: SessionId, obituary: Obituary) {
        let Session { open, closed: mut streams, .. } = self.sessions.remove(&session).unwrap_or_default();
        for key in open {
            streams.extend(self.release(key).map(|relayed| relayed.figures()));
        }
        let at = self.clock.now();
        let _ = self.notices.send(Notice::Ended(Box::new(Ending { obituary, at, streams })));
    }

    /// Takes a stream out; its sockets close when it is dropped.
    fn release(&mut self, key: Key) -> Option<Box<Relayed>> {
        let mut relayed = self.streams.remove(key)?;
        relayed.close_peers(self.clock.now(), key, &mut self.around);
        for socket in SocketKey::open(key) {
            // Only what was sent there can have come back.
            if relayed.stream.report(socket.side).sent > 0 {
                relayed.read_errors(socket, &mut self.around.errors);
            }
            // Closing does it, unless another process has the socket too.
            if let Some(open) = relayed.sockets.open(socket.side, socket.component).filter(|_| relayed.shared) {
                let _ = self.around.epoll.delete(open);
            }
        }
        Some(relayed)
    }

    /// What all streams counted so far.
    fn figures(&mut self) -> Vec<SessionFigures> {
        let streams = &mut self.streams;
        let mut figures = |(&session, entry): (&SessionId, &Session)| SessionFigures {
            session,
            streams: entry.open.iter().filter_map(|&key| streams.find(key).map(|relayed| relayed.figures())).collect(),
            closed: entry.closed.clone(),
        };
        self.sessions.iter().map(&mut figures).collect()
    }

    /// Gives all sessions out, but for streams that are not wholly open. Their packets
    /// wait in the sockets from now on.
    fn detach(&mut self) -> Vec<DetachedSession> {
        let sessions = std::mem::take(&mut self.sessions);
        let mut give_out = |key| {
            self.streams.find(key)?.shared = true;
            self.release(key)
        };
        let detached = |(session, Session { open, closed, heard })| {
            let streams = open.into_iter().filter_map(&mut give_out).filter(|relayed| relayed.sockets.is_whole());
            let (streams, sockets) = streams.map(|relayed| relayed.detach()).unzip();
            DetachedSession { state: SessionState { session, streams, closed, heard }, sockets }
        };
        sessions.into_iter().map(detached).collect()
    }

    fn attach(&mut self, DetachedSession { state, sockets }: DetachedSession, keys: Vec<Key>) {
        let SessionState { session, streams, closed, heard } = state;
        let entry = self.sessions.entry(session).or_default();
        (entry.closed, entry.heard) = (closed, heard);
        for (key, (state, sockets)) in keys.into_iter().zip(streams.into_iter().zip(sockets)) {
            self.take_in(key, Box::new(Relayed::attach(session, state, sockets)));
            SocketKey::open(key).for_each(|socket| self.watch_socket(socket));
        }
    }
}
