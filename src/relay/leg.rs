//! One party's part of a session: what all its streams counted.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Ending, Failures};
use crate::decimal::{Bytes, Decimal, Percent};
use crate::family::Family;
use crate::media::stream::Report;

/// One party's part of all streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leg {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) jitter: Option<f64>,
    pub(super) rtcp: u64,
    pub(super) sent: u64,
    pub(super) withheld: u64,
    pub(super) last_withheld: Option<SocketAddr>,
    pub(super) unaddressed: u64,
    pub(super) refused: u64,
    pub(super) last_refused: Option<SocketAddr>,
    pub(super) last_heard: Option<Duration>,
    pub(super) failures: Failures,
    /// It is known where its media goes, of some stream at least.
    pub(super) addressed: bool,
    /// Our port for its first stream.
    pub(super) port: Option<SocketAddr>,
}

impl Leg {
    /// All streams' legs on one side as one.
    pub(super) fn of(ending: &Ending, side: Family) -> Self {
        let mut leg = Self::default();
        for stream in &ending.streams {
            leg.add(stream.legs[side]);
            leg.fail(stream.failures[side]);
            leg.port = leg.port.or(stream.ports[side]);
            leg.addressed |= stream.legs[side].destination.is_some();
        }
        leg
    }

    fn fail(&mut self, more: Failures) {
        let failures = &mut self.failures;
        failures.unreachable = failures.unreachable.saturating_add(more.unreachable);
        failures.last_unreachable = more.last_unreachable.or(failures.last_unreachable);
        failures.unsent = failures.unsent.saturating_add(more.unsent);
        failures.last_unsent = more.last_unsent.or(failures.last_unsent);
    }

    fn add(&mut self, report: Report) {
        self.packets = self.packets.saturating_add(report.packets);
        self.rtcp = self.rtcp.saturating_add(report.rtcp);
        self.bytes = self.bytes.saturating_add(report.bytes);
        self.lost = self.lost.saturating_add(report.lost);
        self.jitter = [self.jitter, report.jitter.map(f64::from)].into_iter().flatten().reduce(f64::max);
        self.sent = self.sent.saturating_add(report.sent);
        self.withheld = self.withheld.saturating_add(report.withheld);
        self.last_withheld = report.last_withheld.or(self.last_withheld);
        self.unaddressed = self.unaddressed.saturating_add(report.unaddressed);
        self.refused = self.refused.saturating_add(report.refused);
        self.last_refused = report.last_refused.or(self.last_refused);
        self.last_heard = self.last_heard.max(report.last_heard);
    }
}

/// What a party sent: `1500 packets, 258 kB, 3 lost (0.2 %), jitter 4.0 ms`.
pub(super) struct Heard(pub(super) Leg);

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leg { packets, bytes, lost, jitter, .. } = self.0;
        write!(f, "{packets} packets, {}, {lost} lost", Bytes(bytes))?;
        if lost > 0 {
            write!(f, " ({})", Percent { part: lost, of: packets.saturating_add(lost) })?;
        }
        jitter.map_or(Ok(()), |jitter| write!(f, ", jitter {:.1} ms", Decimal(jitter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_units_that_people_read() {
        let leg = Leg { packets: 998, bytes: 171_656, lost: 2, jitter: Some(4.25), ..Leg::default() };
        assert_eq!(Heard(leg).to_string(), "998 packets, 171 kB, 2 lost (0.2 %), jitter 4.3 ms");
    }
}
