//! Relay threads with parties on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sipproxy64::clock::Clock;
use sipproxy64::config::LatchMode;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{End, LegDescription, Obituary, SessionId, StreamId};
use sipproxy64::relay::{Ending, Notice, PortTaken, Relay, RelayOptions, Stock, StreamSockets};
use sipproxy64::socket::SocketOptions;
use sipproxy64::streams::Transport;
use tokio::sync::mpsc::UnboundedReceiver;

pub const LOOPBACK: PerFamily<IpAddr> =
    PerFamily::new(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
/// Long enough for the slowest machine; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A party: its RTP and its RTCP socket.
pub struct Party {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

impl Party {
    pub fn new(side: Family) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Self { rtp: socket(), rtcp: socket() }
    }

    pub fn description(&self) -> LegDescription {
        let (rtp, rtcp) = (self.rtp.local_addr().unwrap(), self.rtcp.local_addr().unwrap());
        LegDescription {
            rtp: Some(rtp),
            rtcp: Some(rtcp),
            acceptable: [Some(rtp.ip()), None],
            transport: Transport::Rtp,
            budget: None,
        }
    }
}

/// What the next datagram holds, and who sent it.
pub fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).expect("a packet that was to be relayed");
    (buffer[..length].to_vec(), from)
}

pub fn rtp(sequence: u16, source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(source.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

/// A receiver report without blocks (RFC 3550 §6.4.2).
pub fn rtcp(source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(source.to_be_bytes());
    packet
}

/// The sockets of a stream on ports that happen to be free, and these ports. No
/// two calls try the same port, so that tests side by side do not take a port
/// that another one has just closed; two processes begin elsewhere.
pub fn free_sockets() -> (StreamSockets, PerFamily<u16>) {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    loop {
        let tried = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        assert!(tried < 6000, "no free ports");
        let port = 20_000 + 2 * u16::try_from((std::process::id().wrapping_mul(101) + tried) % 6000).unwrap();
        let ports = PerFamily::new(port, port);
        if let Ok(sockets) = bind(ports) {
            return (sockets, ports);
        }
    }
}

/// The sockets of a stream on both sides.
pub fn bind(ports: PerFamily<u16>) -> Result<StreamSockets, PortTaken> {
    let mut sockets = StreamSockets::bind(LOOPBACK, ports, Family::V4, &mut none())?;
    sockets.bind_rest(Family::V6, &mut none())?;
    Ok(sockets)
}

pub fn none() -> Stock {
    Stock::none(SocketOptions::default())
}

pub fn obituary() -> Box<Obituary> {
    Box::new(Obituary {
        call_id: b"c1".to_vec(),
        end: End::Bye(Family::V4),
        parties: PerFamily::new(None, None),
        caller: Family::V4,
        duration: Duration::from_secs(1),
        answered: true,
        rang: true,
        by_stranger: false,
        wishes: PerFamily::default(),
    })
}

/// The parties of a stream, and our addresses for RTP that face them.
pub type Talk = (PerFamily<Party>, PerFamily<SocketAddr>);

/// Relay threads, and the streams that were asked for.
pub struct Rig {
    pub relay: Relay,
    pub notices: UnboundedReceiver<Notice>,
}

impl Rig {
    pub fn new(threads: usize) -> Self {
        Self::with(&RelayOptions { threads, ..RelayOptions::default() })
    }

    pub fn with(options: &RelayOptions) -> Self {
        let (relay, notices) = Relay::start(Clock::start(), options).unwrap();
        Self { relay, notices }
    }

    /// A stream between two new parties.
    pub fn stream(&mut self, session: u64, stream: u64) -> Talk {
        let (sockets, ports) = free_sockets();
        let parties = PerFamily::from_fn(Party::new);
        self.relay.open(SessionId(session), StreamId(stream), LatchMode::Signalled, sockets);
        for (side, party) in parties.iter() {
            self.relay.describe(StreamId(stream), side, party.description());
        }
        self.relay.wake();
        (parties, PerFamily::from_fn(|side| SocketAddr::new(LOOPBACK[side], ports[side])))
    }

    /// Whether a packet of the session was ever heard, once all orders before are carried out.
    pub fn heard(&mut self, session: u64) -> bool {
        self.relay.query(SessionId(session));
        self.relay.wake();
        match self.notices.blocking_recv() {
            Some(Notice::Heard { session: of, last }) if of == SessionId(session) => last.is_some(),
            other => panic!("{other:?}"),
        }
    }

    pub fn close(&mut self, session: u64) -> Ending {
        self.relay.close(SessionId(session), obituary());
        self.relay.wake();
        match self.notices.blocking_recv() {
            Some(Notice::Ended(ending)) => {
                self.relay.ended();
                *ending
            }
            other => panic!("{other:?}"),
        }
    }
}

pub fn beside(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

/// A stranger in the right family.
pub fn stranger(side: Family) -> UdpSocket {
    UdpSocket::bind((LOOPBACK[side], 0)).unwrap()
}

/// All parties send a packet.
pub fn talk(streams: &[Talk], sequence: u16) {
    for (parties, ours) in streams {
        for side in Family::BOTH {
            parties[side].rtp.send_to(&rtp(sequence, 7), ours[side]).unwrap();
        }
    }
}

/// All parties hear that packet as the next.
pub fn listen(streams: &[Talk], sequence: u16) {
    for (parties, ours) in streams {
        for side in Family::BOTH {
            assert_eq!(next(&parties[side].rtp), (rtp(sequence, 7), ours[side]));
        }
    }
}
