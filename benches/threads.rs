//! Whether SIP threads get in each other's way.
//!
//! `cargo bench --bench threads` starts the program twice on loopback, once on one
//! processor (taskset(1)) and so with one SIP thread, once on all, and sends both
//! the same messages from many telephones. Told is the processor time of the SIP
//! threads for a message, and how they share it: threads that wait for each other
//! or use the same cache lines would take more time for one than a single thread.
//! That tells more than messages a second, where the sender needs processors too.
//!
//! Rounds take turns, as a machine is never alone; the medians are told.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::indexing_slicing, missing_docs, reason = "a program of its own")]

mod daemon;

use std::net::UdpSocket;
use std::time::Duration;

use daemon::{Daemon, socket};

/// Telephones; the kernel deals them out to the threads.
const PHONES: usize = 64;
/// Messages of a round that begin no call, and calls of a round. Ports rest for five
/// seconds, so all calls together must find their own, and files: 20,000 do.
const MESSAGES: usize = 6400;
const CALLS: usize = 256;
const ROUNDS: usize = 11;

/// The program at one set of ports.
struct Contender {
    daemon: Daemon,
    phones: Vec<UdpSocket>,
    callee: UdpSocket,
    fake: String,
    /// For each kind of message, the processor time of a message in each round.
    times: [Vec<f64>; 2],
    /// What each SIP thread took of all that.
    threads: Vec<Duration>,
}

impl Contender {
    /// At ports from this one on.
    fn start(first: u16, on_one: bool, threads: usize) -> Self {
        let callee = socket(&format!("[::1]:{first}"));
        let (proxy, fake) = (first + 1, format!("127.0.0.1:{}", first + 2));
        let arguments = format!(
            "--control none -l 127.0.0.1:{proxy} -L [::1]:{proxy} -m 127.0.0.1=[::1]:{} -m [::1]:{first}={fake} -p {}-{}",
            first + 2,
            first + 4000,
            first + 4000 + 2 * (ROUNDS as u16 + 1) * CALLS as u16 + 1000,
        );
        let daemon = if on_one { Daemon::start_on_one(&arguments) } else { Daemon::start(&arguments) };
        let phones = (0..PHONES).map(|_| socket("127.0.0.1:0")).collect();
        Self { daemon, phones, callee, fake, times: Default::default(), threads: vec![Duration::ZERO; threads] }
    }

    fn sip_times(&self) -> Vec<Duration> {
        (0..self.threads.len()).map(|thread| self.daemon.processor_time(&format!("sip{thread}"))).collect()
    }

    /// Has each telephone send its part of so many messages, one at a time each.
    fn round(&mut self, kind: usize, round: usize) {
        let before = self.sip_times();
        let messages = [MESSAGES, CALLS][kind];
        let mut buffer = [0; 4096];
        for number in 0..messages / PHONES {
            for (phone, socket) in self.phones.iter().enumerate() {
                let id = format!("{kind}x{round}x{phone}x{number}");
                socket.send_to(message(kind, &id, &self.fake).as_bytes(), &self.fake).unwrap();
            }
            self.phones.iter().for_each(|_| _ = self.callee.recv(&mut buffer).unwrap());
        }
        // The first round fills memory that is used again.
        if round > 0 {
            let took: Vec<_> = self.sip_times().iter().zip(before).map(|(after, before)| *after - before).collect();
            self.times[kind].push(took.iter().sum::<Duration>().as_nanos() as f64 / messages as f64 / 1000.0);
            self.threads.iter_mut().zip(took).for_each(|(sum, took)| *sum += took);
        }
    }
}

fn message(kind: usize, id: &str, fake: &str) -> String {
    let method = ["OPTIONS", "INVITE"][kind];
    let body = match method {
        "INVITE" => {
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
        }
        _ => "",
    };
    let what = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:six@{fake} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:four@127.0.0.1>;tag=f{id}\r\nTo: <sip:six@{fake}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:four@127.0.0.1:25070>\r\n{what}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let all = std::thread::available_parallelism().unwrap().get().min(4);
    let mut contenders = [Contender::start(20_000, true, 1), Contender::start(42_000, false, all)];
    for round in 0..=ROUNDS {
        for kind in 0..2 {
            contenders.iter_mut().for_each(|contender| contender.round(kind, round));
        }
    }
    let [one, many] = contenders;
    println!("µs of processor time of SIP threads for a message:");
    println!("{:30}{:>12}{:>12}{:>8}", "", "one thread", format!("{all} threads"), "ratio");
    let names = ["OPTIONS", "INVITE that begins a call"];
    for (name, (alone, together)) in names.into_iter().zip(one.times.into_iter().zip(many.times)) {
        let ratios = alone.iter().zip(&together).map(|(one, many)| many / one).collect();
        println!("{name:30}{:12.1}{:12.1}{:8.2}", median(alone), median(together), median(ratios));
    }
    let sum: Duration = many.threads.iter().sum();
    let shares: Vec<_> =
        many.threads.iter().map(|time| format!("{:.0} %", time.as_secs_f64() / sum.as_secs_f64() * 100.0)).collect();
    println!("of all that the threads did {}", shares.join(", "));
}
