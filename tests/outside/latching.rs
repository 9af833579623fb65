//! Who may speak on a leg, and where it speaks to (`--latch` of the manual;
//! RFC 4961, RFC 7362).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::harness::call::{Call, answer, establish, ring};
use crate::harness::daemon::Daemon;
use crate::harness::media::{Described, Media, rtp_packet};
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, P1, X6};
use crate::harness::{LONG_PATIENCE, PATIENCE};

struct Talk {
    _daemon: Daemon,
    bob: Party,
    alice: Party,
    call: Call,
}

/// X6 calls P1; no media yet.
fn talk() -> Talk {
    let daemon = Daemon::start();
    let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
    let call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
    Talk { _daemon: daemon, bob, alice, call }
}

impl Talk {
    /// One packet from `from`, which Alice is to hear as the next.
    fn assert_heard_by_alice(&self, from: &Media, track: &str, number: u16) {
        from.send_rtp(track, number, self.call.caller.told);
        self.alice.media.expect_rtp(from, track, number, self.call.callee.told);
    }

    /// One packet from Alice, which `to` is to hear as the next.
    fn assert_alice_heard_by(&self, to: &Media, track: &str, number: u16) {
        self.alice.media.send_rtp(track, number, self.call.callee.told);
        to.expect_rtp(&self.alice.media, track, number, self.call.caller.told);
    }
}

fn strangers() -> [Media; 2] {
    let at = |address: &str| Media::bind(address.parse().unwrap(), 50000);
    [at("2001:db8:66::66"), at("198.51.100.66")]
}

/// Sends a handful of packets from strangers to the ports of both sides.
fn spray(talk: &Talk, strangers: &[Media; 2]) {
    for number in 0..20 {
        strangers[0].send_rtp("spray", number, talk.call.caller.told);
        strangers[0].send_rtcp("spray", number, talk.call.caller.told);
        strangers[1].send_rtp("spray", number, talk.call.callee.told);
        strangers[1].send_rtcp("spray", number, talk.call.callee.told);
    }
}

/// Who is called may speak before any message named a port to the caller: all of it
/// arrives, and from the port that the answer names then (RFC 3264 §5.1).
#[test]
fn media_before_the_first_answer_arrives() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let ringing = ring(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        let told = Described::of(&ringing.received.message);
        (0..50).for_each(|number| alice.media.send_rtp("early", number, told));
        let (_, ssrc) = alice.media.rtp_socket();
        let mut early = (0..50).map(|number| {
            let (packet, from) = bob.media.receive_rtp_within(PATIENCE).expect("early media");
            assert_eq!(packet, rtp_packet(ssrc, "early", number));
            from
        });
        let from = early.next();
        assert!(early.all(|another| Some(another) == from));
        let call = answer(&bob, &alice, &ringing);
        assert_eq!(Some(call.caller.told.rtp), from);
        call.assert_talks(&bob, &alice, 5);
    });
}

/// RTP bleed: a stranger who is first on the ports neither injects nor hears anything.
#[test]
fn a_stranger_is_not_relayed() {
    isolated(|| {
        let talk = talk();
        let strangers = strangers();
        spray(&talk, &strangers);
        // Each packet of the parties was sent behind the spray and arrives first.
        talk.call.assert_talks(&talk.bob, &talk.alice, 10);
        spray(&talk, &strangers);
        talk.call.assert_talks(&talk.bob, &talk.alice, 10);
        for stranger in &strangers {
            let heard = stranger.receive_rtp_within(Duration::from_millis(1));
            assert_eq!(heard, None, "{} hears the call", stranger.address());
        }
    });
}

/// A symmetric NAT: media comes from a port that no description names.
#[test]
fn another_port_of_the_same_address_is_followed() {
    isolated(|| {
        let talk = talk();
        let moved = talk.bob.media.moved_to(talk.bob.agent.address.ip(), 41000);
        talk.assert_heard_by_alice(&moved, "moved", 1);
        talk.assert_alice_heard_by(&moved, "to moved", 1);
        // Exactly the described address wins at any time.
        talk.assert_heard_by_alice(&talk.bob.media, "described", 2);
        talk.assert_alice_heard_by(&talk.bob.media, "to described", 2);
    });
}

/// The same on the phone's side, RTCP apart from RTP.
#[test]
fn the_phone_may_send_from_another_port() {
    isolated(|| {
        let talk = talk();
        let moved = talk.alice.media.moved_to(talk.alice.agent.address.ip(), 31000);
        moved.send_rtp("moved", 1, talk.call.callee.told);
        talk.bob.media.expect_rtp(&moved, "moved", 1, talk.call.caller.told);
        talk.bob.media.send_rtp("to moved", 1, talk.call.caller.told);
        moved.expect_rtp(&talk.bob.media, "to moved", 1, talk.call.callee.told);
        // Its RTCP has not moved so far.
        talk.bob.media.send_rtcp("still", 1, talk.call.caller.told);
        talk.alice.media.expect_rtcp(&talk.bob.media, "still", 1, talk.call.callee.told);
    });
}

/// A winner that has been silent for two seconds is followed by its SSRC.
#[test]
fn a_moved_source_is_followed_when_the_old_one_is_quiet() {
    isolated(|| {
        let talk = talk();
        talk.assert_heard_by_alice(&talk.bob.media, "before", 0);
        talk.assert_alice_heard_by(&talk.bob.media, "before", 0);
        let ip: IpAddr = talk.bob.agent.address.ip();
        let moved = talk.bob.media.moved_to(ip, 41000);
        let deadline = Instant::now() + LONG_PATIENCE;
        let mut number = 1;
        loop {
            moved.send_rtp("after", number, talk.call.caller.told);
            talk.alice.media.send_rtp("after", number, talk.call.callee.told);
            // The wait is what paces the packets.
            if moved.receive_rtp_within(Duration::from_millis(100)).is_some() {
                return;
            }
            assert!(Instant::now() < deadline, "a moved source is never followed");
            number += 1;
        }
    });
}
