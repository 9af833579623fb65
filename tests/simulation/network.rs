//! The network between all: it loses, repeats, delays and overtakes, and has a NAT.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::random::Random;

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What goes wrong on the way, in percent, and for how long a message may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) slow: u64,
}

impl Weather {
    /// Nothing arrives late or again.
    pub(crate) fn is_fair(&self) -> bool {
        self.loss == 0 && self.twice == 0 && self.slow < 100
    }
}

/// A NAT in front of one host: each of its ports has another one outside, and only
/// whom it has sent something to gets in (RFC 4787: endpoint-independent mapping,
/// address- and port-dependent filtering).
#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) inside: IpAddr,
    pub(crate) outside: IpAddr,
    known: BTreeSet<(u16, SocketAddr)>,
}

impl Nat {
    pub(crate) fn new(inside: IpAddr, outside: IpAddr) -> Self {
        Self { inside, outside, known: BTreeSet::new() }
    }

    fn outward(&mut self, packet: &mut Packet) {
        if packet.from.ip() == self.inside {
            self.known.insert((packet.from.port(), packet.to));
            packet.from = self.outside_of(packet.from.port());
        }
    }

    /// What an inner port is outside.
    pub(crate) fn outside_of(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.outside, port ^ 0x1155)
    }

    /// `None`: it stays out.
    fn inward(&self, mut packet: Packet) -> Option<Packet> {
        if packet.to.ip() == self.outside {
            let port = packet.to.port() ^ 0x1155;
            packet.to = SocketAddr::new(self.inside, port);
            return self.known.contains(&(port, packet.from)).then_some(packet);
        }
        (packet.to.ip() != self.inside).then_some(packet)
    }
}

pub(crate) struct Network {
    pub(crate) weather: Weather,
    pub(crate) nat: Nat,
    on_the_way: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
}

impl Network {
    pub(crate) fn new(weather: Weather, nat: Nat) -> Self {
        Self { weather, nat, on_the_way: BTreeMap::new(), sent: 0 }
    }

    /// Sends a SIP message.
    pub(crate) fn send(&mut self, now: Duration, mut packet: Packet, random: &mut Random) {
        self.nat.outward(&mut packet);
        let copies =
            if random.percent(self.weather.loss) { 0 } else { 1 + usize::from(random.percent(self.weather.twice)) };
        for _ in 0..copies {
            self.sent += 1;
            let at = now + random.millis(1, self.weather.slow);
            self.on_the_way.insert((at, self.sent), packet.clone());
        }
    }

    /// A media packet leaves: what it is on the other side of the NAT.
    pub(crate) fn outward(&mut self, mut packet: Packet) -> Packet {
        self.nat.outward(&mut packet);
        packet
    }

    /// A packet is at its destination, or stays before the NAT.
    pub(crate) fn inward(&self, packet: Packet) -> Option<Packet> {
        self.nat.inward(packet)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn arrive(&mut self, now: Duration) -> Option<Packet> {
        let (&key, _) = self.on_the_way.first_key_value().filter(|((at, _), _)| *at <= now)?;
        self.on_the_way.remove(&key)
    }
}
