//! One SIP thread.
//!
//! A level-triggered epoll loop around a [`Proxy`]: datagrams in, what the proxy
//! decides out. What goes to a socket of ours is handled at once, on this thread,
//! instead of being sent. Only messages that say something of media, and our own
//! answers, touch what threads share.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use nix::sys::epoll::EpollEvent;
use nix::sys::eventfd::EventFd;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{Level, debug, enabled, error, trace};

use super::counters::{Counters, LastHeard};
use super::large::{ErrorReader, is_large};
use super::shared::Shared;
use super::sockets::{Ready, SipSocket, SipSockets};
use super::trouble::{Decision, Trouble, call_id, start_line};
use super::{Fault, Output};
use crate::address::Directory;
use crate::clock::Clock;
use crate::escaped::Escaped;
use crate::family::Family;
use crate::observer::{Crossed, Fate, Observer, time_of_day};
use crate::paper;
use crate::proxy::{Datagram, Outcome, Proxy, Reason};

/// The largest datagram of UDP with its header.
const DATAGRAM: usize = 65_535;
/// SIP sockets served at a waking.
const EVENTS: usize = 64;
/// Datagrams taken from one socket before the others get their turn.
const BURST: usize = 16;
/// How often one datagram may come in at a socket of ours again.
const MOST_PASSES: usize = 8;

/// What the main thread tells a SIP thread. Orders are carried out in order,
/// between datagrams.
#[derive(Debug)]
pub(super) enum Order {
    /// Watch these sockets too.
    Serve(Vec<SipSocket>),
    /// Hand back the sockets at these addresses, all where it is `None`. What
    /// arrives from then on waits in them, until they are served again or closed.
    Release(Option<Vec<SocketAddr>>, Sender<Vec<SipSocket>>),
    /// Go by these addresses.
    Readdress(Arc<Directory>, Arc<LastHeard>),
}

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
    pub(super) orders: Receiver<Order>,
    pub(super) wake: Arc<EventFd>,
    pub(super) faults: UnboundedSender<Fault>,
}

/// One SIP thread: what it owns.
#[derive(Debug)]
pub(super) struct Worker {
    proxy: Proxy,
    sockets: SipSockets,
    /// What was received.
    incoming: Box<[u8]>,
    /// What is to be sent.
    outgoing: Vec<u8>,
    /// What was to be sent and comes in again.
    returning: Vec<u8>,
    errors: ErrorReader,
    heard: Arc<LastHeard>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    observer: Option<Observer>,
    clock: Clock,
    output: Output,
    orders: Receiver<Order>,
    wake: Arc<EventFd>,
    faults: UnboundedSender<Fault>,
}

impl Worker {
    /// A thread's belongings, before it starts. It has no sockets yet.
    pub(super) fn new(beginning: Beginning) -> io::Result<Self> {
        let Beginning { directory, heard, shared, counters, observer, clock, output, orders, wake, faults } = beginning;
        Ok(Self {
            proxy: Proxy::new(directory),
            sockets: SipSockets::new(&wake)?,
            incoming: vec![0; DATAGRAM].into_boxed_slice(),
            outgoing: Vec::with_capacity(DATAGRAM),
            returning: Vec::with_capacity(DATAGRAM),
            errors: ErrorReader::new(),
            heard,
            shared,
            counters,
            observer,
            clock,
            output,
            orders,
            wake,
            faults,
        })
    }

    /// Serves until the handle is dropped, or until it cannot go on.
    pub(super) fn run(mut self) {
        if let Err(fault) = self.serve() {
            // Where nobody listens any more the daemon ends anyway.
            let _ = self.faults.send(fault);
        }
    }

    fn serve(&mut self) -> Result<(), Fault> {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let ready = self.sockets.wait(&mut events).map_err(|error| Fault { what: "wait for SIP", error })?;
            let events = events.get(..ready).unwrap_or_default();
            if events.iter().any(|&event| SipSockets::ready(event) == Ready::Woken) {
                let _ = self.wake.read();
                if !self.carry_out_orders() {
                    return Ok(());
                }
            }
            for &event in events {
                if let Ready::Socket { key, failing } = SipSockets::ready(event) {
                    if failing {
                        self.read_errors(key);
                    }
                    self.receive(key).map_err(|error| Fault { what: "write to standard output", error })?;
                }
            }
        }
    }

    /// Does what the main thread ordered; `false`: the handle is gone.
    fn carry_out_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Serve(sockets)) => {
                    for socket in sockets {
                        let address = socket.address;
                        if let Err(error) = self.sockets.add(socket) {
                            error!(%address, %error, "a SIP socket cannot be watched; see fs.epoll.max_user_watches");
                        }
                    }
                }
                Ok(Order::Release(addresses, reply)) => {
                    // Where nobody waits for them they close.
                    let _ = reply.send(self.sockets.remove(addresses.as_deref()));
                }
                Ok(Order::Readdress(directory, heard)) => {
                    self.proxy.set_directory(directory);
                    self.heard = heard;
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Handles what waits at a socket, but only so much that the others get
    /// their turn. Fails only where stdout does.
    fn receive(&mut self, key: usize) -> io::Result<()> {
        let mut incoming = mem::take(&mut self.incoming);
        let mut result = Ok(());
        for _ in 0..BURST {
            let Some(SipSocket { address: local, socket }) = self.sockets.get(key) else { break };
            // Errors are those of single packets (a bad checksum): nothing that stays.
            let Ok((length, remote)) = socket.recv_from(&mut incoming) else { break };
            let bytes = incoming.get(..length).unwrap_or_default();
            let datagram = Datagram { local: *local, remote, bytes };
            result = result.and(self.datagram(&datagram));
        }
        self.incoming = incoming;
        result
    }

    /// Takes in what ICMP says of messages; one that was too big for its path is
    /// sent again, once, now that the kernel knows what that carries.
    fn read_errors(&mut self, key: usize) {
        let Some((socket, from)) = self.sockets.descriptor(key) else { return };
        while let Some(error) = self.errors.next(socket) {
            let Some(to) = error else { continue };
            // Not in the loop's head: it would hold the lock meanwhile.
            loop {
                let Some(message) = self.shared.large().take(from, to) else { break };
                debug!(%from, %to, length = message.bytes.len(), "too big for its path");
                self.shared.trouble(self.clock.now(), Trouble::TooBig);
                self.transmit(from, to, &message.bytes);
            }
        }
    }

    /// Handles one datagram, and again as often as it comes back to ourselves.
    fn datagram(&mut self, datagram: &Datagram<'_>) -> io::Result<()> {
        let now = self.clock.now();
        // What we send to ourselves never goes through the network: this sender
        // is forged, perhaps with a Via of ours that it has seen.
        if self.proxy.is_ours(datagram.remote) {
            return self.record(now, datagram, Outcome::Drop(Reason::NotFromOurselves));
        }
        let mut outcome = self.decide(now, datagram)?;
        for _ in 0..MOST_PASSES {
            let Outcome::Send { from, to, .. } = outcome else { return Ok(()) };
            self.send(from, to)?;
            if !self.proxy.is_ours(to) {
                return Ok(());
            }
            mem::swap(&mut self.outgoing, &mut self.returning);
            let bytes = mem::take(&mut self.returning);
            outcome = self.decide(now, &Datagram { local: to, remote: from, bytes: &bytes })?;
            self.returning = bytes;
        }
        self.shared.trouble(now, Trouble::Circling);
        Ok(())
    }

    /// Asks the proxy. When it answers, everything is done that the message needs:
    /// its media ports are open before anybody hears of them.
    fn decide(&mut self, now: Duration, datagram: &Datagram<'_>) -> io::Result<Outcome> {
        let outcome = self.proxy.handle(now, datagram, &mut &*self.shared, &mut self.outgoing);
        self.heard.hear(now, self.proxy.sender(), Family::of(datagram.remote.ip()));
        self.record(now, datagram, outcome)?;
        Ok(outcome)
    }

    /// Logs, counts and shows what became of a datagram.
    fn record(&mut self, now: Duration, datagram: &Datagram<'_>, outcome: Outcome) -> io::Result<()> {
        self.counters.count(outcome);
        if let Some(observer) = &self.observer {
            observer.message(&crossed(datagram, outcome, &self.outgoing));
        }
        if enabled!(Level::DEBUG) {
            debug!(
                from = %datagram.remote,
                to = %datagram.local,
                decision = %Decision(outcome),
                start_line = %Escaped(start_line(datagram.bytes), 120),
                call_id = %Escaped(call_id(datagram.bytes), 120),
                "datagram"
            );
            trace!(bytes = %Escaped(datagram.bytes, DATAGRAM), "in");
        }
        let trouble = match outcome {
            Outcome::Send { refused: None, .. } => return Ok(()),
            Outcome::Send { refused: Some(reason), .. } => Trouble::Refused(reason),
            Outcome::Drop(reason) => Trouble::Dropped(reason),
        };
        if trouble.is_worth_a_line() {
            self.shared.trouble(now, trouble);
        }
        match (self.output, outcome) {
            (Output::Paper, Outcome::Drop(reason)) => paper::dropped(&mut io::stdout().lock(), reason),
            _ => Ok(()),
        }
    }

    /// Sends what the proxy wrote, or prints it. What is for a socket of ours
    /// is only printed.
    fn send(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<()> {
        trace!(%from, %to, bytes = %Escaped(&self.outgoing, DATAGRAM), "out");
        if self.output == Output::Paper {
            return paper::sent(&mut io::stdout().lock(), from, to, &self.outgoing);
        }
        if self.proxy.is_ours(to) {
            return Ok(());
        }
        if is_large(from, &self.outgoing) {
            self.shared.large().keep(from, to, &self.outgoing);
        }
        self.transmit(from, to, &self.outgoing);
        Ok(())
    }

    /// Gives a message to the system.
    fn transmit(&self, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        // A first failure may be an error for a datagram before this one.
        let sent = self.sockets.send(from, to, message).or_else(|_| self.sockets.send(from, to, message));
        if let Err(error) = sent {
            debug!(%from, %to, %error, length = message.len(), "not sent");
            self.shared.trouble(self.clock.now(), Trouble::Unsent(error.raw_os_error().unwrap_or(0)));
        }
    }
}

/// A datagram and its fate, for whoever looks.
fn crossed<'a>(datagram: &Datagram<'a>, outcome: Outcome, sent: &'a [u8]) -> Crossed<'a> {
    let fate = match outcome {
        Outcome::Send { from, to, refused } => Fate::Sent { from, to, message: sent, refused },
        Outcome::Drop(reason) => Fate::Dropped(reason),
    };
    let Datagram { local, remote, bytes: received } = *datagram;
    Crossed { at: time_of_day(), local, remote, received, fate }
}
