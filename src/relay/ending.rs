//! The one log line at the end of a session, in words for people.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::info;

use crate::escaped::Escaped;
use crate::family::{Family, PerFamily};
use crate::media::command::{End, Obituary, StreamId};
use crate::media::stream::Report;

/// As much of a Call-ID as anybody reads.
const CALL_ID: usize = 128;

/// What one stream counted until its end.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEnd {
    /// The stream.
    pub stream: StreamId,
    /// What each side's leg has seen.
    pub legs: PerFamily<Report>,
    /// ICMP errors ("port unreachable" and the like) for packets to each side.
    pub unreachable: PerFamily<u64>,
    /// Packets to each side that this system did not take for sending.
    pub unsent: PerFamily<u64>,
}

/// A session that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// What the signalling knows of it.
    pub obituary: Obituary,
    /// What its streams counted.
    pub streams: Vec<StreamEnd>,
}

impl Ending {
    /// Writes the line.
    pub fn log(&self) {
        let Obituary { call_id, end, parties, caller, duration, answered } = &self.obituary;
        let callee = caller.other();
        info!(
            verdict = %Verdict(self),
            caller = %Party { side: *caller, address: parties[*caller] },
            callee = %Party { side: callee, address: parties[callee] },
            duration = %Length(*duration),
            answered,
            from_caller = %Heard(self.leg(*caller)),
            from_callee = %Heard(self.leg(callee)),
            call_id = %Escaped(call_id, CALL_ID),
            "call ended: {}", Ended { end: *end, caller: *caller }
        );
    }

    /// All streams' legs on one side as one.
    fn leg(&self, side: Family) -> Leg {
        let mut leg = Leg::default();
        for stream in &self.streams {
            let Report { packets, bytes, lost, jitter, sent, withheld, refused, last_refused, .. } = stream.legs[side];
            leg.packets = leg.packets.saturating_add(packets);
            leg.bytes = leg.bytes.saturating_add(bytes);
            leg.lost = leg.lost.saturating_add(lost);
            leg.jitter = [leg.jitter, jitter].into_iter().flatten().reduce(f32::max);
            leg.sent = leg.sent.saturating_add(sent);
            leg.withheld = leg.withheld.saturating_add(withheld);
            leg.refused = leg.refused.saturating_add(refused);
            leg.last_refused = last_refused.or(leg.last_refused);
            leg.unreachable = leg.unreachable.saturating_add(stream.unreachable[side]);
            leg.unsent = leg.unsent.saturating_add(stream.unsent[side]);
        }
        leg
    }
}

/// One party's part of all streams.
#[derive(Clone, Copy, Debug, Default)]
struct Leg {
    packets: u64,
    bytes: u64,
    lost: u64,
    jitter: Option<f32>,
    sent: u64,
    withheld: u64,
    refused: u64,
    last_refused: Option<SocketAddr>,
    unreachable: u64,
    unsent: u64,
}

/// `192.0.2.101:5060 (IPv4)`.
struct Party {
    side: Family,
    address: Option<SocketAddr>,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address} ({})", self.side),
            None => write!(f, "unknown ({})", self.side),
        }
    }
}

/// `1 h 2 min 3 s`, `45 s`.
struct Length(Duration);

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
            End::Failed(487) => f.write_str("the caller gave up (487)"),
            End::Failed(status) => write!(f, "not accepted ({status})"),
            End::Silence(time) => write!(f, "silence for {}", Length(time)),
            End::Shutdown => f.write_str("this proxy was stopped"),
        }
    }
}

fn role(side: Family, caller: Family) -> &'static str {
    if side == caller { "caller" } else { "callee" }
}

/// What a party sent: `1500 packets, 258.0 kB, 3 lost (0.2 %), jitter 4 ms`.
struct Heard(Leg);

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leg { packets, bytes, lost, jitter, .. } = self.0;
        write!(f, "{packets} packets, ")?;
        match bytes {
            0..10_000 => write!(f, "{bytes} bytes")?,
            10_000..10_000_000 => write!(f, "{} kB", bytes / 1000)?,
            _ => write!(f, "{} MB", bytes / 1_000_000)?,
        }
        write!(f, ", {lost} lost")?;
        if lost > 0 {
            let per_mille = lost.saturating_mul(1000) / packets.saturating_add(lost).max(1);
            write!(f, " ({}.{} %)", per_mille / 10, per_mille % 10)?;
        }
        jitter.map_or(Ok(()), |jitter| write!(f, ", jitter {jitter:.1} ms"))
    }
}

/// Who was heard, who was not, and what speaks for a cause.
struct Verdict<'a>(&'a Ending);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caller = self.0.obituary.caller;
        let legs = [("caller", self.0.leg(caller)), ("callee", self.0.leg(caller.other()))];
        if self.0.streams.is_empty() {
            return f.write_str("no media was asked for");
        }
        if !self.0.obituary.answered {
            f.write_str("the call was not answered; ")?;
        }
        f.write_str(match legs.map(|(_, leg)| leg.packets > 0) {
            [true, true] => "both parties sent media",
            [true, false] => "only the caller sent media",
            [false, true] => "only the callee sent media",
            [false, false] => "neither party sent media",
        })?;
        legs.iter().try_for_each(|(name, leg)| leg.remarks(name, f))
    }
}

impl Leg {
    fn remarks(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = self.last_refused {
            let count = self.refused;
            write!(f, "; {count} packets to the {name}'s port were refused as not the {name}'s, the last from {from}")?;
        }
        if self.unreachable > 0 {
            let count = self.unreachable;
            write!(
                f,
                "; the {name} was unreachable for media ({count} ICMP errors): wrong address, firewall, or gone"
            )?;
        }
        if self.withheld > 0 {
            let count = self.withheld;
            write!(
                f,
                "; {count} packets for the {name} were held back: its address was not known, or nobody answered there"
            )?;
        }
        if self.unsent > 0 {
            write!(f, "; {} packets for the {name} could not be sent: no route, or a full queue", self.unsent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(legs: PerFamily<Report>, unreachable: PerFamily<u64>) -> Ending {
        let obituary = Obituary {
            call_id: b"c1@\x1b[31m".to_vec(),
            end: End::Bye(Family::V4),
            parties: PerFamily::new(Some("192.0.2.101:5060".parse().unwrap()), None),
            caller: Family::V6,
            duration: Duration::from_secs(3725),
            answered: true,
        };
        let unsent = PerFamily::default();
        Ending { obituary, streams: vec![StreamEnd { stream: StreamId(1), legs, unreachable, unsent }] }
    }

    #[test]
    fn a_verdict_names_the_silent_party_and_the_cause() {
        let heard = Report { packets: 10, bytes: 1720, ..Report::default() };
        let both = ending(PerFamily::new(heard, heard), PerFamily::default());
        assert_eq!(Verdict(&both).to_string(), "both parties sent media");
        let refused = Report { refused: 7, last_refused: Some("192.0.2.9:4000".parse().unwrap()), ..Report::default() };
        let one_way = ending(PerFamily::new(refused, heard), PerFamily::new(3, 0));
        let text = Verdict(&one_way).to_string();
        assert!(text.starts_with("only the caller sent media; 7 packets"), "{text}");
        assert!(text.contains("the last from 192.0.2.9:4000"), "{text}");
        assert!(text.contains("the callee was unreachable for media (3 ICMP errors)"), "{text}");
    }

    #[test]
    fn figures_are_in_units_that_people_read() {
        assert_eq!(Length(Duration::from_secs(3725)).to_string(), "1 h 2 min 5 s");
        assert_eq!(Length(Duration::from_millis(45_900)).to_string(), "45 s");
        let leg = Leg { packets: 998, bytes: 171_656, lost: 2, jitter: Some(4.25), ..Leg::default() };
        assert_eq!(Heard(leg).to_string(), "998 packets, 171 kB, 2 lost (0.2 %), jitter 4.2 ms");
    }

    #[test]
    fn the_end_is_told_by_role() {
        assert_eq!(Ended { end: End::Bye(Family::V4), caller: Family::V6 }.to_string(), "the callee hung up");
        assert_eq!(Ended { end: End::Failed(486), caller: Family::V6 }.to_string(), "not accepted (486)");
    }
}
