//! The dialogs of a session: what each callee of a forked call said, and what a
//! request within one changed, until its response says whether that holds.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{LegState, Session};
use crate::family::{Family, PerFamily};
use crate::media::exchange::{DescriptionRole, Order};
use crate::media::signal::Signal;
use crate::media::tags::{MessageTags, Tag};
use crate::sip::method::Method;
use crate::streams::MAX_STREAMS;

/// How many dialogs of a forked call are remembered.
pub(super) const MAX_DIALOGS: usize = 32;

/// A dialog of the session, by the callee's tag (RFC 3261 §12).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dialog {
    pub(super) callee: Tag,
    /// Who spoke of it first.
    source: IpAddr,
    /// The callee did so, too: who knows this tag was told it, and has not made it up.
    pub(super) by_callee: bool,
    pub(super) answered: bool,
    /// A BYE ended it, and another goes on.
    pub(super) over: bool,
    /// The callee's description, by `m=` line.
    pub(super) legs: Vec<Option<LegState>>,
    /// Each side's descriptions.
    pub(super) order: PerFamily<Order>,
}

/// A description that is taken back if its request fails.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reoffer {
    method: Method,
    cseq: u32,
    /// What it replaced, on its sender's side, and its answer on the other.
    before: PerFamily<Option<Vec<LegState>>>,
    /// What the callee had said in this dialog, if the request is the callee's.
    said: Option<Vec<Option<LegState>>>,
}

impl Dialog {
    /// Whether nothing of it is more than there can be.
    pub(super) fn is_sound(&self) -> bool {
        self.legs.len() <= MAX_STREAMS
    }
}

impl Reoffer {
    /// Whether nothing of it is more than there can be.
    pub(super) fn is_sound(&self) -> bool {
        let before = self.before.iter().filter_map(|(_, before)| before.as_ref());
        before.map(Vec::len).chain(self.said.as_ref().map(Vec::len)).all(|legs| legs <= MAX_STREAMS)
    }

    fn is_of(&self, signal: &Signal<'_>) -> bool {
        self.cseq == signal.cseq && self.method == signal.method
    }
}

impl Session {
    /// The dialog with this callee; one that was never answered makes room: of the same
    /// source, if it has any, as tags are easily made up.
    pub(super) fn dialog(&mut self, callee: Tag, signal: &Signal<'_>) -> Option<&mut Dialog> {
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

    /// The callees of its dialogs, and the CSeqs of the requests that described media in
    /// each last.
    pub fn callees(&self) -> impl Iterator<Item = (Tag, PerFamily<Option<u32>>)> {
        let last = |dialog: &Dialog| PerFamily::from_fn(|side| dialog.order[side].newest(side));
        self.dialogs.iter().map(move |dialog| (dialog.callee, last(dialog)))
    }

    /// Whether this side's party has described itself within a dialog.
    pub(super) fn is_within(&self, side: Family) -> bool {
        self.dialogs.iter().any(|dialog| dialog.order[side].has_any())
    }

    /// Keeps what a callee says of an `m=` line, for when its dialog gets the leg;
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
    pub fn keep_for_rollback(&mut self, signal: &Signal<'_>, tags: &MessageTags, role: DescriptionRole) {
        // The caller's own tag is no callee's.
        let said =
            || self.dialogs.iter().find(|dialog| Some(dialog.callee) == tags.sender).map(|dialog| dialog.legs.clone());
        let legs = || self.media.iter().map(|media| media.legs[signal.arrival]).collect();
        let changes = matches!(signal.method, Method::Invite | Method::Update | Method::Prack);
        let changes = changes && signal.status.is_none() && role == DescriptionRole::Offer;
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

    /// Takes back the request that `signal` refuses: the legs as they were before it.
    pub fn roll_back(&mut self, signal: &Signal<'_>, tags: &MessageTags) -> PerFamily<Option<Vec<LegState>>> {
        let Some(Reoffer { mut before, said, .. }) = self.reoffer(signal) else { return PerFamily::default() };
        let callee = self.callee_tag(signal, tags);
        if let Some(dialog) = self.dialogs.iter_mut().find(|dialog| Some(dialog.callee) == callee) {
            for side in Family::BOTH {
                // What came after it, as the answer to another request, stays.
                before[side].take_if(|_| !dialog.order[side].refuse(signal.request_id()));
            }
            if let Some(said) = said {
                dialog.legs = said;
            }
        }
        // An `m=` line that it added was not there.
        for side in Family::BOTH {
            before[side].iter_mut().for_each(|legs| legs.resize(self.media.len(), LegState::default()));
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
}
