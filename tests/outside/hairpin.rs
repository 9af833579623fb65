//! Phones on one side of one proxy call each other, with media: each message passes
//! twice.

use crate::harness::agent::{Agent, Received, sent_by};
use crate::harness::call::{Call, Ringing, answer, answer_through, ring};
use crate::harness::daemon::Daemon;
use crate::harness::message::{Message, unique};
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::pattern::{assert_list, assert_matches};
use crate::harness::picture::{F2, LISTEN4, P1, P2, U6};
use crate::harness::uri::address_of;

/// P1 calls sip:two@192.0.2.102 at 192.0.2.1.
fn call(one: &Party, two: &Party) -> Call {
    let ringing = ring(one, two, "sip:two@192.0.2.102", LISTEN4);
    let message = &ringing.received.message;
    assert_eq!(ringing.received.source, address_of(LISTEN4), "the second pass leaves from");
    assert_eq!(message.request_uri(), "sip:two@192.0.2.102");
    for name in ["From", "To", "Contact"] {
        assert_eq!(message.value(name), ringing.invite.value(name), "{name} as P1 wrote it");
    }
    assert_eq!(message.value("Max-Forwards"), "68");
    assert_vias(&message.list("Via"), ringing.invite.value("Via"));
    let passes = [
        "<sip:192.0.2.1:5060;lr>",
        "<sip:[2001:db8::102]:5060;lr>",
        "<sip:[2001:db8::101]:5060;lr>",
        "<sip:192.0.2.1:5060;lr>",
    ];
    assert_list(message, "Record-Route", &passes);
    answer(one, two, &ringing)
}

/// The Vias of both passes, then P1's. What `rport=` and `received=` a Via of
/// ours has gained at the second pass is the proxy's own affair.
fn assert_vias(vias: &[String], written: &str) {
    assert_eq!(vias.len(), 3, "Vias {vias:#?}");
    assert_matches(&vias[0], "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK<TOKEN>");
    let first_pass = vias[1].split(';').take(2).collect::<Vec<_>>().join(";");
    assert_matches(&first_pass, "SIP/2.0/UDP [2001:db8::101]:5060;branch=z9hG4bK<TOKEN>");
    assert!(vias[2].starts_with(written), "{} is what P1 wrote: {written}", vias[2]);
}

#[test]
fn two_phones_of_one_side_talk_and_the_caller_hangs_up() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (one, two) = (Party::new("one", P1, 30000), Party::new("two", P2, 40000));
        let mut call = call(&one, &two);
        call.assert_talks(&one, &two, 50);
        call.end_by_caller(&one, &two);
    });
}

#[test]
fn two_phones_of_one_side_talk_and_the_callee_hangs_up() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (one, two) = (Party::new("one", P1, 30000), Party::new("two", P2, 40000));
        let mut call = call(&one, &two);
        call.assert_talks(&one, &two, 50);
        call.end_by_callee(&one, &two);
    });
}

/// The uplink is a proxy: it finds the callee where it called from, among our phones,
/// and touches no description. Both passes are of one Call-ID, with a relay each, and
/// each description that comes from it names a relay socket of ours.
#[test]
fn two_phones_talk_whose_call_the_uplink_sends_back() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (one, two) = (Party::new("one", P1, 30000), Party::new("two", P2, 40000));
        let uplink = Agent::bind("uplink", U6);
        let invite = one.invite("sip:two@provider.example");
        one.agent.send(&invite, LISTEN4);
        send_back(&uplink, &uplink.receive_request("INVITE"));
        let received = two.agent.receive_request("INVITE");
        let ringing = Ringing { invite, received, to_tag: unique("t"), proxy: LISTEN4.to_owned() };
        let mut call = answer_through(&one, &two, &ringing, || pass_back(&uplink));
        call.assert_talks(&one, &two, 50);
        call.end_by_callee(&one, &two);
    });
}

/// The request goes on to the second phone's fake.
fn send_back(uplink: &Agent, request: &Received) {
    let Message { fields, body, .. } = &request.message;
    let mut fields = fields.clone();
    fields.insert(0, ("Via".to_owned(), uplink.via()));
    let start = "INVITE sip:two@[2001:db8::102] SIP/2.0".to_owned();
    uplink.send(&Message { start, fields, body: body.clone() }, F2);
}

/// The next response goes on by the Via below the uplink's.
fn pass_back(uplink: &Agent) {
    let mut response = uplink.receive().message;
    let own = response.fields.iter().position(|(name, _)| name == "Via").expect("a response has a Via");
    response.fields.remove(own);
    uplink.send_bytes(&response.to_wire(), sent_by(response.value("Via")));
}
