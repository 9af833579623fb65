//! Phones register at the uplink of the other side and are called back.

use crate::harness::agent::{Received, response_to};
use crate::harness::call::establish;
use crate::harness::daemon::Daemon;
use crate::harness::kernel::await_connected;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::pattern::assert_matches;
use crate::harness::picture::{F1, F2, G4, LISTEN4, LISTEN6, NAT4, P1, P2, Q6, U4, U6, X6};
use crate::harness::uri::{address_of, next_hop, uri_of};

const PROVIDER: &str = "sip:provider.example";
const CHALLENGE: &str = r#"Digest realm="provider.example", nonce="84a4cc6f", algorithm=MD5, qop="auth""#;
const CREDENTIALS: &str = r#"Digest username="alice", realm="provider.example", nonce="84a4cc6f", uri="sip:provider.example", response="7587245234b3434cc3412213e5f113a5", algorithm=MD5, cnonce="0a4f113b", qop=auth, nc=00000001"#;

/// A REGISTER of a user at the provider.
fn register(phone: &Party, uri: &str, number: u32) -> Message {
    let address_of_record = format!("<sip:{}@provider.example>", phone.user);
    phone
        .request("REGISTER", uri)
        .replacing("From", &format!("{address_of_record};tag=r{number}"))
        .replacing("To", &address_of_record)
        .replacing("CSeq", &format!("{number} REGISTER"))
        .with("Expires", "3600")
}

/// The registrar's 200: it shows the Contacts as it has them.
fn grant(uplink: &Party, register: &Received) {
    let contact = format!("{};expires=3600", register.message.value("Contact"));
    let response = response_to(&register.message, 200, "OK", "u1")
        .with("Contact", contact)
        .with("Service-Route", "<sip:[2001:db8:456::12];lr>")
        .with("Date", "Sat, 13 Nov 2010 23:29:00 GMT")
        .without_body();
    uplink.agent.respond(register, &response);
}

/// Registers with the Contact that the phone has, and gives what the uplink
/// keeps of it.
pub fn registered(phone: &Party, uplink: &Party, source: &str) -> String {
    let request = register(phone, PROVIDER, 1).without_body();
    phone.agent.send(&request, LISTEN4);
    let received = uplink.agent.receive_request("REGISTER");
    assert_eq!(received.source, address_of(source), "the REGISTER comes from");
    assert_eq!(received.message.all("Record-Route"), Vec::<&str>::new());
    assert_eq!(received.message.request_uri(), PROVIDER);
    assert_eq!(received.message.value("To"), request.value("To"), "names stay");
    grant(uplink, &received);
    let response = phone.agent.receive_response(200, &request).message;
    let wanted = format!("{};expires=3600", phone.contact);
    assert_eq!(response.value("Contact"), wanted, "the Contact comes back as written");
    assert_eq!(response.value("Date"), "Sat, 13 Nov 2010 23:29:00 GMT");
    received.message.value("Contact").to_owned()
}

/// Calls a Contact that was registered, talks, and hangs up.
pub fn call_back(uplink: &Party, phone: &Party, contact: &str) {
    let target = uri_of(contact);
    let mut call = establish(uplink, phone, target, &next_hop(target).to_string());
    call.assert_talks(uplink, phone, 50);
    call.end_by_caller(uplink, phone);
}

#[test]
fn a_phone_registers_and_is_called_back() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, uplink) = (Party::new("alice", P1, 30000), Party::new("carol", U6, 40000));
        let contact = registered(&alice, &uplink, F1);
        assert_eq!(contact, "<sip:alice@[2001:db8::101]:5060>");
        call_back(&uplink, &alice, &contact);
    });
}

/// Another port and more parameters are none of a fake's,
/// and yet they come back.
#[test]
fn a_contact_at_another_port_comes_back_and_can_be_called() {
    isolated(|| {
        let _daemon = Daemon::start();
        let mut alice = Party::new("alice", "192.0.2.101:5070", 30000);
        let uplink = Party::new("carol", U6, 40000);
        alice.contact = "<sip:alice@192.0.2.101:5070;transport=udp>;+sip.instance=\"<urn:uuid:0>\"".to_owned();
        let contact = registered(&alice, &uplink, F1);
        let pattern =
            "<sip:alice@[2001:db8::101];transport=udp;s64=192.0.2.101~5070__<SIG>>;+sip.instance=\"<urn:uuid:0>\"";
        assert_matches(&contact, pattern);
        call_back(&uplink, &alice, &contact);
    });
}

/// It has no map: the way back stands in its token. It
/// knows nothing of the address that it is seen at, and does not ask for `rport=`.
#[test]
fn a_phone_behind_nat_registers_and_is_called_back() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (mut dave, uplink) = (Party::new("dave", NAT4, 30000), Party::new("carol", U6, 40000));
        dave.contact = "<sip:dave@10.0.0.5:5060>".to_owned();
        dave.agent.sent_by = "10.0.0.5:5060".to_owned();
        dave.media.described = "10.0.0.5".parse().unwrap();
        let contact = registered(&dave, &uplink, LISTEN6);
        assert_matches(&contact, "<sip:dave@[2001:db8::1];s64=10.0.0.5~5060_203.0.113.9~40123_<SIG>>");

        let mut call = establish(&uplink, &dave, uri_of(&contact), LISTEN6);
        // It is heard first, so that its address is learned.
        dave.media.send_rtp("first", 0, call.callee.told);
        uplink.media.expect_rtp(&dave.media, "first", 0, call.caller.told);
        dave.media.send_rtcp("first", 0, call.callee.told);
        uplink.media.expect_rtcp(&dave.media, "first", 0, call.caller.told);
        call.assert_talks(&uplink, &dave, 50);
        call.end_by_callee(&uplink, &dave);
    });
}

/// What ICMP says of messages that went to nobody keeps none back that comes later.
#[test]
fn an_uplink_that_was_away_is_reached_at_once() {
    isolated(|| {
        let daemon = Daemon::start_with(&["-u", U4]);
        for (address, phone, proxy, ours) in [(U6, P1, LISTEN4, F1), (U4, Q6, LISTEN6, G4)] {
            await_connected(ours.parse().unwrap(), address.parse().unwrap());
            let phone = Party::new("phone", phone, 30000);
            let ask = || {
                let request = phone.request("MESSAGE", "sip:carol@provider.example").without_body();
                phone.agent.send(&request, proxy);
                request
            };
            for _ in 0..3 {
                ask();
                daemon.process().await_handled(&[proxy.parse().unwrap()]);
            }
            let uplink = Party::new("carol", address, 40000);
            for _ in 0..2 {
                let request = ask();
                let received = uplink.agent.receive_request("MESSAGE");
                assert_eq!(received.message.value("Call-ID"), request.value("Call-ID"));
                uplink.respond(&received, 200, "OK", "");
                phone.agent.receive_response(200, &request);
            }
        }
    });
}

/// Whoever waits for a next hop to which this machine has no way need not (RFC 3261 §16.9).
#[test]
fn an_uplink_without_a_route_is_told_at_once() {
    isolated(|| {
        let mut daemon = Daemon::start_as(&[
            "-l",
            "192.0.2.1",
            "-L",
            "2001:db8::1",
            "-U",
            "2001:db8:dead::12",
            "-m",
            "192.0.2.101=2001:db8::101",
        ]);
        let alice = Party::new("alice", P1, 30000);
        for _ in 0..2 {
            let invite = alice.invite("sip:carol@provider.example");
            alice.agent.send(&invite, LISTEN4);
            let refusal = alice.agent.receive_response(503, &invite).message;
            assert_eq!(refusal.value("Retry-After"), "10");
            assert_eq!(refusal.value("From"), invite.value("From"));
            let ack = alice.request("ACK", "sip:carol@provider.example");
            let ack = ack.replacing("To", refusal.value("To")).replacing("Call-ID", invite.value("Call-ID"));
            alice.agent.send(&ack.replacing("Via", invite.value("Via")), LISTEN4);
        }
        daemon.await_line("messages could not be sent");
        daemon.await_lines("not accepted by the callee (503)", 2);
    });
}

/// Digest is signed by the phone: nothing of it may change (RFC 7616 §3.4).
#[test]
fn a_challenged_register_is_sent_again_with_credentials() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, uplink) = (Party::new("alice", P1, 30000), Party::new("carol", U6, 40000));
        let first = register(&alice, PROVIDER, 1).without_body();
        alice.agent.send(&first, LISTEN4);
        let received = uplink.agent.receive_request("REGISTER");
        let challenge = response_to(&received.message, 401, "Unauthorized", "u1").with("WWW-Authenticate", CHALLENGE);
        uplink.agent.respond(&received, &challenge.without_body());
        let refusal = alice.agent.receive_response(401, &first).message;
        assert_eq!(refusal.value("WWW-Authenticate"), CHALLENGE);

        let second = register(&alice, PROVIDER, 2).with("Authorization", CREDENTIALS).without_body();
        alice.agent.send(&second, LISTEN4);
        let received = uplink.agent.receive_request("REGISTER");
        assert_eq!(received.message.value("Authorization"), CREDENTIALS);
        grant(&uplink, &received);
        let response = alice.agent.receive_response(200, &second).message;
        assert_eq!(response.value("Contact"), "<sip:alice@192.0.2.101:5060>;expires=3600");
    });
}

/// A phone that knows no other registrar registers with us.
#[test]
fn a_register_for_our_listen_address_is_the_uplinks() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, uplink) = (Party::new("alice", P1, 30000), Party::new("carol", U6, 40000));
        let request = alice.request("REGISTER", "sip:192.0.2.1").without_body();
        alice.agent.send(&request, LISTEN4);
        let received = uplink.agent.receive_request("REGISTER");
        assert_eq!(received.message.request_uri(), "sip:[2001:db8:456::12]");
        grant(&uplink, &received);
        alice.agent.receive_response(200, &request);
    });
}

/// What names nobody here goes to the uplink.
#[test]
fn a_phone_calls_a_name() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, uplink) = (Party::new("alice", P1, 30000), Party::new("carol", U6, 40000));
        let mut call = establish(&alice, &uplink, "sip:carol@provider.example", LISTEN4);
        call.assert_talks(&alice, &uplink, 50);
        call.end_by_callee(&alice, &uplink);
    });
}

/// Whoever has a phone that does not register reads the log, and sees no messages.
#[test]
fn a_registration_that_is_refused_is_told() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let (alice, uplink) = (Party::new("alice", P1, 30000), Party::new("provider", U6, 40000));
        let first = register(&alice, PROVIDER, 1).without_body();
        let refuse = |number: u32, status: u16| {
            let again = register(&alice, PROVIDER, number).replacing("Call-ID", first.value("Call-ID")).without_body();
            alice.agent.send(&again, LISTEN4);
            uplink.respond(&uplink.agent.receive_request("REGISTER"), status, "No", "u");
            alice.agent.receive_response(status, &again);
        };
        refuse(1, 401);
        refuse(2, 403);
        let said = daemon.await_line("registration refused: 403");
        for word in ["phone=192.0.2.101:5060", "registrar=[2001:db8:456::12]:5060"] {
            assert!(said.contains(word), "`{word}` is missing in: {said}");
        }
        refuse(3, 401);
        refuse(4, 401);
        daemon.await_line("registration refused: the password is asked for again");
    });
}

/// Anybody can make us answer to where nobody is; a phone or uplink should be there.
#[test]
fn that_nobody_is_at_an_uplink_or_phone_is_told() {
    isolated(|| {
        let (alice, bob) = (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000));
        let to_uplink = (&alice, register(&alice, PROVIDER, 1).without_body(), LISTEN4, U6);
        let to_phone = (&bob, bob.invite("sip:carol@[2001:db8::102]"), F2, P2);
        for (from, request, ours, nobody) in [to_uplink, to_phone] {
            let mut daemon = Daemon::start();
            from.agent.send(&request, ours);
            let said = daemon.await_line("nobody takes SIP messages there");
            assert!(said.contains(&format!("to={nobody}")) && said.contains("Connection refused"), "{said}");
        }
    });
}
