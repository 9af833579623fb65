//! A message is rewritten as a list of edits over its untouched original.
//!
//! [`Edits`] collects what to cut and what to put in its place; [`Edits::apply`]
//! copies the original with the edits carried out, so every byte that no edit
//! names leaves as it came. The lists are kept from message to message, which
//! makes rewriting free of allocation once they have grown.

use std::ops::Range;

use crate::text::Text;

/// A stretch of the original and the text that takes its place.
#[derive(Clone, Debug)]
struct Edit {
    at: Range<usize>,
    text: Range<usize>,
}

/// Replacements over one original, in the order of their places.
///
/// ```
/// use sipproxy64_core::edit::Edits;
/// let mut edits = Edits::default();
/// edits.replace(7..12, "Bob");
/// edits.insert(0, "> ");
/// let mut out = Vec::new();
/// edits.apply(b"Hello, Alice!", &mut out);
/// assert_eq!(out, b"> Hello, Bob!");
/// ```
#[derive(Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    texts: Vec<u8>,
}

impl Edits {
    /// Forgets all edits, keeping the room they took.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.texts.clear();
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `text` in the place of `at`.
    pub fn replace(&mut self, at: Range<usize>, text: impl Text) {
        let start = self.texts.len();
        text.write(&mut self.texts);
        self.push(at, start);
    }

    /// Puts `text` in front of the byte at `at`. Insertions at one place appear
    /// in the order in which they were made.
    pub fn insert(&mut self, at: usize, text: impl Text) {
        self.replace(at..at, text);
    }

    /// Cuts `at` out.
    pub fn remove(&mut self, at: Range<usize>) {
        self.replace(at, "");
    }

    fn push(&mut self, at: Range<usize>, start: usize) {
        if let Some(last) = self.edits.last_mut() {
            // Two insertions at one place are one: a Via, and a Record-Route or two. So
            // are host and port, and what is put right behind them.
            let adjoins = last.at.end == at.start && last.text.end == start;
            if adjoins && (at.is_empty() || !last.at.is_empty()) {
                (last.at.end, last.text.end) = (at.end, self.texts.len());
                return;
            }
        }
        let edit = Edit { at, text: start..self.texts.len() };
        // Nearly all come in their order.
        if self.edits.last().is_none_or(|last| key(&last.at) <= key(&edit.at)) {
            self.edits.push(edit);
        } else {
            self.put_in_order(edit);
        }
    }

    /// Behind those that belong before it, or at the same place.
    #[cold]
    fn put_in_order(&mut self, edit: Edit) {
        let place = self.edits.partition_point(|before| key(&before.at) <= key(&edit.at));
        self.edits.insert(place, edit);
    }

    /// How many bytes longer (or shorter) the edits between `from` and the end
    /// of the original make it.
    pub fn growth_behind(&self, from: usize) -> isize {
        let length = |range: &Range<usize>| isize::try_from(range.len()).unwrap_or(isize::MAX);
        let behind = self.edits.iter().rev().take_while(|edit| edit.at.start >= from);
        behind.map(|edit| length(&edit.text) - length(&edit.at)).sum()
    }

    /// Whether an edit touches what lies at or behind `from`.
    pub fn any_behind(&self, from: usize) -> bool {
        self.edits.last().is_some_and(|edit| edit.at.start >= from)
    }

    /// Writes `original` with the edits carried out behind what `out` holds.
    ///
    /// Edits must not overlap; of two that do, the one that starts later is left out.
    pub fn apply(&self, original: &[u8], out: &mut Vec<u8>) {
        out.reserve(original.len() + self.texts.len());
        let mut done = 0;
        for edit in &self.edits {
            let (Some(kept), Some(text)) = (original.get(done..edit.at.start), self.texts.get(edit.text.clone()))
            else {
                debug_assert!(false, "an edit at {:?} overlaps the one before it, which ends at {done}", edit.at);
                continue;
            };
            out.extend_from_slice(kept);
            out.extend_from_slice(text);
            done = edit.at.end;
        }
        out.extend_from_slice(original.get(done..).unwrap_or_default());
    }
}

/// Insertions at a place stand before a replacement that begins there.
fn key(at: &Range<usize>) -> (usize, bool) {
    (at.start, !at.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(original: &str, make: impl Fn(&mut Edits)) -> String {
        let mut edits = Edits::default();
        edits.clear();
        make(&mut edits);
        let mut out = Vec::new();
        edits.apply(original.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_to_change_changes_nothing() {
        assert_eq!(edited("abc", |_| ()), "abc");
    }

    #[test]
    fn edits_may_come_in_any_order() {
        let out = edited("abcdef", |edits| {
            edits.replace(4..5, "E");
            edits.remove(0..1);
            edits.insert(6, "!");
        });
        assert_eq!(out, "bcdEf!");
    }

    #[test]
    fn insertions_at_one_place_keep_their_order_and_stand_first() {
        let out = edited("abc", |edits| {
            edits.replace(1..2, "B");
            edits.insert(1, "1");
            edits.insert(1, "2");
        });
        assert_eq!(out, "a12Bc");
    }

    #[test]
    fn growth_counts_what_lies_behind() {
        let mut edits = Edits::default();
        edits.replace(0..1, "xxxx");
        edits.replace(5..8, "y");
        edits.insert(9, "zz");
        assert_eq!(edits.growth_behind(2), 0);
        assert_eq!(edits.growth_behind(0), 3);
        assert!(edits.any_behind(9));
        assert!(!edits.any_behind(10));
    }
}
