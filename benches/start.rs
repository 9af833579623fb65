//! A daemon with nothing to do: how soon it answers, what it takes, how often it wakes.
//!
//! `cargo bench --bench start` starts the program on loopback again and again and
//! asks with OPTIONS until an answer comes; then it leaves one alone for ten seconds
//! and counts how often its threads ran (voluntary_ctxt_switches in /proc).

#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "a program of its own")]

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Starts that are timed.
const STARTS: usize = 25;
/// How long one is left alone.
const ALONE: Duration = Duration::from_secs(10);

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start() -> Self {
        let arguments = "-l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 --control none -q";
        let mut command = Command::new(env!("CARGO_BIN_EXE_sipproxy64"));
        Self(command.args(arguments.split(' ')).stderr(Stdio::null()).spawn().unwrap())
    }

    /// What stands behind `name:` in the status of each thread, added up.
    fn of_threads(&self, name: &str) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads.map(|thread| number(&fs::read_to_string(thread.unwrap().path().join("status")).unwrap(), name)).sum()
    }

    fn resident(&self) -> u64 {
        number(&fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap(), "VmRSS")
    }
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// From before the start until the first answer.
fn first_answer(phone: &UdpSocket) -> (Daemon, Duration) {
    let options = "OPTIONS sip:127.0.0.1:25060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK1\r\n\
                   Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1:25060>\r\nCall-ID: 1\r\n\
                   CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let mut answer = [0; 2048];
    // What is left of the one before.
    while phone.recv(&mut answer).is_ok() {}
    let before = Instant::now();
    let daemon = Daemon::start();
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
