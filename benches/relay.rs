//! The relay loop on loopback: processor time and allocations for a packet, with
//! one thread and with two, against bare pairs of sockets in the same process.
//!
//! `cargo bench --bench relay` has the relay carry packets between the parties of
//! many streams, with some always under way, and then a loop that does nothing but
//! receive and send on connected sockets: what the kernel takes. They take turns,
//! as a machine is never alone; the medians are told, and the ratio is what can be
//! compared. Two threads of the relay are beside two bare ones that have nothing in
//! common: where they got in each other's way the ratio would be worse. That the relay
//! allocates nothing for a packet is asserted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod counting;
mod parties;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use counting::allocations;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parties::{LOOPBACK, Pair, Party, processor_time, relay, talk};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sipproxy64::family::PerFamily;

/// Streams side by side.
const STREAMS: u16 = 600;
/// Packets of each round, all streams and both ways together.
const PACKETS: u64 = STREAMS as u64 * 2 * 50;
/// Rounds of each contender.
const ROUNDS: usize = 25;

/// Receives and sends, and does nothing else: so many threads, which have nothing in
/// common, with the names that begin so.
fn bare(name: &str, threads: usize, stop: &Arc<AtomicBool>) -> (Vec<JoinHandle<()>>, Vec<Pair>) {
    let mut pairs = Vec::new();
    // As the relay does, so that both meet packets in the same order.
    let mut sets: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
    for stream in 0..usize::from(STREAMS) {
        sets[stream % threads].extend(connected(&mut pairs));
    }
    let spawn = |(number, sockets): (usize, Vec<UdpSocket>)| {
        let (name, stop) = (format!("{name}{number}"), Arc::clone(stop));
        thread::Builder::new().name(name).spawn(move || pass_on(&sockets, &stop)).unwrap()
    };
    (sets.into_iter().enumerate().map(spawn).collect(), pairs)
}

/// The sockets of one stream, connected to its parties.
fn connected(pairs: &mut Vec<Pair>) -> [UdpSocket; 2] {
    let mut sockets = Vec::new();
    pairs.push(PerFamily::from_fn(|side| {
        let mut party = Party::new(side);
        let ours = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
        ours.connect(party.socket.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        party.relay = ours.local_addr().unwrap();
        sockets.push(ours);
        party
    }));
    sockets.try_into().unwrap()
}

/// One thread of it, until it is to stop.
fn pass_on(sockets: &[UdpSocket], stop: &AtomicBool) {
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    for (number, socket) in sockets.iter().enumerate() {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).unwrap();
    }
    let mut events = [EpollEvent::empty(); 256];
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let ready = epoll.wait(&mut events, EpollTimeout::from(100_u8)).unwrap_or(0);
        for event in &events[..ready] {
            let at = event.data() as usize;
            if let Ok(length) = sockets[at].recv(&mut buffer) {
                let _ = sockets[at ^ 1].send(&buffer[..length]);
            }
        }
    }
}

/// One way to carry the packets.
struct Contender {
    pairs: Vec<Pair>,
    /// The names of its threads.
    threads: [&'static str; 2],
    /// What each round took.
    times: Vec<Duration>,
    /// And its second thread of all that.
    of_second: Duration,
}

impl Contender {
    fn new(pairs: Vec<Pair>, threads: [&'static str; 2]) -> Self {
        Self { pairs, threads, times: Vec::new(), of_second: Duration::ZERO }
    }

    fn round(&mut self) {
        let (before, allocations_before) = (self.threads.map(processor_time), allocations());
        talk(&self.pairs, PACKETS);
        let allocated = allocations() - allocations_before;
        // The look at a silence may let its list grow, once a thread.
        assert!(allocated <= 2, "{allocated} allocations for {PACKETS} packets");
        let [first, second] = self.threads.map(processor_time);
        self.times.push(first + second - before.iter().sum::<Duration>());
        self.of_second += second - before[1];
    }

    /// What its second thread did of all, in per cent.
    fn share(&self) -> f64 {
        self.of_second.as_secs_f64() / self.times.iter().sum::<Duration>().as_secs_f64() * 100.0
    }

    /// Nanoseconds for a packet, of the middle round.
    fn median(&self) -> f64 {
        median(self.times.iter().map(|time| time.as_nanos() as f64 / PACKETS as f64).collect())
    }

    /// How many times as much as another took it took, of the middle round.
    fn to(&self, other: &Self) -> f64 {
        let ratio = |(one, other): (&Duration, &Duration)| one.as_secs_f64() / other.as_secs_f64();
        median(self.times.iter().zip(&other.times).map(ratio).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ((_one, relayed), (_two, spread)) = (relay(1, STREAMS, None), relay(2, STREAMS, None));
    let ((one, passed), (two, parted)) = (bare("bare", 1, &stop), bare("both", 2, &stop));
    let mut contenders = [
        Contender::new(relayed, ["relay0", ""]),
        Contender::new(passed, ["bare0", ""]),
        Contender::new(spread, ["relay0", "relay1"]),
        Contender::new(parted, ["both0", "both1"]),
    ];
    // A first round for each, in which latches close and sockets are connected.
    contenders.iter().for_each(|contender| talk(&contender.pairs, PACKETS));
    for _ in 0..ROUNDS {
        contenders.iter_mut().for_each(Contender::round);
    }
    stop.store(true, Ordering::Relaxed);
    one.into_iter().chain(two).for_each(|thread| thread.join().unwrap());
    println!("{ROUNDS} rounds of {PACKETS} packets each, {STREAMS} streams; processor time for a packet:");
    let [relayed, passed, spread, parted] = &contenders;
    for (threads, relay, bare) in [("one thread", relayed, passed), ("two threads", spread, parted)] {
        let (ours, bare_ones) = (relay.median(), bare.median());
        println!("{threads}: relay {ours:.0} ns, bare sockets {bare_ones:.0} ns, {:.2} times as much", relay.to(bare));
    }
    println!("of two threads the second did {:.0} %; nothing is allocated for a packet", spread.share());
}
