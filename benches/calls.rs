//! What a call costs: the INVITE that begins it, with its sockets, and its end.
//!
//! `cargo bench --bench calls` starts the program on loopback and sends it INVITEs
//! of one stream, some always under way: each once, which begins a call and opens the
//! two sockets that it names; the same ones again, as a retransmission, which touches
//! no socket; and a 486 for each, which closes them. Other calls are answered: the 200
//! opens the other two sockets, and a BYE closes all four. Told is the processor time
//! of all threads of the daemon for a message, receiving and sending included.
//!
//! Then the same INVITEs come alone, with a pause between, as they do where nothing is
//! under load: told is how long each takes from its sender to its receiver, and the
//! processor time of it.
//!
//! Beside them stands what the kernel takes for four sockets that are made, bound,
//! watched with epoll(7) and closed, and nothing else: the floor.
//!
//! Rounds take turns, as a machine is never alone; the medians are told.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::indexing_slicing, missing_docs, reason = "a program of its own")]

mod daemon;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use daemon::{Daemon, socket};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

/// Calls of a round that are refused, and as many that are answered.
const CALLS: usize = 450;
/// Rounds. Ports rest for five seconds, so all together must find their own.
const ROUNDS: usize = 7;
/// Messages under way.
const WINDOW: usize = 32;
/// INVITEs that come alone.
const ALONE: usize = 400;
/// How long the daemon gets to do what is not done before a message leaves.
const SETTLE: Duration = Duration::from_millis(100);

/// Between messages that come alone.
const PAUSE: Duration = Duration::from_millis(1);

const PROXY: &str = "127.0.0.1:25066";

fn invite(round: usize, number: usize) -> Vec<u8> {
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8\r\n\
                a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n";
    format!(
        "INVITE sip:six@127.0.0.1:25066 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{round}x{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:four@127.0.0.1>;tag=f{round}x{number}\r\nTo: <sip:six@127.0.0.1>\r\n\
         Call-ID: {round}x{number}\r\nCSeq: 1 INVITE\r\nContact: <sip:four@127.0.0.1:25070>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The lines of the header of a message.
fn lines(message: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(message).unwrap().split("\r\n").take_while(|line| !line.is_empty())
}

/// A response to an INVITE as it came, but for what is behind its header.
fn response(status: &str, request: &[u8]) -> String {
    let kept = ["Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:"];
    let mut response = format!("SIP/2.0 {status}\r\n");
    for line in lines(request).filter(|line| kept.iter().any(|name| line.starts_with(name))) {
        response += line;
        response += if line.starts_with("To:") { ";tag=t\r\n" } else { "\r\n" };
    }
    response
}

fn busy(request: &[u8]) -> Vec<u8> {
    (response("486 Busy Here", request) + "Content-Length: 0\r\n\r\n").into_bytes()
}

fn answer(request: &[u8]) -> Vec<u8> {
    let body = "v=0\r\no=- 2 2 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0\r\n\
                a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n";
    let rest = format!(
        "Contact: <sip:six@[::1]:25072>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    (response("200 OK", request) + &rest).into_bytes()
}

/// The BYE of the caller to a 200 as it came.
fn bye(answer: &[u8]) -> Vec<u8> {
    let value = |name| lines(answer).find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let [from, to, call] = ["From:", "To:", "Call-ID:"].map(value);
    format!(
        "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bKb{call}\r\nMax-Forwards: 70\r\n\
         Route: {}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        value("Contact:").trim_matches(['<', '>']),
        value("Record-Route:"),
    )
    .into_bytes()
}

/// Sends messages, some under way at a time, and gives what came out of the proxy,
/// each with where it came from.
fn pass(from: &UdpSocket, to: &UdpSocket, messages: &[(Vec<u8>, SocketAddr)]) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 4096];
    let mut came = Vec::with_capacity(messages.len());
    for window in messages.chunks(WINDOW) {
        for (message, proxy) in window {
            from.send_to(message, proxy).unwrap();
        }
        for _ in window {
            let (length, proxy) = to.recv_from(&mut buffer).unwrap();
            came.push((buffer[..length].to_vec(), proxy));
        }
    }
    came
}

/// How long a message takes that comes alone: the median.
fn alone(caller: &UdpSocket, callee: &UdpSocket, invites: &[(Vec<u8>, SocketAddr)]) -> Duration {
    let mut buffer = [0; 4096];
    let mut took: Vec<_> = invites
        .iter()
        .map(|(invite, proxy)| {
            std::thread::sleep(PAUSE);
            let sent = Instant::now();
            caller.send_to(invite, proxy).unwrap();
            callee.recv(&mut buffer).unwrap();
            sent.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

/// What the kernel takes to open the sockets of so many streams, and to close them.
fn bare() -> [Duration; 2] {
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    let (start, mut sockets) = (own_time(), Vec::with_capacity(4 * CALLS));
    for number in 0..4 * CALLS {
        let socket = UdpSocket::bind(["127.0.0.1:0", "[::1]:0"][number % 2]).unwrap();
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
        sockets.push(socket);
    }
    let open = own_time();
    drop(sockets);
    [open - start, own_time() - open]
}

/// Processor time of this thread.
fn own_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Microseconds for a call, of the middle round.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_nanos() as f64 / CALLS as f64 / 1000.0
}

/// What is measured of a message: the processor time of all threads, and of each kind.
const THREADS: [&str; 4] = ["", "sip", "relay", "sipproxy64"];

fn times(daemon: &Daemon) -> [Duration; THREADS.len()] {
    let [all, sip, relay, main] = THREADS.map(|name| daemon.processor_time(name));
    // The name of the main thread, that of the program, begins so too.
    [all, sip.saturating_sub(main), relay, main]
}

/// What is measured, in this order.
const STEPS: [&str; 6] = [
    "an INVITE that begins a call",
    "its retransmission",
    "the 486 that ends it",
    "an INVITE that begins another call",
    "the 200 that answers it",
    "the BYE that ends it",
];
const BEGINNING: usize = 0;
const RETRANSMISSION: usize = 1;
const REFUSAL: usize = 2;
const OTHER_BEGINNING: usize = 3;
const ANSWER: usize = 4;

/// A reply to each message that came, for where it came from.
fn each(reply: fn(&[u8]) -> Vec<u8>, came: &[(Vec<u8>, SocketAddr)]) -> Vec<(Vec<u8>, SocketAddr)> {
    came.iter().map(|(message, proxy)| (reply(message), *proxy)).collect()
}

fn main() {
    let (caller, callee) = (socket("127.0.0.1:25070"), socket("[::1]:25072"));
    let daemon = Daemon::start(
        "-l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 -m [::1]:25072=127.0.0.1:25066",
    );
    let proxy: SocketAddr = PROXY.parse().unwrap();
    // The rounds of each step and each kind of thread.
    let mut took: [[Vec<Duration>; THREADS.len()]; STEPS.len()] = Default::default();
    let mut floor = [(); 2].map(|()| Vec::new());
    for round in 0..=ROUNDS {
        floor.iter_mut().zip(bare()).for_each(|(times, time)| times.push(time));
        let invites: Vec<_> = (0..CALLS).map(|number| (invite(round, number), proxy)).collect();
        let others: Vec<_> = (CALLS..2 * CALLS).map(|number| (invite(round, number), proxy)).collect();
        let mut came = Vec::new();
        for (step, took) in took.iter_mut().enumerate() {
            let before = times(&daemon);
            came = match step {
                BEGINNING | RETRANSMISSION => pass(&caller, &callee, &invites),
                REFUSAL => pass(&callee, &caller, &each(busy, &came)),
                OTHER_BEGINNING => pass(&caller, &callee, &others),
                ANSWER => pass(&callee, &caller, &each(answer, &came)),
                _ => pass(&caller, &callee, &each(bye, &came)),
            };
            std::thread::sleep(SETTLE);
            let after = times(&daemon);
            // The first round fills memory that is used again.
            if round > 0 {
                took.iter_mut()
                    .zip(after.iter().zip(before))
                    .for_each(|(took, (after, before))| took.push(*after - before));
            }
        }
    }
    println!(
        "{ROUNDS} rounds, {CALLS} of each message, {WINDOW} under way; calls of one stream; µs of processor time:"
    );
    println!("{:38}{:>8}{:>8}{:>8}{:>8}", "", "all", "sip", "relay", "main");
    for (name, took) in STEPS.into_iter().zip(took) {
        let [all, sip, relay, main] = took.map(median);
        println!("{name:38}{all:8.1}{sip:8.1}{relay:8.1}{main:8.1}");
    }
    let [open, close] = floor.map(median);
    println!("the kernel's part for four bare sockets: {open:.1} to open, {close:.1} to close");
    let invites: Vec<_> = (0..ALONE).map(|number| (invite(ROUNDS + 1, number), proxy)).collect();
    for name in &STEPS[..2] {
        let before = times(&daemon);
        let took = alone(&caller, &callee, &invites);
        std::thread::sleep(SETTLE);
        let mut after = times(&daemon).into_iter().zip(before).map(|(after, before)| after - before);
        let [all, sip, relay, main] = [(); 4].map(|()| after.next().unwrap().as_nanos() as f64 / ALONE as f64 / 1000.0);
        println!("{name:38}{all:8.1}{sip:8.1}{relay:8.1}{main:8.1}, alone: {} µs on its way", took.as_micros());
    }
}
