//! Other ways to write an IPv4 address, in IPv6.

use super::bridge::*;

/// 198.51.100.77 in all its dresses.
const FORMS: [&str; 7] = [
    "198.51.100.77",
    "[::ffff:198.51.100.77]",
    "[::ffff:c633:644d]",
    "[::198.51.100.77]",
    "[2002:c633:644d::1]",
    "[64:ff9b::198.51.100.77]",
    "[2001:0:1:2:3:4:39cc:9bb2]",
];

#[test]
fn a_foreign_host_is_foreign_in_every_form() {
    let mut bridge = Bridge::picture();
    for form in FORMS {
        for (from, to) in [(X4, LISTEN4), (X6, LISTEN6), (U6, LISTEN6)] {
            for uri in [format!("sip:x@{form}"), format!("sip:x@example.com;maddr={form}")] {
                let refusal = bridge.handle(from, to, request("BYE", &uri, from, "")).unwrap();
                assert_eq!((refusal.status(), refusal.to), (Some(403), at(from)), "{uri}");
            }
        }
    }
}

#[test]
fn a_sender_has_a_phones_rights_at_the_phones_own_address_alone() {
    let mut bridge = Bridge::picture();
    let call = |from: &str| request("BYE", "sip:x@198.51.100.77", from, "");
    assert_eq!(bridge.handle(Q6, LISTEN6, call(Q6)).unwrap().to, at("198.51.100.77:5060"));
    for from in
        ["[2002:c000:265::1]:5060", "[64:ff9b::192.0.2.101]:5060", "[::192.0.2.101]:5060", "[2001:db8:6::8]:5060"]
    {
        assert_eq!(bridge.handle(from, LISTEN6, call(from)).unwrap().status(), Some(403), "{from}");
    }
}

/// The IPv4-mapped form of an address of ours is that address: no way to make us
/// send to ourselves in another's name.
#[test]
fn our_own_address_is_ours_in_every_form() {
    let mut bridge = Bridge::picture();
    let options = bridge.handle(X6, LISTEN6, request("OPTIONS", "sip:[::ffff:192.0.2.1]", X6, "")).unwrap();
    assert_eq!((options.status(), options.to), (Some(200), at(X6)));
    let phone = bridge.handle(X6, LISTEN6, request("BYE", "sip:p@[::ffff:192.0.2.101]", X6, "")).unwrap();
    assert_eq!(phone.to, at(P1));
}
