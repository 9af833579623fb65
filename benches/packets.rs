//! Packets through one thread of the relay, one at a time, for counting the
//! instructions that it takes for one: `benches/count packet`.
//!
//! The thread is woken for each packet, so that one is a wait, a receipt, a look at
//! the clock, and a sending, always the same.

#![allow(clippy::disallowed_types, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod parties;

use parties::{relay, talk};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(count) = arguments.next() else { return };
    let (_relay, pairs) = relay(1, 1);
    talk(&pairs, count.parse().unwrap());
}
