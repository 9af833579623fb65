//! Made-up words.

use crate::config::Key;
use crate::token::{Mac, Purpose, Seal};

/// How much of a word is made up in one piece.
const PIECE: usize = 32;

/// Makes words up: of the same length, letters for letters and digits for digits,
/// upper case where it was, and never one for two words that differ. Which word
/// was meant depends on a key that nobody keeps.
#[derive(Debug)]
pub(super) struct Words {
    key: Key,
}

impl Words {
    pub(super) fn new(key: Key) -> Self {
        Self { key }
    }

    /// What stands for a word of letters and digits. The digits of a signature
    /// stay hexadecimal ones.
    pub(super) fn word(&self, word: &[u8]) -> Vec<u8> {
        if Seal::parse(word).is_some() {
            let seal = self.mac(2, 0).name(word).finish().to_string();
            let upper = word.iter().any(u8::is_ascii_uppercase);
            return if upper { seal.to_uppercase() } else { seal }.into_bytes();
        }
        word.chunks(PIECE).flat_map(|piece| self.piece(piece)).collect()
    }

    /// Each letter moves on in the alphabet by what all others say, so that no
    /// part of a word shows which it was: first by those before it, then, of
    /// what came of that, by those behind it.
    fn piece(&self, piece: &[u8]) -> Vec<u8> {
        let mut letters = piece.to_ascii_lowercase();
        for (pass, length) in [(0, letters.len()), (1, letters.len())] {
            let before = letters.clone();
            for at in 0..length {
                let place = if pass == 0 { at } else { length.saturating_sub(at).saturating_sub(1) };
                let others = if pass == 0 { before.get(..place) } else { before.get(place.saturating_add(1)..) };
                let mac = self.mac(pass, length).bytes(others.unwrap_or_default()).finish();
                if let Some(letter) = letters.get_mut(place) {
                    *letter = moved(*letter, mac.0);
                }
            }
        }
        for (letter, was) in letters.iter_mut().zip(piece) {
            if was.is_ascii_uppercase() {
                letter.make_ascii_uppercase();
            }
        }
        letters
    }

    /// What stands for an escaped character: a digit for a letter or a digit, so
    /// that it is one that needs no escape, as it was.
    pub(super) fn escaped(&self, [high, low]: [u8; 2]) -> [u8; 3] {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
        let meant = digit(high) << 4 | digit(low);
        if meant.is_ascii_alphanumeric() || !meant.is_ascii() {
            [b'%', b'3', moved(b'0', self.mac(3, 0).bytes(&[meant]).finish().0)]
        } else {
            [b'%', high, low]
        }
    }

    fn mac(&self, pass: u64, length: usize) -> Mac {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let mut mac = Mac::new(&self.key, Purpose::Pseudonym);
        mac.number(pass).number(length);
        mac
    }
}

/// A letter or digit so many further on.
fn moved(letter: u8, by: u64) -> u8 {
    let (first, count) = if letter.is_ascii_digit() { (b'0', 10) } else { (b'a', 26) };
    let step = u8::try_from(by % u64::from(count)).unwrap_or(0);
    first.saturating_add((letter.saturating_sub(first).saturating_add(step)) % count)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_keep_their_form_and_stay_apart() {
        let words = Words::new(Key([3; 16]));
        let text = |word: &str| String::from_utf8(words.word(word.as_bytes())).unwrap();
        let made = text("Bob7");
        assert!(made.len() == 4 && made != "Bob7", "{made}");
        assert!(
            made.starts_with(|letter: char| letter.is_ascii_uppercase())
                && made.ends_with(|letter: char| letter.is_ascii_digit())
        );
        assert_eq!(made.to_uppercase(), text("BOB7"));
        let two_letters = (0..26 * 26u16)
            .map(|number| (number / 26, number % 26))
            .map(|(high, low)| [high, low].map(|letter| char::from(b'a' + u8::try_from(letter).unwrap())));
        let made: HashSet<String> = two_letters.map(|letters| text(&String::from_iter(letters))).collect();
        assert_eq!(made.len(), 26 * 26);
        assert!(Seal::parse(text("00000000deadbeef").as_bytes()).is_some());
        assert_ne!(Words::new(Key([4; 16])).word(b"telephone"), words.word(b"telephone"));
    }
}
