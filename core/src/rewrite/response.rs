//! What a proxy does to a response that it forwards (RFC 3261 §16.7, §18.2.2).

use std::net::SocketAddr;

use crate::address::Directory;
use crate::branch::{Below, Branch};
use crate::edit::Edits;
use crate::reason::Reason;
use crate::sip::header::HeaderName;
use crate::sip::message::Message;
use crate::sip::method::Method;
use crate::sip::via::{Via, Vias};

/// Our own Via on top of a message, proven, and the one below it.
#[derive(Clone, Copy, Debug)]
pub struct OurVia<'a> {
    /// What it says.
    pub branch: Branch,
    /// Our Via, as it was read.
    pub topmost: Via,
    /// The Via below.
    pub next: Via,
    /// What that one says.
    pub below: Below<'a>,
}

impl<'a> OurVia<'a> {
    /// Reads and verifies the topmost Via: it names the socket `socket`, and its
    /// MAC is the one over the Via below, Call-ID and CSeq number.
    ///
    /// # Errors
    ///
    /// [`Reason::ViaRewritten`] where it is ours but for a sent-by that is nobody's
    /// here: the MAC does not cover that, so that only who had our request can say so.
    pub fn verify(message: &Message<'a>, socket: SocketAddr, directory: &Directory) -> Result<Self, Reason> {
        let via = Self::proven(message, directory).ok_or(Reason::ForeignResponse)?;
        let topmost = &via.topmost;
        let sent_by = topmost.sent_by.address.map(|address| SocketAddr::new(address, topmost.sent_by_port()));
        if sent_by != Some(socket) {
            let is_another_of_ours = sent_by.is_some_and(|sent_by| directory.is_ours(sent_by));
            return Err(if is_another_of_ours { Reason::ForeignResponse } else { Reason::ViaRewritten });
        }
        Ok(via)
    }

    /// Whatever sent-by it has.
    fn proven(message: &Message<'a>, directory: &Directory) -> Option<Self> {
        let text = message.bytes;
        let mut vias = Vias::new(message);
        let topmost = vias.next()?.ok()?;
        let next = vias.next()?.ok().filter(|next| !next.is_ambiguous)?;
        if topmost.other_version || !topmost.transport.of(text).eq_ignore_ascii_case(b"UDP") {
            return None;
        }
        let branch = Branch::parse(topmost.branch?.of(text))?;
        let below = Below::new(text, &next);
        let cseq = message.cseq().ok()?.number;
        let seal = below.seal(directory.key(), branch.arrival, branch.rights, message.call_id().ok()?, cseq);
        (seal == branch.seal && directory.is_ours(branch.arrival)).then_some(Self { branch, topmost, next, below })
    }

    /// Takes it out of the message.
    pub fn remove(&self, edits: &mut Edits) {
        if self.next.field.line == self.topmost.field.line {
            edits.remove(self.topmost.whole.start..self.next.whole.start);
        } else {
            edits.remove(self.topmost.field.line.range());
        }
    }
}

/// Puts the socket on which a REGISTER came in on top of the Service-Route of its
/// answer (RFC 3608 §6.3), so that requests of the phone come through us.
pub fn lay_service_route(message: &Message<'_>, arrival: SocketAddr, edits: &mut Edits) {
    let success = message.status().is_some_and(|code| (200..300).contains(&code));
    if success
        && message.method() == Method::Register
        && let Some(field) = message.first(HeaderName::SERVICE_ROUTE)
    {
        edits.insert(field.line.start, ("Service-Route: <sip:", arrival, ";lr>\r\n"));
    }
}
