//! The lines at the ends of calls.
//!
//! Strangers begin calls at will, and each ends with a line: theirs are told at a
//! limited rate, and the others counted. Those of phones and uplinks are all told.

use std::time::Duration;

use tracing::info;

use crate::limit::{Bucket, Rate};
use crate::relay::Ending;

/// Of the calls that strangers asked for.
const STRANGERS: Rate = Rate { each: Duration::from_secs(1), burst: 300 };

/// What of the ends of calls was told.
#[derive(Debug, Default)]
pub(super) struct Endings {
    told: Bucket,
    untold: u64,
}

impl Endings {
    /// Whether this end is to be told now; else it is counted.
    pub(super) fn admits(&mut self, now: Duration, ending: &Ending) -> bool {
        let admitted = !ending.obituary.by_stranger || self.told.take(now, STRANGERS);
        self.untold = self.untold.saturating_add(u64::from(!admitted));
        admitted
    }

    /// Tells how many were not told.
    pub(super) fn log_held_back(&mut self) {
        match std::mem::take(&mut self.untold) {
            0 => {}
            count => info!(count, "calls of strangers ended that were not told one by one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Family, PerFamily};
    use crate::media::command::{End, Obituary};

    fn ending(by_stranger: bool) -> Ending {
        let obituary = Obituary {
            call_id: Vec::new(),
            end: End::Failed(486),
            parties: PerFamily::default(),
            caller: Family::V6,
            duration: Duration::ZERO,
            answered: false,
            rang: false,
            by_stranger,
            wishes: PerFamily::default(),
        };
        Ending { obituary, at: Duration::ZERO, streams: Vec::new() }
    }

    #[test]
    fn a_stranger_gets_a_line_a_second_and_a_phone_all() {
        let mut endings = Endings::default();
        let mut told = |at, by_stranger| (0..1000).filter(|_| endings.admits(at, &ending(by_stranger))).count();
        assert_eq!(told(Duration::ZERO, true), 300);
        assert_eq!(told(Duration::ZERO, false), 1000);
        assert_eq!(told(Duration::from_secs(60), true), 60);
        assert_eq!(endings.untold, 700 + 940);
        endings.log_held_back();
        assert_eq!(endings.untold, 0);
    }
}
