//! How many sessions and streams there may be, and how many of them strangers
//! may have asked for, one alone and all together, and uplinks on trust.
//!
//! Sessions are counted. One session can have many streams, each of which takes ports,
//! so the streams of strangers are counted too:
//!
//! * all strangers together have three quarters of the sessions and of the ports; the
//!   last quarter is for phones and uplinks, whatever strangers do;
//! * one stranger has at most four streams for each call that it may have, and at most
//!   half of what strangers have together.
//!
//! The address of an uplink can be forged. So what it asks for is on trust until something
//! comes back from whoever is called; and that leaves an eighth, with what strangers have:
//! for phones, and for the calls that go on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::signal::Refusal;
use super::view::{LimitView, Nearness};
use crate::config::Config;
use crate::family::subscriber;

/// How many streams a stranger's calls have on average at the most.
const STREAMS_PER_CALL: usize = 4;

/// As many streams one stranger may have in any case, small as the range may be.
const STREAMS_AT_LEAST: usize = 8;

/// Counts of sessions and streams against their limits.
#[derive(Debug)]
pub struct Limits {
    max_calls: usize,
    max_calls_per_source: usize,
    max_streams_per_source: usize,
    /// Of strangers together.
    most: Count,
    /// Of these, and of what is on trust.
    most_on_trust: Count,
    by_source: HashMap<IpAddr, Count>,
    /// What strangers have together.
    all: Count,
    on_trust: Count,
}

/// For whom a session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charge {
    /// For nobody: a phone asked for it, or an uplink that was answered.
    Nobody,
    /// For this stranger.
    Stranger(IpAddr),
    /// For nobody yet: an uplink seems to have asked for it.
    OnTrust,
}

impl Charge {
    /// Whoever has one address of an IPv6 /64 has all.
    fn of_subscriber(self) -> Self {
        if let Self::Stranger(source) = self { Self::Stranger(subscriber(source)) } else { self }
    }

    /// Whether a stranger has asked.
    pub fn is_strangers(self) -> bool {
        matches!(self, Self::Stranger(_))
    }
}

/// What one stranger has, or all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Sessions.
    pub calls: usize,
    /// Their streams.
    pub streams: usize,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(config: &Config) -> Self {
        let pairs = config.streams();
        let max_calls = config.max_calls.unwrap_or(pairs);
        let all_but = |part| Count { calls: max_calls - max_calls / part, streams: pairs - pairs / part };
        let most = all_but(4);
        let by_calls = config.max_calls_per_source.saturating_mul(STREAMS_PER_CALL);
        Self {
            max_calls,
            max_calls_per_source: config.max_calls_per_source,
            max_streams_per_source: by_calls.min((most.streams / 2).max(STREAMS_AT_LEAST)),
            most,
            most_on_trust: all_but(8),
            by_source: HashMap::new(),
            all: Count::default(),
            on_trust: Count::default(),
        }
    }

    /// Counts so much more, whatever the limits. The answer is one that is passed now.
    pub fn add(&mut self, charge: Charge, more: Count) -> Option<Refusal> {
        let (together, most) = match charge {
            Charge::Nobody => return None,
            Charge::OnTrust => {
                self.on_trust = self.on_trust.and(more);
                (self.on_trust.and(self.all), self.most_on_trust)
            }
            Charge::Stranger(source) => {
                let count = self.by_source.entry(source).or_default();
                *count = count.and(more);
                self.all = self.all.and(more);
                if count.calls > self.max_calls_per_source || count.streams > self.max_streams_per_source {
                    return Some(Refusal::MaxCallsPerSource);
                }
                (self.all, self.most)
            }
        };
        if together.streams > most.streams {
            Some(Refusal::NoPorts)
        } else {
            (together.calls > most.calls).then_some(Refusal::MaxCalls)
        }
    }

    /// Counts so much less.
    pub fn release(&mut self, charge: Charge, less: Count) {
        let together = match charge {
            Charge::Nobody => return,
            Charge::OnTrust => &mut self.on_trust,
            Charge::Stranger(source) => {
                let Entry::Occupied(mut entry) = self.by_source.entry(source) else { return };
                let count = entry.get().without(less);
                if count.calls > 0 {
                    entry.insert(count);
                } else {
                    entry.remove();
                }
                &mut self.all
            }
        };
        *together = together.without(less);
    }

    /// Counts one more session beside `sessions` others, which needs so many streams.
    /// The answer is for whom it was counted, to be given back by [`Limits::release`].
    ///
    /// # Errors
    /// The limit that it would pass.
    pub fn admit(&mut self, sessions: usize, asked_by: Charge, streams: usize) -> Result<Charge, Refusal> {
        if sessions >= self.max_calls {
            return Err(Refusal::MaxCalls);
        }
        let charge = asked_by.of_subscriber();
        let passed = self.add(charge, Count { calls: 1, streams });
        // Each stream is counted when it has its ports.
        self.release(charge, Count { calls: usize::from(passed.is_some()), streams });
        passed.map_or(Ok(charge), Err)
    }

    /// Counts one more stream of a session; `false`: that would be too many.
    pub fn admit_stream(&mut self, charge: Charge) -> bool {
        let fits = self.add(charge, Count::STREAM).is_none();
        if !fits {
            self.release(charge, Count::STREAM);
        }
        fits
    }

    /// How near they are, with so many sessions. Takes a look at every source.
    pub fn view(&self, sessions: usize) -> LimitView {
        let busiest = self.by_source.values().map(|count| count.calls).max().unwrap_or(0);
        LimitView {
            calls: Nearness { now: sessions, most: self.max_calls },
            calls_of_one_source: Nearness { now: busiest, most: self.max_calls_per_source },
            calls_of_strangers: Nearness { now: self.all.calls, most: self.most.calls },
            streams_of_strangers: Nearness { now: self.all.streams, most: self.most.streams },
        }
    }
}

impl Count {
    /// A session, without its streams.
    pub const CALL: Self = Self { calls: 1, streams: 0 };
    /// A stream of one that is counted.
    pub const STREAM: Self = Self { calls: 0, streams: 1 };

    fn and(self, more: Self) -> Self {
        Self { calls: self.calls.saturating_add(more.calls), streams: self.streams.saturating_add(more.streams) }
    }

    fn without(self, less: Self) -> Self {
        Self { calls: self.calls.saturating_sub(less.calls), streams: self.streams.saturating_sub(less.streams) }
    }
}
