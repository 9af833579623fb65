//! Who may still send its request: silent clients make way for new ones.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// Counts clients as they come.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    count: AtomicUsize,
    more: Notify,
}

impl Arrivals {
    /// One more has come; its number.
    pub(super) fn add(&self) -> usize {
        let number = self.count.fetch_add(1, Relaxed);
        self.more.notify_waiters();
        number
    }

    /// Returns once so many have come behind the one of this number.
    pub(super) async fn behind(&self, number: usize, many: usize) {
        // What it has sent already is read first.
        yield_now().await;
        loop {
            let more = self.more.notified();
            if self.count.load(Relaxed).wrapping_sub(number) > many {
                return;
            }
            more.await;
        }
    }
}
