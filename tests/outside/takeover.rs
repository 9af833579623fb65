//! Takeover: another process goes on with every call; not one packet is lost,
//! whether that comes about or not.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use crate::harness::agent::Agent;
use crate::harness::call::{answer, establish, ring};
use crate::harness::daemon::{Daemon, PROGRAM, fail_to_start};
use crate::harness::flow::Flow;
use crate::harness::folder::Folder;
use crate::harness::media::{Bridge, Media};
use crate::harness::namespace::{isolated, isolated_with};
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, LISTEN4, OPTIONS, P1, P2, X6};
use crate::harness::talk::{CALLEE, CALLER, Scene, Talk};

const GOES_ON: &str = "this process goes on";

/// Starts a daemon in the place of this one, and waits for the end of it.
fn take_over(old: &mut Daemon, control: &str, more: &[&str]) {
    old.hand_over(&[&["-v"], &OPTIONS[..], &["--control", control, "--takeover", control], more].concat());
}

fn talk(control: &str) -> Talk {
    Scene::six_to_four(&["--control", control]).talk()
}

#[test]
fn a_hundred_calls_outlive_twenty_daemons() {
    isolated(|| {
        let folder = Folder::new("takeover-many");
        let control = folder.file("control");
        let mut daemon = Daemon::start_quietly(&["--control", &control]);
        let (mut alice, mut bob) = (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000));
        let mut calls = Vec::new();
        for number in 0..100 {
            alice.media = Media::bind(alice.agent.address.ip(), 30002 + 2 * number);
            bob.media = Media::bind(bob.agent.address.ip(), 40002 + 2 * number);
            let call = establish(&alice, &bob, "sip:bob@[2001:db8:9::55]:5062", LISTEN4);
            let spare =
                [alice.media.moved_to(alice.media.described, 50000), bob.media.moved_to(bob.media.described, 50000)];
            let [one, other] = spare;
            calls.push((call, std::mem::replace(&mut alice.media, one), std::mem::replace(&mut bob.media, other)));
        }
        let bridges: Vec<Bridge<'_>> = calls
            .iter()
            .map(|(call, one, other)| Bridge { one: (one, call.caller.told), other: (other, call.callee.told) })
            .collect();
        let flow = Flow::start(&bridges);
        for _ in 0..20 {
            daemon.hand_over(&[&OPTIONS[..], &["--control", &control, "--takeover", &control]].concat());
        }
        let packets = flow.assert_lost_none();
        let line = daemon.await_line("took over all calls");
        assert!(line.contains("calls=100"), "{line}");
        // Each call ends in the last of 21 processes, and its line counts all packets.
        for (mut call, one, other) in calls {
            (alice.media, bob.media) = (one, other);
            call.end_by_callee(&alice, &bob);
        }
        daemon.await_lines(&format!("from_caller={packets} packets, "), 100);
        daemon.await_lines(&format!("from_callee={packets} packets, "), 100);
    });
}

/// A process on one core has one socket at each address; where the next one has more
/// threads, whoever serves a new address can send from all the others.
#[test]
fn new_addresses_are_served_where_the_next_process_has_more_cores() {
    isolated_with(&["taskset"], || {
        let folder = Folder::new("takeover-cores");
        let control = folder.file("control");
        let options =
            ["-l", "192.0.2.1", "-L", "2001:db8::1", "-m", "192.0.2.101=2001:db8::101", "--control", &control];
        let mut command = Command::new("taskset");
        command.args(["-c", "0", PROGRAM]);
        let mut old = Daemon::spawn_by(command, &options);
        old.await_line("ready");
        let more = ["--takeover", &control, "-m", "192.0.2.102=2001:db8::102"];
        let _daemon = Daemon::start_as(&[&options[..], &more].concat());
        assert!(old.wait().success());
        let carol = Agent::bind("carol", P2);
        for port in 41000..41032 {
            let bob = Party::new("bob", &format!("[2001:db8:9::55]:{port}"), 42000);
            bob.agent.send(&bob.request("OPTIONS", "sip:carol@[2001:db8::102]").without_body(), F2);
            carol.receive_request("OPTIONS");
        }
    });
}

#[test]
fn a_call_changes_and_ends_in_the_next_process() {
    isolated(|| {
        let folder = Folder::new("takeover-changes");
        let control = folder.file("control");
        let mut talk = talk(&control);
        talk.assert_talks();
        // An offer of before is answered afterwards.
        let offer = talk.description(CALLER);
        let invite = talk.request(CALLER, "INVITE", Some(&offer));
        take_over(&mut talk.daemon, &control, &[]);
        talk.assert_talks();
        let answered = talk.respond(CALLER, &invite, 200, &talk.description(CALLEE));
        talk.ack(CALLER, &invite.0, None);
        talk.assert_same_ports(CALLER, &[invite.1.message.clone(), answered]);
        take_over(&mut talk.daemon, &control, &[]);
        let (offer, answer) = (talk.description(CALLEE), talk.description(CALLER));
        let exchange = talk.reinvite(CALLEE, &offer, &answer);
        talk.assert_same_ports(CALLEE, &exchange);
        talk.assert_talks();
        talk.end(CALLEE);
        // RTP and RTCP of all three.
        let line = talk.daemon.await_line("call ended");
        assert!(line.contains("from_caller=30 packets") && line.contains("from_callee=30 packets"), "{line}");
        assert!(line.contains("the callee hung up"), "{line}");
    });
}

#[test]
fn a_call_that_rings_is_answered_in_the_next_process() {
    isolated(|| {
        let folder = Folder::new("takeover-ringing");
        let control = folder.file("control");
        let metrics = ["--metrics", "127.0.0.1:9164"];
        let mut daemon = Daemon::start_with(&[&["--control", &control], &metrics[..]].concat());
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        bob.agent.send_bytes(b"rubbish", F1.parse().unwrap());
        let ringing = ring(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        take_over(&mut daemon, &control, &metrics);
        let mut client = TcpStream::connect(metrics[1]).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9164\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        client.read_to_string(&mut page).unwrap();
        assert!(page.contains("sipproxy64_calls{state=\"ringing\"} 1"), "{page}");
        // Counted by the process before.
        assert!(page.contains("sipproxy64_sip_messages_total{fate=\"forwarded\"} 3"), "{page}");
        let trouble = "sipproxy64_troubles_total{kind=\"dropped\",reason=\"not SIP: Bad Start-Line\"} 1";
        assert!(page.contains(trouble), "{page}");
        let mut call = answer(&bob, &alice, &ringing);
        call.assert_talks(&bob, &alice, 5);
        call.end_by_caller(&bob, &alice);
        daemon.await_line("the caller hung up");
    });
}

#[test]
fn new_options_hold_for_old_calls() {
    isolated(|| {
        let folder = Folder::new("takeover-options");
        let control = folder.file("control");
        let mut talk = talk(&control);
        talk.assert_talks();
        // The IPv4 address of the stranger becomes a phone's stand-in as well.
        let more = ["--rtp-timeout", "4", "-m", "[2001:db8:77::77]=192.0.2.102:5077"];
        take_over(&mut talk.daemon, &control, &more);
        talk.assert_talks();
        talk.daemon.await_line("call ended: silence");
        let alice = Party::new("carol", "[2001:db8:77::77]:5060", 41000);
        let options = talk.parties[CALLEE].request("OPTIONS", "sip:carol@192.0.2.102:5077");
        talk.parties[CALLEE].agent.send(&options, "192.0.2.102:5077");
        alice.agent.receive_request("OPTIONS");
    });
}

#[test]
fn without_a_daemon_there_it_starts_anew() {
    isolated(|| {
        let folder = Folder::new("takeover-nobody");
        let control = folder.file("control");
        let pid_file = folder.file("pid");
        let more = ["--pid-file", &pid_file];
        let mut daemon = Daemon::start_with(&[&["--control", &control, "--takeover", &control], &more[..]].concat());
        daemon.await_line("no daemon is there");
        // Nor is there a moment without control socket and pid file.
        for _ in 0..3 {
            take_over(&mut daemon, &control, &more);
            assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", daemon.process().id()));
        }
        daemon.signal("TERM");
        daemon.wait();
        assert!(!Path::new(&control).exists() && !Path::new(&pid_file).exists());
    });
}

/// What is wrong with the new one costs nothing.
#[test]
fn a_new_daemon_that_cannot_start_leaves_all_as_it_is() {
    isolated(|| {
        let folder = Folder::new("takeover-wrong");
        let control = folder.file("control");
        let mut talk = talk(&control);
        let flow = Flow::start(&[talk.bridge()]);
        let both = ["--control", &control, "--takeover", &control];
        let with = |options: &[&str]| fail_to_start(&[&both[..], options].concat());
        let failure = with(&["-l", "192.0.2.207", "-L", "2001:db8::1"]);
        assert_eq!(failure.status, Some(1), "{}", failure.said);
        assert!(failure.said.contains("--listen4") && failure.said.contains("192.0.2.1:5060"), "{}", failure.said);
        talk.daemon.await_lines(GOES_ON, 1);
        // An address that this machine has not.
        let failure = with(&["-l", "192.0.2.1", "-L", "2001:db8::1", "-m", "192.0.2.101=2001:db8::99"]);
        assert_eq!(failure.status, Some(1), "{}", failure.said);
        assert!(failure.said.contains("2001:db8::99"), "{}", failure.said);
        let line = "refuses: cannot bind";
        talk.daemon.await_lines(line, 1);
        flow.assert_lost_none();
        take_over(&mut talk.daemon, &control, &[]);
        talk.assert_talks();
        talk.end(CALLER);
    });
}

/// The new process as far as the old one sees it.
struct Newcomer {
    stream: BufReader<UnixStream>,
}

impl Newcomer {
    /// Asks, and takes the offer.
    fn ask(control: &str) -> Self {
        let mut stream = BufReader::new(UnixStream::connect(control).unwrap());
        stream.get_mut().write_all(b"takeover\n").unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("takeover "), "{line}");
        let mut newcomer = Self { stream };
        newcomer.message().unwrap();
        newcomer
    }

    /// Takes in the message that comes next.
    fn message(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut message)
    }

    /// One of the steps by its number: ready, attached, running. Who is too late is not
    /// heard any more.
    fn say(&mut self, step: &[u8]) {
        let length = u32::try_from(step.len()).unwrap().to_be_bytes();
        let _ = self.stream.get_mut().write_all(&[&length, step].concat());
    }
}

const READY: &[u8] = &[0];
const ATTACHED: &[u8] = &[1];

/// As by kill -9, at any step: what a process had is closed when it is gone.
#[test]
fn a_new_daemon_that_dies_half_way_leaves_all_as_it_is() {
    isolated(|| {
        let folder = Folder::new("takeover-dies");
        let control = folder.file("control");
        let mut talk = talk(&control);
        let flow = Flow::start(&[talk.bridge()]);
        let deaths: [fn(&str); 6] = [
            |control| drop(Newcomer::ask(control)),
            |control| Newcomer::ask(control).say(READY),
            |control| {
                let mut newcomer = Newcomer::ask(control);
                newcomer.say(READY);
                let _ = newcomer.message();
            },
            |control| {
                let mut newcomer = Newcomer::ask(control);
                newcomer.say(READY);
                let _ = newcomer.message();
                // The descriptors are behind the state; whether they are taken makes no difference.
                newcomer.say(ATTACHED);
            },
            |control| {
                let mut newcomer = Newcomer::ask(control);
                newcomer.say(READY);
                let _ = newcomer.message();
                // The octet that the descriptors come with.
                let _ = newcomer.stream.read_exact(&mut [0]);
                newcomer.say(b"\x03\x04full");
            },
            |control| Newcomer::ask(control).say(b"\xff\xff\xff\xff"),
        ];
        let mut times = 0;
        for death in deaths {
            loop {
                death(&control);
                times += 1;
                // Else this test was held up, and is too late.
                if !talk.daemon.await_lines(GOES_ON, times).contains("does not answer") {
                    break;
                }
            }
        }
        talk.daemon.await_line("refuses: full");
        flow.assert_lost_none();
        let exchange = talk.reinvite(CALLER, &talk.description(CALLER), &talk.description(CALLEE));
        talk.assert_same_ports(CALLER, &exchange);
        take_over(&mut talk.daemon, &control, &[]);
        talk.assert_talks();
        talk.end(CALLER);
    });
}

#[test]
fn a_new_daemon_that_is_stuck_holds_up_nothing() {
    isolated(|| {
        let folder = Folder::new("takeover-stuck");
        let control = folder.file("control");
        let mut talk = talk(&control);
        let flow = Flow::start(&[talk.bridge()]);
        let mut before = Newcomer::ask(&control);
        // Only one at a time; calls go on.
        let mut second = UnixStream::connect(&control).unwrap();
        second.write_all(b"takeover\n").unwrap();
        let mut said = String::new();
        second.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("error: another process"), "{said}");
        talk.assert_message_passes();
        before.say(READY);
        let _ = before.message();
        talk.daemon.await_lines(GOES_ON, 1);
        talk.assert_message_passes();
        flow.assert_lost_none();
        // It wakes up, and is too late.
        assert!(before.stream.get_mut().write_all(&[0, 0, 0, 1, 1]).is_err(), "nobody listens any more");
        talk.assert_talks();
        talk.end(CALLEE);
    });
}

impl Talk {
    /// A request within the dialog and its answer.
    fn assert_message_passes(&mut self) {
        let request = self.request(CALLER, "INFO", None);
        self.respond(CALLER, &request, 200, "");
    }
}
