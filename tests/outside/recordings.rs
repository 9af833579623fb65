//! `--record`: what happened live happens again in test mode.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::harness::PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::call::{establish, ring};
use crate::harness::daemon::{Daemon, PROGRAM};
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, LISTEN6, NAT4, OPTIONS, P1, P2, STRANGER4, U6, X6};

/// The files of a recording.
const FILES: [&str; 5] = ["options", "input", "expected", "sent", "why"];

/// A daemon that records calls.
struct Recorder {
    daemon: Daemon,
    directory: String,
    _folder: Folder,
}

impl Recorder {
    /// One with these options behind those of the picture.
    fn start(more: &[&str]) -> Self {
        Self::start_by(Daemon::start_with, more)
    }

    fn start_by(start: fn(&[&str]) -> Daemon, more: &[&str]) -> Self {
        let folder = Folder::new("record");
        let directory = folder.file("calls");
        let daemon = start(&[&["--record", &directory], more].concat());
        Self { daemon, directory, _folder: folder }
    }

    /// Ends it, and gives what it recorded, in order.
    fn end(&mut self) -> Vec<PathBuf> {
        end(&mut self.daemon);
        recordings(&self.directory)
    }
}

/// The recordings in a folder, in order.
fn recordings(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn read(recording: &Path, file: &str) -> String {
    String::from_utf8(fs::read(recording.join(file)).unwrap()).unwrap()
}

/// What test mode prints for a recording, its version left out as in `t/`.
fn replayed(recording: &Path) -> String {
    let options = read(recording, "options");
    let output =
        Command::new(PROGRAM).args(options.split_whitespace()).arg("--test").arg(recording.join("input")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().replace(env!("CARGO_PKG_VERSION"), "<version>")
}

/// A text in which media ports are not told apart: the daemon takes any, test
/// mode the first ones.
fn without_ports(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("m=audio ").and_then(|rest| rest.split_once(' ')) {
        Some((_, rest)) => format!("m=audio PORT {rest}"),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Asserts that test mode does what the daemon did, and gives the recording.
fn assert_replays(recording: &Path) -> String {
    let (expected, sent) = (read(recording, "expected"), read(recording, "sent"));
    assert_eq!(replayed(recording), expected, "{}", recording.display());
    assert_eq!(without_ports(&expected), without_ports(&sent), "{}", recording.display());
    for file in FILES {
        let mode = fs::metadata(recording.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    read(recording, "input")
}

fn end(daemon: &mut Daemon) {
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

/// A phone behind NAT that has registered at the uplink, and the URI by which that
/// calls it.
fn roaming_phone(user: &'static str, port: u16, uplink: &Party) -> (Party, String) {
    let mut phone = Party::new(user, NAT4, port);
    phone.contact = format!("<sip:{user}@10.0.0.5:5060>");
    let register = phone.request("REGISTER", "sip:provider.example").without_body();
    phone.agent.send(&register, LISTEN4);
    let received = uplink.agent.receive_request("REGISTER");
    let contact = received.message.value("Contact").to_owned();
    assert!(contact.contains(";s64=10.0.0.5~5060_203.0.113.9~40123_"), "{contact}");
    uplink.respond(&received, 200, "OK", "r");
    phone.agent.receive_response(200, &register);
    (phone, contact.trim_matches(['<', '>']).to_owned())
}

#[test]
fn recorded_calls_happen_again_in_test_mode() {
    isolated(|| {
        let mut recorder = Recorder::start(&[]);
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 50000));
        let mut call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        call.assert_talks(&bob, &alice, 2);
        call.end_by_callee(&bob, &alice);
        // Two phones of one side: each message passes twice.
        let two = Party::new("two", P2, 52000);
        let mut call = establish(&alice, &two, "sip:two@192.0.2.102", LISTEN4);
        call.end_by_caller(&alice, &two);
        let recordings = recorder.end();
        assert_eq!(fs::metadata(&recorder.directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(recordings.len(), 2, "{recordings:?}");
        let input = assert_replays(&recordings[0]);
        assert_eq!(input.matches(">> udp ").count(), 7, "each message that came, once:\n{input}");
        let input = assert_replays(&recordings[1]);
        assert_eq!(input.matches(">> udp ").count(), 7, "each message that came, once:\n{input}");
        assert!(read(&recordings[1], "why").contains(": INVITE sip:two@192.0.2.102 SIP/2.0"));
    });
}

/// What the process before found out about an uplink is in the recordings of the next.
#[test]
fn recordings_after_a_takeover_know_the_uplink() {
    isolated(|| {
        let folder = Folder::new("record-takeover");
        let (control, directory) = (folder.file("control"), folder.file("calls"));
        let options = ["-l", "192.0.2.1", "-L", "2001:db8::1", "-u", "localhost:5080", "--control", &control];
        let mut daemon = Daemon::start_as(&options);
        daemon.await_line("uplink found");
        daemon.hand_over(&[&options[..], &["-v", "--takeover", &control, "--record", &directory]].concat());
        let (caller, uplink) = (Party::new("bob", X6, 40000), Agent::bind("uplink", "127.0.0.1:5080"));
        caller.agent.send(&caller.request("OPTIONS", "sip:somebody@provider.example").without_body(), LISTEN6);
        uplink.receive_request("OPTIONS");
        end(&mut daemon);
        let recordings = recordings(&directory);
        assert_replays(&recordings[0]);
    });
}

#[test]
fn what_was_signed_in_one_call_is_good_in_the_recording_of_another() {
    isolated(|| {
        let mut recorder = Recorder::start(&[]);
        let uplink = Party::new("uplink", U6, 40000);
        let (dave, uri) = roaming_phone("dave", 50000, &uplink);
        // The call has another Call-ID, and what proves that it may come is in its
        // Request-URI alone.
        let ringing = ring(&uplink, &dave, &uri, LISTEN6);
        assert_eq!(ringing.received.message.request_uri(), "sip:dave@10.0.0.5:5060");
        let recordings = recorder.end();
        assert_eq!(recordings.len(), 2, "{recordings:?}");
        recordings.iter().for_each(|recording| drop(assert_replays(recording)));
    });
}

#[test]
fn a_recording_holds_no_secrets() {
    isolated(|| {
        let mut recorder = Recorder::start(&[]);
        let alice = Party::new("alice", P1, 50000);
        let uplink = Party::new("uplink", U6, 40000);
        let sdp = format!("{}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\r\n", alice.media.description());
        let digest = "Digest username=\"alice\", realm=\"example\", uri=\"sip:provider.example\", response=\"SECRET\"";
        let invite = alice.request("INVITE", "sip:bob@provider.example").with("Authorization", digest).with_sdp(sdp);
        alice.agent.send(&invite, LISTEN4);
        let received = uplink.agent.receive_request("INVITE");
        assert_eq!(received.message.to_string().matches("SECRET").count(), 2);
        let recordings = recorder.end();
        assert_replays(&recordings[0]);
        for file in FILES {
            assert!(!read(&recordings[0], file).contains("SECRET"), "{file}");
        }
    });
}

#[test]
fn an_anonymous_recording_names_nobody_and_happens_again() {
    isolated(|| {
        let mut recorder = Recorder::start(&["--anonymise"]);
        let (bob, alice) = (Party::new("bobsmith", X6, 40000), Party::new("alice1017", P1, 50000));
        let mut call = establish(&bob, &alice, "sip:alice1017@[2001:db8::101]", F1);
        call.end_by_callee(&bob, &alice);
        // And one in which what proves that it may come was signed elsewhere.
        let uplink = Party::new("uplink", U6, 41000);
        let (dave, uri) = roaming_phone("davejones", 51000, &uplink);
        ring(&uplink, &dave, &uri, LISTEN6);
        let recordings = recorder.end();
        assert_eq!(recordings.len(), 3, "{recordings:?}");
        for recording in &recordings {
            assert_replays(recording);
            for file in FILES {
                let text = read(recording, file).to_lowercase();
                for word in [
                    "bobsmith",
                    "alice1017",
                    "davejones",
                    "provider",
                    "2001:db8:9::55",
                    "203.0.113.9",
                    "2001-db8-9--55",
                ] {
                    assert!(!text.contains(word), "{word} is in {file}:\n{text}");
                }
            }
        }
        let call = read(&recordings[2], "input");
        assert!(call.contains(";s64=10.0.0.1~5060_"), "the phone is at another private address:\n{call}");
        assert!(read(&recordings[2], "expected").contains("180 Ringing"), "the call goes on");
    });
}

#[test]
fn a_flood_of_strangers_does_not_fill_the_disk() {
    isolated(|| {
        let mut recorder = Recorder::start_by(Daemon::start_quietly, &[]);
        let stranger = Agent::bind("stranger", STRANGER4);
        for number in 0..2000 {
            let text = format!("NONSENSE sip:192.0.2.1 SIP/2.0\r\nCall-ID: {number}\r\n\r\n");
            stranger.send_bytes(text.as_bytes(), LISTEN4.parse().unwrap());
        }
        recorder.daemon.await_line("--record: not recorded");
        let count = recorder.end().len();
        assert!((1..=200).contains(&count), "{count} recordings");
    });
}

#[test]
fn a_flood_of_strangers_leaves_phones_their_recordings() {
    isolated(|| {
        let mut recorder = Recorder::start_by(Daemon::start_quietly, &[]);
        let (stranger, alice) = (Agent::bind("stranger", STRANGER4), Party::new("alice", P1, 50000));
        for round in 0..10 {
            for number in 0..40 {
                let text = format!("NONSENSE sip:192.0.2.1 SIP/2.0\r\nCall-ID: {round}-{number}\r\n\r\n");
                stranger.send_bytes(text.as_bytes(), LISTEN4.parse().unwrap());
            }
            let options = alice.request("OPTIONS", "sip:192.0.2.1");
            alice.agent.send(&options, LISTEN4);
            alice.agent.receive_response(200, &options);
        }
        let recordings = recorder.end();
        let of_alice = recordings.iter().filter(|recording| read(recording, "why").contains(": OPTIONS ")).count();
        assert_eq!(of_alice, 10, "of {} recordings", recordings.len());
    });
}

/// A folder in the mount namespace of a daemon that is started by this: with two
/// hundred recordings, and room for two more files.
const FULL: &str = r#"
mount -t tmpfs -o nr_inodes=500 tmpfs "$0" && cd "$0" || exit 77
for number in $(seq -w 000001 000200); do mkdir "call-$number" && echo old > "call-$number/why"; done
filler=0
while true > "filler-$filler"; do filler=$((filler + 1)); done 2> /dev/null
rm filler-0 filler-1
cd / && exec "$@"
"#;

/// What is recorded already is worth more than what finds no room.
#[test]
fn a_full_disk_costs_no_recording() {
    isolated(|| {
        let folder = Folder::new("record-full");
        let directory = folder.file("");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", FULL, &directory, PROGRAM]);
        let options = [&["-v"], &OPTIONS[..], &["--record", &directory]].concat();
        let mut daemon = Daemon::spawn_by(command, &options);
        daemon.await_line("ready");
        let alice = Party::new("alice", P1, 50000);
        let message = || {
            let options = alice.request("OPTIONS", "sip:192.0.2.1");
            alice.agent.send(&options, LISTEN4);
            alice.agent.receive_response(200, &options);
        };
        (0..8).for_each(|_| message());
        daemon.await_line("--record: cannot write");
        let seen = format!("/proc/{}/root{directory}", daemon.process().id());
        let found = || recordings(&seen).into_iter().filter(|path| path.join("why").is_file()).collect::<Vec<_>>();
        assert_eq!(found().len(), 200);
        assert!(found()[0].ends_with("call-000001") && found()[199].ends_with("call-000200"));
        // One of the messages may be tried at this very moment.
        let deadline = Instant::now() + PATIENCE;
        while recordings(&seen).into_iter().filter(|path| path.is_dir()).count() > 200 {
            assert!(Instant::now() < deadline, "something half-made is left");
        }
        // There is room again.
        for path in recordings(&seen).into_iter().filter(|path| path.is_file()) {
            fs::remove_file(path).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while !found().iter().any(|path| path.join("expected").is_file()) {
            assert!(Instant::now() < deadline, "nothing is recorded any more");
            message();
        }
        assert!(found().len() <= 200);
        end(&mut daemon);
    });
}
