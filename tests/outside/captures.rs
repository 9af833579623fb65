//! Tools that people have look at a call: a collector and sngrep by `--hep`,
//! tshark by `--pcap`.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::daemon::{Daemon, PROGRAM, fail_to_start};
use crate::harness::folder::Folder;
use crate::harness::namespace::{isolated, isolated_with};
use crate::harness::picture::{F1, LISTEN4, OPTIONS, P1, STRANGER6, X6};
use crate::harness::talk::{CALLEE, Scene};
use crate::harness::terminal::Terminal;

/// The chunks of a HEP packet, by their type.
fn chunks(packet: &[u8]) -> Vec<(u16, &[u8])> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!((&packet[..4], usize::from(number(4))), (&b"HEP3"[..], packet.len()));
    let (mut at, mut chunks) = (6, Vec::new());
    while at < packet.len() {
        let length = usize::from(number(at + 4));
        chunks.push((number(at + 2), &packet[at + 6..at + length]));
        at += length;
    }
    chunks
}

/// The next packet at a collector: between which ports, what it is correlated
/// by, and the first line of the message.
fn collected(collector: &UdpSocket) -> (String, String, String) {
    let mut buffer = vec![0; 65_536];
    let length = collector.recv(&mut buffer).expect("a packet for the collector");
    let chunks = chunks(&buffer[..length]);
    let find = |kind| chunks.iter().find(|(of, _)| *of == kind).map(|(_, value)| *value);
    let number = |kind| u16::from_be_bytes(find(kind).unwrap().try_into().unwrap());
    let address = |four, six| match (find(four), find(six)) {
        (Some(four), None) => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(four).unwrap()).to_string(),
        (None, Some(six)) => format!("[{}]", std::net::Ipv6Addr::from(<[u8; 16]>::try_from(six).unwrap())),
        other => panic!("addresses of both families, or of none: {other:?}"),
    };
    let ends = format!("{}:{} -> {}:{}", address(3, 5), number(7), address(4, 6), number(8));
    let text = |kind| String::from_utf8_lossy(find(kind).unwrap()).into_owned();
    (ends, text(17), text(15).lines().next().unwrap().to_owned())
}

#[test]
fn a_collector_gets_each_message_as_it_came_and_as_it_left() {
    isolated(|| {
        let collector = UdpSocket::bind("127.0.0.1:9060").unwrap();
        collector.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut talk = Scene::six_to_four(&["--hep", "127.0.0.1"]).talk();
        talk.end(CALLEE);
        let call_id = &talk.ends[CALLEE].dialog.call_id;
        let came =
            |message: &str, from: &str, to: &str| (format!("{from} -> {to}"), call_id.clone(), message.to_owned());
        let invite = collected(&collector);
        assert_eq!(invite, came("INVITE sip:alice@[2001:db8::101] SIP/2.0", X6, F1));
        assert_eq!(collected(&collector), came("INVITE sip:alice@192.0.2.101 SIP/2.0", LISTEN4, P1));
        for answer in ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"] {
            assert_eq!(collected(&collector), came(answer, P1, LISTEN4));
            assert_eq!(collected(&collector), came(answer, F1, X6));
        }
    });
}

#[test]
fn a_collector_that_is_not_there_disturbs_nobody() {
    isolated(|| {
        // Nobody listens there, nobody lives there, and nobody knows that name.
        for collector in ["127.0.0.1:9", "[2001:db8:dead::1]:9060", "collector.invalid"] {
            let mut talk = Scene::six_to_four(&["--hep", collector]).talk();
            talk.assert_talks();
            talk.end(CALLEE);
        }
    });
}

/// It would get what it sends, and send that again.
#[test]
fn a_name_that_leads_here_is_no_collector() {
    isolated(|| {
        let mut daemon = Daemon::start_as(&["-l", "127.0.0.1", "-L", "::1", "--hep", "localhost:5060"]);
        daemon.await_line("--hep: collector found");
        let phone = Agent::bind("phone", "127.0.0.1:5062");
        phone.send_bytes(b"rubbish", "127.0.0.1:5060".parse().unwrap());
        let line = daemon.await_line("--hep: not sent");
        assert!(line.contains("an address of this proxy itself"), "{line}");
    });
}

#[test]
fn sngrep_draws_the_ladder_of_both_families() {
    isolated_with(&["sngrep", "tmux"], || {
        let folder = Folder::new("sngrep");
        let terminal = Terminal::start(&folder, (160, 50), "sngrep -f /dev/null -L udp:127.0.0.1:9060");
        terminal.await_texts(&["Dialogs: 0"]);
        let mut talk = Scene::six_to_four(&["--hep", "127.0.0.1:9060"]).talk();
        talk.end(CALLEE);
        terminal.await_texts(&["INVITE", "COMPLETED"]);
        terminal.tmux(&["send-keys", "Enter"]);
        // Both legs in one ladder: four columns, and each message twice.
        terminal.await_texts(&["192.0.2.101", "192.0.2.1", "2001:db8::101", "2001:db8:9::55"]);
        terminal.await_times(2, &["INVITE", "180 Ringing", "200 OK", "ACK", "BYE"]);
    });
}

/// What tshark says of a capture file: the given fields of each packet that the
/// filter lets through, a line each.
fn tshark(file: &str, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    // RTP is found by the descriptions in the SIP messages, as in Wireshark.
    command.args(["-r", file, "-2", "-Y", filter, "-T", "fields"]);
    command.args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn wireshark_reads_both_legs_of_messages_and_media() {
    isolated_with(&["tshark"], || {
        let folder = Folder::new("pcap");
        let file = folder.file("calls.pcap");
        let mut talk = Scene::six_to_four(&["--pcap", &file, "--pcap-rtp"]).talk();
        talk.assert_talks();
        talk.end(CALLEE);
        talk.daemon.signal("TERM");
        assert!(talk.daemon.wait().success());

        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let methods =
            tshark(&file, "sip.Method", &["ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "sip.Method"]);
        let called: Vec<String> =
            methods.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = [
            "2001:db8:9::55 5062 2001:db8::101 INVITE",
            "192.0.2.1 5060 192.0.2.101 INVITE",
            "2001:db8:9::55 5062 2001:db8::101 ACK",
            "192.0.2.1 5060 192.0.2.101 ACK",
            "192.0.2.101 5060 192.0.2.1 BYE",
            "2001:db8::101 5060 2001:db8:9::55 BYE",
        ];
        assert_eq!(called, expected);
        let call_ids = tshark(&file, "sip", &["sip.Call-ID"]);
        assert!(call_ids.iter().all(|id| *id == talk.ends[CALLEE].dialog.call_id), "{call_ids:?}");
        // Each packet of both parties twice, with the same number in both families.
        let mut numbers = [
            tshark(&file, "rtp && ip", &["rtp.ssrc", "rtp.seq"]),
            tshark(&file, "rtp && ipv6", &["rtp.ssrc", "rtp.seq"]),
        ];
        assert!(numbers[0].len() >= 10, "{numbers:?}");
        numbers.iter_mut().for_each(|numbers| numbers.sort());
        assert_eq!(numbers[0], numbers[1]);
        let wrong =
            "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || _ws.expert.severity == error";
        assert_eq!(tshark(&file, wrong, &["frame.number", "_ws.expert.message"]), Vec::<String>::new());
    });
}

#[test]
fn a_capture_says_why_a_message_went_no_further() {
    isolated_with(&["tshark"], || {
        let folder = Folder::new("pcap-refused");
        let file = folder.file("calls.pcap");
        let mut daemon = Daemon::start_with(&["--pcap", &file]);
        let stranger = Agent::bind("stranger", STRANGER6);
        stranger.send_bytes(b"INVITE sip:bob@[2001:db8:77::77] SIP/2.0\r\n\r\n", "[2001:db8::1]:5060".parse().unwrap());
        daemon.await_line("decision=");
        daemon.await_line("all messages are captured file=");
        daemon.signal("TERM");
        assert!(daemon.wait().success());
        let said = tshark(&file, "udp", &["frame.comment", "frame.packet_flags_direction"]);
        assert!(matches!(said.as_slice(), [one] if one.starts_with("dropped: not SIP: ")), "{said:?}");
    });
}

/// A new process begins a file of its own, and moves the one before away; where it does
/// not take over, the old one's is in its place again, however often that happens.
#[test]
fn a_takeover_that_fails_leaves_the_capture_where_it_was() {
    isolated(|| {
        let folder = Folder::new("pcap-takeover");
        let (control, file) = (folder.file("control"), folder.file("calls.pcap"));
        let options = [&OPTIONS[..], &["--control", &control, "--pcap", &file]].concat();
        let mut daemon = Daemon::start_as(&options);
        let stranger = Agent::bind("stranger", STRANGER6);
        let say = |words: &str| stranger.send_bytes(words.as_bytes(), "[2001:db8::1]:5060".parse().unwrap());
        say("one");
        daemon.await_lines("decision=", 1);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = taken.local_addr().unwrap().to_string();
        for times in 1..=2 {
            let failure = fail_to_start(&[&options[..], &["--takeover", &control, "--metrics", &metrics]].concat());
            assert!(failure.status == Some(1) && failure.said.contains(&metrics), "{}", failure.said);
            daemon.await_lines("this process goes on", times);
        }
        say("two");
        daemon.await_lines("decision=", 2);
        daemon.signal("TERM");
        assert!(daemon.wait().success());
        let captured = fs::read(&file).unwrap();
        for words in [&b"one"[..], b"two"] {
            assert!(captured.windows(3).any(|part| part == words), "{} octets in {file}", captured.len());
        }
    });
}

/// Where the system lets no file grow any more (RLIMIT_FSIZE) it sends a signal, too.
#[test]
fn a_capture_that_may_not_grow_ends_no_calls() {
    isolated(|| {
        let folder = Folder::new("pcap-limit");
        let file = folder.file("calls.pcap");
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", PROGRAM]);
        let mut daemon = Daemon::spawn_by(command, &[&OPTIONS[..], &["--pcap", &file]].concat());
        daemon.await_line("ready");
        let stranger = Agent::bind("stranger", STRANGER6);
        for _ in 0..20 {
            stranger.send_bytes(&[b'x'; 1000], "[2001:db8::1]:5060".parse().unwrap());
        }
        daemon.await_line("--pcap: cannot write; packets are lost");
        daemon.assert_alive();
    });
}

/// What cannot be written says what is wanted, before anything begins.
#[test]
fn places_that_nobody_can_write_to_are_told_at_the_start() {
    isolated(|| {
        for (option, advice) in [
            ("--pcap", "its directory must exist and be writable"),
            ("--record", "name a directory, or one to be made in a directory that is writable"),
        ] {
            let failure = fail_to_start(&["-l", "192.0.2.1", "-L", "2001:db8::1", option, "/nonexistent/a/b"]);
            assert_eq!(failure.status, Some(1), "{failure:?}");
            assert!(failure.said.contains(&format!("{option} /nonexistent/a/b: No such file")), "{failure:?}");
            assert!(failure.said.trim_end().ends_with(advice), "{failure:?}");
        }
    });
}
