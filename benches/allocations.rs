//! How often the core takes memory from the heap for a message. Fails where a
//! message that begins no call does.
//!
//! `cargo bench --bench allocations`

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

mod messages;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use messages::{CASES, Case};

/// The allocator of the system, which is counted.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each method passes its arguments on to the system's allocator, which
// keeps the contract, and adds nothing that allocates or unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised us; it came from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised us; it came from the system's allocator.
        unsafe { System.realloc(place, layout, size) }
    }
}

const ROUNDS: u64 = 10_000;

fn main() {
    let mut failed = false;
    for name in CASES {
        let mut case = Case::new(name);
        let before = COUNT.load(Ordering::Relaxed);
        for _ in 0..ROUNDS {
            case.run();
        }
        let count = COUNT.load(Ordering::Relaxed) - before;
        println!("{name}: {} allocations a round", count as f64 / ROUNDS as f64);
        failed |= name != "call" && count > 0;
    }
    assert!(!failed, "a message that begins no call must take nothing from the heap");
}
