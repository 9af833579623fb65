//! Hashing without a key, for tables into which no stranger puts anything.
//!
//! Each message asks a dozen times whose an address is, each call some of its own
//! numbers: the standard library's hashing, which nobody can foresee, takes four times
//! as long.

use std::hash::{BuildHasherDefault, Hasher};

/// For tables whose keys are the configuration's, or numbers that we gave ourselves.
pub type Hashing = BuildHasherDefault<Mixed>;

/// A few multiplications.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixed(u64);

impl Mixed {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixed {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.mix(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    #[inline]
    fn write_u16(&mut self, port: u16) {
        self.mix(port.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    /// Which variant of an enum.
    #[inline]
    fn write_isize(&mut self, variant: isize) {
        self.mix(variant as u64);
    }

    /// The length of an address, which says nothing beside its family.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        // The table looks at the highest bits and at the lowest ones.
        self.0 ^ self.0 >> 32
    }
}
