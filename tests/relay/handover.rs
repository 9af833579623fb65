//! Sessions that another relay goes on with.

use std::io::ErrorKind;

use sipproxy64::family::Family;
use sipproxy64::media::command::StreamId;
use sipproxy64::relay::{DetachedSession, Relay, StreamSockets};

use super::rig::{Rig, free_sockets, listen, next, rtp, stranger, talk};

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
    let stranger = stranger(Family::V4);
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
