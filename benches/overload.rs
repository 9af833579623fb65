//! Three times as many INVITEs as the program handles: what goes on.
//!
//! `cargo bench --bench overload` starts the program on loopback, on one processor
//! where taskset(1) can see to that, sets up calls whose media runs, and finds out
//! how many INVITEs it passes on when each waits for one before. Then it sends
//! three times as many, whatever comes of them, and tells what passed, what became
//! of requests within a call meanwhile, and how much media was lost.
//!
//! The INVITEs are of calls that are there, so that it does not end when all ports
//! are taken; to the program each begins something, which is what makes way.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::indexing_slicing, missing_docs, reason = "a program of its own")]

mod daemon;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daemon::{Daemon, answer, lines, port, socket, text};

/// Calls with media, a packet each way every 20 ms.
const CALLS: usize = 50;
/// Calls of which the INVITEs are.
const OTHERS: usize = 1000;
/// INVITEs under way, when it is found out how many pass.
const WINDOW: usize = 32;
/// How long each part takes.
const PART: Duration = Duration::from_secs(3);
/// The overload.
const TIMES: f64 = 3.0;

const FAKE: &str = "127.0.0.1:25066";

fn sdp(family: &str, address: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}

fn with_body(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{head}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn invite(call: &str, port: u16) -> Vec<u8> {
    let head = format!(
        "INVITE sip:six@{FAKE} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:four@127.0.0.1>;tag=f\r\nTo: <sip:six@127.0.0.1>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:four@127.0.0.1:25070>\r\n"
    );
    with_body(&head, &sdp("IP4", "127.0.0.1", port))
}

/// What stands between the angle brackets of a line.
fn uri(line: &str) -> &str {
    line.split(['<', '>']).nth(1).unwrap()
}

/// A call that was answered.
struct Call {
    /// Its parties' sockets of media, and the ports of the relay that they send to.
    media: [(UdpSocket, SocketAddr); 2],
    /// A request within it.
    info: Vec<u8>,
}

fn establish(caller: &UdpSocket, callee: &UdpSocket, call: &str) -> Call {
    let media = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap()];
    media.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    let ports = media.each_ref().map(|socket| socket.local_addr().unwrap().port());
    caller.send_to(&invite(call, ports[0]), FAKE).unwrap();
    let (request, from) = text(callee);
    let ok = answer(&request, "sip:six@[::1]:25072", &sdp("IP6", "::1", ports[1]));
    callee.send_to(ok.as_bytes(), from).unwrap();
    let (ok, _) = text(caller);
    assert!(ok.starts_with("SIP/2.0 200"), "{ok}");
    let routes: Vec<_> = lines(&ok, &["Record-Route:"]).map(uri).collect();
    let routes: String = routes.iter().rev().map(|route| format!("Route: <{route}>\r\n")).collect();
    let target = uri(lines(&ok, &["Contact:"]).next().unwrap());
    let named: String = lines(&ok, &["From:", "To:", "Call-ID:"]).map(|line| format!("{line}\r\n")).collect();
    let info = format!(
        "INFO {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bKinfo\r\nMax-Forwards: 70\r\n{routes}{named}\
         CSeq: 2 INFO\r\nContent-Length: 0\r\n\r\n"
    );
    let relay = [format!("127.0.0.1:{}", port(&ok)), format!("[::1]:{}", port(&request))];
    let mut relay = relay.iter().map(|address| address.parse().unwrap());
    let media = media.map(|socket| (socket, relay.next().unwrap()));
    Call { media, info: info.into_bytes() }
}

/// Lets all calls talk until it is over: packets that were sent, and that came.
fn talk(calls: &[Call], over: &AtomicBool) -> (u64, u64) {
    let (mut sent, mut came, mut sequence) = (0, 0, 0u16);
    let mut buffer = [0; 256];
    let mut hear = || {
        let sockets = calls.iter().flat_map(|call| &call.media);
        sockets.map(|(socket, _)| std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count() as u64).sum::<u64>()
    };
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let mut packet = [0x55; 172];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        for (socket, relay) in calls.iter().flat_map(|call| &call.media) {
            socket.send_to(&packet, relay).unwrap();
            sent += 1;
        }
        sequence = sequence.wrapping_add(1);
        next += Duration::from_millis(20);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        came += hear();
    }
    thread::sleep(Duration::from_millis(200));
    (sent, came + hear())
}

/// What came out of the proxy: requests that begin something, and requests within calls.
fn count(callee: &UdpSocket, over: &AtomicBool) -> (u64, u64) {
    let (mut began, mut within) = (0, 0);
    let mut buffer = [0; 4096];
    callee.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    loop {
        match callee.recv(&mut buffer) {
            Ok(_) if buffer.starts_with(b"INVITE") => began += 1,
            Ok(_) => within += 1,
            Err(_) if over.load(Ordering::Relaxed) => return (began, within),
            Err(_) => {}
        }
    }
}

/// INVITEs a second that pass, when each waits for one before.
fn capacity(caller: &UdpSocket, callee: &UdpSocket, invites: &[Vec<u8>]) -> f64 {
    let mut buffer = [0; 4096];
    let (start, mut passed) = (Instant::now(), 0);
    for window in invites.chunks(WINDOW).cycle().take_while(|_| start.elapsed() < PART) {
        window.iter().for_each(|invite| _ = caller.send_to(invite, FAKE).unwrap());
        window.iter().for_each(|_| _ = callee.recv(&mut buffer).unwrap());
        passed += window.len();
    }
    passed as f64 / start.elapsed().as_secs_f64()
}

/// Sends so many INVITEs a second, and now and then a request within a call; how
/// many of both.
fn flood(caller: &UdpSocket, invites: &[Vec<u8>], rate: f64, calls: &[Call]) -> (u64, u64) {
    let (start, mut began, mut within) = (Instant::now(), 0u64, 0u64);
    for invite in invites.iter().cycle() {
        let elapsed = start.elapsed();
        if elapsed >= PART {
            break;
        }
        if (elapsed.as_secs_f64() * 100.0) as u64 > within {
            caller.send_to(&calls[within as usize % calls.len()].info, FAKE).unwrap();
            within += 1;
        }
        caller.send_to(invite, FAKE).unwrap();
        began += 1;
        let due = Duration::from_secs_f64(began as f64 / rate);
        if due > elapsed + Duration::from_millis(1) {
            thread::sleep(due - elapsed);
        }
    }
    (began, within)
}

fn main() {
    let (caller, callee) = (socket("127.0.0.1:25070"), socket("[::1]:25072"));
    let _daemon = Daemon::start_on_one(
        "-l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 -m [::1]:25072=127.0.0.1:25066",
    );
    let calls: Vec<_> = (0..CALLS).map(|number| establish(&caller, &callee, &format!("call{number}"))).collect();
    let invites: Vec<_> = (0..OTHERS).map(|number| invite(&format!("other{number}"), 40000)).collect();
    let mut buffer = [0; 4096];
    for invite in &invites {
        caller.send_to(invite, FAKE).unwrap();
        callee.recv(&mut buffer).unwrap();
    }
    let over = [(); 2].map(|()| AtomicBool::new(false));
    thread::scope(|scope| {
        let media = scope.spawn(|| talk(&calls, &over[0]));
        let capacity = capacity(&caller, &callee, &invites);
        println!("{CALLS} calls with media; {capacity:.0} INVITEs a second pass when each waits for one before");
        let counting = scope.spawn(|| count(&callee, &over[1]));
        let (sent, asked) = flood(&caller, &invites, capacity * TIMES, &calls);
        over[1].store(true, Ordering::Relaxed);
        let (passed, answered) = counting.join().unwrap();
        over[0].store(true, Ordering::Relaxed);
        let (packets, came) = media.join().unwrap();
        let seconds = PART.as_secs_f64();
        println!(
            "{:.0} a second were sent, {:.1} times as many: {:.0} a second passed, {:.2} times what passes without",
            sent as f64 / seconds,
            sent as f64 / seconds / capacity,
            passed as f64 / seconds,
            passed as f64 / seconds / capacity
        );
        println!("requests within a call: {asked} sent, {answered} passed");
        println!("media: {packets} packets sent, {} lost", packets.saturating_sub(came));
    });
}
