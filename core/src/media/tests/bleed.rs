//! RTP bleed (ES2025-01): somebody sprays all media ports during a whole call.

use super::*;
use crate::media::command::StreamId;
use crate::media::stream::{Component, Stream};

/// The relay of the shell, without sockets.
#[derive(Debug, Default)]
struct Relayed {
    streams: BTreeMap<StreamId, (PerFamily<u16>, Stream)>,
}

impl Relayed {
    fn carry_out(&mut self, bench: &mut Bench) {
        for command in bench.commands() {
            match command {
                Command::Open { stream, ports, latch, .. } => {
                    self.streams.insert(stream, (ports, Stream::new(latch)));
                }
                Command::Describe { stream, side, leg } => self.streams.get_mut(&stream).unwrap().1.describe(side, leg),
                Command::Close { .. } => self.streams.clear(),
                Command::CloseStream { stream } => drop(self.streams.remove(&stream)),
                Command::OpenRest { .. } | Command::Query { .. } => {}
            }
        }
    }

    fn send(&mut self, side: Family, from: &str, ssrc: u8) -> Option<SocketAddr> {
        let packet = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ssrc];
        let (_, stream) = self.streams.values_mut().next()?;
        stream.packet(Duration::ZERO, side, Component::Rtp, at(from), &packet)
    }

    /// Each media port is sprayed from both sides, with the SSRCs of the call too.
    fn spray(&mut self) {
        for (ssrc, from) in [(1, "198.51.100.66:4000"), (2, "192.0.2.100:4000"), (9, "192.0.2.102:4000")] {
            assert_eq!(self.send(Family::V4, from, ssrc), None, "{from}");
        }
        for (ssrc, from) in [(1, "[2001:db8:bad::1]:6000"), (2, "[2001:db8:9::56]:6000")] {
            assert_eq!(self.send(Family::V6, from, ssrc), None, "{from}");
        }
    }

    /// What the parties send arrives at each other, and nowhere else.
    fn talk(&mut self, four: &str, six: &str) {
        assert_eq!(self.send(Family::V4, four, 1), Some(at(six)));
        assert_eq!(self.send(Family::V6, six, 2), Some(at(four)));
    }
}

#[test]
fn who_sprays_neither_hears_nor_injects() {
    let (mut bench, mut relayed) = (Bench::new(&config()), Relayed::default());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    relayed.carry_out(&mut bench);
    relayed.spray();
    // The callee's media is sooner than its answer.
    assert_eq!(relayed.send(Family::V6, P6, 2), Some(at(P4)));
    relayed.spray();
    bench.signal(&response(invite, 200, &[audio(P6)]));
    relayed.carry_out(&mut bench);
    relayed.spray();
    relayed.talk(P4, P6);
    relayed.spray();
    // A new description opens a new race: sprayed before the genuine packet.
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4444")]));
    relayed.carry_out(&mut bench);
    relayed.spray();
    assert_eq!(relayed.send(Family::V4, P4, 1), Some(at(P6)), "still relayed");
    assert_eq!(relayed.send(Family::V6, P6, 2), Some(at("192.0.2.101:4444")));
    relayed.talk("192.0.2.101:4444", P6);
    relayed.spray();
    bench.signal(&in_dialog(Method::Bye, 3, &[]));
    relayed.carry_out(&mut bench);
    relayed.spray();
}
