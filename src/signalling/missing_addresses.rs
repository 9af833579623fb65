//! Addresses of ours that this machine does not have, or not yet: nobody reaches them.
//!
//! With `--freebind` they may be missing at the start, and later each may go away, as
//! when a provider gives out another prefix. Sockets that are bound stay so.

use std::net::IpAddr;

use tracing::{info, warn};

use super::local_addresses::LocalAddresses;
use crate::config::Config;
use crate::interfaces::Absence;
use crate::socket::Role;

/// Those that were missing at the last look.
#[derive(Debug, Default)]
pub(super) struct MissingAddresses(Vec<IpAddr>);

impl MissingAddresses {
    /// Tells which have gone since the last look, and where one has come back that none is
    /// missing any more.
    pub(super) fn look(&mut self, config: &Config, local: &LocalAddresses) {
        let mut missing: Vec<(IpAddr, Role)> = Vec::new();
        for (ip, role) in Role::of_sip(config).map(|(at, role)| (at.ip(), role)) {
            // One address may have several fakes, by their ports.
            if !local.hears(ip) && missing.iter().all(|(known, _)| *known != ip) {
                missing.push((ip, role));
            }
        }
        let mut gone = missing.iter().filter(|(ip, _)| !self.0.contains(ip));
        if let Some(&(address, role)) = gone.next() {
            let others = Some(gone.count()).filter(|&others| others > 0);
            warn!(%address, %role, others, "nobody reaches us there: {}", Absence(address));
        }
        if missing.is_empty() && self.0.iter().any(|&ip| local.hears(ip)) {
            info!("all our addresses are there again");
        }
        self.0 = missing.into_iter().map(|(ip, _)| ip).collect();
    }
}
