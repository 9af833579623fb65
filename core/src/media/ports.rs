//! Which media ports are free on one side.
//!
//! Ports are handed out in pairs, named by their even one. A predictable port
//! would let a stranger aim at the next call, so a free pair is drawn with equal
//! chance for each. A freed pair *rests* before it is free again: packets of the
//! old call that are still under way must not reach a new one.

use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::saved::SetAside;
use crate::config::{PortOrder, PortRange};
use crate::family::Family;

/// How long the ports of an ended stream rest.
pub const REST: Duration = Duration::from_secs(5);

/// How long a port rests that another process was found to have.
pub const REST_TAKEN: Duration = Duration::from_secs(300);

/// The port pairs of one family.
///
/// ```
/// use std::time::Duration;
/// use sipproxy64_core::{config::{PortOrder, PortRange}, family::Family, media::ports::{PortPool, REST}};
/// let range = PortRange::new(16384, 16387).unwrap();
/// let mut pool = PortPool::new(range, PortOrder::Ascending, Family::V4);
/// assert_eq!(pool.take(Duration::ZERO), Some(16384));
/// assert_eq!(pool.take(Duration::ZERO), Some(16386));
/// pool.free(Duration::ZERO, 16384);
/// assert_eq!(pool.take(Duration::ZERO), None);
/// assert_eq!(pool.take(REST), Some(16384));
/// ```
#[derive(Debug)]
pub struct PortPool {
    range: PortRange,
    order: Order,
    state: Vec<State>,
    /// Freed pairs with when they are free again, soonest first.
    resting: VecDeque<(Duration, u16)>,
    /// The same for pairs of other processes.
    taken: VecDeque<(Duration, u16)>,
}

/// What a pair is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    InUse,
    Resting,
}

/// The free pairs, by index in the range, and who is next.
#[derive(Debug)]
enum Order {
    /// A bag of free pairs, of which any may be drawn.
    Random { free: Vec<u16>, draw: Draw },
    /// Upward from the pair handed out last, around at the top.
    Ascending { free: VecDeque<u16> },
}

impl PortPool {
    /// All pairs of the range, free. The two families draw apart, from one seed.
    pub fn new(range: PortRange, order: PortOrder, family: Family) -> Self {
        let all = 0..range.pairs();
        Self {
            range,
            order: match order {
                PortOrder::Random(seed) => Order::Random { free: all.collect(), draw: Draw::new(seed, family) },
                PortOrder::Ascending => Order::Ascending { free: all.collect() },
            },
            state: vec![State::Free; usize::from(range.pairs())],
            resting: VecDeque::new(),
            taken: VecDeque::new(),
        }
    }

    /// A pair, which is nobody else's until [`PortPool::free`]; its even port.
    pub fn take(&mut self, now: Duration) -> Option<u16> {
        self.wake(now);
        let index = match &mut self.order {
            Order::Random { free, draw } => {
                let count = free.len();
                (count > 0).then(|| free.swap_remove(draw.below(count)))
            }
            Order::Ascending { free } => free.pop_front(),
        }?;
        self.set(index, State::InUse);
        self.range.pair(index)
    }

    /// Gives a pair back; it rests for [`REST`]. One that is not in use stays as it is.
    pub fn free(&mut self, now: Duration, port: u16) {
        if let Some(index) = self.give_back(port) {
            self.resting.push_back((now.saturating_add(REST), index));
        }
    }

    /// Gives a pair back that another process has; it rests for [`REST_TAKEN`].
    pub fn taken(&mut self, now: Duration, port: u16) {
        if let Some(index) = self.give_back(port) {
            self.taken.push_back((now.saturating_add(REST_TAKEN), index));
        }
    }

    /// The pairs that rest, to be told to another process.
    pub fn save(&self) -> SetAside {
        let by_port = |queue: &VecDeque<(Duration, u16)>| {
            queue.iter().filter_map(|&(until, index)| Some((until, self.range.pair(index)?))).collect()
        };
        SetAside { resting: by_port(&self.resting), taken: by_port(&self.taken) }
    }

    /// Of a pool that is all free: the pairs that are in use, and those that rest.
    /// What is not in the range is no business of this pool.
    pub fn resume(&mut self, in_use: impl Iterator<Item = u16>, aside: &SetAside) {
        for port in in_use {
            if let Some(index) = self.index(port) {
                self.mark(index, State::InUse);
            }
        }
        self.resting = self.put_aside(&aside.resting);
        self.taken = self.put_aside(&aside.taken);
        let state = &self.state;
        let is_free = |index: &u16| state.get(usize::from(*index)) == Some(&State::Free);
        match &mut self.order {
            Order::Random { free, .. } => free.retain(is_free),
            Order::Ascending { free } => free.retain(is_free),
        }
    }

    fn put_aside(&mut self, ports: &[(Duration, u16)]) -> VecDeque<(Duration, u16)> {
        // A heap sorts too, with a tenth of the machine code.
        let mut pairs = BinaryHeap::new();
        for &(until, port) in ports {
            pairs
                .extend(self.index(port).filter(|&index| self.mark(index, State::Resting)).map(|index| (until, index)));
        }
        pairs.into_sorted_vec().into()
    }

    /// The place of a pair of the range.
    fn index(&self, port: u16) -> Option<u16> {
        let index = port.checked_sub(self.range.first())? / 2;
        (self.range.pair(index) == Some(port)).then_some(index)
    }

    /// Gives a free pair another state; `false`: it has one already.
    fn mark(&mut self, index: u16, state: State) -> bool {
        let slot = self.state.get_mut(usize::from(index)).filter(|slot| **slot == State::Free);
        slot.map(|slot| *slot = state).is_some()
    }

    /// How many pairs could be taken now.
    pub fn available(&mut self, now: Duration) -> usize {
        self.wake(now);
        match &self.order {
            Order::Random { free, .. } => free.len(),
            Order::Ascending { free } => free.len(),
        }
    }

    /// How many pairs are in use.
    pub fn in_use(&self) -> usize {
        self.state.iter().filter(|&&state| state == State::InUse).count()
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.state.len()
    }

    /// How many pairs rest, and how many are another program's.
    pub fn set_aside(&self) -> (usize, usize) {
        (self.resting.len(), self.taken.len())
    }

    fn give_back(&mut self, port: u16) -> Option<u16> {
        let index = self.index(port)?;
        let in_use = self.state.get(usize::from(index)) == Some(&State::InUse);
        in_use.then(|| self.set(index, State::Resting))?;
        Some(index)
    }

    fn set(&mut self, index: u16, state: State) {
        if let Some(slot) = self.state.get_mut(usize::from(index)) {
            *slot = state;
        }
    }

    /// Makes free what has rested.
    fn wake(&mut self, now: Duration) {
        while let Some(index) = rested(&mut self.resting, now).or_else(|| rested(&mut self.taken, now)) {
            self.set(index, State::Free);
            match &mut self.order {
                Order::Random { free, .. } => free.push(index),
                Order::Ascending { free } => free.push_back(index),
            }
        }
    }
}

/// The first pair of the queue, if it has rested.
fn rested(queue: &mut VecDeque<(Duration, u16)>, now: Duration) -> Option<u16> {
    let &(until, index) = queue.front()?;
    if until > now {
        return None;
    }
    queue.pop_front();
    Some(index)
}

/// Numbers that nobody can foresee: SipHash of a counter, under the seed.
#[derive(Debug)]
struct Draw {
    key: [u8; 16],
    drawn: u64,
}

impl Draw {
    fn new(seed: u64, family: Family) -> Self {
        Self { key: (u128::from(seed) | (family as u128) << 64).to_le_bytes(), drawn: 0 }
    }

    /// One of `0..bound`, each with the same chance. The bias of the remainder
    /// is below one in 2^48, as there are fewer than 2^16 pairs.
    fn below(&mut self, bound: usize) -> usize {
        self.drawn = self.drawn.wrapping_add(1);
        let hash = SipHasher24::new_with_key(&self.key).hash(&self.drawn.to_le_bytes());
        usize::try_from(hash % (bound.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "tests/ports.rs"]
mod tests;
