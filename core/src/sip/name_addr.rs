//! `name-addr` and `addr-spec` values of header fields (RFC 3261 §20.10, §25.1).

use super::header::Values;
use super::uri::{Parameter, Parameters};
use crate::scan::{Class, Scanner, Span, find_uri_end, has_lws, trim_span, trimmed};

/// One value: `"Bob" <sip:bob@host;uri-parameter>;parameter`, or without the
/// brackets, where every parameter belongs to the header field. Spans count from
/// the start of the text it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// All of it, without white space around it.
    pub whole: Span,
    /// The URI, without brackets.
    pub uri: Span,
    /// How that stands there.
    pub form: UriForm,
    /// The parameters of the header field.
    pub parameters: Span,
}

impl NameAddr {
    /// The first parameter of a name, given in lower case: where one stands twice, which is
    /// wrong (RFC 3261 §7.3.1), other stacks read that.
    pub fn first_parameter(&self, text: &[u8], name: &[u8]) -> Option<Parameter> {
        Parameters::new(text, self.parameters).find(|parameter| parameter.name.of(text).eq_ignore_ascii_case(name))
    }

    /// Its tag, if it is that of a From or To (RFC 3261 §19.3).
    pub fn tag<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        self.first_parameter(text, b"tag").map(|tag| tag.value.of(text)).filter(|tag| !tag.is_empty())
    }
}

/// How a URI stands in a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriForm {
    /// In angle brackets, as in a `name-addr`: what parameters stand within are its own.
    Bracketed,
    /// Without, as an `addr-spec` may: it has no parameters.
    Bare,
}

/// The values of one header field, one after the other.
///
/// An error ends them: what comes behind something that cannot be read can be
/// read in more than one way.
#[derive(Clone, Debug)]
pub struct NameAddrs<'a> {
    text: &'a [u8],
    scanner: Scanner<'a>,
    values: Values,
    more: bool,
}

/// A value that is neither name-addr nor addr-spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl<'a> NameAddrs<'a> {
    /// Those in `span` of `text`.
    pub fn new(text: &'a [u8], span: Span, values: Values) -> Self {
        Self { text, scanner: Scanner::within(text, span), values, more: !span.is_empty() }
    }

    fn value(&mut self) -> Result<NameAddr, NotAnAddress> {
        self.scanner.skip_lws();
        let start = self.scanner.offset();
        let (uri, form) = self.address()?;
        self.scanner.skip_lws();
        let parameters_start = self.scanner.offset();
        self.parameters(form)?;
        let end = start + trimmed(self.scanner.taken_since(start)).end;
        self.more = self.scanner.eat(b',');
        if uri.is_empty() {
            return Err(NotAnAddress);
        }
        let parameters = Span::new(parameters_start, end.max(parameters_start));
        Ok(NameAddr { whole: Span::new(start, end), uri, form, parameters })
    }

    /// The display name and the URI.
    fn address(&mut self) -> Result<(Span, UriForm), NotAnAddress> {
        let scanner = &mut self.scanner;
        let quoted = scanner.quoted_string().is_some();
        scanner.skip_lws();
        let start = scanner.offset();
        let name = scanner.take_class(match self.values {
            Values::One => &ALONE,
            Values::List => &IN_LIST,
        });
        if !scanner.eat(b'<') {
            let uri = trim_span(self.text, Span::new(start, scanner.offset()));
            let good = !quoted && !has_lws(uri.of(self.text)) && !matches!(scanner.peek(), Some(b'"' | b'>'));
            return if good { Ok((uri, UriForm::Bare)) } else { Err(NotAnAddress) };
        }
        // A comma in a display name without quotes begins another value for some.
        if quoted && !name.is_empty() || name.contains(&b',') {
            return Err(NotAnAddress);
        }
        let uri_start = scanner.offset();
        scanner.skip(find_uri_end(scanner.rest()).unwrap_or(0));
        let span = Span::new(uri_start, scanner.offset());
        if scanner.eat(b'>') { Ok((span, UriForm::Bracketed)) } else { Err(NotAnAddress) }
    }

    /// Steps over parameters up to the comma or the end.
    fn parameters(&mut self, form: UriForm) -> Result<(), NotAnAddress> {
        if !matches!(self.scanner.peek(), None | Some(b';' | b',')) {
            return Err(NotAnAddress);
        }
        loop {
            self.scanner.take_to_any(*b",\"<");
            match self.scanner.peek() {
                None => return Ok(()),
                Some(b',') if self.values == Values::List => return Ok(()),
                // A second value where there is place for one.
                Some(b',') => return Err(NotAnAddress),
                Some(b'"') => drop(self.scanner.quoted_string().ok_or(NotAnAddress)?),
                // What stands before the semicolon is a display name for some.
                Some(_) if form == UriForm::Bare => return Err(NotAnAddress),
                Some(_) => {
                    self.scanner.take_to(b'>');
                    if !self.scanner.eat(b'>') {
                        return Err(NotAnAddress);
                    }
                }
            }
        }
    }
}

/// What may stand in a display name without quotes, or in a URI without brackets.
const ALONE: Class = Class::all_but(b"<;\">");

/// What may stand in either where a comma begins another value.
const IN_LIST: Class = Class::all_but(b"<;\">,");

impl Iterator for NameAddrs<'_> {
    type Item = Result<NameAddr, NotAnAddress>;

    fn next(&mut self) -> Option<Self::Item> {
        if !std::mem::take(&mut self.more) {
            return None;
        }
        let value = self.value();
        self.more &= value.is_ok();
        Some(value)
    }
}

/// The tag of a From or To (RFC 3261 §19.3), from the value of the field.
pub fn tag(value: &[u8]) -> Option<&[u8]> {
    NameAddrs::new(value, Span::new(0, value.len()), Values::One).next()?.ok()?.tag(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(text: &str) -> Vec<Result<String, NotAnAddress>> {
        let bytes = text.as_bytes();
        NameAddrs::new(bytes, Span::new(0, bytes.len()), Values::List)
            .map(|value| value.map(|value| String::from_utf8_lossy(value.uri.of(bytes)).into_owned()))
            .collect()
    }

    fn good(uris: &[&str]) -> Vec<Result<String, NotAnAddress>> {
        uris.iter().map(|uri| Ok((*uri).to_string())).collect()
    }

    #[test]
    fn values_with_and_without_brackets() {
        assert_eq!(uris("sip:a@b;tag=1"), good(&["sip:a@b"]));
        assert_eq!(uris("<sip:a@b;lr>;tag=1"), good(&["sip:a@b;lr"]));
        assert_eq!(uris("Bob the Builder <sip:a@b>"), good(&["sip:a@b"]));
        assert_eq!(
            uris("\"a, <b>\" <sip:a@b> , sip:c@d ;x=\"1,2\",<sip:e,f@g>"),
            good(&["sip:a@b", "sip:c@d", "sip:e,f@g"])
        );
        assert_eq!(uris("\"\\\"\"<sip:a@b>"), good(&["sip:a@b"]));
        assert_eq!(uris("<sip:a@b>;x=<1,2>, sip:c@d;x=\"<1>\""), good(&["sip:a@b", "sip:c@d"]));
        assert_eq!(uris("*"), good(&["*"]));
        assert_eq!(uris(""), []);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "\"Bob <sip:a@b>",
            "<sip:a@b",
            "a b c",
            "\"Bob\" sip:a@b",
            "<sip:a@ b>",
            "sip:a@b>",
            "<sip:a@b>;x=\"",
            ",",
            "\"Bob\" x <sip:a@b>",
            "Bob;x <sip:a@b>",
            "sip:a@b;tag=1,sip:c@d;tag=1 <sip:e@f>;tag=2",
        ] {
            assert!(uris(text).iter().any(Result::is_err), "{text}");
        }
    }

    #[test]
    fn where_one_value_has_its_place_two_are_refused() {
        let one = |text: &str| {
            NameAddrs::new(text.as_bytes(), Span::new(0, text.len()), Values::One).all(|value| value.is_ok())
        };
        assert!(one("\"Bell, A\" <sip:a@b>;tag=1;x=\"1,2\""));
        assert!(one("sip:a,b@c"));
        for text in
            ["<sip:a@b>, <sip:c@d>", "<sip:a@b>;tag=1,<sip:c@d>;tag=2", "sip:a@b;tag=1,sip:c@d", "Bell, A <sip:a@b>"]
        {
            assert!(!one(text), "{text}");
        }
        assert!(!one("<sip:a@b> x"));
    }

    #[test]
    fn tags() {
        assert_eq!(tag(b"<sip:a@b;tag=no>;x;tag=yes"), Some(&b"yes"[..]));
        assert_eq!(tag(b"sip:a@b ; tag = yes"), Some(&b"yes"[..]));
        assert_eq!(tag(b"<sip:a@b>"), None);
    }
}
