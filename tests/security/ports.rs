//! Media ports, as strangers may take them; the counts themselves are tested in
//! `core/src/media/tests/limits.rs`.

use sipproxy64::config::PortRange;

use super::bridge::*;

#[test]
fn one_stranger_takes_neither_all_calls_nor_all_ports() {
    let mut bridge = Bridge::picture();
    let mut taken = 0;
    for number in 0..200 {
        let from = format!("[2001:db8:9::{number:x}]:5062");
        let sent = bridge.handle(&from, F1, invite("sip:p@[2001:db8::101]", &from, &format!("c{number}"), 60));
        taken += usize::from(sent.is_ok_and(|sent| sent.status().is_none()));
    }
    // 128 streams for 32 calls.
    assert_eq!((taken, bridge.proxy.sessions()), (2, 2));
    let phone = invite("sip:b@example.com", P1, "phone", 1);
    assert_eq!(bridge.handle(P1, LISTEN4, &phone).unwrap().to, at(U6));
}

#[test]
fn what_strangers_leave_is_for_phones() {
    let mut config = picture();
    config.rtp_ports = PortRange::new(20_000, 20_079).unwrap();
    let mut bridge = Bridge::new(config);
    let mut calls = 0;
    for number in 0..200 {
        let from = format!("[2001:db8:{number:x}::1]:5062");
        let sent = bridge.handle(&from, F1, invite("sip:p@[2001:db8::101]", &from, &format!("c{number}"), 1)).unwrap();
        calls += usize::from(sent.status().is_none());
        assert!(matches!(sent.status(), None | Some(503)), "{}", sent.text());
    }
    assert_eq!(calls, 30, "three quarters of 40");
    for number in 0..10 {
        let phone = invite("sip:b@example.com", P1, &format!("phone{number}"), 1);
        assert_eq!(bridge.handle(P1, LISTEN4, &phone).unwrap().to, at(U6));
    }
}

/// A stranger whose call takes the way through us and back has two sessions; both count.
#[test]
fn both_passes_of_a_strangers_hairpin_count() {
    let mut config = picture();
    config.max_calls_per_source = 10;
    let mut bridge = Bridge::new(config);
    for number in 0..50 {
        let _ = bridge.handle(X4, LISTEN4, invite("sip:p@192.0.2.101", X4, &format!("c{number}"), 1));
    }
    assert_eq!(bridge.proxy.sessions(), 10);
}

/// Without a description in the INVITE the callee's answer begins both sessions; no
/// response can be refused, but its streams are.
#[test]
fn both_passes_of_a_late_offer_count() {
    let mut config = picture();
    config.max_calls_per_source = 10;
    let mut bridge = Bridge::new(config);
    for number in 0..50 {
        let call_id = format!("c{number}");
        let invite = request("INVITE", "sip:p@192.0.2.101", X4, "").replace("c1@198.51.100.9", &call_id);
        let received = bridge.handle(X4, LISTEN4, invite).unwrap();
        assert_eq!(received.to, at(P1));
        let ok = late_offer(&received, "IP4 192.0.2.101");
        assert_eq!(bridge.handle(P1, LISTEN4, ok).unwrap().to, at(X4));
    }
    assert_eq!(bridge.proxy.sessions(), 10);
}

/// The answer to a request of a phone is good for ever: a stranger who was called once
/// could begin sessions with it, long after.
#[test]
fn sessions_that_a_strangers_answer_begins_are_his() {
    let mut config = picture();
    config.max_calls_per_source = 10;
    let mut bridge = Bridge::new(config);
    for number in 0..50 {
        let call_id = format!("c{number}");
        let uri = format!("sip:b@{X6}");
        let invite = request("INVITE", &uri, P1, "").replace("c1@192.0.2.101", &call_id);
        let received = bridge.handle(P1, LISTEN4, invite).unwrap();
        assert_eq!(received.to, at(X6));
        let ok = late_offer(&received, "IP6 2001:db8:9::55");
        assert_eq!(bridge.handle(X6, &received.from.to_string(), ok).unwrap().to, at(P1));
    }
    assert_eq!(bridge.proxy.sessions(), 10);
}

/// A 200 that offers what its INVITE did not.
fn late_offer(received: &Sent, address: &str) -> String {
    let offer = format!("v=0\r\no=p 1 1 IN {address}\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n");
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}", offer.len());
    received.response("200 OK").replace("Content-Length: 0\r\n\r\n", &length)
}
