//! What `sipproxy64 status` says of a daemon at work.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::call::{establish, ring};
use crate::harness::daemon::{Daemon, PROGRAM, fail_to_start};
use crate::harness::folder::Folder;
use crate::harness::namespace::{isolated, isolated_with};
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, OPTIONS, P1, STRANGER4, X6};
use crate::harness::terminal::Terminal;

/// A control socket of this test's own.
struct Socket(PathBuf);

impl Socket {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("sipproxy64-status-{}-{number}", process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn daemon(&self) -> Daemon {
        Daemon::start_with(&["--control", self.path()])
    }

    fn ask(&self, more: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(["status", "--control", self.path()])
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn status(&self) -> String {
        let output = self.ask(&[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self) -> Value {
        let output = self.ask(&["--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The JSON of a moment at which `holds`: snapshots are shared for a while.
    fn json_when(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let json = self.json();
            if holds(&json) {
                return json;
            }
            assert!(Instant::now() < deadline, "it never came to this: {json:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_call_is_shown_with_both_parties_and_what_each_hears() {
    isolated(|| {
        let socket = Socket::new();
        let _daemon = socket.daemon();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let mut call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        call.assert_talks(&bob, &alice, 20);
        // Now only the caller sends; the callee is not heard any more.
        let silence = |json: &Value| json["calls"][0]["callee"]["silent"].as_f64().is_some_and(|silent| silent > 3.2);
        let json = socket.json_when(silence);
        let shown = &json["calls"][0];
        assert_eq!(shown["state"], "answered");
        assert_eq!(shown["call_id"], call.caller.dialog.call_id);
        assert_eq!((&shown["caller"]["family"], &shown["caller"]["address"]), (&"IPv6".into(), &X6.into()));
        assert_eq!((&shown["caller"]["kind"], &shown["callee"]["kind"]), (&"generic".into(), &"phone".into()));
        assert_eq!((&shown["callee"]["family"], &shown["callee"]["address"]), (&"IPv4".into(), &P1.into()));
        // 20 of RTP and 20 of RTCP.
        assert_eq!((&shown["caller"]["packets"], &shown["callee"]["sent"]), (&40.into(), &40.into()));
        assert_eq!(json["media"][0]["packets"], 40);
        let text = socket.status();
        for words in [
            "1 call now",
            "talking for",
            &format!("caller {X6} (IPv6, stranger)"),
            "hears nothing from the callee for ",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        call.end_by_callee(&bob, &alice);
        let json = socket.json_when(|json| json["calls"].as_array().unwrap().is_empty());
        assert_eq!((&json["ended"]["hung_up"], &json["media"][0]["packets"]), (&1.into(), &40.into()));
        assert!(socket.status().contains("No calls now"));
    });
}

#[test]
fn phones_limits_and_what_went_wrong_are_shown() {
    isolated(|| {
        let socket = Socket::new();
        let mut daemon = Daemon::start_with(&["--control", socket.path(), "--max-calls", "1"]);
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        ring(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        let again = bob.invite("sip:alice@[2001:db8::101]");
        bob.agent.send(&again, F1);
        bob.agent.receive_response(503, &again);
        let stranger = crate::harness::agent::Agent::bind("stranger", STRANGER4);
        stranger.send_bytes(b"rubbish", LISTEN4.parse().unwrap());
        daemon.await_line("not SIP");
        let json = socket.json();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["calls"][0]["state"], "ringing");
        let party = |address: &str| {
            let parties = json["parties"].as_array().unwrap();
            parties
                .iter()
                .find(|party| party["address"] == address)
                .unwrap_or_else(|| panic!("no {address} in {json:#}"))
        };
        assert!(party("192.0.2.101")["last_heard"].as_f64().unwrap() < 60.0);
        assert_eq!(party("192.0.2.101")["stands_for"], serde_json::json!(["2001:db8::101"]));
        assert_eq!(party("192.0.2.102")["last_heard"], Value::Null);
        assert_eq!(party("[2001:db8:456::12]")["kind"], "uplink");
        assert_eq!(json["limits"][0], serde_json::json!({"name": "calls", "now": 1, "most": 1}));
        let troubles = json["troubles"].as_array().unwrap();
        let reason = "--max-calls reached, or as many calls as the media ports allow";
        let refused = serde_json::json!({"kind": "refused", "reason": reason, "count": 1});
        assert!(troubles.contains(&refused), "{troubles:#?}");
        let text = socket.status();
        assert!(text.contains("100 %  all") && text.contains("refused: --max-calls reached"), "{text}");
    });
}

#[test]
fn watching_shows_calls_come_and_go_until_q() {
    isolated_with(&["tmux"], || {
        let socket = Socket::new();
        let _daemon = socket.daemon();
        let folder = Folder::new("watch");
        let watch = format!("{PROGRAM} status --watch --control {}; echo ended $?; read wait", socket.path());
        let terminal = Terminal::start(&folder, (80, 12), &format!("sh -c '{watch}'"));
        terminal.await_texts(&["No calls now", "arrows scroll, q quits"]);
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let mut call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        terminal.await_texts(&["1 call now", "talking for", X6]);
        terminal.tmux(&["send-keys", "b", "Space", "Space", "Space", "Space", "Space"]);
        terminal.await_texts(&["media from IPv6"]);
        terminal.tmux(&["send-keys", "g"]);
        call.end_by_caller(&bob, &alice);
        terminal.await_texts(&["No calls now"]);
        terminal.tmux(&["send-keys", "q"]);
        let screen = terminal.await_texts(&["ended 0"]);
        assert!(!screen.contains("No calls now"), "the screen is as it was before:\n{screen}");
    });
}

/// A window that is closed, or a kill: the shell behind it can be used again.
#[test]
fn watching_that_a_signal_ends_puts_the_terminal_back() {
    isolated_with(&["tmux"], || {
        let socket = Socket::new();
        let _daemon = socket.daemon();
        let folder = Folder::new("watch-ended");
        let pid_file = folder.file("pid");
        let watch = format!("echo $$ > {pid_file}; exec {PROGRAM} status --watch --control {}", socket.path());
        let script = folder.file("script");
        fs::write(&script, format!("sh -c '{watch}'; echo ended $?; stty -a; read wait")).unwrap();
        let terminal = Terminal::start(&folder, (80, 24), &format!("sh {script}"));
        terminal.await_texts(&["No calls now"]);
        let number = fs::read_to_string(&pid_file).unwrap();
        assert!(Command::new("kill").arg(number.trim()).status().unwrap().success());
        // As the shell tells of SIGTERM.
        let screen = terminal.await_texts(&["ended 143", "isig icanon", " echo "]);
        assert!(!screen.contains("No calls now"), "{screen}");
    });
}

#[test]
fn without_a_daemon_one_line_says_so() {
    let socket = Socket::new();
    for more in [&[][..], &["--json"]] {
        let output = socket.ask(more);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("sipproxy64: no daemon answers at ") && said.lines().count() == 1, "{said}");
    }
    let output = socket.ask(&["--jason"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = socket.ask(&["--watch"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("--watch needs a terminal"));
}

#[test]
fn two_daemons_do_not_share_a_control_socket() {
    isolated(|| {
        let socket = Socket::new();
        let mut first = socket.daemon();
        // It is another daemon's if it listens elsewhere too.
        let second = fail_to_start(&["-l", "192.0.2.1:5080", "-L", "[2001:db8::1]:5080", "--control", socket.path()]);
        assert_eq!(second.status, Some(1));
        assert!(second.said.contains("another daemon answers there"), "{}", second.said);
        assert!(socket.status().contains("No calls now"), "the first one answers on");
        first.signal("TERM");
        assert!(first.wait().success());
        assert!(!socket.0.exists(), "its file is gone with it");
        // One that dies leaves its file; the next one takes its place.
        let first = socket.daemon();
        first.signal("KILL");
        drop(first);
        assert!(socket.0.exists());
        let _second = Daemon::start_as(&[&OPTIONS[..], &["--control", socket.path()]].concat());
        assert!(socket.status().contains("No calls now"));
    });
}
