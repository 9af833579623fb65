//! The signalling: the SIP sockets and the [`Proxy`] that decides.
//!
//! One task takes datagrams in, carries out the commands that come of each, and
//! then sends what is to be sent: media ports are open before anybody hears of
//! them. What goes to a socket of ours is handled at once instead of being sent.

mod large;
mod sockets;
mod tally;
mod trouble;

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::epoll::EpollEvent;
use tracing::{Level, debug, enabled, info, trace, warn};

use self::large::LargeMessages;
pub use self::sockets::BoundSockets;
use self::sockets::SipSockets;
use self::tally::Tally;
use self::trouble::{Decision, Trouble, call_id, start_line};
use crate::clock::Clock;
use crate::config::{Config, LatchMode};
use crate::escaped::Escaped;
use crate::family::{Family, PerFamily};
use crate::media::command::{Command, LegDescription, SessionId, StreamId};
use crate::paper;
use crate::proxy::{Datagram, Outcome, Proxy, Reason};
use crate::relay::{Notice, Relay, StreamSockets};
use crate::socket::SocketOptions;

/// The largest datagram of UDP with its header.
const DATAGRAM: usize = 65_535;
/// Datagrams taken from one socket before the others get their turn.
const BURST: usize = 16;
/// How often one datagram may come in at a socket of ours again.
const MOST_PASSES: usize = 8;
/// How many ports are tried for one datagram at the very most; the proxy gives up sooner.
const MOST_TRIES: usize = 512;

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To whom they are for.
    Network,
    /// To stdout: `--test` without files.
    Paper,
}

/// What the signalling is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The clock that the relay has too.
    pub clock: Clock,
    /// The SIP sockets.
    pub sockets: BoundSockets,
    /// How media sockets are made.
    pub options: SocketOptions,
    /// The relay threads.
    pub relay: Relay,
    /// Where messages go.
    pub output: Output,
}

/// The SIP sockets, the proxy behind them and the relay that it commands.
#[derive(Debug)]
pub struct Signalling {
    proxy: Proxy,
    clock: Clock,
    sockets: SipSockets,
    media: MediaSockets,
    relay: Relay,
    output: Output,
    /// What was received.
    incoming: Box<[u8]>,
    /// What is to be sent.
    outgoing: Vec<u8>,
    /// What was to be sent and comes in again.
    returning: Vec<u8>,
    large: LargeMessages,
    troubles: Tally<Trouble>,
    /// Descriptions of streams whose ports could not be had at the first try.
    undelivered: Vec<(StreamId, Family, LegDescription)>,
}

/// Where and how media sockets are made.
#[derive(Clone, Copy, Debug)]
struct MediaSockets {
    listen: PerFamily<IpAddr>,
    options: SocketOptions,
}

impl Signalling {
    /// Puts the parts together; a tokio runtime must be there.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let Parts { config, clock, sockets, options, relay, output } = parts;
        let listen = PerFamily::from_fn(|side| config.listen[side].ip());
        Ok(Self {
            proxy: Proxy::new(config),
            clock,
            sockets: SipSockets::watch(sockets)?,
            media: MediaSockets { listen, options },
            relay,
            output,
            incoming: vec![0; DATAGRAM].into_boxed_slice(),
            outgoing: Vec::with_capacity(DATAGRAM),
            returning: Vec::with_capacity(DATAGRAM),
            large: LargeMessages::new(),
            troubles: Tally::new(),
            undelivered: Vec::new(),
        })
    }

    /// Waits until SIP sockets are readable; gives the number of `events` to
    /// show to [`Signalling::receive`]. May be dropped at any time.
    pub async fn readable(&self, events: &mut [EpollEvent]) -> io::Result<usize> {
        self.sockets.readable(events).await
    }

    /// Handles what waits at the sockets, but from each only so much that the
    /// others and the timers get their turn. Fails only where stdout does.
    pub fn receive(&mut self, events: &[EpollEvent]) -> io::Result<()> {
        let mut incoming = mem::take(&mut self.incoming);
        let mut result = Ok(());
        for &event in events {
            self.errors(event);
            for _ in 0..BURST {
                let Some((length, local, remote)) = self.sockets.receive(event, &mut incoming) else { break };
                // What we send to ourselves never goes through the network: this
                // sender is forged, perhaps with a Via of ours that it has seen.
                if self.sockets.contains(remote) {
                    self.trouble(self.clock.now(), Trouble::Dropped(Reason::NotFromOurselves));
                    continue;
                }
                let bytes = incoming.get(..length).unwrap_or_default();
                result = result.and(self.datagram(&Datagram { local, remote, bytes }));
            }
        }
        self.incoming = incoming;
        result
    }

    /// Takes in what ICMP says of messages; one that was too big for its path is
    /// sent again, once, now that the kernel knows what that carries.
    fn errors(&mut self, event: EpollEvent) {
        let Some((socket, from)) = self.sockets.failing(event) else { return };
        while let Some(error) = self.large.next_error(socket) {
            let Some(to) = error else { continue };
            while let Some(message) = self.large.take(from, to) {
                debug!(%from, %to, length = message.bytes.len(), "too big for its path");
                self.trouble(self.clock.now(), Trouble::TooBig);
                self.transmit(from, to, &message.bytes);
            }
        }
    }

    /// Handles one datagram, and again as often as it comes back to ourselves.
    fn datagram(&mut self, datagram: &Datagram<'_>) -> io::Result<()> {
        let now = self.clock.now();
        let mut outcome = self.decide(now, datagram)?;
        for _ in 0..MOST_PASSES {
            let Some(Outcome::Send { from, to, .. }) = outcome else { return Ok(()) };
            self.send(from, to)?;
            if !self.sockets.contains(to) {
                return Ok(());
            }
            mem::swap(&mut self.outgoing, &mut self.returning);
            let bytes = mem::take(&mut self.returning);
            outcome = self.decide(now, &Datagram { local: to, remote: from, bytes: &bytes })?;
            self.returning = bytes;
        }
        self.trouble(now, Trouble::Circling);
        Ok(())
    }

    /// Asks the proxy, and carries out what it wants done before the message
    /// leaves. Where a port is taken the proxy names another one and writes the
    /// message anew. `None`: nothing is to be sent.
    fn decide(&mut self, now: Duration, datagram: &Datagram<'_>) -> io::Result<Option<Outcome>> {
        let mut tries = 0..MOST_TRIES;
        let outcome = loop {
            let outcome = self.proxy.handle(now, datagram, &mut self.outgoing);
            if self.carry_out(now, &mut tries) {
                break Some(outcome);
            }
            if tries.is_empty() {
                break None;
            }
        };
        self.undelivered.clear();
        self.record(now, datagram, outcome)?;
        Ok(outcome)
    }

    /// Logs and counts what became of a datagram.
    fn record(&mut self, now: Duration, datagram: &Datagram<'_>, outcome: Option<Outcome>) -> io::Result<()> {
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
            Some(Outcome::Send { refused: None, .. }) => return Ok(()),
            Some(Outcome::Send { refused: Some(reason), .. }) => Trouble::Refused(reason),
            Some(Outcome::Drop(reason)) => Trouble::Dropped(reason),
            None => Trouble::NoPorts,
        };
        self.trouble(now, trouble);
        match (self.output, outcome) {
            (Output::Paper, Some(Outcome::Drop(reason))) => paper::dropped(&mut io::stdout().lock(), reason),
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
        if self.sockets.contains(to) {
            return Ok(());
        }
        self.large.keep(from, to, &self.outgoing);
        let message = mem::take(&mut self.outgoing);
        self.transmit(from, to, &message);
        self.outgoing = message;
        Ok(())
    }

    /// Gives a message to the system.
    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        // A first failure may be an error for a datagram before this one.
        let sent = self.sockets.send(from, to, message).or_else(|_| self.sockets.send(from, to, message));
        if let Err(error) = sent {
            debug!(%from, %to, %error, length = message.len(), "not sent");
            self.trouble(self.clock.now(), Trouble::Unsent(error.raw_os_error().unwrap_or(0)));
        }
    }

    /// Carries out the proxy's commands; `false`: a port was taken, so that the
    /// message must be written anew.
    fn carry_out(&mut self, now: Duration, tries: &mut Range<usize>) -> bool {
        let mut complete = true;
        while let Some(command) = self.proxy.next_command() {
            match command {
                Command::Open { session, stream, ports, latch } => {
                    complete &= self.open(now, (session, stream), ports, latch, tries);
                }
                Command::Describe { stream, side, leg } if self.relay.knows(stream) => {
                    self.relay.describe(stream, side, leg);
                }
                Command::Describe { stream, side, leg } => self.undelivered.push((stream, side, leg)),
                Command::Query { session } => self.relay.query(session),
                Command::CloseStream { stream } => self.relay.close_stream(stream),
                Command::Close { session, obituary } => self.relay.close(session, obituary),
            }
        }
        self.relay.wake();
        complete
    }

    fn open(
        &mut self,
        now: Duration,
        (session, stream): (SessionId, StreamId),
        ports: PerFamily<u16>,
        latch: LatchMode,
        tries: &mut Range<usize>,
    ) -> bool {
        let taken = match StreamSockets::bind(self.media.listen, ports, self.media.options) {
            Ok(sockets) => {
                self.relay.open(session, stream, latch, sockets);
                for (_, side, leg) in self.undelivered.extract_if(.., |(of, ..)| *of == stream) {
                    self.relay.describe(stream, side, leg);
                }
                return true;
            }
            Err(taken) => taken,
        };
        debug!(error = %taken, "media port");
        self.trouble(now, Trouble::Unbound(taken.error.cause.raw_os_error().unwrap_or(0)));
        // After too many tries the proxy is not asked for yet another port.
        if tries.next().is_some() {
            self.proxy.port_taken(now, taken.side, taken.port);
        }
        false
    }

    /// When [`Signalling::timers`] is to be called next.
    pub fn deadline(&self) -> Option<Duration> {
        self.proxy.poll_timeout()
    }

    /// Carries out what is due.
    pub fn timers(&mut self) {
        let now = self.clock.now();
        self.proxy.handle_timeout(now);
        self.carry_out_beside(now);
    }

    /// Takes in what a relay thread tells.
    pub fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Heard { session, last } => {
                let now = self.clock.now();
                self.proxy.heard(now, session, last);
                self.carry_out_beside(now);
            }
            Notice::Ended(ending) => {
                self.relay.ended();
                ending.log();
            }
        }
    }

    /// Carries out commands that no datagram asked for.
    fn carry_out_beside(&mut self, now: Duration) {
        self.carry_out(now, &mut (0..MOST_TRIES));
        self.undelivered.clear();
    }

    /// A side's uplink was looked up.
    pub fn set_uplink(&mut self, side: Family, addresses: Vec<IpAddr>) {
        self.proxy.set_uplink(side, addresses);
    }

    /// What is done once a minute: reads the addresses of this machine anew,
    /// and tells what was held back from the log.
    pub fn every_minute(&mut self) {
        match local_addresses() {
            Ok(addresses) => self.proxy.set_local_addresses(addresses),
            Err(error) => warn!(%error, "cannot read the addresses of this machine"),
        }
        let now = self.clock.now();
        for (trouble, count) in self.troubles.due(now) {
            trouble.log(count);
        }
    }

    fn trouble(&mut self, now: Duration, trouble: Trouble) {
        if trouble.is_worth_a_line()
            && let Some(count) = self.troubles.count(now, trouble)
        {
            trouble.log(count);
            if trouble.is_about_ports() {
                info!("{}", self.proxy.port_usage(now));
            }
        }
    }

    /// Closes the SIP sockets; media goes on.
    pub fn stop_listening(&mut self) {
        self.sockets.close();
    }

    /// How many media sessions there are.
    pub fn sessions(&self) -> usize {
        self.proxy.sessions()
    }

    /// Whether no session is left and the end of each was told.
    pub fn is_idle(&self) -> bool {
        self.proxy.sessions() == 0 && self.relay.is_idle()
    }
}

/// The addresses of this machine.
fn local_addresses() -> io::Result<Vec<IpAddr>> {
    let ip = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(nix::ifaddrs::getifaddrs()?.filter_map(ip).collect())
}
