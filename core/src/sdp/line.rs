//! Lines and their fields (RFC 8866 §5).

use super::attribute::Attribute;
use super::malformed::{Malformed, SdpFault};
use crate::scan::{Span, find_any, find_control};

/// One line, `<type>=<value>`.
///
/// ```
/// use sipproxy64_core::sdp::line::Lines;
/// use sipproxy64_core::scan::Span;
/// let text = b"v=0\r\ns=a call\n";
/// let lines: Vec<_> = Lines::new(text, Span::new(0, text.len())).flatten().collect();
/// assert_eq!(lines[1].kind, b's');
/// assert_eq!(lines[1].value.of(text), b"a call");
/// assert_eq!(lines[1].whole().of(text), b"s=a call\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its type, a lower-case letter.
    pub kind: u8,
    /// What stands behind the `=`, up to the line end.
    pub value: Span,
    /// The byte behind its line end.
    pub end: usize,
}

impl Line {
    /// The line that `text` is, which stands at `start`, and its line end up to `end`.
    #[inline]
    fn read(text: &[u8], start: usize, end: usize) -> Option<Self> {
        match text {
            [kind, b'=', ..] if kind.is_ascii_lowercase() => {
                Some(Self { kind: *kind, value: Span::new(start + 2, start + text.len()), end })
            }
            _ => None,
        }
    }

    /// The line from its type to behind its line end.
    pub fn whole(&self) -> Span {
        Span::new(self.value.start.saturating_sub("v=".len()), self.end)
    }

    /// Its line end; the last one may lack it.
    pub fn line_end(&self) -> Span {
        Span::new(self.value.end, self.end)
    }

    /// What an `a=` line says (RFC 8866 §5.13); `None` for other lines, and for
    /// attributes that a relay need not know.
    pub fn attribute(&self, message: &[u8]) -> Option<Attribute> {
        (self.kind == b'a').then(|| Attribute::read(message, *self)).flatten()
    }
}

/// The lines of a stretch of a message, in order; blank ones are passed over.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    /// The message up to the end of the stretch.
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The lines in `part` of `message`.
    pub fn new(message: &'a [u8], part: Span) -> Self {
        Self { text: message.get(..part.end).unwrap_or(message), at: part.start }
    }
}

impl Lines<'_> {
    /// The next line, if it ends in CRLF and holds no other control character: as
    /// nearly all do.
    #[inline]
    pub(super) fn next_plain(&mut self) -> Option<Line> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        let length = find_control(rest)?;
        let (text, [b'\r', b'\n', ..]) = rest.split_at_checked(length)? else { return None };
        let line = Line::read(text, start, start + length + 2)?;
        self.at = line.end;
        Some(line)
    }

    /// The next one, whatever it is.
    #[cold]
    pub(super) fn next_odd(&mut self) -> Option<Result<Line, Malformed>> {
        loop {
            let start = self.at;
            let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
            let length = find_any(rest, *b"\r\n").unwrap_or(rest.len());
            let (text, line_end) = rest.split_at_checked(length)?;
            self.at = start + length + if line_end.starts_with(b"\r\n") { 2 } else { line_end.len().min(1) };
            if let Some(line) = Line::read(text, start, self.at) {
                return Some(Ok(line));
            }
            // Some senders pad the body with blank lines or zero bytes.
            if !text.iter().all(|&byte| is_blank(byte) || byte == 0) {
                return Some(Err(Malformed::new(start, SdpFault::NotALine)));
            }
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.next_plain() {
            Some(line) => Some(Ok(line)),
            None => self.next_odd(),
        }
    }
}

/// The fields of `part`, which are set apart by blanks.
pub fn fields(message: &[u8], part: Span) -> impl Iterator<Item = Span> {
    separated(message, part, is_blank)
}

/// The items of `part`, which are set apart by one or more bytes of which
/// `separates` holds.
pub fn separated(message: &[u8], part: Span, separates: impl Fn(u8) -> bool) -> impl Iterator<Item = Span> {
    let text = part.of(message);
    let mut at = 0;
    std::iter::from_fn(move || {
        while separates(*text.get(at)?) {
            at += 1;
        }
        let start = at;
        while text.get(at).is_some_and(|&byte| !separates(byte)) {
            at += 1;
        }
        Some(Span::new(start, at).shifted(part.start))
    })
}

/// The last of the fields of `part`.
pub fn last_field(message: &[u8], part: Span) -> Option<Span> {
    let text = part.of(message);
    let is_blank_before = |at: usize| at.checked_sub(1).and_then(|at| text.get(at)).map(|&byte| is_blank(byte));
    let mut end = text.len();
    while is_blank_before(end) == Some(true) {
        end -= 1;
    }
    let mut start = end;
    while is_blank_before(start) == Some(false) {
        start -= 1;
    }
    (start < end).then(|| Span::new(start, end).shifted(part.start))
}

/// A blank between fields. RFC 8866 has one space; tabs and several occur.
#[inline]
pub fn is_blank(byte: u8) -> bool {
    // Nearly every byte is above the blank: one comparison.
    byte <= b' ' && matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<(char, &str), usize>> {
        let part = Span::new(0, text.len());
        Lines::new(text.as_bytes(), part)
            .map(|line| match line {
                Ok(line) => Ok((char::from(line.kind), &text[line.value.range()])),
                Err(malformed) => Err(malformed.offset),
            })
            .collect()
    }

    #[test]
    fn every_line_end_counts_and_the_last_may_lack() {
        assert_eq!(read("v=0\r\ns=a\nt=b\rm=c"), [Ok(('v', "0")), Ok(('s', "a")), Ok(('t', "b")), Ok(('m', "c"))]);
    }

    #[test]
    fn blank_lines_and_padding_are_passed_over() {
        assert_eq!(read("\r\nv=0\r\n \t\r\ns=\r\n\r\n\0\0"), [Ok(('v', "0")), Ok(('s', ""))]);
    }

    #[test]
    fn what_is_no_line_is_named_by_its_offset() {
        assert_eq!(read("v=0\n c=x\n"), [Ok(('v', "0")), Err(4)]);
        assert_eq!(read("c =x"), [Err(0)]);
        assert_eq!(read("C=x"), [Err(0)]);
        assert_eq!(read("garbage"), [Err(0)]);
        assert_eq!(read("="), [Err(0)]);
    }

    #[test]
    fn fields_may_be_set_apart_by_more_than_one_blank() {
        let text = b" audio  9\tRTP/AVP ";
        let found: Vec<_> = fields(text, Span::new(0, text.len())).map(|field| field.of(text)).collect();
        assert_eq!(found, [&b"audio"[..], b"9", b"RTP/AVP"]);
        assert_eq!(last_field(text, Span::new(0, text.len())).unwrap().of(text), b"RTP/AVP");
        assert_eq!(last_field(text, Span::new(0, 5)).unwrap().of(text), b"audi");
        assert_eq!(last_field(text, Span::new(0, 1)), None);
    }
}
