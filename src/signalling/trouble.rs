//! What the log tells of datagrams.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use nix::libc;
use tracing::field::display;
use tracing::{info, warn};

use super::registrations::Refusal;
use crate::escaped::Escaped;
use crate::glance::topmost_via;
use crate::proxy::{Datagram, Outcome, Reason};

/// As much of a Via as shows whose it is.
const MAX_VIA: usize = 80;
/// As much of a Call-ID as anybody reads.
const MAX_CALL_ID: usize = 128;

/// What strangers can provoke, by kind: each gets a line a minute at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// A datagram was dropped.
    Dropped(Reason),
    /// A request was answered with an error of our own.
    Refused(Reason),
    /// The system did not take a message, for this `errno`.
    Unsent(i32),
    /// ICMP says, by this `errno`, that a phone or an uplink did not get a message.
    Unreachable(i32),
    /// A message was larger than its path carries, and was sent again in fragments.
    TooBig,
    /// A media port could not be bound, for this `errno`.
    Unbound(i32),
    /// A message came back to ourselves over and over.
    Circling,
    /// A request that begins something was dropped, as more came than is handled.
    Overload,
    /// A stream is none that a relay of UDP carries: it was left out of its call.
    NotRelayable,
    /// There were no ports for a stream, or it was one too many: it was left out of its call.
    Unserved,
    /// A registrar refused a registration.
    Unregistered(Refusal),
}

/// What came last of a kind, as far as it is known.
#[derive(Clone, Copy)]
pub(super) enum Last<'a> {
    /// A datagram.
    Datagram(&'a Datagram<'a>),
    /// A message with this Call-ID.
    Call(&'a [u8]),
    /// A message that was to leave for there.
    Toward(SocketAddr),
    /// A message that came from there and left for there.
    Passing(SocketAddr, SocketAddr),
    /// Nothing is known of it.
    Unknown,
}

impl Trouble {
    /// Keep-alives are ignored quietly; an answered OPTIONS is none, nor is the ACK of a
    /// refusal, which was told.
    pub(super) fn is_one(self) -> bool {
        !matches!(self, Self::Dropped(Reason::KeepAlive | Reason::AckOfOurs) | Self::Refused(Reason::Options))
    }

    /// What the status calls it: a word of its schema.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Dropped(_) => "dropped",
            Self::Refused(_) => "refused",
            Self::Unsent(_) => "unsent",
            Self::Unreachable(_) => "unreachable",
            Self::TooBig => "too_big",
            Self::Unbound(_) => "ports",
            Self::NotRelayable | Self::Unserved => "streams",
            Self::Unregistered(_) => "registration",
            Self::Circling => "circling",
            Self::Overload => "overload",
        }
    }

    /// Whether it helps to know who has the media ports.
    pub(super) fn is_about_ports(self) -> bool {
        use Reason::{NoPorts, TooManyCalls, TooManyCallsFromSource};
        matches!(self, Self::Refused(NoPorts | TooManyCalls | TooManyCallsFromSource) | Self::Unserved)
    }

    /// Writes the line; `last` is what came last, where it came just now.
    pub(super) fn log(self, count: u64, last: Last<'_>) {
        let datagram = if let Last::Datagram(datagram) = last { Some(datagram) } else { None };
        let from = datagram.map(|datagram| display(datagram.remote));
        let to = if let Last::Toward(to) = last { Some(display(to)) } else { None };
        let call_id = if let Last::Call(id) = last { Some(display(Escaped(id, MAX_CALL_ID))) } else { None };
        match self {
            Self::Dropped(reason @ Reason::ViaRewritten) => via_rewritten(count, reason, datagram),
            Self::Dropped(reason) => info!(count, %reason, from, "dropped"),
            Self::Refused(reason) => info!(count, %reason, from, "refused"),
            Self::Unsent(errno) => {
                warn!(count, error = %io::Error::from_raw_os_error(errno), to, "messages could not be sent");
            }
            Self::Unreachable(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                info!(count, %error, to, "nobody takes SIP messages there, says ICMP: off, a firewall, or another address or port");
            }
            Self::TooBig => {
                info!(count, to, "messages were larger than their path carries; sent again in smaller fragments")
            }
            // So it is while a daemon before this one still relays its last calls.
            Self::Unbound(libc::EADDRINUSE) => info!(count, "media ports are another program's; others are tried"),
            Self::Unbound(errno) => {
                warn!(count, error = %io::Error::from_raw_os_error(errno), "media ports could not be bound");
            }
            Self::Overload => {
                warn!(count, "more SIP messages than this machine handles: dropped requests that begin something");
            }
            Self::NotRelayable => info!(
                count,
                call_id,
                "streams left out of calls (port 0 toward the other side): TCP, multicast and the like are not relayed"
            ),
            Self::Unserved => {
                info!(
                    count,
                    call_id, "no ports left for streams of calls, or one too many: port 0 toward the other side"
                );
            }
            Self::Unregistered(why) => {
                let (registrar, phone) =
                    if let Last::Passing(from, to) = last { (Some(from), Some(to)) } else { (None, None) };
                info!(
                    count,
                    phone = phone.map(display),
                    registrar = registrar.map(display),
                    "registration refused: {why}"
                );
            }
            Self::Circling => warn!(count, "messages dropped: they came back to ourselves over and over"),
        }
    }
}

/// Who can put an end to it stands between us and the peer, and is not ours to find:
/// the address that it wrote is most often its own.
fn via_rewritten(count: u64, reason: Reason, last: Option<&Datagram<'_>>) {
    let peer = last.map(|last| display(last.remote));
    let via = last.map(|last| display(Escaped(topmost_via(last.bytes), MAX_VIA)));
    warn!(
        count,
        %reason,
        peer,
        via,
        "responses dropped: turn off SIP ALG (SIP helper) in the router or firewall between us and the peer"
    );
}

/// What became of a datagram.
pub(super) struct Decision(pub(super) Outcome);

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Send { from, to, refused: None } => write!(f, "{from} -> {to}"),
            Outcome::Send { from, to, refused: Some(reason) } => {
                write!(f, "{from} -> {to}, {}: {reason}", reason.fate())
            }
            Outcome::Drop(reason) => write!(f, "dropped: {reason}"),
        }
    }
}
