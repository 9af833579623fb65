//! What is refused, and that a refused message reaches nobody.

use crate::harness::agent::{Agent, response_to};
use crate::harness::call::establish;
use crate::harness::daemon::Daemon;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, LISTEN6, P1, Q6, STRANGER4, STRANGER6, U6, X4, X6};
use crate::harness::uri::parameter;

/// Sends `request` and gives the refusal, a stateless one: its To has a tag of
/// ours, it has no Record-Route, and the body is empty.
fn refused(sender: &Agent, request: &Message, proxy: &str, status: u16) -> Message {
    sender.send(request, proxy);
    let refusal = sender.receive_response(status, request).message;
    assert!(
        parameter(refusal.value("To"), "tag").is_some_and(|tag| !tag.is_empty()),
        "a To-tag (§8.2.6.2) in\n{refusal}"
    );
    assert_eq!(refusal.all("Record-Route"), Vec::<&str>::new(), "a refusal opens no dialog:\n{refusal}");
    assert_eq!(refusal.body, "");
    refusal
}

/// The reason phrase.
fn reason(response: &Message) -> &str {
    response.start.splitn(3, ' ').nth(2).unwrap()
}

/// Asserts that nothing has reached `target` so far: what a phone sends it now
/// is the first that it gets. `uri` must lead there.
fn assert_untouched(target: &Agent, phone: &Party, uri: &str) {
    let fence = phone.request("MESSAGE", uri).without_body();
    phone.agent.send(&fence, if phone.agent.address.is_ipv4() { LISTEN4 } else { LISTEN6 });
    let first = target.receive().message;
    assert_eq!(first.value("Call-ID"), fence.value("Call-ID"), "{} was reached by\n{first}", target.name);
}

#[test]
fn max_forwards_at_its_end_is_483() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, bob) = (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000));
        for value in ["1", "0"] {
            let from_bob = bob.invite("sip:alice@[2001:db8::101]").replacing("Max-Forwards", value);
            refused(&bob.agent, &from_bob, F1, 483);
            let from_alice = alice.invite("sip:bob@[2001:db8:9::55]:5062").replacing("Max-Forwards", value);
            refused(&alice.agent, &from_alice, LISTEN4, 483);
        }
        assert_untouched(&bob.agent, &alice, "sip:bob@[2001:db8:9::55]:5062");
    });
}

/// Port 0 toward the other side, and a line of the log; also where there is no other
/// stream, so that no call with media begins or ends.
#[test]
fn streams_that_are_left_out_are_told() {
    isolated(|| {
        let mut daemon = Daemon::start_with(&["-p", "20000-20003"]);
        let (alice, bob) = (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000));
        // It rings, and keeps its ports.
        let offers = |more: &str| {
            let invite = bob.request("INVITE", "sip:alice@[2001:db8::101]").with_sdp(bob.media.description() + more);
            bob.agent.send(&invite, F1);
            let received = alice.agent.receive_request("INVITE");
            alice.respond(&received, 180, "Ringing", "rings");
            bob.agent.receive_response(180, &invite);
            (received.message.body, invite.value("Call-ID").to_owned())
        };
        let (body, call_id) = offers("m=message 2855 TCP/MSRP *\r\na=path:msrp://[2001:db8:9::55]:2855/a;tcp\r\n");
        assert!(body.contains("m=message 0 TCP/MSRP *\r\n"), "{body}");
        let said = daemon.await_line("port 0 toward the other side");
        assert!(said.contains("TCP") && said.contains(&call_id), "{said}");

        // An answer cannot be refused where no ports are left.
        let call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        let late = bob.request("INVITE", "sip:alice@[2001:db8::101]").without_body();
        let two = "m=video 30020 RTP/AVP 31\r\n".repeat(2);
        bob.agent.send(&late, F1);
        let received = alice.agent.receive_request("INVITE");
        let offer = response_to(&received.message, 200, "OK", "late").with("Contact", &alice.contact);
        alice.agent.respond(&received, &offer.with_sdp(alice.media.description() + &two));
        let body = bob.agent.receive_response(200, &late).message.body;
        assert!(body.contains("m=audio 0 ") && body.contains("m=video 0 "), "{body}");
        let said = daemon.await_line("no ports left for streams");
        assert!(said.contains(late.value("Call-ID")), "{said}");
        drop(call);
    });
}

#[test]
fn an_undirected_request_without_an_uplink_is_404() {
    isolated(|| {
        let _daemon = Daemon::start();
        let bob = Party::new("bob", X6, 40000);
        for uri in ["sip:alice@example.com", "tel:+15550100", "sip:alice@[2001:db8::1]"] {
            refused(&bob.agent, &bob.invite(uri), LISTEN6, 404);
        }
    });
}

/// Else we were an open relay.
#[test]
fn a_stranger_reaches_no_foreign_address() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let stranger = Party::new("mallory", STRANGER4, 40000);
        let (victim, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let victim_uri = "sip:bob@[2001:db8:9::55]:5062";
        refused(&stranger.agent, &stranger.invite(victim_uri), LISTEN4, 403);
        refused(&stranger.agent, &stranger.invite("sip:bob@192.0.2.1;maddr=[2001:db8:9::55]"), LISTEN4, 403);
        for forged in ["2001-db8-9--55~5062", "2001-db8-9--55~5062__0123456789abcdef"] {
            let uri = format!("sip:bob@192.0.2.1;s64={forged}");
            refused(&stranger.agent, &stranger.invite(&uri), LISTEN4, 403);
        }
        assert_untouched(&victim.agent, &alice, victim_uri);
        daemon.await_line(&format!("refused count=1 reason=the sender may not call this address from={STRANGER4}"));
    });
}

/// The same by Route, on the side that has no uplink to take it over.
#[test]
fn a_stranger_reaches_no_foreign_address_by_a_preloaded_route() {
    isolated(|| {
        let _daemon = Daemon::start();
        let stranger = Party::new("mallory", STRANGER6, 40000);
        let (victim, quinn) = (Party::new("carol", X4, 40000), Party::new("quinn", Q6, 30000));
        let victim_uri = "sip:carol@198.51.100.9:5062";
        let foreign = "<sip:198.51.100.9:5062;lr>";
        let forged = "<sip:[2001:db8::1]:5060;lr;received=198.51.100.9~5062;sig=0123456789abcdef>";
        let routes = [
            foreign.to_owned(),
            format!("<sip:[2001:db8::1];lr>, {foreign}"),
            format!("<sip:[2001:db8::1]:5060;lr>, <sip:192.0.2.1:5060;lr>, {foreign}"),
            format!("{forged}, <sip:192.0.2.1:5060;lr>"),
            forged.to_owned(),
        ];
        for route in routes {
            let request = stranger.invite(victim_uri).with("Route", route);
            refused(&stranger.agent, &request, LISTEN6, 403);
        }
        assert_untouched(&victim.agent, &quinn, victim_uri);
    });
}

/// An uplink's customers are strangers too.
#[test]
fn the_uplink_is_no_phone() {
    isolated(|| {
        let _daemon = Daemon::start();
        let uplink = Party::new("uplink", U6, 40000);
        let (victim, quinn) = (Party::new("carol", X4, 40000), Party::new("quinn", Q6, 30000));
        let victim_uri = "sip:carol@198.51.100.9:5062";
        refused(&uplink.agent, &uplink.invite(victim_uri), LISTEN6, 403);
        assert_untouched(&victim.agent, &quinn, victim_uri);
    });
}

/// The reason phrase names the fault, and what would be right.
#[test]
fn a_malformed_request_is_400_with_its_fault() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let good = || bob.invite("sip:alice@[2001:db8::101]");
        let cases = [
            ("Max-Forwards", good().replacing("Max-Forwards", "seventy")),
            ("Content-Length", good().replacing("Content-Length", "99999")),
            ("Content-Length", good().replacing("Content-Length", "-1")),
            ("CSeq", good().replacing("CSeq", "1 BYE")),
        ];
        for (fault, request) in cases {
            bob.agent.send(&request, F1);
            let refusal = bob.agent.receive().message;
            assert_eq!(refusal.status(), Some(400), "wrong {fault}:\n{refusal}");
            let reason = reason(&refusal).to_ascii_lowercase();
            assert!(reason.contains(&fault.to_ascii_lowercase()), "the reason names {fault}: {reason}");
        }
        assert_untouched(&bob.agent, &alice, "sip:bob@[2001:db8:9::55]:5062");
    });
}

/// The other answers that a proxy gives by itself (RFC 3261 §16.3).
#[test]
fn what_nobody_supports_is_refused_by_its_own_status() {
    isolated(|| {
        let _daemon = Daemon::start();
        let bob = Party::new("bob", X6, 40000);
        let good = || bob.invite("sip:alice@[2001:db8::101]");
        let unsupported = refused(&bob.agent, &good().with("Proxy-Require", "foo"), F1, 420);
        assert_eq!(unsupported.value("Unsupported"), "foo");
        refused(&bob.agent, &bob.invite("http:alice@[2001:db8::101]"), LISTEN6, 416);
        let mut newer = good();
        newer.start = newer.start.replace("SIP/2.0", "SIP/3.0");
        refused(&bob.agent, &newer, F1, 505);
    });
}

/// Without a user part it asks what the proxy can do (RFC 3261 §11.1).
#[test]
fn options_for_us_is_answered_by_us() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        for (party, uri, proxy) in [(&bob, "sip:[2001:db8::1]", LISTEN6), (&alice, "sip:192.0.2.1", LISTEN4)] {
            let options = party.request("OPTIONS", uri).without_body();
            party.agent.send(&options, proxy);
            party.agent.receive_response(200, &options);
        }
    });
}
