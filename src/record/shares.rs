//! What is for strangers where calls are recorded: a quarter, so that their flood does
//! not push out what phones and uplinks began.

use std::collections::VecDeque;

/// One in so many is for strangers.
const STRANGERS: usize = 4;

/// How many calls began in a second.
#[derive(Debug, Default)]
pub(super) struct Begun {
    second: u64,
    all: usize,
    strangers: usize,
}

impl Begun {
    /// Whether one more may begin in this second, of at most so many.
    pub(super) fn admits(&mut self, second: u64, most: usize, strangers: bool) -> bool {
        if self.second != second {
            *self = Self { second, ..Self::default() };
        }
        if self.all >= most || strangers && self.strangers >= most / STRANGERS {
            return false;
        }
        self.all = self.all.saturating_add(1);
        self.strangers = self.strangers.saturating_add(usize::from(strangers));
        true
    }
}

/// Which one of a queue that is too long goes, of those that may: the first, or the first
/// of strangers where these have more than their share.
pub(super) fn surplus<T>(
    queue: &VecDeque<T>,
    most: usize,
    is_strangers: impl Fn(&T) -> bool,
    may_go: impl Fn(&T) -> bool,
) -> Option<usize> {
    let too_many_strangers = queue.iter().filter(|entry| is_strangers(entry)).count() > most / STRANGERS;
    if !too_many_strangers && queue.len() <= most {
        return None;
    }
    queue.iter().position(|entry| (is_strangers(entry) || !too_many_strangers) && may_go(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_begins_in_a_second_is_for_strangers() {
        let mut begun = Begun::default();
        let mut admitted = |second, strangers| (0..100).filter(|_| begun.admits(second, 20, strangers)).count();
        assert_eq!([admitted(1, true), admitted(1, false), admitted(2, false), admitted(2, true)], [5, 15, 20, 0]);
    }

    /// Numbers are recordings of strangers where they are above 100; 3 is still written to.
    #[test]
    fn a_flood_of_strangers_pushes_out_strangers_alone() {
        let mut kept = VecDeque::new();
        let mut add = |number| {
            kept.push_back(number);
            let surplus = surplus(&kept, 8, |&number| number > 100, |&number| number != 3);
            surplus.and_then(|at| kept.remove(at))
        };
        assert!((1..=6).all(|number| add(number).is_none()));
        let pushed_out: Vec<Option<u32>> = (101..=105).map(&mut add).collect();
        assert_eq!(pushed_out, [None, None, Some(101), Some(102), Some(103)]);
        // Those of others make way for each other.
        let pushed_out: Vec<Option<u32>> = (7..=10).map(&mut add).collect();
        assert_eq!(pushed_out, [Some(1), Some(2), Some(4), Some(5)]);
    }
}
