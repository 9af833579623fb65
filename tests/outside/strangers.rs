//! What strangers get out of the real binary.

use std::time::{Duration, Instant};

use crate::harness::agent::{Agent, Received, response_to};
use crate::harness::daemon::Daemon;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, G4, LISTEN4, LISTEN6, P1, STRANGER4, STRANGER6, U6, X6};

/// Sends `request` this many times, in bursts that any socket buffer holds, and
/// gives the number and the bytes of what comes back.
fn flood(stranger: &Agent, request: &Message, proxy: &str, times: usize) -> (usize, usize) {
    let (mut answers, mut bytes) = (0, 0);
    for burst in 0..times.div_ceil(20) {
        (0..20.min(times - burst * 20)).for_each(|_| stranger.send(request, proxy));
        while let Some(answer) = stranger.receive_within(Duration::from_millis(20)) {
            answers += 1;
            bytes += answer.message.to_wire().len();
        }
    }
    (answers, bytes)
}

#[test]
fn answers_to_a_flood_are_few_and_small_and_others_get_theirs() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let (mallory, bob) = (Party::new("mallory", STRANGER6, 40000), Party::new("bob", X6, 40000));
        let request = mallory.request("OPTIONS", "sip:[2001:db8::1]").without_body();
        let since = Instant::now();
        let (answers, bytes) = flood(&mallory.agent, &request, LISTEN6, 1000);
        // Fifty at once, and ten more for each second that it took.
        let most = 51 + usize::try_from(since.elapsed().as_millis()).unwrap() / 100;
        assert!((50..=most).contains(&answers), "{answers} of {most}");
        assert!(bytes <= answers * request.to_wire().len(), "{bytes} bytes in {answers} answers");
        daemon.await_line("too many answers to this address");
        let options = bob.request("OPTIONS", "sip:[2001:db8::1]").without_body();
        bob.agent.send(&options, LISTEN6);
        bob.agent.receive_response(200, &options);
    });
}

/// Nobody but phones and the uplink hears anything of what a stranger sends.
#[test]
fn a_strangers_requests_reach_phones_and_the_uplink_alone() {
    isolated(|| {
        let daemon = Daemon::start();
        let mallory = Party::new("mallory", STRANGER4, 40000);
        let (victim, alice, uplink) =
            (Agent::bind("victim", X6), Party::new("alice", P1, 30000), Agent::bind("uplink", U6));
        for uri in [
            "sip:bob@[2001:db8:9::55]:5062",
            "sip:bob@192.0.2.1;s64=2001-db8-9--55~5062",
            "sip:bob@example.com;maddr=[2001:db8:9::55]",
            "sip:alice@192.0.2.101",
            "sip:bob@provider.example",
        ] {
            for route in [
                "<sip:[2001:db8:9::55]:5062;lr>",
                "<sip:192.0.2.1;lr>, <sip:[2001:db8::1];lr;received=2001-db8-9--55~5062;sig=0123456789abcdef>",
            ] {
                let plain = mallory.request("MESSAGE", uri).without_body();
                mallory.agent.send(&plain, LISTEN4);
                mallory.agent.send(&plain.with("Route", route), LISTEN4);
            }
        }
        daemon.process().await_handled(&[LISTEN4.parse().unwrap()]);
        let fence = alice.request("MESSAGE", "sip:bob@[2001:db8:9::55]:5062").without_body();
        alice.agent.send(&fence, LISTEN4);
        assert_eq!(victim.receive().message.value("Call-ID"), fence.value("Call-ID"));
        assert!(uplink.receive().message.value("From").contains("mallory"));
        assert!(alice.agent.receive().message.value("From").contains("mallory"));
    });
}

/// A request of Bob's, as it left and as it reached Alice, and her answer to it.
fn to_be_answered(bob: &Party, alice: &Party) -> (Message, Received, Message) {
    let request = bob.request("MESSAGE", "sip:alice@[2001:db8::101]").without_body();
    bob.agent.send(&request, F1);
    let arrived = alice.agent.receive_request("MESSAGE");
    let good = response_to(&arrived.message, 200, "OK", "a1").without_body();
    (request, arrived, good)
}

/// A response with one thing changed goes nowhere; the true one still does.
#[test]
fn forged_responses_go_nowhere() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let (request, arrived, good) = to_be_answered(&bob, &alice);
        let mallory = Agent::bind("mallory", STRANGER4);
        for (name, value) in [("Call-ID", "other"), ("CSeq", "2 MESSAGE"), ("Via", "SIP/2.0/UDP 192.0.2.1:5060")] {
            mallory.send(&good.clone().replacing(name, value), LISTEN4);
        }
        mallory.send(&good, G4);
        daemon.await_line("response to no request of ours");
        alice.agent.respond(&arrived, &good);
        bob.agent.receive_response(200, &request);
    });
}

/// A router with an "ALG" gives our Via its own address on the way out, and leaves
/// it so on the way back.
#[test]
fn a_rewritten_via_is_told_with_who_sent_it_and_what_to_do() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let (request, arrived, good) = to_be_answered(&bob, &alice);
        let text = String::from_utf8(good.to_wire()).unwrap();
        let rewritten = text.replacen("UDP 192.0.2.1:5060;", "UDP 203.0.113.77:61234;", 1);
        assert_ne!(text, rewritten);
        alice.agent.send_bytes(rewritten.as_bytes(), LISTEN4.parse().unwrap());
        let line = daemon.await_line("turn off SIP ALG");
        for part in [
            " WARN ",
            "count=1",
            "reason=our Via was rewritten on the way",
            "peer=192.0.2.101:5060",
            "via=SIP/2.0/UDP 203.0.113.77:61234",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        alice.agent.respond(&arrived, &good);
        bob.agent.receive_response(200, &request);
    });
}
