//! Via header fields (RFC 3261 §20.42, RFC 3581).

use std::net::IpAddr;

use super::brackets::sent_by;
use super::fault::Fault;
use super::header::HeaderName;
use super::host::{HostPort, SIP_PORT, address};
use super::message::{Field, Message};
use super::uri::{Parameter, Parameters};
use crate::scan::{Class, Scanner, Span, TOKEN, find, number, trim, trim_span};

/// One Via value. Spans count from the start of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// All of it.
    pub whole: Span,
    /// The field that holds it.
    pub field: Field,
    /// The transport, `UDP` in ours.
    pub transport: Span,
    /// Who sent the request, by its own word.
    pub sent_by: HostPort,
    /// It is that of another version than 2.0.
    pub other_version: bool,
    /// The value of `branch`.
    pub branch: Option<Span>,
    /// Where the request came from, as a server found.
    pub received: Option<Received>,
    /// From which port, or that a server shall say so.
    pub rport: Option<Rport>,
    /// One of these two stands twice, as some servers write them: which of them
    /// counts, others may read in another way.
    pub is_ambiguous: bool,
}

/// The `received` of a Via (RFC 3261 §18.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it stands.
    pub parameter: Parameter,
    /// Its value, if that is an address.
    pub address: Option<IpAddr>,
}

/// The `rport` of a Via (RFC 3581).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rport {
    /// Where it stands.
    pub parameter: Parameter,
    /// Its value, if it has one that is a port.
    pub port: Option<u16>,
}

impl Via {
    /// The sent-by port, 5060 where none stands.
    pub fn sent_by_port(&self) -> u16 {
        self.sent_by.port_number.unwrap_or(SIP_PORT)
    }

    /// The address that `received` names.
    pub fn received_address(&self) -> Option<IpAddr> {
        self.received.and_then(|received| received.address)
    }

    /// The port that `rport` names.
    pub fn rport_number(&self) -> Option<u16> {
        self.rport.and_then(|rport| rport.port)
    }

    /// Reads the value in `span`, which is part of `field`.
    fn parse(text: &[u8], span: Span, field: Field) -> Option<Self> {
        let mut scanner = Scanner::within(text, span);
        let (transport, other_version) = sent_protocol(&mut scanner)?;
        let blank = scanner.take_while(crate::scan::is_lws);
        if transport.is_empty() || blank.is_empty() {
            return None;
        }
        let sent_by = HostPort::scan_sent_by(&mut scanner)?;
        let parameters = Span::new(scanner.offset(), span.end);
        let (branch, received, rport) = (None, None, None);
        let whole = span;
        let is_ambiguous = false;
        let mut via = Self { whole, field, transport, sent_by, other_version, branch, received, rport, is_ambiguous };
        let mut end = parameters.start;
        for parameter in Parameters::new(text, parameters) {
            // What stands between two parameters, others may take for one.
            if end != parameter.whole.start {
                trim(Span::new(end, parameter.whole.start).of(text)).is_empty().then_some(())?;
            }
            via.take(text, parameter)?;
            end = parameter.whole.end;
        }
        (end == parameters.end || trim(Span::new(end, parameters.end).of(text)).is_empty()).then_some(via)
    }

    /// Keeps what we read; a branch that stands twice could be read in two ways.
    fn take(&mut self, text: &[u8], parameter: Parameter) -> Option<()> {
        let value = parameter.value.of(text);
        match parameter.name.of(text) {
            name if name.eq_ignore_ascii_case(b"branch") => {
                return self.branch.replace(parameter.value).is_none().then_some(());
            }
            name if name.eq_ignore_ascii_case(b"received") => {
                self.is_ambiguous |= self.received.replace(Received { parameter, address: address(value) }).is_some();
            }
            name if name.eq_ignore_ascii_case(b"rport") => {
                let port = number(value).and_then(|port| u16::try_from(port).ok()).filter(|&port| port > 0);
                self.is_ambiguous |= self.rport.replace(Rport { parameter, port }).is_some();
            }
            _ => {}
        }
        Some(())
    }
}

/// `protocol-name SLASH protocol-version SLASH transport`: where the transport
/// stands, and whether the version is another than 2.0.
fn sent_protocol(scanner: &mut Scanner<'_>) -> Option<(Span, bool)> {
    let start = scanner.offset();
    // As nearly everybody writes it.
    if scanner.rest().starts_with(b"SIP/2.0/UDP ") {
        scanner.skip(11);
        return Some((Span::new(start + 8, start + 11), false));
    }
    if !scanner.take_class(&TOKEN).eq_ignore_ascii_case(b"SIP") {
        return None;
    }
    slash(scanner)?;
    let version = scanner.take_class(&TOKEN);
    if version.is_empty() {
        return None;
    }
    slash(scanner)?;
    let start = scanner.offset();
    scanner.take_class(&TOKEN);
    Some((Span::new(start, scanner.offset()), version != b"2.0"))
}

fn slash(scanner: &mut Scanner<'_>) -> Option<()> {
    scanner.skip_lws();
    let here = scanner.eat(b'/');
    scanner.skip_lws();
    here.then_some(())
}

/// The Via values of a message from the topmost on; one that cannot be read is
/// an `Err`.
#[derive(Debug)]
pub struct Vias<'a> {
    text: &'a [u8],
    fields: std::slice::Iter<'a, Field>,
    rest: Option<(Field, Span)>,
}

/// A Via that cannot be read, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVia(pub Fault);

impl NotAVia {
    fn new(value: &[u8]) -> Self {
        Self(sent_by(value).map_or(Fault::Value("Via"), |span| Fault::of_host(span.of(value), "Via")))
    }
}

impl<'a> Vias<'a> {
    /// Those of `message`.
    pub fn new(message: &Message<'a>) -> Self {
        Self { text: message.bytes, fields: message.fields.iter(), rest: None }
    }
}

impl Iterator for Vias<'_> {
    type Item = Result<Via, NotAVia>;

    fn next(&mut self) -> Option<Self::Item> {
        let (field, rest) = match self.rest.take() {
            Some(rest) => rest,
            None => self.fields.find(|field| field.name == HeaderName::VIA).map(|field| (*field, field.value))?,
        };
        let (value, behind) = split_at_comma(self.text, rest);
        self.rest = behind.map(|behind| (field, behind));
        Some(Via::parse(self.text, value, field).ok_or_else(|| NotAVia::new(value.of(self.text))))
    }
}

/// Whether nothing stands before, between or behind the commas of a Via field:
/// some count that as a value, and some do not. `topmost` is one that was read.
pub fn has_empty_value(message: &Message<'_>, topmost: &Via) -> bool {
    message.all(HeaderName::VIA).any(|field| {
        // Most hold one value.
        if topmost.whole == field.value {
            return false;
        }
        let mut rest = Some(field.value);
        while let Some(span) = rest {
            let (value, behind) = split_at_comma(message.bytes, span);
            if value.is_empty() {
                return true;
            }
            rest = behind;
        }
        false
    })
}

/// The first value of a list without white space at its ends, and what stands behind
/// its comma.
fn split_at_comma(text: &[u8], span: Span) -> (Span, Option<Span>) {
    // Most hold one value.
    if find(span.of(text), b',').is_none() {
        return (span, None);
    }
    let mut scanner = Scanner::within(text, span);
    loop {
        scanner.take_class(&BETWEEN_COMMAS);
        match scanner.peek() {
            Some(b',') => {
                let comma = scanner.offset();
                let behind = Span::new(comma + 1, span.end);
                return (trim_span(text, Span::new(span.start, comma)), Some(trim_span(text, behind)));
            }
            // A quote that does not end hides every comma behind it.
            Some(_) if scanner.quoted_string().is_some() => {}
            _ => return (span, None),
        }
    }
}

/// What may stand in a Via outside of quotes.
const BETWEEN_COMMAS: Class = Class::all_but(b",\"");

#[cfg(test)]
mod tests {
    use super::super::message::Fields;
    use super::*;

    fn vias(header: &str) -> Vec<Option<String>> {
        let text = format!("INFO sip:a@b SIP/2.0\r\n{header}\r\n\r\n");
        let mut fields = Fields::default();
        let message = Message::parse(text.as_bytes(), &mut fields).unwrap();
        let show = |via: Via| {
            let branch = via.branch.map(|branch| String::from_utf8_lossy(branch.of(message.bytes)).into_owned());
            let host = String::from_utf8_lossy(via.sent_by.host.of(message.bytes)).into_owned();
            format!(
                "{host} {} {branch:?} {:?} {:?}",
                via.sent_by_port(),
                via.received_address(),
                via.rport.map(|_| via.rport_number())
            )
        };
        Vias::new(&message).map(|via| via.ok().map(show)).collect()
    }

    fn one(text: &str) -> Vec<Option<String>> {
        vec![Some(text.to_string())]
    }

    #[test]
    fn a_via_is_read_however_it_is_spaced() {
        assert_eq!(
            vias("Via: SIP/2.0/UDP 192.0.2.1;branch=x;rport"),
            one("192.0.2.1 5060 Some(\"x\") None Some(None)")
        );
        assert_eq!(
            vias("v:  SIP  / 2.0\r\n / UDP\r\n     192.0.2.1 : 99 ;BRANCH = x"),
            one("192.0.2.1 99 Some(\"x\") None None")
        );
        assert_eq!(
            vias("Via: SIP/2.0/UDP [2001:db8::1]:5062;received=[2001:db8::2];rport=7"),
            one("[2001:db8::1] 5062 None Some(2001:db8::2) Some(Some(7))")
        );
        assert_eq!(vias("Via: SIP/2.0/TLS h;received=2001:db8::2"), one("h 5060 None Some(2001:db8::2) None"));
    }

    #[test]
    fn values_come_in_order_from_lists_and_lines() {
        let hosts: Vec<_> = vias("Via: SIP/2.0/UDP a;i=\",\", SIP/2.0/UDP b\r\nSubject: x\r\nv: SIP/2.0/UDP c")
            .into_iter()
            .map(|via| via.unwrap().chars().next().unwrap())
            .collect();
        assert_eq!(hosts, ['a', 'b', 'c']);
    }

    #[test]
    fn an_empty_value_is_found() {
        let empty = |header: &str| {
            let text = format!("INFO sip:a@b SIP/2.0\r\n{header}\r\n\r\n");
            let mut fields = Fields::default();
            let message = Message::parse(text.as_bytes(), &mut fields).unwrap();
            has_empty_value(&message, &Vias::new(&message).find_map(Result::ok).unwrap())
        };
        assert!(!empty("Via: SIP/2.0/UDP a , SIP/2.0/UDP b;i=\",,\""));
        assert!(empty("Via: SIP/2.0/UDP a\r\nv: SIP/2.0/UDP b,"));
        assert!(empty("Via: SIP/2.0/UDP a,,SIP/2.0/UDP b"));
        assert!(empty("Via: ,SIP/2.0/UDP a"));
        assert!(empty("Via: SIP/2.0/UDP a\r\nVia:"));
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for text in [
            "SIP/2.0/UDP",
            "SIP//UDP a",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP a;branch=1;branch=2",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP a:0",
            "",
        ] {
            assert_eq!(vias(&format!("Via: {text}")), [None], "{text}");
        }
    }
}
