//! What the relay tells of what passes.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sipproxy64::family::Family;
use sipproxy64::media::command::{SessionId, StreamId};
use sipproxy64::relay::{Failures, Passage, Relay, RelayOptions, SessionFigures, Tap};

use super::rig::{Party, Rig, beside, next, rtcp, rtp, stranger};

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

/// A process that was stopped finds packets, and that its timers have run out: all at once,
/// as here where a thread lets them wait.
#[test]
fn what_waits_was_heard() {
    let batch = Duration::from_millis(100);
    let mut rig = Rig::with(&RelayOptions { threads: 1, batch, ..RelayOptions::default() });
    for side in Family::BOTH {
        let number = side as u64;
        let (parties, ours) = rig.stream(number, number);
        assert!(!rig.heard(number));
        parties[side].rtp.send_to(&rtp(1, 7), ours[side]).unwrap();
        assert!(rig.heard(number));
        assert_eq!(next(&parties[side.other()].rtp).0, rtp(1, 7));
        assert_eq!(rig.close(number).streams[0].legs[side].packets, 1);
    }
}

#[test]
fn a_party_that_takes_no_rtcp_is_there() {
    let mut rig = Rig::new(1);
    let (mut parties, ours) = rig.stream(1, 1);
    // Nobody listens where it was.
    parties[Family::V6].rtcp = stranger(Family::V6);
    for sequence in 0..10 {
        parties[Family::V4].rtp.send_to(&rtp(sequence, 7), ours[Family::V4]).unwrap();
        parties[Family::V4].rtcp.send_to(&rtcp(7), beside(ours[Family::V4])).unwrap();
    }
    while snapshot(&mut rig.relay)[0].streams[0].legs[Family::V6].sent < 20 {}
    assert_eq!(rig.close(1).streams[0].failures[Family::V6], Failures::default());
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
    let mut rig = Rig::with(&options);
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
