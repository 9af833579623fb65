//! Media ports, as strangers may take them; the counts themselves are tested in
//! `core/src/media/tests/limits.rs`.

use sipproxy64::config::PortRange;

use super::bridge::*;

/// A call by a phone.
fn assert_a_phone_can_call(bridge: &mut Bridge, call_id: &str) {
    let invite = invite("sip:b@example.com", P1, call_id, 1);
    assert_eq!(bridge.handle(P1, LISTEN4, invite).unwrap().to, at(U6));
}

/// How many sessions there are when one stranger, who may have ten, has done his part
/// in fifty calls: `call` gets the Call-ID of each.
fn sessions_of_a_stranger(mut call: impl FnMut(&mut Bridge, &str)) -> usize {
    let mut config = picture();
    config.max_calls_per_source = 10;
    let mut bridge = Bridge::new(config);
    (0..50).for_each(|number| call(&mut bridge, &format!("c{number}")));
    bridge.proxy.sessions()
}

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
    assert_a_phone_can_call(&mut bridge, "phone");
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
    (0..10).for_each(|number| assert_a_phone_can_call(&mut bridge, &format!("phone{number}")));
}

/// Whoever forges the address of an uplink calls phones that are off.
#[test]
fn what_an_uplink_seems_to_ask_for_leaves_an_eighth_until_somebody_answers() {
    let mut config = picture();
    config.rtp_ports = PortRange::new(20_000, 20_079).unwrap();
    let mut bridge = Bridge::new(config);
    let call = |bridge: &mut Bridge, number: usize| {
        let invite = invite("sip:p@[2001:db8::101]", U6, &format!("c{number}"), 1);
        bridge.handle(U6, F1, invite).unwrap()
    };
    let sent: Vec<_> = (0..200).map(|number| call(&mut bridge, number)).collect();
    let forwarded: Vec<_> = sent.iter().filter(|sent| sent.status().is_none()).collect();
    assert_eq!(forwarded.len(), 35, "seven eighths of 40");
    assert_a_phone_can_call(&mut bridge, "phone");
    assert_eq!(call(&mut bridge, 200).status(), Some(503));
    // The uplink itself has a phone ring, and then the next one.
    bridge.handle(P1, LISTEN4, forwarded[0].response("180 Ringing")).unwrap();
    assert_eq!(call(&mut bridge, 201).status(), None);
}

/// A stranger whose call takes the way through us and back has two sessions; both count.
#[test]
fn both_passes_of_a_strangers_hairpin_count() {
    let sessions = sessions_of_a_stranger(|bridge, call_id| {
        let _ = bridge.handle(X4, LISTEN4, invite("sip:p@192.0.2.101", X4, call_id, 1));
    });
    assert_eq!(sessions, 10);
}

/// Without a description in the INVITE the callee's answer begins both sessions; no
/// response can be refused, but its streams are.
#[test]
fn both_passes_of_a_late_offer_count() {
    let sessions = sessions_of_a_stranger(|bridge, call_id| late_offer(bridge, X4, "sip:p@192.0.2.101", P1, call_id));
    assert_eq!(sessions, 10);
}

/// The answer to a request of a phone is good for ever: a stranger who was called once
/// could begin sessions with it, long after.
#[test]
fn sessions_that_a_strangers_answer_begins_are_his() {
    let uri = format!("sip:b@{X6}");
    let sessions = sessions_of_a_stranger(|bridge, call_id| late_offer(bridge, P1, &uri, X6, call_id));
    assert_eq!(sessions, 10);
}

/// A call whose INVITE offers nothing, and whose 200 does.
fn late_offer(bridge: &mut Bridge, caller: &str, uri: &str, callee: &str, call_id: &str) {
    let host = caller.rsplit_once(':').unwrap().0;
    let invite = request("INVITE", uri, caller, "").replace(&format!("c1@{host}"), call_id);
    let received = bridge.handle(caller, LISTEN4, invite).unwrap();
    assert_eq!(received.to, at(callee));
    let ip = at(callee).ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let address = format!("IN {family} {ip}");
    let offer = format!("v=0\r\no=p 1 1 {address}\r\ns=-\r\nc={address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n");
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}", offer.len());
    let ok = received.response("200 OK").replace("Content-Length: 0\r\n\r\n", &length);
    assert_eq!(bridge.handle(callee, &received.from.to_string(), ok).unwrap().to, at(caller));
}
