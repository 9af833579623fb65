//! The clock: time since the start of the daemon, as the core counts it.

use std::time::{Duration, Instant};

/// The one clock of the process; copies of it tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[allow(clippy::disallowed_methods, reason = "the shell's one clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A time since the start as an instant, to sleep until; `None` if it is
    /// beyond what the system can count.
    pub fn instant(&self, time: Duration) -> Option<Instant> {
        self.start.checked_add(time)
    }
}
