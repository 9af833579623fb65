//! What copies cost: for Homer, in a file, on the web page.
//!
//! `cargo bench --bench captures` starts the program on loopback once for each kind,
//! and lets MESSAGEs pass, and media packets, some always under way. Told is the
//! processor time of its threads for one, of the SIP or relay threads and of the one
//! that writes, receiving and sending included. The kinds take turns, as a machine is
//! never alone; the medians are told, and of the ratios to no copies in the same round.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod daemon;
mod parties;
mod streams;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use daemon::{Daemon, socket};
use parties::{Pair, talk};
use streams::{call, parties};

/// Messages of a round.
const MESSAGES: usize = 5000;
/// Calls with media.
const STREAMS: u16 = 64;
/// Packets of a round, all streams and both ways together: no more than may wait for
/// the one that writes, so that it writes them all.
const PACKETS: u64 = 4096;
/// Rounds.
const ROUNDS: usize = 15;
/// Messages under way.
const WINDOW: usize = 32;
/// How long the copies of the last messages may take.
const SETTLE: Duration = Duration::from_millis(200);

const KINDS: [(&str, &str); 5] = [
    ("no copies", ""),
    ("--hep", " --hep 127.0.0.1:25090"),
    ("--pcap", " --pcap FILE"),
    ("--pcap --pcap-rtp", " --pcap FILE-rtp --pcap-rtp"),
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

/// What the program took on its threads of one kind, and to write, in each round.
#[derive(Default)]
struct Times {
    work: Vec<Duration>,
    writing: Vec<Duration>,
}

impl Times {
    /// Measures a round.
    fn take(&mut self, daemon: &Daemon, threads: &str, round: impl FnOnce()) {
        let now = || [threads, "observer"].map(|name| daemon.processor_time(name));
        let before = now();
        round();
        std::thread::sleep(SETTLE);
        let [work, writing] = now();
        self.work.push(work - before[0]);
        self.writing.push(writing - before[1]);
    }

    /// Of one of so many, in words: what it took, how many times as much as without
    /// copies in the same round, and what the copies took.
    fn told(&self, without: &Self, count: u64) -> String {
        let micros = |rounds: &[Duration]| {
            median(rounds.iter().map(|time| time.as_nanos() as f64 / count as f64 / 1000.0).collect())
        };
        let ratio = |(one, other): (&Duration, &Duration)| one.as_secs_f64() / other.as_secs_f64();
        let ratio = median(self.work.iter().zip(&without.work).map(ratio).collect());
        format!("{:9.2} µs {ratio:5.2} {:5.2} µs", micros(&self.work), micros(&self.writing))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The program with copies of one kind, and calls through it.
struct Kind {
    daemon: Daemon,
    /// Where the IPv6 phone is dialled.
    stand_in: u16,
    pairs: Vec<Pair>,
    messages: Times,
    packets: Times,
}

impl Kind {
    fn start(number: u16, more: &str, four: &UdpSocket, six: &UdpSocket) -> Self {
        let (port, stand_in, media) = (25100 + 4 * number, 25102 + 4 * number, 26000 + 1000 * number);
        let arguments = format!(
            "-l 127.0.0.1:{port} -L [::1]:{port} -m 127.0.0.1:25070=[::1]:{stand_in} \
             -m [::1]:25072=127.0.0.1:{stand_in} -p {media}-{} --control none{more}",
            media + 999
        );
        let daemon = Daemon::start(&arguments);
        let pairs = parties(STREAMS, |number, pair| call(four, six, stand_in, number, pair));
        // In which latches close and sockets are connected.
        talk(&pairs, PACKETS);
        Self { daemon, stand_in, pairs, messages: Times::default(), packets: Times::default() }
    }

    fn round(&mut self, number: usize, four: &UdpSocket, six: &UdpSocket) {
        self.messages.take(&self.daemon, "sip", || pass(four, six, number, self.stand_in));
        self.packets.take(&self.daemon, "relay", || talk(&self.pairs, PACKETS));
    }
}

fn main() {
    let (four, six, _homer) = (socket("127.0.0.1:25070"), socket("[::1]:25072"), socket("127.0.0.1:25090"));
    let file = std::env::temp_dir().join(format!("sipproxy64-captures-{}.pcap", std::process::id()));
    let file = file.to_str().unwrap();
    let kinds =
        (0..).zip(KINDS).map(|(number, (_, more))| Kind::start(number, &more.replace("FILE", file), &four, &six));
    let mut kinds: Vec<Kind> = kinds.collect();
    for round in 0..ROUNDS {
        kinds.iter_mut().for_each(|kind| kind.round(round, &four, &six));
    }
    println!("{:24} {:>27} {:>27}", "", "message: SIP, times, copies", "packet: relay, times, copies");
    for ((name, _), kind) in KINDS.into_iter().zip(&kinds) {
        let messages = kind.messages.told(&kinds[0].messages, MESSAGES as u64);
        println!("{name:24} {messages:>27} {:>27}", kind.packets.told(&kinds[0].packets, PACKETS));
    }
    for file in [file.to_owned(), format!("{file}-rtp")] {
        fs::remove_file(file).unwrap();
    }
}
