//! What a stranger may register: nothing in a phone's name.
//!
//! A stranger's REGISTER goes to the uplink from the listen address, so that the
//! registrar can tell it from a phone's, which comes from the phone's fake. There
//! it needs a password like any other. A Contact in it that names a phone leads to
//! that phone: to its fake, and so to the phone alone. So a stranger with an
//! account can have his own calls ring there, as he could without a proxy, but he
//! cannot lead a phone's calls elsewhere.

use super::bridge::*;

const CONTACTS: [&str; 8] = [
    "<sip:p@192.0.2.101:5060>",
    "<sip:p@192.0.2.101:5070>",
    "<sip:p@192.0.2.1;s64=2001-db8--101~5060>",
    "<sip:p@192.0.2.1>",
    "<sip:p@198.51.100.9:5062>",
    "<sip:p@10.0.0.5>, <sip:p@192.0.2.101>;q=0.1, <tel:+15550100>",
    "*",
    "sip:p@192.0.2.102;expires=0",
];

fn register(from: &str, contact: &str, more: &str) -> String {
    request("REGISTER", "sip:provider.example", from, more).replace(&format!("<sip:m@{from}>"), contact)
}

#[test]
fn only_a_phones_own_address_sends_from_its_fake() {
    for contact in CONTACTS {
        for routes in
            ["", "Route: <sip:[2001:db8::101];lr>\r\n", "Route: <sip:192.0.2.1;lr>, <sip:[2001:db8::101];lr>\r\n"]
        {
            let mut bridge = Bridge::picture();
            let sent = bridge.handle(X4, LISTEN4, register(X4, contact, routes)).unwrap();
            assert_eq!((sent.from, sent.to), (at(LISTEN6), at(U6)), "{contact} {routes}");
            let own = bridge.handle(P1, LISTEN4, register(P1, contact, "")).unwrap();
            assert_eq!((own.from, own.to), (at(F1), at(U6)), "{contact}");
        }
    }
}

/// Where requests for such a binding go that come back from the uplink.
#[test]
fn a_binding_that_names_a_phone_leads_to_that_phone() {
    for (contact, leads_to) in [
        ("<sip:p@192.0.2.101:5060>", Some(P1)),
        ("<sip:p@192.0.2.102>", Some(P2)),
        // Another port of a phone is nowhere without the phone's word.
        ("<sip:p@192.0.2.101:5070>", Some(P1)),
        // Behind NAT: to where the REGISTER came from, whatever it says.
        ("<sip:p@10.0.0.5:5060>", Some(X4)),
        ("<sip:p@198.51.100.77:5060>", Some(X4)),
        ("<sip:p@198.51.100.9:5062>", Some(X4)),
    ] {
        let mut bridge = Bridge::picture();
        let bound = bridge.handle(X4, LISTEN4, register(X4, contact, "")).unwrap().first("Contact");
        let uri = bound.trim_matches(['<', '>']).to_owned();
        let socket = if uri.contains("[2001:db8::101]") {
            F1
        } else if uri.contains("[2001:db8::102]") {
            F2
        } else {
            LISTEN6
        };
        let call = bridge.handle(U6, socket, request("INVITE", &uri, U6, ""));
        let to = call.ok().filter(|call| call.status().is_none()).map(|call| call.to);
        assert_eq!(to, leads_to.map(at), "{contact} as {uri}");
    }
}

#[test]
fn a_star_stays_a_star_and_many_contacts_stay_many() {
    let mut bridge = Bridge::picture();
    let star = bridge.handle(X4, LISTEN4, register(X4, "*", "Expires: 0\r\n")).unwrap();
    assert_eq!(star.all("Contact"), ["*"]);
    let many = vec!["<sip:p@192.0.2.101>"; 300].join(",");
    let sent = bridge.handle(X4, LISTEN4, register(X4, &many, "")).unwrap();
    assert_eq!(sent.first("Contact"), vec!["<sip:p@[2001:db8::101]>"; 300].join(","));
}

/// A REGISTER for a phone's fake goes to the phone, never on to an uplink.
#[test]
fn a_register_at_a_fake_reaches_the_phone_alone() {
    let mut bridge = Bridge::picture();
    for contact in CONTACTS {
        let sent = bridge.handle(X6, F1, register(X6, contact, "")).unwrap();
        assert_eq!(sent.to, at(P1));
        let sent = bridge.handle(U6, F1, register(U6, contact, "Route: <sip:192.0.2.1;lr>\r\n")).unwrap();
        assert_eq!(sent.to, at(P1));
    }
}
