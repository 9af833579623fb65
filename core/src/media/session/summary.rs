//! What others are told of a session: the log at its end, and whoever looks at its calls.

use std::time::Duration;

use super::{MediaState, Session};
use crate::family::{Family, PerFamily};
use crate::media::command::{End, Obituary, SessionId, Wish};
use crate::media::view::{CallState, CallView, StreamView};

impl Session {
    /// What the log line at its end tells.
    pub fn obituary(self, now: Duration, end: End) -> Obituary {
        Obituary {
            end,
            parties: self.parties,
            caller: self.caller,
            duration: now.saturating_sub(self.began),
            answered: self.answered.is_some() && !self.is_doubtful(),
            rang: self.ringing,
            by_stranger: self.charged_to.is_strangers(),
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
        let allocations = self.media.iter().filter_map(|media| media.allocation);
        CallView {
            session,
            call_id: self.call_id.clone(),
            caller: self.caller,
            parties: self.parties,
            state,
            age: now.saturating_sub(self.began),
            wishes: PerFamily::from_fn(|side| self.wish(side)),
            streams: allocations
                .map(|allocation| StreamView { stream: allocation.stream, ports: allocation.ports })
                .collect(),
        }
    }

    /// Whether a party holds a stream back.
    fn is_held(&self) -> bool {
        self.media.iter().any(|media| media.legs.iter().any(|(_, leg)| leg.held))
    }

    fn wish(&self, side: Family) -> Wish {
        let described = || self.media.iter().map(|media| media.legs[side]).filter(|leg| leg.described);
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
        let live = |media: &&MediaState| {
            let legs = || media.legs.iter().map(|(_, leg)| leg);
            media.allocation.is_some() && legs().any(|leg| leg.described) && !legs().any(|leg| leg.closed)
        };
        self.media.iter().filter(live).all(|media| media.legs.iter().any(|(_, leg)| leg.held))
    }
}
