//! Multipart bodies (RFC 2046 §5.1, RFC 5621 for SIP).
//!
//! A body of type `multipart/...` is a list of parts between lines that begin
//! with `--` and the boundary, each with header fields of its own. [`Parts`]
//! goes through the parts of one body; [`leaves`] also looks into a part that is
//! multipart itself, one level deep and no further. What stands in front of the
//! first boundary and behind the last one is nobody's.
//!
//! ```
//! use sipproxy64_core::scan::Span;
//! use sipproxy64_core::sip::multipart::{is_media_type, leaves};
//!
//! let body = b"--b1\r\nContent-Type: text/plain\r\n\r\nHello\r\n\
//!              --b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1--\r\n";
//! let sdp = leaves(body, Span::new(0, body.len()), b"multipart/mixed; boundary=\"b1\"")
//!     .find(|part| is_media_type(part.field(body, "Content-Type").unwrap_or_default(), "application", "sdp"))
//!     .unwrap();
//! assert_eq!(sdp.body.of(body), b"v=0\r\n");
//! ```

use crate::scan::{Scanner, Span, TOKEN, trim};

/// One part of a multipart body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its header fields, without the empty line behind them.
    pub header: Span,
    /// What it holds, without the line end that belongs to the next boundary.
    pub body: Span,
}

impl Part {
    /// The value of its first header field of that name (in any case), folds
    /// included, white space around it not. `message`: what the spans are of.
    pub fn field<'a>(&self, message: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let mut at = self.header.start;
        while at < self.header.end {
            let line = line_at(message, Span::new(at, self.header.end));
            let mut end = line.next;
            while Span::new(end, self.header.end).of(message).first().is_some_and(|&byte| byte == b' ' || byte == b'\t')
            {
                end = line_at(message, Span::new(end, self.header.end)).next;
            }
            let field = Span::new(at, end).of(message);
            let colon = field.iter().position(|&byte| byte == b':');
            if let Some((found, value)) = colon.and_then(|colon| field.split_at_checked(colon))
                && trim(found).eq_ignore_ascii_case(name.as_bytes())
            {
                return Some(trim(value.get(1..).unwrap_or_default()));
            }
            at = end;
        }
        None
    }
}

/// Whether the value of a Content-Type names this type and subtype, whatever
/// its parameters.
pub fn is_media_type(content_type: &[u8], kind: &str, subtype: &str) -> bool {
    split_media_type(content_type).is_some_and(|(found, sub, _)| {
        found.eq_ignore_ascii_case(kind.as_bytes()) && sub.eq_ignore_ascii_case(subtype.as_bytes())
    })
}

/// The boundary of a `multipart/...` body by the value of its Content-Type,
/// quoted there or not. `None`: it is of another type, signed or encrypted (RFC
/// 1847: such a body must not be changed), or its boundary is missing or none
/// (RFC 2046 §5.1.1 allows 1 to 70 bytes).
pub fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let (kind, subtype, mut scanner) = split_media_type(content_type)?;
    let is_sealed = subtype.eq_ignore_ascii_case(b"signed") || subtype.eq_ignore_ascii_case(b"encrypted");
    if !kind.eq_ignore_ascii_case(b"multipart") || is_sealed {
        return None;
    }
    loop {
        scanner.skip_lws();
        if !scanner.eat(b';') {
            return None;
        }
        let (name, value) = parameter(&mut scanner)?;
        if name.eq_ignore_ascii_case(b"boundary") {
            return Some(value).filter(|value| matches!(value.len(), 1..=70) && !value.contains(&b'\\'));
        }
    }
}

/// `type LWS "/" LWS subtype`, and the scanner behind it.
fn split_media_type(content_type: &[u8]) -> Option<(&[u8], &[u8], Scanner<'_>)> {
    let mut scanner = Scanner::new(content_type);
    scanner.skip_lws();
    let kind = scanner.take_class(&TOKEN);
    scanner.skip_lws();
    let has_slash = scanner.eat(b'/');
    scanner.skip_lws();
    let subtype = scanner.take_class(&TOKEN);
    (has_slash && !kind.is_empty() && !subtype.is_empty()).then_some((kind, subtype, scanner))
}

/// `name LWS "=" LWS value`, the value without its quotes. A value without
/// quotes may hold what a token may not (`=` or `/` in a boundary).
fn parameter<'a>(scanner: &mut Scanner<'a>) -> Option<(&'a [u8], &'a [u8])> {
    scanner.skip_lws();
    let name = scanner.take_class(&TOKEN);
    scanner.skip_lws();
    if !scanner.eat(b'=') {
        return (!name.is_empty()).then_some((name, &[]));
    }
    scanner.skip_lws();
    if scanner.peek() == Some(b'"') {
        let quoted = scanner.quoted_string()?;
        return Some((name, quoted.get(1..quoted.len().saturating_sub(1))?));
    }
    Some((name, scanner.take_while(|byte| !matches!(byte, b';' | b' ' | b'\t' | b'\r' | b'\n'))))
}

/// The parts of a multipart body, in order.
///
/// A last boundary that is missing is taken to stand at the end of the body.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    message: &'a [u8],
    boundary: &'a [u8],
    /// What has not been looked at; empty behind the last boundary.
    left: Span,
    begun: bool,
}

impl<'a> Parts<'a> {
    /// The parts of what stands in `body` of `message`.
    pub fn new(message: &'a [u8], body: Span, boundary: &'a [u8]) -> Self {
        Self { message, boundary, left: Span::new(body.start, body.end.min(message.len())), begun: false }
    }

    /// Steps behind the next boundary line. Gives what stands in front of it.
    fn up_to_boundary(&mut self) -> Span {
        let start = self.left.start;
        let mut text_end = start;
        while !self.left.is_empty() {
            let line = line_at(self.message, self.left);
            let delimiter = self.delimiter(line.text);
            if let Some(delimiter) = delimiter {
                let closes = delimiter == Delimiter::Close;
                self.left.start = if closes { self.left.end } else { line.next };
                self.begun = !closes;
                return Span::new(start, text_end);
            }
            text_end = line.text.end;
            self.left.start = line.next;
        }
        self.begun = false;
        Span::new(start, self.left.end)
    }

    /// `delimiter = "--" boundary`, then perhaps `--`, then only white space.
    fn delimiter(&self, line: Span) -> Option<Delimiter> {
        let rest = line.of(self.message).strip_prefix(b"--")?.strip_prefix(self.boundary)?;
        match trim(rest) {
            b"" => Some(Delimiter::Next),
            b"--" if rest.starts_with(b"--") => Some(Delimiter::Close),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Next,
    Close,
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if !self.begun {
            if self.left.is_empty() {
                return None;
            }
            self.up_to_boundary();
            if !self.begun {
                self.left.start = self.left.end;
                return None;
            }
        }
        Some(part(self.message, self.up_to_boundary()))
    }
}

/// Parts a part at its first empty line.
fn part(message: &[u8], whole: Span) -> Part {
    let mut at = whole.start;
    while at < whole.end {
        let line = line_at(message, Span::new(at, whole.end));
        if line.text.is_empty() {
            return Part { header: Span::new(whole.start, at), body: Span::new(line.next, whole.end) };
        }
        at = line.next;
    }
    Part { header: whole, body: Span::new(whole.end, whole.end) }
}

/// The parts of a multipart body that are not multipart themselves, in order:
/// those of the body and, one level deep, those of its multipart parts. Nothing
/// where `content_type` has no [`boundary`].
pub fn leaves<'a>(message: &'a [u8], body: Span, content_type: &'a [u8]) -> impl Iterator<Item = Part> + use<'a> {
    let outer = boundary(content_type).map(|boundary| Parts::new(message, body, boundary));
    outer.into_iter().flatten().flat_map(move |part| {
        let content_type = part.field(message, "Content-Type").unwrap_or_default();
        let is_multipart =
            split_media_type(content_type).is_some_and(|(kind, ..)| kind.eq_ignore_ascii_case(b"multipart"));
        let inner = boundary(content_type).map(|boundary| Parts::new(message, part.body, boundary));
        let leaf = (!is_multipart).then_some(part);
        leaf.into_iter().chain(inner.into_iter().flatten())
    })
}

/// A line of a body and where the next one begins.
struct Line {
    text: Span,
    next: usize,
}

/// The first line of `part`, which ends with LF or CRLF.
fn line_at(message: &[u8], part: Span) -> Line {
    let rest = part.of(message);
    let length = rest.iter().position(|&byte| byte == b'\n');
    let text = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    let next = length.map_or(part.end, |length| part.start.saturating_add(length).saturating_add(1));
    let text = if length.is_some() { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
    Line { text: Span::new(0, text.len()).shifted(part.start), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies<'a>(text: &'a str, content_type: &'a str) -> Vec<&'a str> {
        leaves(text.as_bytes(), Span::new(0, text.len()), content_type.as_bytes())
            .map(|part| &text[part.body.range()])
            .collect()
    }

    #[test]
    fn boundaries_may_be_quoted() {
        for (content_type, expected) in [
            ("multipart/mixed;boundary=abc", Some("abc")),
            ("Multipart/Mixed ; charset=x ; Boundary = \"a b=c\" ;x=y", Some("a b=c")),
            ("multipart/mixed; boundary=a=b/c", Some("a=b/c")),
            ("multipart/mixed; flag; boundary=x", Some("x")),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=", None),
            ("multipart/mixed; boundary=\"\"", None),
            ("multipart/mixed; boundary=\"open", None),
            ("multipart/signed; boundary=abc", None),
            ("application/sdp; boundary=abc", None),
            ("multipart", None),
        ] {
            let found = boundary(content_type.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{content_type}");
        }
        let long = format!("multipart/mixed; boundary={}", "x".repeat(71));
        assert_eq!(boundary(long.as_bytes()), None);
    }

    #[test]
    fn what_is_around_the_parts_is_nobodys() {
        let text = "preamble\r\n--b\r\n\r\none\r\n--b  \r\nA: 1\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n--b\r\n\r\nx";
        assert_eq!(bodies(text, "multipart/mixed;boundary=b"), ["one", "two\r\n"]);
    }

    #[test]
    fn only_whole_lines_are_boundaries() {
        let text = "--b\n\n--bb\n--b-\n --b\n-- b\n--b--x\n--b--\n";
        assert_eq!(bodies(text, "multipart/mixed;boundary=b"), ["--bb\n--b-\n --b\n-- b\n--b--x"]);
    }

    #[test]
    fn a_missing_last_boundary_is_the_end() {
        assert_eq!(bodies("--b\r\n\r\none\r\n", "multipart/mixed;boundary=b"), ["one\r\n"]);
        assert_eq!(bodies("--b\r\n\r\n--b", "multipart/mixed;boundary=b"), ["", ""]);
        assert!(bodies("no boundary", "multipart/mixed;boundary=b").is_empty());
        assert!(bodies("", "multipart/mixed;boundary=b").is_empty());
    }

    #[test]
    fn nested_parts_are_found_one_level_deep() {
        let text = "--a\r\nContent-Type: multipart/alternative;\r\n boundary=\"b\"\r\n\r\n\
                    --b\r\n\r\none\r\n--b\r\ncontent-type : multipart/mixed;boundary=c\r\n\r\n--c\r\n\r\ndeep\r\n--c--\r\n\
                    --b--\r\n\r\n--a\r\n\r\ntwo\r\n--a--\r\n";
        let expected = ["one", "--c\r\n\r\ndeep\r\n--c--", "two"];
        assert_eq!(bodies(text, "multipart/mixed;boundary=a"), expected);
    }

    #[test]
    fn signed_parts_are_not_looked_into() {
        let text = "--a\r\nContent-Type: multipart/signed;boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n--a--";
        assert!(bodies(text, "multipart/mixed;boundary=a").is_empty());
    }

    #[test]
    fn header_fields_of_a_part_are_found_in_any_case() {
        let text = b"--b\r\nX: 1\r\nCONTENT-type:application/sdp\r\n\r\nv=0\r\n--b--";
        let part = leaves(text, Span::new(0, text.len()), b"multipart/mixed;boundary=b").next().unwrap();
        assert!(is_media_type(part.field(text, "Content-Type").unwrap(), "application", "SDP"));
        assert_eq!(part.field(text, "Content-Encoding"), None);
        assert!(!is_media_type(b"application/sdpx", "application", "sdp"));
        assert!(is_media_type(b"Application / SDP ; charset=x", "application", "sdp"));
    }
}
