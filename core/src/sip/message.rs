//! A SIP message as a view of one datagram (RFC 3261 §7).
//!
//! Reading is in two steps: [`Message::parse`] finds the start-line, the header
//! fields and the body; what a field holds is read when somebody asks. Where
//! something is wrong, [`Message::fault`] says the first such thing, and as much
//! as can be read is still there, since a refusal needs it.

use super::fault::Fault;
use super::header::HeaderName;
use super::method::Method;
use crate::scan::{
    Scanner, Span, TOKEN, find, find_blank, find_control, has_lws, is_lws, number, number_at_front, trim_span, trimmed,
};

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// `Method SP Request-URI SP SIP-Version` (RFC 3261 §7.1).
    Request {
        /// The method.
        method: Method,
        /// The method as it stands.
        method_name: Span,
        /// The Request-URI.
        uri: Span,
    },
    /// `SIP-Version SP Status-Code SP Reason-Phrase` (RFC 3261 §7.2).
    Status {
        /// The status code, three digits.
        code: u16,
    },
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which one.
    pub name: HeaderName,
    /// All of its lines, with the line end.
    pub line: Span,
    /// Its value without the white space around it.
    pub value: Span,
}

/// Room for the header fields of a message, kept from one to the next.
#[derive(Debug, Default)]
pub struct Fields {
    all: Vec<Field>,
    first: Firsts,
}

/// The first field of each name, counted from one; 0: there is none.
#[derive(Debug)]
struct Firsts([u16; HeaderName::COUNT]);

impl Default for Firsts {
    fn default() -> Self {
        Self([0; HeaderName::COUNT])
    }
}

impl Fields {
    fn clear(&mut self) {
        self.all.clear();
        self.first = Firsts::default();
    }

    /// Adds a field; gives the name of one that should not be there twice.
    #[inline]
    fn push(&mut self, field: Field) -> Option<HeaderName> {
        self.all.push(field);
        // Each takes four bytes at least: a datagram has no more than fit.
        let count = u16::try_from(self.all.len()).unwrap_or(u16::MAX);
        match self.first.0.get_mut(field.name.index()) {
            Some(first @ 0) => {
                *first = count;
                None
            }
            _ => Some(field.name).filter(|name| name.is_single()),
        }
    }
}

/// What a CSeq says (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number.
    pub number: u32,
    /// The method of the request.
    pub method: &'a [u8],
}

/// A message, borrowed from the datagram that holds it.
///
/// ```
/// use sipproxy64_core::sip::header::HeaderName;
/// use sipproxy64_core::sip::message::{Fields, Message};
/// let bytes = b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nf: <sip:a@192.0.2.9>;tag=1\r\n\r\n";
/// let mut fields = Fields::default();
/// let message = Message::parse(bytes, &mut fields).unwrap();
/// let from = message.first(HeaderName::FROM).unwrap();
/// assert_eq!(from.value.of(bytes), b"<sip:a@192.0.2.9>;tag=1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The whole message, from its start-line on.
    pub bytes: &'a [u8],
    /// Its first line.
    pub start_line: StartLine,
    /// Its header fields, in order.
    pub fields: &'a [Field],
    first: &'a Firsts,
    cseq: Result<CSeq<'a>, Fault>,
    /// Its body: what Content-Length says, or all there is.
    pub body: Span,
    /// The first thing that is wrong with it.
    pub fault: Option<Fault>,
    /// Its version is not 2.0.
    pub other_version: bool,
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// It is neither request nor response.
    pub fn parse(datagram: &'a [u8], room: &'a mut Fields) -> Result<Self, Fault> {
        let blank = datagram.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = datagram.get(blank..).unwrap_or_default();
        let mut lines = Lines { bytes, at: 0 };
        let first = lines.next_line().ok_or(Fault::StartLine)?;
        let (start_line, other_version, mut fault) = start_line(bytes, first.content)?;
        fault = fault.or(first.broken.then_some(Fault::LineEnd));
        room.clear();
        let (mut ended, mut twice) = (false, None);
        loop {
            while let Some(field) = lines.next_plain_field() {
                twice = twice.or(room.push(field));
            }
            let Some(line) = lines.next_field() else { break };
            if line.content.is_empty() {
                ended = true;
                fault = fault.or(line.broken.then_some(Fault::LineEnd));
                break;
            }
            match field(bytes, line) {
                Ok(field) => twice = twice.or(room.push(field)),
                Err(wrong) => fault = fault.or(Some(wrong)),
            }
        }
        if !ended {
            fault = fault.or(Some(Fault::NoEmptyLine));
        }
        fault = fault.or(twice.map(|name| Fault::Twice(name.name())));
        let body = Span::new(lines.at, bytes.len());
        let (fields, first) = (room.all.as_slice(), &room.first);
        let cseq = Err(Fault::Missing("CSeq"));
        let mut message = Self { bytes, start_line, fields, first, cseq, body, fault, other_version };
        message.cseq = message.read_cseq();
        if twice.is_none()
            && let Err(wrong) = message.bound_body()
        {
            message.fault = message.fault.or(Some(wrong));
        }
        Ok(message)
    }

    /// Cuts the body to Content-Length.
    fn bound_body(&mut self) -> Result<(), Fault> {
        let Some(field) = self.first(HeaderName::CONTENT_LENGTH) else { return Ok(()) };
        let length = number(field.value.of(self.bytes)).ok_or(Fault::Value("Content-Length"))?;
        let end = self.body.start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if end > self.body.end {
            return Err(Fault::ShortBody);
        }
        self.body.end = end;
        Ok(())
    }

    /// The first field of a name.
    pub fn first(&self, name: HeaderName) -> Option<&'a Field> {
        let count = usize::from(*self.first.0.get(name.index())?);
        self.fields.get(count.checked_sub(1)?)
    }

    /// All fields of a name, in order.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a Field> + use<'a> {
        let count = self.first.0.get(name.index()).copied().unwrap_or(0);
        let from = usize::from(count).checked_sub(1).unwrap_or(self.fields.len());
        self.fields.get(from..).unwrap_or_default().iter().filter(move |field| field.name == name)
    }

    /// The value of the first field of a name.
    pub fn value(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.first(name).map(|field| field.value.of(self.bytes))
    }

    /// What the CSeq says.
    ///
    /// # Errors
    /// It is missing, or none.
    pub fn cseq(&self) -> Result<CSeq<'a>, Fault> {
        self.cseq
    }

    fn read_cseq(&self) -> Result<CSeq<'a>, Fault> {
        let field = self.first(HeaderName::CSEQ).ok_or(Fault::Missing("CSeq"))?;
        let value = field.value.of(self.bytes);
        let (number, digits) = number_at_front(value).ok_or(Fault::Value("CSeq"))?;
        let behind = value.get(digits..).unwrap_or_default();
        let blanks = behind.iter().take_while(|&&byte| is_lws(byte)).count();
        let method = behind.get(blanks..).unwrap_or_default();
        let good = blanks > 0 && number <= 0x7fff_ffff && TOKEN.all(method);
        good.then_some(CSeq { number, method }).ok_or(Fault::Value("CSeq"))
    }

    /// The Call-ID (RFC 3261 §20.8).
    ///
    /// # Errors
    /// It is missing, empty, or holds white space.
    pub fn call_id(&self) -> Result<&'a [u8], Fault> {
        match self.value(HeaderName::CALL_ID) {
            None => Err(Fault::Missing("Call-ID")),
            Some(id) if id.is_empty() || has_lws(id) => Err(Fault::Value("Call-ID")),
            Some(id) => Ok(id),
        }
    }

    /// The method: of the Request-Line, or in a response of the CSeq.
    pub fn method(&self) -> Method {
        match self.start_line {
            StartLine::Request { method, .. } => method,
            StartLine::Status { .. } => self.cseq().map_or(Method::Other, |cseq| Method::from_name(cseq.method)),
        }
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        match self.start_line {
            StartLine::Request { .. } => None,
            StartLine::Status { code } => Some(code),
        }
    }
}

/// A line of the header.
#[derive(Clone, Copy)]
struct Line {
    /// With its line end.
    whole: Span,
    /// Without it.
    content: Span,
    /// It holds, or ends in, something that is no CRLF.
    broken: bool,
}

/// The lines of a header, one after the other.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    /// The next header field, if its line is one that begins with a name of the
    /// table, ends in CRLF, and holds nothing that is to be looked at: as nearly
    /// all do.
    #[inline]
    fn next_plain_field(&mut self) -> Option<Field> {
        let start = self.at;
        let rest = self.bytes.get(start..)?;
        let (name, colon) = HeaderName::at_front(rest)?;
        let value = rest.get(colon + 1..)?;
        let length = find_control(value)?;
        let (value, behind) = value.split_at_checked(length)?;
        let [b'\r', b'\n', next, ..] = behind else { return None };
        if matches!(next, b' ' | b'\t') {
            return None;
        }
        let value_start = start + colon + 1;
        self.at = value_start + length + 2;
        let inside = trimmed(value);
        let value = Span::new(value_start + inside.start, value_start + inside.end);
        Some(Field { name, line: Span::new(start, self.at), value })
    }

    /// The next line; `None` where no line end is left.
    #[inline]
    fn next_line(&mut self) -> Option<Line> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        // One pass finds the end and that nothing else is wrong.
        let length = find_control(rest)?;
        if rest.get(length..).is_none_or(|end| !end.starts_with(b"\r\n")) {
            return self.next_odd_line();
        }
        self.at = start + length + 2;
        Some(Line { whole: Span::new(start, self.at), content: Span::new(start, start + length), broken: false })
    }

    /// The next line where something else than CRLF comes first: a tab, a NUL, a CR
    /// or LF alone.
    #[cold]
    fn next_odd_line(&mut self) -> Option<Line> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = find(rest, b'\n')?;
        let line = rest.get(..length).unwrap_or_default();
        let (content, crlf) = line.strip_suffix(b"\r").map_or((line, false), |content| (content, true));
        self.at = start.saturating_add(length).saturating_add(1);
        Some(Line {
            whole: Span::new(start, self.at),
            content: Span::new(start, start.saturating_add(content.len())),
            broken: !crlf || has_control(content),
        })
    }

    /// The next line with the lines that continue it (RFC 3261 §7.3.1).
    #[inline]
    fn next_field(&mut self) -> Option<Line> {
        let mut field = self.next_line()?;
        if matches!(self.bytes.get(self.at), Some(b' ' | b'\t')) && !field.content.is_empty() {
            self.unfold(&mut field);
        }
        Some(field)
    }

    #[cold]
    fn unfold(&mut self, field: &mut Line) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t')) {
            let Some(more) = self.next_line() else { break };
            field.whole.end = more.whole.end;
            field.content.end = more.content.end;
            field.broken |= more.broken;
        }
    }
}

/// A CR, or a NUL that is no `quoted-pair` (RFC 3261 §25.1): where one program
/// ends a line or a text, and the next one does not.
fn has_control(content: &[u8]) -> bool {
    let mut before = b' ';
    content.iter().any(|&byte| {
        let bad = byte == b'\r' || (byte == 0 && before != b'\\');
        before = byte;
        bad
    })
}

fn field(bytes: &[u8], line: Line) -> Result<Field, Fault> {
    if line.broken {
        return Err(Fault::LineEnd);
    }
    let content = line.content.of(bytes);
    let colon = find(content, b':').ok_or(Fault::FieldName)?;
    let written = content.get(..colon).unwrap_or_default();
    // A name that is known is a token: only others are looked at byte by byte.
    let name = match HeaderName::from_name(written) {
        HeaderName::OTHER => match name_before_blanks(written).ok_or(Fault::FieldName)? {
            all if all.len() == written.len() => HeaderName::OTHER,
            name => HeaderName::from_name(name),
        },
        known => known,
    };
    let value = Span::new(line.content.start + colon + 1, line.content.end);
    Ok(Field { name, line: line.whole, value: trim_span(bytes, value) })
}

/// The token in `text`, behind which blanks may stand.
#[cold]
fn name_before_blanks(text: &[u8]) -> Option<&[u8]> {
    let mut scanner = Scanner::new(text);
    let name = scanner.take_class(&TOKEN);
    scanner.take_while(|byte| matches!(byte, b' ' | b'\t'));
    (!name.is_empty() && scanner.is_at_end()).then_some(name)
}

/// Reads the start-line. An error: there is no telling what it is; a fault
/// beside it: it is a request, but not a good one.
fn start_line(bytes: &[u8], line: Span) -> Result<(StartLine, bool, Option<Fault>), Fault> {
    let text = line.of(bytes);
    if let Some(rest) = strip_version(text) {
        let mut scanner = Scanner::new(rest);
        let code = scanner.take_while(|byte| byte.is_ascii_digit());
        let code = number(code).filter(|_| code.len() == 3).and_then(|code| u16::try_from(code).ok());
        return match code {
            Some(code @ 100..=699) if matches!(scanner.peek(), None | Some(b' ')) => {
                Ok((StartLine::Status { code }, !text.get(..7).is_some_and(is_version_2), None))
            }
            _ => Err(Fault::StartLine),
        };
    }
    let mut scanner = Scanner::new(text);
    let name = scanner.take_class(&TOKEN);
    if name.is_empty() || !scanner.eat(b' ') {
        return Err(Fault::StartLine);
    }
    let rest = scanner.rest();
    let (uri, version) = rest.split_at_checked(find_blank(rest).unwrap_or(rest.len())).unwrap_or_default();
    let version = version.strip_prefix(b" ").unwrap_or_default();
    let good = !uri.is_empty() && is_version(version);
    let uri = Span::new(0, uri.len()).shifted(line.start + scanner.offset());
    let method_name = Span::new(0, name.len()).shifted(line.start);
    let request = StartLine::Request { method: Method::from_name(name), method_name, uri };
    Ok((request, good && !is_version_2(version), (!good).then_some(Fault::StartLine)))
}

/// What stands behind `SIP/x.y` and a blank.
fn strip_version(text: &[u8]) -> Option<&[u8]> {
    let (version, rest) = text.split_at_checked(8)?;
    (version.get(..4)?.eq_ignore_ascii_case(b"SIP/") && version.ends_with(b" ")).then_some(rest)
}

/// Whether `text` is a SIP-Version, more loosely than the ABNF: of any form behind the
/// slash.
fn is_version(text: &[u8]) -> bool {
    let named = || text.len() > 4 && text.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"));
    is_version_2(text) || (named() && text.iter().all(|byte| byte.is_ascii_graphic()))
}

fn is_version_2(version: &[u8]) -> bool {
    // Nobody writes it otherwise.
    version == b"SIP/2.0" || version.eq_ignore_ascii_case(b"SIP/2.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<T>(text: &str, look: impl Fn(&Message<'_>) -> T) -> Result<T, Fault> {
        Message::parse(text.as_bytes(), &mut Fields::default()).map(|message| look(&message))
    }

    fn fault(text: &str) -> Option<Fault> {
        parsed(text, |message| message.fault).unwrap_or_else(Some)
    }

    #[test]
    fn a_field_may_be_folded_and_compact() {
        let text = "MESSAGE sip:a@b SIP/2.0\r\ni : x1\r\nSubject: one\r\n two\r\n\r\n";
        let values = parsed(text, |message| {
            message
                .fields
                .iter()
                .map(|field| String::from_utf8_lossy(field.value.of(message.bytes)).into_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(values.unwrap(), ["x1", "one\r\n two"]);
        assert_eq!(fault(text), None);
    }

    #[test]
    fn the_body_ends_where_content_length_says() {
        let body = |text: &str| {
            parsed(text, |message| {
                (String::from_utf8_lossy(message.body.of(message.bytes)).into_owned(), message.fault)
            })
        };
        assert_eq!(body("INFO sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabcdef"), Ok(("abc".into(), None)));
        assert_eq!(body("INFO sip:a@b SIP/2.0\r\n\r\nabcdef"), Ok(("abcdef".into(), None)));
        assert_eq!(body("INFO sip:a@b SIP/2.0\r\nl: 9\r\n\r\nabc").unwrap().1, Some(Fault::ShortBody));
        assert_eq!(body("INFO sip:a@b SIP/2.0\r\nl: -1\r\n\r\nabc").unwrap().1, Some(Fault::Value("Content-Length")));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_a_fault() {
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: x\r\nt: y\r\n\r\n"), Some(Fault::Twice("To")));
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: x\ny\r\n\r\n"), Some(Fault::LineEnd));
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: x\ry\r\n\r\n"), Some(Fault::LineEnd));
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: x\0\r\n\r\n"), Some(Fault::LineEnd));
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: \"\\\0\" <sip:x>\r\n\r\n"), None);
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nno colon\r\n\r\n"), Some(Fault::FieldName));
        assert_eq!(fault("INFO sip:a@b SIP/2.0\r\nTo: x\r\n"), Some(Fault::NoEmptyLine));
        assert_eq!(fault("INFO  sip:a@b SIP/2.0\r\n\r\n"), Some(Fault::StartLine));
        assert_eq!(fault("INFO sip:a@b  SIP/2.0\r\n\r\n"), Some(Fault::StartLine));
        assert_eq!(fault("INFO sip:a b SIP/2.0\r\n\r\n"), Some(Fault::StartLine));
    }

    #[test]
    fn start_lines() {
        let line = |text: &str| parsed(text, |message| (message.start_line, message.other_version));
        assert_eq!(line("SIP/2.0 180 Ringing\r\n\r\n"), Ok((StartLine::Status { code: 180 }, false)));
        assert_eq!(line("sip/2.0 200 \r\n\r\n"), Ok((StartLine::Status { code: 200 }, false)));
        assert!(line("SIP/2.0 99 x\r\n\r\n").is_err());
        assert!(line("SIP/2.0 2000 x\r\n\r\n").is_err());
        assert!(line("SIP/2.0 999 x\r\n\r\n").is_err());
        assert!(line("nonsense\r\n\r\n").is_err());
        assert!(line("").is_err());
        assert!(matches!(line("INVITE sip:a@b SIP/7.0\r\n\r\n"), Ok((StartLine::Request { .. }, true))));
    }
}
