//! The clock: time since the start of the daemon, as the core counts it.

use std::time::{Duration, Instant, SystemTime};

/// The one clock of the process; copies of it tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What this clock told at its start.
    before: Duration,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self::resume(Duration::ZERO)
    }

    /// A clock that goes on from this time, which that of another process told
    /// just now: times that were noted there are good here.
    #[allow(clippy::disallowed_methods, reason = "the shell's one clock")]
    pub fn resume(time: Duration) -> Self {
        Self { start: Instant::now(), before: time }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.before.saturating_add(self.start.elapsed())
    }

    /// A time since the start as an instant, to sleep until; `None` if it is
    /// beyond what the system can count.
    pub fn instant(&self, time: Duration) -> Option<Instant> {
        self.start.checked_add(time.saturating_sub(self.before))
    }
}

/// The date and time, for what people and other programs read.
#[allow(clippy::disallowed_methods, reason = "nothing is decided by it")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_clock_goes_on() {
        let before = Duration::from_secs(1_000_000);
        let clock = Clock::resume(before);
        let now = clock.now();
        assert!(now >= before && now < before + Duration::from_secs(1000));
        // An instant of it is the time after the start of this process.
        let later = clock.instant(now + Duration::from_secs(5000)).unwrap();
        assert!(later > clock.instant(now).unwrap());
        assert!(clock.instant(before).unwrap() <= clock.instant(now).unwrap());
    }
}
