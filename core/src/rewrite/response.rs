//! What a proxy does to a response that it forwards (RFC 3261 §16.7, §18.2.2).

use std::net::SocketAddr;

use crate::address::Directory;
use crate::branch::{Below, Branch};
use crate::edit::Edits;
use crate::sip::header::HeaderName;
use crate::sip::message::Message;
use crate::sip::method::Method;
use crate::sip::via::{Via, Vias};

/// Our own Via on top of a message, proven, and the one below it.
#[derive(Clone, Copy, Debug)]
pub struct OurVia<'a> {
    /// What it says.
    pub branch: Branch,
    /// It.
    pub topmost: Via,
    /// The Via below.
    pub next: Via,
    /// What that one says.
    pub below: Below<'a>,
}

impl<'a> OurVia<'a> {
    /// Reads and verifies the topmost Via: it names the socket `socket`, and its
    /// MAC is the one over the Via below, Call-ID and CSeq number.
    pub fn verify(message: &Message<'a>, socket: SocketAddr, directory: &Directory) -> Option<Self> {
        let text = message.bytes;
        let mut vias = Vias::new(message);
        let topmost = vias.next()?.ok()?;
        let next = vias.next()?.ok()?;
        let address = topmost.sent_by.address?;
        let is_here = SocketAddr::new(address, topmost.sent_by_port()) == socket;
        if !is_here || topmost.other_version || !topmost.transport.of(text).eq_ignore_ascii_case(b"UDP") {
            return None;
        }
        let branch = Branch::parse(topmost.branch?.of(text))?;
        let below = Below::new(text, &next);
        let (cseq, _) = message.cseq().ok()?;
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
