//! Who has the media ports: what tells a busy proxy from one that lost count.

use std::fmt;
use std::time::Duration;

use super::session::Session;

/// The port pairs of the side that has the fewest left, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All pairs of the range.
    pub pairs: usize,
    /// Of answered calls.
    pub answered: usize,
    /// Of calls on hold.
    pub held: usize,
    /// Of calls that are not answered yet.
    pub ringing: usize,
    /// Given back a moment ago, so not handed out again yet.
    pub resting: usize,
    /// Found to be another program's.
    pub taken: usize,
    /// In use, but of no call that is known: there should be none.
    pub lost: usize,
    /// For how long the quietest call has given no sign of life, as far as is known.
    pub quietest: Duration,
}

impl Usage {
    /// Counts a session's pairs.
    pub fn count(&mut self, now: Duration, session: &Session) {
        let pairs = session.media.iter().filter(|media| media.allocation.is_some()).count();
        let of = if session.answered.is_none() || session.is_doubtful() {
            &mut self.ringing
        } else if session.is_quiet() {
            &mut self.held
        } else {
            &mut self.answered
        };
        *of = of.saturating_add(pairs);
        self.lost = self.lost.saturating_sub(pairs);
        self.quietest = self.quietest.max(now.saturating_sub(session.silent_since()));
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, answered, held, ringing, resting, taken, lost, quietest } = self;
        write!(f, "of {pairs} port pairs {answered} are of answered calls, {held} of calls on hold, ")?;
        write!(
            f,
            "{ringing} of ringing calls, {resting} rest after a call, {taken} are another program's, {lost} are "
        )?;
        write!(f, "lost; the quietest call gave its last sign of life {} s ago", quietest.as_secs())
    }
}
