//! SIP URIs (RFC 3261 §19.1).

use super::host::HostPort;
use crate::scan::{SCHEME, Scanner, Span};

/// What the scheme of a URI means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:` or `sips:`.
    Sip,
    /// `tel:` (RFC 3966) or `urn:` (RFC 5031): a number or a service, which the
    /// uplink knows how to reach.
    Named,
    /// Any other.
    Other,
    /// It begins with none.
    Missing,
}

/// A SIP URI as it stands: `sip:user:password@host:port;parameters?headers`.
///
/// All spans count from the start of the text it was read from.
///
/// ```
/// use sipproxy64::sip::uri::Uri;
/// let text = b"sip:bob@192.0.2.1:5070;lr;s64=x?Subject=a";
/// let uri = Uri::parse(text).unwrap();
/// assert_eq!(uri.at.host.of(text), b"192.0.2.1");
/// assert_eq!(uri.parameter(text, b"s64").unwrap().value.of(text), b"x");
/// assert_eq!(uri.parameters.of(text), b";lr;s64=x");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Where its scheme begins.
    pub start: usize,
    /// The userinfo without its `@`, if there is one.
    pub user: Option<Span>,
    /// Host and port.
    pub at: HostPort,
    /// The parameters, with the semicolon before the first.
    pub parameters: Span,
    /// The end of the URI.
    pub end: usize,
}

/// `;name=value`, or `;name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// With its semicolon.
    pub whole: Span,
    /// The name.
    pub name: Span,
    /// The value, empty where there is none.
    pub value: Span,
}

impl Uri {
    /// What scheme `text` begins with.
    pub fn scheme(text: &[u8]) -> Scheme {
        let mut scanner = Scanner::new(text);
        let name = scanner.take_class(&SCHEME);
        let is = |scheme: &[u8]| name.eq_ignore_ascii_case(scheme);
        match scanner.peek() {
            Some(b':') if is(b"sip") || is(b"sips") => Scheme::Sip,
            Some(b':') if is(b"tel") || is(b"urn") => Scheme::Named,
            Some(b':') if name.first().is_some_and(u8::is_ascii_alphabetic) => Scheme::Other,
            _ => Scheme::Missing,
        }
    }

    /// Reads a whole `sip:` or `sips:` URI.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if Self::scheme(text) != Scheme::Sip || !text.iter().all(|&byte| is_allowed(byte)) {
            return None;
        }
        let mut scanner = Scanner::new(text);
        scanner.take_while(|byte| byte != b':');
        scanner.eat(b':');
        let start = scanner.offset();
        // A user may hold semicolons and question marks, but no raw "@": the first one ends it.
        let user = scanner.rest().iter().position(|&byte| byte == b'@').filter(|_| !host_comes_first(scanner.rest()));
        if user.is_some() {
            scanner.take_while(|byte| byte != b'@');
            scanner.eat(b'@');
        }
        let user = user.map(|length| Span::new(start, start.saturating_add(length)));
        if user.is_some_and(Span::is_empty) {
            return None;
        }
        let at = HostPort::scan(&mut scanner, false)?;
        let parameters_start = scanner.offset();
        if !matches!(scanner.peek(), None | Some(b';' | b'?')) {
            return None;
        }
        let parameters = scanner.take_while(|byte| byte != b'?');
        let parameters = Span::new(parameters_start, parameters_start.saturating_add(parameters.len()));
        Some(Self { start: 0, user, at, parameters, end: text.len() })
    }

    /// Whether headers stand behind the parameters.
    pub fn has_headers(&self) -> bool {
        self.parameters.end < self.end
    }

    /// Its parameters, in order.
    pub fn parameters<'a>(&self, text: &'a [u8]) -> Parameters<'a> {
        Parameters { scanner: Scanner::new(self.parameters.of(text)), offset: self.parameters.start }
    }

    /// The last parameter of a name, which is given in lower case.
    pub fn parameter(&self, text: &[u8], name: &[u8]) -> Option<Parameter> {
        self.parameters(text).filter(|parameter| parameter.name.of(text).eq_ignore_ascii_case(name)).last()
    }

    /// The same, found in a text that begins `offset` bytes later.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        Self {
            start: self.start.saturating_add(offset),
            user: self.user.map(|user| user.shifted(offset)),
            at: self.at.shifted(offset),
            parameters: self.parameters.shifted(offset),
            end: self.end.saturating_add(offset),
        }
    }
}

/// Whether the `@` that is found lies in the headers of a URI without a user,
/// as in `sip:192.0.2.1?Replaces=a@b`, which should have been escaped there: what
/// comes before the question mark is then a host with its parameters.
fn host_comes_first(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    let before = scanner.take_while(|byte| byte != b'@' && byte != b'?');
    if scanner.peek() != Some(b'?') {
        return false;
    }
    let mut host = Scanner::new(before);
    HostPort::scan(&mut host, false).is_some_and(|at| at.address.is_some()) && matches!(host.peek(), None | Some(b';'))
}

/// Nothing that would end a URI where it stands in a message.
fn is_allowed(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b'<' | b'>' | b'"')
}

/// The parameters of a URI or of a header field value, one after the other.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    scanner: Scanner<'a>,
    offset: usize,
}

impl<'a> Parameters<'a> {
    /// Those in `span` of `text`, each behind a semicolon.
    pub fn new(text: &'a [u8], span: Span) -> Self {
        Self { scanner: Scanner::new(span.of(text)), offset: span.start }
    }
}

impl Iterator for Parameters<'_> {
    type Item = Parameter;

    fn next(&mut self) -> Option<Parameter> {
        let scanner = &mut self.scanner;
        // What stands between a parameter and the next semicolon belongs to neither.
        scanner.take_while(|byte| byte != b';');
        let start = scanner.offset();
        if !scanner.eat(b';') {
            return None;
        }
        scanner.skip_lws();
        let name_start = scanner.offset();
        let name = scanner.take_while(|byte| !matches!(byte, b';' | b'=') && !crate::scan::is_lws(byte));
        let name = Span::new(name_start, name_start.saturating_add(name.len()));
        let mut end = name.end;
        let mut value = Span::new(end, end);
        let mut ahead = scanner.clone();
        ahead.skip_lws();
        if ahead.eat(b'=') {
            ahead.skip_lws();
            let value_start = ahead.offset();
            if ahead.quoted_string().is_none() {
                ahead.take_while(|byte| byte != b';' && !crate::scan::is_lws(byte));
            }
            value = Span::new(value_start, ahead.offset());
            end = value.end;
            *scanner = ahead;
        }
        let offset = self.offset;
        Some(Parameter {
            whole: Span::new(start, end).shifted(offset),
            name: name.shifted(offset),
            value: value.shifted(offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, String, String)> {
        let bytes = text.as_bytes();
        let uri = Uri::parse(bytes)?;
        let show = |span: Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
        Some((uri.user.map(show).unwrap_or_default(), show(uri.at.span()), show(uri.parameters)))
    }

    fn some(user: &str, at: &str, parameters: &str) -> Option<(String, String, String)> {
        Some((user.into(), at.into(), parameters.into()))
    }

    #[test]
    fn the_parts_are_where_the_grammar_says() {
        assert_eq!(parts("sip:alice@192.0.2.1"), some("alice", "192.0.2.1", ""));
        assert_eq!(parts("SIPS:a:pw@[2001:db8::1]:5061;lr?a=b"), some("a:pw", "[2001:db8::1]:5061", ";lr"));
        assert_eq!(parts("sip:a;b?c@host"), some("a;b?c", "host", ""));
        assert_eq!(parts("sip:192.0.2.1;lr?Replaces=a@b"), some("", "192.0.2.1", ";lr"));
        assert_eq!(parts("sip:bob@192.0.2.1?Replaces=a@b"), some("bob", "192.0.2.1", ""));
        let odd = "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
        assert_eq!(parts(odd).unwrap().1, "example.com");
    }

    #[test]
    fn what_is_no_sip_uri_is_refused() {
        for text in [
            "",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a@b@c",
            "sip:a b@host",
            "sip:a@<host>",
            "tel:+1",
            "sip:2001:db8::10",
            "sip:host:",
            "sip:a@[::1",
            "sipx:a@b",
            "sip",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_found_whatever_stands_around_them() {
        let text = b";a=1;b ; c = 2;;d=\"x;y\" ;e";
        let all: Vec<_> = Parameters::new(text, Span::new(0, text.len()))
            .map(|found| {
                (
                    String::from_utf8_lossy(found.name.of(text)).into_owned(),
                    String::from_utf8_lossy(found.value.of(text)).into_owned(),
                )
            })
            .collect();
        let want = [("a", "1"), ("b", ""), ("c", "2"), ("", ""), ("d", "\"x;y\""), ("e", "")];
        assert_eq!(all, want.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn what_stands_between_parameters_belongs_to_none() {
        let text = b";a b;c";
        let whole: Vec<_> =
            Parameters::new(text, Span::new(0, text.len())).map(|found| found.whole.of(text).to_vec()).collect();
        assert_eq!(whole, [b";a", b";c"]);
    }
}
