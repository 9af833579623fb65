//! How many sessions and streams there may be, and how many of them strangers
//! may have asked for, one alone and all together.
//!
//! Sessions are counted. One session can have many streams, each of which takes ports,
//! so the streams of strangers are counted too:
//!
//! * all strangers together have three quarters of the sessions and of the ports; the
//!   last quarter is for phones and uplinks, whatever strangers do;
//! * one stranger has at most four streams for each call that it may have, and at most
//!   half of what strangers have together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

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
    by_source: HashMap<IpAddr, Count>,
    /// What strangers have together.
    all: Count,
}

/// What one stranger has, or all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: usize,
    streams: usize,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(config: &Config) -> Self {
        let pairs = config.streams();
        let max_calls = config.max_calls.unwrap_or(pairs);
        let most = Count { calls: max_calls - max_calls / 4, streams: pairs - pairs / 4 };
        let by_calls = config.max_calls_per_source.saturating_mul(STREAMS_PER_CALL);
        Self {
            max_calls,
            max_calls_per_source: config.max_calls_per_source,
            max_streams_per_source: by_calls.min((most.streams / 2).max(STREAMS_AT_LEAST)),
            most,
            by_source: HashMap::new(),
            all: Count::default(),
        }
    }

    /// Counts a session of the process before with so many streams, whatever the limits.
    pub fn adopt(&mut self, source: Option<IpAddr>, streams: usize) {
        let Some(source) = source else { return };
        let count = self.by_source.entry(source).or_default();
        count.calls = count.calls.saturating_add(1);
        count.streams = count.streams.saturating_add(streams);
        self.all.calls = self.all.calls.saturating_add(1);
        self.all.streams = self.all.streams.saturating_add(streams);
    }

    /// Counts one more session beside `sessions` others, which needs so many
    /// streams and which this stranger, if it is one, asked for. The answer is the
    /// source that it was counted for, to be given back by [`Limits::release`].
    ///
    /// # Errors
    /// The limit that it would pass.
    pub fn admit(
        &mut self,
        sessions: usize,
        asked_by: Option<IpAddr>,
        streams: usize,
    ) -> Result<Option<IpAddr>, Refusal> {
        if sessions >= self.max_calls {
            return Err(Refusal::MaxCalls);
        }
        let Some(source) = asked_by.map(subscriber) else { return Ok(None) };
        let entry = self.by_source.entry(source);
        let count = match &entry {
            Entry::Occupied(occupied) => *occupied.get(),
            Entry::Vacant(_) => Count::default(),
        };
        if count.calls >= self.max_calls_per_source || count.streams + streams > self.max_streams_per_source {
            return Err(Refusal::MaxCallsPerSource);
        }
        if self.all.streams + streams > self.most.streams {
            return Err(Refusal::NoPorts);
        }
        if self.all.calls >= self.most.calls {
            return Err(Refusal::MaxCalls);
        }
        self.all.calls += 1;
        entry.insert_entry(Count { calls: count.calls + 1, ..count });
        Ok(Some(source))
    }

    /// Counts one more stream of a session that was counted for this source;
    /// `false`: that would be too many.
    pub fn admit_stream(&mut self, source: Option<IpAddr>) -> bool {
        let Some(count) = source.and_then(|source| self.by_source.get_mut(&source)) else { return true };
        let fits = count.streams < self.max_streams_per_source && self.all.streams < self.most.streams;
        if fits {
            count.streams += 1;
            self.all.streams += 1;
        }
        fits
    }

    /// A stream has ended, or had no ports after all, that was counted for this source.
    pub fn release_stream(&mut self, source: Option<IpAddr>) {
        if let Some(count) = source.and_then(|source| self.by_source.get_mut(&source)) {
            count.streams = count.streams.saturating_sub(1);
            self.all.streams = self.all.streams.saturating_sub(1);
        }
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

    /// A session has ended that was counted for this source, and so many streams with it.
    pub fn release(&mut self, source: Option<IpAddr>, streams: usize) {
        let Some(source) = source else { return };
        let Entry::Occupied(mut entry) = self.by_source.entry(source) else { return };
        self.all.calls = self.all.calls.saturating_sub(1);
        self.all.streams = self.all.streams.saturating_sub(streams);
        let count = entry.get_mut();
        if count.calls > 1 {
            count.calls -= 1;
            count.streams = count.streams.saturating_sub(streams);
        } else {
            entry.remove();
        }
    }
}
