//! What copies of messages cost: for Homer, in a file, on the web page.
//!
//! `cargo bench --bench captures` starts the program on loopback once for each kind,
//! and lets MESSAGEs pass, some always under way. Told is the processor time of its
//! threads for a message, of the SIP threads and of the one that writes, receiving
//! and sending included. The kinds take turns, as a machine is never alone; the
//! medians are told.

#![allow(clippy::disallowed_types, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod daemon;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use daemon::{Daemon, socket};

/// Messages of a round.
const MESSAGES: usize = 5000;
/// Rounds.
const ROUNDS: usize = 7;
/// Messages under way.
const WINDOW: usize = 32;
/// How long the copies of the last messages may take.
const SETTLE: Duration = Duration::from_millis(200);

const KINDS: [(&str, &str); 4] = [
    ("no copies", ""),
    ("--hep", " --hep 127.0.0.1:25090"),
    ("--pcap", " --pcap FILE"),
    ("--metrics, nobody looks", " --metrics 127.0.0.1:25064"),
];

/// Lets the messages of a round pass.
fn pass(from: &UdpSocket, to: &UdpSocket, round: usize, port: u16) {
    let mut buffer = [0; 4096];
    for first in (0..MESSAGES).step_by(WINDOW) {
        let window = first..MESSAGES.min(first + WINDOW);
        for number in window.clone() {
            let message = format!(
                "MESSAGE sip:six@127.0.0.1:{port} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{round}x{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:four@127.0.0.1>;tag=f\r\nTo: <sip:six@127.0.0.1:{port}>\r\nCall-ID: {round}x{number}\r\n\
                 CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
            );
            from.send_to(message.as_bytes(), ("127.0.0.1", port)).unwrap();
        }
        for _ in window {
            to.recv(&mut buffer).unwrap();
        }
    }
}

/// Microseconds for a message, of the middle round.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_nanos() as f64 / MESSAGES as f64 / 1000.0
}

fn main() {
    let (four, six, _homer) = (socket("127.0.0.1:25070"), socket("[::1]:25072"), socket("127.0.0.1:25090"));
    let file = std::env::temp_dir().join(format!("sipproxy64-captures-{}.pcap", std::process::id()));
    let daemons: Vec<(u16, Daemon)> = (25100..)
        .step_by(4)
        .zip(KINDS)
        .map(|(port, (_, more))| {
            let (stand_in, more) = (port + 2, more.replace("FILE", file.to_str().unwrap()));
            let arguments = format!(
                "-l 127.0.0.1:{port} -L [::1]:{port} -m 127.0.0.1:25070=[::1]:{stand_in} \
                 -m [::1]:25072=127.0.0.1:{stand_in} --control none{more}"
            );
            (stand_in, Daemon::start(&arguments))
        })
        .collect();
    let mut times = vec![[Vec::new(), Vec::new()]; KINDS.len()];
    for round in 0..ROUNDS {
        for ((port, daemon), times) in daemons.iter().zip(&mut times) {
            let now = || ["sip", "observer"].map(|name| daemon.processor_time(name));
            let before = now();
            pass(&four, &six, round, *port);
            std::thread::sleep(SETTLE);
            for (times, (after, before)) in times.iter_mut().zip(now().into_iter().zip(before)) {
                times.push(after - before);
            }
        }
    }
    println!("{:24} {:>12} {:>16}", "", "SIP threads", "who writes copies");
    for ((name, _), [sip, observer]) in KINDS.into_iter().zip(times) {
        println!("{name:24} {:9.2} µs {:14.2} µs", median(sip), median(observer));
    }
    drop(daemons);
    fs::remove_file(file).unwrap();
}
