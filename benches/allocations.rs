//! How often the core takes memory from the heap for a message. Fails where a
//! message that begins no call does.
//!
//! `cargo bench --bench allocations`

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod counting;
mod messages;

use counting::allocations;
use messages::{CASES, Case};

const ROUNDS: u64 = 10_000;

fn main() {
    let mut failed = false;
    for name in CASES {
        let mut case = Case::new(name);
        let before = allocations();
        for _ in 0..ROUNDS {
            case.run();
        }
        let count = allocations() - before;
        println!("{name}: {} allocations a round", count as f64 / ROUNDS as f64);
        failed |= name != "call" && count > 0;
    }
    assert!(!failed, "a message that begins no call must take nothing from the heap");
}
