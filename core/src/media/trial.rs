//! Strangers on trial: where nothing shows that the party is there, a few packets go out
//! until one comes back ([`super::allowance`] counts them).
//!
//! A generic sender may describe an address that is not its own, and forge the source of a
//! request: a callee that answers by itself would then send its media to a victim. So the
//! caller's own address is on trial, too, from the answer on until its ACK has the callee's
//! tag, or a packet comes.

use serde::{Deserialize, Serialize};

use super::allocations::Allocations;
use super::command::LegDescription;
use super::session::{LegState, Session};
use super::signal::Signal;
use super::tags::MessageTags;
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;
use crate::streams::MAX_STREAMS;

/// How many packets go to a generic sender's word for an address until one comes back.
const BUDGET: u16 = 200;

/// How many of these a side may get in all, however often it names others.
const MAX_GRANTED: u16 = 5 * BUDGET;

/// What strangers got in a session.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Trial {
    granted: PerFamily<u16>,
    /// The caller has shown that our messages reach it.
    is_over: bool,
}

/// The part that each of so many streams has in the packets of one description.
pub fn share(streams: usize) -> u16 {
    let streams = u16::try_from(streams.clamp(1, MAX_STREAMS)).unwrap_or(u16::MAX);
    BUDGET / streams
}

impl Trial {
    /// A description as it counts in the place of the one before: hosts that were named
    /// there have what they got, others get what is left.
    pub fn admit(&mut self, side: Family, before: &LegState, leg: LegDescription) -> LegDescription {
        let Some(wanted) = leg.budget else { return leg };
        let hosts = |leg: &LegDescription| [leg.rtp, leg.rtcp].map(|to| to.map(|to| to.ip()));
        let known = before.description.filter(|before| hosts(before) == hosts(&leg)).and_then(|before| before.budget);
        let budget = known.unwrap_or_else(|| {
            let granted = wanted.min(MAX_GRANTED.saturating_sub(self.granted[side]));
            self.granted[side] = self.granted[side].saturating_add(granted);
            granted
        });
        LegDescription { budget: Some(budget), ..leg }
    }
}

impl Session {
    /// Puts a stranger who calls on trial when it is answered, and ends that when it shows
    /// that it got the answer.
    pub fn try_caller(&mut self, signal: &Signal<'_>, tags: &MessageTags, allocations: &mut Allocations) {
        if self.charged_to.is_none() || self.trial.is_over {
            return;
        }
        let is_answer = signal.method == Method::Invite && matches!(signal.status, Some(200..=299));
        if self.is_reached(signal, tags) {
            self.trial.is_over = true;
            self.set_budgets(allocations, |_| None);
        } else if is_answer && signal.arrival != self.caller {
            self.set_budgets(allocations, Some);
        }
    }

    /// Sets the budget of the caller's streams at the address of its own SIP.
    fn set_budgets(&mut self, allocations: &mut Allocations, budget: impl Fn(u16) -> Option<u16>) {
        let caller = self.caller;
        let Some(party) = self.parties[caller].map(|party| party.ip()) else { return };
        let share = share(self.media.iter().filter(|media| media.allocation.is_some()).count());
        for index in 0..self.media.len() {
            let Some(media) = self.media.get(index) else { continue };
            let (allocation, mut leg) = (media.allocation, media.legs[caller]);
            let own = |leg: &LegDescription| [leg.rtp, leg.rtcp].iter().flatten().all(|to| to.ip() == party);
            if let Some(description) = leg.description.as_mut().filter(|leg| own(leg)) {
                description.budget = budget(share);
                self.set_leg(allocations, index, allocation, caller, &leg);
            }
        }
    }
}
