//! The relay: threads that carry media packets from one family to the other.
//!
//! Each thread owns its streams, their sockets and an epoll instance of its
//! own, so that nothing is locked or shared for a packet. All streams of a
//! session live on one thread. [`Relay`] is the handle that the signalling
//! holds: what it says goes to the threads as orders, in order; what they
//! answer comes back as [`Notice`]s.

mod ending;
mod figures;
mod handover;
mod key;
mod order;
mod peer_socket;
mod relayed;
mod slab;
mod sockets;
mod stock;
mod tap;
mod verdict;
mod worker;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags};
use rustix::process::{Resource, getrlimit};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use self::ending::Ending;
pub use self::figures::{Failures, LegFigures, SessionFigures, StreamFigures};
pub use self::handover::{DetachedSession, SessionState, StreamState};
use self::key::SocketKey;
use self::order::{Answer, Order};
use self::relayed::Relayed;
use self::slab::{Key, Keys};
pub use self::sockets::{OpenPair, PortTaken, StreamSockets};
pub use self::stock::Stock;
pub use self::tap::{Passage, Tap};
use self::worker::Worker;
use crate::clock::Clock;
use crate::config::LatchMode;
use crate::family::Family;
use crate::hashing::Hashing;
use crate::media::command::{LegDescription, Obituary, SessionId, StreamId};
use crate::orders::{self, Orderer};
use crate::socket::SocketOptions;
use crate::task;

/// More threads than this have never been worth it for one proxy.
const MAX_THREADS: usize = 8;

/// What the relay threads tell.
#[derive(Debug)]
pub enum Notice {
    /// The answer to [`Relay::query`].
    Heard {
        /// The session.
        session: SessionId,
        /// When a packet of it last came; `None`: never.
        last: Option<Duration>,
    },
    /// Media came to a stream that has sockets on one side only: it waits for
    /// [`Relay::open_rest`].
    Early {
        /// The session.
        session: SessionId,
    },
    /// The answer to [`Relay::close`].
    Ended(Box<Ending>),
}

/// How the relay is set up.
#[derive(Clone, Debug, Default)]
pub struct RelayOptions {
    /// So many threads, at least one.
    pub threads: usize,
    /// How media sockets are made.
    pub sockets: SocketOptions,
    /// How long packets may wait for others, so that fewer wakings do; zero: none waits.
    pub batch: Duration,
    /// Who is shown each packet.
    pub tap: Option<Arc<dyn Tap>>,
}

/// The handle of all relay threads. They end when it is dropped.
#[derive(Debug)]
pub struct Relay {
    threads: Vec<Thread>,
    /// The thread of each session, and its streams.
    sessions: HashMap<SessionId, Placement, Hashing>,
    /// Where each stream is.
    streams: HashMap<StreamId, StreamPlace, Hashing>,
    /// Streams of which no thread was told yet.
    beginning: Vec<(StreamPlace, Box<Relayed>)>,
    /// Sessions whose [`Notice::Ended`] is still under way.
    ending: usize,
}

#[derive(Debug)]
struct Placement {
    thread: usize,
    streams: Vec<StreamId>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
struct StreamPlace {
    session: SessionId,
    /// The number of its thread.
    thread: usize,
    /// What that knows it by.
    key: Key,
}

#[derive(Debug)]
struct Thread {
    /// `None` only while it is being ended.
    orderer: Option<Orderer<Order>>,
    /// What tells it of packets.
    epoll: Arc<Epoll>,
    /// Orders were sent since it was last woken that do not wait for a packet.
    unread: bool,
    /// The keys of the streams it has.
    keys: Keys,
    /// How many they are.
    streams: usize,
    handle: Option<JoinHandle<()>>,
}

/// The file number from which on no peer sockets are made, where a process may have so many
/// files: three quarters of them; the rest is for the sockets that calls need. The
/// kernel gives the lowest free number, so a number shows how many files are open.
pub fn first_reserved_file(limit: u64) -> u64 {
    limit / 4 * 3
}

fn most_files() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(u64::MAX, first_reserved_file)
}

/// How many threads do for this machine: one for each core, at most eight.
pub fn usual_threads() -> usize {
    task::cores().min(MAX_THREADS)
}

impl Relay {
    /// Starts the threads, and gives the end at which what they tell comes out.
    ///
    /// # Errors
    /// A thread, or its epoll, cannot be had.
    pub fn start(clock: Clock, options: &RelayOptions) -> io::Result<(Self, UnboundedReceiver<Notice>)> {
        let (notices, told) = unbounded_channel();
        let threads = (0..options.threads.max(1))
            .map(|number| Thread::start(number, clock, notices.clone(), options))
            .collect::<io::Result<_>>()?;
        let (sessions, streams) = (HashMap::default(), HashMap::default());
        Ok((Self { threads, sessions, streams, beginning: Vec::new(), ending: 0 }, told))
    }

    /// Relays a stream, as soon as its thread is woken. The first of a session chooses
    /// the thread.
    pub fn open(&mut self, session: SessionId, stream: StreamId, latch: LatchMode, sockets: StreamSockets) {
        let place = self.place(session, stream);
        self.beginning.push((place, Box::new(Relayed::new(session, stream, latch, sockets))));
    }

    /// Gives a stream the sockets of its other side.
    pub fn open_rest(&mut self, stream: StreamId, side: Family, sockets: OpenPair) {
        if let Some(&StreamPlace { thread, key, .. }) = self.streams.get(&stream) {
            self.order(thread, Order::OpenRest { key, side, sockets });
        }
    }

    /// The thread of a session, and its streams; the idlest one where it has none yet.
    fn placement(&mut self, session: SessionId) -> &mut Placement {
        let idlest = (0..self.threads.len()).min_by_key(|&at| self.threads.get(at).map_or(0, |thread| thread.streams));
        self.sessions.entry(session).or_insert_with(|| Placement { thread: idlest.unwrap_or(0), streams: Vec::new() })
    }

    /// Finds a place for a stream, on the thread of its session.
    fn place(&mut self, session: SessionId, stream: StreamId) -> StreamPlace {
        let placement = self.placement(session);
        placement.streams.push(stream);
        let thread = placement.thread;
        let key = self.threads.get_mut(thread).map(Thread::take_key).unwrap_or_default();
        let place = StreamPlace { session, thread, key };
        self.streams.insert(stream, place);
        place
    }

    /// Gives up the place of a stream.
    fn give_up_place(&mut self, stream: StreamId) -> Option<StreamPlace> {
        let place = self.streams.remove(&stream)?;
        if let Some(thread) = self.threads.get_mut(place.thread) {
            thread.give_back_key(place.key);
        }
        Some(place)
    }

    /// Whether a stream is relayed.
    pub fn knows(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Whether no thread was told of a stream yet.
    pub fn is_beginning(&self, stream: StreamId) -> bool {
        self.beginning.iter().any(|(_, relayed)| relayed.id == stream)
    }

    /// Describes a leg anew; of a stream that is not relayed nothing is kept.
    pub fn describe(&mut self, stream: StreamId, side: Family, leg: LegDescription) {
        if let Some((_, relayed)) = self.beginning.iter_mut().rev().find(|(_, relayed)| relayed.id == stream) {
            relayed.stream.describe(side, leg);
        } else if let Some(&StreamPlace { thread, key, .. }) = self.streams.get(&stream) {
            self.order(thread, Order::Describe { key, side, leg });
        }
    }

    /// Asks when a packet of a session last came: [`Notice::Heard`].
    pub fn query(&mut self, session: SessionId) {
        let thread = self.sessions.get(&session).map_or(0, |placement| placement.thread);
        self.order(thread, Order::Query { session });
    }

    /// Ends one stream; what it counted is kept for the end of its session.
    pub fn close_stream(&mut self, stream: StreamId) {
        let Some(StreamPlace { session, thread, key }) = self.give_up_place(stream) else { return };
        if let Some(placement) = self.sessions.get_mut(&session) {
            placement.streams.retain(|&other| other != stream);
        }
        self.order(thread, Order::CloseStream { key });
    }

    /// Ends all streams of a session: [`Notice::Ended`].
    pub fn close(&mut self, session: SessionId, obituary: Box<Obituary>) {
        let placement = self.sessions.remove(&session).unwrap_or(Placement { thread: 0, streams: Vec::new() });
        for &stream in &placement.streams {
            self.give_up_place(stream);
        }
        self.ending = self.ending.saturating_add(1);
        self.order(placement.thread, Order::Close { session, obituary });
    }

    /// Asks all threads what their streams counted so far. Each gives one part;
    /// when all have, the channel ends.
    pub fn snapshot(&mut self) -> UnboundedReceiver<Vec<SessionFigures>> {
        self.ask_all(Order::Snapshot)
    }

    /// Has all threads give their sessions out, for another process to go on
    /// with: they are of this relay no longer. Each thread gives one part; when
    /// all have, the channel ends. To be taken back with [`Relay::attach`].
    pub fn detach(&mut self) -> UnboundedReceiver<Vec<DetachedSession>> {
        self.sessions.clear();
        let streams: Vec<_> = self.streams.keys().copied().collect();
        for stream in streams {
            self.give_up_place(stream);
        }
        self.ask_all(Order::Detach)
    }

    /// Relays a session that was given out. To be followed by [`Relay::wake`].
    pub fn attach(&mut self, session: DetachedSession) {
        let SessionState { session: id, streams, .. } = &session.state;
        let thread = self.placement(*id).thread;
        let keys = streams.iter().map(|stream| self.place(*id, stream.id).key).collect();
        self.order(thread, Order::Attach(Box::new(session), keys));
    }

    /// Gives all threads an order at once, and the end where their answers come out.
    fn ask_all<T>(&mut self, order: impl Fn(Answer<T>) -> Order) -> UnboundedReceiver<Vec<T>> {
        let (answers, given) = unbounded_channel();
        for thread in 0..self.threads.len() {
            self.order(thread, order(Answer(answers.clone())));
        }
        self.wake();
        given
    }

    /// To be called for each [`Notice::Ended`] that was taken in.
    pub fn ended(&mut self) {
        self.ending = self.ending.saturating_sub(1);
    }

    /// Whether there is no session left, nor one whose end was not told yet.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.ending == 0
    }

    /// How many sessions have, or had, streams here.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many streams are relayed.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether threads have orders to read for which they were not woken yet.
    pub fn has_unread(&self) -> bool {
        !self.beginning.is_empty() || self.threads.iter().any(|thread| thread.unread)
    }

    /// Wakes the threads that have orders to read. Several orders in a row
    /// cost one waking.
    pub fn wake(&mut self) {
        self.begin();
        for thread in self.threads.iter_mut().filter(|thread| thread.unread) {
            thread.unread = false;
            if let Some(orderer) = &thread.orderer {
                orderer.wake();
            }
        }
    }

    /// Tells the threads of the streams that begin. That wakes none: the first packet
    /// does, or whatever else there is to do. One that comes before the order makes the
    /// thread look for it again.
    fn begin(&mut self) {
        for (StreamPlace { thread, key, .. }, relayed) in self.beginning.drain(..) {
            let Some(thread) = self.threads.get_mut(thread) else { continue };
            SocketKey::open(key).for_each(|socket| relayed.watch(socket, &thread.epoll));
            thread.send(Order::Open(key, relayed));
        }
    }

    fn order(&mut self, thread: usize, order: Order) {
        self.begin();
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.unread |= thread.send(order);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.orderer = None;
        }
        for handle in self.threads.iter_mut().filter_map(|thread| thread.handle.take()) {
            let _ = handle.join();
        }
    }
}

impl Thread {
    fn start(
        number: usize,
        clock: Clock,
        notices: UnboundedSender<Notice>,
        options: &RelayOptions,
    ) -> io::Result<Self> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let (orderer, orders) = orders::channel()?;
        let worker = Worker::new(Arc::clone(&epoll), orders, notices, clock, options)?;
        let handle = task::thread(format!("relay{number}"), move || worker.run())?;
        let (orderer, keys) = (Some(orderer), Keys::default());
        Ok(Self { orderer, epoll, unread: false, keys, streams: 0, handle: Some(handle) })
    }

    /// A thread that has ended has nothing left to order.
    fn send(&self, order: Order) -> bool {
        self.orderer.as_ref().is_some_and(|orderer| orderer.give(order))
    }

    fn take_key(&mut self) -> Key {
        self.streams = self.streams.saturating_add(1);
        self.keys.take()
    }

    fn give_back_key(&mut self, key: Key) {
        self.streams = self.streams.saturating_sub(1);
        self.keys.give_back(key);
    }
}
