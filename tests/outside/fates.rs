//! Ten thousand calls of mixed fates leave nothing behind: no descriptor, no memory.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::LONG_PATIENCE;
use crate::harness::agent::response_to;
use crate::harness::call::{answer, establish, follow_up, refuse, ring};
use crate::harness::daemon::{Daemon, Process};
use crate::harness::dialog::Dialog;
use crate::harness::kernel::await_connected;
use crate::harness::message::unique;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, LISTEN4, LISTEN6, P2, Q6, U6};
use crate::harness::talk::{Scene, Talk};

/// Room for calls that wait for their timers, and short timers; no call lasts so long
/// as these, but those that shall.
const OPTIONS: [&str; 10] = [
    "--rtp-timeout",
    "3",
    "--ringing-timeout",
    "3",
    "--hold-timeout",
    "3",
    "--max-calls-per-source",
    "100000",
    "-p",
    "16384-32767",
];

const CALLS: usize = 10_000;

/// What becomes of a call of these two: by turns one of these.
const FATES: [fn(&Party, &Party, &str, &str); 10] = [
    hung_up_by_caller,
    hung_up_by_callee,
    bye_without_answer,
    bye_for_a_call_that_is_gone,
    cancelled,
    refused,
    silent,
    rung_out,
    forked,
    late_offer_and_a_refused_reoffer,
];

fn hung_up_by_caller(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let mut call = establish(caller, callee, uri, proxy);
    call.assert_talks(caller, callee, 1);
    call.end_by_caller(caller, callee);
}

fn hung_up_by_callee(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    establish(caller, callee, uri, proxy).end_by_callee(caller, callee);
}

fn bye_without_answer(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let mut call = establish(caller, callee, uri, proxy);
    let bye = call.callee.dialog.request(&callee.agent, "BYE").without_body();
    call.callee.dialog.send(&callee.agent, &bye);
    caller.agent.receive_request("BYE");
}

fn bye_for_a_call_that_is_gone(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let mut call = establish(caller, callee, uri, proxy);
    let bye = call.caller.dialog.request(&caller.agent, "BYE").without_body();
    call.caller.dialog.send(&caller.agent, &bye);
    let received = callee.agent.receive_request("BYE");
    callee.respond(&received, 481, "Call/Transaction Does Not Exist", "");
    caller.agent.receive_response(481, &bye);
}

fn cancelled(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let ringing = ring(caller, callee, uri, proxy);
    let cancel = follow_up("CANCEL", &ringing.invite);
    caller.agent.send(&cancel, proxy);
    let received = callee.agent.receive_request("CANCEL");
    callee.respond(&received, 200, "OK", &ringing.to_tag);
    caller.agent.receive_response(200, &cancel);
    refuse(caller, callee, &ringing, 487, "Request Terminated");
}

fn refused(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    refuse(caller, callee, &ring(caller, callee, uri, proxy), 486, "Busy Here");
}

fn silent(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    establish(caller, callee, uri, proxy);
}

fn rung_out(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    ring(caller, callee, uri, proxy);
}

/// Two callees have early media; the first one answers.
fn forked(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let ringing = ring(caller, callee, uri, proxy);
    for tag in [&ringing.to_tag, &unique("other")] {
        let progress = response_to(&ringing.received.message, 183, "Session Progress", tag)
            .with("Contact", &callee.contact)
            .with_sdp(callee.media.description());
        callee.agent.respond(&ringing.received, &progress);
        caller.agent.receive_response(183, &ringing.invite);
    }
    answer(caller, callee, &ringing).end_by_caller(caller, callee);
}

fn late_offer_and_a_refused_reoffer(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let invite = caller.request("INVITE", uri).without_body();
    caller.agent.send(&invite, proxy);
    let received = callee.agent.receive_request("INVITE");
    let sent = callee.accept(&received, &unique("late"));
    let offer = caller.agent.receive_response(200, &invite).message;
    let mut dialog = Dialog::of_caller(&invite, &offer);
    let mut ack = dialog.ack(&caller.agent, &invite);
    ack.fields.retain(|(name, _)| name != "Content-Length");
    dialog.send(&caller.agent, &ack.with_sdp(caller.media.description()));
    callee.agent.receive_request("ACK");
    let again = dialog.request(&caller.agent, "INVITE").with_sdp(caller.media.description());
    dialog.send(&caller.agent, &again);
    let received = callee.agent.receive_request("INVITE");
    callee.respond(&received, 488, "Not Acceptable Here", "");
    caller.agent.receive_response(488, &again);
    let mut callee_dialog = Dialog::of_callee(&received.message, &sent);
    callee_dialog.remote = received.message.value("From").to_owned();
    callee_dialog.local = received.message.value("To").to_owned();
    callee_dialog.routes = received.message.list("Record-Route");
    let bye = callee_dialog.request(&callee.agent, "BYE").without_body();
    callee_dialog.send(&callee.agent, &bye);
    let received = caller.agent.receive_request("BYE");
    caller.respond(&received, 200, "OK", "");
    callee.agent.receive_response(200, &bye);
}

/// Who calls whom at the same time as others. Where a machine is busy, it is waking up
/// that takes the time of a call.
const PAIRS: u16 = 4;

/// A phone and a generic party, with ports of their own.
struct Pair {
    bob: Party,
    alice: Party,
    fake: String,
}

impl Pair {
    /// The first is that of the picture.
    fn new(number: u16) -> Self {
        let (port, media) = (5060 + 10 * number, 1000 * number);
        let bob = Party::new("bob", &format!("[2001:db8:9::55]:{}", port + 2), 40000 + media);
        let alice = Party::new("alice", &format!("192.0.2.101:{port}"), 33000 + media);
        Self { bob, alice, fake: format!("[2001:db8::101]:{port}") }
    }

    /// What maps the phone.
    fn map(number: u16) -> String {
        let port = 5060 + 10 * number;
        format!("192.0.2.101:{port}=[2001:db8::101]:{port}")
    }

    /// So many calls, one after the other, by turns in each direction.
    fn make(&self, calls: usize) {
        let Self { bob, alice, fake } = self;
        let (to_alice, to_bob) = (format!("sip:alice@{fake}"), format!("sip:bob@{}", bob.agent.hostport()));
        for number in 0..calls {
            let fate = FATES[number / 2 % FATES.len()];
            if number % 2 == 0 {
                fate(bob, alice, &to_alice, fake);
            } else {
                fate(alice, bob, &to_bob, LISTEN4);
            }
        }
    }
}

/// Waits for the sockets that the daemon has for uplink and phones alone: it makes them when
/// it is ready.
fn await_peer_sockets(pairs: &[Pair]) {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (ours, peer) in [(LISTEN4, P2), (LISTEN6, Q6), (LISTEN6, U6), (F2, U6)] {
        await_connected(at(ours), at(peer));
    }
    for Pair { alice, fake, .. } in pairs {
        await_connected(at(LISTEN4), at(&alice.agent.hostport()));
        await_connected(at(fake), at(U6));
    }
}

/// Waits until no descriptor more is open than before the calls.
fn await_descriptors(process: Process, before: usize) {
    let deadline = Instant::now() + LONG_PATIENCE;
    while process.descriptors() > before {
        assert!(Instant::now() < deadline, "{} descriptors, {before} before the calls", process.descriptors());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    isolated(|| {
        let maps: Vec<String> = (1..PAIRS).flat_map(|number| ["-m".to_owned(), Pair::map(number)]).collect();
        let options: Vec<&str> = OPTIONS.into_iter().chain(maps.iter().map(String::as_str)).collect();
        let mut daemon = Daemon::start_quietly(&options);
        let process = daemon.process();
        let mut pairs: Vec<Pair> = (0..PAIRS).map(Pair::new).collect();
        await_peer_sockets(&pairs);
        let before = process.descriptors();
        let memory = [(); 4].map(|()| {
            thread::scope(|scope| {
                pairs.iter().for_each(|pair| _ = scope.spawn(|| pair.make(CALLS / 4 / usize::from(PAIRS))));
            });
            await_descriptors(process, before);
            process.memory()
        });
        eprintln!("descriptors {before}, memory in kB {memory:?}");
        // The memory of as many calls at a time as there ever were stays, and that depends
        // on what else this machine does. A leak is there in each quarter.
        let growth = memory.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap();
        assert!(growth <= 340, "{growth} kB and more in each quarter: {memory:?}");
        daemon.assert_alive();
        let Pair { bob, alice, .. } = pairs.swap_remove(0);
        let mut talk = Scene { daemon, parties: [bob, alice], uri: "sip:alice@[2001:db8::101]", proxy: F1 }.talk();
        talk.assert_talks();
        Talk::end(&mut talk, 0);
    });
}
