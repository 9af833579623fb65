//! No response leaves that does not answer a request that we forwarded.

use sipproxy64::proxy::Reason;

use super::bridge::*;

/// A bridge, and what P1 got of a stranger's MESSAGE.
fn asked() -> (Bridge, Sent) {
    let mut bridge = Bridge::picture();
    let sent = bridge.handle(X6, F1, request("MESSAGE", "sip:p@[2001:db8::101]", X6, "")).unwrap();
    assert_eq!((sent.from, sent.to), (at(LISTEN4), at(P1)));
    (bridge, sent)
}

#[test]
fn the_true_response_goes_back_where_the_request_came_from() {
    let (mut bridge, sent) = asked();
    let back = bridge.handle(P1, LISTEN4, sent.response("200 OK")).unwrap();
    assert_eq!((back.from, back.to, back.refused), (at(F1), at(X6), None));
}

#[test]
fn a_response_at_another_socket_is_dropped() {
    let (mut bridge, sent) = asked();
    for socket in [LISTEN6, F1, F2, G4] {
        assert_eq!(bridge.handle(P1, socket, sent.response("200 OK")), Err(Reason::ForeignResponse), "{socket}");
    }
    // The MAC does not cover the sent-by: from the side of the request no response comes.
    for socket in [LISTEN6, F1] {
        let moved = sent.response("200 OK").replace("UDP 192.0.2.1:5060", &format!("UDP {socket}"));
        assert_eq!(bridge.handle(X6, socket, moved), Err(Reason::ForeignResponse), "{socket}");
    }
}

#[test]
fn what_the_mac_covers_cannot_be_changed() {
    let (mut bridge, sent) = asked();
    let response = sent.response("200 OK");
    let changes = [
        ("Call-ID: c1", "Call-ID: c2"),
        ("CSeq: 1 ", "CSeq: 2 "),
        ("branch=z9hG4bKx1", "branch=z9hG4bKx2"),
        ("UDP [2001:db8:9::55]:5062", "UDP [2001:db8:9::56]:5062"),
        ("UDP [2001:db8:9::55]:5062", "UDP [2001:db8:9::55]:5063"),
        ("received=2001:db8:9::55", "received=2001:db8:9::56"),
        (";received=2001:db8:9::55", ""),
        ("rport=5062", "rport=5063"),
        ("rport=5062", "rport"),
        // Our own branch: who sent it, and where it arrived.
        ("g2001-db8--101~5060", "p2001-db8--101~5060"),
        ("g2001-db8--101~5060", "g2001-db8--1~5060"),
        ("g2001-db8--101~5060", "g192.0.2.1~5060"),
        ("UDP 192.0.2.1:5060", "TCP 192.0.2.1:5060"),
        // A victim below ours.
        ("Via: SIP/2.0/UDP [2001", "Via: SIP/2.0/UDP [2001:db8:bad::1]\r\nVia: SIP/2.0/UDP [2001"),
    ];
    for (from, to) in changes {
        assert!(response.contains(from), "{from} in {response}");
        let changed = response.replacen(from, to, 1);
        assert_eq!(bridge.handle(P1, LISTEN4, &changed), Err(Reason::ForeignResponse), "{to}");
    }
    let at = response.find("z9hG4bK").unwrap() + "z9hG4bK".len();
    for digit in at..at + 16 {
        let mut forged = response.clone().into_bytes();
        forged[digit] = if forged[digit] == b'0' { b'1' } else { b'0' };
        assert_eq!(bridge.handle(P1, LISTEN4, &forged), Err(Reason::ForeignResponse), "digit {digit}");
    }
}

/// Dropped like the others, under a name of its own: the administrator can put an
/// end to it. Who had no request of ours cannot provoke it.
#[test]
fn a_via_of_ours_with_an_address_of_nobody_here_tells_of_an_alg() {
    let (mut bridge, sent) = asked();
    let response = sent.response("200 OK");
    for sent_by in ["203.0.113.77:5060", "192.0.2.1:61234", "192.0.2.1 : 61234", "[2001:db8:bad::1]", "router.example"]
    {
        let rewritten = response.replacen("192.0.2.1:5060", sent_by, 1);
        assert_eq!(bridge.handle(P1, LISTEN4, &rewritten), Err(Reason::ViaRewritten), "{sent_by}");
        for (from, to) in
            [("Call-ID: c1", "Call-ID: c2"), ("z9hG4bK", "z9hG4bK0"), ("UDP ", "TCP "), ("2.0/UDP", "1.0/UDP")]
        {
            let forged = rewritten.replacen(from, to, 1);
            assert_eq!(bridge.handle(P1, LISTEN4, &forged), Err(Reason::ForeignResponse), "{sent_by}, {to}");
        }
    }
    // One of ours, but not the one that it came in on: nobody rewrites so.
    let misled = response.replacen("192.0.2.1:5060", "192.0.2.207:5060", 1);
    assert_eq!(bridge.handle(P1, LISTEN4, &misled), Err(Reason::ForeignResponse));
}

/// What a server on the way adds to our Via is as it should be (RFC 3261 §18.2.1).
#[test]
fn received_and_rport_in_our_via_are_no_matter() {
    let (mut bridge, sent) = asked();
    let marked =
        sent.response("200 OK").replacen("192.0.2.1:5060;", "192.0.2.1:5060;received=203.0.113.77;rport=61234;", 1);
    assert!(marked.contains("61234;branch"), "{marked}");
    assert!(bridge.handle(P1, LISTEN4, &marked).is_ok());
    // Open IMS Core writes it twice.
    let twice = marked.replacen(";received=203.0.113.77", ";received=203.0.113.77;received=203.0.113.77", 1);
    assert!(bridge.handle(P1, LISTEN4, &twice).is_ok());
    // In the Via below it says where the response goes.
    let below = sent.response("200 OK").replacen("received=", "received=203.0.113.77;received=", 1);
    assert_eq!(bridge.handle(P1, LISTEN4, &below), Err(Reason::ForeignResponse));
}

#[test]
fn a_response_without_our_via_on_top_is_dropped() {
    let (mut bridge, sent) = asked();
    let response = sent.response("200 OK");
    let (ours, theirs) = (&sent.all("Via")[0], &sent.all("Via")[1]);
    let variants = [
        response.replacen(&format!("Via: {ours}\r\n"), "", 1),
        response.replacen(&format!("Via: {theirs}\r\n"), "", 1),
        response.replacen(
            &format!("Via: {ours}\r\nVia: {theirs}\r\n"),
            &format!("Via: {theirs}\r\nVia: {ours}\r\n"),
            1,
        ),
        response.replacen(&format!("Via: {ours}\r\nVia: {theirs}\r\n"), "", 1),
    ];
    for variant in variants {
        assert_eq!(bridge.handle(P1, LISTEN4, &variant), Err(Reason::ForeignResponse), "{variant}");
    }
}

#[test]
fn a_response_cut_short_anywhere_is_dropped() {
    let (mut bridge, sent) = asked();
    let response = sent.response("200 OK");
    for length in 0..response.len() {
        let outcome = bridge.handle(P1, LISTEN4, &response[..length]);
        assert!(outcome.is_err(), "{length}: {outcome:?}");
    }
}

/// At any rate: each is dropped, nothing is answered, nothing is kept.
#[test]
fn a_storm_of_responses_is_only_counted() {
    let (mut bridge, sent) = asked();
    let response = sent.response("200 OK");
    for number in 0..10_000 {
        let forged = response.replacen("Call-ID: c1", &format!("Call-ID: {number}"), 1);
        assert_eq!(bridge.handle(X4, LISTEN4, &forged), Err(Reason::ForeignResponse));
    }
    assert_eq!(bridge.proxy.sessions(), 0);
}

#[test]
fn a_response_is_never_sent_to_where_nobody_may_be() {
    let mut bridge = Bridge::picture();
    // The sent-by of a forged request is honoured for its port alone.
    let forged = request("MESSAGE", "sip:p@[2001:db8::101]", "[2001:db8:bad::1]:22", "");
    let sent = bridge.handle(X6, F1, forged.replace(";rport", "")).unwrap();
    let back = bridge.handle(P1, LISTEN4, sent.response("200 OK")).unwrap();
    assert_eq!(back.to.ip(), at(X6).ip());
}
