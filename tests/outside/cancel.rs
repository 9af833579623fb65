//! CANCEL, its 487 and the ACK of it find their way without any state (RFC 3261
//! §16.10, §16.11).

use crate::harness::call::{branch_of, follow_up, refuse, ring};
use crate::harness::daemon::Daemon;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, P1, P2, X6};

/// INVITE, 180, CANCEL, 200 for it, 487, ACK.
fn cancel(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let ringing = ring(caller, callee, uri, proxy);
    let cancel = follow_up("CANCEL", &ringing.invite);
    caller.agent.send(&cancel, proxy);
    let received = callee.agent.receive_request("CANCEL");
    let (message, invite) = (&received.message, &ringing.received.message);
    assert_eq!(branch_of(message), branch_of(invite), "a CANCEL has the branch of its INVITE");
    assert_eq!(message.request_uri(), invite.request_uri(), "and its Request-URI (RFC 3261 §9.1)");
    for name in ["From", "To", "Call-ID"] {
        assert_eq!(message.value(name), invite.value(name), "and its {name}");
    }
    assert_eq!(message.all("Record-Route"), Vec::<&str>::new());
    callee.respond(&received, 200, "OK", &ringing.to_tag);
    caller.agent.receive_response(200, &cancel);
    refuse(caller, callee, &ringing, 487, "Request Terminated");
}

#[test]
fn a_generic_caller_cancels() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        cancel(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
    });
}

#[test]
fn a_phone_cancels() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        cancel(&alice, &bob, "sip:bob@[2001:db8:9::55]:5062", LISTEN4);
    });
}

#[test]
fn a_hairpin_is_cancelled() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (one, two) = (Party::new("one", P1, 40000), Party::new("two", P2, 30000));
        cancel(&one, &two, "sip:two@192.0.2.102", LISTEN4);
    });
}
