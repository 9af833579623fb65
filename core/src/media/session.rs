//! A session: what the messages of one call have said of its media.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{self, LegDescription, Obituary, SessionId, Wish};
use super::exchange::{Exchange, Order};
use super::relays::Relay;
use super::signal::{Sender, Signal};
use super::tags::{MessageTags, Tag};
use super::trial::Trial;
use super::view::{CallState, CallView, StreamView};
use crate::config::Timeouts;
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;
use crate::streams::MAX_STREAMS;

/// How many dialogs of a forked call are remembered.
const MAX_DIALOGS: usize = 32;

/// How many branches of a forked INVITE are remembered: where there are more, its failure
/// on these is not its end.
const MAX_BRANCHES: usize = 64;

/// How many of the places are remembered where an INVITE went.
const MOST_WENT_TO: usize = 32;

/// How many tags find a session.
const MAX_TAGS: usize = 32;

/// As much of a Call-ID as the log shows.
const MAX_CALL_ID: usize = 256;

/// How long an INVITE may go without any answer (RFC 3261 §17.1.1: timer B is 32 s).
const TRYING: Duration = Duration::from_secs(40);

/// One session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The Call-ID, for the log.
    pub call_id: Box<[u8]>,
    /// The Call-ID, as its tags have it.
    pub call: u128,
    /// The side that called.
    pub caller: Family,
    /// Each side's party, by the address of its SIP.
    pub parties: PerFamily<Option<SocketAddr>>,
    /// For whom it counts.
    pub asked_by: Option<IpAddr>,
    /// Which addresses of strangers get packets unasked.
    pub trial: Trial,
    /// When it began.
    pub began: Duration,
    /// When it is looked after next.
    pub deadline: Duration,
    /// When a packet came last, as far as is known.
    pub heard: Option<Duration>,
    /// How many questions when it was last heard are open.
    pub asked: u8,
    /// What finds it.
    pub tags: Vec<Tag>,
    /// Its `m=` lines, in order.
    pub lines: Vec<Line>,
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
    went_to: Vec<IpAddr>,
    /// Something came back: a provisional response, or an answer.
    ringing: bool,
    /// The last message that put the end off.
    active: Duration,
    reoffers: PerFamily<Option<Reoffer>>,
    /// Each side's descriptions outside a dialog.
    order: PerFamily<Order>,
}

/// One `m=` line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Its sockets; `None`: it never needed or never got any.
    pub relay: Option<Relay>,
    /// The side whose offer has an address of the other family already.
    pub untouched_by: Option<Family>,
    /// The request for which there were no ports: its side and CSeq.
    pub refused: Option<(Family, u32)>,
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

/// A dialog of the session, by the callee's tag (RFC 3261 §12).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Dialog {
    callee: Tag,
    /// Who spoke of it first.
    source: IpAddr,
    /// The callee did so, too: nobody else could make its tag up.
    by_callee: bool,
    answered: bool,
    /// A BYE ended it, and another goes on.
    over: bool,
    /// The callee's description, by line.
    legs: Vec<Option<LegState>>,
    /// Each side's descriptions.
    order: PerFamily<Order>,
}

/// A description that is taken back if its request fails.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reoffer {
    method: Method,
    cseq: u32,
    /// What it replaced, on its sender's side, and its answer on the other.
    before: PerFamily<Option<Vec<LegState>>>,
    /// What the callee had said in this dialog, if the request is the callee's.
    said: Option<Vec<Option<LegState>>>,
}

impl Reoffer {
    fn is_of(&self, signal: &Signal<'_>) -> bool {
        self.cseq == signal.cseq && self.method == signal.method
    }
}

impl Session {
    /// The session that `signal`, with a description, begins.
    pub fn new(now: Duration, signal: &Signal<'_>, tags: &MessageTags, call: u128, asked_by: Option<IpAddr>) -> Self {
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
            asked_by,
            trial: Trial::default(),
            began: now,
            deadline: now,
            heard: None,
            asked: 0,
            tags: Vec::new(),
            lines: Vec::new(),
            answered: None,
            exchange: Exchange::new(caller, signal.cseq),
            caller_tag,
            dialogs: Vec::new(),
            branches: if signal.method == Method::Invite { vec![signal.branch] } else { Vec::new() },
            more_branches: false,
            went_to: if signal.status.is_none() { vec![signal.destination.ip()] } else { Vec::new() },
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
    pub fn invited(&mut self, now: Duration, signal: &Signal<'_>) {
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
            if self.went_to.len() < MOST_WENT_TO {
                self.went_to.push(signal.destination.ip());
            }
        }
    }

    /// Whether one of its INVITEs went to this address.
    pub fn is_asked_at(&self, address: IpAddr) -> bool {
        self.went_to.contains(&address)
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
    pub fn rang(&mut self, now: Duration, signal: &Signal<'_>, tags: &MessageTags) {
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
    pub fn confirmed(&mut self, signal: &Signal<'_>, tags: &MessageTags) {
        let request = (signal.requester(), signal.cseq);
        let callee = self.callee_tag(signal, tags);
        let mut dialogs = self.dialogs.iter().filter(|dialog| Some(dialog.callee) == callee);
        self.ringing |= dialogs.any(|dialog| dialog.order[request.0].is_of(request));
    }

    /// Whether all that is known of it is a request within a dialog: it may be of a
    /// call from before a restart of ours, or made up.
    pub fn is_doubtful(&self) -> bool {
        self.answered.is_some() && !self.ringing && self.heard.is_none()
    }

    /// The INVITE failed on one branch; whether that was the last hope.
    pub fn failed(&mut self, signal: &Signal<'_>) -> bool {
        if self.answered.is_some() || signal.arrival == self.caller {
            return false;
        }
        // A callee may have one tag for several calls, whose failures are not this one's.
        let before = self.branches.len();
        self.branches.retain(|branch| *branch != signal.branch);
        self.branches.is_empty() && before > 0 && !self.more_branches
    }

    /// A 2xx to the INVITE came: the first one's dialog has the callee's leg from
    /// now on. The answer is the callee's description if it is another one's now.
    pub fn answered(
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

    /// Whether a BYE ends the answered dialog. Another answered one goes on, if
    /// there is one: its callee's description is in the answer.
    pub fn hung_up(&mut self, tags: &MessageTags) -> HungUp {
        let (Some(answered), Some(caller)) = (self.answered, self.caller_tag) else { return HungUp::Other };
        let both = [tags.sender, tags.other];
        if !both.contains(&Some(caller)) {
            return HungUp::Other;
        }
        let Some(gone) = both.into_iter().flatten().find(|&tag| tag != caller) else { return HungUp::Other };
        let mut is_known = false;
        for dialog in self.dialogs.iter_mut().filter(|dialog| dialog.callee == gone) {
            (dialog.answered, dialog.over) = (false, true);
            is_known = true;
        }
        if gone != answered {
            return if is_known { HungUp::Fork } else { HungUp::Other };
        }
        let Some(next) = self.dialogs.iter().find(|dialog| dialog.answered) else { return HungUp::Last };
        self.answered = Some(next.callee);
        HungUp::Next(next.legs.clone())
    }

    /// Whether a request of the caller has a tag that a callee told it: what we send there
    /// arrives.
    pub fn is_reached(&self, signal: &Signal<'_>, tags: &MessageTags) -> bool {
        let told = |dialog: &Dialog| dialog.by_callee && Some(dialog.callee) == tags.other;
        signal.arrival == self.caller && signal.status.is_none() && self.dialogs.iter().any(told)
    }

    /// How far a description counts: older ones do not, nor do the legs of a
    /// dialog that is not the answered one.
    pub fn heed(&mut self, signal: &Signal<'_>, tags: &MessageTags) -> Heed {
        let request = (signal.requester(), signal.cseq);
        let is_final = matches!(signal.status, Some(200..=299));
        let callee = self.callee_tag(signal, tags);
        let answered = self.answered;
        let order = match callee {
            Some(callee) => self.dialog(callee, signal).filter(|dialog| !dialog.over).map(|dialog| &mut dialog.order),
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

    /// Whether this side's party has described itself within a dialog.
    fn is_within(&self, side: Family) -> bool {
        self.dialogs.iter().any(|dialog| dialog.order[side].has_any())
    }

    /// Keeps what a callee says of a line, for when its dialog gets the leg;
    /// whether it said so before, and another fork's word may be newer.
    pub fn remember(&mut self, signal: &Signal<'_>, tags: &MessageTags, index: usize, leg: &LegState) -> bool {
        if signal.arrival == self.caller || index >= MAX_STREAMS {
            return false;
        }
        let open = self.answered.is_none();
        let Some(dialog) = self.callee_tag(signal, tags).and_then(|callee| self.dialog(callee, signal)) else {
            return false;
        };
        if dialog.legs.len() <= index {
            dialog.legs.resize(index + 1, None);
        }
        let Some(said) = dialog.legs.get_mut(index) else { return false };
        let repeated = said.as_ref() == Some(leg);
        if !repeated {
            *said = Some(*leg);
        }
        open && repeated
    }

    /// Before a description within a dialog changes anything: keeps what was,
    /// until the response says whether it holds (RFC 3261 §14.1, RFC 3311 §5.1).
    pub fn reoffered(&mut self, signal: &Signal<'_>, tags: &MessageTags, answer: bool) {
        let callee = tags.sender.filter(|_| signal.arrival != self.caller);
        let said = || {
            callee
                .and_then(|callee| self.dialogs.iter().find(|dialog| dialog.callee == callee))
                .map(|dialog| dialog.legs.clone())
        };
        let legs = || self.lines.iter().map(|line| line.legs[signal.arrival]).collect();
        let changes = matches!(signal.method, Method::Invite | Method::Update | Method::Prack);
        let changes = changes && signal.status.is_none() && !answer;
        match &mut self.reoffers[signal.requester()] {
            Some(reoffer) if reoffer.is_of(signal) => {
                reoffer.before[signal.arrival].get_or_insert_with(legs);
            }
            // One in a PRACK comes while that of a re-INVITE is open.
            Some(_) if signal.method == Method::Prack => {}
            slot if changes && signal.to_tag.is_some() => {
                let mut before = PerFamily::default();
                before[signal.arrival] = Some(legs());
                *slot = Some(Reoffer { method: signal.method, cseq: signal.cseq, before, said: said() });
            }
            _ => {}
        }
    }

    /// Whether the last description within a dialog is of the request that `signal` answers.
    pub fn is_reoffer(&self, signal: &Signal<'_>) -> bool {
        self.reoffers[signal.requester()].as_ref().is_some_and(|reoffer| reoffer.is_of(signal))
    }

    /// The legs as they were before the request that `signal` refuses.
    pub fn taken_back(&mut self, signal: &Signal<'_>, tags: &MessageTags) -> PerFamily<Option<Vec<LegState>>> {
        let Some(Reoffer { mut before, said, .. }) = self.reoffer(signal) else { return PerFamily::default() };
        let callee = self.callee_tag(signal, tags);
        if let Some(dialog) = self.dialogs.iter_mut().find(|dialog| Some(dialog.callee) == callee) {
            for side in Family::BOTH {
                // What came after it, as the answer to another request, stays.
                before[side].take_if(|_| !dialog.order[side].refuse((signal.requester(), signal.cseq)));
            }
            if let Some(said) = said {
                dialog.legs = said;
            }
        }
        // A line that it added was not there.
        for side in Family::BOTH {
            before[side].iter_mut().for_each(|legs| legs.resize(self.lines.len(), LegState::default()));
        }
        before
    }

    /// The request that `signal` accepts needs no taking back any more.
    pub fn reoffer_done(&mut self, signal: &Signal<'_>) {
        self.reoffer(signal);
    }

    fn reoffer(&mut self, signal: &Signal<'_>) -> Option<Reoffer> {
        self.reoffers[signal.requester()].take_if(|reoffer| reoffer.is_of(signal))
    }

    /// Something new was said of the media at this time.
    pub fn touched(&mut self, now: Duration) {
        self.active = now;
    }

    /// Whether nothing of it is more than there can be: what another process tells
    /// must not make this one grow.
    pub fn is_sound(&self) -> bool {
        let legs = |legs: &[LegState]| legs.len() <= MAX_STREAMS;
        let before = || self.reoffers.iter().filter_map(|(_, reoffer)| reoffer.as_ref());
        self.call_id.len() <= MAX_CALL_ID
            && self.tags.len() <= MAX_TAGS
            && self.lines.len() <= MAX_STREAMS
            && self.branches.len() <= MAX_BRANCHES
            && self.went_to.len() <= MOST_WENT_TO
            && self.dialogs.len() <= MAX_DIALOGS
            && self.dialogs.iter().all(|dialog| dialog.legs.len() <= MAX_STREAMS)
            && before().flat_map(|reoffer| reoffer.before.iter()).all(|(_, before)| before.as_deref().is_none_or(legs))
            && before().filter_map(|reoffer| reoffer.said.as_ref()).all(|said| said.len() <= MAX_STREAMS)
    }

    /// Goes on in another process: a question that was open is asked again.
    pub fn resumed(mut self, timeouts: &Timeouts) -> Self {
        self.asked = 0;
        self.deadline = self.expires(timeouts);
        self
    }

    /// When silence ends it, if no packet came since.
    pub fn expires(&self, timeouts: &Timeouts) -> Duration {
        let wait = if self.is_doubtful() {
            TRYING
        } else if self.answered.is_some() {
            if self.is_quiet() { timeouts.hold } else { timeouts.rtp }
        } else if self.ringing {
            timeouts.ringing
        } else {
            TRYING
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

    /// What the log line at its end tells.
    pub fn obituary(self, now: Duration, end: command::End) -> Obituary {
        Obituary {
            end,
            parties: self.parties,
            caller: self.caller,
            duration: now.saturating_sub(self.began),
            answered: self.answered.is_some() && !self.is_doubtful(),
            rang: self.ringing,
            by_stranger: self.asked_by.is_some(),
            wishes: PerFamily::from_fn(|side| self.wish(side)),
            call_id: self.call_id.into_vec(),
        }
    }

    /// What can be seen of it from outside.
    pub fn view(&self, now: Duration, session: SessionId) -> CallView {
        let state = if self.is_doubtful() {
            CallState::Trying
        } else if self.answered.is_some() {
            if self.is_quiet() && self.is_held() { CallState::Held } else { CallState::Answered }
        } else if self.ringing {
            CallState::Ringing
        } else {
            CallState::Trying
        };
        let relays = self.lines.iter().filter_map(|line| line.relay);
        CallView {
            session,
            call_id: self.call_id.clone(),
            caller: self.caller,
            parties: self.parties,
            state,
            age: now.saturating_sub(self.began),
            wishes: PerFamily::from_fn(|side| self.wish(side)),
            streams: relays.map(|relay| StreamView { stream: relay.stream, ports: relay.ports }).collect(),
        }
    }

    /// Whether a party holds a stream back.
    fn is_held(&self) -> bool {
        self.lines.iter().any(|line| line.legs.iter().any(|(_, leg)| leg.held))
    }

    fn wish(&self, side: Family) -> Wish {
        let described = || self.lines.iter().map(|line| line.legs[side]).filter(|leg| leg.described);
        let mut open = described().filter(|leg| !leg.closed).peekable();
        if described().next().is_none() {
            Wish::Unsaid
        } else if open.peek().is_none() {
            Wish::Closed
        } else if open.all(|leg| leg.held) {
            Wish::Held
        } else {
            Wish::Open
        }
    }

    /// Whether any packets can be missed: none come where nothing is relayed,
    /// and none need to come where every stream is held back.
    pub fn is_quiet(&self) -> bool {
        let live = |line: &&Line| {
            let legs = || line.legs.iter().map(|(_, leg)| leg);
            line.relay.is_some() && legs().any(|leg| leg.described) && !legs().any(|leg| leg.closed)
        };
        self.lines.iter().filter(live).all(|line| line.legs.iter().any(|(_, leg)| leg.held))
    }

    /// The callees of its dialogs, and the CSeqs of the requests that described media in
    /// each last.
    pub fn callees(&self) -> impl Iterator<Item = (Tag, PerFamily<Option<u32>>)> {
        let last = |dialog: &Dialog| PerFamily::from_fn(|side| dialog.order[side].newest(side));
        self.dialogs.iter().map(move |dialog| (dialog.callee, last(dialog)))
    }

    /// The callee's tag in a message.
    fn callee_tag(&self, signal: &Signal<'_>, tags: &MessageTags) -> Option<Tag> {
        if signal.arrival == self.caller { tags.other } else { tags.sender }
    }

    /// The dialog with this callee; one that was never answered makes room: of the same
    /// source, if it has any, as tags are easily made up.
    fn dialog(&mut self, callee: Tag, signal: &Signal<'_>) -> Option<&mut Dialog> {
        let by_callee = signal.arrival != self.caller;
        if let Some(index) = self.dialogs.iter().position(|dialog| dialog.callee == callee) {
            let dialog = self.dialogs.get_mut(index)?;
            dialog.by_callee |= by_callee;
            return Some(dialog);
        }
        let source = signal.source.ip();
        if self.dialogs.len() >= MAX_DIALOGS {
            let is_open = |dialog: &Dialog| !dialog.answered;
            let own = self.dialogs.iter().position(|dialog| is_open(dialog) && dialog.source == source);
            let oldest = own.or_else(|| self.dialogs.iter().position(is_open))?;
            self.dialogs.remove(oldest);
        }
        self.dialogs.push(Dialog {
            callee,
            source,
            by_callee,
            answered: false,
            over: false,
            legs: Vec::new(),
            order: PerFamily::default(),
        });
        self.dialogs.last_mut()
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
