//! The relay beside rtpengine, on loopback.
//!
//! `cargo bench --bench peers` starts this program and, where it is installed,
//! rtpengine (in user space, with one thread), has both relay the same streams
//! between IPv4 and IPv6, and tells the processor time of each for a packet. This
//! program is kept on one processor by taskset(1), so that it has one thread too.
//!
//! Rounds take turns, as a machine is never alone; the medians are told, and the
//! ratio is what can be compared.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::indexing_slicing, missing_docs, reason = "a program of its own")]

mod daemon;
mod parties;
mod streams;

use std::cell::Cell;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use daemon::{Daemon, port, processor_time, socket};
use parties::{Pair, Party, talk};
use sipproxy64::family::{Family, PerFamily};
use streams::{call, parties, sdp};

const STREAMS: u16 = 256;
/// Packets of each round, all streams and both ways together.
const PACKETS: u64 = STREAMS as u64 * 2 * 100;
const ROUNDS: usize = 15;
/// Where rtpengine listens for commands, and its media ports.
const CONTROL: &str = "127.0.0.1:25080";
const RTPENGINE: &str = "--foreground --log-stderr --log-level=3 --table=-1 --num-threads=1 --pidfile=/dev/null \
                         --interface=127.0.0.1 --interface=::1 --listen-ng=127.0.0.1:25080 --port-min=40000 \
                         --port-max=50000 --endpoint-learning=immediate";

/// rtpengine, until it is dropped.
struct Rtpengine {
    child: Child,
    control: UdpSocket,
    /// Commands so far: what has the number of one before gets its answer again.
    asked: Cell<u32>,
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rtpengine {
    /// `None`: it is not installed.
    fn start() -> Option<Self> {
        let mut command = Command::new("rtpengine");
        let child = command.args(RTPENGINE.split(' ').filter(|word| !word.is_empty()));
        let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let control = UdpSocket::bind("127.0.0.1:0").unwrap();
        control.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let rtpengine = Self { child, control, asked: Cell::new(0) };
        let answers = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            rtpengine.ask("d7:command4:pinge").is_some()
        });
        assert!(answers, "rtpengine does not answer at {CONTROL}");
        Some(rtpengine)
    }

    /// Gives a command, and gives the answer.
    fn ask(&self, command: &str) -> Option<String> {
        self.asked.set(self.asked.get() + 1);
        self.control.send_to(format!("{} {command}", self.asked.get()).as_bytes(), CONTROL).unwrap();
        let mut buffer = [0; 4096];
        let length = self.control.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Has it relay a stream, by an offer and an answer.
    fn call(&self, number: u16, pair: &Pair) -> PerFamily<u16> {
        let command = |name: &str, more: &[&str], family: &str, party: &Party| {
            let (call, sdp) = (number.to_string(), sdp(party));
            let mut words = vec!["command", name, "call-id", &call, "from-tag", "f", "sdp", &sdp];
            words.extend(["address family", family]);
            words.extend(more);
            let dictionary: String = words.iter().map(|word| format!("{}:{word}", word.len())).collect();
            port(&self.ask(&format!("d{dictionary}e")).unwrap())
        };
        let v6 = command("offer", &[], "IP6", &pair[Family::V4]);
        let v4 = command("answer", &["to-tag", "t"], "IP4", &pair[Family::V6]);
        PerFamily::new(v4, v6)
    }
}

/// What a process takes for a packet, in ns.
fn round(process: u32, pairs: &[Pair]) -> f64 {
    let before = processor_time(process, "");
    talk(pairs, PACKETS);
    (processor_time(process, "") - before).as_nanos() as f64 / PACKETS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let Some(rtpengine) = Rtpengine::start() else { return println!("skipped: rtpengine is not installed") };
    let (caller, callee) = (socket("127.0.0.1:25070"), socket("[::1]:25072"));
    let daemon = Daemon::start_on_one(
        "--control none -l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 -m [::1]:25072=127.0.0.1:25066",
    );
    let ours = parties(STREAMS, |number, pair| call(&caller, &callee, 25066, number, pair));
    let theirs = parties(STREAMS, |number, pair| rtpengine.call(number, pair));
    let processes = [(daemon.process(), ours), (rtpengine.child.id(), theirs)];
    let mut times = [Vec::new(), Vec::new()];
    // A first round for each, in which it is learned where packets come from.
    processes.iter().for_each(|(_, pairs)| talk(pairs, PACKETS));
    for _ in 0..ROUNDS {
        for ((process, pairs), times) in processes.iter().zip(&mut times) {
            times.push(round(*process, pairs));
        }
    }
    let ratios = times[0].iter().zip(&times[1]).map(|(ours, theirs)| ours / theirs).collect();
    let [ours, theirs] = times.map(median);
    println!("{ROUNDS} rounds of {PACKETS} packets each, {STREAMS} streams; processor time for a packet:");
    println!("sipproxy64 {ours:.0} ns, rtpengine {theirs:.0} ns, {:.2} times as much", median(ratios));
}
