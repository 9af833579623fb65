//! Ports are a good that comes back: by BYE, by failure, by silence.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::agent::Received;
use crate::harness::call::{Call, Ringing, answer, establish, refuse, ring_with};
use crate::harness::daemon::{Daemon, PROGRAM};
use crate::harness::folder::Folder;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, OPTIONS, P1, STRANGER6, X6};
use crate::harness::{LONG_PATIENCE, PATIENCE};

const ALICE: &str = "sip:alice@[2001:db8::101]";

/// A proxy with room for two streams, a stranger who calls, and a phone.
fn room_for_two(more: &[&str]) -> (Daemon, Party, Party) {
    let daemon = Daemon::start_with(&[&["-p", "16384-16387"], more].concat());
    (daemon, Party::new("bob", X6, 40000), Party::new("alice", P1, 30000))
}

/// Asserts that no port is left: 503, and when to try again (RFC 3261 §20.33).
fn assert_used_up(bob: &Party) {
    let invite = bob.invite(ALICE);
    bob.agent.send(&invite, F1);
    let refusal = bob.agent.receive_response(503, &invite).message;
    let seconds: u32 = refusal.value("Retry-After").split([' ', ';', '(']).next().unwrap().parse().unwrap();
    assert!(seconds > 0, "Retry-After of\n{refusal}");
}

/// Calls until the ports have rested and the phone rings. Only time brings them back.
fn ring_in_the_end(bob: &Party, alice: &Party) -> Ringing {
    let deadline = Instant::now() + LONG_PATIENCE;
    while Instant::now() < deadline {
        let invite = bob.invite(ALICE);
        bob.agent.send(&invite, F1);
        if let Some(received) = rings(bob, alice, &invite) {
            return rung(bob, alice, invite, received);
        }
        // This wait is what paces the attempts.
        assert!(alice.agent.receive_within(Duration::from_millis(200)).is_none(), "refused, and yet it rings");
    }
    panic!("the ports never come back");
}

/// Whether the phone rings or the proxy refuses. Neither is a drop as well:
/// the answers of the proxy itself may be limited.
fn rings(bob: &Party, alice: &Party, invite: &Message) -> Option<Received> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(received) = alice.agent.receive_within(Duration::from_millis(10)) {
            return Some(received);
        }
        if let Some(refusal) = bob.agent.receive_within(Duration::from_millis(10)) {
            bob.agent.assert_response(&refusal.message, 503, invite);
            return None;
        }
    }
    None
}

fn rung(bob: &Party, alice: &Party, invite: Message, received: Received) -> Ringing {
    assert_eq!(received.message.value("Call-ID"), invite.value("Call-ID"));
    alice.respond(&received, 180, "Ringing", "again");
    bob.agent.receive_response(180, &invite);
    Ringing { invite, received, to_tag: "again".to_owned(), proxy: F1.to_owned() }
}

fn assert_can_call_twice(bob: &Party, alice: &Party) {
    let mut calls: Vec<Call> = (0..2).map(|_| answer(bob, alice, &ring_in_the_end(bob, alice))).collect();
    calls.iter().for_each(|call| call.assert_talks(bob, alice, 3));
    calls.iter_mut().for_each(|call| call.end_by_caller(bob, alice));
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

#[test]
fn bye_gives_the_ports_back() {
    isolated(|| {
        let (_daemon, bob, alice) = room_for_two(&[]);
        let mut first = establish(&bob, &alice, ALICE, F1);
        let mut second = establish(&bob, &alice, ALICE, F1);
        assert_ne!(first.caller.told, second.caller.told, "a stream owns its ports");
        assert_used_up(&bob);
        first.end_by_caller(&bob, &alice);
        second.end_by_callee(&bob, &alice);
        assert_can_call_twice(&bob, &alice);
    });
}

#[test]
fn a_refused_call_gives_the_ports_back() {
    isolated(|| {
        let (_daemon, bob, alice) = room_for_two(&[]);
        let ringing = [(); 2].map(|()| ring_with(&bob, &alice, bob.invite(ALICE), F1));
        assert_used_up(&bob);
        for (ringing, (status, reason)) in ringing.iter().zip([(486, "Busy Here"), (603, "Decline")]) {
            refuse(&bob, &alice, ringing, status, reason);
        }
        assert_can_call_twice(&bob, &alice);
    });
}

#[test]
fn silence_gives_the_ports_back() {
    isolated(|| {
        let (_daemon, bob, alice) = room_for_two(&["--rtp-timeout", "3"]);
        let first = establish(&bob, &alice, ALICE, F1);
        first.assert_talks(&bob, &alice, 5);
        establish(&bob, &alice, ALICE, F1);
        let ringing = [(); 2].map(|()| ring_in_the_end(&bob, &alice));
        assert_used_up(&bob);
        ringing.iter().for_each(|ringing| refuse(&bob, &alice, ringing, 486, "Busy Here"));
    });
}

/// Where no port can be opened, the fault lies with this machine, and is over with it:
/// no port is another program's for that.
#[test]
fn an_address_that_was_away_costs_no_ports() {
    isolated(|| {
        let (_daemon, bob, alice) = room_for_two(&[]);
        ip(&["address", "del", "192.0.2.1/32", "dev", "lo"]);
        (0..3).for_each(|_| assert_used_up(&bob));
        ip(&["address", "add", "192.0.2.1/32", "dev", "lo"]);
        assert_can_call_twice(&bob, &alice);
    });
}

/// Where this machine has not as many files as the ports need, strangers leave a
/// quarter of what there is, and the daemon can still be asked.
#[test]
fn strangers_leave_a_quarter_of_the_files_too() {
    isolated(|| {
        let folder = Folder::new("files");
        let control = folder.file("control");
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 300 && exec \"$@\"", "sh", PROGRAM]);
        let more = ["--max-calls-per-source", "1000", "--control", &control];
        let mut daemon = Daemon::spawn_by(command, &[&OPTIONS[..], &more].concat());
        daemon.await_line("ready");
        let alice = Party::new("alice", P1, 30000);
        let strangers = [X6, STRANGER6, "[2001:db8:77::77]:5060"].map(|address| Party::new("stranger", address, 40000));
        for stranger in &strangers {
            let calls = (0..300).take_while(|_| {
                let invite = stranger.invite(ALICE);
                stranger.agent.send(&invite, F1);
                rings(stranger, &alice, &invite).is_some()
            });
            assert!(calls.count() < 300, "a stranger has all that there is");
        }
        let invite = alice.invite("sip:bob@[2001:db8:9::55]:5062");
        alice.agent.send(&invite, LISTEN4);
        strangers[0].agent.receive_request("INVITE");
        let status = Command::new(PROGRAM).args(["status", "--control", &control]).output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    });
}

/// The same call is not a new one: a retransmission gets what it had.
#[test]
fn a_retransmitted_invite_takes_no_more_ports() {
    isolated(|| {
        let (_daemon, bob, alice) = room_for_two(&[]);
        let invite = bob.invite(ALICE);
        let received = [(); 5].map(|()| {
            bob.agent.send(&invite, F1);
            alice.agent.receive_request("INVITE").message
        });
        for again in &received[1..] {
            assert_eq!(again.to_string(), received[0].to_string(), "a retransmission is the same, byte for byte");
        }
        let other = ring_with(&bob, &alice, bob.invite(ALICE), F1);
        assert_used_up(&bob);
        refuse(&bob, &alice, &other, 486, "Busy Here");
    });
}

/// One line tells a busy proxy from one that lost count of its ports.
#[test]
fn the_log_says_who_has_the_ports() {
    isolated(|| {
        let (mut daemon, bob, alice) = room_for_two(&[]);
        let _calls = [establish(&bob, &alice, ALICE, F1), establish(&bob, &alice, ALICE, F1)];
        assert_used_up(&bob);
        let line = daemon.await_line("of 2 port pairs ");
        for part in ["2 are of answered calls", "0 of ringing calls", "0 are lost"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    });
}
