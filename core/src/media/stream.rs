//! A stream: one `m=` line, relayed between its two legs.
//!
//! A [`Stream`] is owned by the thread that relays it. It is asked once for
//! each packet, allocates nothing and looks nothing up.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::allowance::Allowance;
use super::command::LegDescription;
use super::latch::Latch;
use super::packet::Packet;
use super::quality::Quality;
use crate::config::LatchMode;
use crate::family::{Family, PerFamily};
use crate::streams::Transport;

/// Which port of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Component {
    /// The even one. What comes here leaves here, multiplexed RTCP too (RFC 5761).
    Rtp,
    /// The odd one above it.
    Rtcp,
}

impl Component {
    /// Both components.
    pub const BOTH: [Self; 2] = [Self::Rtp, Self::Rtcp];
}

/// What one leg of a stream has seen, for the log line at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Packets of this leg's party that were let in, RTCP among them.
    pub packets: u64,
    /// How many of these were RTCP.
    pub rtcp: u64,
    /// Their UDP payload, in octets.
    pub bytes: u64,
    /// Packets to this leg that went out.
    pub sent: u64,
    /// When the party was last heard.
    pub last_heard: Option<Duration>,
    /// RTP packets that never came, by the sequence numbers.
    pub lost: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1), the last value;
    /// `None` where the clock rate is not known.
    pub jitter: Option<f32>,
    /// Packets to this leg that were held back, since nothing came from its address.
    pub withheld: u64,
    /// Where the last of those would have gone.
    pub last_withheld: Option<SocketAddr>,
    /// Packets to this leg for which no address was known.
    pub unaddressed: u64,
    /// Packets that the latch refused, but for those of a party that spoke before its description.
    pub refused: u64,
    /// Where the last of those came from.
    pub last_refused: Option<SocketAddr>,
    /// Where its RTP is sent.
    pub destination: Option<SocketAddr>,
    /// Where its RTP was found to come from, if the latch holds on to that.
    pub learned: Option<SocketAddr>,
}

/// Both legs of one `m=` line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    legs: PerFamily<Leg>,
}

impl Stream {
    /// A stream whose parties are not described yet: nothing passes, except
    /// with [`LatchMode::First`].
    pub fn new(mode: LatchMode) -> Self {
        Self { legs: PerFamily::from_fn(|_| Leg::new(mode)) }
    }

    /// The leg on `side` is described anew ([`super::command::Command::Describe`]).
    pub fn describe(&mut self, side: Family, leg: LegDescription) {
        self.legs[side].describe(leg);
        // It may end a hold, during which Asterisk counts sequence numbers and sends nothing.
        for side in Family::BOTH {
            self.legs[side].quality.interrupt();
        }
    }

    /// A packet came in on the socket of `component` on `side`. The answer is
    /// where it goes, out of the other side's socket of the same component;
    /// `None`: nowhere.
    pub fn packet(
        &mut self,
        now: Duration,
        side: Family,
        component: Component,
        from: SocketAddr,
        packet: &[u8],
    ) -> Option<SocketAddr> {
        let heard = self.legs[side].hear(now, component, from, packet);
        let to = if heard { self.legs[side.other()].send(component) } else { None };
        self.legs[side].counts.pass_on(to.is_some());
        to
    }

    /// The same for a caller that keeps the other side's [`Stream::speaker`] at hand, where
    /// the packet goes if this says so. The other leg is not looked at.
    pub fn packet_to_speaker(
        &mut self,
        now: Duration,
        side: Family,
        component: Component,
        from: SocketAddr,
        packet: &[u8],
    ) -> bool {
        let heard = self.legs[side].hear(now, component, from, packet);
        self.legs[side].counts.pass_on(heard);
        heard
    }

    /// Whom the RTP on `side` comes from and goes to, once media has shown it.
    pub fn speaker(&self, side: Family) -> Option<SocketAddr> {
        self.legs[side].rtp.speaker()
    }

    /// Reads a value of each line of the cache that a packet from `side` needs; what
    /// comes of it means nothing.
    pub fn touch(&self, side: Family) -> u64 {
        let Leg { rtp, counts, quality, .. } = &self.legs[side];
        u64::from(rtp.speaker().is_some()) ^ counts.packets ^ quality.lost()
    }

    /// When a packet of either party was last let in: for
    /// [`super::command::Command::Query`], the latest of all streams of a session.
    pub fn last_heard(&self) -> Option<Duration> {
        self.legs[Family::V4].counts.last_heard.max(self.legs[Family::V6].counts.last_heard)
    }

    /// What the leg on `side` has seen.
    pub fn report(&self, side: Family) -> Report {
        let Leg { rtp, counts, quality, rest, .. } = &self.legs[side];
        Report {
            packets: counts.packets,
            rtcp: counts.rtcp,
            bytes: counts.bytes,
            sent: self.legs[side.other()].counts.passed_on,
            last_heard: counts.last_heard,
            lost: quality.lost(),
            jitter: quality.jitter(),
            withheld: rest.withheld,
            last_withheld: rest.last_withheld,
            unaddressed: rest.unaddressed,
            refused: rest.refused,
            last_refused: rest.last_refused,
            destination: rtp.destination(),
            learned: rtp.learned(),
        }
    }
}

/// One party's side of a stream. What each packet needs stands together, and in
/// three lines of the cache, the first one of the latch, the counts and the quality:
/// with a thousand streams none of it is there yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
struct Leg {
    rtp: Latch,
    counts: Counts,
    quality: Quality,
    rest: Rest,
    /// The party has said where it wants its media.
    described: bool,
    allowance: Allowance,
    rtcp: Latch,
}

/// What each packet needs of a leg, beside its latch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
struct Counts {
    packets: u64,
    rtcp: u64,
    bytes: u64,
    /// Packets that went out to the other leg. Counted here, that one is not touched.
    passed_on: u64,
    last_heard: Option<Duration>,
    transport: Transport,
    /// There is an allowance, which wants to know who was heard.
    limited: bool,
}

impl Counts {
    fn pass_on(&mut self, passed: bool) {
        self.passed_on = self.passed_on.saturating_add(u64::from(passed));
    }
}

/// What becomes of other packets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Rest {
    withheld: u64,
    last_withheld: Option<SocketAddr>,
    unaddressed: u64,
    refused: u64,
    last_refused: Option<SocketAddr>,
}

impl Leg {
    fn new(mode: LatchMode) -> Self {
        Self {
            rtp: Latch::new(mode),
            counts: Counts {
                packets: 0,
                rtcp: 0,
                bytes: 0,
                passed_on: 0,
                last_heard: None,
                transport: Transport::Rtp,
                limited: false,
            },
            quality: Quality::default(),
            rest: Rest::default(),
            described: false,
            allowance: Allowance::default(),
            rtcp: Latch::new(mode),
        }
    }

    fn latch(&mut self, component: Component) -> &mut Latch {
        match component {
            Component::Rtp => &mut self.rtp,
            Component::Rtcp => &mut self.rtcp,
        }
    }

    fn describe(&mut self, leg: LegDescription) {
        self.rtp.describe(leg.rtp, leg.acceptable);
        self.rtcp.describe(leg.rtcp, leg.acceptable);
        self.counts.transport = leg.transport;
        self.counts.limited = leg.budget.is_some();
        self.allowance.describe(&leg);
        self.recognise(leg);
    }

    /// What was refused before the party described itself may have been its own.
    fn recognise(&mut self, leg: LegDescription) {
        let first = leg.rtp.is_some() && !self.described;
        self.described |= leg.rtp.is_some();
        let refused = self.rest.last_refused.map(|from| from.ip());
        if first && refused.is_some() && leg.acceptable.contains(&refused) {
            (self.rest.refused, self.rest.last_refused) = (0, None);
        }
    }

    /// Whether a packet from this party's side is let in.
    fn hear(&mut self, now: Duration, component: Component, from: SocketAddr, bytes: &[u8]) -> bool {
        let packet = Packet::read(bytes, self.counts.transport);
        if !self.latch(component).hear(now, from, packet) {
            self.refuse(from);
            return false;
        }
        let counts = &mut self.counts;
        if counts.limited && (packet != Packet::Other || counts.transport == Transport::Udp) {
            self.allowance.heard(from.ip());
        }
        counts.packets = counts.packets.saturating_add(1);
        counts.rtcp = counts.rtcp.saturating_add(u64::from(matches!(packet, Packet::Rtcp { .. })));
        counts.bytes = counts.bytes.saturating_add(bytes.len() as u64);
        counts.last_heard = Some(now);
        if let (Component::Rtp, Packet::Rtp(rtp)) = (component, packet) {
            self.quality.receive(now, rtp);
        }
        true
    }

    #[cold]
    fn refuse(&mut self, from: SocketAddr) {
        self.rest.refused = self.rest.refused.saturating_add(1);
        self.rest.last_refused = Some(from);
    }

    /// Where a packet for this party goes.
    fn send(&mut self, component: Component) -> Option<SocketAddr> {
        self.latch(component).learned().or_else(|| self.send_unheard(component))
    }

    /// The same where nothing has come from it.
    #[cold]
    fn send_unheard(&mut self, component: Component) -> Option<SocketAddr> {
        let Some(to) = self.latch(component).destination() else {
            self.rest.unaddressed = self.rest.unaddressed.saturating_add(1);
            return None;
        };
        if self.allowance.spend(to.ip()) {
            return Some(to);
        }
        self.rest.withheld = self.rest.withheld.saturating_add(1);
        self.rest.last_withheld = Some(to);
        None
    }
}

#[cfg(test)]
#[path = "tests/stream.rs"]
mod tests;
