//! Who is heard.

use std::net::UdpSocket;
use std::time::Duration;

use sipproxy64::family::Family;
use sipproxy64::media::command::StreamId;

use super::rig::{LOOPBACK, PATIENCE, Party, Rig, listen, next, rtp, stranger, talk};

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
