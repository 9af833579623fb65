//! Messages as large as a datagram can be.

use super::bridge::*;

/// The largest payloads of UDP over IPv4 and over IPv6.
const MOST4: usize = 65_507;
const MOST6: usize = 65_527;

/// A message padded to `size` bytes.
fn padded(from: &str, uri: &str, size: usize) -> String {
    let bare = request("MESSAGE", uri, from, "Subject: \r\n");
    bare.replace("Subject: ", &format!("Subject: {}", "x".repeat(size - bare.len())))
}

#[test]
fn what_fits_is_forwarded_and_what_grows_beyond_is_513() {
    for (from, to, uri, most) in
        [(X6, F1, "sip:p@[2001:db8::101]", MOST4), (P1, LISTEN4, "sip:q@[2001:db8:6::7]", MOST6)]
    {
        let mut bridge = Bridge::picture();
        let growth = bridge.handle(from, to, padded(from, uri, 1000)).unwrap().bytes.len() - 1000;
        let largest = bridge.handle(from, to, padded(from, uri, most - growth)).unwrap();
        assert_eq!((largest.bytes.len(), largest.refused), (most, None));
        let refusal = bridge.handle(from, to, padded(from, uri, most - growth + 1)).unwrap();
        assert_eq!((refusal.status(), refusal.to), (Some(513), at(from)));
        assert!(refusal.bytes.len() < 1000);
    }
}

#[test]
fn a_response_that_grows_too_large_is_dropped() {
    let mut bridge = Bridge::picture();
    let sent = bridge.handle(P1, LISTEN4, request("MESSAGE", "sip:q@[2001:db8:6::7]", P1, "")).unwrap();
    let response = |size: usize| {
        let bare = sent.response("200 OK\r\nSubject: ");
        bare.replace("Subject: ", &format!("Subject: {}", "x".repeat(size - bare.len())))
    };
    let growth = bridge.handle(Q6, F1, response(1000)).unwrap().bytes.len() as isize - 1000;
    let size = MOST4.saturating_add_signed(-growth);
    if size <= MOST6 {
        assert_eq!(bridge.handle(Q6, F1, response(size)).unwrap().bytes.len(), MOST4);
        assert!(bridge.handle(Q6, F1, response(size + 1)).is_err());
    }
}
