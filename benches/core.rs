//! What the core costs for a message: parse, decide, rewrite, without sockets.
//!
//! `cargo bench --bench core`

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use sipproxy64::config::Key;
use sipproxy64::sip::message::{Fields, Message};
use sipproxy64::token::{Mac, Purpose};

mod messages;

use messages::{CASES, Case, SDP, request};

fn main() {
    divan::main();
}

#[divan::bench(args = CASES, sample_size = 1000)]
fn message(bencher: Bencher<'_, '_>, name: &str) {
    let mut case = Case::new(name);
    bencher.counter(BytesCount::new(case.length())).bench_local(|| case.run());
}

#[divan::bench(sample_size = 1000)]
fn parse_an_invite(bencher: Bencher<'_, '_>) {
    let bytes = request("INVITE", SDP);
    let mut fields = Fields::default();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let message = Message::parse(black_box(&bytes), &mut fields).unwrap();
        message.fields.len()
    });
}

#[divan::bench(sample_size = 1000)]
fn mac_of_a_token(bencher: Bencher<'_, '_>) {
    let key = Key([7; 16]);
    let endpoint = "192.0.2.100:5060".parse().unwrap();
    bencher.bench_local(|| Mac::new(black_box(&key), Purpose::Everybody).endpoint(black_box(endpoint)).finish());
}
