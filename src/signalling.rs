//! The signalling: threads with SIP sockets, and what they share.
//!
//! Each SIP thread owns a [`crate::proxy::Proxy`] and, where there are several, a
//! socket of its own at each address, so that messages without business of media
//! meet nothing that another thread uses. Media sessions, relay handle and limits
//! are one, behind locks. [`Signalling`] is the handle that the main thread holds:
//!
//! - *timers and notices*: [`Signalling::deadline`], [`Signalling::sooner`],
//!   [`Signalling::timers`], [`Signalling::notice`];
//! - *reload*: [`Signalling::reconfigure`];
//! - *takeover*: [`Signalling::release_sockets`] (from then on nothing changes, and
//!   what arrives waits in the sockets), [`Signalling::with_calls`] for the state,
//!   and [`Signalling::serve`] where nobody took over after all. The next process
//!   goes on with [`Signalling::resume`] and [`Signalling::serve`];
//! - *status*: [`Signalling::figures`], [`Signalling::troubles`],
//!   [`Signalling::phone_heard`], [`Signalling::look_at_calls`];
//! - *who looks at messages*: [`Parts::observer`].

mod backlog;
mod batch;
mod counters;
mod endings;
mod link_local;
mod local_addresses;
mod message_log;
mod missing_addresses;
mod peer_sockets;
mod rate_limited_log;
mod registrations;
mod shared;
mod sockets;
mod too_big;
mod trouble;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::warn;

use self::counters::{Counters, LastHeard};
pub use self::counters::{Figures, Heard};
use self::local_addresses::LocalAddresses;
use self::missing_addresses::MissingAddresses;
pub use self::peer_sockets::MAX_PEER_SOCKETS;
use self::shared::Shared;
pub use self::sockets::{BoundSockets, SipSocket};
pub use self::trouble::Trouble;
use self::worker::{Beginning, Order, Worker};
use crate::address::{Directory, Source};
use crate::clock::Clock;
use crate::config::{Config, Map};
use crate::family::Family;
use crate::limit::SavedLimit;
use crate::media::table::Table;
use crate::observer::Observer;
use crate::orders::{self, Orderer};
use crate::relay::{DetachedSession, Notice, Relay};
use crate::socket::{BindError, SocketOptions};
use crate::task;

/// More threads than this would wait for each other more than they help.
const MAX_THREADS: usize = 4;

/// Media sockets that each SIP thread keeps in stock, at the most.
pub const IN_STOCK: usize = 4 * worker::STOCK;

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To whom they are for.
    Network,
    /// To stdout: `--test` without files.
    Stdout,
}

impl Output {
    /// How many SIP threads do: one for each core, at most four; a single one
    /// prints in the order of arrival.
    pub fn threads(self) -> usize {
        match self {
            Self::Network => task::cores().min(MAX_THREADS),
            Self::Stdout => 1,
        }
    }
}

/// What the signalling is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The clock that the relay has too.
    pub clock: Clock,
    /// How further sockets are made.
    pub options: SocketOptions,
    /// The relay threads.
    pub relay: Relay,
    /// Where messages go.
    pub output: Output,
    /// Who looks at messages.
    pub observer: Option<Observer>,
}

/// Why a SIP thread cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {error}")]
pub struct ThreadError {
    /// What was to be done.
    pub what: &'static str,
    /// What the system says.
    #[source]
    pub error: io::Error,
}

/// The handle of all SIP threads. They end when it is dropped.
#[derive(Debug)]
pub struct Signalling {
    threads: Vec<Thread>,
    shared: Arc<Shared>,
    directory: Arc<Directory>,
    heard: Arc<LastHeard>,
    clock: Clock,
    options: SocketOptions,
    /// What the processes before this one counted.
    before: Figures,
    missing: MissingAddresses,
    /// The addresses were given up, for good or for now.
    released: bool,
    /// So many of the threads have sockets, the same addresses each: fewer than there
    /// are where the process before had fewer.
    serving: usize,
}

#[derive(Debug)]
struct Thread {
    /// `None` only while it is being ended.
    orderer: Option<Orderer<Order>>,
    counters: Arc<Counters>,
    handle: Option<JoinHandle<()>>,
}

impl Signalling {
    /// Starts the threads, and gives the end at which comes out why one cannot go on.
    /// They have no sockets before [`Signalling::serve`].
    ///
    /// # Errors
    /// Where the system refuses threads and the like.
    pub fn start(parts: Parts) -> io::Result<(Self, UnboundedReceiver<ThreadError>)> {
        let Parts { config, clock, options, relay, output, observer } = parts;
        let (faults, told) = unbounded_channel();
        let shared = Arc::new(Shared::new(&config, options, relay));
        let heard = Arc::new(LastHeard::new(&config));
        let directory = Arc::new(Directory::new(config));
        let (threads, before, missing, released, serving) =
            (Vec::new(), Figures::default(), MissingAddresses::default(), false, 0);
        let mut signalling =
            Self { threads, shared, directory, heard, clock, options, before, missing, released, serving };
        signalling.look_around();
        for number in 0..output.threads() {
            let thread = signalling.start_thread(number, output, observer.clone(), faults.clone())?;
            signalling.threads.push(thread);
        }
        Ok((signalling, told))
    }

    fn start_thread(
        &self,
        number: usize,
        output: Output,
        observer: Option<Observer>,
        faults: UnboundedSender<ThreadError>,
    ) -> io::Result<Thread> {
        let counters = Arc::new(Counters::default());
        let (orderer, orders) = orders::channel()?;
        let worker = Worker::new(Beginning {
            directory: Arc::clone(&self.directory),
            heard: Arc::clone(&self.heard),
            shared: Arc::clone(&self.shared),
            counters: Arc::clone(&counters),
            observer,
            clock: self.clock,
            output,
            options: self.options,
            orders,
            faults,
        })?;
        let (running, begun) = mpsc::channel();
        let handle = task::thread(format!("sip{number}"), move || worker.run(running))?;
        // It has its name and priority; afterwards rights may be given up.
        let _ = begun.recv();
        Ok(Thread { orderer: Some(orderer), counters, handle: Some(handle) })
    }

    /// When [`Signalling::timers`] is to be called next.
    pub fn deadline(&self) -> Option<Duration> {
        self.shared.deadline()
    }

    /// Ends when [`Signalling::deadline`] has another answer, a sooner one.
    pub async fn sooner(&self) {
        self.shared.sooner().await;
    }

    /// Carries out what is due.
    pub fn timers(&self) {
        let now = self.clock.now();
        self.shared.calls(now, |calls| calls.table.handle_timeout(now));
    }

    /// Takes in what a relay thread tells.
    pub fn notice(&self, notice: Notice) {
        let now = self.clock.now();
        match notice {
            Notice::Heard { session, last } => {
                self.shared.calls(now, |calls| calls.table.heard(now, session, last));
            }
            Notice::Early { session } => self.shared.calls(now, |calls| calls.table.open_rest(session)),
            Notice::Ended(ending) => {
                self.shared.calls(now, |calls| calls.relay.ended());
                if self.shared.endings().admits(now, &ending) {
                    ending.log(|address| self.source(address).name());
                }
            }
        }
    }

    /// Ends all calls: the process ends.
    pub fn end_calls(&self) {
        let now = self.clock.now();
        self.shared.calls(now, |calls| calls.table.shut_down(now));
    }

    /// A side's uplink was looked up.
    pub fn set_uplink(&mut self, side: Family, addresses: Vec<IpAddr>) {
        let mut directory = Directory::clone(&self.directory);
        directory.set_uplink(side, addresses);
        self.directory = Arc::new(directory);
        self.readdress();
    }

    /// Goes by other maps, uplinks and names from now on; calls and sockets that
    /// stay are not touched. Listen addresses, media ports and the key must be the
    /// same. Sockets of new fakes are there before a message can name them.
    ///
    /// # Errors
    /// A new fake that cannot be bound: then everything is as it was.
    pub fn reconfigure(&mut self, config: Arc<Config>) -> Result<(), BindError> {
        let old = Arc::clone(self.directory.config());
        let is_new = |map: &&Map| !old.maps.iter().any(|known| known.fake == map.fake);
        if !self.released {
            let sockets = BoundSockets::bind_fakes(config.maps.iter().filter(is_new), self.options, self.serving)?;
            self.serve(sockets);
        }
        self.shared.calls(self.clock.now(), |calls| calls.table.reconfigure(&config));
        self.heard = Arc::new(self.heard.carried_over(&old, &config));
        self.directory = Arc::new(self.directory.reconfigured(Arc::clone(&config)));
        self.readdress();
        self.look_around();
        let is_gone = |map: &&Map| !config.maps.iter().any(|kept| kept.fake == map.fake);
        let gone: Vec<SocketAddr> = old.maps.iter().filter(is_gone).map(|map| map.fake).collect();
        if !gone.is_empty() {
            drop(self.release(Some(&gone)));
        }
        Ok(())
    }

    /// The configuration that it goes by.
    pub fn config(&self) -> &Arc<Config> {
        self.directory.config()
    }

    /// Tells all threads whose addresses are whose.
    fn readdress(&self) {
        for thread in &self.threads {
            thread.order(Order::Readdress(Arc::clone(&self.directory), Arc::clone(&self.heard)));
        }
        self.connect();
    }

    /// Lets the threads have sockets for uplinks and phones as they are now.
    fn connect(&self) {
        if self.released {
            return;
        }
        for (number, thread) in self.threads.iter().take(self.serving).enumerate() {
            thread.order(Order::Connect(peer_sockets::wanted(&self.directory, number, self.serving)));
        }
    }

    /// Lets the threads serve these sockets too: a set for each.
    pub fn serve(&mut self, BoundSockets(sets): BoundSockets) {
        self.released = false;
        self.serving = self.serving.max(sets.iter().filter(|set| !set.is_empty()).count());
        for (thread, set) in self.threads.iter().zip(sets) {
            // Not woken before it is told its peers, too.
            thread.note(Order::Serve(set));
        }
        self.connect();
    }

    /// Takes all SIP sockets off the threads. When this returns, what was received
    /// has been handled and sent; what arrives later waits in the sockets.
    pub fn release_sockets(&mut self) -> BoundSockets {
        self.released = true;
        BoundSockets(self.release(None))
    }

    /// Closes the SIP sockets, so that another process may bind their addresses
    /// when this returns; media goes on.
    pub fn stop_listening(&mut self) {
        drop(self.release_sockets());
    }

    fn release(&self, addresses: Option<&[SocketAddr]>) -> Vec<Vec<SipSocket>> {
        let replies: Vec<_> = self
            .threads
            .iter()
            .map(|thread| {
                let (reply, released) = mpsc::channel();
                thread.order(Order::Release(addresses.map(<[_]>::to_vec), reply));
                released
            })
            .collect();
        // A thread that has ended has closed its sockets.
        replies.into_iter().map(|released| released.recv().unwrap_or_default()).collect()
    }

    /// What is done once a minute: reads the addresses of this machine anew, tries
    /// again what could not be connected, and tells what was held back from the log.
    pub fn every_minute(&mut self) {
        self.look_around();
        if !peer_sockets::wanted(&self.directory, 0, 1).is_empty() {
            self.connect();
        }
        self.log_held_back();
    }

    /// Reads the addresses of this machine, and tells which of ours are not among them.
    fn look_around(&mut self) {
        match LocalAddresses::read() {
            Ok(local) => {
                if !self.released {
                    self.missing.look(self.directory.config(), &local);
                }
                self.shared.set_local(local);
            }
            Err(error) => warn!(%error, "cannot read the addresses of this machine"),
        }
    }

    /// Tells what was held back from the log.
    pub fn log_held_back(&self) {
        self.shared.log_held_back(self.clock.now());
    }

    /// How many media sessions there are.
    pub fn sessions(&self) -> usize {
        self.look_at_calls(|table, _| table.sessions())
    }

    /// How many of them have media here: that of others passes by.
    pub fn relayed(&self) -> usize {
        self.look_at_calls(|_, relay| relay.sessions())
    }

    /// Whether no stream is left, and the end of each session that had some was told.
    pub fn is_idle(&self) -> bool {
        self.look_at_calls(|_, relay| relay.is_idle())
    }

    /// Takes a look at sessions and relay. No message that says something of media
    /// is handled meanwhile: copy what is needed, and format it later.
    pub fn look_at_calls<R>(&self, look: impl FnOnce(&Table, &Relay) -> R) -> R {
        self.shared.look(|calls| look(&calls.table, &calls.relay))
    }

    /// Does something with sessions and relay; commands of the table are carried
    /// out behind it.
    pub fn with_calls<R>(&self, act: impl FnOnce(&mut Table, &mut Relay) -> R) -> R {
        self.shared.calls(self.clock.now(), |calls| act(&mut calls.table, &mut calls.relay))
    }

    /// Whom we have answered, to be told to another process.
    pub fn save_answers(&self) -> SavedLimit {
        self.shared.answers().save(self.clock.now())
    }

    /// Goes on with what another process knew; to be called before any socket is
    /// served.
    pub fn resume(&mut self, table: Table, sessions: Vec<DetachedSession>, answers: &SavedLimit) {
        self.shared.answers().resume(answers);
        self.with_calls(|calls, relay| {
            *calls = table;
            sessions.into_iter().for_each(|session| relay.attach(session));
        });
        self.look_around();
    }

    /// When phones and uplinks were last heard, to be told to another process.
    pub fn save_heard(&self) -> Heard {
        self.heard.save(self.config())
    }

    /// Goes on with what another process counted and heard.
    pub fn resume_counts(&mut self, figures: Figures, heard: &Heard) {
        self.before = figures;
        self.heard = Arc::new(LastHeard::resumed(self.config(), heard));
        self.readdress();
    }

    /// What was counted since the start, in this process and those before.
    pub fn figures(&self) -> Figures {
        let mut figures = self.before;
        self.threads.iter().for_each(|thread| thread.counters.add_to(&mut figures));
        figures
    }

    /// How often each trouble came since the start.
    pub fn troubles(&self) -> HashMap<Trouble, u64> {
        self.shared.troubles()
    }

    /// When the phone of a map, by its index, was last heard; in seconds since the
    /// start of the daemon.
    pub fn phone_heard(&self, index: usize) -> Option<Duration> {
        self.heard.phone(index)
    }

    /// When a side's uplink was last heard; in seconds since the start of the daemon.
    pub fn uplink_heard(&self, side: Family) -> Option<Duration> {
        self.heard.uplink(side)
    }

    /// Who would send from an address.
    pub fn source(&self, address: SocketAddr) -> Source {
        self.directory.source(address)
    }

    /// Where a side's uplink is now, as far as it is known.
    pub fn uplink_addresses(&self, side: Family) -> &[IpAddr] {
        self.directory.uplink_addresses(side)
    }
}

impl Drop for Signalling {
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
    fn order(&self, order: Order) {
        self.note(order);
        if let Some(orderer) = &self.orderer {
            orderer.wake();
        }
    }

    /// An order that is carried out with the next one.
    fn note(&self, order: Order) {
        if let Some(orderer) = &self.orderer {
            // A thread that has ended told why.
            orderer.give(order);
        }
    }
}
