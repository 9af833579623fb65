//! What the log tells of datagrams.

use std::fmt;
use std::io;

use nix::libc;
use tracing::{info, warn};

use crate::proxy::{Outcome, Reason};

/// What strangers can provoke, by kind: each gets a line a minute at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// A datagram was dropped.
    Dropped(Reason),
    /// A request was answered with an error of our own.
    Refused(Reason),
    /// The system did not take a message, for this `errno`.
    Unsent(i32),
    /// A message was larger than its path carries, and was sent again in fragments.
    TooBig,
    /// A media port could not be bound, for this `errno`.
    Unbound(i32),
    /// A message came back to ourselves over and over.
    Circling,
    /// A request that begins something was dropped, as more came than is handled.
    Overload,
}

impl Trouble {
    /// Keep-alives are ignored quietly.
    pub(super) fn is_worth_a_line(self) -> bool {
        self != Self::Dropped(Reason::KeepAlive)
    }

    /// Whether it helps to know who has the media ports.
    pub(super) fn is_about_ports(self) -> bool {
        use Reason::{NoPorts, TooManyCalls, TooManyCallsFromSource};
        matches!(self, Self::Refused(NoPorts | TooManyCalls | TooManyCallsFromSource))
    }

    /// Writes the line.
    pub(super) fn log(self, count: u64) {
        match self {
            Self::Dropped(reason) => info!(count, %reason, "dropped"),
            Self::Refused(reason) => info!(count, %reason, "refused"),
            Self::Unsent(errno) => {
                warn!(count, error = %io::Error::from_raw_os_error(errno), "messages could not be sent");
            }
            Self::TooBig => {
                info!(count, "messages were larger than their path carries; sent again in smaller fragments")
            }
            // So it is while a daemon before this one still relays its last calls.
            Self::Unbound(libc::EADDRINUSE) => info!(count, "media ports are another program's; took others"),
            Self::Unbound(errno) => {
                warn!(count, error = %io::Error::from_raw_os_error(errno), "media ports could not be bound");
            }
            Self::Overload => {
                warn!(count, "more SIP messages than this machine handles: dropped requests that begin something");
            }
            Self::Circling => warn!(count, "messages dropped: they came back to ourselves over and over"),
        }
    }
}

/// What became of a datagram.
pub(super) struct Decision(pub(super) Outcome);

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Send { from, to, refused: None } => write!(f, "{from} -> {to}"),
            Outcome::Send { from, to, refused: Some(reason) } => write!(f, "{from} -> {to}, refused: {reason}"),
            Outcome::Drop(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

/// The first line of a datagram.
pub fn start_line(datagram: &[u8]) -> &[u8] {
    datagram.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default()
}

/// The Call-ID of a datagram, as far as a log needs it: not folded, before the body.
pub fn call_id(datagram: &[u8]) -> &[u8] {
    let lines = datagram.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut values = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = name.trim_ascii_end();
        let found = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
        found.then(|| value.get(1..).unwrap_or_default().trim_ascii_start())
    });
    values.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_shows_of_a_message() {
        let message = b"BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: x\r\ni : c1@2001:db8::1\r\n\r\nCall-ID: no\r\n";
        assert_eq!(start_line(message), b"BYE sip:a@192.0.2.1 SIP/2.0");
        assert_eq!(call_id(message), b"c1@2001:db8::1");
        assert_eq!(call_id(b"\r\n\r\n"), b"");
        assert_eq!(start_line(b""), b"");
    }
}
