//! The relay loop on loopback: processor time and allocations for a packet,
//! against a bare pair of sockets in the same process.
//!
//! `cargo bench --bench relay` has one thread of the relay carry packets
//! between two parties, with some always under way, and then a loop that does
//! nothing but receive and send on connected sockets: what the kernel takes.
//! They take turns, as a machine is never alone; the medians are told, and the
//! ratio is what can be compared. That the relay allocates nothing for a packet
//! is asserted.

#![allow(clippy::disallowed_types, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sipproxy64::clock::Clock;
use sipproxy64::config::LatchMode;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{LegDescription, SessionId, StreamId};
use sipproxy64::relay::{Relay, RelayOptions, Stock, StreamSockets};
use sipproxy64::socket::SocketOptions;
use sipproxy64::streams::Transport;

/// Streams side by side.
const STREAMS: u16 = 64;
/// Packets of each round, all streams and both ways together.
const PACKETS: u64 = 64 * 2 * 400;
/// Rounds of each contender.
const ROUNDS: usize = 15;
const LOOPBACK: PerFamily<IpAddr> = PerFamily::new(IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));

/// Counts allocations of the whole process.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "it only counts, and leaves the work to the system's allocator")]
// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A party of one stream, and the port of the relay that it talks to.
struct Party {
    socket: UdpSocket,
    relay: SocketAddr,
}

impl Party {
    fn new(side: Family) -> Self {
        let socket = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, relay: SocketAddr::new(LOOPBACK[side], 0) }
    }

    fn describe(&self) -> LegDescription {
        let rtp = self.socket.local_addr().unwrap();
        let rtcp = Some(SocketAddr::new(rtp.ip(), 9));
        let acceptable = [Some(rtp.ip()), None];
        LegDescription { rtp: Some(rtp), rtcp, acceptable, transport: Transport::Rtp, budget: None }
    }

    fn send(&self, packet: &mut [u8; 172], sequence: u16) {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        self.socket.send_to(packet, self.relay).unwrap();
    }
}

type Pair = PerFamily<Party>;

/// Has all parties send and hear so many packets, each pair one each way at a time.
fn talk(pairs: &[Pair], packets: u64) {
    let mut packet = [0x55; 172];
    packet[..2].copy_from_slice(&[0x80, 0]);
    let mut buffer = [0; 2048];
    let rounds = packets / 2 / pairs.len() as u64;
    for round in 0..rounds {
        for pair in pairs {
            Family::BOTH.into_iter().for_each(|side| pair[side].send(&mut packet, round as u16));
        }
        for pair in pairs {
            for side in Family::BOTH {
                pair[side].socket.recv(&mut buffer).unwrap();
            }
        }
    }
}

/// Processor time that the threads of a name took so far.
fn processor_time(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let comm = std::fs::read_to_string(path.join("comm")).ok()?;
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        (comm.trim() == name).then(|| text.split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

/// The relay, one thread of it, and the parties.
fn relay() -> (Relay, Vec<Pair>) {
    let options = RelayOptions { threads: 1, ..RelayOptions::default() };
    let (mut relay, _notices) = Relay::start(Clock::start(), &options).unwrap();
    let mut ports = (20_000..32_000).step_by(2);
    let pairs = (0..STREAMS)
        .map(|number| {
            let (sockets, port) = ports
                .find_map(|port| {
                    let ports = PerFamily::new(port, port);
                    Some((StreamSockets::bind(LOOPBACK, ports, &mut Stock::none(SocketOptions::default())).ok()?, port))
                })
                .unwrap();
            let stream = StreamId(number.into());
            relay.open(SessionId(number.into()), stream, LatchMode::Signalled, sockets);
            PerFamily::from_fn(|side| {
                let mut party = Party::new(side);
                party.relay.set_port(port);
                relay.describe(stream, side, party.describe());
                party
            })
        })
        .collect();
    relay.wake();
    (relay, pairs)
}

/// Receives and sends, and does nothing else.
fn bare(stop: Arc<AtomicBool>) -> (std::thread::JoinHandle<()>, Vec<Pair>) {
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    let mut sockets = Vec::new();
    let pairs = (0..STREAMS)
        .map(|_| {
            PerFamily::from_fn(|side| {
                let mut party = Party::new(side);
                let ours = UdpSocket::bind((LOOPBACK[side], 0)).unwrap();
                ours.connect(party.socket.local_addr().unwrap()).unwrap();
                ours.set_nonblocking(true).unwrap();
                party.relay = ours.local_addr().unwrap();
                epoll.add(&ours, EpollEvent::new(EpollFlags::EPOLLIN, sockets.len() as u64)).unwrap();
                sockets.push(ours);
                party
            })
        })
        .collect();
    let run = move || {
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
    };
    (std::thread::Builder::new().name("bare".into()).spawn(run).unwrap(), pairs)
}

/// Nanoseconds for a packet, of the middle round.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_nanos() as f64 / PACKETS as f64
}

fn main() {
    let stop = Arc::new(AtomicBool::new(false));
    let (_relay, relayed) = relay();
    let (bare, passed) = bare(Arc::clone(&stop));
    let mut times = [Vec::new(), Vec::new()];
    // A first round for each, in which latches close and sockets are connected.
    talk(&relayed, PACKETS);
    talk(&passed, PACKETS);
    for _ in 0..ROUNDS {
        for ((name, pairs), times) in [("relay0", &relayed), ("bare", &passed)].into_iter().zip(&mut times) {
            let (before, allocations) = (processor_time(name), ALLOCATIONS.load(Ordering::Relaxed));
            talk(pairs, PACKETS);
            let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
            // The look at a silence may let its list grow, once.
            assert!(allocated <= 1, "{allocated} allocations for {PACKETS} packets");
            times.push(processor_time(name) - before);
        }
    }
    stop.store(true, Ordering::Relaxed);
    bare.join().unwrap();
    let [relay, bare] = times.map(median);
    println!("{ROUNDS} rounds of {PACKETS} packets each, {STREAMS} streams");
    println!("relay: {relay:.0} ns of processor time a packet, no allocation");
    println!("bare sockets: {bare:.0} ns, {:.2} times as much for the relay", relay / bare);
}
