//! The branch of our own Via: the way back, in the message itself.
//!
//! `z9hG4bK` + MAC + rights + arrival socket: the same for a retransmission, its
//! CANCEL and the ACK of a non-2xx, since these have the same Via below, Call-ID
//! and CSeq number (RFC 3261 §16.11), and different for each hop of a spiral.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::address::Rights;
use crate::config::Key;
use crate::family::canonical;
use crate::sip::via::Via;
use crate::text::{Sink, Text, display};
use crate::token::{Mac, Purpose, Seal, Tilde, Written};

/// What makes a branch one of RFC 3261.
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// Our branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The socket of ours on which the request arrived.
    pub arrival: SocketAddr,
    /// What its sender may do.
    pub rights: Rights,
    /// What proves it.
    pub seal: Seal,
}

impl Branch {
    /// Reads the value of a `branch` parameter; `None`: it is not one of ours.
    pub fn parse(value: &[u8]) -> Option<Self> {
        // The seal tells more than the cookie before it.
        let rest = value.get(MAGIC_COOKIE.len()..)?;
        let (seal, rest) = rest.split_at_checked(Seal::LENGTH)?;
        let (letter, arrival) = rest.split_first()?;
        let arrival = Written::parse(arrival)?.endpoint;
        Some(Self { arrival, rights: Rights::from_letter(*letter)?, seal: Seal::parse(seal)? })
    }
}

impl Text for Branch {
    fn write(&self, out: &mut impl Sink) {
        (MAGIC_COOKIE, self.seal, &[self.rights.letter()][..], Tilde(self.arrival)).write(out);
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// The Via below ours, in the form in which every stack gives it back: parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below<'a> {
    /// The host of its sent-by.
    pub host: Host<'a>,
    /// The port of its sent-by, 5060 where none stands.
    pub port: u16,
    /// Its branch, empty where none stands (RFC 2543).
    pub branch: &'a [u8],
    /// Its `received`.
    pub received: Option<IpAddr>,
    /// Its `rport`.
    pub rport: Option<u16>,
}

/// The host of a sent-by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(&'a [u8]),
}

impl<'a> Below<'a> {
    /// `via` as it stands in `text`.
    pub fn new(text: &'a [u8], via: &Via) -> Self {
        Self {
            host: via.sent_by.address.map_or(Host::Name(via.sent_by.host.of(text)), Host::Address),
            port: via.sent_by_port(),
            branch: via.branch.map_or(b"", |branch| branch.of(text)),
            received: via.received_address(),
            rport: via.rport_number(),
        }
    }

    /// `via` of a request from `remote`, as a server completes it (RFC 3261
    /// §18.2.1, RFC 3581 §4). With `natted`, a sent-by of another address gets an
    /// `rport` unasked. What the sender wrote into these two itself goes.
    pub fn completed(text: &'a [u8], via: &Via, remote: SocketAddr, natted: bool) -> Self {
        let source = canonical(remote.ip());
        let elsewhere = via.sent_by.address.is_some_and(|address| canonical(address) != source);
        let rport = via.rport.is_some() || (elsewhere && natted);
        let received = rport || elsewhere || via.sent_by.address.is_none();
        Self { received: received.then_some(source), rport: rport.then_some(remote.port()), ..Self::new(text, via) }
    }

    /// Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4); never to a `maddr`.
    pub fn response_address(&self) -> Option<SocketAddr> {
        let host = match (self.received, self.host) {
            (Some(received), _) => received,
            (None, Host::Address(address)) => canonical(address),
            (None, Host::Name(_)) => return None,
        };
        Some(SocketAddr::new(host, self.rport.unwrap_or(self.port)))
    }

    /// The seal of a request with this Via below ours.
    pub fn seal(&self, key: &Key, arrival: SocketAddr, rights: Rights, call_id: &[u8], cseq: u32) -> Seal {
        let mut mac = Mac::new(key, Purpose::Branch);
        mac.endpoint(arrival).byte(rights.letter());
        match self.host {
            Host::Address(address) => mac.byte(b'a').address(address),
            Host::Name(name) => mac.byte(b'n').name(name),
        };
        mac.port(self.port).bytes(self.branch);
        match self.received {
            Some(received) => mac.address(received),
            None => mac.byte(0),
        };
        mac.port(self.rport.unwrap_or(0)).bytes(call_id).number(cseq.into()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_read_as_it_was_written_in_any_case() {
        let branch =
            Branch { arrival: "[2001:db8::101]:5070".parse().unwrap(), rights: Rights::Generic, seal: Seal(0xfeed) };
        assert_eq!(branch.to_string(), "z9hG4bK000000000000feedg2001-db8--101~5070");
        assert_eq!(Branch::parse(branch.to_string().as_bytes()), Some(branch));
        assert_eq!(Branch::parse(branch.to_string().to_uppercase().as_bytes()), Some(branch));
        assert_eq!(Branch::parse(b"z9hG4bK776asdhds"), None);
    }
}
