//! Whom a stranger reaches: phones, uplinks, and addresses that proved themselves.

use proptest::prelude::*;
use sipproxy64::proxy::Reason;

use super::bridge::*;

/// Hosts with all that may stand behind one.
fn places() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "192.0.2.1",
        "192.0.2.1:5060",
        "192.0.2.1:5061",
        "[2001:db8::1]",
        "[2001:db8::101]",
        "[2001:db8::102]:5060",
        "192.0.2.207",
        "192.0.2.101",
        "192.0.2.101:22",
        "192.0.2.102",
        "[2001:db8:6::7]",
        "[2001:db8:6::7]:22",
        "[2001:db8:456::12]",
        "198.51.100.77",
        "198.51.100.77:5099",
        "[2001:db8:bad::1]",
        "[2001:db8:bad::1]:22",
        "[::ffff:198.51.100.77]",
        "[::ffff:192.0.2.1]",
        "[64:ff9b::198.51.100.77]",
        "[2002:c633:644d::1]",
        "127.0.0.1",
        "[::1]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
        "0.0.0.0",
        "[::]",
        "example.com",
        "localhost",
    ]);
    let parameter = prop::sample::select(vec![
        "",
        "",
        "",
        ";lr",
        ";maddr=198.51.100.77",
        ";maddr=[2001:db8:bad::1]",
        ";maddr=192.0.2.1",
        ";maddr=example.com",
        ";transport=tcp",
        ";s64=198.51.100.77",
        ";s64=2001-db8-bad--1",
        ";s64=2001-db8-bad--1~22__0123456789abcdef",
        ";s64=10.0.0.1_198.51.100.77~5060_0123456789abcdef",
        ";s64=192.0.2.101~22",
        ";s64=192.0.2.101__00",
        ";received=198.51.100.77~5060;sig=0123456789abcdef",
        ";received=2001-db8-bad--1~5060;sig=0123456789abcdef",
    ]);
    (host, parameter.clone(), parameter).prop_map(|(host, one, two)| format!("{host}{one}{two}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// However the Request-URI and the Routes of a stranger, or of an uplink's
    /// customer, are made up.
    #[test]
    fn no_made_up_request_reaches_anything_but_phones_and_uplinks(
        uri in places(),
        user in prop::sample::select(vec!["", "x@"]),
        routes in prop::collection::vec((places(), prop::bool::ANY), 0..4),
        method in prop::sample::select(vec!["INVITE", "MESSAGE", "REGISTER", "ACK", "CANCEL", "OPTIONS", "REFER"]),
        way in prop::sample::select(vec![
            (X4, LISTEN4), (X4, G4), (X6, LISTEN6), (X6, F1), (X6, F2), (U6, LISTEN6), (U6, F1), ("192.0.2.1:5999", LISTEN4),
        ]),
    ) {
        let (from, to) = way;
        let routes: String = routes
            .iter()
            .map(|(place, loose)| format!("Route: <sip:{place}{}>\r\n", if *loose { ";lr" } else { "" }))
            .collect();
        let message = request(method, &format!("sip:{user}{uri}"), from, &routes);
        if let Ok(sent) = Bridge::picture().handle(from, to, &message) {
            let allowed = if sent.status().is_some() { vec![at(from)] } else { [P1, P2, Q6, U6].map(at).to_vec() };
            prop_assert!(allowed.contains(&sent.to), "{message}\nwent to {}", sent.to);
        }
    }
}

/// What P1 got of the request of a stranger holds two proofs of the stranger's
/// address: in the Contact and in the Record-Route. Both lead there; neither does
/// with any digit changed, nor anywhere else.
#[test]
fn a_proof_leads_to_the_address_that_it_was_made_for_and_no_other() {
    let mut bridge = Bridge::picture();
    let invited = bridge.handle(X6, F1, request("INVITE", "sip:p@[2001:db8::101]", X6, "")).unwrap();
    let contact = invited.first("Contact").trim_matches(['<', '>']).to_owned();
    let routes = invited.all("Record-Route");
    let stranger = |uri: &str, routes: &str| request("BYE", uri, X4, routes);
    let mut by = |message: &str| bridge.handle(X4, LISTEN4, message);
    assert_eq!(by(&stranger(&contact, "")).unwrap().to, at(X6), "everybody may use a proof");
    let set = format!("Route: {}\r\nRoute: {}\r\n", routes[0], routes[1]);
    assert_eq!(by(&stranger("sip:x@example.com", &set)).unwrap().to, at(X6));
    let flipped = |text: &str, at: usize| {
        let mut text = text.to_owned().into_bytes();
        text[at] = if text[at] == b'7' { b'8' } else { b'7' };
        String::from_utf8(text).unwrap()
    };
    let forbidden = |sent: Result<Sent, Reason>| match sent {
        Ok(sent) => sent.status() == Some(403) && sent.to == at(X4),
        Err(reason) => reason == Reason::RateLimited,
    };
    let seal = contact.rfind('_').unwrap() + 1;
    for digit in seal..contact.len() {
        let sent = by(&stranger(&flipped(&contact, digit), ""));
        assert!(forbidden(sent.clone()), "{sent:?}");
    }
    assert!(forbidden(by(&stranger(&contact.replace("--55~5062", "--56~5062"), ""))));
    assert!(forbidden(by(&stranger(&contact.replace("~5062", "~5063"), ""))));
    // A Route without its proof is a Route of ours like any other: the uplink's.
    for changed in [set.replace("--55~5062", "--56~5062"), set.replace("sig=", "sig=0"), set.replace(";sig=", ";gis=")]
    {
        assert_eq!(by(&stranger("sip:x@example.com", &changed)).unwrap().to, at(U6));
    }
}

/// Whoever forges our own address has no Via of ours.
#[test]
fn a_request_in_our_own_name_is_dropped() {
    let mut bridge = Bridge::picture();
    let mine = request("INVITE", "sip:p@192.0.2.101", LISTEN6, "");
    assert_eq!(bridge.handle(LISTEN6, F1, &mine), Err(Reason::NotFromOurselves));
    let forged = mine
        .replace("z9hG4bKx1", "z9hG4bK0123456789abcdefp192.0.2.1~5060")
        .replace("Max-Forwards", "Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK2\r\nMax-Forwards");
    assert_eq!(bridge.handle(LISTEN6, F1, &forged), Err(Reason::NotFromOurselves));
}
