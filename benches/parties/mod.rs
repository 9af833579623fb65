//! Parties on loopback, and the relay between them.

#![allow(dead_code, reason = "not every bench needs all of it")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::clock::Clock;
use sipproxy64::config::LatchMode;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{LegDescription, SessionId, StreamId};
use sipproxy64::relay::{Relay, RelayOptions, Stock, StreamSockets, Tap};
use sipproxy64::socket::SocketOptions;
use sipproxy64::streams::Transport;

pub(crate) const LOOPBACK: PerFamily<IpAddr> =
    PerFamily::new(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));

/// A party of one stream, and the port of the relay that it talks to.
pub(crate) struct Party {
    pub(crate) socket: UdpSocket,
    pub(crate) relay: SocketAddr,
}

impl Party {
    pub(crate) fn new(side: Family) -> Self {
        let socket = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, relay: SocketAddr::new(LOOPBACK[side], 0) }
    }

    fn describe(&self) -> LegDescription {
        let rtp = self.socket.local_addr().unwrap();
        let rtcp = Some(SocketAddr::new(rtp.ip(), 9));
        let acceptable = [Some(rtp.ip()), None];
        LegDescription { rtp: Some(rtp), rtcp, acceptable, transport: Transport::Rtp, budget: None }
    }

    fn send(&self, packet: &mut [u8; 172], sequence: u16) {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        self.socket.send_to(packet, self.relay).unwrap();
    }
}

pub(crate) type Pair = PerFamily<Party>;

/// Has all parties send and hear so many packets, each pair one each way at a time.
pub(crate) fn talk(pairs: &[Pair], packets: u64) {
    let mut packet = [0x55; 172];
    packet[..2].copy_from_slice(&[0x80, 0]);
    let mut buffer = [0; 2048];
    let rounds = packets / 2 / pairs.len() as u64;
    for round in 0..rounds {
        for pair in pairs {
            Family::BOTH.into_iter().for_each(|side| pair[side].send(&mut packet, round as u16));
        }
        for pair in pairs {
            for side in Family::BOTH {
                pair[side].socket.recv(&mut buffer).unwrap();
            }
        }
    }
}

/// Processor time that the threads of a name took so far.
pub(crate) fn processor_time(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let comm = std::fs::read_to_string(path.join("comm")).ok()?;
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        (comm.trim() == name).then(|| text.split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

/// The relay with so many threads, whose packets are copied to `tap`, and the parties of
/// so many streams.
pub(crate) fn relay(threads: usize, streams: u16, tap: Option<Arc<dyn Tap>>) -> (Relay, Vec<Pair>) {
    let options = RelayOptions { threads, tap, ..RelayOptions::default() };
    let (mut relay, _notices) = Relay::start(Clock::start(), &options).unwrap();
    let mut ports = (20_000..32_000).step_by(2);
    let pairs = (0..streams)
        .map(|number| {
            let (sockets, port) = ports
                .find_map(|port| {
                    let ports = PerFamily::new(port, port);
                    let mut none = Stock::none(SocketOptions::default());
                    let mut sockets = StreamSockets::bind(LOOPBACK, ports, Family::V4, &mut none).ok()?;
                    sockets.bind_rest(Family::V6, &mut none).ok()?;
                    Some((sockets, port))
                })
                .unwrap();
            let stream = StreamId(number.into());
            relay.open(SessionId(number.into()), stream, LatchMode::Signalled, sockets);
            PerFamily::from_fn(|side| {
                let mut party = Party::new(side);
                party.relay.set_port(port);
                relay.describe(stream, side, party.describe());
                party
            })
        })
        .collect();
    relay.wake();
    (relay, pairs)
}
