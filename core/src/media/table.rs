//! The media table: which dialog has which streams, ports and parties.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Duration;

use super::allocations::{Allocations, Owner};
use super::command::{Command, End, SessionId};
use super::describe::Description;
use super::destination::{Destinations, Prefix};
use super::limits::{Charge, Count, Limits};
use super::saved::{Saved, Unfit};
use super::session::{HungUp, Session};
use super::signal::{Refusal, Signal};
use super::tags::{MessageTags, Tag, Tags};
use super::usage::Usage;
use super::view::{CallView, LimitView};
use crate::config::{Config, Timeouts};
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;
use crate::streams::{Grant, MAX_STREAMS, Wanted};

/// How long the shell may take to say when a session was last heard.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a call passes in the same direction with a session each.
const MAX_PASSES: u8 = 4;

/// How many questions in a row may stay without an answer.
const MAX_QUERIES: u8 = 3;

/// Why a port could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    PortTaken,
    NoSocket,
}

/// Sessions, streams and ports.
#[derive(Debug)]
pub struct Table {
    sessions: BTreeMap<SessionId, Session>,
    tags: Tags,
    allocations: Allocations,
    destinations: Destinations,
    limits: Limits,
    timeouts: Timeouts,
    deadlines: BTreeSet<(Duration, SessionId)>,
    last_session: u64,
    /// How many sessions are a call's second one in the same direction, or a later one.
    on_later_passes: usize,
}

/// The session that a message belongs to.
struct Found {
    id: SessionId,
    /// Its tags there.
    tags: MessageTags,
    /// How many of the hosts between which it goes are the session's.
    hosts: usize,
}

impl Table {
    /// An empty table.
    pub fn new(config: &Config) -> Self {
        Self {
            sessions: BTreeMap::new(),
            tags: Tags::new(config.key),
            allocations: Allocations::new(config),
            destinations: Destinations::new(config),
            limits: Limits::new(config),
            timeouts: config.timeouts,
            deadlines: BTreeSet::new(),
            last_session: 0,
            on_later_passes: 0,
        }
    }

    /// What another process needs to go on with every session: after
    /// [`Table::open_all`], and when all commands have been carried out.
    pub fn save(&self) -> Saved {
        let (set_aside, last_stream) = self.allocations.save();
        Saved {
            key: self.tags.key(),
            over: self.tags.over(),
            sessions: self.sessions.iter().map(|(&id, session)| (id, session.clone())).collect(),
            last_session: self.last_session,
            last_stream,
            set_aside,
        }
    }

    /// The table of another process, under a configuration that may be another
    /// one: its timeouts and limits hold from now on, for old sessions too.
    ///
    /// # Errors
    ///
    /// Where what was told cannot be.
    pub fn resume(config: &Config, saved: Saved) -> Result<Self, Unfit> {
        let mut table =
            Self { tags: Tags::after(saved.key, saved.over), last_session: saved.last_session, ..Self::new(config) };
        let mut streams = BTreeSet::new();
        for (id, session) in saved.sessions {
            if id.0 > saved.last_session || table.sessions.contains_key(&id) {
                return Err(Unfit::Session(id.0));
            }
            if !session.is_sound() {
                return Err(Unfit::TooLarge(id.0));
            }
            for allocation in session.media.iter().filter_map(|media| media.allocation) {
                if allocation.stream.0 > saved.last_stream || !streams.insert(allocation.stream) {
                    return Err(Unfit::Stream(allocation.stream.0));
                }
            }
            table.adopt(id, session.resumed(&config.timeouts))?;
        }
        table.allocations.resume(&saved.set_aside, saved.last_stream);
        Ok(table)
    }

    fn adopt(&mut self, id: SessionId, mut session: Session) -> Result<(), Unfit> {
        session.tags.retain(|&tag| self.tags.insert(tag, id));
        for (media_index, media) in session.media.iter().enumerate() {
            let Some(allocation) = media.allocation else { continue };
            let owner = Owner { call: session.call, session: id, caller: session.caller, media_index };
            self.allocations.adopt(owner, allocation)?;
        }
        self.on_later_passes += usize::from(session.pass > 0);
        self.limits.add(session.charged_to, session.count());
        self.deadlines.insert((session.deadline, id));
        self.sessions.insert(id, session);
        Ok(())
    }

    /// Takes in one message; where it carries a description, `grants` gets one
    /// entry for each of its `m=` lines. A retransmission changes nothing and
    /// gets the same grants.
    ///
    /// # Errors
    ///
    /// A request (but no ACK, which has no answer) that would begin a session
    /// for which there are no ports, or over a limit.
    pub fn signal(&mut self, now: Duration, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal> {
        grants.clear();
        let mut tags = self.tags.of(signal);
        let description = signal.wanted.filter(|_| signal.method.describes_media());
        let found = self.find_or_begin(now, signal, &mut tags, description)?;
        let Some((id, session)) = found.and_then(|id| Some((id, self.sessions.get_mut(&id)?))) else {
            grants.extend(description.into_iter().flatten().map(|wanted| signal.without_session(wanted)));
            return Ok(());
        };
        match description {
            // What the refusing party could do is no leg of this call.
            Some(wanted) if signal.is_refusal() => {
                grants.extend(wanted.iter().map(|wanted| signal.without_session(wanted)));
            }
            Some(wanted) => {
                learn_tags(session, id, &tags, &mut self.tags);
                let owner = Owner { call: session.call, session: id, caller: session.caller, media_index: 0 };
                let (allocations, limits, destinations) = (&mut self.allocations, &mut self.limits, &self.destinations);
                Description { now, signal, tags: &tags, owner, session, allocations, limits, destinations }
                    .read(wanted, grants);
            }
            None => {}
        }
        // One that is refused ends no dialog that was there before.
        let is_re_invite = session.is_reoffer(signal);
        if let Some(end) = advance(now, session, signal, &tags, &mut self.allocations) {
            if matches!(signal.method, Method::Bye | Method::Invite) && !is_re_invite {
                session.callees().for_each(|(callee, last)| self.tags.note_over(now, callee, signal, last));
            }
            self.end(now, id, end);
        } else {
            prove(session, &mut self.limits);
            reschedule(id, session, &self.timeouts, &mut self.deadlines);
        }
        Ok(())
    }

    /// Whether a message is late: its dialog has just ended, and it begins no session.
    pub fn is_late(&self, now: Duration, signal: &Signal<'_>) -> bool {
        self.tags.is_late(now, signal, &self.tags.of(signal))
    }

    /// A port that [`Command::Open`] asked for is another program's: the stream that
    /// has it gets another one, by a further `Open`. `false` where no other is
    /// left: a call that is only beginning ends, so that its request is refused
    /// when it is handled again; later in a call the stream goes on with port 0.
    pub fn port_taken(&mut self, now: Duration, family: Family, port: u16) -> bool {
        self.open_failed(now, (family, port), Failure::PortTaken)
    }

    /// This machine has no socket for a port that [`Command::Open`] asked for, nor
    /// would it for another one: no descriptors, the address gone. The stream loses
    /// its ports, which are free again soon, and none is asked for a moment; all else
    /// is as where [`Table::port_taken`] says `false`.
    pub fn no_socket(&mut self, now: Duration, family: Family, port: u16) {
        self.open_failed(now, (family, port), Failure::NoSocket);
    }

    /// A port could not be opened, for this reason: whether its stream has another one.
    fn open_failed(&mut self, now: Duration, (family, port): (Family, u16), failure: Failure) -> bool {
        let Some(owner) = self.allocations.owner(family, port) else { return false };
        let Some(session) = self.sessions.get_mut(&owner.session) else { return false };
        let Some(media) = session.media.get_mut(owner.media_index) else { return false };
        let Some(allocation) = media.allocation else { return false };
        media.allocation = match failure {
            Failure::PortTaken => self.allocations.replace(now, owner, allocation, family),
            Failure::NoSocket => {
                self.allocations.withdraw(now, allocation);
                None
            }
        };
        if let Some(allocation) = media.allocation {
            // Of one that has its first sockets the shell knows.
            for (side, leg) in media.legs.iter().filter(|_| allocation.unnamed.is_some()) {
                if let Some(description) = leg.description {
                    self.allocations.describe(allocation, side, description);
                }
            }
            return true;
        }
        media.legs = PerFamily::default();
        self.limits.release(session.charged_to, Count::STREAM);
        if session.is_new() {
            self.end(now, owner.session, End::NoPorts);
        }
        false
    }

    /// Opens all sockets of a session: media came before a message named them all.
    pub fn open_rest(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            open_rest(session, &mut self.allocations);
        }
    }

    /// The same of all sessions, to be told to another process.
    pub fn open_all(&mut self) {
        self.sessions.values_mut().for_each(|session| open_rest(session, &mut self.allocations));
    }

    /// When a packet of a session last came: the answer to [`Command::Query`].
    pub fn heard(&mut self, now: Duration, session: SessionId, last: Option<Duration>) {
        let Some(found) = self.sessions.get_mut(&session) else { return };
        found.open_queries = 0;
        found.heard = found.heard.max(last);
        let silence = now.saturating_sub(found.silent_since());
        if found.expires(&self.timeouts) > now {
            reschedule(session, found, &self.timeouts, &mut self.deadlines);
        } else {
            self.end(now, session, End::Silence(silence));
        }
    }

    /// Goes by the maps of another configuration from now on; sessions stay.
    pub fn reconfigure(&mut self, config: &Config) {
        self.destinations.reconfigure(config);
    }

    /// The addresses of this machine, beside those of the configuration, and the
    /// prefixes of which it takes every address for its own.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>, prefixes: Vec<Prefix>) {
        self.destinations.set_local(addresses, prefixes);
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            let Some(session) = self.sessions.get_mut(&id) else {
                self.deadlines.pop_first();
                continue;
            };
            let silence = now.saturating_sub(session.silent_since());
            let mute = session.media.iter().all(|media| media.allocation.is_none());
            if mute || session.open_queries >= MAX_QUERIES {
                self.end(now, id, End::Silence(silence));
                continue;
            }
            session.open_queries = session.open_queries.saturating_add(1);
            self.allocations.push(Command::Query { session: id });
            set_deadline(id, session, now.saturating_add(QUERY_TIMEOUT), &mut self.deadlines);
        }
    }

    /// When [`Table::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.allocations.next_command()
    }

    /// Who has the media ports. Takes a look at every session.
    pub fn usage(&self, now: Duration) -> Usage {
        let mut usage = self.allocations.usage();
        self.sessions.values().for_each(|session| usage.count(now, session));
        usage
    }

    /// The next sessions behind `after`, oldest first, at most so many: in pieces,
    /// so that who looks at thousands holds up nobody for long.
    pub fn calls(&self, now: Duration, after: Option<SessionId>, most: usize) -> Vec<CallView> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.sessions.range((start, Bound::Unbounded));
        behind.take(most).map(|(&id, session)| session.view(now, id)).collect()
    }

    /// How near the limits are. Takes a look at every stranger who has a call.
    pub fn limits(&self) -> LimitView {
        self.limits.view(self.sessions.len())
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many port pairs are in use on a side.
    pub fn ports_in_use(&self, family: Family) -> usize {
        self.allocations.in_use(family)
    }

    /// Ends all sessions: the process ends.
    pub fn shut_down(&mut self, now: Duration) {
        while let Some((&id, _)) = self.sessions.first_key_value() {
            self.end(now, id, End::Shutdown);
        }
    }

    /// The session that a message belongs to: of those of a call that passes more than
    /// once in the same direction the one with the most of its hosts.
    fn find(&self, signal: &Signal<'_>, tags: &MessageTags) -> Option<Found> {
        let found = |tags: MessageTags| {
            let id = self.tags.find(&tags)?;
            Some(Found { id, tags, hosts: self.sessions.get(&id)?.hosts_of(signal) })
        };
        if self.on_later_passes == 0 {
            return found(*tags);
        }
        (0..MAX_PASSES).rev().filter_map(|pass| found(tags.on_pass(pass))).max_by_key(|found| found.hosts)
    }

    /// Which pass of its call a message begins, being an INVITE between hosts of which none
    /// had part in those before.
    fn begun_pass(&self, signal: &Signal<'_>, found: &Found, tags: &MessageTags) -> Option<u8> {
        let begins = signal.method == Method::Invite && signal.status.is_none() && signal.to_tag.is_none();
        let is_free = |pass: &u8| self.tags.find(&tags.on_pass(*pass)).is_none();
        if begins && found.hosts == 0 { (1..MAX_PASSES).find(is_free) } else { None }
    }

    /// The session that a message belongs to, and its tags there; a description that
    /// needs one and has none begins it.
    fn find_or_begin(
        &mut self,
        now: Duration,
        signal: &Signal<'_>,
        tags: &mut MessageTags,
        description: Option<&[Wanted]>,
    ) -> Result<Option<SessionId>, Refusal> {
        let mut pass = 0;
        if let Some(found) = self.find(signal, tags) {
            match self.begun_pass(signal, &found, tags).filter(|_| description.is_some()) {
                Some(begun) => pass = begun,
                None => {
                    *tags = found.tags;
                    return Ok(Some(found.id));
                }
            }
        }
        *tags = tags.on_pass(pass);
        let Some(wanted) = description.filter(|wanted| signal.needs_session(wanted)) else { return Ok(None) };
        // A 200 that is sent again, its ACK, or what the BYE has overtaken: the call is over.
        if self.tags.is_late(now, signal, tags) {
            return Ok(None);
        }
        // Whoever was asked can make up any number of tags: one request, one session.
        if signal.status.is_some() && self.tags.has(Tag::of_branch(signal.branch)) {
            return Ok(None);
        }
        match self.begin(now, signal, tags, wanted, pass) {
            Err(_) if signal.status.is_some() || signal.method == Method::Ack => Ok(None),
            begun => begun.map(Some),
        }
    }

    /// A new session for a description that no session has.
    fn begin(
        &mut self,
        now: Duration,
        signal: &Signal<'_>,
        tags: &MessageTags,
        wanted: &[Wanted],
        pass: u8,
    ) -> Result<SessionId, Refusal> {
        let needed = wanted.iter().take(MAX_STREAMS).filter(|wanted| signal.is_relayed(wanted)).count();
        let charged_to = self.limits.admit(self.sessions.len(), signal.asked_by, needed)?;
        if self.allocations.available(now) < needed {
            self.limits.release(charged_to, Count::CALL);
            return Err(Refusal::NoPorts);
        }
        self.last_session = self.last_session.saturating_add(1);
        let id = SessionId(self.last_session);
        let mut session = Session::new(now, signal, tags, self.tags.call(signal), charged_to);
        learn_tag(&mut session, id, Tag::of_branch(signal.branch), &mut self.tags);
        session.pass = pass;
        self.on_later_passes += usize::from(pass > 0);
        // When it is looked after is set when the message has been taken in.
        self.sessions.insert(id, session);
        Ok(id)
    }

    fn end(&mut self, now: Duration, id: SessionId, end: End) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.deadlines.remove(&(session.deadline, id));
        self.on_later_passes = self.on_later_passes.saturating_sub(usize::from(session.pass > 0));
        for tag in &session.tags {
            self.tags.remove(*tag);
        }
        self.limits.release(session.charged_to, session.count());
        let allocations = session.media.iter().filter_map(|media| media.allocation);
        allocations.for_each(|allocation| self.allocations.give_back(now, allocation));
        self.allocations.push(Command::Close { session: id, obituary: Box::new(session.obituary(now, end)) });
    }
}

fn open_rest(session: &mut Session, allocations: &mut Allocations) {
    for media in &mut session.media {
        if let Some(allocation) = &mut media.allocation {
            allocations.open_rest(allocation);
        }
    }
}

/// Lets the tags of a message with a description find its session.
fn learn_tags(session: &mut Session, id: SessionId, tags: &MessageTags, all: &mut Tags) {
    for tag in [tags.sender, tags.other].into_iter().flatten() {
        learn_tag(session, id, tag, all);
    }
}

fn learn_tag(session: &mut Session, id: SessionId, tag: Tag, all: &mut Tags) {
    if session.add_tag(tag) && !all.insert(tag, id) {
        session.tags.retain(|known| *known != tag);
    }
}

/// What a message says of the call itself; how it ended, if it did.
fn advance(
    now: Duration,
    session: &mut Session,
    signal: &Signal<'_>,
    tags: &MessageTags,
    allocations: &mut Allocations,
) -> Option<End> {
    session.try_caller(signal, tags, allocations);
    match (signal.method, signal.status) {
        (Method::Invite, None) if session.is_interjected(signal, tags) => {}
        (Method::Invite, None) => session.on_invite(now, signal),
        (Method::Bye, None) => match session.on_bye(tags) {
            HungUp::Last => return Some(End::Bye(signal.arrival)),
            HungUp::Next(legs) => {
                let callee = session.caller.other();
                session.set_legs(allocations, callee, legs);
            }
            HungUp::Fork => session.recall(allocations, session.caller.other()),
            HungUp::Other => {}
        },
        (Method::Invite, Some(100..=199)) => session.on_provisional(now, signal, tags),
        (Method::Invite, Some(200..=299)) => {
            if let Some(legs) = session.on_success(now, signal, tags) {
                session.set_legs(allocations, signal.arrival, legs);
            }
        }
        (Method::Update | Method::Prack, Some(200..=299)) => {
            session.reoffer_done(signal);
            session.confirm(signal, tags);
        }
        (Method::Update | Method::Prack, Some(status @ 300..)) if session.is_doubtful() => {
            return Some(End::Failed(status));
        }
        (Method::Invite | Method::Update | Method::Prack, Some(status @ 300..)) => {
            for (side, legs) in session.roll_back(signal, tags).iter() {
                let legs = legs.iter().flatten().copied().map(Some).collect();
                session.set_legs(allocations, side, legs);
            }
            if signal.method == Method::Invite && session.on_failure(signal) {
                return Some(End::Failed(status));
            }
        }
        _ => {}
    }
    None
}

/// What somebody answers is on trust no more: nobody has forged an address and called into
/// the void.
fn prove(session: &mut Session, limits: &mut Limits) {
    if session.charged_to == Charge::OnTrust && session.is_responded() {
        limits.release(Charge::OnTrust, session.count());
        session.charged_to = Charge::Nobody;
    }
}

/// Looks after a session again when silence would end it.
fn reschedule(
    id: SessionId,
    session: &mut Session,
    timeouts: &Timeouts,
    deadlines: &mut BTreeSet<(Duration, SessionId)>,
) {
    // While a question is open, its answer decides.
    if session.open_queries == 0 {
        set_deadline(id, session, session.expires(timeouts), deadlines);
    }
}

/// Each session stands among the deadlines once, with its own.
fn set_deadline(
    id: SessionId,
    session: &mut Session,
    deadline: Duration,
    deadlines: &mut BTreeSet<(Duration, SessionId)>,
) {
    if session.deadline != deadline {
        deadlines.remove(&(session.deadline, id));
        deadlines.insert((deadline, id));
        session.deadline = deadline;
    }
}

#[cfg(test)]
#[path = "tests/table.rs"]
mod tests;
