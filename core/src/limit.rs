//! How often: one subscriber gets an answer of our own, or a thing is said.
//!
//! Whoever forges the source of requests makes us answer somebody else. So our
//! own answers are counted by whom they go to, an IPv4 address or an IPv6 /64,
//! and above a rate they are left out. What phones answer is not limited here.
//!
//! The counts stand in tables of fixed size, found by a keyed hash: strangers
//! cannot make them grow, nor choose whom they share a place with. Two that share
//! one by chance share its rate.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Key;
use crate::family::subscriber;
use crate::token::{Mac, Purpose};

/// Places for strangers: 64 KiB.
const STRANGER_PLACES: usize = 4096;

/// Places for phones and uplinks: 8 KiB.
const KNOWN_PLACES: usize = 512;

/// A rate with some patience.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The time that one takes up.
    pub each: Duration,
    /// How many may come at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// For what would be said again and again.
    pub const ONCE_A_MINUTE: Self = Self { each: Duration::from_secs(60), burst: 1 };
}

/// A stranger: ten a second, fifty at once. Enough for whoever tries out why a
/// call is refused, and for the retransmissions of it.
const STRANGER_RATE: Rate = Rate { each: Duration::from_millis(100), burst: 50 };

/// A phone or an uplink: a hundred a second, five hundred at once. An uplink may
/// stand for many customers; but its address can be forged too.
const KNOWN_RATE: Rate = Rate { each: Duration::from_millis(10), burst: 500 };

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A phone or an uplink.
    Known,
    /// Anybody else.
    Stranger,
}

/// Counts of our own answers.
///
/// ```
/// use std::time::Duration;
/// use sipproxy64_core::config::Key;
/// use sipproxy64_core::limit::{AnswerLimit, Asker};
/// let mut limit = AnswerLimit::new(&Key([7; 16]));
/// let victim = "203.0.113.9".parse()?;
/// let granted = (0..1000).filter(|_| limit.admits(Duration::ZERO, victim, Asker::Stranger)).count();
/// assert_eq!(granted, 50);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct AnswerLimit {
    key: Key,
    strangers: Box<[Bucket]>,
    known: Box<[Bucket]>,
}

/// A token bucket as the one time at which it is full again (the "theoretical
/// arrival time" of ATM's generic cell rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Whether there is room for one more; takes it if so.
    pub fn take(&mut self, now: Duration, rate: Rate) -> bool {
        let full_at = self.full_at.max(now).saturating_add(rate.each);
        let fits = full_at.saturating_sub(now) <= rate.each.saturating_mul(rate.burst);
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

/// The counts as another process is told them: the places that are not full,
/// with when they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedLimit {
    strangers: Vec<(u16, Duration)>,
    known: Vec<(u16, Duration)>,
}

impl AnswerLimit {
    /// Nobody was answered yet. `key` makes the places of the tables unforeseeable.
    pub fn new(key: &Key) -> Self {
        let buckets = |count| vec![Bucket::default(); count].into_boxed_slice();
        Self { key: *key, strangers: buckets(STRANGER_PLACES), known: buckets(KNOWN_PLACES) }
    }

    /// What another process with the same key needs to count on.
    pub fn save(&self, now: Duration) -> SavedLimit {
        let due = |buckets: &[Bucket]| {
            let places = (0..).zip(buckets).filter(|(_, bucket)| bucket.full_at > now);
            places.map(|(place, bucket)| (place, bucket.full_at)).collect()
        };
        SavedLimit { strangers: due(&self.strangers), known: due(&self.known) }
    }

    /// Counts on where another process stopped.
    pub fn resume(&mut self, saved: &SavedLimit) {
        let take = |buckets: &mut [Bucket], saved: &[(u16, Duration)]| {
            for &(place, full_at) in saved {
                if let Some(bucket) = buckets.get_mut(usize::from(place)) {
                    bucket.full_at = full_at;
                }
            }
        };
        take(&mut self.strangers, &saved.strangers);
        take(&mut self.known, &saved.known);
    }

    /// Whether an answer may go to this address now; counts it if so.
    pub fn admits(&mut self, now: Duration, to: IpAddr, asker: Asker) -> bool {
        let seal = Mac::new(&self.key, Purpose::Limit).address(subscriber(to)).finish();
        let (buckets, rate) = match asker {
            Asker::Known => (&mut self.known, KNOWN_RATE),
            Asker::Stranger => (&mut self.strangers, STRANGER_RATE),
        };
        let count = u64::try_from(buckets.len()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(seal.0 % count).unwrap_or(0);
        buckets.get_mut(place).is_some_and(|bucket| bucket.take(now, rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limit() -> AnswerLimit {
        AnswerLimit::new(&Key([1; 16]))
    }

    fn granted(limit: &mut AnswerLimit, now: Duration, to: &str) -> usize {
        (0..1000).filter(|_| limit.admits(now, ip(to), Asker::Stranger)).count()
    }

    #[test]
    fn after_the_burst_the_rate_is_left() {
        let mut limit = limit();
        assert_eq!(granted(&mut limit, Duration::ZERO, "192.0.2.9"), 50);
        assert_eq!(granted(&mut limit, Duration::from_secs(1), "192.0.2.9"), 10);
        assert_eq!(granted(&mut limit, Duration::from_millis(1099), "192.0.2.9"), 0);
        assert_eq!(granted(&mut limit, Duration::from_secs(60), "192.0.2.9"), 50);
    }

    #[test]
    fn another_process_counts_on() {
        let mut limit = limit();
        assert_eq!(granted(&mut limit, Duration::ZERO, "192.0.2.9"), 50);
        let saved: SavedLimit =
            postcard::from_bytes(&postcard::to_allocvec(&limit.save(Duration::ZERO)).unwrap()).unwrap();
        let mut next = self::limit();
        next.resume(&saved);
        assert_eq!(granted(&mut next, Duration::from_secs(1), "192.0.2.9"), 10);
        assert_eq!(granted(&mut next, Duration::from_secs(1), "192.0.2.8"), 50);
        // Two bytes or more for each place: only those that matter travel.
        assert!(limit.save(Duration::from_secs(60)).strangers.is_empty());
    }

    #[test]
    fn a_subscriber_is_an_ipv4_address_or_an_ipv6_64() {
        let mut limit = limit();
        assert_eq!(granted(&mut limit, Duration::ZERO, "192.0.2.9"), 50);
        assert_eq!(granted(&mut limit, Duration::ZERO, "192.0.2.10"), 50);
        assert_eq!(granted(&mut limit, Duration::ZERO, "2001:db8:9::55"), 50);
        assert_eq!(granted(&mut limit, Duration::ZERO, "2001:db8:9::66"), 0);
        assert_eq!(granted(&mut limit, Duration::ZERO, "2001:db8:9:1::66"), 50);
        // The same host in another dress.
        for dressed in ["::ffff:192.0.2.9", "2002:c000:209::1", "2002:c000:209:7::1", "64:ff9b::192.0.2.9"] {
            assert_eq!(granted(&mut limit, Duration::ZERO, dressed), 0, "{dressed}");
        }
    }

    #[test]
    fn once_a_minute_is_once_a_minute() {
        let mut bucket = Bucket::default();
        let seconds = [0, 0, 1, 59, 60, 61, 119, 120, 1000].map(Duration::from_secs);
        let said = seconds.map(|now| bucket.take(now, Rate::ONCE_A_MINUTE));
        assert_eq!(said, [true, false, false, false, true, false, false, true, true]);
    }

    #[test]
    fn phones_and_uplinks_have_ten_times_as_much() {
        let mut limit = limit();
        let known = |limit: &mut AnswerLimit| {
            (0..1000).filter(|_| limit.admits(Duration::ZERO, ip("192.0.2.9"), Asker::Known)).count()
        };
        assert_eq!(granted(&mut limit, Duration::ZERO, "192.0.2.9"), 50);
        assert_eq!(known(&mut limit), 500);
    }

    #[test]
    fn a_flood_of_forged_sources_is_bounded_in_all() {
        let mut limit = limit();
        let sources = (0..200_000u32).map(|number| IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number)));
        let all = sources
            .map(|source| (0..51).filter(|_| limit.admits(Duration::ZERO, source, Asker::Stranger)).count())
            .sum::<usize>();
        assert!(all <= 50 * STRANGER_PLACES, "{all}");
    }
}
