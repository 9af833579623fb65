//! The row of a name, found by its first sixteen bytes: a message has a dozen.

use super::HeaderName;
use super::table::TABLE;

/// How long a name in the table may be.
pub(super) const MAX_NAME: usize = 32;

/// The header field of a name, whose first bytes are these words.
#[inline]
pub(super) fn look_up(name: &[u8], words: Words) -> HeaderName {
    if let [letter] = name {
        let index = usize::from(letter.to_ascii_lowercase().wrapping_sub(b'a'));
        return COMPACT.get(index).copied().unwrap_or(HeaderName::OTHER);
    }
    let mut place = words.place(name.len());
    loop {
        let Some(known) = PLACES.get(place % PLACES.len()).and_then(|&index| KNOWN.get(usize::from(index))) else {
            return HeaderName::OTHER;
        };
        if known.is(name, words) {
            return known.name;
        }
        place += 1;
    }
}

/// The first sixteen bytes of a name, a shorter one with zeros behind it. Names are
/// compared and hashed by these, not byte by byte: a message has a dozen.
#[derive(Clone, Copy)]
pub(super) struct Words(pub(super) u64, pub(super) u64);

impl Words {
    #[allow(clippy::indexing_slicing)] // const, where there is no get: the index is below the length
    pub(super) const fn of(name: &[u8]) -> Self {
        let mut words = Self(0, 0);
        let mut index = 0;
        while index < name.len() && index < 16 {
            let byte = (name[index] as u64) << (index % 8 * 8);
            if index < 8 {
                words.0 |= byte;
            } else {
                words.1 |= byte;
            }
            index += 1;
        }
        words
    }

    /// Where in [`PLACES`] to begin to look for a name of that length, in any case.
    const fn place(self, length: usize) -> usize {
        const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
        let mixed = (self.0 | LOWER) ^ (self.1 | LOWER).rotate_left(27) ^ length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
    }

    /// Whether both are the same but for the case of letters, the one that is
    /// known in lower case.
    #[inline]
    fn is(self, known: Self) -> bool {
        let differs = |word: u64, known: u64| {
            // Of the bytes of a name, letters alone have this bit.
            let letters = known & u64::from_ne_bytes([0x40; 8]);
            (word ^ known) & !(letters >> 1)
        };
        differs(self.0, known.0) | differs(self.1, known.1) == 0
    }
}

/// A name of the table, ready to be compared.
struct Known {
    name: HeaderName,
    words: Words,
    length: usize,
}

impl Known {
    #[inline]
    fn is(&self, name: &[u8], words: Words) -> bool {
        self.length == name.len() && words.is(self.words) && (self.length <= 16 || self.is_within(name))
    }

    /// All of a name that is longer than its first sixteen bytes say.
    fn is_within(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name.name().as_bytes())
    }
}

/// The names of the table.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static KNOWN: [Known; TABLE.len()] = {
    let mut known = [const { Known { name: HeaderName::OTHER, words: Words(0, 0), length: 0 } }; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        let name = TABLE[index].name.as_bytes();
        let mut lower = [0; MAX_NAME];
        let mut at = 0;
        while at < name.len() {
            lower[at] = name[at].to_ascii_lowercase();
            at += 1;
        }
        let words = Words::of(lower.split_at(name.len()).0);
        known[index] = Known { name: HeaderName(index as u8), words, length: name.len() };
        index += 1;
    }
    known
};

/// A hash table of the rows: each stands at its place, or at the next one that is
/// free. Most are, and hold a number that is no row's.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static PLACES: [u8; 512] = {
    let mut places = [u8::MAX; 512];
    let mut index = 0;
    while index < TABLE.len() {
        let mut place = KNOWN[index].words.place(KNOWN[index].length);
        while places[place % places.len()] != u8::MAX {
            place += 1;
        }
        places[place % places.len()] = index as u8;
        index += 1;
    }
    places
};

/// The rows of the compact forms, by letter.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static COMPACT: [HeaderName; 26] = {
    let mut letters = [HeaderName::OTHER; 26];
    let mut index = 0;
    while index < TABLE.len() {
        if let Some(letter) = TABLE[index].compact {
            letters[(letter - b'a') as usize] = HeaderName(index as u8);
        }
        index += 1;
    }
    letters
};
