//! How many messages a second are copied where people look and nothing is kept
//! for long: under load a copy costs as much as the message itself, and nobody
//! can read that many.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// So many a second.
#[derive(Debug)]
pub(super) struct Pace {
    most: u32,
    second: AtomicU32,
    /// How many came in it.
    count: AtomicU32,
}

impl Pace {
    pub(super) fn new(most: u32) -> Self {
        Self { most, second: AtomicU32::new(0), count: AtomicU32::new(0) }
    }

    /// Whether one more may be copied. Threads that ask at the same moment may be
    /// let through as one: it is no limit to rely on, and costs no more than a look.
    pub(super) fn admits(&self, at: SystemTime) -> bool {
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        if self.second.load(Relaxed) != second {
            self.second.store(second, Relaxed);
            self.count.store(0, Relaxed);
        }
        let count = self.count.load(Relaxed);
        if count >= self.most {
            return false;
        }
        self.count.store(count.wrapping_add(1), Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        let pace = Pace::new(3);
        let admitted = |second| {
            let at = UNIX_EPOCH + Duration::from_secs(second);
            (0..10).filter(|_| pace.admits(at)).count()
        };
        assert_eq!([1000, 1000, 1001, 1_795_621_000].map(admitted), [3, 0, 3, 3]);
    }
}
