//! The relay threads on real sockets: 127.0.0.1 on one side, ::1 on the other.
#![allow(clippy::disallowed_types, reason = "tests own sockets")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sipproxy64::clock::Clock;
use sipproxy64::config::LatchMode;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{End, LegDescription, Obituary, SessionId, StreamId};
use sipproxy64::relay::{
    DetachedSession, Ending, Failures, Notice, OpenPair, Passage, PortTaken, Relay, RelayOptions, SessionFigures,
    Stock, StreamSockets, Tap,
};
use sipproxy64::socket::SocketOptions;
use sipproxy64::streams::Transport;
use tokio::sync::mpsc::UnboundedReceiver;

const LOOPBACK: PerFamily<IpAddr> = PerFamily::new(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
/// Long enough for the slowest machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A party: its RTP and its RTCP socket.
struct Party {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Party {
    fn new(side: Family) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Self { rtp: socket(), rtcp: socket() }
    }

    fn description(&self) -> LegDescription {
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
fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).expect("a packet that was to be relayed");
    (buffer[..length].to_vec(), from)
}

fn rtp(sequence: u16, source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(source.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

/// A receiver report without blocks (RFC 3550 §6.4.2).
fn rtcp(source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(source.to_be_bytes());
    packet
}

/// The sockets of a stream on ports that happen to be free, and these ports. No
/// two calls try the same port, so that tests side by side do not take a port
/// that another one has just closed; two processes begin elsewhere.
fn free_sockets() -> (StreamSockets, PerFamily<u16>) {
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
fn bind(ports: PerFamily<u16>) -> Result<StreamSockets, PortTaken> {
    let mut sockets = StreamSockets::bind(LOOPBACK, ports, Family::V4, &mut none())?;
    sockets.bind_rest(Family::V6, &mut none())?;
    Ok(sockets)
}

fn none() -> Stock {
    Stock::none(SocketOptions::default())
}

fn obituary() -> Box<Obituary> {
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

/// Relay threads and one stream for each number asked for.
struct Rig {
    relay: Relay,
    notices: UnboundedReceiver<Notice>,
}

impl Rig {
    fn new(threads: usize) -> Self {
        let (relay, notices) =
            Relay::start(Clock::start(), &RelayOptions { threads, ..RelayOptions::default() }).unwrap();
        Self { relay, notices }
    }

    /// A stream between two new parties, and our addresses for RTP that face them.
    fn stream(&mut self, session: u64, stream: u64) -> (PerFamily<Party>, PerFamily<SocketAddr>) {
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
    fn heard(&mut self, session: u64) -> bool {
        self.relay.query(SessionId(session));
        self.relay.wake();
        match self.notices.blocking_recv() {
            Some(Notice::Heard { session: of, last }) if of == SessionId(session) => last.is_some(),
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, session: u64) -> Ending {
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

fn beside(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

#[test]
fn fifty_packets_each_way_arrive_from_the_ports_that_were_told() {
    let mut rig = Rig::new(1);
    let (parties, ours) = rig.stream(1, 1);
    for sequence in 0..50 {
        for side in Family::BOTH {
            let other = side.other();
            let packet = rtp(sequence, 7);
            parties[side].rtp.send_to(&packet, ours[side]).unwrap();
            assert_eq!(next(&parties[other].rtp), (packet, ours[other]));
            let packet = rtcp(u32::from(sequence));
            parties[side].rtcp.send_to(&packet, beside(ours[side])).unwrap();
            assert_eq!(next(&parties[other].rtcp), (packet, beside(ours[other])));
        }
    }
    let ending = rig.close(1);
    for (_, leg) in ending.streams[0].legs.iter() {
        assert_eq!((leg.packets, leg.lost, leg.refused), (100, 0, 0));
        assert_eq!(leg.bytes, 50 * (172 + 8));
    }
}

#[test]
fn packets_that_wait_for_others_arrive_all_and_in_order() {
    let options = RelayOptions { threads: 1, batch: Duration::from_millis(5), ..RelayOptions::default() };
    let (relay, notices) = Relay::start(Clock::start(), &options).unwrap();
    let mut rig = Rig { relay, notices };
    let streams = [rig.stream(1, 1), rig.stream(1, 2)];
    for sequence in 0..30 {
        talk(&streams, 3 * sequence);
        talk(&streams, 3 * sequence + 1);
        talk(&streams, 3 * sequence + 2);
        listen(&streams, 3 * sequence);
        listen(&streams, 3 * sequence + 1);
        listen(&streams, 3 * sequence + 2);
    }
    assert!(rig.close(1).streams.iter().all(|stream| stream.legs[Family::V4].packets == 90));
}

#[test]
fn what_comes_before_the_thread_looks_is_not_lost() {
    let mut rig = Rig::new(1);
    let (sockets, ports) = free_sockets();
    let (phone, peer) = (Party::new(Family::V4), Party::new(Family::V6));
    phone.rtp.send_to(&rtp(1, 7), (LOOPBACK[Family::V4], ports[Family::V4])).unwrap();
    rig.relay.open(SessionId(1), StreamId(1), LatchMode::Signalled, sockets);
    rig.relay.describe(StreamId(1), Family::V4, phone.description());
    rig.relay.describe(StreamId(1), Family::V6, peer.description());
    rig.relay.wake();
    assert_eq!(next(&peer.rtp).0, rtp(1, 7));
}

/// A party may speak before the other one was told of a port.
#[test]
fn what_comes_before_the_other_side_is_open_waits_for_it() {
    let mut rig = Rig::new(1);
    let (whole, ports) = free_sockets();
    drop(whole);
    let ours = PerFamily::from_fn(|side| SocketAddr::new(LOOPBACK[side], ports[side]));
    let sockets = StreamSockets::bind(LOOPBACK, ports, Family::V6, &mut none()).unwrap();
    assert!(sockets.descriptors().is_none());
    assert!(UdpSocket::bind(ours[Family::V4]).is_ok(), "not open yet");
    let parties = PerFamily::from_fn(Party::new);
    rig.relay.open(SessionId(1), StreamId(1), LatchMode::Signalled, sockets);
    for (side, party) in parties.iter() {
        rig.relay.describe(StreamId(1), side, party.description());
    }
    rig.relay.wake();
    let (phone, peer) = (&parties[Family::V4], &parties[Family::V6]);
    for sequence in 0..3 {
        peer.rtp.send_to(&rtp(sequence, 7), ours[Family::V6]).unwrap();
        peer.rtcp.send_to(&rtcp(sequence.into()), beside(ours[Family::V6])).unwrap();
    }
    assert!(matches!(rig.notices.blocking_recv(), Some(Notice::Early { session: SessionId(1) })));
    // It is told once.
    assert!(!rig.heard(1));
    rig.relay.open_rest(StreamId(1), Family::V4, OpenPair::bind(ours[Family::V4], &mut none()).unwrap());
    rig.relay.wake();
    for sequence in 0..3 {
        assert_eq!(next(&phone.rtp), (rtp(sequence, 7), ours[Family::V4]));
        assert_eq!(next(&phone.rtcp), (rtcp(sequence.into()), beside(ours[Family::V4])));
    }
    phone.rtp.send_to(&rtp(1, 8), ours[Family::V4]).unwrap();
    assert_eq!(next(&peer.rtp), (rtp(1, 8), ours[Family::V6]));
    assert_eq!(rig.close(1).streams[0].legs[Family::V6].packets, 6);
    assert!(bind(ports).is_ok(), "both are closed");
}

#[test]
fn streams_of_several_sessions_do_not_meet() {
    let mut rig = Rig::new(2);
    let streams: Vec<_> = (0..20).map(|number| rig.stream(number / 2, number)).collect();
    for (number, (parties, ours)) in (0_u16..).zip(&streams) {
        parties[Family::V4].rtp.send_to(&rtp(number, u32::from(number)), ours[Family::V4]).unwrap();
    }
    for (number, (parties, _)) in (0_u16..).zip(&streams) {
        assert_eq!(next(&parties[Family::V6].rtp).0, rtp(number, u32::from(number)));
    }
    assert_eq!(rig.relay.streams(), 20);
    for session in 0..10 {
        let ending = rig.close(session);
        let packets: Vec<_> = ending.streams.iter().map(|stream| stream.legs[Family::V4].packets).collect();
        assert_eq!(packets, [1, 1]);
    }
    assert_eq!(rig.relay.streams(), 0);
    assert!(rig.relay.is_idle());
}

#[test]
fn ports_are_free_when_the_end_is_told() {
    let mut rig = Rig::new(1);
    let (_, ours) = rig.stream(1, 1);
    let ports = PerFamily::from_fn(|side| ours[side].port());
    let taken = bind(ports).unwrap_err();
    assert_eq!(taken.side, Family::V4);
    rig.close(1);
    assert!(bind(ports).is_ok());
}

#[test]
fn a_closed_stream_ends_at_once_and_is_told_at_the_end_of_its_session() {
    let mut rig = Rig::new(1);
    let (parties, ours) = rig.stream(1, 1);
    parties[Family::V4].rtp.send_to(&rtp(1, 7), ours[Family::V4]).unwrap();
    next(&parties[Family::V6].rtp);
    rig.relay.close_stream(StreamId(1));
    // It was heard, even though it is gone.
    assert!(rig.heard(1));
    let ports = PerFamily::from_fn(|side| ours[side].port());
    assert!(bind(ports).is_ok());
    let ending = rig.close(1);
    assert_eq!(ending.streams.len(), 1);
    assert_eq!(ending.streams[0].legs[Family::V4].packets, 1);
}

#[test]
fn packets_for_a_closed_stream_never_reach_its_successor() {
    let mut rig = Rig::new(1);
    for round in 0..50 {
        let (old_parties, old) = rig.stream(round, round);
        // The successor takes the place of the old one, within one waking of
        // the thread, while packets for the old one wait.
        let (sockets, ports) = free_sockets();
        let (phone, peer) = (Party::new(Family::V4), Party::new(Family::V6));
        for sequence in 0..10 {
            old_parties[Family::V4].rtp.send_to(&rtp(sequence, 1), old[Family::V4]).unwrap();
        }
        let successor = 1000 + round;
        rig.relay.close(SessionId(round), obituary());
        rig.relay.open(SessionId(successor), StreamId(successor), LatchMode::First, sockets);
        rig.relay.describe(StreamId(successor), Family::V6, peer.description());
        rig.relay.wake();
        assert!(matches!(rig.notices.blocking_recv(), Some(Notice::Ended(_))));
        phone.rtp.send_to(&rtp(1, 2), (LOOPBACK[Family::V4], ports[Family::V4])).unwrap();
        assert_eq!(next(&peer.rtp).0, rtp(1, 2));
        let ending = rig.close(successor);
        assert_eq!(ending.streams[0].legs[Family::V4].packets, 1);
    }
}

#[test]
fn a_port_that_somebody_has_is_named_and_nothing_is_held() {
    let (sockets, ports) = free_sockets();
    drop(sockets);
    let rtcp = SocketAddr::new(LOOPBACK[Family::V6], ports[Family::V6] + 1);
    let somebody = UdpSocket::bind(rtcp).unwrap();
    let taken = bind(ports).unwrap_err();
    assert_eq!((taken.side, taken.port), (Family::V6, ports[Family::V6]));
    assert_eq!(taken.error.cause.kind(), ErrorKind::AddrInUse);
    assert!(taken.to_string().contains(&rtcp.to_string()), "{taken}");
    drop(somebody);
    assert!(bind(ports).is_ok());
}

#[test]
fn a_party_that_is_gone_is_noticed_and_the_relay_goes_on() {
    let mut rig = Rig::new(1);
    let (parties, ours) = rig.stream(1, 1);
    let gone = Party::new(Family::V6);
    rig.relay.describe(StreamId(1), Family::V6, gone.description());
    drop(gone);
    assert!(!rig.heard(1));
    for sequence in 0..5 {
        parties[Family::V4].rtp.send_to(&rtp(sequence, 7), ours[Family::V4]).unwrap();
    }
    while !rig.heard(1) {}
    // The errors that wait must cost the party that is there no packet.
    rig.relay.describe(StreamId(1), Family::V6, parties[Family::V6].description());
    assert!(rig.heard(1));
    parties[Family::V4].rtp.send_to(&rtp(5, 7), ours[Family::V4]).unwrap();
    while next(&parties[Family::V6].rtp).0 != rtp(5, 7) {}
    let ending = rig.close(1);
    assert!(ending.streams[0].failures[Family::V6].unreachable > 0);
    assert_eq!(ending.streams[0].failures[Family::V4], Failures::default());
    assert_eq!(ending.streams[0].failures[Family::V6].unsent, 0);
}

/// What all threads have counted.
fn snapshot(relay: &mut Relay) -> Vec<SessionFigures> {
    let mut parts = relay.snapshot();
    let mut sessions: Vec<_> = std::iter::from_fn(|| parts.blocking_recv()).flatten().collect();
    sessions.sort_by_key(|figures| figures.session);
    sessions
}

#[test]
fn a_snapshot_tells_what_all_threads_have_counted_so_far() {
    let mut rig = Rig::new(2);
    assert_eq!(snapshot(&mut rig.relay), []);
    let streams: Vec<_> = (0..6).map(|number| rig.stream(number / 2, number)).collect();
    for (parties, ours) in &streams {
        parties[Family::V4].rtp.send_to(&rtp(1, 7), ours[Family::V4]).unwrap();
        next(&parties[Family::V6].rtp);
    }
    rig.relay.close_stream(StreamId(5));
    let sessions = snapshot(&mut rig.relay);
    assert_eq!(sessions.iter().map(|figures| figures.session.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(sessions.iter().map(|figures| figures.streams.len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(sessions[2].closed[0].stream, StreamId(5));
    let (parties, ours) = &streams[0];
    let first = sessions[0].streams.iter().find(|figures| figures.stream == StreamId(0)).unwrap();
    assert_eq!(first.ports[Family::V6], Some(ours[Family::V6]));
    let (from, to) = (&first.legs[Family::V4], &first.legs[Family::V6]);
    assert_eq!((from.packets, from.bytes, from.learned), (1, 172, parties[Family::V4].rtp.local_addr().ok()));
    assert_eq!((to.sent, to.learned, to.destination), (1, None, parties[Family::V6].rtp.local_addr().ok()));
}

/// All sessions of a relay.
fn detach(relay: &mut Relay) -> Vec<DetachedSession> {
    let mut parts = relay.detach();
    std::iter::from_fn(|| parts.blocking_recv()).flatten().collect()
}

/// What another process gets: the state as bytes, the sockets as descriptors.
fn pass_on(session: &DetachedSession) -> DetachedSession {
    let state = postcard::to_stdvec(&session.state).unwrap();
    let adopt = |sockets: &StreamSockets| {
        let descriptors = sockets.descriptors().unwrap().map(|descriptor| descriptor.try_clone_to_owned().unwrap());
        StreamSockets::adopt(descriptors).unwrap()
    };
    DetachedSession {
        state: postcard::from_bytes(&state).unwrap(),
        sockets: session.sockets.iter().map(adopt).collect(),
    }
}

type Talk = (PerFamily<Party>, PerFamily<SocketAddr>);

/// All parties send a packet.
fn talk(streams: &[Talk], sequence: u16) {
    for (parties, ours) in streams {
        for side in Family::BOTH {
            parties[side].rtp.send_to(&rtp(sequence, 7), ours[side]).unwrap();
        }
    }
}

/// All parties hear that packet as the next.
fn listen(streams: &[Talk], sequence: u16) {
    for (parties, ours) in streams {
        for side in Family::BOTH {
            assert_eq!(next(&parties[side].rtp), (rtp(sequence, 7), ours[side]));
        }
    }
}

#[test]
fn another_relay_takes_over_without_a_packet_lost() {
    let mut old = Rig::new(2);
    let streams: Vec<_> = (0..6).map(|number| old.stream(number / 2, number)).collect();
    talk(&streams, 1);
    listen(&streams, 1);
    old.relay.close_stream(StreamId(5));
    let streams = &streams[..5];
    let given = detach(&mut old.relay);
    assert!(old.relay.is_idle());
    let stranger = UdpSocket::bind((LOOPBACK[Family::V4], 0)).unwrap();
    for (_, ours) in streams {
        stranger.send_to(&rtp(1, 8), ours[Family::V4]).unwrap();
    }
    talk(streams, 2);
    let mut new = Rig::new(1);
    for session in &given {
        new.relay.attach(pass_on(session));
    }
    new.relay.wake();
    // The other process is told that it went well, and ends.
    drop((given, old));
    listen(streams, 2);
    talk(streams, 3);
    listen(streams, 3);
    for session in 0..3 {
        let ending = new.close(session);
        assert_eq!(ending.streams.len(), 2);
        for figures in &ending.streams {
            let expected = if figures.stream == StreamId(5) { 1 } else { 3 };
            let leg = figures.legs[Family::V4];
            assert_eq!((leg.packets, leg.lost), (expected, 0));
            assert_eq!(leg.refused, u64::from(expected == 3), "the latches were taken along");
        }
    }
    assert!(new.relay.is_idle());
}

#[test]
fn a_relay_takes_its_sessions_back_where_a_takeover_fails() {
    let mut rig = Rig::new(2);
    let (parties, ours) = rig.stream(1, 1);
    parties[Family::V4].rtp.send_to(&rtp(1, 7), ours[Family::V4]).unwrap();
    assert_eq!(next(&parties[Family::V6].rtp).0, rtp(1, 7));
    let sessions = detach(&mut rig.relay);
    assert!(!rig.relay.knows(StreamId(1)));
    parties[Family::V4].rtp.send_to(&rtp(2, 7), ours[Family::V4]).unwrap();
    let mut copies: Vec<_> = sessions.iter().map(pass_on).collect();
    for session in sessions {
        rig.relay.attach(session);
    }
    rig.relay.wake();
    assert_eq!(next(&parties[Family::V6].rtp).0, rtp(2, 7));
    copies.clear();
    assert!(rig.relay.knows(StreamId(1)) && rig.heard(1));
    rig.relay.describe(StreamId(1), Family::V6, parties[Family::V4].description());
    assert_eq!(rig.close(1).streams[0].legs[Family::V4].packets, 2);
}

#[test]
fn descriptors_that_are_no_such_sockets_are_refused() {
    let (sockets, _) = free_sockets();
    let [v4, .., v6] = sockets.descriptors().unwrap().map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    let [a, b] = [v4, v6].map(|descriptor| [descriptor.try_clone().unwrap(), descriptor]);
    let ([a, b], [c, d]) = (b, a);
    assert_eq!(StreamSockets::adopt([a, b, c, d]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// Source, arrival, from where to where it was sent, length.
type Note = (SocketAddr, SocketAddr, Option<(SocketAddr, SocketAddr)>, usize);

/// Writes down what passes.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<Note>>);

impl Tap for Notebook {
    fn packet(&self, passage: Passage<'_>) {
        assert_eq!((passage.session, passage.stream), (SessionId(1), StreamId(1)));
        self.0.lock().unwrap().push((passage.from, passage.arrived, passage.sent, passage.bytes.len()));
    }
}

#[test]
fn a_tap_is_shown_what_passes_and_what_is_refused() {
    let notebook = Arc::new(Notebook::default());
    let options = RelayOptions { threads: 1, tap: Some(notebook.clone()), ..RelayOptions::default() };
    let (relay, notices) = Relay::start(Clock::start(), &options).unwrap();
    let mut rig = Rig { relay, notices };
    let (parties, ours) = rig.stream(1, 1);
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let (phone, peer) = (&parties[Family::V4], &parties[Family::V6]);
    phone.rtcp.send_to(&rtcp(7), beside(ours[Family::V4])).unwrap();
    next(&peer.rtcp);
    stranger.send_to(&rtp(1, 8)[..20], ours[Family::V4]).unwrap();
    phone.rtp.send_to(&rtp(1, 7), ours[Family::V4]).unwrap();
    next(&peer.rtp);
    phone.rtp.send_to(&rtp(2, 7), ours[Family::V4]).unwrap();
    next(&peer.rtp);
    rig.close(1);
    let address = |socket: &UdpSocket| socket.local_addr().unwrap();
    let sent = Some((ours[Family::V6], address(&peer.rtp)));
    let expected = [
        (address(&phone.rtcp), beside(ours[Family::V4]), Some((beside(ours[Family::V6]), address(&peer.rtcp))), 8),
        (address(&stranger), ours[Family::V4], None, 20),
        (address(&phone.rtp), ours[Family::V4], sent, 172),
        (address(&phone.rtp), ours[Family::V4], sent, 172),
    ];
    assert_eq!(*notebook.0.lock().unwrap(), expected);
}

/// A stranger in the right family.
fn stranger(side: Family) -> UdpSocket {
    UdpSocket::bind((LOOPBACK[side], 0)).unwrap()
}

#[test]
fn strangers_are_refused_and_counted_while_the_parties_speak() {
    let mut rig = Rig::new(1);
    let streams = [rig.stream(1, 1)];
    let spray = |number| {
        for side in Family::BOTH {
            let ours = streams[0].1[side];
            stranger(side).send_to(&rtp(number, 8), ours).unwrap();
        }
    };
    for number in 0..100 {
        // What the parties hear next is each other.
        talk(&streams, number);
        spray(number);
        listen(&streams, number);
    }
    let ending = rig.close(1);
    for (_, leg) in ending.streams[0].legs.iter() {
        assert_eq!((leg.packets, leg.lost), (100, 0));
        // The last may wait still.
        assert!((98..=100).contains(&leg.refused), "{}", leg.refused);
    }
}

#[test]
fn a_party_that_moves_without_a_word_is_followed_after_a_silence() {
    let mut rig = Rig::new(1);
    let (parties, ours) = rig.stream(1, 1);
    let streams = [(parties, ours)];
    talk(&streams, 1);
    listen(&streams, 1);
    let (parties, ours) = &streams[0];
    let moved = UdpSocket::bind((LOOPBACK[Family::V4], 0)).unwrap();
    moved.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 2048];
    for number in 2.. {
        // The same SSRC as before, so that this is no other party.
        let _ = moved.send_to(&rtp(number, 7), ours[Family::V4]);
        let _ = stranger(Family::V4).send_to(&rtp(number, 8), ours[Family::V4]);
        parties[Family::V6].rtp.send_to(&rtp(number, 7), ours[Family::V6]).unwrap();
        // Its time limit is what paces the packets.
        if moved.recv(&mut buffer).is_ok() {
            break;
        }
        assert!(number < 1000, "never followed");
    }
    // From now on that is its place.
    moved.set_read_timeout(Some(PATIENCE)).unwrap();
    parties[Family::V6].rtp.send_to(&rtp(2000, 7), ours[Family::V6]).unwrap();
    while next(&moved).0 != rtp(2000, 7) {}
    let legs = rig.close(1).streams[0].legs;
    assert_eq!(legs[Family::V4].learned, moved.local_addr().ok());
}

#[test]
fn a_described_move_is_heard_at_once_and_the_old_place_until_then() {
    let mut rig = Rig::new(1);
    let mut streams = [rig.stream(1, 1)];
    for round in 0..20 {
        talk(&streams, 10 * round);
        listen(&streams, 10 * round);
        talk(&streams, 10 * round + 1);
        listen(&streams, 10 * round + 1);
        let new = Party::new(Family::V4);
        rig.relay.describe(StreamId(1), Family::V4, new.description());
        rig.relay.wake();
        assert!(rig.heard(1));
        let (parties, ours) = &mut streams[0];
        let old = std::mem::replace(&mut parties[Family::V4], new);
        // In flight.
        old.rtp.send_to(&rtp(10 * round + 2, 7), ours[Family::V4]).unwrap();
        assert_eq!(next(&parties[Family::V6].rtp).0, rtp(10 * round + 2, 7));
        parties[Family::V6].rtp.send_to(&rtp(10 * round + 3, 7), ours[Family::V6]).unwrap();
        assert_eq!(next(&parties[Family::V4].rtp).0, rtp(10 * round + 3, 7));
        talk(&streams, 10 * round + 4);
        listen(&streams, 10 * round + 4);
        // No more, now that the new place was heard from.
        let _ = old.rtp.send_to(&rtp(10 * round + 5, 7), streams[0].1[Family::V4]);
    }
}

#[test]
fn a_session_without_streams_ends_too() {
    let mut rig = Rig::new(2);
    assert!(!rig.heard(5));
    let ending = rig.close(5);
    assert_eq!(ending.streams, []);
    assert!(rig.relay.is_idle());
}
