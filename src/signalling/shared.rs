//! What all SIP threads and the main thread share.
//!
//! Messages without business of media never come here. Each lock is taken for
//! itself and none while another is held; the order of what is done under one is
//! that of a single thread, so that nobody sees another's half-done commands.
//!
//! Commands of the table go to the handle of the relay, which wakes no thread for them. A
//! stream that begins stays in the handle ([`Relay::is_beginning`]); any other order lies
//! with its thread, unread. Either makes the memory `unwoken`: whoever sends messages calls
//! [`Shared::wake_relay`] once they have left, and what came to a new socket before that
//! has waited in it. An order about a stream that others know of already is `urgent`, as
//! media may answer the message: [`Shared::wake_urgent_relay`] is called before that
//! leaves. It is noted in [`Calls`] while the lock is held, and handed on to all threads
//! when it is released.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::Notify;
use tracing::{debug, info};

use super::endings::Endings;
use super::link_local::Links;
use super::local_addresses::LocalAddresses;
use super::rate_limited_log::Tally;
use super::too_big::LargeMessages;
use super::trouble::{Last, Trouble};
use crate::config::{Config, LatchMode};
use crate::family::{Family, PerFamily};
use crate::limit::{AnswerLimit, Asker};
use crate::media::command::{Command, LegDescription, SessionId, StreamId};
use crate::media::signal::{Refusal, Signal};
use crate::media::table::Table;
use crate::proxy::{Datagram, State};
use crate::relay::{OpenPair, PortTaken, Relay, Stock, StreamSockets};
use crate::socket::SocketOptions;
use crate::streams::{Grant, Transport, Wanted};
use crate::task::lock;

/// How many ports are tried for one message at the very most; the table gives up sooner.
const MAX_TRIES: usize = 512;

/// The memory of the daemon, for all its threads.
#[derive(Debug)]
pub(super) struct Shared {
    calls: Mutex<Calls>,
    answers: Mutex<AnswerLimit>,
    troubles: Mutex<Tally<Trouble>>,
    endings: Mutex<Endings>,
    large: Mutex<LargeMessages>,
    links: Mutex<Links>,
    /// Relay threads have orders to read and were not woken yet.
    unwoken: AtomicBool,
    /// No message may leave before they were, as media may answer it.
    urgent: AtomicBool,
    /// The table wants its timers looked at sooner than [`Shared::deadline`] said.
    sooner: Notify,
}

/// The media sessions with what carries out their commands.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) table: Table,
    pub(super) relay: Relay,
    media: MediaSockets,
    /// Descriptions of streams whose ports could not be had at the first try.
    undelivered: Vec<(StreamId, Family, LegDescription)>,
    /// A relay thread was told something of a stream that others know; until the lock is
    /// released.
    urgent: bool,
    /// The `errno` of each port that could not be bound, until it is told.
    unbound: Vec<i32>,
    /// Until when the main thread sleeps.
    armed: Option<Duration>,
}

/// Where and how media sockets are made.
#[derive(Clone, Copy, Debug)]
struct MediaSockets {
    listen: PerFamily<IpAddr>,
    options: SocketOptions,
}

impl Shared {
    pub(super) fn new(config: &Config, options: SocketOptions, relay: Relay) -> Self {
        let media = MediaSockets { listen: PerFamily::from_fn(|side| config.listen[side].ip()), options };
        let calls = Calls {
            table: Table::new(config),
            relay,
            media,
            undelivered: Vec::new(),
            urgent: false,
            unbound: Vec::new(),
            armed: None,
        };
        Self {
            calls: Mutex::new(calls),
            answers: Mutex::new(AnswerLimit::new(&config.key)),
            troubles: Mutex::new(Tally::new()),
            endings: Mutex::new(Endings::default()),
            large: Mutex::new(LargeMessages::default()),
            links: Mutex::new(Links::default()),
            unwoken: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            sooner: Notify::new(),
        }
    }

    /// The memory as the proxy of a SIP thread asks it, which has these sockets.
    pub(super) fn with<'a>(&'a self, stock: &'a mut Stock) -> Asking<'a> {
        Asking { shared: self, stock }
    }

    /// Does something with the sessions, carries out what comes of it, and tells
    /// what went wrong. No SIP message is handled meanwhile that says something of
    /// media.
    pub(super) fn calls<R>(&self, now: Duration, act: impl FnOnce(&mut Calls) -> R) -> R {
        let mut calls = lock(&self.calls);
        let result = act(&mut calls);
        self.carry_out(now, calls);
        result
    }

    #[inline(never)] // Once for all that is done.
    fn carry_out(&self, now: Duration, mut calls: MutexGuard<'_, Calls>) {
        let mut stock = Stock::none(calls.media.options);
        calls.carry_out(now, &mut stock, &mut (0..MAX_TRIES));
        self.release_calls(now, calls);
        self.wake_relay();
    }

    /// Wakes the relay threads where what they have to read is urgent; to be
    /// called before a message leaves that may have asked for something, and once
    /// for many.
    pub(super) fn wake_urgent_relay(&self) {
        if self.urgent.load(Ordering::Acquire) {
            self.wake_relay();
        }
    }

    /// Wakes the relay threads that have orders to read; to be called once messages
    /// have left. What comes to a new socket before waits in it.
    pub(super) fn wake_relay(&self) {
        if self.unwoken.load(Ordering::Acquire) {
            let mut calls = lock(&self.calls);
            calls.relay.wake();
            // Not before: whoever sees this sends at once. They are set under the same
            // lock, so that none is missed.
            self.urgent.store(false, Ordering::Release);
            self.unwoken.store(false, Ordering::Release);
        }
    }

    /// Takes a look at the sessions.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Calls) -> R) -> R {
        look(&lock(&self.calls))
    }

    /// Releases the lock once the commands are carried out, and does what is to be done then.
    fn release_calls(&self, now: Duration, mut calls: MutexGuard<'_, Calls>) {
        calls.undelivered.clear();
        let unbound = std::mem::take(&mut calls.unbound);
        if calls.relay.has_unread() {
            self.unwoken.store(true, Ordering::Release);
        }
        if std::mem::take(&mut calls.urgent) {
            self.urgent.store(true, Ordering::Release);
        }
        let next = calls.table.poll_timeout();
        let sooner = next.is_some_and(|next| calls.armed.is_none_or(|armed| next < armed));
        if sooner {
            calls.armed = next;
        }
        drop(calls);
        if sooner {
            self.sooner.notify_one();
        }
        for errno in unbound {
            self.trouble(now, Trouble::Unbound(errno));
        }
    }

    /// When the timers are to be looked at next. Should that change,
    /// [`Shared::sooner`] ends.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let mut calls = lock(&self.calls);
        calls.armed = calls.table.poll_timeout();
        calls.armed
    }

    /// The counts of our own answers.
    pub(super) fn answers(&self) -> MutexGuard<'_, AnswerLimit> {
        lock(&self.answers)
    }

    /// Ends when [`Shared::deadline`] has another answer, a sooner one.
    pub(super) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Counts a trouble, and logs it if a line about it is due.
    pub(super) fn trouble(&self, now: Duration, trouble: Trouble) {
        self.troubles_of(now, trouble, 1);
    }

    /// Counts a trouble with this datagram, and logs it if a line about it is due.
    pub(super) fn trouble_with(&self, now: Duration, trouble: Trouble, datagram: &Datagram<'_>) {
        self.count(now, trouble, 1, Last::Datagram(datagram));
    }

    /// Counts a trouble with a message that was to leave for there, and logs it if a line
    /// about it is due.
    pub(super) fn trouble_toward(&self, now: Duration, trouble: Trouble, to: SocketAddr) {
        self.count(now, trouble, 1, Last::Toward(to));
    }

    /// Counts a trouble that a message tells of, which passes from one to the other, and
    /// logs it if a line about it is due.
    pub(super) fn trouble_passing(&self, now: Duration, trouble: Trouble, from: SocketAddr, to: SocketAddr) {
        self.count(now, trouble, 1, Last::Passing(from, to));
    }

    /// Counts a trouble that came so many times, and logs it if a line about it is due.
    pub(super) fn troubles_of(&self, now: Duration, trouble: Trouble, times: u64) {
        self.count(now, trouble, times, Last::Unknown);
    }

    /// Counts a trouble in this call, and logs it if a line about it is due.
    fn trouble_of_call(&self, now: Duration, trouble: Trouble, call_id: &[u8]) {
        self.count(now, trouble, 1, Last::Call(call_id));
    }

    fn count(&self, now: Duration, trouble: Trouble, times: u64, last: Last<'_>) {
        let due = lock(&self.troubles).count(now, trouble, times);
        if let Some(count) = due {
            trouble.log(count, last);
            if trouble.is_about_ports() {
                let usage = self.look(|calls| calls.table.usage(now));
                info!("{usage}");
            }
        }
    }

    /// Logs what was held back from the log.
    pub(super) fn log_held_back(&self, now: Duration) {
        let due: Vec<_> = lock(&self.troubles).due(now).collect();
        for (trouble, count) in due {
            trouble.log(count, Last::Unknown);
        }
        self.endings().log_held_back();
    }

    /// What of the ends of calls was told.
    pub(super) fn endings(&self) -> MutexGuard<'_, Endings> {
        lock(&self.endings)
    }

    /// How often each trouble came since the start.
    pub(super) fn troubles(&self) -> HashMap<Trouble, u64> {
        lock(&self.troubles).totals().collect()
    }

    /// The last large messages.
    pub(super) fn large(&self) -> MutexGuard<'_, LargeMessages> {
        lock(&self.large)
    }

    /// Where link-local addresses are.
    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        lock(&self.links)
    }

    /// What this machine takes for itself now.
    pub(super) fn set_local(&self, LocalAddresses { addresses, prefixes, .. }: LocalAddresses) {
        lock(&self.calls).table.set_local_addresses(addresses, prefixes);
    }
}

/// What the proxy of each SIP thread asks.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    shared: &'a Shared,
    /// The sockets that the thread has made in advance.
    stock: &'a mut Stock,
}

impl State for Asking<'_> {
    /// Where a port is taken the table names another one and is asked anew: the
    /// same signal again changes nothing but that.
    fn signal(&mut self, now: Duration, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal> {
        if signal.wanted.is_some() && self.stock.is_low() {
            // Not behind the lock, where it would be done else.
            self.stock.add();
        }
        let mut calls = lock(&self.shared.calls);
        let mut tries = 0..MAX_TRIES;
        let result = loop {
            let result = calls.table.signal(now, signal, grants);
            if calls.carry_out(now, self.stock, &mut tries) {
                break result;
            }
            if tries.is_empty() {
                refuse(grants);
                break result;
            }
        };
        // What a call that is over says again is left out of none.
        let trouble = left_out(signal, grants).filter(|_| !calls.table.is_late(now, signal));
        self.shared.release_calls(now, calls);
        if let (Ok(()), Some(trouble)) = (&result, trouble) {
            self.shared.trouble_of_call(now, trouble, signal.call_id);
        }
        result
    }

    fn admits_answer(&mut self, now: Duration, to: IpAddr, asker: Asker) -> bool {
        self.shared.answers().admits(now, to, asker)
    }
}

/// Why a stream of a message that is forwarded gets port 0 toward the other side, if
/// one does that did not have it. Who refuses a call wants none.
fn left_out(signal: &Signal<'_>, grants: &[Grant]) -> Option<Trouble> {
    let mut streams = signal.wanted.into_iter().flatten().zip(grants);
    let is_left_out = |(wanted, grant): &(&Wanted, &Grant)| wanted.port != 0 && **grant == Grant::Refused;
    let (wanted, _) = streams.find(is_left_out).filter(|_| signal.status.is_none_or(|status| status < 300))?;
    Some(if wanted.transport == Transport::NotRelayable { Trouble::NotRelayable } else { Trouble::Unserved })
}

/// Takes back what cannot be had.
fn refuse(grants: &mut [Grant]) {
    grants.iter_mut().filter(|grant| matches!(grant, Grant::Relayed { .. })).for_each(|grant| *grant = Grant::Refused);
}

impl Calls {
    /// Carries out the table's commands; `false`: a port was taken, so that the
    /// signal must be given anew.
    fn carry_out(&mut self, now: Duration, stock: &mut Stock, tries: &mut Range<usize>) -> bool {
        let mut complete = true;
        while let Some(command) = self.table.next_command() {
            self.urgent |= match &command {
                Command::Open { .. } | Command::OpenRest { .. } => false,
                Command::Describe { stream, .. } => self.relay.knows(*stream) && !self.relay.is_beginning(*stream),
                Command::Query { .. } | Command::CloseStream { .. } | Command::Close { .. } => true,
            };
            match command {
                Command::Open { session, stream, ports, side, latch } => {
                    let bound = StreamSockets::bind(self.media.listen, ports, side, stock);
                    let opened = bound.map(|sockets| self.open(session, stream, latch, sockets));
                    complete &= self.note_opened(now, opened, tries);
                }
                Command::OpenRest { stream, side, port } => {
                    let bound = OpenPair::bind(SocketAddr::new(self.media.listen[side], port), stock);
                    let opened = bound.map(|sockets| self.relay.open_rest(stream, side, sockets));
                    complete &= self.note_opened(now, opened, tries);
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
        complete
    }

    fn open(&mut self, session: SessionId, stream: StreamId, latch: LatchMode, sockets: StreamSockets) {
        self.relay.open(session, stream, latch, sockets);
        for (_, side, leg) in self.undelivered.extract_if(.., |(of, ..)| *of == stream) {
            self.relay.describe(stream, side, leg);
        }
    }

    /// Tells the table where a port could not be opened; whether it could.
    fn note_opened(&mut self, now: Duration, opened: Result<(), PortTaken>, tries: &mut Range<usize>) -> bool {
        let Err(taken) = opened else { return true };
        debug!(error = %taken, "media port");
        let errno = taken.error.cause.raw_os_error().unwrap_or(0);
        self.unbound.push(errno);
        // After too many tries the table is not asked for yet another port.
        if tries.next().is_some() {
            match Errno::from_raw(errno) {
                Errno::EADDRINUSE | Errno::EACCES => {
                    self.table.port_taken(now, taken.side, taken.port);
                }
                _ => self.table.no_socket(now, taken.side, taken.port),
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "tests/shared.rs"]
mod tests;
