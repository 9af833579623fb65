//! Counts of what strangers can provoke, told at a limited rate.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// The least time between two lines about one thing.
const LINE_PAUSE: Duration = Duration::from_secs(60);

/// How often each of a few kinds of things happened. The kinds must not be of a
/// stranger's making, or this would grow.
#[derive(Debug)]
pub(super) struct Tally<K> {
    kinds: HashMap<K, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    untold: u64,
    told: Option<Duration>,
}

impl Count {
    fn tell(&mut self, now: Duration) -> Option<u64> {
        let due = self.told.is_none_or(|told| now.saturating_sub(told) >= LINE_PAUSE);
        if self.untold == 0 || !due {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl<K: Eq + Hash + Copy> Tally<K> {
    /// Nothing happened yet.
    pub(super) fn new() -> Self {
        Self { kinds: HashMap::new() }
    }

    /// It happened so many times. If a line about it is due: how often since the
    /// last one.
    pub(super) fn count(&mut self, now: Duration, kind: K, times: u64) -> Option<u64> {
        let count = self.kinds.entry(kind).or_default();
        count.total = count.total.saturating_add(times);
        count.untold = count.untold.saturating_add(times);
        count.tell(now)
    }

    /// How often each kind happened since the start.
    pub(super) fn totals(&self) -> impl Iterator<Item = (K, u64)> {
        self.kinds.iter().map(|(&kind, count)| (kind, count.total))
    }

    /// What happened since the last line about it, where the next one is due.
    pub(super) fn due(&mut self, now: Duration) -> impl Iterator<Item = (K, u64)> {
        self.kinds.iter_mut().filter_map(move |(&kind, count)| Some((kind, count.tell(now)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gives_one_line_a_minute_and_loses_no_count() {
        let mut tally = Tally::new();
        let at = Duration::from_secs;
        assert_eq!(tally.count(at(1), "drop", 1), Some(1));
        assert_eq!(tally.count(at(2), "drop", 1), None);
        assert_eq!(tally.count(at(3), "drop", 1), None);
        assert_eq!(tally.count(at(3), "other", 1), Some(1));
        assert_eq!(tally.due(at(30)).count(), 0);
        assert_eq!(tally.due(at(61)).collect::<Vec<_>>(), [("drop", 2)]);
        assert_eq!(tally.count(at(62), "drop", 1), None);
        assert_eq!(tally.count(at(121), "drop", 1), Some(2));
        assert!(tally.totals().any(|total| total == ("drop", 5)));
    }
}
