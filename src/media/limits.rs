//! How many sessions there may be, and how many one stranger may have asked for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::table::{Refusal, Sender};
use crate::config::Config;

/// Counts of sessions against their limits.
#[derive(Debug)]
pub struct Limits {
    max_calls: usize,
    max_calls_per_source: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            max_calls: config.max_calls.unwrap_or(usize::from(config.rtp_ports.pairs())),
            max_calls_per_source: config.max_calls_per_source,
            by_source: HashMap::new(),
        }
    }

    /// Counts one more session beside `sessions` others. The answer is the
    /// source it was counted for, to be given back by [`Limits::release`].
    pub fn admit(&mut self, sessions: usize, sender: Sender, from: IpAddr) -> Result<Option<IpAddr>, Refusal> {
        if sessions >= self.max_calls {
            return Err(Refusal::MaxCalls);
        }
        if sender == Sender::Known {
            return Ok(None);
        }
        let source = source(from);
        let count = self.by_source.get(&source).copied().unwrap_or(0);
        if count >= self.max_calls_per_source {
            return Err(Refusal::MaxCallsPerSource);
        }
        self.by_source.insert(source, count + 1);
        Ok(Some(source))
    }

    /// A session has ended that was counted for this source.
    pub fn release(&mut self, source: Option<IpAddr>) {
        let Some(source) = source else { return };
        match self.by_source.get_mut(&source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.by_source.remove(&source)),
        }
    }
}

/// What one subscriber has: an IPv4 address, or an IPv6 /64.
fn source(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}
