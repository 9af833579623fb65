//! Character classes and a cursor for the texts of SIP and SDP.
//!
//! The classes are the basic rules of RFC 3261 §25.1. [`Scanner`] moves forward
//! over bytes and never beyond their end; it knows its offset, so that what is
//! found can be named as a [`Span`] of the message and edited later.

use std::ops::Range;

/// A stretch of a message: what was found, by where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last one.
    pub end: usize,
}

impl Span {
    /// From `start` up to, not including, `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The bytes it names, empty where `text` is shorter.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    /// Whether it names no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// How many bytes it names.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// What it is in a text that begins `offset` bytes earlier.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        // Both count bytes of one message: no sum of theirs is out of range.
        Self { start: self.start.wrapping_add(offset), end: self.end.wrapping_add(offset) }
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Class([bool; 256]);

impl Class {
    /// Letters, digits and the bytes of `more`.
    #[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
    pub const fn alphanum_and(more: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            set[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        Self(set).with(more, true)
    }

    /// The set with these bytes in it, or without them.
    #[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
    const fn with(self, bytes: &[u8], is_in: bool) -> Self {
        let Self(mut set) = self;
        let mut index = 0;
        while index < bytes.len() {
            set[bytes[index] as usize] = is_in;
            index += 1;
        }
        Self(set)
    }

    /// All bytes but those.
    pub const fn all_but(bytes: &[u8]) -> Self {
        Self([true; 256]).with(bytes, false)
    }

    /// All bytes above the blank but those.
    #[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
    pub const fn above_blank_but(bytes: &[u8]) -> Self {
        let Self(mut set) = Self::all_but(bytes);
        let mut byte = 0;
        while byte <= b' ' as usize {
            set[byte] = false;
            byte += 1;
        }
        Self(set)
    }

    /// Whether `byte` is in it.
    pub fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// Whether `text` is not empty and all of it is in the class.
    pub fn all(&self, text: &[u8]) -> bool {
        !text.is_empty() && text.iter().all(|&byte| self.has(byte))
    }
}

/// `token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")`
pub const TOKEN: Class = Class::alphanum_and(b"-.!%*_+`'~");

/// `hostname` with the underscore that is common in practice, and IPv4 addresses.
pub const HOSTNAME: Class = Class::alphanum_and(b"-._");

/// `scheme = ALPHA *(ALPHA / DIGIT / "+" / "-" / ".")`
pub const SCHEME: Class = Class::alphanum_and(b"+-.");

/// What may stand in a parameter that is not quoted: all but what ends it.
pub const PARAMETER: Class = Class::all_but(b"; \t\r\n");

/// What may stand in the name of a parameter.
pub const PARAMETER_NAME: Class = Class::all_but(b";= \t\r\n");

/// A blank within a line, or a line break in a folded header field.
#[inline]
pub fn is_lws(byte: u8) -> bool {
    // Nearly every byte is above the blank: one comparison.
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without the white space at either end.
pub fn trim(text: &[u8]) -> &[u8] {
    trim_span(text, Span::new(0, text.len())).of(text)
}

/// `span` of `text` without the white space at either end.
pub fn trim_span(text: &[u8], span: Span) -> Span {
    trimmed(span.of(text)).shifted(span.start)
}

/// Where in `text` the white space at its front ends and that at its end begins.
#[inline]
pub fn trimmed(text: &[u8]) -> Span {
    let mut span = Span::new(0, text.len());
    while text.get(span.start).is_some_and(|&byte| is_lws(byte)) {
        span.start += 1;
    }
    while span.start < span.end && text.get(span.end - 1).is_some_and(|&byte| is_lws(byte)) {
        span.end -= 1;
    }
    span
}

/// A byte in each of the eight places of a word.
const fn everywhere(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The place of the first byte that is wanted: `marks` gets eight bytes at a
/// time, the first one lowest, and sets the highest bit of each of these; it may
/// err behind the first one. `is` says it of one byte.
///
/// The texts of SIP are short: most end before the vector code of memchr(3) is set
/// up. A word at a time takes a third of the instructions of a byte at a time.
fn find_by_word(text: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let Some(last) = text.last_chunk::<8>() else { return text.iter().position(|&byte| is(byte)) };
    let mut before = 0;
    for word in text.as_chunks::<8>().0 {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(before + place_of_first(found));
        }
        before += 8;
    }
    // Some of these were looked at before: none of those is wanted.
    let found = marks(u64::from_le_bytes(*last));
    (found != 0).then(|| text.len() - 8 + place_of_first(found))
}

/// Which byte of a word the lowest mark is of.
const fn place_of_first(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// The bytes of a word that are `byte`.
const fn marks_of(word: u64, byte: u8) -> u64 {
    let zero = word ^ everywhere(byte);
    zero.wrapping_sub(everywhere(1)) & !zero & everywhere(0x80)
}

/// The bytes of a word that are not above `most`, which is less than 127.
const fn marks_not_above(word: u64, most: u8) -> u64 {
    word.wrapping_sub(everywhere(most + 1)) & !word & everywhere(0x80)
}

/// Where in eight bytes, the first one lowest, `byte` stands first.
#[inline]
pub fn place_in_word(word: u64, byte: u8) -> Option<usize> {
    let marks = marks_of(word, byte);
    (marks != 0).then(|| place_of_first(marks))
}

/// The bits of so many bytes, fewer than eight, at the lower end of a word.
#[inline]
pub const fn lowest_bytes(count: usize) -> u64 {
    (1 << (count * 8 % 64)) - 1
}

/// Where in `text` the first `byte` stands.
///
/// ```
/// assert_eq!(sipproxy64_core::scan::find(b"sip:bob@host", b'@'), Some(7));
/// ```
pub fn find(text: &[u8], byte: u8) -> Option<usize> {
    find_by_word(text, |word| marks_of(word, byte), |other| other == byte)
}

/// Where in `text` the first control character below the blank stands: what
/// ends a line, a NUL, a tab.
#[inline]
pub fn find_control(text: &[u8]) -> Option<usize> {
    find_by_word(text, |word| marks_not_above(word, b' ' - 1), |byte| byte < b' ')
}

/// Where in `text` the first byte stands that is `byte` or not above `most`, which
/// is less than 127.
#[inline]
pub fn find_at_most(text: &[u8], most: u8, byte: u8) -> Option<usize> {
    let marks = |word| marks_not_above(word, most) | marks_of(word, byte);
    find_by_word(text, marks, |other| other <= most || other == byte)
}

/// Where in `text` the first of `bytes` stands.
#[inline]
pub fn find_any<const COUNT: usize>(text: &[u8], bytes: [u8; COUNT]) -> Option<usize> {
    let marks = |word| bytes.iter().fold(0, |marks, &byte| marks | marks_of(word, byte));
    find_by_word(text, marks, |other| bytes.contains(&other))
}

/// Where in `text` the first angle bracket or byte not above the blank stands: what
/// ends a URI in brackets, or spoils it.
#[inline]
pub fn find_uri_end(text: &[u8]) -> Option<usize> {
    // The two brackets differ in one bit.
    let marks = |word: u64| marks_not_above(word, b' ') | marks_of(word | everywhere(b'<' ^ b'>'), b'>');
    find_by_word(text, marks, |byte| byte <= b' ' || matches!(byte, b'<' | b'>'))
}

/// Where in `text` the first byte not above the blank stands.
#[inline]
pub fn find_blank(text: &[u8]) -> Option<usize> {
    find_by_word(text, |word| marks_not_above(word, b' '), |byte| byte <= b' ')
}

/// Whether white space stands anywhere in `text`.
pub fn has_lws(text: &[u8]) -> bool {
    // There is none in most: the first look is the faster one, and takes in too much.
    find_blank(text).is_some() && text.iter().any(|&byte| is_lws(byte))
}

/// A decimal number without sign, of any number of leading zeros, up to `u32`.
pub fn number(text: &[u8]) -> Option<u32> {
    number_at_front(text).filter(|&(_, digits)| digits == text.len()).map(|(number, _)| number)
}

/// The [`number`] at the front of `text`, and how many digits it has.
#[inline]
pub fn number_at_front(text: &[u8]) -> Option<(u32, usize)> {
    let (mut value, mut digits) = (0u64, 0);
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value * 10 + u64::from(digit);
        if value > u32::MAX.into() {
            return None;
        }
        digits += 1;
    }
    if digits == 0 { None } else { Some((value as u32, digits)) }
}

/// The value of each hex digit (`HEXDIG` and lower case, RFC 5234 §B.1); 255: it is none.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
const HEX_VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        let [upper, lower] = [b"0123456789ABCDEF", b"0123456789abcdef"];
        values[upper[value] as usize] = value as u8;
        values[lower[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The value of a hex digit; more than fifteen: it is none.
#[inline]
pub fn hex_value(digit: u8) -> u8 {
    HEX_VALUES.get(usize::from(digit)).copied().unwrap_or(255)
}

/// A cursor over `text`, forward only.
///
/// ```
/// use sipproxy64_core::scan::{Scanner, TOKEN};
/// let mut scanner = Scanner::new(b"INVITE sip:a");
/// assert_eq!(scanner.take_class(&TOKEN), b"INVITE");
/// assert!(scanner.eat(b' '));
/// assert_eq!(scanner.offset(), 7);
/// assert_eq!(scanner.rest(), b"sip:a");
/// ```
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the first byte of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// At the beginning of `span`, which ends it. Offsets count from the first
    /// byte of `text`.
    pub fn within(text: &'a [u8], span: Span) -> Self {
        Self { text: text.get(..span.end).unwrap_or_default(), at: span.start }
    }

    /// Where it stands: how many bytes lie behind it.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// What it stepped over since it stood at `offset`.
    pub fn taken_since(&self, offset: usize) -> &'a [u8] {
        self.text.get(offset..self.at).unwrap_or_default()
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte, left in place.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over the next byte if it is `byte`.
    pub fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        if here {
            self.at += 1;
        }
        here
    }

    /// Steps over so many bytes, or all that are left.
    pub fn skip(&mut self, length: usize) {
        self.at += length.min(self.rest().len());
    }

    /// Steps over bytes as long as `wanted` says so, and gives them.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps over bytes up to the next `byte`, and gives them.
    pub fn take_to(&mut self, byte: u8) -> &'a [u8] {
        let rest = self.rest();
        let length = find(rest, byte).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps over bytes up to the next one of `bytes`, and gives them.
    pub fn take_to_any<const COUNT: usize>(&mut self, bytes: [u8; COUNT]) -> &'a [u8] {
        let rest = self.rest();
        let length = find_any(rest, bytes).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps over the bytes of a class, and gives them.
    pub fn take_class(&mut self, class: &Class) -> &'a [u8] {
        self.take_while(|byte| class.has(byte))
    }

    /// Steps over white space, line folds included.
    pub fn skip_lws(&mut self) {
        while self.peek().is_some_and(is_lws) {
            self.at += 1;
        }
    }

    /// Steps over a `quoted-string` (RFC 3261 §25.1) and gives it with its
    /// quotes. `None`, and nothing stepped over, where none stands here or its
    /// end is missing.
    pub fn quoted_string(&mut self) -> Option<&'a [u8]> {
        let start = self.rest();
        if start.first() != Some(&b'"') {
            return None;
        }
        let mut escaped = false;
        let inside = start.iter().skip(1).position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let length = inside + 2;
        self.at += length;
        start.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_end_at_the_quote_that_is_not_escaped() {
        let quoted = |text: &'static str| {
            Scanner::new(text.as_bytes()).quoted_string().map(|found| String::from_utf8_lossy(found).into_owned())
        };
        assert_eq!(quoted(r#""Bob" <x>"#).as_deref(), Some(r#""Bob""#));
        assert_eq!(quoted(r#""a\"b\\" c"#).as_deref(), Some(r#""a\"b\\""#));
        assert_eq!(quoted(r#""open"#), None);
        assert_eq!(quoted(r#""open\""#), None);
        assert_eq!(quoted("Bob"), None);
    }

    #[test]
    fn the_first_byte_is_found_wherever_it_stands() {
        for length in 0..40 {
            for place in 0..length {
                let mut text = vec![b'a'; length];
                text[place..].iter_mut().step_by(3).for_each(|byte| *byte = b':');
                assert_eq!(find(&text, b':'), Some(place), "{length}");
                assert_eq!(find(&text, b'b'), None, "{length}");
                text[place..].iter_mut().step_by(5).for_each(|byte| *byte = b'\t');
                assert_eq!(find_control(&text), Some(place), "{length}");
                assert_eq!(find_at_most(&text, b' ', b':'), Some(place), "{length}");
                assert_eq!(find_at_most(&text, 8, b'b'), None, "{length}");
                assert_eq!(find_any(&text, [b':', b'\t', b'>']), Some(place), "{length}");
                for end in [b'<', b'>', b' '] {
                    text[place] = end;
                    assert_eq!(find_uri_end(&text), Some(place), "{length}");
                }
            }
        }
        let all: Vec<u8> = (b' '..=255).collect();
        assert_eq!(find_control(&all), None);
        assert_eq!(find(&all, 255), Some(223));
        assert_eq!(find(&[9, 8, 8, 8, 8, 8, 8, 8, 8], 9), Some(0));
    }

    #[test]
    fn numbers_do_not_overflow() {
        assert_eq!(number(b"0070"), Some(70));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        assert_eq!(number(b"4294967296"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"+1"), None);
        assert_eq!(number(b""), None);
    }

    #[test]
    fn trimming_keeps_the_inside() {
        assert_eq!(trim(b" \r\n\ta b "), b"a b");
        assert_eq!(trim(b"  "), b"");
    }
}
