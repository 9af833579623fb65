//! Calls between peers that nobody here wrote: SIPp of Debian's sip-tester.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::harness::LONG_PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::daemon::Daemon;
use crate::harness::dialog::Dialog;
use crate::harness::folder::Folder;
use crate::harness::media::Described;
use crate::harness::namespace::isolated_with;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, P1, U6, X6};
use crate::harness::sipp::{Sipp, Statistics, address, folder, recording};

/// So few at a time that any socket holds what is under way: SIPp is to lose nothing,
/// and sends nothing again.
const LOAD: [&str; 6] = ["-r", "40", "-l", "10", "-m", "200"];

/// IPv4 to IPv6: a phone's calls for our listen address go to the uplink.
#[test]
fn two_hundred_calls_from_ipv4_to_ipv6() {
    isolated_with(&["sipp"], || {
        let folder = folder("4to6");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, U6, &[]);
        Sipp::call(&folder, LISTEN4, P1, &[&["-sn", "uac"], &LOAD[..]].concat());
        Statistics::read(&folder, "caller").assert_calls(200);
        callee.end(&folder).assert_calls(200);
        daemon.assert_alive();
    });
}

/// IPv6 to IPv4: a generic caller calls a phone at its fake.
#[test]
fn two_hundred_calls_from_ipv6_to_ipv4() {
    isolated_with(&["sipp"], || {
        let folder = folder("6to4");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, P1, &[]);
        Sipp::call(&folder, "[2001:db8::101]:5060", X6, &[&["-sn", "uac"], &LOAD[..]].concat());
        Statistics::read(&folder, "caller").assert_calls(200);
        callee.end(&folder).assert_calls(200);
        daemon.assert_alive();
    });
}

/// The same with callers that follow the recorded route, as real ones do: the
/// built-in scenario sends its ACK and BYE without Routes.
#[test]
fn calls_that_follow_the_recorded_route() {
    isolated_with(&["sipp"], || {
        let folder = folder("routes");
        let mut daemon = Daemon::start();
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sipp/uac-routes.xml");
        let scenario = ["-sf", scenario.to_str().unwrap()];
        let callee = Sipp::answer(&folder, P1, &[]);
        Sipp::call(
            &folder,
            "[2001:db8::101]:5060",
            X6,
            &[&scenario, &["-r", "40", "-l", "10", "-m", "40"][..]].concat(),
        );
        callee.end(&folder).assert_calls(40);
        daemon.assert_alive();
    });
}

/// Eight seconds of speech from a recording, and a key pressed; the callee echoes both.
#[test]
fn calls_with_recorded_speech_and_echo() {
    isolated_with(&["sipp"], || {
        let folder = folder("pcap");
        let mut daemon = Daemon::start();
        speak(&folder, P1, "[2001:db8::101]:5060", X6);
        daemon.assert_alive();
    });
}

/// The same with the caller on the IPv4 side.
#[test]
fn calls_with_recorded_speech_and_echo_from_ipv4() {
    isolated_with(&["sipp"], || {
        let folder = folder("pcap4");
        let mut daemon = Daemon::start();
        speak(&folder, U6, LISTEN4, P1);
        daemon.assert_alive();
    });
}

/// Calls `callee` from `local` by way of `remote` and plays the recordings, in one
/// call after the other as SIPp's echo has one socket for all. All that was in them
/// must come back, in order and unchanged.
fn speak(folder: &Folder, callee: &str, remote: &str, local: &str) {
    let (echo, caller) = (address(callee), address(local));
    let recorded = Arc::new([recording("g711a.pcap"), recording("dtmf_2833_1.pcap")].concat());
    // The port of the first call SIPp has itself; the others count up by four and are free.
    let ports = (1..CALLS).map(|call| UdpSocket::bind((caller.ip(), FIRST_MEDIA_PORT + 4 * call)).unwrap());
    let ears: Vec<_> = ports
        .map(|port| (port, Arc::clone(&recorded)))
        .map(|(port, recorded)| thread::spawn(move || listen(&port, &recorded)))
        .collect();
    let answering = Sipp::answer(folder, callee, &["-rtp_echo", "-mi", &echo.ip().to_string()]);
    let media = ["-mi", &caller.ip().to_string(), "-mp", &FIRST_MEDIA_PORT.to_string()];
    let calls = CALLS.to_string();
    Sipp::call(folder, remote, local, &[&["-sn", "uac_pcap", "-l", "1", "-m", &calls], &media[..]].concat());
    Statistics::read(folder, "caller").assert_calls(CALLS.into());
    answering.end(folder).assert_calls(CALLS.into());
    ears.into_iter().for_each(|ear| ear.join().expect("the echo is what was said"));
}

const FIRST_MEDIA_PORT: u16 = 6000;
const CALLS: u16 = 2;

/// Hears the whole recording.
fn listen(socket: &UdpSocket, recorded: &[Vec<u8>]) {
    socket.set_read_timeout(Some(LONG_PATIENCE)).unwrap();
    let mut buffer = [0; 2048];
    for (number, packet) in recorded.iter().enumerate() {
        let here = socket.local_addr().unwrap();
        let length = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("{here} never hears packet {number}"));
        assert!(buffer[..length] == packet[..], "{here} hears something else as packet {number}");
    }
}

/// SIPp's echo, counted: each of fifty packets comes back as it was sent.
#[test]
fn every_packet_comes_back_from_an_echo() {
    isolated_with(&["sipp"], || {
        let folder = folder("echo");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, P1, &["-rtp_echo", "-mi", "192.0.2.101"]);
        let bob = Party::new("bob", X6, 40000);
        let invite = bob.invite("sip:service@[2001:db8::101]:5060");
        bob.agent.send(&invite, "[2001:db8::101]:5060");
        bob.agent.receive_response(180, &invite);
        let accepted = bob.agent.receive_response(200, &invite).message;
        let mut dialog = Dialog::of_caller(&invite, &accepted);
        dialog.send(&bob.agent, &dialog.ack(&bob.agent, &invite));
        let relay = Described::of(&accepted);
        for number in 0..50 {
            bob.media.send_rtp("echo", number, relay);
            bob.media.expect_rtp(&bob.media, "echo", number, relay);
        }
        end(&bob.agent, &mut dialog);
        callee.end(&folder).assert_calls(1);
        daemon.assert_alive();
    });
}

fn end(agent: &Agent, dialog: &mut Dialog) {
    let bye = dialog.request(agent, "BYE").without_body();
    dialog.send(agent, &bye);
    agent.receive_response(200, &bye);
}

/// Without a proxy between them: what a failure above is measured against.
#[test]
fn sipp_calls_itself() {
    isolated_with(&["sipp"], || speak(&folder("alone"), U6, U6, X6));
}
