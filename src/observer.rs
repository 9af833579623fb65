//! The observer: copies of what crosses, for those who look at it.
//!
//! The threads that carry messages and media hand copies to the observer's
//! thread, which shows them to each [`Sink`]: a capture file, a collector, a
//! recording. Nobody waits for it. What finds no room is counted and lost to the
//! observer alone, so that a slow disk never holds up a call. Without a sink
//! there is no observer and nothing is copied.

mod pace;

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use tracing::warn;

use self::pace::Pace;
use crate::clock::Clock;
use crate::config::Config;
use crate::family::Family;
use crate::limit::{Bucket, Rate};
use crate::reason::Reason;
use crate::relay::{Passage, Tap};
use crate::task::{self, lock};

/// How many copies may wait.
const MAX_WAITING: usize = 4096;
/// How many bytes may wait in them.
const MAX_BYTES: usize = 8 << 20;

/// A message that came in, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    /// When.
    pub at: SystemTime,
    /// Which of our sockets it came in on.
    pub local: SocketAddr,
    /// Who sent it; a socket of ours where it was never on the wire, see
    /// [`Config::is_ours`].
    pub remote: SocketAddr,
    /// The message as it came.
    pub received: &'a [u8],
    /// What became of it.
    pub fate: Fate<'a>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// A message left.
    Sent {
        /// From this socket of ours.
        from: SocketAddr,
        /// To this address; a socket of ours where it comes in again at once
        /// instead of being sent.
        to: SocketAddr,
        /// The message as it left.
        message: &'a [u8],
        /// Why it is an answer of our own; `None`: forwarded.
        refused: Option<Reason>,
    },
    /// Nothing left.
    Dropped(Reason),
}

/// A media packet that came, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Relayed<'a> {
    /// When.
    pub at: SystemTime,
    /// Who sent it.
    pub remote: SocketAddr,
    /// Which of our sockets it came in on.
    pub local: SocketAddr,
    /// The socket of ours that it left from, and where it went; `None`: it was
    /// not relayed.
    pub sent: Option<(SocketAddr, SocketAddr)>,
    /// What it holds; the same on both legs.
    pub payload: &'a [u8],
}

/// What changed for good.
#[derive(Clone, Debug)]
pub enum Change {
    /// The configuration, at a reload.
    Config(Arc<Config>),
    /// The addresses of an uplink that is a host name.
    Uplink(Family, Vec<IpAddr>),
    /// Nothing after all: a process that was to take over from this one has not, but
    /// may have begun files of its own.
    Back,
}

/// Somebody who looks at what crosses. All calls come from the observer's thread.
pub trait Sink: Send {
    /// Called once, first, by the observer's thread. A sink that needs threads of
    /// its own starts them here, when rights have been given up.
    fn begin(&mut self) {}

    /// A message came in.
    fn message(&mut self, crossed: &Crossed<'_>);

    /// A media packet came. Only called where [`Sink::wants_media`].
    fn media(&mut self, _relayed: &Relayed<'_>) {}

    /// Whether media packets are to be copied at all.
    fn wants_media(&self) -> bool {
        false
    }

    /// How many messages a second are enough for it; `None`: it wants all.
    fn enough(&self) -> Option<u32> {
        None
    }

    /// Something changed for all messages that come from now on.
    fn change(&mut self, _change: &Change) {}

    /// Nothing more waits: what was held back is to be written now.
    fn settle(&mut self) {}
}

/// The handle by which copies are handed to the observer.
#[derive(Clone, Debug)]
pub struct Observer {
    queue: SyncSender<Copied>,
    shared: Arc<Shared>,
}

/// What the handles and the thread share.
#[derive(Debug)]
struct Shared {
    /// Bytes that wait in the queue.
    waiting: AtomicUsize,
    lost: AtomicUsize,
    media: bool,
    /// Where nobody wants all messages.
    pace: Option<Pace>,
    /// What is never lost.
    changes: Mutex<Vec<Change>>,
}

impl Shared {
    /// How many copies were lost.
    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) as u64
    }
}

/// What the queue holds. The bytes of a message that left stand behind those of
/// the message that came.
#[derive(Debug)]
enum Copied {
    Message {
        at: SystemTime,
        local: SocketAddr,
        remote: SocketAddr,
        received: usize,
        fate: CopiedFate,
        bytes: Vec<u8>,
    },
    Media {
        at: SystemTime,
        remote: SocketAddr,
        local: SocketAddr,
        sent: Option<(SocketAddr, SocketAddr)>,
        payload: Vec<u8>,
    },
    Change,
    End,
}

#[derive(Debug)]
enum CopiedFate {
    Sent { from: SocketAddr, to: SocketAddr, refused: Option<Reason> },
    Dropped(Reason),
}

impl Observer {
    /// Starts the observer's thread; `None` where nobody looks.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start(sinks: Vec<Box<dyn Sink>>, clock: Clock) -> io::Result<Option<(Self, ObserverThread)>> {
        if sinks.is_empty() {
            return Ok(None);
        }
        let (queue, copies) = sync_channel(MAX_WAITING);
        let media = sinks.iter().any(|sink| sink.wants_media());
        // One that wants all gets all, and then so do the others.
        let enough: Option<Vec<u32>> = sinks.iter().map(|sink| sink.enough()).collect();
        let pace = enough.and_then(|enough| enough.into_iter().max()).map(Pace::new);
        let (waiting, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { waiting, lost, media, pace, changes: Mutex::default() });
        let losses = Losses { clock, told: Bucket::default(), count: 0 };
        let watcher = Watcher { copies, shared: Arc::clone(&shared), sinks, losses };
        let thread = task::thread("observer".to_owned(), move || watcher.run())?;
        let observer = Self { queue, shared };
        Ok(Some((observer.clone(), ObserverThread { observer, thread })))
    }

    /// Hands over a copy of a message. Call it before the message leaves, so
    /// that its answer cannot come first.
    pub fn message(&self, crossed: &Crossed<'_>) {
        if self.shared.pace.as_ref().is_some_and(|pace| !pace.admits(crossed.at)) {
            return;
        }
        let (sent, fate) = match crossed.fate {
            Fate::Sent { from, to, message, refused } => (message, CopiedFate::Sent { from, to, refused }),
            Fate::Dropped(reason) => (&[][..], CopiedFate::Dropped(reason)),
        };
        let Crossed { at, local, remote, received, .. } = *crossed;
        self.hand_over(received.len().saturating_add(sent.len()), || {
            let bytes = [received, sent].concat();
            Copied::Message { at, local, remote, received: received.len(), fate, bytes }
        });
    }

    /// By which the relay hands over media; `None`: nobody looks at it.
    pub fn tap(&self) -> Option<Arc<dyn Tap>> {
        self.shared.media.then(|| Arc::new(self.clone()) as Arc<dyn Tap>)
    }

    /// Tells what changed.
    pub fn change(&self, change: Change) {
        lock(&self.shared.changes).push(change);
        // Where the queue is full the thread is awake, and looks by itself.
        let _ = self.queue.try_send(Copied::Change);
    }

    /// How many copies were lost for want of room, since the start.
    pub fn lost(&self) -> u64 {
        self.shared.lost()
    }

    fn hand_over(&self, length: usize, copy: impl FnOnce() -> Copied) {
        let waiting = self.shared.waiting.fetch_add(length, Ordering::Relaxed);
        if waiting.saturating_add(length) > MAX_BYTES || self.queue.try_send(copy()).is_err() {
            self.shared.waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tap for Observer {
    fn packet(&self, passage: Passage<'_>) {
        let Passage { at, from: remote, arrived: local, sent, bytes, .. } = passage;
        self.hand_over(bytes.len(), || Copied::Media { at, remote, local, sent, payload: bytes.to_vec() });
    }
}

/// The observer's thread, to be ended.
#[derive(Debug)]
pub struct ObserverThread {
    observer: Observer,
    thread: JoinHandle<()>,
}

impl ObserverThread {
    /// Shows what still waits and ends the thread; what is handed over later is
    /// lost. Waits for the sinks.
    pub fn finish(self) {
        // Fails only where the thread is gone.
        let _ = self.observer.queue.send(Copied::End);
        let _ = self.thread.join();
    }
}

/// The thread's side.
struct Watcher {
    copies: Receiver<Copied>,
    shared: Arc<Shared>,
    sinks: Vec<Box<dyn Sink>>,
    losses: Losses,
}

impl Watcher {
    fn run(mut self) {
        self.sinks.iter_mut().for_each(|sink| sink.begin());
        while let Some(copied) = self.next() {
            self.take_in_changes();
            self.show(copied);
        }
        self.take_in_changes();
        self.settle();
    }

    /// The next copy; `None`: this is the end.
    fn next(&mut self) -> Option<Copied> {
        let copied = match self.copies.try_recv() {
            Err(TryRecvError::Empty) => {
                self.settle();
                self.copies.recv().ok()
            }
            copied => copied.ok(),
        };
        copied.filter(|copied| !matches!(copied, Copied::End))
    }

    fn settle(&mut self) {
        self.sinks.iter_mut().for_each(|sink| sink.settle());
        self.losses.tell(self.shared.lost());
    }

    fn take_in_changes(&mut self) {
        let changes = mem::take(&mut *lock(&self.shared.changes));
        for change in &changes {
            self.sinks.iter_mut().for_each(|sink| sink.change(change));
        }
    }

    fn show(&mut self, copied: Copied) {
        match copied {
            Copied::Message { at, local, remote, received, fate, bytes } => {
                let (received, message) = bytes.split_at_checked(received).unwrap_or_default();
                let fate = match fate {
                    CopiedFate::Sent { from, to, refused } => Fate::Sent { from, to, message, refused },
                    CopiedFate::Dropped(reason) => Fate::Dropped(reason),
                };
                let crossed = Crossed { at, local, remote, received, fate };
                self.sinks.iter_mut().for_each(|sink| sink.message(&crossed));
                self.shared.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Copied::Media { at, remote, local, sent, payload } => {
                let relayed = Relayed { at, remote, local, sent, payload: &payload };
                for sink in self.sinks.iter_mut().filter(|sink| sink.wants_media()) {
                    sink.media(&relayed);
                }
                self.shared.waiting.fetch_sub(payload.len(), Ordering::Relaxed);
            }
            Copied::Change | Copied::End => {}
        }
    }
}

/// What was lost, told now and then.
struct Losses {
    clock: Clock,
    told: Bucket,
    /// How many were told.
    count: u64,
}

impl Losses {
    fn tell(&mut self, lost: u64) {
        if lost > self.count && self.told.take(self.clock.now(), Rate::ONCE_A_MINUTE) {
            let since = lost.saturating_sub(self.count);
            warn!(lost = since, "messages or packets not captured: the disk or the machine was too slow");
            self.count = lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::clock::wall_clock;

    /// Tells what it is shown, and waits before each message until it may go on.
    struct Teller {
        said: Sender<String>,
        go: Receiver<()>,
    }

    impl Sink for Teller {
        fn message(&mut self, crossed: &Crossed<'_>) {
            self.go.recv().unwrap();
            let received = String::from_utf8_lossy(crossed.received);
            let fate = match crossed.fate {
                Fate::Sent { to, message, .. } => format!("{} to {to}", String::from_utf8_lossy(message)),
                Fate::Dropped(reason) => reason.to_string(),
            };
            self.said.send(format!("{received}: {fate}")).unwrap();
        }

        fn change(&mut self, change: &Change) {
            self.said.send(format!("{change:?}")).unwrap();
        }
    }

    fn teller() -> (Teller, Receiver<String>, Sender<()>) {
        let ((said, hears), (goes, go)) = (channel(), channel());
        (Teller { said, go }, hears, goes)
    }

    fn crossed<'a>(received: &'a [u8], fate: Fate<'a>) -> Crossed<'a> {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        Crossed { at: wall_clock(), local, remote, received, fate }
    }

    #[test]
    fn a_sink_sees_both_sides_of_a_message_and_what_changed() {
        let (sink, hears, goes) = teller();
        let (observer, thread) = Observer::start(vec![Box::new(sink)], Clock::start()).unwrap().unwrap();
        let (from, to) = ("[2001:db8::1]:5060".parse().unwrap(), "[2001:db8::9]:5060".parse().unwrap());
        observer.change(Change::Uplink(Family::V6, vec!["2001:db8::12".parse().unwrap()]));
        observer.message(&crossed(b"in", Fate::Sent { from, to, message: b"out", refused: None }));
        observer.message(&crossed(b"bad", Fate::Dropped(Reason::Loop)));
        (0..2).for_each(|_| goes.send(()).unwrap());
        thread.finish();
        let said: Vec<String> = hears.iter().collect();
        assert_eq!(
            said,
            ["Uplink(V6, [2001:db8::12])", "in: out to [2001:db8::9]:5060", "bad: loop through ourselves"]
        );
        assert_eq!(observer.lost(), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_waits_for_nobody() {
        let (sink, hears, goes) = teller();
        let (observer, thread) = Observer::start(vec![Box::new(sink)], Clock::start()).unwrap().unwrap();
        let large = vec![b'x'; 1 << 20];
        // The sink is held up: this returns all the same.
        for _ in 0..20 {
            observer.message(&crossed(&large, Fate::Dropped(Reason::Loop)));
        }
        let kept = 20 - observer.lost();
        assert_eq!(kept, 8, "as many as fit into {MAX_BYTES} bytes");
        (0..kept).for_each(|_| goes.send(()).unwrap());
        thread.finish();
        assert_eq!(u64::try_from(hears.iter().count()).unwrap(), kept);
    }

    #[test]
    fn nobody_looks_nothing_runs() {
        assert!(Observer::start(Vec::new(), Clock::start()).unwrap().is_none());
    }
}
