//! SIP URIs (RFC 3261 §19.1).

use super::host::HostPort;
use crate::scan::{Class, PARAMETER, PARAMETER_NAME, SCHEME, Scanner, Span, find, find_at_most};

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
/// use sipproxy64_core::sip::uri::Uri;
/// let text = b"sip:bob@192.0.2.1:5070;lr;s64=x?Subject=a";
/// let uri = Uri::parse(text).unwrap();
/// assert_eq!(uri.hostport.host.of(text), b"192.0.2.1");
/// assert_eq!(uri.last_parameter(text, b"s64").unwrap().value.of(text), b"x");
/// assert_eq!(uri.parameters.of(text), b";lr;s64=x");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Where its scheme begins.
    pub start: usize,
    /// The userinfo without its `@`, if there is one.
    pub user: Option<Span>,
    /// Host and port.
    pub hostport: HostPort,
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
        if behind_sip(text).is_some() {
            return Scheme::Sip;
        }
        let mut scanner = Scanner::new(text);
        let name = scanner.take_class(&SCHEME);
        let is = |scheme: &[u8]| name.eq_ignore_ascii_case(scheme);
        match scanner.peek() {
            Some(b':') if is(b"tel") || is(b"urn") => Scheme::Named,
            Some(b':') if name.first().is_some_and(u8::is_ascii_alphabetic) => Scheme::Other,
            _ => Scheme::Missing,
        }
    }

    /// Reads `text`, if it is a whole `sip:` or `sips:` URI.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::within(text, Span::new(0, text.len()))
    }

    /// Reads the URI that stands in `span` of `text`; spans count from the start
    /// of `text`.
    pub fn within(text: &[u8], span: Span) -> Option<Self> {
        let start = span.start + behind_sip(span.of(text))?;
        let end = span.end;
        // A user may hold semicolons and question marks, but no raw "@": the first one ends it.
        let behind_scheme = Span::new(start, end).of(text);
        let user = find(behind_scheme, b'@').filter(|&length| !host_comes_first(behind_scheme, length));
        let user = user.map(|length| Span::new(start, start + length));
        if user.is_some_and(|user| !ALLOWED.all(user.of(text))) {
            return None;
        }
        let host_start = user.map_or(start, |user| user.end + 1);
        let mut scanner = Scanner::within(text, Span::new(host_start, end));
        let hostport = HostPort::scan(&mut scanner)?;
        let parameters_start = scanner.offset();
        // Nothing is left of most.
        if scanner.is_at_end() {
            let parameters = Span::new(end, end);
            return Some(Self { start: span.start, user, hostport, parameters, end });
        }
        if !matches!(scanner.peek(), Some(b';' | b'?')) || !ALLOWED.all(scanner.rest()) {
            return None;
        }
        scanner.take_to(b'?');
        let parameters = Span::new(parameters_start, scanner.offset());
        Some(Self { start: span.start, user, hostport, parameters, end })
    }

    /// Whether headers stand behind the parameters.
    pub fn has_headers(&self) -> bool {
        self.parameters.end < self.end
    }

    /// Its parameters, in order.
    pub fn parameters<'a>(&self, text: &'a [u8]) -> Parameters<'a> {
        Parameters::new(text, self.parameters)
    }

    /// The last parameter of a name, given in lower case: ours stands behind those that
    /// were there.
    #[inline]
    pub fn last_parameter(&self, text: &[u8], name: &[u8]) -> Option<Parameter> {
        // Most have none.
        if self.parameters.is_empty() { None } else { self.find_last(text, name) }
    }

    /// In a URI there is neither white space nor a quote, so that the semicolons tell.
    fn find_last(&self, text: &[u8], name: &[u8]) -> Option<Parameter> {
        let Span { mut start, end } = self.parameters;
        let mut last = None;
        while let Some(inside) = text.get(start.saturating_add(1)..end) {
            let length = find(inside, b';').unwrap_or(inside.len());
            let inside = inside.get(..length).unwrap_or_default();
            let whole = Span::new(start, start + 1 + inside.len());
            if let Some((front, value)) = inside.split_at_checked(name.len())
                && matches!(value.first(), None | Some(b'='))
                && front.eq_ignore_ascii_case(name)
            {
                let name = Span::new(start + 1, start + 1 + name.len());
                let value = Span::new((name.end + 1).min(whole.end), whole.end);
                last = Some(Parameter { whole, name, value });
            }
            start = whole.end;
        }
        last
    }
}

/// How long `sip:` or `sips:` is, if `text` begins with it.
fn behind_sip(text: &[u8]) -> Option<usize> {
    match text {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', ..] => Some(4),
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', ..] => Some(5),
        _ => None,
    }
}

/// Whether the `@` that is found lies in the headers of a URI without a user,
/// as in `sip:192.0.2.1?Replaces=a@b`, which should have been escaped there: what
/// comes before the question mark is then a host with its parameters.
fn host_comes_first(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let Some(question) = find(before, b'?') else { return false };
    let mut host = Scanner::within(before, Span::new(0, question));
    HostPort::scan(&mut host).is_some_and(|host| host.address.is_some()) && matches!(host.peek(), None | Some(b';'))
}

/// What may stand in a URI: nothing that would end it where it stands in a message.
const ALLOWED: Class = Class::above_blank_but(b"<>\"\x7f");

/// The parameters of a URI or of a header field value, one after the other.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Parameters<'a> {
    /// Those in `span` of `text`, each behind a semicolon.
    pub fn new(text: &'a [u8], span: Span) -> Self {
        Self { scanner: Scanner::within(text, span) }
    }
}

impl Parameters<'_> {
    /// The next one, if it is written without white space and quotes, as nearly all
    /// are.
    #[inline]
    fn next_plain(&mut self) -> Option<Parameter> {
        let (start, text) = (self.scanner.offset(), self.scanner.rest());
        let inside = text.strip_prefix(b";")?;
        let name_length = inside.iter().position(|&byte| !PARAMETER_NAME.has(byte)).unwrap_or(inside.len());
        let name = Span::new(start + 1, start + 1 + name_length);
        let value = match inside.get(name_length..) {
            None | Some([] | [b';', ..]) => Span::new(name.end, name.end),
            Some([b'=', value @ ..]) if value.first() != Some(&b'"') => {
                let length = find_at_most(value, b' ', b';').unwrap_or(value.len());
                matches!(value.get(length), None | Some(b';')).then_some(Span::new(0, length).shifted(name.end + 1))?
            }
            Some(_) => return None,
        };
        self.scanner.skip(value.end - start);
        Some(Parameter { whole: Span::new(start, value.end), name, value })
    }
}

impl Iterator for Parameters<'_> {
    type Item = Parameter;

    fn next(&mut self) -> Option<Parameter> {
        if let Some(plain) = self.next_plain() {
            return Some(plain);
        }
        let scanner = &mut self.scanner;
        // What stands between a parameter and the next semicolon belongs to neither.
        if scanner.peek()? != b';' {
            scanner.take_to(b';');
        }
        let start = scanner.offset();
        if !scanner.eat(b';') {
            return None;
        }
        scanner.skip_lws();
        let name_start = scanner.offset();
        scanner.take_class(&PARAMETER_NAME);
        let name = Span::new(name_start, scanner.offset());
        let mut end = name.end;
        let mut value = Span::new(end, end);
        let mut ahead = scanner.clone();
        ahead.skip_lws();
        if ahead.eat(b'=') {
            ahead.skip_lws();
            let value_start = ahead.offset();
            if ahead.quoted_string().is_none() {
                ahead.take_class(&PARAMETER);
            }
            value = Span::new(value_start, ahead.offset());
            end = value.end;
            *scanner = ahead;
        }
        Some(Parameter { whole: Span::new(start, end), name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Option<(String, String, String)> {
        let bytes = text.as_bytes();
        let uri = Uri::parse(bytes)?;
        let show = |span: Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
        Some((uri.user.map(show).unwrap_or_default(), show(uri.hostport.span()), show(uri.parameters)))
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

    proptest! {
        #[test]
        fn a_parameter_is_the_last_one_of_its_name(parameters in "(;[AaBb=?]{0,4}){0,5}", name in "[ab]{1,2}") {
            let text = format!("sip:192.0.2.1{parameters}");
            let (text, name) = (text.as_bytes(), name.as_bytes());
            let uri = Uri::parse(text).unwrap();
            let named = |parameter: &Parameter| parameter.name.of(text).eq_ignore_ascii_case(name);
            prop_assert_eq!(uri.last_parameter(text, name), uri.parameters(text).filter(named).last());
        }
    }
}
