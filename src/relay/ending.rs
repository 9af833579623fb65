//! The one log line at the end of a session, in words for people.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::info;

use super::figures::{LegFigures, StreamFigures};
use super::verdict::Verdict;
use crate::decimal::{Bytes, Decimal, Percent};
use crate::escaped::Escaped;
use crate::family::Family;
use crate::media::command::{End, Obituary};

/// As much of a Call-ID as anybody reads.
const MAX_CALL_ID: usize = 128;

/// A session that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// What the signalling knows of it.
    pub obituary: Obituary,
    /// When its streams were closed.
    pub at: Duration,
    /// What its streams counted.
    pub streams: Vec<StreamFigures>,
}

impl Ending {
    /// Writes the line; `name` says who is at an address.
    pub fn log(&self, name: impl Fn(SocketAddr) -> &'static str) {
        let Obituary { call_id, end, parties, caller, duration, answered, .. } = &self.obituary;
        let callee = caller.other();
        info!(
            verdict = %Verdict(self),
            caller = %Party { side: *caller, party: parties[*caller].map(|at| (at, name(at))) },
            callee = %Party { side: callee, party: parties[callee].map(|at| (at, name(at))) },
            duration = %Length(*duration),
            answered,
            from_caller = %Heard(LegFigures::of(&self.streams, *caller)),
            from_callee = %Heard(LegFigures::of(&self.streams, callee)),
            call_id = %Escaped(call_id, MAX_CALL_ID),
            "call ended: {}", Ended { end: *end, caller: *caller }
        );
    }
}

/// `192.0.2.101:5060 (IPv4, phone)`.
struct Party {
    side: Family,
    party: Option<(SocketAddr, &'static str)>,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.party {
            Some((address, name)) => write!(f, "{address} ({}, {name})", self.side),
            None => write!(f, "unknown ({})", self.side),
        }
    }
}

/// What a party sent: `1500 packets, 258 kB, 3 lost (0.2 %), jitter 4.0 ms`.
struct Heard(LegFigures);

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LegFigures { packets, bytes, lost, jitter, .. } = self.0;
        write!(f, "{packets} packets, {}, {lost} lost", Bytes(bytes))?;
        if lost > 0 {
            write!(f, " ({})", Percent { part: lost, of: packets.saturating_add(lost) })?;
        }
        jitter.map_or(Ok(()), |jitter| write!(f, ", jitter {:.1} ms", Decimal(jitter)))
    }
}

/// `1 h 2 min 3 s`, `45 s`.
pub(super) struct Length(pub(super) Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours} h ")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes} min ")?;
        }
        write!(f, "{seconds} s")
    }
}

/// How it ended.
struct Ended {
    end: End,
    caller: Family,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            End::Bye(side) => write!(f, "the {} hung up", role(side, self.caller)),
            End::Failed(status @ (401 | 407)) => write!(f, "asked for a password ({status})"),
            End::Failed(487) => f.write_str("the caller gave up (487)"),
            End::Failed(status) => write!(f, "not accepted by the callee ({status})"),
            End::NoPorts => f.write_str("refused by this proxy, as there were no media ports (503)"),
            End::Silence(time) => write!(f, "silence for {}", Length(time)),
            End::Shutdown => f.write_str("this proxy was stopped"),
        }
    }
}

fn role(side: Family, caller: Family) -> &'static str {
    if side == caller { "caller" } else { "callee" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_units_that_people_read() {
        let leg = LegFigures { packets: 998, bytes: 171_656, lost: 2, jitter: Some(4.25), ..LegFigures::default() };
        assert_eq!(Heard(leg).to_string(), "998 packets, 171 kB, 2 lost (0.2 %), jitter 4.3 ms");
    }

    #[test]
    fn lengths_are_in_units_that_people_read() {
        assert_eq!(Length(Duration::from_secs(3725)).to_string(), "1 h 2 min 5 s");
        assert_eq!(Length(Duration::from_millis(45_900)).to_string(), "45 s");
    }

    #[test]
    fn the_end_is_told_by_role() {
        assert_eq!(Ended { end: End::Bye(Family::V4), caller: Family::V6 }.to_string(), "the callee hung up");
        assert_eq!(Ended { end: End::Failed(486), caller: Family::V6 }.to_string(), "not accepted by the callee (486)");
        assert_eq!(Ended { end: End::Failed(407), caller: Family::V4 }.to_string(), "asked for a password (407)");
    }
}
