//! Our own answers: how many, how large, and to whom.

use proptest::prelude::*;
use sipproxy64::proxy::Reason;

use super::bridge::*;
use std::time::Duration;

fn answers(bridge: &mut Bridge, count: usize, from: &str, to: &str) -> usize {
    let uri = format!("sip:{}", to.rsplit_once(':').unwrap().0);
    let options = request("OPTIONS", &uri, from, "");
    (0..count).filter(|_| bridge.handle(from, to, &options).is_ok()).count()
}

#[test]
fn own_answers_are_limited_per_ipv4_address_and_ipv6_64() {
    let mut bridge = Bridge::picture();
    assert_eq!(answers(&mut bridge, 1000, X6, LISTEN6), 50);
    assert_eq!(answers(&mut bridge, 1000, "[2001:db8:9::66]:5060", LISTEN6), 0, "the same /64");
    assert_eq!(answers(&mut bridge, 1000, "[2001:db8:9:1::66]:5060", LISTEN6), 50, "another one");
    assert_eq!(answers(&mut bridge, 1000, X4, LISTEN4), 50);
    assert_eq!(answers(&mut bridge, 1000, "198.51.100.10:5062", LISTEN4), 50);
    let options = request("OPTIONS", "sip:[2001:db8::1]", X6, "");
    assert_eq!(bridge.handle(X6, LISTEN6, &options), Err(Reason::RateLimited), "dropped and counted");
    bridge.now += Duration::from_secs(1);
    assert_eq!(answers(&mut bridge, 1000, X6, LISTEN6), 10);
}

#[test]
fn phones_and_uplinks_get_ten_times_as_many_and_calls_go_on() {
    let mut bridge = Bridge::picture();
    assert_eq!(answers(&mut bridge, 1000, P1, LISTEN4), 500);
    assert_eq!(answers(&mut bridge, 1000, U6, LISTEN6), 500);
    // What is forwarded is not limited.
    let call = request("INVITE", "sip:bob@example.com", P1, "");
    assert!((0..2000).all(|_| bridge.handle(P1, LISTEN4, &call).is_ok()));
}

/// Requests of a stranger that we answer ourselves, in as few bytes as may be.
fn terse(via: &str, user: &str) -> Vec<String> {
    let tail = format!("v:SIP/2.0/UDP {via}\r\nf:<sip:{user}>;tag=1\r\nt:<sip:{user}>\r\ni:{user}\r\n");
    let make =
        |method: &str, uri: &str, more: &str| format!("{method} {uri} SIP/2.0\r\n{tail}CSeq:1 {method}\r\n{more}\r\n");
    vec![
        make("OPTIONS", "sip:192.0.2.1", ""),
        make("BYE", "sip:[2001:db8:9::5]", ""),
        make("BYE", "http:a", ""),
        make("BYE", "sip:192.0.2.1", "Max-Forwards:0\r\n"),
        make("BYE", "sip:192.0.2.1", "Max-Forwards:x\r\n"),
        make("BYE", "sip:192.0.2.1", "Proxy-Require:a\r\n"),
        make("BYE", "sip:192.0.2.1", "Route:<sip:198.51.100.1;lr>\r\n"),
        make("BYE", "sip:192.0.2.1", "l:9\r\n"),
        make("BYE", "sip:192.0.2.1", "").replace("SIP/2.0\r\nv", "SIP/3.0\r\nv"),
        make("BYE", "sip:192.0.2.1", "").replace("CSeq:1 BYE", "CSeq:1 A"),
    ]
}

proptest! {
    /// Bytes out never exceed bytes in toward an address that has proven nothing.
    #[test]
    fn an_answer_to_a_stranger_is_never_larger_than_the_request(
        via in prop::sample::select(vec!["a", "198.51.100.9", "10.0.0.1:5062;rport", "a;rport;branch=z9hG4bK1", "a;branch=z9hG4bK1"]),
        user in "[a-z]{1,30}",
    ) {
        let mut bridge = Bridge::picture();
        for request in terse(via, &user) {
            bridge.now += Duration::from_secs(1);
            match bridge.handle(X4, LISTEN4, &request) {
                Ok(sent) => {
                    prop_assert!(sent.refused.is_some(), "{request}");
                    prop_assert_eq!(sent.to.ip(), at(X4).ip());
                    prop_assert!(sent.bytes.len() <= request.len(), "{request}\n{}", sent.text());
                }
                Err(reason) => prop_assert_eq!(reason, Reason::LargerThanRequest),
            }
        }
    }
}

/// What was repaired in the request is no gain of whoever forged it.
#[test]
fn a_repaired_request_is_as_long_as_it_came() {
    let mut config = picture();
    (config.lenient, config.uplinks) = (true, Default::default());
    let mut bridge = Bridge::new(config);
    for length in 0..80 {
        bridge.now += Duration::from_secs(1);
        let request = format!(
            "MESSAGE sip:bob@2001:db8:9::10 SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\nTo: \
             sip:bob@2001:db8:9::10\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\ns: {}\r\n\r\n",
            "x".repeat(length)
        );
        match bridge.handle(X4, LISTEN4, &request) {
            Ok(sent) => assert!(sent.bytes.len() <= request.len(), "{request}\n{}", sent.text()),
            Err(reason) => assert_eq!(reason, Reason::LargerThanRequest),
        }
    }
}

#[test]
fn an_answer_is_trimmed_before_it_is_left_out() {
    let mut bridge = Bridge::picture();
    let usual = request("BYE", "sip:x@[2001:db8:9::5]", X4, "");
    let full = bridge.handle(X4, LISTEN4, &usual).unwrap().text();
    assert!(full.starts_with("SIP/2.0 403 Forbidden\r\n") && full.ends_with("Content-Length: 0\r\n\r\n"), "{full}");
    let with_user = |user: &str| {
        format!(
            "BYE sip:{user}@[2001:db8:9::5] SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n"
        )
    };
    let mut answer = |length: usize| bridge.handle(X4, LISTEN4, with_user(&"a".repeat(length)));
    let compact = answer(26).unwrap().text();
    assert!(compact.starts_with("SIP/2.0 403 Forbidden\r\nVia: "), "{compact}");
    assert!(compact.contains("\r\nt:<sip:c@d>;tag=") && compact.ends_with("\r\nl:0\r\n\r\n"), "{compact}");
    let brief = answer(18).unwrap().text();
    assert!(brief.starts_with("SIP/2.0 403 \r\nVia: "), "{brief}");
    assert_eq!(answer(1), Err(Reason::LargerThanRequest));
    // A phone has proven itself by its place in the configuration.
    let from_phone = with_user("a").replace("[2001:db8:9::5]", "x:99999");
    assert_eq!(bridge.handle(P1, LISTEN4, from_phone).unwrap().status(), Some(400));
}

/// A request that takes the way through us and back is answered on its second
/// pass; whom it counts for is still the stranger who sent it.
#[test]
fn answers_on_the_second_pass_count_for_the_first_sender() {
    let mut bridge = Bridge::picture();
    let padding = format!("Subject: {}\r\n", "x".repeat(600));
    let hairpin = request("BYE", "sip:p@192.0.2.101", X4, &padding).replace("Max-Forwards: 70", "Max-Forwards: 2");
    let refusal = bridge.handle(X4, LISTEN4, &hairpin).unwrap();
    assert_eq!((refusal.status(), refusal.to), (Some(483), at(X4)));
    assert!(refusal.bytes.len() <= hairpin.len());
    let others = (0..200).filter(|_| bridge.handle(X4, LISTEN4, &hairpin).is_ok()).count();
    assert_eq!(others, 49);
    assert_eq!(answers(&mut bridge, 100, X4, LISTEN4), 0, "one count for both ways");
    let short = request("BYE", "sip:p@192.0.2.101", X4, "").replace("Max-Forwards: 70", "Max-Forwards: 2");
    assert_eq!(bridge.handle("198.51.100.10:5062", LISTEN4, &short), Err(Reason::LargerThanRequest));
}
