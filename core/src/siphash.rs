//! SipHash-2-4 over many short fields.
//!
//! A message has some forty of them under MACs. The hasher takes in a long run of
//! bytes far faster than short ones, so that fields are gathered first.

use std::hash::Hasher;

use siphasher::{sip, sip128};

use crate::config::Key;

/// As many bytes as are gathered: nearly every MAC has fewer.
const RUN: usize = 192;

/// A keyed hash being computed. What is taken in may be parted in any way.
///
/// ```
/// use sipproxy64_core::{config::Key, siphash::SipHash};
/// let mut hash = SipHash::new(&Key(std::array::from_fn(|index| index as u8)));
/// hash.bytes(&[0, 1, 2, 3, 4, 5, 6]);
/// hash.word(u64::from_le_bytes([7, 8, 9, 10, 11, 12, 13, 14]));
/// assert_eq!(hash.finish(), 0xa129_ca61_49be_45e5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SipHash<H = sip::SipHasher24> {
    /// What has taken in all but the run.
    hasher: H,
    run: [u8; RUN],
    length: usize,
}

impl SipHash {
    /// One of 64 bits.
    pub fn new(key: &Key) -> Self {
        Self::over(sip::SipHasher24::new_with_key(&key.0))
    }

    /// The hash.
    pub fn finish(&self) -> u64 {
        self.hasher.hash(self.gathered())
    }
}

impl SipHash<sip128::SipHasher24> {
    /// One of 128 bits.
    pub fn new128(key: &Key) -> Self {
        Self::over(sip128::SipHasher24::new_with_key(&key.0))
    }

    /// The hash.
    pub fn finish128(&self) -> u128 {
        self.hasher.hash(self.gathered()).as_u128()
    }
}

impl<H: Hasher + Copy> SipHash<H> {
    fn over(hasher: H) -> Self {
        Self { hasher, run: [0; RUN], length: 0 }
    }

    /// Takes in eight bytes, the lowest first.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    /// Takes in one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// Takes in bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let behind = self.length.saturating_add(bytes.len());
        match self.run.get_mut(self.length..behind) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = behind;
            }
            None => self.long(bytes),
        }
    }

    #[cold]
    fn long(&mut self, bytes: &[u8]) {
        self.hasher.write(self.run.get(..self.length).unwrap_or_default());
        self.hasher.write(bytes);
        self.length = 0;
    }

    /// What is not taken in yet.
    fn gathered(&self) -> &[u8] {
        self.run.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn how_it_is_parted_does_not_matter(key: [u8; 16], parts: Vec<(Vec<u8>, u64, u8)>) {
            let (mut parted, mut parted128) = (SipHash::new(&Key(key)), SipHash::new128(&Key(key)));
            let mut whole = Vec::new();
            for (bytes, word, byte) in parts {
                parted.bytes(&bytes);
                parted.word(word);
                parted.byte(byte);
                parted128.bytes(&bytes);
                parted128.word(word);
                parted128.byte(byte);
                whole.extend_from_slice(&bytes);
                whole.extend_from_slice(&word.to_le_bytes());
                whole.push(byte);
            }
            prop_assert_eq!(parted.finish(), sip::SipHasher24::new_with_key(&key).hash(&whole));
            prop_assert_eq!(parted128.finish128(), sip128::SipHasher24::new_with_key(&key).hash(&whole).as_u128());
        }
    }
}
