//! SIGHUP: one daemon relays its calls to their end while another one serves SIP.

use crate::harness::call::{Ringing, answer, ring};
use crate::harness::daemon::Daemon;
use crate::harness::flow::Flow;
use crate::harness::folder::Folder;
use crate::harness::media::{Bridge, Described};
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, P1, X6};
use crate::harness::talk::{CALLEE, CALLER, Scene, Talk};

/// Lets a daemon leave, and starts another one; gives the first.
fn restart(daemon: &mut Daemon, options: &[&str]) -> Daemon {
    daemon.signal("HUP");
    daemon.await_line("SIP sockets closed");
    std::mem::replace(daemon, Daemon::start_with(options))
}

fn party(user: &'static str, address: &str, port: u16) -> Party {
    Party::new(user, address, port)
}

#[test]
fn a_call_that_stands_loses_no_packet() {
    isolated(|| {
        let folder = Folder::new("restart-stands");
        let (secret, control) = (folder.file("secret"), folder.file("control"));
        let options = ["--secret", &secret, "--control", &control, "--metrics", "127.0.0.1:9064", "--rtp-timeout", "5"];
        let mut talk = Scene::six_to_four(&options).talk();
        let flow = Flow::start(&[talk.bridge()]);
        let mut old = restart(&mut talk.daemon, &options);
        // Beside the call that goes on, another one begins and ends.
        let (carol, dave) = (party("carol", "[2001:db8:77::77]:5060", 42000), party("dave", "192.0.2.102:5060", 32000));
        let ringing = ring(&carol, &dave, "sip:dave@[2001:db8::102]", "[2001:db8::102]:5060");
        let mut call = answer(&carol, &dave, &ringing);
        call.assert_talks(&carol, &dave, 5);
        call.end_by_caller(&carol, &dave);
        flow.assert_lost_none();
        // The new daemon lets the BYE pass; the old one ends the call by its silence, and itself.
        talk.end(CALLER);
        old.await_line("call ended: silence for ");
        assert!(old.wait().success());
    });
}

#[test]
fn a_change_of_the_call_moves_its_media_to_the_new_daemon() {
    isolated(|| {
        let folder = Folder::new("restart-changes");
        let secret = folder.file("secret");
        let mut talk = Scene::six_to_four(&["--secret", &secret, "--rtp-timeout", "5"]).talk();
        talk.assert_talks();
        // Patient: it hears nothing while the old one ends by silence.
        let mut old = restart(&mut talk.daemon, &["--secret", &secret]);
        let exchange = talk.reinvite(CALLEE, &talk.description(CALLEE), &talk.description(CALLER));
        move_to(&mut talk, &exchange);
        talk.assert_talks();
        assert!(old.wait().success());
        talk.assert_talks();
        talk.end(CALLEE);
        // For the new daemon the call began with that change: who made it is the caller.
        talk.daemon.await_line("call ended: the caller hung up");
    });
}

/// Both parties were told other places, by an exchange that the callee began.
fn move_to(talk: &mut Talk, [offer, answer]: &[crate::harness::message::Message; 2]) {
    let (told_caller, told_callee) = (Described::of(offer), Described::of(answer));
    assert_ne!(told_caller, talk.ends[CALLER].told);
    (talk.ends[CALLER].told, talk.ends[CALLEE].told) = (told_caller, told_callee);
}

/// The offer went through the old daemon, the answer goes through the new one.
#[test]
fn a_call_that_rings_is_answered_through_the_new_daemon() {
    let place = |caller: &Party, callee: &Party, uri: &str, proxy: &str, options: &[&str]| {
        let mut daemon = Daemon::start_with(options);
        let ringing = ring(caller, callee, uri, proxy);
        let old = restart(&mut daemon, options);
        talks_in_a_circle(caller, callee, &ringing, daemon, old);
    };
    isolated(|| {
        let folder = Folder::new("restart-rings");
        let secret = folder.file("secret");
        // Two streams: where both daemons have ports, neither gets those of the other.
        let options = ["--secret", &secret, "-p", "16384-16391", "--rtp-timeout", "5", "--ringing-timeout", "5"];
        {
            let (bob, alice) = (party("bob", X6, 40000), party("alice", P1, 30000));
            place(&bob, &alice, "sip:alice@[2001:db8::101]", F1, &options);
        }
        let (bob, alice) = (party("bob", X6, 40000), party("alice", P1, 30000));
        place(&alice, &bob, "sip:bob@[2001:db8:9::55]:5062", LISTEN4, &options);
    });
}

fn talks_in_a_circle(caller: &Party, callee: &Party, ringing: &Ringing, mut new: Daemon, mut old: Daemon) {
    let mut call = answer(caller, callee, ringing);
    let (caller_told, callee_told) = (call.caller.told, call.callee.told);
    // What each sends arrives, from the daemon that does not hear the other.
    for number in 0..20 {
        caller.media.send_rtp("there", number, caller_told);
        callee.media.send_rtp("back", number, callee_told);
        let (_, from_new) = callee.media.receive_rtp_within(crate::harness::PATIENCE).unwrap();
        let (_, from_old) = caller.media.receive_rtp_within(crate::harness::PATIENCE).unwrap();
        assert_eq!(from_new.ip(), callee_told.rtp.ip());
        assert_ne!(from_new, callee_told.rtp);
        assert_eq!(from_old.ip(), caller_told.rtp.ip());
        assert_ne!(from_old, caller_told.rtp);
    }
    // From its first change on all of it is the new one's.
    let offer = caller.media.description();
    let invite = call.caller.dialog.request(&caller.agent, "INVITE").with_sdp(offer);
    call.caller.dialog.send(&caller.agent, &invite);
    let received = callee.agent.receive_request("INVITE");
    let told = Described::of(&received.message);
    callee.accept(&received, "");
    let accepted = caller.agent.receive_response(200, &invite).message;
    let ack = call.caller.dialog.ack(&caller.agent, &invite);
    call.caller.dialog.send(&caller.agent, &ack);
    callee.agent.receive_request("ACK");
    assert_eq!(Described::of(&accepted), caller_told, "ports stay with their stream");
    Bridge { one: (&caller.media, caller_told), other: (&callee.media, told) }.assert_carries(5);
    call.end_by_caller(caller, callee);
    new.await_line("call ended: the caller hung up");
    assert!(old.wait().success());
}
