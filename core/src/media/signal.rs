//! What the media table is told of one message, and why it may refuse it.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::limits::Charge;
use crate::address::Source;
use crate::family::Family;
use crate::sip::method::Method;
use crate::streams::{Grant, Transport, Wanted};

/// What one SIP message that is about to be forwarded says to the table.
#[derive(Clone, Copy, Debug)]
pub struct Signal<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// Its method, in a response that of the CSeq.
    pub method: Method,
    /// The number in its CSeq.
    pub cseq: u32,
    /// The status code; `None`: a request.
    pub status: Option<u16>,
    /// The side it came from.
    pub arrival: Family,
    /// The tag of its From.
    pub from_tag: Option<&'a [u8]>,
    /// The tag of its To.
    pub to_tag: Option<&'a [u8]>,
    /// Where the packet came from.
    pub source: SocketAddr,
    /// Where it is sent on to.
    pub destination: SocketAddr,
    /// Who sent it.
    pub sender: Sender,
    /// Who sent it, or the request that it answers: for whom a call counts that it
    /// begins.
    pub asked_by: Charge,
    /// Tells the branches of a forked request apart: the same in a request, its
    /// CANCEL and its responses.
    pub branch: u64,
    /// The `m=` lines of its description, if it carries one that counts.
    pub wanted: Option<&'a [Wanted]>,
}

/// A request within a call: each side counts its own (RFC 3261 §12.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The side that sent it.
    pub side: Family,
    /// The number in its CSeq.
    pub cseq: u32,
}

impl Signal<'_> {
    /// The side whose request this is, or is answered.
    pub fn requester(&self) -> Family {
        if self.status.is_none() { self.arrival } else { self.arrival.other() }
    }

    /// The request that this is, or that it answers.
    pub fn request_id(&self) -> RequestId {
        RequestId { side: self.requester(), cseq: self.cseq }
    }

    /// Whether it says no to a request.
    pub fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| status >= 300)
    }

    /// Whether its description needs a session: it has a line that is relayed or
    /// untouched, and is not in a refusal.
    pub fn needs_session(&self, wanted: &[Wanted]) -> bool {
        !self.is_refusal() && wanted.iter().any(|wanted| self.is_relayed(wanted) || self.is_untouched(wanted))
    }

    /// Whether a line needs ports of ours.
    pub fn is_relayed(&self, wanted: &Wanted) -> bool {
        wanted.port != 0 && wanted.transport != Transport::NotRelayable && !self.is_untouched(wanted)
    }

    /// Whether a line's address is in the outgoing family already, whatever travels there. The
    /// unspecified one of a hold is no address: some write that of IPv4 in IPv6, too.
    pub fn is_untouched(&self, wanted: &Wanted) -> bool {
        let is_there = |address: IpAddr| Family::of(address) != self.arrival && !address.is_unspecified();
        wanted.port != 0 && wanted.address.is_some_and(is_there)
    }

    /// What a line gets where there is no session.
    pub fn without_session(&self, wanted: &Wanted) -> Grant {
        if self.is_untouched(wanted) { Grant::Untouched } else { Grant::Refused }
    }
}

/// Who sent a message, as far as limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A mapped phone or an uplink: no limit of its own.
    Known,
    /// We did, on the pass before. Whoever sent it to us may be anybody, and a description
    /// that crossed untouched is still his word.
    Ourselves,
    /// Anybody else.
    Generic,
}

impl From<Source> for Sender {
    fn from(source: Source) -> Self {
        match source {
            Source::Phone(_) | Source::Uplink => Self::Known,
            Source::Ourselves => Self::Ourselves,
            Source::Generic => Self::Generic,
        }
    }
}

/// Why a new session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No media ports are free.
    #[error("no media ports free")]
    NoPorts,
    /// `--max-calls` is reached.
    #[error("too many calls")]
    MaxCalls,
    /// `--max-calls-per-source` is reached.
    #[error("too many calls from this source")]
    MaxCallsPerSource,
}
