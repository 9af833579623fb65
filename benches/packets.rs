//! Packets through one thread of the relay, one at a time, for counting the
//! instructions that it takes for one: `benches/count packet`, and `benches/count copied`
//! where each is handed to an observer, as `--pcap-rtp` has it.
//!
//! The thread is woken for each packet, so that one is a wait, a receipt, a look at
//! the clock, and a sending, always the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod parties;

use parties::{relay, talk};
use sipproxy64::clock::Clock;
use sipproxy64::observer::{Crossed, Observer, Sink};

/// Looks at media, and does nothing with it.
struct Nothing;

impl Sink for Nothing {
    fn message(&mut self, _: &Crossed<'_>) {}

    fn wants_media(&self) -> bool {
        true
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(count) = arguments.next() else { return };
    // Its thread is there in both cases, so that the relay's is always the third.
    let (observer, _thread) = Observer::start(vec![Box::new(Nothing)], Clock::start()).unwrap().unwrap();
    let tap = arguments.next().and_then(|_| observer.tap());
    let (_relay, pairs) = relay(1, 1, tap);
    talk(&pairs, count.parse().unwrap());
}
