//! SipHash-2-4 (Aumasson and Bernstein 2012), with 64 and 128 bits.
//!
//! It takes in numbers as numbers and keeps what does not fill a word in one: a
//! message has some forty short fields under MACs, for which a hasher that copies
//! into a buffer takes three times as long.

/// A hash being computed. What is taken in may be parted in any way.
///
/// ```
/// use sipproxy64::siphash::SipHash;
/// let key = std::array::from_fn(|index| index as u8);
/// let mut hash = SipHash::new(&key);
/// hash.bytes(&[0, 1, 2, 3, 4, 5, 6]);
/// hash.word(u64::from_le_bytes([7, 8, 9, 10, 11, 12, 13, 14]));
/// assert_eq!(hash.finish(), 0xa129_ca61_49be_45e5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SipHash {
    state: [u64; 4],
    /// Bytes that do not fill a word yet, the first one lowest; 0 above them.
    held: u64,
    /// How many bits they take.
    bits: u32,
    /// How many bytes came, of which the lowest eight bits count.
    length: u64,
}

impl SipHash {
    /// One of 64 bits.
    pub fn new(key: &[u8; 16]) -> Self {
        let (front, back) = halves(u128::from_le_bytes(*key));
        let state = [
            front ^ 0x736f_6d65_7073_6575,
            back ^ 0x646f_7261_6e64_6f6d,
            front ^ 0x6c79_6765_6e65_7261,
            back ^ 0x7465_6462_7974_6573,
        ];
        Self { state, held: 0, bits: 0, length: 0 }
    }

    /// One of 128 bits.
    pub fn new128(key: &[u8; 16]) -> Self {
        let mut hash = Self::new(key);
        hash.state[1] ^= 0xee;
        hash
    }

    /// Takes in eight bytes, the lowest first.
    pub fn word(&mut self, word: u64) {
        self.part(word, 64);
    }

    /// Takes in four bytes, the lowest first.
    pub fn half_word(&mut self, word: u32) {
        self.part(word.into(), 32);
    }

    /// Takes in one byte.
    pub fn byte(&mut self, byte: u8) {
        self.part(byte.into(), 8);
    }

    /// Takes in bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let rest_bits = rest.len() as u32 * 8;
        if rest_bits == 0 {
            return;
        }
        let rest = match bytes.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - rest_bits),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        self.part(rest, rest_bits);
    }

    /// Takes in the lowest `bits` bits of a word, of which the others are 0.
    #[inline(always)] // with the number of bits known little is left of it
    fn part(&mut self, word: u64, bits: u32) {
        let (held, filled) = (self.held | word << self.bits, self.bits + bits);
        self.length = self.length.wrapping_add(u64::from(bits / 8));
        if filled < 64 {
            (self.held, self.bits) = (held, filled);
            return;
        }
        self.take(held);
        // What was shifted out: in two steps, as a shift by 64 is none.
        (self.held, self.bits) = (word >> 1 >> (63 - self.bits), filled - 64);
    }

    fn take(&mut self, word: u64) {
        self.state[3] ^= word;
        self.rounds(2);
        self.state[0] ^= word;
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.state;
        for _ in 0..count {
            a = a.wrapping_add(b);
            c = c.wrapping_add(d);
            b = b.rotate_left(13) ^ a;
            d = d.rotate_left(16) ^ c;
            a = a.rotate_left(32).wrapping_add(d);
            c = c.wrapping_add(b);
            d = d.rotate_left(21) ^ a;
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.state = [a, b, c, d];
    }

    /// The hash, of one of 64 bits.
    pub fn finish(mut self) -> u64 {
        self.take(self.held | self.length << 56);
        self.state[2] ^= 0xff;
        self.squeezed()
    }

    /// The hash, of one of 128 bits.
    pub fn finish128(mut self) -> u128 {
        self.take(self.held | self.length << 56);
        self.state[2] ^= 0xee;
        let front = self.squeezed();
        self.state[1] ^= 0xdd;
        u128::from(self.squeezed()) << 64 | u128::from(front)
    }

    fn squeezed(&mut self) -> u64 {
        self.rounds(4);
        self.state.iter().fold(0, |hash, word| hash ^ word)
    }
}

/// The lower and the upper half.
fn halves(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use proptest::prelude::*;
    use siphasher::{sip, sip128, sip128::Hasher128};

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_others_compute(
            key: [u8; 16],
            parts: Vec<(Vec<u8>, u64, u32, u8)>,
        ) {
            let (mut ours, mut ours128) = (SipHash::new(&key), SipHash::new128(&key));
            let mut all = Vec::new();
            for (bytes, word, half, byte) in parts {
                for hash in [&mut ours, &mut ours128] {
                    hash.bytes(&bytes);
                    hash.word(word);
                    hash.byte(byte);
                    hash.half_word(half);
                }
                all.extend_from_slice(&bytes);
                all.extend_from_slice(&word.to_le_bytes());
                all.push(byte);
                all.extend_from_slice(&half.to_le_bytes());
            }
            let mut theirs = sip::SipHasher24::new_with_key(&key);
            theirs.write(&all);
            prop_assert_eq!(ours.finish(), theirs.finish());
            let mut theirs = sip128::SipHasher24::new_with_key(&key);
            theirs.write(&all);
            prop_assert_eq!(ours128.finish128(), theirs.finish128().as_u128());
        }
    }

    #[test]
    fn the_vectors_of_its_authors() {
        let key = std::array::from_fn(|index| index as u8);
        assert_eq!(SipHash::new(&key).finish(), 0x726f_db47_dd0e_0e31);
        assert_eq!(SipHash::new128(&key).finish128().to_le_bytes()[..4], [0xa3, 0x81, 0x7f, 0x04]);
    }
}
