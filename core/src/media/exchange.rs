//! Offers and answers (RFC 3264): whose turn it is, and which is the last.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::signal::{RequestId, Signal};
use crate::family::{Family, PerFamily};
use crate::sip::method::Method;

/// What a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionRole {
    /// It asks.
    Offer,
    /// It answers the last offer.
    Answer,
}

/// Where offer and answer stand (RFC 3264, RFC 6337 §2).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// The INVITE.
    invite: RequestId,
    offerer: Option<Family>,
}

impl Exchange {
    /// Nothing offered yet by this INVITE.
    pub fn new(invite: RequestId) -> Self {
        Self { invite, offerer: None }
    }

    /// Takes in a message with a description, and says what that is.
    pub fn take(&mut self, signal: &Signal<'_>) -> DescriptionRole {
        let side = signal.arrival;
        match (signal.method, signal.status) {
            (Method::Invite | Method::Update, None) => {
                self.offerer = Some(side);
                DescriptionRole::Offer
            }
            (Method::Update | Method::Prack, Some(_)) | (Method::Ack, _) => DescriptionRole::Answer,
            _ => {
                let offerer = *self.offerer.get_or_insert(side);
                if offerer == side { DescriptionRole::Offer } else { DescriptionRole::Answer }
            }
        }
    }

    /// Whether this side made the offer.
    pub fn is_offer_of(&self, side: Family) -> bool {
        self.offerer == Some(side)
    }

    /// Takes in an INVITE: one that is newer than the last, by its CSeq, begins anew. The
    /// answer is how the two CSeqs compare.
    pub fn begin(&mut self, signal: &Signal<'_>) -> Ordering {
        let (last, this) = (self.invite, signal.request_id());
        let order = if last.side == this.side { this.cseq.cmp(&last.cseq) } else { Ordering::Greater };
        if order == Ordering::Greater {
            *self = Self::new(this);
        }
        order
    }
}

/// In which order the descriptions of one party came. The last one is repeated in
/// retransmissions; those before it may still be, and must change nothing.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Order {
    /// The highest CSeq, for the requests of each side.
    highest: PerFamily<Option<u32>>,
    /// The request of the last description, or that it answers, unless it was refused.
    last: Option<RequestId>,
    /// That was in a 2xx: what a provisional response says is older.
    is_final: bool,
}

impl Order {
    /// Whether there is a description that was not refused.
    pub fn has_any(&self) -> bool {
        self.last.is_some()
    }

    /// The CSeq of the last request by this side that it describes media in, or answers.
    pub fn newest(&self, side: Family) -> Option<u32> {
        self.highest[side]
    }

    /// Whether the last description is of this request.
    pub fn is_of(&self, request: RequestId) -> bool {
        self.last == Some(request)
    }

    /// Takes in a description, perhaps of a 2xx; whether there was none after it.
    pub fn admit(&mut self, request: RequestId, is_final: bool) -> bool {
        let highest = &mut self.highest[request.side];
        if highest.is_none_or(|highest| highest < request.cseq) {
            *highest = Some(request.cseq);
            (self.last, self.is_final) = (Some(request), is_final);
            return true;
        }
        let is_late = self.is_final && !is_final;
        let admitted = self.is_of(request) && !is_late;
        self.is_final |= admitted && is_final;
        admitted
    }

    /// A request was refused; whether the last description was of that.
    pub fn refuse(&mut self, request: RequestId) -> bool {
        self.last.take_if(|last| *last == request).is_some()
    }
}
