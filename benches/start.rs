//! A daemon with nothing to do: how soon it answers, what it takes, how often it wakes.
//!
//! `cargo bench --bench start` starts the program on loopback again and again and
//! asks with OPTIONS until an answer comes; then it leaves one alone for ten seconds
//! and counts how often its threads ran (voluntary_ctxt_switches in /proc).

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "a program of its own")]

mod daemon;

use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use daemon::Daemon;

/// Starts that are timed.
const STARTS: usize = 25;
/// How long one is left alone.
const ALONE: Duration = Duration::from_secs(10);

const ARGUMENTS: &str = "-l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 --control none -q";

/// From before the start until the first answer.
fn first_answer(phone: &UdpSocket) -> (Daemon, Duration) {
    let options = "OPTIONS sip:127.0.0.1:25060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK1\r\n\
                   Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1:25060>\r\nCall-ID: 1\r\n\
                   CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let mut answer = [0; 2048];
    // What is left of the one before.
    while phone.recv(&mut answer).is_ok() {}
    let before = Instant::now();
    let daemon = Daemon::begin(ARGUMENTS);
    while phone.recv(&mut answer).is_err() {
        // Nobody listens yet: then the last one comes back as an error of ICMP.
        let _ = phone.send_to(options.as_bytes(), "127.0.0.1:25060");
    }
    (daemon, before.elapsed())
}

fn main() {
    let phone = UdpSocket::bind("127.0.0.1:25070").unwrap();
    phone.set_read_timeout(Some(Duration::from_micros(500))).unwrap();
    let mut times: Vec<Duration> = (0..STARTS).map(|_| first_answer(&phone).1).collect();
    times.sort();
    println!("start to first answer: median {:?}, longest {:?}", times[STARTS / 2], times[STARTS - 1]);

    let (daemon, _) = first_answer(&phone);
    sleep(Duration::from_secs(1));
    let wakings = || daemon.of_threads("voluntary_ctxt_switches");
    let (resident, before) = (daemon.resident(), wakings());
    sleep(ALONE);
    println!("idle: {resident} kB resident, {} wakings of all threads in {} s", wakings() - before, ALONE.as_secs());
}
