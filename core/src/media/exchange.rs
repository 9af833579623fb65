//! Offers and answers (RFC 3264): whose turn it is.

use serde::{Deserialize, Serialize};

use super::table::Signal;
use crate::family::Family;
use crate::sip::method::Method;

/// Where offer and answer stand (RFC 3264, RFC 6337 §2).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// Who sent the INVITE, and its CSeq.
    invite: (Family, u32),
    offerer: Option<Family>,
}

impl Exchange {
    /// Nothing offered yet by the INVITE of this side and CSeq.
    pub fn new(inviter: Family, cseq: u32) -> Self {
        Self { invite: (inviter, cseq), offerer: None }
    }

    /// Takes in a message with a description; whether that is an answer.
    pub fn is_answer(&mut self, signal: &Signal<'_>) -> bool {
        let side = signal.arrival;
        match (signal.method, signal.status) {
            (Method::Invite | Method::Update, None) => {
                self.offerer = Some(side);
                false
            }
            (Method::Update | Method::Prack, Some(_)) | (Method::Ack, _) => true,
            _ => *self.offerer.get_or_insert(side) != side,
        }
    }

    /// Whether this side made the offer.
    pub fn is_offer_of(&self, side: Family) -> bool {
        self.offerer == Some(side)
    }

    /// An INVITE that is not a retransmission begins anew.
    pub fn begin(&mut self, signal: &Signal<'_>) {
        let invite = (signal.arrival, signal.cseq);
        if self.invite != invite {
            *self = Self::new(invite.0, invite.1);
        }
    }
}

/// The side whose request this is, or is answered.
pub fn requester(signal: &Signal<'_>) -> Family {
    if signal.status.is_none() { signal.arrival } else { signal.arrival.other() }
}
