//! Memory of the daemon: idle, and for each call and each stream of one.
//!
//! `cargo bench --bench memory` starts the program on loopback, sets up calls of
//! one stream and of four through it, and reads its resident set (VmRSS). What the
//! kernel holds for the sockets, four a stream, is not in that.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod daemon;

use std::fmt::Write;
use std::net::UdpSocket;

use daemon::{Daemon, answer, socket, text};

/// Calls of each kind.
const CALLS: usize = 500;

fn sdp(family: &str, address: &str, streams: usize) -> String {
    let mut text = format!("v=0\r\no=- 1 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n");
    for stream in 0..streams {
        let _ = write!(text, "m=audio {} RTP/AVP 0\r\n", 40000 + 2 * stream);
    }
    text
}

/// One answered call with so many streams.
fn call(caller: &UdpSocket, callee: &UdpSocket, number: usize, streams: usize) {
    let body = sdp("IP4", "127.0.0.1", streams);
    let invite = format!(
        "INVITE sip:six@127.0.0.1:25066 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{streams}x{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:four@127.0.0.1>;tag=f\r\nTo: <sip:six@127.0.0.1>\r\nCall-ID: {streams}x{number}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:four@127.0.0.1:25070>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.send_to(invite.as_bytes(), "127.0.0.1:25066").unwrap();
    let (request, from) = text(callee);
    callee.send_to(answer(&request, "sip:six@[::1]:25072", &sdp("IP6", "::1", streams)).as_bytes(), from).unwrap();
    let (ok, _) = text(caller);
    assert!(ok.starts_with("SIP/2.0 200"), "{ok}");
}

fn main() {
    let (caller, callee) = (socket("127.0.0.1:25070"), socket("[::1]:25072"));
    let daemon = Daemon::start(
        "-l 127.0.0.1:25060 -L [::1]:25060 -m 127.0.0.1:25070=[::1]:25064 -m [::1]:25072=127.0.0.1:25066",
    );
    let idle = daemon.resident();
    (0..CALLS).for_each(|number| call(&caller, &callee, number, 1));
    let single = daemon.resident();
    (0..CALLS).for_each(|number| call(&caller, &callee, number, 4));
    let fourfold = daemon.resident();
    // x = call + stream, y = call + 4 streams.
    let (x, y) = ((single - idle) as f64 / CALLS as f64, (fourfold - single) as f64 / CALLS as f64);
    println!("idle: {idle} kB");
    println!("{CALLS} calls of one stream: {single} kB, {x:.2} kB a call");
    println!("and {CALLS} calls of four streams: {fourfold} kB, {y:.2} kB a call");
    println!("a stream: {:.2} kB, a call without its streams: {:.2} kB", (y - x) / 3.0, x - (y - x) / 3.0);
}
