//! More than the daemon handles: calls that are there come before new ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::call::establish;
use crate::harness::daemon::Daemon;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, P1, P2, Q6, U6};

/// Held up for a moment, a daemon finds more than it lets wait: new requests make
/// way, the oldest first, and what belongs to a call is all there, in order.
#[test]
fn calls_come_before_what_begins() {
    isolated(|| {
        let mut daemon = Daemon::start_quietly(&[]);
        let (alice, quinn) = (Party::new("alice", P1, 30000), Party::new("quinn", Q6, 30000));
        let mut call = establish(&alice, &quinn, "sip:quinn@[2001:db8:6::7]", LISTEN4);
        daemon.signal("STOP");
        let news = 600;
        for number in 0..news {
            let request = alice.request("MESSAGE", "sip:quinn@[2001:db8:6::7]").with("Subject", format!("{number}"));
            alice.agent.send(&request.without_body(), LISTEN4);
            if number % 60 == 59 {
                let info = call.caller.dialog.request(&alice.agent, "INFO").with("Subject", format!("{number}"));
                call.caller.dialog.send(&alice.agent, &info.without_body());
            }
        }
        daemon.signal("CONT");
        let (mut last, mut infos, mut messages) = (None, 0, 0);
        while infos < news / 60 {
            let message = quinn.agent.receive().message;
            let number = message.value("Subject").parse::<u32>().unwrap();
            assert!(last <= Some(number), "{number} after {last:?}");
            last = Some(number);
            match message.method() {
                Some("INFO") => infos += 1,
                _ => messages += 1,
            }
        }
        assert!(messages < news, "all of {news} came through");
        let told = daemon.await_line("more SIP messages than this machine handles");
        assert!(told.contains("count="), "{told}");
    });
}

/// As many INVITEs as a core can send: a call that is there talks and ends.
#[test]
fn a_flood_of_calls_does_not_touch_one_that_is_there() {
    isolated(|| {
        let _daemon = Daemon::start_quietly(&["--max-calls", "50"]);
        let (alice, quinn) = (Party::new("alice", P1, 30000), Party::new("quinn", Q6, 30000));
        let _uplink = Agent::bind("uplink", U6);
        let flooder = Party::new("flooder", P2, 31000);
        let mut call = establish(&alice, &quinn, "sip:quinn@[2001:db8:6::7]", LISTEN4);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    flooder.agent.send(&flooder.invite("sip:new@provider.example"), LISTEN4);
                }
            });
            for _ in 0..20 {
                call.assert_talks(&alice, &quinn, 10);
            }
            over.store(true, Ordering::Relaxed);
        });
        // Its BYE may have come while the kernel's queue was full; as a telephone does
        // it is sent until it is answered (RFC 3261 §17.1.2.2).
        let bye = call.caller.dialog.request(&alice.agent, "BYE").without_body();
        let deadline = Instant::now() + PATIENCE;
        let received = loop {
            assert!(Instant::now() < deadline, "the BYE does not come through");
            call.caller.dialog.send(&alice.agent, &bye);
            if let Some(received) = quinn.agent.receive_within(Duration::from_millis(500)) {
                break received;
            }
        };
        quinn.respond(&received, 200, "OK", "");
        alice.agent.receive_response(200, &bye);
    });
}
