//! What the relay has counted.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::family::{Family, PerFamily};
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::Report;

/// All streams of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionFigures {
    /// The session.
    pub session: SessionId,
    /// The streams that are relayed.
    pub streams: Vec<StreamFigures>,
    /// Those that were closed while the session went on.
    pub closed: Vec<StreamFigures>,
}

/// What one stream has counted: for the line at the end, or when somebody looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFigures {
    /// The stream.
    pub stream: StreamId,
    /// Our RTP port on each side.
    pub ports: PerFamily<Option<SocketAddr>>,
    /// What each side's leg has seen.
    pub legs: PerFamily<Report>,
    /// What did not get to each side's party.
    pub failures: PerFamily<Failures>,
}

/// Packets to one party that did not get there, as far as this system is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// ICMP errors ("port unreachable" and the like) that came back.
    pub unreachable: u64,
    /// Where the packet of the last of them went.
    pub last_unreachable: Option<SocketAddr>,
    /// Packets that this system did not take for sending.
    pub unsent: u64,
    /// Where the last of these should have gone, and the error number (errno(3)).
    pub last_unsent: Option<(SocketAddr, i32)>,
}

impl Failures {
    /// Counts a packet that this system did not take.
    #[cold]
    pub(super) fn not_sent(&mut self, to: SocketAddr, error: &io::Error) {
        self.unsent = self.unsent.saturating_add(1);
        self.last_unsent = Some((to, error.raw_os_error().unwrap_or(0)));
    }
}

/// One party's part of all streams, of a session or of more.
#[derive(Clone, Copy, Debug, Default)]
pub struct LegFigures {
    /// Packets that came from it, RTCP among them.
    pub packets: u64,
    /// Of these, RTCP.
    pub rtcp: u64,
    /// The UDP payload of the packets, in octets.
    pub bytes: u64,
    /// RTP packets that never came.
    pub lost: u64,
    /// The largest interarrival jitter, in milliseconds.
    pub jitter: Option<f64>,
    /// Packets that went to it.
    pub sent: u64,
    /// Packets that were held back, as its SIP does not come from where it wants them.
    pub withheld: u64,
    /// Where the last of these should have gone.
    pub last_withheld: Option<SocketAddr>,
    /// Packets for which it was not known where they should go.
    pub unaddressed: u64,
    /// Packets that the latch refused.
    pub refused: u64,
    /// Where the last of these came from.
    pub last_refused: Option<SocketAddr>,
    /// When it was last heard.
    pub last_heard: Option<Duration>,
    /// Where its media goes, of the first stream of which that is known.
    pub destination: Option<SocketAddr>,
    /// What did not get to it.
    pub failures: Failures,
    /// Our port for its first stream.
    pub port: Option<SocketAddr>,
}

impl LegFigures {
    /// The legs of these streams on one side as one.
    pub fn of<'a>(streams: impl IntoIterator<Item = &'a StreamFigures>, side: Family) -> Self {
        let mut leg = Self::default();
        for stream in streams {
            leg.add(&stream.legs[side]);
            leg.fail(stream.failures[side]);
            leg.port = leg.port.or(stream.ports[side]);
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

    fn add(&mut self, report: &Report) {
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
        self.destination = self.destination.or(report.destination);
    }
}
