//! One description: what it says of each leg, and what each of its `m=` lines gets.

use std::net::SocketAddr;
use std::time::Duration;

use super::allocations::{Allocation, Allocations, Owner};
use super::command::LegDescription;
use super::destination::{Destinations, RelaySocket};
use super::exchange::DescriptionRole;
use super::limits::{Count, Limits};
use super::session::{Heed, LegState, MediaState, Session};
use super::signal::{RequestId, Sender, Signal};
use super::tags::MessageTags;
use super::trial;
use crate::family::Family;
use crate::sip::method::Method;
use crate::streams::{Grant, MAX_STREAMS, Transport, Wanted};

/// A description on its way into a session.
#[derive(Debug)]
pub struct Description<'a> {
    /// The time.
    pub now: Duration,
    /// The message that carries it.
    pub signal: &'a Signal<'a>,
    /// The tags of that.
    pub tags: &'a MessageTags,
    /// Whose new ports would be.
    pub owner: Owner,
    /// The session.
    pub session: &'a mut Session,
    /// Ports and commands.
    pub allocations: &'a mut Allocations,
    /// What strangers may have.
    pub limits: &'a mut Limits,
    /// Where the relay may be aimed.
    pub destinations: &'a Destinations,
}

impl Description<'_> {
    /// Lets each line set its sender's leg, and says what it gets.
    pub fn read(mut self, wanted: &[Wanted], grants: &mut Vec<Grant>) {
        if self.session.is_interjected(self.signal, self.tags) {
            grants.extend(wanted.iter().enumerate().map(|(index, wanted)| self.as_it_is(index, wanted)));
            return;
        }
        if self.signal.status.is_none() && self.signal.method == Method::Invite {
            self.session.on_invite(self.now, self.signal);
        }
        let role = self.session.exchange.take(self.signal);
        let heed = self.session.heed(self.signal, self.tags);
        if heed == Heed::Current {
            self.session.keep_for_rollback(self.signal, self.tags, role);
            if !self.has_moved() {
                self.session.parties[self.signal.arrival] = Some(self.signal.source);
            }
        }
        let share = self.share(wanted);
        for (index, wanted) in wanted.iter().enumerate() {
            let grant = if index < MAX_STREAMS { self.media(index, wanted, role, heed, share) } else { Grant::Refused };
            grants.push(grant);
        }
    }

    /// What a line gets without changing anything.
    fn as_it_is(&self, index: usize, wanted: &Wanted) -> Grant {
        let out = self.signal.arrival.other();
        match self.session.media.get(index).and_then(|media| media.allocation) {
            Some(allocation) if self.signal.is_relayed(wanted) && allocation.unnamed != Some(out) => {
                Grant::Relayed { port: allocation.ports[out] }
            }
            _ => self.signal.without_session(wanted),
        }
    }

    /// The packets that each line may send to an address that has not answered:
    /// all lines together have one budget, whomever they name.
    fn share(&self, wanted: &[Wanted]) -> u16 {
        let named = wanted.iter().filter(|wanted| self.signal.is_relayed(wanted)).take(MAX_STREAMS).count();
        trial::share(named)
    }

    fn media(&mut self, index: usize, wanted: &Wanted, role: DescriptionRole, heed: Heed, share: u16) -> Grant {
        if self.session.media.len() <= index {
            self.session.media.resize(index + 1, MediaState::default());
        }
        let (side, out) = (self.signal.arrival, self.signal.arrival.other());
        let Some(&MediaState { allocation, untouched_by, refused, .. }) = self.session.media.get(index) else {
            return Grant::Refused;
        };
        let is_nowhere = wanted.address.is_some_and(|address| address.is_unspecified());
        // Who receives elsewhere receives nowhere for a while, not here.
        let is_held_there = is_nowhere && untouched_by == Some(side) && wanted.port != 0;
        if is_held_there || self.signal.is_untouched(wanted) {
            self.update(index, |media| media.untouched_by = Some(side));
            return Grant::Untouched;
        }
        if !self.signal.is_relayed(wanted) {
            let closed = LegState { description: None, described: true, held: false, closed: true };
            self.set(index, allocation, &closed, heed);
            return Grant::Refused;
        }
        if role == DescriptionRole::Answer && untouched_by == Some(out) {
            return Grant::Untouched;
        }
        let Some(mut allocation) = allocation.or_else(|| self.open(index, refused, out)) else { return Grant::Refused };
        if allocation.unnamed == Some(out) {
            self.allocations.open_rest(&mut allocation);
            self.update(index, |media| media.allocation = Some(allocation));
        }
        if role == DescriptionRole::Offer {
            self.update(index, |media| media.untouched_by = None);
        }
        let description = Some(self.leg(wanted, share));
        let leg = LegState { description, described: true, held: wanted.held, closed: false };
        self.set(index, Some(allocation), &leg, heed);
        self.expect(index, allocation, wanted.transport);
        Grant::Relayed { port: allocation.ports[out] }
    }

    fn update(&mut self, index: usize, change: impl FnOnce(&mut MediaState)) {
        if let Some(media) = self.session.media.get_mut(index) {
            change(media);
        }
    }

    /// Ports for a line that has none, of which one side is `told`. Where there were
    /// none for a request, there are none for its retransmission, whatever was freed
    /// since.
    fn open(&mut self, index: usize, refused: Option<RequestId>, told: Family) -> Option<Allocation> {
        let request = Some(self.signal.request_id());
        if refused == request {
            return None;
        }
        let charged_to = self.session.charged_to;
        let admitted = self.limits.admit_stream(charged_to);
        let allocation = admitted
            .then(|| self.allocations.open(self.now, Owner { media_index: index, ..self.owner }, told))
            .flatten();
        if admitted && allocation.is_none() {
            self.limits.release(charged_to, Count::STREAM);
        }
        self.update(index, |media| {
            media.allocation = allocation;
            media.refused = if allocation.is_none() { request } else { None };
        });
        allocation
    }

    /// The sender's leg is this, if its description counts; else it is kept for
    /// when its dialog is the answered one.
    fn set(&mut self, index: usize, allocation: Option<Allocation>, leg: &LegState, heed: Heed) {
        let repeated = heed != Heed::Outdated && self.session.remember(self.signal, self.tags, index, leg);
        if heed == Heed::Current
            && !repeated
            && self.session.set_leg(self.allocations, index, allocation, self.signal.arrival, leg)
        {
            self.session.touch(self.now);
        }
    }

    /// Before the other party describes its leg, media may come from where its
    /// SIP is; of a forked offer, from the last two such places.
    fn expect(&mut self, index: usize, allocation: Allocation, transport: Transport) {
        let out = self.signal.arrival.other();
        let Some(leg) = self.session.media.get(index).map(|media| &media.legs[out]) else { return };
        let destination = Some(self.signal.destination.ip());
        let before = leg.description.as_ref().map(|description| &description.acceptable);
        if leg.described || before.is_some_and(|before| before.contains(&destination)) {
            return;
        }
        // On our own addresses others have sockets, too: the other pass says where its is.
        if self.destinations.is_sip(self.signal.destination) {
            return;
        }
        let last = before.and_then(|&[last, _]| last);
        let description =
            LegDescription { rtp: None, rtcp: None, acceptable: [destination, last], transport, budget: None };
        let leg = LegState { description: Some(description), ..*leg };
        self.session.set_leg(self.allocations, index, Some(allocation), out, &leg);
    }

    /// What a line says of its sender's leg.
    fn leg(&self, wanted: &Wanted, share: u16) -> LegDescription {
        let rtp = wanted.address.map(|address| SocketAddr::new(address, wanted.port)).filter(|&to| self.allows(to));
        let next = || Some(SocketAddr::new(rtp?.ip(), rtp?.port().checked_add(1)?));
        let rtcp = match wanted.transport {
            Transport::Rtp => wanted.rtcp.filter(|&to| self.allows(to)).or_else(next),
            Transport::Udptl | Transport::Udp | Transport::NotRelayable => None,
        };
        // RTCP to somebody who gets no RTP: nothing that a stranger may ask for.
        let doubtful = self.signal.sender != Sender::Known;
        let rtcp = rtcp.filter(|&to| !doubtful || self.is_shown(to) || rtp.is_some_and(|rtp| rtp.ip() == to.ip()));
        let budget = doubtful && ![rtp, rtcp].into_iter().flatten().all(|to| self.is_shown(to));
        // A relay socket of ours speaks for itself alone: others may have sockets beside it.
        let described = rtp.filter(|&to| self.relay_at(to) != RelaySocket::SameCall);
        let source = Some(self.signal.source.ip()).filter(|_| self.signal.sender != Sender::Ourselves);
        LegDescription {
            rtp,
            rtcp,
            acceptable: [described.map(|to| to.ip()), source],
            transport: wanted.transport,
            budget: budget.then_some(share),
        }
    }

    /// Whether the sender may have packets sent there.
    fn allows(&self, to: SocketAddr) -> bool {
        let from = (self.signal.source, self.signal.sender);
        self.destinations.allows(self.signal.arrival, from, to, self.relay_at(to))
    }

    /// Whether the signalling shows that the party is there: what others say has a budget.
    fn is_shown(&self, to: SocketAddr) -> bool {
        match self.signal.sender {
            Sender::Known => true,
            Sender::Ourselves => self.relay_at(to) == RelaySocket::SameCall,
            Sender::Generic => to.ip() == self.signal.source.ip() && !self.has_moved(),
        }
    }

    /// Whether the sender has moved since the call was set up. A fork that answers from where
    /// it was asked has not.
    fn has_moved(&self) -> bool {
        let is_invited = || self.signal.status.is_some() && self.session.has_invited(self.signal.source.ip());
        self.session.is_from_elsewhere(self.signal) && !is_invited()
    }

    fn relay_at(&self, to: SocketAddr) -> RelaySocket {
        self.allocations.socket_at(to, self.owner.call, self.owner.session)
    }
}

impl Session {
    /// Sets one leg; whether that changed anything.
    pub(super) fn set_leg(
        &mut self,
        allocations: &mut Allocations,
        index: usize,
        allocation: Option<Allocation>,
        side: Family,
        leg: &LegState,
    ) -> bool {
        let Some(media) = self.media.get_mut(index) else { return false };
        let other = media.legs[side.other()].description.as_ref();
        let legs = [(side, leg.description.as_ref()), (side.other(), other)];
        let mut to_nobody = None;
        if allocations.may_close_ring(allocation, legs) {
            to_nobody = Some(LegState { description: leg.description.map(LegDescription::to_nobody), ..*leg });
        }
        let before = &mut media.legs[side];
        let leg = to_nobody.unwrap_or(*leg);
        let leg = &LegState { description: leg.description.map(|leg| self.trial.admit(side, before, leg)), ..leg };
        if before == leg {
            return false;
        }
        // Who goes on after a hold may do so from elsewhere.
        let goes_on = before.held && !leg.held;
        if (before.description != leg.description || goes_on)
            && let (Some(allocation), Some(description)) = (allocation, leg.description)
        {
            allocations.describe(allocation, side, description);
        }
        *before = *leg;
        true
    }

    /// Lets the party on a side go on from wherever it speaks now.
    pub fn recall(&self, allocations: &mut Allocations, side: Family) {
        for media in &self.media {
            if let (Some(allocation), Some(description)) = (media.allocation, media.legs[side].description) {
                allocations.describe(allocation, side, description);
            }
        }
    }

    /// Sets the legs of one side; a line that is not named stays as it is.
    pub fn set_legs(&mut self, allocations: &mut Allocations, side: Family, legs: Vec<Option<LegState>>) {
        for (index, leg) in legs.into_iter().enumerate() {
            let allocation = self.media.get(index).and_then(|media| media.allocation);
            if let Some(leg) = leg {
                self.set_leg(allocations, index, allocation, side, &leg);
            }
        }
    }
}
