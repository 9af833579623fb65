//! What is counted on when it is nowhere else any more.

use serde::{Deserialize, Serialize};

use crate::family::{Family, PerFamily};
use crate::media::command::End;
use crate::relay::{Ending, LegFigures};
use crate::status::{Ended, Media, Trouble as Told};

/// What was counted that is nowhere else any more: by ended calls, and of troubles by
/// the processes before this one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Past {
    pub(super) ended: Ended,
    media: PerFamily<Sums>,
    /// What was told last: counts never go back.
    told: PerFamily<Sums>,
    pub(super) troubles: Vec<Told>,
}

/// Media that came from one side.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    packets: u64,
    bytes: u64,
    lost: u64,
    refused: u64,
}

impl Sums {
    /// Adds what a side's legs counted.
    pub(super) fn add(&mut self, leg: &LegFigures) {
        self.packets = self.packets.saturating_add(leg.packets);
        self.bytes = self.bytes.saturating_add(leg.bytes);
        self.lost = self.lost.saturating_add(leg.lost);
        self.refused = self.refused.saturating_add(leg.refused);
    }
}

impl Past {
    /// A call has ended.
    pub(super) fn count(&mut self, ending: &Ending) {
        self.ended.count(ending.obituary.end);
        for side in Family::BOTH {
            self.media[side].add(&LegFigures::of(&ending.streams, side));
        }
    }

    /// All media since the start, with that of the calls there are. Where a call
    /// ends at this very moment it may be in neither: what was told stays told.
    pub(super) fn media(&mut self, now: PerFamily<Sums>) -> Vec<Media> {
        let media = Family::BOTH.map(|side| {
            let (told, past, now) = (&mut self.told[side], self.media[side], now[side]);
            *told = Sums {
                packets: told.packets.max(past.packets.saturating_add(now.packets)),
                bytes: told.bytes.max(past.bytes.saturating_add(now.bytes)),
                lost: told.lost.max(past.lost.saturating_add(now.lost)),
                refused: told.refused.max(past.refused.saturating_add(now.refused)),
            };
            let Sums { packets, bytes, lost, refused } = *told;
            Media { family: side.name(), packets, bytes, lost, refused }
        });
        media.into()
    }
}

impl Ended {
    fn count(&mut self, end: End) {
        let count = match end {
            End::Bye(_) => &mut self.hung_up,
            // No call yet: the next INVITE brings the password.
            End::Failed(401 | 407) | End::Shutdown => return,
            End::Failed(_) | End::NoPorts => &mut self.failed,
            End::Silence(_) => &mut self.silent,
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_asked_for_a_password_counts_once() {
        let mut ended = Ended::default();
        [End::Failed(407), End::Bye(Family::V4), End::Failed(486)].into_iter().for_each(|end| ended.count(end));
        assert_eq!(ended, Ended { hung_up: 1, failed: 1, silent: 0 });
    }

    #[test]
    fn counts_never_go_back_where_a_call_ends_in_between() {
        let mut past = Past::default();
        let sums = |packets| PerFamily::new(Sums { packets, ..Sums::default() }, Sums::default());
        assert_eq!(past.media(sums(500))[0].packets, 500);
        // Its end was not told yet, and its streams are gone.
        assert_eq!(past.media(sums(0))[0].packets, 500);
        past.media = sums(510);
        assert_eq!(past.media(sums(1))[0].packets, 511);
    }
}
