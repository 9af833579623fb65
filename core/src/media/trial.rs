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
    /// Of which `m=` lines the caller is on trial where its own SIP is: a bit for each.
    lines: u64,
    /// The caller has shown that our messages reach it.
    is_over: bool,
}

// Each has a bit.
const _: () = assert!(MAX_STREAMS <= u64::BITS as usize);

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
        if !self.charged_to.is_strangers() || self.trial.is_over {
            return;
        }
        let is_answer = signal.method == Method::Invite && matches!(signal.status, Some(200..=299));
        if self.is_reached(signal, tags) {
            self.trial.is_over = true;
            self.set_budgets(allocations, self.trial.lines, None);
        } else if is_answer && signal.arrival != self.caller {
            let streams = self.media.iter().filter(|media| media.allocation.is_some()).count();
            self.trial.lines |= self.set_budgets(allocations, u64::MAX, Some(share(streams)));
        }
    }

    /// Sets the budget of those of the caller's `lines` that lead to where its SIP is, and
    /// had another: which.
    fn set_budgets(&mut self, allocations: &mut Allocations, lines: u64, budget: Option<u16>) -> u64 {
        let caller = self.caller;
        let Some(party) = self.parties[caller].map(|party| party.ip()) else { return 0 };
        let own = |leg: &LegDescription| [leg.rtp, leg.rtcp].iter().flatten().all(|to| to.ip() == party);
        let mut changed = 0;
        for (index, bit) in (0..self.media.len()).zip((0..MAX_STREAMS).map(|index| 1 << index)) {
            let Some(media) = self.media.get(index).filter(|_| lines & bit != 0) else { continue };
            let (allocation, mut leg) = (media.allocation, media.legs[caller]);
            let other = |leg: &&mut LegDescription| own(leg) && leg.budget.is_some() != budget.is_some();
            if let Some(description) = leg.description.as_mut().filter(other) {
                description.budget = budget;
                self.set_leg(allocations, index, allocation, caller, &leg);
                changed |= bit;
            }
        }
        changed
    }
}
