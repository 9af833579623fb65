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

    /// The same stretch of a text that begins `offset` bytes earlier.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        Self { start: self.start.saturating_add(offset), end: self.end.saturating_add(offset) }
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
        let mut index = 0;
        while index < more.len() {
            set[more[index] as usize] = true;
            index += 1;
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

/// A blank within a line, or a line break in a folded header field.
pub fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without the white space at either end.
pub fn trim(text: &[u8]) -> &[u8] {
    trim_span(text, Span::new(0, text.len())).of(text)
}

/// `span` of `text` without the white space at either end.
pub fn trim_span(text: &[u8], mut span: Span) -> Span {
    let inside = span.of(text);
    let front = inside.iter().take_while(|&&byte| is_lws(byte)).count();
    let back = inside.iter().skip(front).rev().take_while(|&&byte| is_lws(byte)).count();
    span.start = span.start.saturating_add(front);
    span.end = span.end.saturating_sub(back).max(span.start);
    span
}

/// A decimal number without sign, of any number of leading zeros, up to `u32`.
pub fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(digit.into()) }
    })
}

/// A cursor over `text`, forward only.
///
/// ```
/// use sipproxy64::scan::{Scanner, TOKEN};
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

    /// Steps over the next byte.
    pub fn next_byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    /// Steps over the next byte if it is `byte`.
    pub fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        if here {
            self.at = self.at.saturating_add(1);
        }
        here
    }

    /// Steps over bytes as long as `wanted` says so, and gives them.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let taken = self.rest();
        let length = taken.iter().position(|&byte| !wanted(byte)).unwrap_or(taken.len());
        self.at = self.at.saturating_add(length);
        taken.get(..length).unwrap_or_default()
    }

    /// Steps over the bytes of a class, and gives them.
    pub fn take_class(&mut self, class: &Class) -> &'a [u8] {
        self.take_while(|byte| class.has(byte))
    }

    /// Steps over white space, line folds included.
    pub fn skip_lws(&mut self) {
        self.take_while(is_lws);
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
        let length = inside.saturating_add(2);
        self.at = self.at.saturating_add(length);
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
