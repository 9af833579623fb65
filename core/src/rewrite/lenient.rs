//! `--lenient`: brackets round IPv6 addresses that came without.

use crate::edit::Edits;
use crate::scan::Span;
use crate::sip::brackets::{bare_address, hostport, sent_by};
use crate::sip::header::{HeaderName, Kind};
use crate::sip::message::{Fields, Message, StartLine};
use crate::sip::name_addr::NameAddrs;
use crate::sip::uri::Uri;

/// The message in `datagram` with brackets where they can be put, written into
/// `out`; the datagram itself where there is nothing to repair. A `wrapper` has the
/// Contact to itself.
pub fn repaired<'a>(
    datagram: &'a [u8],
    wrapper: bool,
    fields: &mut Fields,
    edits: &mut Edits,
    out: &'a mut Vec<u8>,
) -> &'a [u8] {
    let Ok(message) = Message::parse(datagram, fields) else { return datagram };
    edits.clear();
    put_brackets(&message, wrapper, edits);
    if edits.is_empty() {
        return datagram;
    }
    out.clear();
    edits.apply(message.bytes, out);
    out
}

/// Puts brackets where they are missing and the text can only be an IPv6 address:
/// in the Request-URI, the sent-by of the topmost Via, and the header fields of
/// the table that carry URIs.
fn put_brackets(message: &Message<'_>, wrapper: bool, edits: &mut Edits) {
    let text = message.bytes;
    if let StartLine::Request { uri, .. } = message.start_line {
        put_in_uri(text, uri, edits);
    }
    if let Some(via) = message.first(HeaderName::VIA)
        && let Some(sent_by) = sent_by(via.value.of(text))
    {
        put(text, sent_by.shifted(via.value.start), edits);
    }
    for field in message.fields {
        match field.name.kind() {
            Kind::Left | Kind::Path => continue,
            Kind::Contact if wrapper => continue,
            Kind::Uris | Kind::Identity | Kind::Contact | Kind::Bare => {}
        }
        let values = NameAddrs::new(text, field.value, field.name.values());
        for value in values.map_while(Result::ok) {
            put_in_uri(text, value.uri, edits);
        }
    }
}

fn put_in_uri(text: &[u8], span: Span, edits: &mut Edits) {
    let uri = span.of(text);
    if Uri::parse(uri).is_none()
        && let Some(hostport) = hostport(uri)
    {
        put(text, hostport.shifted(span.start), edits);
    }
}

fn put(text: &[u8], hostport: Span, edits: &mut Edits) {
    if let Some(length) = bare_address(hostport.of(text)) {
        edits.insert(hostport.start, "[");
        edits.insert(hostport.start.saturating_add(length), "]");
    }
}
