//! The core in a plain loop, for counting instructions, which is repeatable:
//!
//!     benches/count options invite ok
//!
//! builds it, runs each case twice under callgrind with different counts, and
//! prints the difference for one message.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod messages;

use std::hint::black_box;
use std::time::Duration;

use messages::{SDP, answer, endpoint, handle, proxy, request};
use sipproxy64::proxy::Datagram;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (Some(case), Some(count)) = (arguments.next(), arguments.next()) else { return };
    let count: usize = count.parse().unwrap();
    let (mut proxy, mut out) = (proxy(), Vec::with_capacity(65_536));
    if case == "ok" {
        let sdp = SDP.replace("IP4 192.0.2.100", "IP6 2001:db8::100");
        let bytes = answer(&mut proxy, &request("INVITE", SDP), &sdp);
        let (local, remote) = (endpoint("[2001:db8::1]:5060"), endpoint("[2001:db8::100]:5060"));
        for _ in 0..count {
            proxy.handle(Duration::ZERO, &Datagram { local, remote, bytes: black_box(&bytes) }, &mut out);
        }
        return;
    }
    let bytes = if case == "options" { request("OPTIONS", "") } else { request("INVITE", SDP) };
    for _ in 0..count {
        handle(&mut proxy, black_box(&bytes), &mut out);
    }
}
