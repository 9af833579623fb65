//! The peers judge sipproxy64, so they are judged first: they call each other without it.

use crate::harness::agent::response_to;
use crate::harness::call::{establish, refuse, ring};
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::pattern::is_match;
use crate::harness::picture::{P1, P2, Q6, X6};
use crate::harness::uri::{address_of, hostport_of, parameter, split_list, uri_of};

#[test]
fn peers_of_ipv4_call_each_other() {
    isolated(|| {
        let (one, two) = (Party::new("one", P1, 30000), Party::new("two", P2, 40000));
        let mut call = establish(&one, &two, "sip:two@192.0.2.102:5060", P2);
        call.assert_talks(&one, &two, 50);
        call.end_by_callee(&one, &two);
    });
}

#[test]
fn peers_of_ipv6_call_each_other() {
    isolated(|| {
        let (one, two) = (Party::new("one", X6, 30000), Party::new("two", Q6, 40000));
        let mut call = establish(&one, &two, "sip:two@[2001:db8:6::7]:5060", Q6);
        call.assert_talks(&one, &two, 50);
        call.end_by_caller(&one, &two);
        let ringing = ring(&one, &two, "sip:two@[2001:db8:6::7]:5060", Q6);
        refuse(&one, &two, &ringing, 486, "Busy Here");
    });
}

#[test]
fn placeholders_match_what_they_stand_for() {
    assert!(is_match("branch=z9hG4bK<TOKEN>", "branch=z9hG4bKabc-1"));
    assert!(!is_match("branch=z9hG4bK<TOKEN>", "branch=z9hG4bK"));
    assert!(!is_match("branch=z9hG4bK<TOKEN>", "branch=z9hG4bKabc;rport"));
    assert!(is_match("<sip:a;sig=<SIG>>", "<sip:a;sig=0fE9>"));
    assert!(!is_match("<sip:a;sig=<SIG>>", "<sip:a;sig=0x>"));
    assert!(is_match("m=audio <PORT> RTP/AVP 0", "m=audio 16384 RTP/AVP 0"));
    assert!(!is_match("m=audio <PORT> RTP/AVP 0", "m=audio 16384 RTP/AVP 0 8"));
}

#[test]
fn uris_are_taken_apart() {
    assert_eq!(uri_of("\"a,b\" <sip:a@[2001:db8::1]:5062;lr>;tag=1"), "sip:a@[2001:db8::1]:5062;lr");
    assert_eq!(uri_of("sip:a@b;tag=1"), "sip:a@b");
    assert_eq!(hostport_of("sip:a@[2001:db8::1]:5062;lr?x=y"), "[2001:db8::1]:5062");
    assert_eq!(address_of("[2001:db8::1]"), address_of("[2001:db8::1]:5060"));
    assert_eq!(parameter("<sip:a;tag=no>;tag=yes", "tag"), Some("yes"));
    assert_eq!(split_list("\"a,b\" <sip:a,b>, <sip:c>"), ["\"a,b\" <sip:a,b>", "<sip:c>"]);
}

#[test]
fn messages_survive_writing_and_reading() {
    let message = Message::template(
        "
        INVITE sip:a@b SIP/2.0
        v: SIP/2.0/UDP 192.0.2.1
        Record-Route: <sip:1;lr>, <sip:2;lr>
        From: <sip:a@b>
        To: <sip:c@d>
        Content-Length: ...

        v=0
        ",
    );
    assert_eq!(message.value("Content-Length"), "5");
    assert_eq!(Message::parse(&message.to_wire()).unwrap(), message);
    assert_eq!(message.list("Record-Route").len(), 2);
    let response = response_to(&message, 180, "Ringing", "x");
    assert_eq!(response.status(), Some(180));
    assert_eq!(response.value("To"), "<sip:c@d>;tag=x");
    assert!(Message::parse(&message.replacing("Content-Length", "9").to_wire()).is_err());
}
