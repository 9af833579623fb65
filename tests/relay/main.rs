//! The relay threads on real sockets: 127.0.0.1 on one side, ::1 on the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_docs, reason = "nothing of a test is reachable from elsewhere")]

mod handover;
mod latching;
mod rig;
mod told;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sipproxy64::config::LatchMode;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{SessionId, StreamId};
use sipproxy64::relay::{Notice, OpenPair, RelayOptions, StreamSockets};

use self::rig::{LOOPBACK, Party, Rig, beside, bind, free_sockets, listen, next, none, obituary, rtcp, rtp, talk};

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
    let mut rig = Rig::with(&options);
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
fn a_session_without_streams_ends_too() {
    let mut rig = Rig::new(2);
    assert!(!rig.heard(5));
    let ending = rig.close(5);
    assert_eq!(ending.streams, []);
    assert!(rig.relay.is_idle());
}
