//! What `--metrics` shows, as scrapers and browsers get it.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::agent::Agent;
use crate::harness::call::{Call, establish};
use crate::harness::daemon::{Daemon, fail_to_start};
use crate::harness::namespace::{isolated, isolated_with};
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, OPTIONS, P1, STRANGER4, X6};
use crate::harness::{LONG_PATIENCE, PATIENCE};

const ADDRESS: &str = "127.0.0.1:9064";

/// A whole answer: its head and its body.
fn exchange(request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    stream.set_read_timeout(Some(LONG_PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn get(path: &str) -> String {
    let (head, body) = exchange(&format!("GET {path} HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body
}

fn get_json(path: &str) -> Value {
    serde_json::from_str(&get(path)).unwrap()
}

/// What `holds` for, once it does.
fn get_json_when(path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let json = get_json(path);
        if holds(&json) {
            return json;
        }
        assert!(Instant::now() < deadline, "it never came to this: {json:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A daemon, two parties, and a call between them that was talked in.
fn scene() -> (Daemon, [Party; 2], Call) {
    let daemon = Daemon::start_with(&["--metrics", ADDRESS, "--max-calls", "4000"]);
    let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
    let call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
    call.assert_talks(&bob, &alice, 20);
    (daemon, [bob, alice], call)
}

/// The samples of an exposition, by name and labels. Panics where it is not in
/// the format of Prometheus or against its conventions.
fn samples(text: &str) -> HashMap<String, f64> {
    let mut samples = HashMap::new();
    let mut types: HashMap<&str, &str> = HashMap::new();
    let (mut helped, mut family) = (HashSet::new(), "");
    assert!(text.ends_with('\n'), "the last line has an end");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(words.ends_with('.') && helped.insert(name), "{line}");
            continue;
        }
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, of) = of.split_once(' ').unwrap();
            assert!(helped.contains(name) && types.insert(name, of).is_none(), "{line}");
            assert_eq!(of == "counter", name.ends_with("_total"), "{line}: counters, and they alone, end in _total");
            assert!(
                name.starts_with("sipproxy64_")
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            family = name;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').map_or((series, None), |(name, labels)| (name, Some(labels)));
        assert_eq!(name, family, "samples stand below the head of their family");
        if let Some(labels) = labels {
            assert_labels(labels.strip_suffix('}').expect(line));
        }
        let value: f64 = value.parse().unwrap();
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line} stands twice");
    }
    assert!(types.len() > 10, "{text}");
    samples
}

/// `name="value",name="value"`, each quote and backslash in a value escaped.
fn assert_labels(labels: &str) {
    let mut rest = labels;
    loop {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{labels}");
        let mut escaped = false;
        let end = value.find(|letter| {
            let closes = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            closes
        });
        rest = &value[end.unwrap_or_else(|| panic!("{labels}")) + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return assert_eq!(rest, "", "{labels}"),
        }
    }
}

#[test]
fn prometheus_gets_what_it_reads() {
    isolated(|| {
        let (_daemon, [bob, alice], mut call) = scene();
        Agent::bind("stranger", STRANGER4).send_bytes(b"rubbish", LISTEN4.parse().unwrap());
        // Not by the log, which tells it a moment before it is counted.
        get_json_when("/status.json", |json| json["troubles"].as_array().unwrap().len() == 1);
        let before = samples(&get("/metrics"));
        assert_eq!(before["sipproxy64_calls{state=\"answered\"}"], 1.0);
        assert_eq!(before["sipproxy64_media_packets_total{family=\"IPv6\"}"], 40.0);
        assert_eq!(before["sipproxy64_sip_messages_total{fate=\"dropped\"}"], 1.0);
        assert_eq!(before["sipproxy64_troubles_total{kind=\"dropped\",reason=\"not SIP: Bad Start-Line\"}"], 1.0);
        assert_eq!(before["sipproxy64_limit_used{name=\"calls\"}"], 1.0);
        let heard =
            "sipproxy64_party_last_heard_timestamp_seconds{kind=\"phone\",family=\"IPv4\",address=\"192.0.2.101\"}";
        assert!(before[heard] > before["sipproxy64_start_time_seconds"] - 1.0);
        call.end_by_caller(&bob, &alice);
        get_json_when("/status.json", |json| json["ended"]["hung_up"] == 1);
        let after = samples(&get("/metrics"));
        assert_eq!(after["sipproxy64_calls{state=\"answered\"}"], 0.0);
        for (series, value) in before.iter().filter(|(series, _)| series.contains("_total")) {
            assert!(after[series] >= *value, "{series} went back");
        }
    });
}

#[test]
fn only_get_is_answered_and_only_under_our_own_name() {
    isolated(|| {
        let _daemon = Daemon::start_with(&["--metrics", ADDRESS, "--name", "proxy.example.org"]);
        let status = |request: &str| exchange(request).0.lines().next().unwrap().to_owned();
        for host in ["127.0.0.1:9064", "localhost:9064", "[::1]", "proxy.example.org"] {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), "HTTP/1.1 200 OK", "{host}");
        }
        // A browser that was led here by a name of somebody else's.
        let rebound = "GET /status.json HTTP/1.1\r\nHost: rebound.example.com:9064\r\nOrigin: http://rebound.example.com:9064\r\n\r\n";
        assert_eq!(status(rebound), "HTTP/1.1 421 Misdirected Request");
        assert_eq!(
            status("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 405 Method Not Allowed"
        );
        assert_eq!(status("GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"), "HTTP/1.1 404 Not Found");
        assert_eq!(status("GET /ladder/1.json HTTP/1.1\r\nHost: localhost\r\n\r\n"), "HTTP/1.1 404 Not Found");
        assert_eq!(status("rubbish\r\n\r\n"), "HTTP/1.1 400 Bad Request");
        let (head, _) = exchange("GET /status.json HTTP/1.1\r\nHost: localhost\r\nOrigin: http://example.com\r\n\r\n");
        assert!(!head.to_ascii_lowercase().contains("access-control-"), "{head}");
        // Nobody is served a request without end, or holds up others by silence.
        let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(ADDRESS).unwrap()).collect();
        let mut endless = TcpStream::connect(ADDRESS).unwrap();
        endless.set_read_timeout(Some(LONG_PATIENCE)).unwrap();
        let _ = endless.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000)).as_bytes());
        let ended = endless.read(&mut [0; 16]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        assert!(get("/metrics").contains("sipproxy64_build_info"));
        drop(silent);
    });
}

#[test]
fn others_see_nothing_without_the_word_for_it() {
    isolated(|| {
        let metrics = |place: &str| fail_to_start(&[&OPTIONS[..], &["--control", "none", "--metrics", place]].concat());
        for place in ["0.0.0.0:9064", "192.0.2.1:9064", "[::]:9064", "[2001:db8::1]:9064"] {
            let failure = metrics(place);
            assert_eq!(failure.status, Some(2), "{}", failure.said);
            assert!(failure.said.contains(&format!("write public:{place}")), "{}", failure.said);
        }
        let taken = TcpListener::bind("127.0.0.1:9065").unwrap();
        let failure = metrics("127.0.0.1:9065");
        assert_eq!(failure.status, Some(1));
        assert!(failure.said.contains("--metrics 127.0.0.1:9065: "), "{}", failure.said);
        drop(taken);
        let _daemon = Daemon::start_with(&["--metrics", "public:192.0.2.1:9064"]);
        assert!(TcpStream::connect("192.0.2.1:9064").is_ok());
    });
}

#[test]
fn the_ladder_has_both_families_and_no_secrets() {
    isolated(|| {
        let (_daemon, [bob, alice], _call) = scene();
        let secret = bob
            .request("MESSAGE", "sip:alice@[2001:db8::101]")
            .with("Authorization", "Digest username=\"bob\", response=\"5ec2e7\"")
            .with("Content-Type", "text/plain")
            .with("Content-Length", "...");
        let secret = crate::harness::message::Message { body: "a=crypto:1 X inline:5ec2e7\r\n".to_owned(), ..secret };
        let length = secret.body.len().to_string();
        bob.agent.send(&secret.replacing("Content-Length", &length), F1);
        alice.agent.receive_request("MESSAGE");
        let list = get_json_when("/ladders.json", |json| json.as_array().unwrap().len() == 2);
        let ladder = |at: usize| get(&format!("/ladder/{}.json", list[at]["id"]));
        let of_message = ladder(0);
        assert!(of_message.contains("[blanked]") && !of_message.contains("5ec2e7"), "{of_message}");
        let of_call: Value = serde_json::from_str(&ladder(1)).unwrap();
        let steps: Vec<&str> = of_call["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["starts"][1].as_str().unwrap())
            .collect();
        assert!(steps[0].starts_with("INVITE sip:alice@192.0.2.101"), "{steps:?}");
        assert_eq!(steps[1..4], ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
        let invite = &of_call["messages"][0];
        assert_eq!((&invite["came"][0], &invite["left"][1]), (&X6.into(), &P1.into()));
        let lines = invite["lines"].as_array().unwrap();
        let invite_as_it_came = serde_json::json!(["-", "INVITE sip:alice@[2001:db8::101] SIP/2.0"]);
        assert_eq!(lines[0], invite_as_it_came);
        assert!(
            lines.iter().any(|line| line[0] == "=" && line[1].as_str().unwrap().starts_with("Call-ID: ")),
            "{lines:#?}"
        );
    });
}

/// Those who send no request keep nobody out, however many they are.
#[test]
fn silent_clients_make_way() {
    isolated(|| {
        let _daemon = Daemon::start_with(&["--metrics", ADDRESS]);
        let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(ADDRESS).unwrap()).collect();
        let start = Instant::now();
        samples(&get("/metrics"));
        // The first ones alone could take that long.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?} behind {} clients", start.elapsed(), silent.len());
    });
}

/// What a person sees: the page in a real browser, its scripts run.
#[test]
fn a_browser_shows_calls_and_the_ladder() {
    isolated_with(&["chromium"], || {
        let (_daemon, _parties, call) = scene();
        let page = |fragment: &str| {
            let profile = std::env::temp_dir().join(format!("sipproxy64-page-{}", std::process::id()));
            let output = Command::new("chromium")
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-sync",
                ])
                .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
                .arg(format!("--user-data-dir={}", profile.display()))
                .args(["--virtual-time-budget=5000", "--dump-dom", &format!("http://{ADDRESS}/{fragment}")])
                .env("HOME", &profile)
                .output()
                .unwrap();
            let _ = std::fs::remove_dir_all(profile);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = page("");
        let call_id = &call.caller.dialog.call_id;
        for words in ["1 call now", &format!("<span class=\"addr\">{X6}</span>"), call_id, "of 4\u{202f}000", "IPv6"] {
            assert!(shown.contains(words), "no `{words}` in\n{shown}");
        }
        // Each party heard the other, or does not any more: the browser takes its time.
        assert!(
            shown.contains("hears the caller: 40 packets") || shown.contains("hears nothing from the caller for"),
            "{shown}"
        );
        let ladder = page("#ladder=1,0");
        for words in ["200 OK", "ACK", "class=\"diff\"", "<mark>", "As it left: "] {
            assert!(ladder.contains(words), "no `{words}` in\n{ladder}");
        }
    });
}
