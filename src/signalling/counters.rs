//! What a SIP thread counts, and who was heard when.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Source;
use crate::config::{Config, Map};
use crate::family::{Family, PerFamily};
use crate::proxy::{Outcome, Reason};

/// What one SIP thread counted since the start. It alone writes, anybody reads;
/// the alignment keeps it off the cache lines of others. The processors of small
/// routers have no atomics of 64 bits: where a word has 32, a count begins anew after
/// four thousand million.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    received: AtomicUsize,
    forwarded: AtomicUsize,
    answered: AtomicUsize,
    dropped: AtomicUsize,
    keep_alives: AtomicUsize,
    shed: AtomicUsize,
}

/// What all SIP threads counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Datagrams that came in; the second pass of a hairpin counts again.
    pub received: u64,
    /// Messages that were forwarded.
    pub forwarded: u64,
    /// Requests that got an answer of our own, 200 included.
    pub answered: u64,
    /// Datagrams that were dropped.
    pub dropped: u64,
    /// Keep-alives.
    pub keep_alives: u64,
    /// Requests that begin something, dropped unread under overload: not counted above.
    pub shed: u64,
}

impl Counters {
    /// Counts what became of a datagram.
    pub(super) fn count(&self, outcome: Outcome) {
        add(&self.received, 1);
        let kind = match outcome {
            Outcome::Send { refused: None, .. } => &self.forwarded,
            Outcome::Send { refused: Some(_), .. } => &self.answered,
            Outcome::Drop(Reason::KeepAlive) => &self.keep_alives,
            Outcome::Drop(_) => &self.dropped,
        };
        add(kind, 1);
    }

    /// Counts requests that were dropped unread.
    pub(super) fn shed(&self, requests: usize) {
        add(&self.shed, requests);
    }

    /// Adds what was counted to `figures`.
    pub(super) fn add_to(&self, figures: &mut Figures) {
        for (sum, counter) in [
            (&mut figures.received, &self.received),
            (&mut figures.forwarded, &self.forwarded),
            (&mut figures.answered, &self.answered),
            (&mut figures.dropped, &self.dropped),
            (&mut figures.keep_alives, &self.keep_alives),
            (&mut figures.shed, &self.shed),
        ] {
            *sum = sum.saturating_add(counter.load(Relaxed) as u64);
        }
    }
}

/// So many more. The thread is the only writer, so that this needs no locked instruction.
fn add(counter: &AtomicUsize, more: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// When each phone, by its address, and each uplink was last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    phones: Vec<(SocketAddr, Duration)>,
    uplinks: PerFamily<Option<Duration>>,
}

/// When each phone and uplink was last heard: in seconds since the start, plus
/// one; 0: never. All SIP threads write.
#[derive(Debug, Default)]
pub(super) struct LastHeard {
    phones: Box<[AtomicUsize]>,
    uplinks: PerFamily<AtomicUsize>,
}

impl LastHeard {
    /// Nobody was heard yet.
    pub(super) fn new(config: &Config) -> Self {
        Self { phones: config.maps.iter().map(|_| AtomicUsize::new(0)).collect(), uplinks: PerFamily::default() }
    }

    /// What is known, for another configuration: of phones by their addresses, of uplinks
    /// where they stayed.
    pub(super) fn carried_over(&self, old: &Config, new: &Config) -> Self {
        let known: HashMap<SocketAddr, usize> =
            old.maps.iter().zip(&self.phones).map(|(map, heard)| (map.phone, heard.load(Relaxed))).collect();
        let phone = |map: &Map| AtomicUsize::new(known.get(&map.phone).copied().unwrap_or(0));
        let uplink = |side| if old.uplinks[side] == new.uplinks[side] { self.uplinks[side].load(Relaxed) } else { 0 };
        Self {
            phones: new.maps.iter().map(phone).collect(),
            uplinks: PerFamily::from_fn(|side| AtomicUsize::new(uplink(side))),
        }
    }

    /// What is known, as another process is told it.
    pub(super) fn save(&self, config: &Config) -> Heard {
        let phone = |(map, heard): (&Map, &AtomicUsize)| Some((map.phone, time(heard)?));
        Heard {
            phones: config.maps.iter().zip(&self.phones).filter_map(phone).collect(),
            uplinks: PerFamily::from_fn(|side| self.uplink(side)),
        }
    }

    /// What another process has heard, as far as it is of this configuration.
    pub(super) fn resumed(config: &Config, heard: &Heard) -> Self {
        let stamp = |time: Duration| AtomicUsize::new(stamp(time));
        let known: HashMap<SocketAddr, Duration> = heard.phones.iter().copied().collect();
        let phone = |map: &Map| known.get(&map.phone).copied().map_or_else(AtomicUsize::default, stamp);
        Self {
            phones: config.maps.iter().map(phone).collect(),
            uplinks: PerFamily::from_fn(|side| heard.uplinks[side].map_or_else(AtomicUsize::default, stamp)),
        }
    }

    /// A datagram came from there.
    pub(super) fn hear(&self, now: Duration, source: Source, side: Family) {
        let entry = match source {
            Source::Phone(index) => self.phones.get(index),
            Source::Uplink => Some(&self.uplinks[side]),
            Source::Ourselves | Source::Generic => None,
        };
        let stamp = stamp(now);
        // Most of the time it is there already, and the line stays shared.
        if let Some(entry) = entry.filter(|entry| entry.load(Relaxed) != stamp) {
            entry.store(stamp, Relaxed);
        }
    }

    /// When the phone of a map was last heard, to the second.
    pub(super) fn phone(&self, index: usize) -> Option<Duration> {
        self.phones.get(index).and_then(time)
    }

    /// When an uplink was last heard, to the second.
    pub(super) fn uplink(&self, side: Family) -> Option<Duration> {
        time(&self.uplinks[side])
    }
}

fn stamp(time: Duration) -> usize {
    usize::try_from(time.as_secs()).unwrap_or(usize::MAX).saturating_add(1)
}

fn time(stamp: &AtomicUsize) -> Option<Duration> {
    stamp.load(Relaxed).checked_sub(1).map(|seconds| Duration::from_secs(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_counted_adds_up() {
        let threads = [Counters::default(), Counters::default()];
        let (from, to) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        threads[0].count(Outcome::Send { from, to, refused: None });
        threads[1].count(Outcome::Send { from, to, refused: Some(Reason::Forbidden) });
        threads[1].count(Outcome::Drop(Reason::KeepAlive));
        threads[0].count(Outcome::Drop(Reason::ForeignResponse));
        let mut figures = Figures::default();
        threads.iter().for_each(|thread| thread.add_to(&mut figures));
        assert_eq!(figures, Figures { received: 4, forwarded: 1, answered: 1, dropped: 1, keep_alives: 1, shed: 0 });
    }

    #[test]
    fn who_was_heard_is_known_after_a_reload() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        let map = |phone: &str, fake: &str| Map { phone: phone.parse().unwrap(), fake: fake.parse().unwrap() };
        config.maps =
            vec![map("192.0.2.101:5060", "[2001:db8::101]:5060"), map("192.0.2.102:5060", "[2001:db8::102]:5060")];
        let heard = LastHeard::new(&config);
        heard.hear(Duration::from_millis(7900), Source::Phone(1), Family::V4);
        heard.hear(Duration::ZERO, Source::Uplink, Family::V6);
        assert_eq!((heard.phone(0), heard.phone(1)), (None, Some(Duration::from_secs(7))));
        let resumed = LastHeard::resumed(&config, &heard.save(&config));
        assert_eq!((resumed.phone(0), resumed.phone(1)), (None, Some(Duration::from_secs(7))));
        assert_eq!(resumed.uplink(Family::V6), Some(Duration::ZERO));
        let mut new = config.clone();
        new.maps.remove(0);
        let heard = heard.carried_over(&config, &new);
        assert_eq!(heard.phone(0), Some(Duration::from_secs(7)));
        assert_eq!((heard.uplink(Family::V4), heard.uplink(Family::V6)), (None, Some(Duration::ZERO)));
    }
}
