//! What the core costs for a message: parse, decide, rewrite, without sockets.
//!
//! `cargo bench --bench core`; the columns `alloc` show that no message of a
//! known call takes memory from the heap.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use sipproxy64::config::Key;
use sipproxy64::proxy::{Datagram, Outcome};
use sipproxy64::sip::message::{Fields, Message};
use sipproxy64::token::{Mac, Purpose};

mod messages;

use messages::{SDP, answer, endpoint, handle, proxy, request};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn bench_request(bencher: Bencher<'_, '_>, bytes: &[u8]) {
    let (mut proxy, mut out) = (proxy(), Vec::with_capacity(65_536));
    handle(&mut proxy, bytes, &mut out);
    bencher.counter(BytesCount::of_slice(bytes)).bench_local(|| handle(&mut proxy, black_box(bytes), &mut out));
}

#[divan::bench]
fn options(bencher: Bencher<'_, '_>) {
    bench_request(bencher, &request("OPTIONS", ""));
}

#[divan::bench]
fn invite_of_a_known_call(bencher: Bencher<'_, '_>) {
    bench_request(bencher, &request("INVITE", SDP));
}

#[divan::bench]
fn ok_of_a_known_call(bencher: Bencher<'_, '_>) {
    let mut proxy = proxy();
    let sdp = SDP.replace("IP4 192.0.2.100", "IP6 2001:db8::100");
    let bytes = answer(&mut proxy, &request("INVITE", SDP), &sdp);
    let mut out = Vec::with_capacity(65_536);
    let datagram =
        Datagram { local: endpoint("[2001:db8::1]:5060"), remote: endpoint("[2001:db8::100]:5060"), bytes: &bytes };
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let outcome = proxy.handle(Duration::ZERO, black_box(&datagram), &mut out);
        assert!(matches!(outcome, Outcome::Send { refused: None, .. }), "{outcome:?}");
        while proxy.next_command().is_some() {}
    });
}

#[divan::bench]
fn parse_an_invite(bencher: Bencher<'_, '_>) {
    let bytes = request("INVITE", SDP);
    let mut fields = Fields::default();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let message = Message::parse(black_box(&bytes), &mut fields).unwrap();
        message.fields.len()
    });
}

#[divan::bench]
fn mac_of_a_token(bencher: Bencher<'_, '_>) {
    let key = Key([7; 16]);
    let endpoint = endpoint("192.0.2.100:5060");
    bencher.bench_local(|| Mac::new(black_box(&key), Purpose::Everybody).endpoint(endpoint).finish());
}
