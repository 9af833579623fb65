//! A stranger can neither fill the disk nor write the log.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::harness::PATIENCE;
use crate::harness::daemon::{Daemon, PROGRAM};
use crate::harness::kernel::{all_have_dropped, await_connected};
use crate::harness::message::Message;
use crate::harness::namespace::{isolated, isolated_with_users};
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, LISTEN4, LISTEN6, OPTIONS, P1, P2, STRANGER4, STRANGER6, U6, X4, X6};

/// A daemon whose log is a file, at the level that it has without options.
struct Logged {
    child: Child,
    log: std::path::PathBuf,
}

impl Logged {
    fn start(more: &[&str]) -> Self {
        let log = env::temp_dir().join(format!("sipproxy64-flood-{}", process::id()));
        let child = Command::new(PROGRAM)
            .args(OPTIONS)
            .args(["--control", "none"])
            .args(more)
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let logged = Self { child, log };
        logged.await_text("ready");
        logged
    }

    fn text(&self) -> String {
        String::from_utf8(fs::read(&self.log).unwrap()).expect("a log is text")
    }

    fn await_text(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            assert!(Instant::now() < deadline, "the log never said `{text}`: {}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it, and gives its whole log.
    fn end(mut self) -> String {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.text()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// Messages with which something is wrong, each in its own way, and with what no
/// log may show as it is.
fn bad_messages() -> Vec<Vec<u8>> {
    let request = |method: &str, uri: &str, more: &str| {
        Message::template(&format!(
            "
            {method} {uri} SIP/2.0
            Via: SIP/2.0/UDP 198.51.100.66:5060;branch=z9hG4bKf;rport
            {more}
            From: <sip:x@198.51.100.66>;tag=f
            To: <sip:y@192.0.2.1>
            Call-ID: f\u{1b}[31m{method}
            CSeq: 1 {method}
            Authorization: Digest response=\"5ec2e7\"
            Content-Length: 0
            "
        ))
        .to_wire()
    };
    vec![
        b"rubbish".to_vec(),
        b"\x1b[2J\n2026-01-01T00:00:00Z ERROR forged\n".to_vec(),
        vec![0xff; 1400],
        request("INVITE", "sip:00441234567890@192.0.2.1", "Max-Forwards: 70"),
        request("OPTIONS", "sip:a@203.0.113.1", "Max-Forwards: 70"),
        request("REGISTER", "tel:1", "Max-Forwards: none"),
        request("INVITE", "http://a", "Max-Forwards: 0"),
        request("BYE", "sip:a@192.0.2.1", "Proxy-Require: x"),
        request("ACK", "sip:a@192.0.2.1", "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.5;lr>"),
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n".to_vec(),
    ]
}

/// Sends so many bad messages to all addresses, as fast as it goes.
fn flood(count: usize) {
    let messages = bad_messages();
    let v4 = UdpSocket::bind("198.51.100.66:5060").unwrap();
    let v6 = UdpSocket::bind("[2001:db8:66::66]:5060").unwrap();
    let targets: [(&UdpSocket, SocketAddr); 3] =
        [(&v4, LISTEN4.parse().unwrap()), (&v6, LISTEN6.parse().unwrap()), (&v6, F1.parse().unwrap())];
    for (message, (socket, to)) in messages.iter().cycle().zip(targets.into_iter().cycle()).take(count) {
        // What a full buffer does not take is not read either.
        let _ = socket.send_to(message, to);
    }
}

#[test]
fn a_million_bad_messages_leave_less_than_100_kb_of_log() {
    isolated(|| {
        let daemon = Logged::start(&[]);
        flood(1_000_000);
        // What comes when it has time again is told by its kind: of the flood itself it
        // may have looked at little.
        let deadline = Instant::now() + PATIENCE;
        while !["not SIP", "dropped", "refused"].iter().all(|text| daemon.text().contains(text)) {
            assert!(Instant::now() < deadline, "{}", daemon.text());
            flood(30);
            thread::sleep(Duration::from_millis(20));
        }
        let log = daemon.end();
        assert!(log.len() < 100_000, "{} bytes", log.len());
        assert!(log.contains("stopped"), "it works on: {log}");
    });
}

/// Wherever in a message the fault stands, it is one kind of fault, told once a minute.
#[test]
fn descriptions_that_are_wrong_in_many_places_leave_one_line() {
    isolated(|| {
        let daemon = Logged::start(&[]);
        let stranger = Party::new("bob", X6, 40000);
        for length in 0..40 {
            let invite = stranger.request("INVITE", "sip:alice@[2001:db8::101]").with("Subject", "x".repeat(length));
            let invite = invite.with_sdp(stranger.media.description().replace("m=audio 40000", "m=audio x")).to_wire();
            stranger.agent.send_bytes(&invite, F1.parse().unwrap());
            assert_eq!(stranger.agent.receive().message.status(), Some(400));
        }
        let log = daemon.end();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("SDP m= port must")).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
    });
}

/// A phone that is busy ends every call, each with a line of the log.
#[test]
fn a_thousand_calls_of_a_stranger_leave_a_few_hundred_lines() {
    isolated(|| {
        let daemon = Logged::start(&[]);
        let (stranger, busy) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let since = Instant::now();
        // As many at once as one stranger may have.
        for _ in 0..40 {
            let invites: Vec<Message> = (0..25).map(|_| stranger.invite("sip:alice@[2001:db8::101]")).collect();
            invites.iter().for_each(|invite| stranger.agent.send(invite, F1));
            for _ in &invites {
                busy.respond(&busy.agent.receive_request("INVITE"), 486, "Busy Here", "busy");
            }
            invites.iter().for_each(|_| assert_eq!(stranger.agent.receive().message.status(), Some(486)));
        }
        // A call of a phone is told all the same.
        let (phone, provider) = (Party::new("carol", P2, 30100), Party::new("provider", U6, 40100));
        let invite = phone.invite("sip:a@provider.example");
        phone.agent.send(&invite, LISTEN4);
        provider.respond(&provider.agent.receive_request("INVITE"), 603, "Decline", "no");
        phone.agent.receive_response(603, &invite);
        daemon.await_text("not accepted by the callee (603)");
        let log = daemon.end();
        let lines = log.lines().filter(|line| line.contains("not accepted by the callee (486)")).count();
        // So many at once, and one more for each second that it took.
        let most = 301 + usize::try_from(since.elapsed().as_secs()).unwrap();
        assert!((300..=most).contains(&lines), "{lines} lines of {most}");
        // The rest is counted, and told at the end at the latest.
        let untold = log.lines().filter(|line| line.contains("that were not told one by one"));
        let untold = untold.map(|line| line.rsplit_once("count=").unwrap().1.parse::<usize>().unwrap());
        assert_eq!(lines + untold.sum::<usize>(), 1000);
    });
}

#[test]
fn strangers_neither_write_lines_of_their_own_nor_get_secrets_in() {
    isolated(|| {
        for more in [&[][..], &["-v"], &["-vv"], &["-vv", "--log-format", "json"]] {
            let daemon = Logged::start(more);
            flood(300);
            daemon.await_text("not SIP");
            if more.contains(&"-vv") {
                daemon.await_text("  - REGISTER tel:1 SIP/2.0");
            }
            let log = daemon.end();
            assert!(!log.contains("5ec2e7"), "{more:?}: {log}");
            assert!(!log.contains('\u{1b}'), "{more:?}: {log}");
            assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "{more:?}: {log}");
            if more.contains(&"json") {
                let objects = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
                assert!(objects.filter(|event| event["message"] == "message").count() > 1, "{log}");
            } else if more == ["-vv"] {
                assert!(log.contains("\n  - REGISTER tel:1 SIP/2.0"), "what was refused is shown: {log}");
            }
        }
    });
}

/// What fills the queue of an address of ours takes nothing from an uplink or a phone, which
/// have their own; also where the sockets were bound with more rights than there are now.
#[test]
fn uplinks_and_phones_are_heard_through_a_flood() {
    isolated_with_users(|| {
        let parties = || [Party::new("phone", P1, 30000), Party::new("uplink", U6, 40000)];
        for user in [&[][..], &["--user", "4711:4712"]] {
            let daemon = Daemon::start_quietly(&[&["--control", "none"], user].concat());
            let ([phone, uplink], caller) = (parties(), Party::new("caller", X4, 31000));
            assert_answers_through_a_flood(&daemon, &phone, LISTEN4, &uplink, F1);
            assert_answers_through_a_flood(&daemon, &caller, LISTEN4, &uplink, LISTEN6);
            assert_answers_through_a_flood(&daemon, &uplink, F1, &phone, LISTEN4);
        }
    });
}

/// Has one ask by way of `to` and the other, who hears it from `ours`, answer while the
/// queue of that is full.
fn assert_answers_through_a_flood(daemon: &Daemon, asks: &Party, to: &str, answers: &Party, ours: &str) {
    let peer = answers.agent.hostport().parse().unwrap();
    let ours = ours.parse().unwrap();
    await_connected(ours, peer);
    let request = asks.request("MESSAGE", &format!("sip:bob@{to}")).without_body();
    asks.agent.send(&request, to);
    let received = answers.agent.receive_request("MESSAGE");
    assert_eq!(received.source, ours);
    daemon.signal("STOP");
    fill(ours, b"x");
    answers.respond(&received, 200, "OK", "");
    daemon.signal("CONT");
    asks.agent.receive_response(200, &request);
    daemon.process().await_handled(&[ours]);
}

/// What must stay, as it may belong to a call, waits in the kernel, which has a limit.
#[test]
fn what_comes_of_calls_faster_than_it_is_handled_takes_no_memory() {
    isolated(|| {
        let daemon = Daemon::start_quietly(&[]);
        let ours = [LISTEN4, LISTEN6, F1, F2].map(|address| address.parse().unwrap());
        let ack = [b"ACK sip:a@192.0.2.1 SIP/2.0\r\nSubject: ".as_slice(), &[b'x'; 1300], b"\r\n\r\n"].concat();
        let before = daemon.process().memory();
        daemon.signal("STOP");
        ours.iter().for_each(|&address| fill(address, &ack));
        daemon.signal("CONT");
        daemon.process().await_handled(&ours);
        let most = daemon.process().status("VmHWM");
        let most: u64 = most.trim_end_matches(" kB").parse().unwrap();
        assert!(most < before + 4096, "{before} kB, and then {most}");
    });
}

/// Sends this from many ports until no socket at an address takes it.
fn fill(address: SocketAddr, datagram: &[u8]) {
    let stranger: SocketAddr = if address.is_ipv4() { STRANGER4 } else { STRANGER6 }.parse().unwrap();
    let strangers = [(); 32].map(|()| UdpSocket::bind((stranger.ip(), 0)).unwrap());
    while !all_have_dropped(address) {
        for stranger in &strangers {
            stranger.send_to(datagram, address).unwrap();
        }
    }
}
