//! One SIP thread.
//!
//! A level-triggered epoll loop around a [`Proxy`]: datagrams in, what the proxy
//! decides out, both in batches; a message waits for those before it and no longer.
//! What goes to a socket of ours is handled at once, on this thread, instead of being
//! sent. Only messages that say something of media, and our own answers, touch what
//! threads share.

mod orders;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::EpollEvent;
use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::mpsc::UnboundedSender;
use tracing::debug;

pub(super) use self::orders::Order;
use super::backlog::Backlog;
use super::batch::{BATCH, Inbox, Leaving, Outbox};
use super::counters::{Counters, LastHeard};
use super::link_local::link_local;
use super::message_log::tell;
use super::registrations::Challenges;
use super::shared::Shared;
use super::sockets::{Ready, SipSockets};
use super::too_big::{Sent, is_large};
use super::trouble::Trouble;
use super::{Output, ThreadError};
use crate::address::{Directory, Source};
use crate::clock::{Clock, wall_clock};
use crate::family::Family;
use crate::observer::{Crossed, Fate, Observer};
use crate::orders::Orders;
use crate::proxy::{Datagram, MAX_PASSES, Outcome, Proxy, Reason};
use crate::relay::Stock;
use crate::socket::SocketOptions;
use crate::socket::icmp::{ErrorReader, IcmpError};
use crate::test_output;

/// SIP sockets served at a waking.
const MAX_EVENTS: usize = 64;
/// Batches taken in from a socket before what waits gets its turn.
const MAX_ROUNDS: usize = 16;
/// Errors taken in from a socket at a time; what more there are are told of again.
const MAX_ERRORS: usize = 64;
/// How far SIP threads step back behind relay threads, in the steps of nice(2): to
/// about a third of the time.
const STEPS_BACK: i32 = 5;
/// Streams for which a thread has sockets in stock: as many calls as may begin
/// between two moments without work.
pub(super) const STOCK: usize = 8;

/// What a SIP thread needs to start.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) directory: Arc<Directory>,
    pub(super) heard: Arc<LastHeard>,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<Counters>,
    pub(super) observer: Option<Observer>,
    pub(super) clock: Clock,
    pub(super) output: Output,
    /// How further sockets are made.
    pub(super) options: SocketOptions,
    pub(super) orders: Orders<Order>,
    pub(super) faults: UnboundedSender<ThreadError>,
}

/// One SIP thread: what it owns.
#[derive(Debug)]
pub(super) struct Worker {
    proxy: Proxy,
    sockets: SipSockets,
    backlog: Backlog,
    /// What was to be sent and comes in again.
    returning: Vec<u8>,
    errors: ErrorReader,
    challenges: Challenges,
    heard: Arc<LastHeard>,
    shared: Arc<Shared>,
    /// Media sockets for the calls that begin here.
    stock: Stock,
    options: SocketOptions,
    counters: Arc<Counters>,
    observer: Option<Observer>,
    clock: Clock,
    output: Output,
    orders: Orders<Order>,
    faults: UnboundedSender<ThreadError>,
}

impl Worker {
    /// A thread's belongings, before it starts. It has no sockets yet.
    pub(super) fn new(beginning: Beginning) -> io::Result<Self> {
        let Beginning { directory, heard, shared, counters, observer, clock, output, options, orders, faults } =
            beginning;
        Ok(Self {
            proxy: Proxy::new(directory),
            sockets: SipSockets::new(&orders)?,
            backlog: Backlog::new(),
            returning: Vec::new(),
            errors: ErrorReader::default(),
            challenges: Challenges::default(),
            heard,
            shared,
            stock: Stock::new(options, STOCK),
            options,
            counters,
            observer,
            clock,
            output,
            orders,
            faults,
        })
    }

    /// Serves until the handle is dropped, or until it cannot go on. Says so when
    /// it is `running`.
    pub(super) fn run(mut self, running: Sender<()>) {
        make_way_for_media();
        // The first calls shall not wait for it, and who counts files counts them all.
        while self.stock.has_room() {
            self.stock.add();
        }
        let _ = running.send(());
        if let Err(error) = self.serve() {
            // Where nobody listens any more the daemon ends anyway.
            let _ = self.faults.send(error);
        }
    }

    fn serve(&mut self) -> Result<(), ThreadError> {
        let mut events = [EpollEvent::empty(); MAX_EVENTS];
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let mut turn = 0usize;
        loop {
            let idle = self.backlog.is_empty() && !self.stock.has_room();
            let ready = self.sockets.wait(&mut events, idle);
            let ready = ready.map_err(|error| ThreadError { what: "wait for SIP", error })?;
            if ready == 0 && self.backlog.is_empty() {
                self.stock.add();
            }
            let events = events.get_mut(..ready).unwrap_or_default();
            let mut written = Ok(());
            if events.iter().any(|&event| SipSockets::ready(event) == Ready::Woken) {
                self.orders.woken();
                // What was received before the orders is handled before them.
                let carried_out =
                    self.finish(&mut outbox).and_then(|()| self.carry_out_orders(&mut inbox, &mut outbox));
                match carried_out {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => written = Err(error),
                }
            }
            // Where not all find room, none goes without for long, and peers mostly come first.
            turn = turn.wrapping_add(1);
            events.rotate_left(turn.checked_rem(events.len()).unwrap_or(0));
            let peers_first = !turn.is_multiple_of(4);
            for peers in [peers_first, !peers_first] {
                written = written.and(self.receive_all(events, peers, &mut inbox, &mut outbox));
            }
            written = written.and(self.work_off(&mut outbox));
            self.send(&mut outbox);
            written = written.and(self.answer_unsent(&mut outbox));
            written.map_err(|error| ThreadError { what: "write to standard output", error })?;
        }
    }

    /// Takes in what waits at the sockets that are ready: those of peers, or the open ones.
    fn receive_all(
        &mut self,
        events: &[EpollEvent],
        peers: bool,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
    ) -> io::Result<()> {
        let mut written = Ok(());
        for &event in events {
            let Ready::Socket { key, failing } = SipSockets::ready(event) else { continue };
            if self.sockets.is_peer(key) != peers {
                continue;
            }
            if failing {
                self.read_errors(key, outbox);
            }
            written = written.and(self.receive(key, inbox, outbox));
        }
        written
    }

    /// Takes in what waits at a socket. A few datagrams are handled at once; where
    /// more are there, they queue up, or wait in the kernel where that has no room.
    /// Fails only where stdout does.
    fn receive(&mut self, key: usize, inbox: &mut Inbox, outbox: &mut Outbox) -> io::Result<()> {
        if !self.backlog.has_room() {
            return Ok(());
        }
        let Some(socket) = self.sockets.get(key) else { return Ok(()) };
        let (local, socket) = (socket.address, socket.socket.as_raw_fd());
        let family = Family::at(local);
        let now = self.clock.now();
        // However much comes, what waits is worked off between.
        for _ in 0..MAX_ROUNDS {
            let count = inbox.receive(socket, family);
            let datagrams = (0..count).map_while(|index| inbox.get(index));
            if count < BATCH && self.backlog.is_empty() {
                return datagrams
                    .into_iter()
                    .try_for_each(|(remote, bytes)| self.datagram(now, &Datagram { local, remote, bytes }, outbox));
            }
            datagrams.for_each(|(remote, bytes)| self.backlog.push(local, remote, bytes));
            self.shed();
            if count < BATCH || !self.backlog.has_room() {
                break;
            }
        }
        Ok(())
    }

    /// Drops what begins something where too much waits.
    fn shed(&mut self) {
        let dropped = self.backlog.shed();
        if dropped > 0 {
            self.counters.shed(dropped);
            let dropped = u64::try_from(dropped).unwrap_or(u64::MAX);
            self.shared.troubles_of(self.clock.now(), Trouble::Overload, dropped);
        }
    }

    /// Handles some of what waits; then sockets get their turn again.
    fn work_off(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        let mut written = Ok(());
        let now = self.clock.now();
        for _ in 0..BATCH {
            let Some(waiting) = self.backlog.pop() else { break };
            let datagram = Datagram { local: waiting.local, remote: waiting.remote, bytes: &waiting.bytes };
            written = written.and(self.datagram(now, &datagram, outbox));
            self.backlog.give_back(waiting);
        }
        written
    }

    /// Handles all that waits, and sends what is to leave.
    fn finish(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        let mut written = Ok(());
        while !self.backlog.is_empty() {
            written = written.and(self.work_off(outbox));
        }
        self.send(outbox);
        written
    }

    /// Takes in what ICMP says of messages; one that was too big for its path is
    /// sent again, once, now that the kernel knows what that carries.
    fn read_errors(&mut self, key: usize, outbox: &mut Outbox) {
        let Some((socket, from)) = self.sockets.descriptor(key) else { return };
        for _ in 0..MAX_ERRORS {
            let Some(error) = self.errors.next(socket) else { break };
            let IcmpError { errno, destination: Some(to) } = error else { continue };
            if errno == Errno::EMSGSIZE {
                self.send_again(key, from, to, outbox);
            } else if error.is_unreachable() && self.is_expected(to) {
                self.shared.trouble_toward(self.clock.now(), Trouble::Unreachable(errno as i32), to);
            }
        }
    }

    /// Whether somebody of the configuration should be there: anybody can make us answer
    /// to where nobody is.
    fn is_expected(&self, to: SocketAddr) -> bool {
        matches!(self.proxy.directory().source(to), Source::Phone(_) | Source::Uplink)
    }

    fn send_again(&self, key: usize, from: SocketAddr, to: SocketAddr, outbox: &mut Outbox) {
        // Not in the loop's head: it would hold the lock meanwhile.
        loop {
            let Some(Sent { bytes, .. }) = self.shared.large().take(from, to) else { break };
            self.shared.trouble_toward(self.clock.now(), Trouble::TooBig, to);
            self.push(Leaving { socket: key, to, bytes }, outbox);
        }
    }

    /// Handles one datagram.
    fn datagram(&mut self, now: Duration, datagram: &Datagram<'_>, outbox: &mut Outbox) -> io::Result<()> {
        // What we send to ourselves never goes through the network: this sender
        // is forged, perhaps with a Via of ours that it has seen.
        if self.proxy.is_ours(datagram.remote) {
            return self.record(now, datagram, Outcome::Drop(Reason::NotFromOurselves), &[]);
        }
        if let Some(from) = link_local(datagram.remote) {
            self.shared.links().hear(from);
        }
        let mut out = outbox.room();
        let outcome = self.decide(now, datagram, &mut out)?;
        self.heard.hear(now, self.proxy.sender(), Family::at(datagram.remote));
        self.pass_on(now, outcome, out, outbox)
    }

    /// Lets a message leave, or come in again as often as it comes back to ourselves.
    fn pass_on(
        &mut self,
        now: Duration,
        mut outcome: Outcome,
        mut out: Vec<u8>,
        outbox: &mut Outbox,
    ) -> io::Result<()> {
        for pass in 1..=MAX_PASSES {
            let Outcome::Send { from, to, .. } = outcome else {
                outbox.give_back(out);
                return Ok(());
            };
            if self.output == Output::Stdout {
                test_output::sent(&mut io::stdout().lock(), from, to, &out)?;
            }
            if !self.proxy.is_ours(to) {
                self.send_out(now, from, to, out, outbox);
                return Ok(());
            }
            if pass < MAX_PASSES {
                mem::swap(&mut out, &mut self.returning);
                let bytes = mem::take(&mut self.returning);
                outcome = self.decide(now, &Datagram { local: to, remote: from, bytes: &bytes }, &mut out)?;
                self.returning = bytes;
            }
        }
        outbox.give_back(out);
        self.shared.trouble(now, Trouble::Circling);
        Ok(())
    }

    /// Lets a message leave, unless it was only to be printed.
    fn send_out(&self, now: Duration, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, outbox: &mut Outbox) {
        if self.output == Output::Stdout {
            return outbox.give_back(bytes);
        }
        if is_large(from, &bytes) {
            self.shared.large().keep(from, to, &bytes);
        }
        match self.sockets.place(from, to) {
            Some(socket) => self.push(Leaving { socket, to, bytes }, outbox),
            None => self.shared.trouble_toward(now, Trouble::Unsent(Errno::EADDRNOTAVAIL as i32), to),
        }
    }

    fn push(&self, mut leaving: Leaving, outbox: &mut Outbox) {
        if let Some(to) = link_local(leaving.to) {
            leaving.to = self.shared.links().reach(to).into();
        }
        if outbox.push(leaving) {
            self.send(outbox);
        }
    }

    /// Gives the system what is to leave.
    fn send(&self, outbox: &mut Outbox) {
        self.shared.wake_urgent_relay();
        outbox.send(
            |key| self.sockets.exit(key),
            |leaving, errno| {
                debug!(to = %leaving.to, %errno, length = leaving.bytes.len(), "not sent");
                self.shared.trouble_toward(self.clock.now(), Trouble::Unsent(errno as i32), leaving.to);
                is_without_way(errno)
            },
        );
        // What is left is of calls that begin: what comes to their sockets waits there.
        self.shared.wake_relay();
    }

    /// Whoever sent a request that could not leave is told, as if its next hop said so.
    fn answer_unsent(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        let now = self.clock.now();
        while let Some(Leaving { socket, to, bytes }) = outbox.unsent() {
            let Some((_, from)) = self.sockets.descriptor(socket) else { continue };
            let mut answer = outbox.room();
            let sent = Datagram { local: from, remote: to, bytes: &bytes };
            if self.proxy.unsent(now, &sent, &mut self.shared.with(&mut self.stock), &mut answer) {
                let mut out = outbox.room();
                let outcome = self.decide(now, &Datagram { bytes: &answer, ..sent }, &mut out)?;
                self.pass_on(now, outcome, out, outbox)?;
                self.send(outbox);
            }
            outbox.give_back(answer);
        }
        Ok(())
    }

    /// Asks the proxy. When it answers, everything is done that the message needs:
    /// its media ports are open before anybody hears of them.
    fn decide(&mut self, now: Duration, datagram: &Datagram<'_>, out: &mut Vec<u8>) -> io::Result<Outcome> {
        let outcome = self.proxy.handle(now, datagram, &mut self.shared.with(&mut self.stock), out);
        self.record(now, datagram, outcome, out)?;
        Ok(outcome)
    }

    /// Logs, counts and shows what became of a datagram.
    fn record(&mut self, now: Duration, datagram: &Datagram<'_>, outcome: Outcome, sent: &[u8]) -> io::Result<()> {
        self.counters.count(outcome);
        if let Some(observer) = &self.observer {
            observer.message(&crossed(datagram, outcome, sent));
        }
        tell(datagram, outcome, sent);
        let trouble = match outcome {
            Outcome::Send { refused: None, to, .. } => {
                if let Some(why) = self.challenges.hear(now, datagram.bytes) {
                    self.shared.trouble_passing(now, Trouble::Unregistered(why), datagram.remote, to);
                }
                return Ok(());
            }
            Outcome::Send { refused: Some(reason), .. } => Trouble::Refused(reason.kind()),
            Outcome::Drop(reason) => Trouble::Dropped(reason.kind()),
        };
        if trouble.is_one() {
            self.shared.trouble_with(now, trouble, datagram);
        }
        match (self.output, outcome) {
            (Output::Stdout, Outcome::Drop(reason)) => test_output::dropped(&mut io::stdout().lock(), reason),
            _ => Ok(()),
        }
    }
}

/// Whether a message could not leave as there is no way there from here, which its sender
/// would else learn from its own patience.
fn is_without_way(errno: Errno) -> bool {
    use Errno::{EACCES, EADDRNOTAVAIL, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, EPERM};
    matches!(errno, ENETUNREACH | EHOSTUNREACH | ENETDOWN | EADDRNOTAVAIL | EPERM | EACCES | EINVAL)
}

/// Where a core is wanted by more than it has time for, a message may wait and a
/// media packet may not: this thread steps back.
fn make_way_for_media() {
    let stepped_back =
        getpriority_process(None).and_then(|nice| setpriority_process(None, nice.saturating_add(STEPS_BACK)));
    if let Err(error) = stepped_back {
        debug!(%error, "SIP threads have the priority of relay threads");
    }
}

/// A datagram and its fate, for whoever looks.
fn crossed<'a>(datagram: &Datagram<'a>, outcome: Outcome, sent: &'a [u8]) -> Crossed<'a> {
    let fate = match outcome {
        Outcome::Send { from, to, refused } => Fate::Sent { from, to, message: sent, refused },
        Outcome::Drop(reason) => Fate::Dropped(reason),
    };
    let Datagram { local, remote, bytes: received } = *datagram;
    Crossed { at: wall_clock(), local, remote, received, fate }
}
