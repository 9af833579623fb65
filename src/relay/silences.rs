//! When connected sockets are to be opened again, should their party be silent.
//!
//! A party may move during a call; its packets from elsewhere are believed when
//! nothing came from the old place for a while. To hear them the socket must
//! not be connected any more by then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::key::SocketKey;

/// Deadlines are multiples of it, so that many are looked at in one waking.
const STEP: Duration = Duration::from_nanos(1_000_000_000 / 16);

/// The connected sockets of a thread, by the time at which to look at them again.
///
/// Each has one place, and finds a new one when it was looked at; packets that
/// come in between cost nothing here.
#[derive(Debug)]
pub(super) struct Silences {
    /// A place outlives its socket until it is due.
    deadlines: BinaryHeap<Reverse<(Duration, u64)>>,
    timer: TimerFd,
    /// What the timer is set to.
    next: Option<Duration>,
}

impl Silences {
    pub(super) fn new() -> nix::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { deadlines: BinaryHeap::new(), timer, next: None })
    }

    /// A socket is to be looked at again at this time, or a little later.
    pub(super) fn add(&mut self, now: Duration, until: Duration, socket: SocketKey) {
        let deadline = step_after(until);
        self.deadlines.push(Reverse((deadline, socket.datum())));
        self.set(now);
    }

    /// The next socket that is to be looked at now.
    pub(super) fn due(&mut self, now: Duration) -> Option<SocketKey> {
        let &Reverse((deadline, datum)) = self.deadlines.peek()?;
        if deadline > now {
            return None;
        }
        self.deadlines.pop();
        Some(SocketKey::from_datum(datum))
    }

    /// Sets the timer anew, after it went off.
    pub(super) fn went_off(&mut self, now: Duration) {
        // It never waits here: the timer was readable.
        let _ = self.timer.wait();
        self.next = None;
        self.set(now);
    }

    /// Lets the timer go off at the first deadline.
    fn set(&mut self, now: Duration) {
        let Some(&Reverse((deadline, _))) = self.deadlines.peek() else { return };
        if self.next.is_some_and(|next| next <= deadline) {
            return;
        }
        // Zero would mean never.
        let wait = deadline.saturating_sub(now).max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        // It only fails for times that are none.
        let _ = self.timer.set(expiration, TimerSetTimeFlags::empty());
        self.next = Some(deadline);
    }
}

impl AsFd for Silences {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// The first multiple of [`STEP`] that is not before this time.
fn step_after(time: Duration) -> Duration {
    let step = STEP.subsec_nanos();
    let nanos = time.subsec_nanos().div_ceil(step) * step;
    Duration::from_secs(time.as_secs()).saturating_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;
    use crate::media::stream::Component;
    use crate::relay::slab::Key;

    fn socket(index: u32) -> SocketKey {
        SocketKey { stream: Key { index, generation: 7 }, side: Family::V6, component: Component::Rtp }
    }

    #[test]
    fn the_first_deadline_comes_first_and_not_too_soon() {
        let mut silences = Silences::new().unwrap();
        let now = Duration::from_secs(100);
        let millis = |millis| now + Duration::from_millis(millis);
        silences.add(now, millis(2500), socket(2));
        silences.add(now, millis(1930), socket(1));
        assert_eq!(silences.due(millis(1930)), None);
        assert_eq!(silences.due(millis(1930) + STEP), Some(socket(1)));
        assert_eq!(silences.due(millis(1930) + STEP), None);
        assert_eq!(silences.due(millis(2500)), Some(socket(2)));
        assert_eq!(silences.due(millis(10_000)), None);
    }

    #[test]
    fn the_timer_is_set_for_the_first() {
        let mut silences = Silences::new().unwrap();
        let left = |silences: &Silences| match silences.timer.get().unwrap() {
            Some(Expiration::OneShot(time)) => Some(Duration::from(time)),
            _ => None,
        };
        assert_eq!(left(&silences), None);
        silences.add(Duration::ZERO, Duration::from_secs(2000), socket(1));
        assert!(left(&silences).unwrap() > Duration::from_secs(1000));
        silences.add(Duration::ZERO, Duration::from_secs(900), socket(2));
        assert!(left(&silences).unwrap() < Duration::from_secs(1000));
        assert_eq!(silences.due(Duration::from_secs(900)), Some(socket(2)));
        silences.went_off(Duration::from_secs(900));
        assert!(left(&silences).unwrap() > Duration::from_secs(1000));
    }

    #[test]
    fn steps_end_with_the_second() {
        for (nanos, expected) in [(0, 0), (1, STEP.subsec_nanos()), (999_999_999, 1_000_000_000)] {
            assert_eq!(step_after(Duration::from_nanos(nanos)), Duration::from_nanos(expected.into()));
        }
    }
}
