//! Requests for which there is no way to their next hop (RFC 3261 §16.9).

use sipproxy64::proxy::Reason;

use super::bridge::*;

#[test]
fn a_phone_is_told_and_the_call_is_over() {
    let mut bridge = Bridge::picture();
    let request = invite("sip:bob@example.com", P1, "c1", 1);
    let sent = bridge.handle(P1, LISTEN4, &request).unwrap();
    assert_eq!((sent.to, bridge.proxy.sessions()), (at(U6), 1));
    let refusal = bridge.unsent(&sent).unwrap().unwrap();
    assert_eq!((refusal.from, refusal.to, refusal.status()), (at(LISTEN4), at(P1), Some(503)));
    assert_eq!(bridge.proxy.sessions(), 0);
    for name in ["From", "Call-ID", "CSeq"] {
        assert!(request.contains(&format!("{name}: {}\r\n", refusal.first(name))), "{name} in\n{}", refusal.text());
    }
    assert_eq!((refusal.all("Via").len(), refusal.first("Retry-After")), (1, "10".to_owned()));
    let ack =
        request.replace("INVITE", "ACK").replace("To: <sip:bob@example.com>", &format!("To: {}", refusal.first("To")));
    assert_eq!(bridge.handle(P1, LISTEN4, ack), Err(Reason::AckOfOurs));
}

/// Through the hairpin to P2, for which there is no route.
#[test]
fn both_passes_of_a_hairpin_are_over() {
    let mut bridge = Bridge::picture();
    let sent = bridge.handle(P1, LISTEN4, invite("sip:b@192.0.2.102", P1, "c1", 1)).unwrap();
    assert_eq!((sent.to, bridge.proxy.sessions()), (at(P2), 2));
    let refusal = bridge.unsent(&sent).unwrap().unwrap();
    assert_eq!((refusal.to, refusal.status(), refusal.all("Via").len()), (at(P1), Some(503), 1));
    assert_eq!(bridge.proxy.sessions(), 0);
}

#[test]
fn what_has_no_answer_gets_none() {
    let mut bridge = Bridge::picture();
    let request = request("ACK", "sip:bob@example.com", P1, "");
    let ack = bridge.handle(P1, LISTEN4, &request).unwrap();
    assert_eq!(bridge.unsent(&ack), None, "an ACK");
    let options = bridge.handle(P1, LISTEN4, request.replace("ACK", "OPTIONS")).unwrap();
    let response = bridge.handle(U6, F1, options.response("200 OK")).unwrap();
    assert_eq!(bridge.unsent(&response), None, "a response");
    let forged = Sent { bytes: options.text().replace("c1@", "c2@").into_bytes(), ..options };
    assert_eq!(bridge.unsent(&forged), None, "nothing of ours");
}

/// Whoever forges an address has no more sent there than he sends.
#[test]
fn a_stranger_is_told_in_no_more_bytes_than_he_sent() {
    let mut bridge = Bridge::picture();
    let mut told = 0;
    for length in (0..1000).step_by(100) {
        let subject = format!("Subject: {}\r\n", "x".repeat(length));
        let request = request("MESSAGE", "sip:bob@example.com", X4, &subject);
        let sent = bridge.handle(X4, LISTEN4, &request).unwrap();
        if let Some(refusal) = bridge.unsent(&sent) {
            let refusal = refusal.unwrap();
            assert_eq!((refusal.to, refusal.status()), (at(X4), Some(503)));
            assert!(refusal.bytes.len() <= request.len());
            told += 1;
        }
    }
    assert!((5..10).contains(&told), "{told}");
    let sent = bridge.handle(X4, LISTEN4, invite("sip:bob@example.com", X4, "c1", 40)).unwrap();
    let others = (0..200).filter(|_| bridge.unsent(&sent).is_some()).count();
    assert_eq!(others + told, 50, "one count for all answers");
}
