//! SIGUSR2: maps, names and uplinks as the configuration file has them now.
//!
//! Everything is read and checked first, and new fakes are bound, so that a
//! mistake changes nothing. Calls go on, also those of a map that is gone, as far
//! as what stands in their messages leads.

use std::collections::BinaryHeap;
use std::sync::Arc;

use tracing::{info, warn};

use super::{Daemon, written};
use crate::cli::Options;
use crate::config::{Config, Map};
use crate::family::Family;
use crate::observer::Change;

/// The options that take effect.
const RELOADED: [&str; 4] = ["map", "name", "uplink4", "uplink6"];

impl Daemon {
    pub(super) fn reload(&mut self) {
        if self.leaving {
            info!("nothing is reloaded, as this process only waits for its last calls");
            return;
        }
        self.service.reloading();
        if let Err(why) = self.read_again() {
            warn!("nothing is reloaded: {why}");
        }
        self.service.ready("SIP and media cross");
    }

    /// The error is why nothing was changed.
    fn read_again(&mut self) -> Result<(), String> {
        let options = self.options.again().map_err(|complaint| complaint.to_string())?;
        let old = Arc::clone(self.signalling.config());
        let config = Arc::new(with_new_addresses(&old, options.config.clone()));
        // Around the listen addresses that stay.
        config.check().map_err(|error| error.to_string())?;
        self.signalling.reconfigure(Arc::clone(&config)).map_err(|error| error.to_string())?;
        if let Some(observer) = &self.observer {
            observer.change(Change::Config(Arc::clone(&config)));
        }
        self.resolver.follow(&old, &config);
        let missing = |maps: &[Map], from: &[Map]| maps.iter().filter(|map| !from.contains(map)).count();
        info!(
            maps = config.maps.len(),
            added = missing(&config.maps, &old.maps),
            removed = missing(&old.maps, &config.maps),
            names = config.names.len(),
            uplink4 = written(&config, Family::V4),
            uplink6 = written(&config, Family::V6),
            "reloaded"
        );
        let unchanged = of_the_start(&self.options, &options);
        if !unchanged.is_empty() {
            warn!(
                options = unchanged.join(", "),
                "not reloaded, as it is read at the start only; a takeover (systemctl reload) changes it and keeps all \
                 calls, but listen4 and listen6 take a restart"
            );
        }
        Ok(())
    }
}

/// What may change, out of the new configuration; the rest out of the old one.
fn with_new_addresses(old: &Config, new: Config) -> Config {
    Config { maps: new.maps, names: new.names, uplinks: new.uplinks, ..old.clone() }
}

/// The names of options that differ now and count at the start only.
fn of_the_start<'a>(old: &'a Options, new: &'a Options) -> Vec<&'a str> {
    let differing = |these: &'a Options, others: &'a Options| {
        these.in_force.iter().filter(|line| !others.in_force.contains(line)).filter_map(|line| line.split(' ').next())
    };
    let names: BinaryHeap<&str> =
        differing(old, new).chain(differing(new, old)).filter(|name| !RELOADED.contains(name)).collect();
    let mut names = names.into_sorted_vec();
    names.dedup();
    names
}
