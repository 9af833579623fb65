//! How many packets go to an address that has not answered.
//!
//! Whoever describes a leg can name a stranger's address and have a call's
//! media sent there (the *voice hammer*, RFC 3264 §11, RFC 8445 §19.5.1). So
//! where the signalling does not show that the party is there, a few packets
//! go out until one comes back. All components of a leg share them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::command::LegDescription;

/// How often a leg gets its packets anew for yet another address.
const MAX_RENEWALS: u8 = 4;

/// The packets that one leg may still get without an answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// Of the description; `None`: any number.
    limit: Option<u16>,
    spent: u16,
    renewals: u8,
    /// Where RTP and RTCP were last to go.
    addresses: [Option<IpAddr>; 2],
    /// Which of these answered.
    answered: [bool; 2],
}

impl Allowance {
    /// Takes in a description. Another address gets packets of its own, but
    /// one that moves the leg on and on gets no more in the end; another port
    /// gets none.
    pub fn describe(&mut self, leg: &LegDescription) {
        self.limit = leg.budget;
        let mut moved = false;
        for ((address, answered), described) in
            self.addresses.iter_mut().zip(&mut self.answered).zip([leg.rtp, leg.rtcp])
        {
            let Some(described) = described.map(|endpoint| endpoint.ip()) else { continue };
            if *address != Some(described) {
                // The first address of all is no move.
                moved |= address.is_some();
                (*address, *answered) = (Some(described), false);
            }
        }
        if moved && self.limit.is_some() && self.renewals < MAX_RENEWALS {
            self.renewals += 1;
            self.spent = 0;
        }
    }

    /// A packet came from `address`.
    pub fn heard(&mut self, address: IpAddr) {
        for (described, answered) in self.addresses.iter().zip(&mut self.answered) {
            *answered |= *described == Some(address);
        }
    }

    /// Whether one more packet may go to `address`.
    pub fn spend(&mut self, address: IpAddr) -> bool {
        let Some(limit) = self.limit else { return true };
        let answered = self.addresses.iter().zip(&self.answered).any(|(a, &answered)| answered && *a == Some(address));
        if answered {
            return true;
        }
        let free = self.spent < limit;
        if free {
            self.spent = self.spent.saturating_add(1);
        }
        free
    }
}
