//! A session: what the messages of one call have said of its media.

mod dialog;
mod summary;

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::dialog::{Dialog, MAX_DIALOGS, Reoffer};
use super::allocations::Allocation;
use super::command::LegDescription;
use super::exchange::{Exchange, Order};
use super::limits::{Charge, Count};
use super::signal::{RequestId, Sender, Signal};
use super::tags::{CallHash, MessageTags, Tag};
use super::trial::Trial;
use crate::config::Timeouts;
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;
use crate::streams::MAX_STREAMS;

/// How many branches of a forked INVITE are remembered: where there are more, its failure
/// on these is not its end.
const MAX_BRANCHES: usize = 64;

/// How many of the places are remembered where an INVITE went.
const MAX_INVITED_ADDRESSES: usize = 32;

/// How many tags find a session.
const MAX_TAGS: usize = 32;

/// As much of a Call-ID as the log shows.
const MAX_CALL_ID: usize = 256;

/// How long an INVITE may go without any answer (RFC 3261 §17.1.1: timer B is 32 s).
const TRYING_TIMEOUT: Duration = Duration::from_secs(40);

/// One session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The Call-ID, for the log.
    pub call_id: Box<[u8]>,
    /// The Call-ID, as its tags have it.
    pub call: CallHash,
    /// The side that called.
    pub caller: Family,
    /// Each side's party, by the address of its SIP.
    pub parties: PerFamily<Option<SocketAddr>>,
    /// For whom it counts.
    pub charged_to: Charge,
    /// Which addresses of strangers get packets unasked.
    pub trial: Trial,
    /// When it began.
    pub began: Duration,
    /// When it is looked after next.
    pub deadline: Duration,
    /// When a packet came last, as far as is known.
    pub heard: Option<Duration>,
    /// How many questions when it was last heard are open.
    pub open_queries: u8,
    /// How often its call has passed in the same direction before.
    pub pass: u8,
    /// What finds it.
    pub tags: Vec<Tag>,
    /// What is known of its `m=` lines, in order.
    pub media: Vec<MediaState>,
    /// The dialog that was answered first and lasts.
    pub answered: Option<Tag>,
    /// Where offer and answer stand.
    pub exchange: Exchange,
    caller_tag: Option<Tag>,
    dialogs: Vec<Dialog>,
    branches: Vec<u64>,
    /// There are more of these than are remembered.
    more_branches: bool,
    /// Where its INVITEs went.
    invited_addresses: Vec<IpAddr>,
    /// Something came back: a provisional response, or an answer.
    ringing: bool,
    /// The last message that put the end off.
    active: Duration,
    reoffers: PerFamily<Option<Reoffer>>,
    /// Each side's descriptions outside a dialog.
    order: PerFamily<Order>,
}

/// What is known of one `m=` line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct MediaState {
    /// Its sockets; `None`: it never needed or never got any.
    pub allocation: Option<Allocation>,
    /// The side whose offer has an address of the other family already.
    pub untouched_by: Option<Family>,
    /// The request for which there were no ports.
    pub refused: Option<RequestId>,
    /// What is known of each party.
    pub legs: PerFamily<LegState>,
}

/// What is known of one party of one `m=` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LegState {
    /// What the stream was told.
    pub description: Option<LegDescription>,
    /// That came from the party itself, not from where an offer went.
    pub described: bool,
    /// The party holds the stream back.
    pub held: bool,
    /// The party refused or removed the stream.
    pub closed: bool,
}

impl Session {
    /// The session that `signal`, with a description, begins.
    pub fn new(now: Duration, signal: &Signal<'_>, tags: &MessageTags, call: CallHash, charged_to: Charge) -> Self {
        let caller = signal.requester();
        let caller_tag = if signal.status.is_none() { tags.sender } else { tags.other };
        let call_id = signal.call_id.get(..MAX_CALL_ID).unwrap_or(signal.call_id);
        let mut parties = PerFamily::new(None, None);
        parties[signal.arrival] = Some(signal.source);
        parties[signal.arrival.other()] = Some(signal.destination);
        let mut session = Self {
            call_id: call_id.into(),
            call,
            caller,
            parties,
            charged_to,
            trial: Trial::default(),
            began: now,
            deadline: now,
            heard: None,
            open_queries: 0,
            pass: 0,
            tags: Vec::new(),
            media: Vec::new(),
            answered: None,
            exchange: Exchange::new(signal.request_id()),
            caller_tag,
            dialogs: Vec::new(),
            branches: vec![signal.branch],
            more_branches: false,
            invited_addresses: if signal.status.is_none() { vec![signal.destination.ip()] } else { Vec::new() },
            ringing: false,
            active: now,
            reoffers: PerFamily::default(),
            order: PerFamily::default(),
        };
        // In the middle of a call (we were restarted): it is answered already.
        if signal.method != Method::Invite {
            session.answered = session.callee_tag(signal, tags);
        }
        session
    }

    /// Notes a tag of this session; `false`: it is known or one too many.
    pub fn add_tag(&mut self, tag: Tag) -> bool {
        let new = self.tags.len() < MAX_TAGS && !self.tags.contains(&tag);
        if new {
            self.tags.push(tag);
        }
        new
    }

    /// An INVITE request is under way.
    pub fn on_invite(&mut self, now: Duration, signal: &Signal<'_>) {
        let order = self.exchange.begin(signal);
        if self.answered.is_some() || signal.arrival != self.caller || order == Ordering::Less {
            return;
        }
        // Who asks again, with a password, has given up what he asked before.
        if order == Ordering::Greater {
            self.branches.clear();
            self.more_branches = false;
        }
        if self.add_branch(signal) {
            self.active = now;
            if self.invited_addresses.len() < MAX_INVITED_ADDRESSES {
                self.invited_addresses.push(signal.destination.ip());
            }
        }
    }

    /// How many of the two hosts between which a message goes are its parties.
    pub fn hosts_of(&self, signal: &Signal<'_>) -> usize {
        let is = |side: Family, at: SocketAddr| self.parties[side].is_some_and(|party| party.ip() == at.ip());
        let out = signal.arrival.other();
        let receives = is(out, signal.destination) || self.has_invited(signal.destination.ip());
        usize::from(is(signal.arrival, signal.source)) + usize::from(receives)
    }

    /// Whether one of its INVITEs went to this address.
    pub fn has_invited(&self, address: IpAddr) -> bool {
        self.invited_addresses.contains(&address)
    }

    /// Whether it is a new one, and there was room for it.
    fn add_branch(&mut self, signal: &Signal<'_>) -> bool {
        if self.branches.contains(&signal.branch) {
            return false;
        }
        let has_room = self.branches.len() < MAX_BRANCHES;
        if has_room {
            self.branches.push(signal.branch);
        }
        self.more_branches |= !has_room;
        has_room
    }

    /// A provisional response to the INVITE came.
    pub fn on_provisional(&mut self, now: Duration, signal: &Signal<'_>, tags: &MessageTags) {
        if self.answered.is_some() || signal.arrival == self.caller {
            return;
        }
        // Of an INVITE without an offer, which came before there was a session. With one,
        // the branch is known, or has failed already.
        if tags.other == self.caller_tag && !self.exchange.is_offer_of(self.caller) {
            self.add_branch(signal);
        }
        self.ringing = true;
        self.active = now;
    }

    /// Whoever is asked knows of the dialog: what is answered is the last thing that was
    /// said, no request from before.
    pub fn confirm(&mut self, signal: &Signal<'_>, tags: &MessageTags) {
        let request = signal.request_id();
        let callee = self.callee_tag(signal, tags);
        let mut dialogs = self.dialogs.iter().filter(|dialog| Some(dialog.callee) == callee);
        self.ringing |= dialogs.any(|dialog| dialog.order[request.side].is_of(request));
    }

    /// Whether all that is known of it is a request within a dialog: it may be of a
    /// call from before a restart of ours, or made up.
    pub fn is_doubtful(&self) -> bool {
        self.answered.is_some() && !self.ringing && self.heard.is_none()
    }

    /// The INVITE failed on one branch; whether that was the last hope.
    pub fn on_failure(&mut self, signal: &Signal<'_>) -> bool {
        // A callee may have one tag for several calls: another one's branch is none of this one's.
        self.branches.retain(|branch| *branch != signal.branch);
        self.answered.is_none() && self.branches.is_empty() && !self.more_branches
    }

    /// A 2xx to the INVITE came: the first one's dialog has the callee's leg from
    /// now on. The answer is the callee's description if it is another one's now.
    pub fn on_success(
        &mut self,
        now: Duration,
        signal: &Signal<'_>,
        tags: &MessageTags,
    ) -> Option<Vec<Option<LegState>>> {
        self.reoffer_done(signal);
        self.ringing = true;
        if signal.arrival == self.caller {
            return None;
        }
        self.branches.retain(|branch| *branch != signal.branch);
        let callee = self.callee_tag(signal, tags)?;
        let first = self.answered.is_none();
        let dialog = self.dialog(callee, signal).filter(|dialog| !dialog.over)?;
        dialog.answered = true;
        let legs = first.then(|| dialog.legs.clone())?;
        self.answered = Some(callee);
        self.active = now;
        Some(legs)
    }

    /// A BYE came: whether it ends the answered dialog. Another answered one goes on, if
    /// there is one: its callee's description is in the answer.
    pub fn on_bye(&mut self, tags: &MessageTags) -> HungUp {
        let (Some(answered), Some(caller)) = (self.answered, self.caller_tag) else { return HungUp::Other };
        let both = [tags.sender, tags.other];
        if !both.contains(&Some(caller)) {
            return HungUp::Other;
        }
        let Some(gone) = both.into_iter().flatten().find(|&tag| tag != caller) else { return HungUp::Other };
        // One that is sent again ends nothing any more.
        let mut ends = false;
        for dialog in self.dialogs.iter_mut().filter(|dialog| dialog.callee == gone && !dialog.over) {
            (dialog.answered, dialog.over, ends) = (false, true, true);
        }
        if gone != answered {
            return if ends { HungUp::Fork } else { HungUp::Other };
        }
        let Some(next) = self.dialogs.iter().find(|dialog| dialog.answered) else { return HungUp::Last };
        self.answered = Some(next.callee);
        HungUp::Next(next.legs.clone())
    }

    /// Whether a request of the caller, from where it called, has a tag that a callee told
    /// it: what we send there arrives. A response says that of any host that does SIP, as 481.
    pub fn is_reached(&self, signal: &Signal<'_>, tags: &MessageTags) -> bool {
        let told = |dialog: &Dialog| dialog.by_callee && Some(dialog.callee) == tags.other;
        signal.status.is_none() && !self.is_from_elsewhere(signal) && self.dialogs.iter().any(told)
    }

    /// How far a description counts: older ones do not, nor do the legs of a
    /// dialog that is not the answered one.
    pub fn heed(&mut self, signal: &Signal<'_>, tags: &MessageTags) -> Heed {
        let request = signal.request_id();
        let is_final = matches!(signal.status, Some(200..=299));
        let callee = self.callee_tag(signal, tags);
        let answered = self.answered;
        let order = match callee {
            Some(callee) => self.dialog(callee, signal).map(|dialog| &mut dialog.order),
            // An INVITE outside a dialog says nothing of one that was answered, nor
            // anything that is newer than what was said within one.
            None if answered.is_some() || (signal.status.is_none() && self.is_within(signal.arrival)) => None,
            None => Some(&mut self.order),
        };
        if !order.is_some_and(|order| order[signal.arrival].admit(request, is_final)) {
            return Heed::Outdated;
        }
        if answered.is_none() || answered == callee { Heed::Current } else { Heed::Aside }
    }

    /// Whether a request is by somebody who knows no more of the call than its Call-ID and
    /// the caller's tag, as everybody does who was called, too, or may watch it.
    pub fn is_interjected(&self, signal: &Signal<'_>, tags: &MessageTags) -> bool {
        let callee = self.callee_tag(signal, tags);
        signal.status.is_none()
            && self.is_from_elsewhere(signal)
            && !self.dialogs.iter().any(|dialog| Some(dialog.callee) == callee)
    }

    /// Whether a generic sender comes from elsewhere than when the call was set up. Any
    /// single packet can claim that, answers would not reach whoever forged it.
    pub fn is_from_elsewhere(&self, signal: &Signal<'_>) -> bool {
        let party = self.parties[signal.arrival];
        signal.sender == Sender::Generic && party.is_some_and(|party| party.ip() != signal.source.ip())
    }

    /// Something new was said of the media at this time.
    pub fn touch(&mut self, now: Duration) {
        self.active = now;
    }

    /// Whether nothing of it is more than there can be: what another process tells
    /// must not make this one grow.
    pub fn is_sound(&self) -> bool {
        self.call_id.len() <= MAX_CALL_ID
            && self.tags.len() <= MAX_TAGS
            && self.media.len() <= MAX_STREAMS
            && self.branches.len() <= MAX_BRANCHES
            && self.invited_addresses.len() <= MAX_INVITED_ADDRESSES
            && self.dialogs.len() <= MAX_DIALOGS
            && self.dialogs.iter().all(Dialog::is_sound)
            && self.reoffers.iter().filter_map(|(_, reoffer)| reoffer.as_ref()).all(Reoffer::is_sound)
    }

    /// Goes on in another process: a question that was open is asked again.
    pub fn resumed(mut self, timeouts: &Timeouts) -> Self {
        self.open_queries = 0;
        self.deadline = self.expires(timeouts);
        self
    }

    /// When silence ends it, if no packet came since.
    pub fn expires(&self, timeouts: &Timeouts) -> Duration {
        let wait = if self.is_doubtful() {
            TRYING_TIMEOUT
        } else if self.answered.is_some() {
            if self.is_quiet() { timeouts.hold } else { timeouts.rtp }
        } else if self.ringing {
            timeouts.ringing
        } else {
            TRYING_TIMEOUT
        };
        self.silent_since().saturating_add(wait)
    }

    /// Since when nothing put its end off.
    pub fn silent_since(&self) -> Duration {
        self.active.max(self.heard.unwrap_or_default())
    }

    /// Whether nothing came back yet for the request that began it.
    pub fn is_new(&self) -> bool {
        self.answered.is_none() && !self.ringing
    }

    /// Whether whoever is called has said anything of it.
    pub fn is_responded(&self) -> bool {
        self.ringing
    }

    /// What counts of it.
    pub fn count(&self) -> Count {
        Count { streams: self.media.iter().filter(|media| media.allocation.is_some()).count(), ..Count::CALL }
    }

    /// The callee's tag in a message.
    fn callee_tag(&self, signal: &Signal<'_>, tags: &MessageTags) -> Option<Tag> {
        if signal.arrival == self.caller { tags.other } else { tags.sender }
    }
}

/// How far a description counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heed {
    /// It sets the leg of its sender.
    Current,
    /// Another dialog has the legs; it is kept.
    Aside,
    /// A newer one came before it.
    Outdated,
}

/// What a BYE does to a session.
#[derive(Debug)]
pub enum HungUp {
    /// It ends.
    Last,
    /// It goes on with another dialog, whose callee described its legs so.
    Next(Vec<Option<LegState>>),
    /// It goes on with the dialog that has the media; the other one may have spoken first.
    Fork,
    /// Nothing: it is of no dialog that is known.
    Other,
}
