//! The header fields of the table: each URI by the rule of [`super::uri`].

use super::uri::{Crossing, Place};
use crate::edit::Edits;
use crate::scan::Span;
use crate::sip::fault::Fault;
use crate::sip::header::{HeaderName, Kind};
use crate::sip::message::{Field, Message};
use crate::sip::name_addr::{NameAddr, NameAddrs, UriForm};
use crate::sip::uri::{Parameters, Scheme, Uri};

/// What this proxy calls itself.
pub const PRODUCT: &str = concat!("SIPproxy64/", env!("CARGO_PKG_VERSION"));

/// Who calls whom, as far as it was read while they were mapped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identities {
    from: Option<NameAddr>,
    to: Option<NameAddr>,
}

impl Identities {
    /// The tag of the From.
    pub fn from_tag<'a>(&self, message: &Message<'a>) -> Option<&'a [u8]> {
        self.from?.tag(message.bytes)
    }

    /// The tag of the To.
    pub fn to_tag<'a>(&self, message: &Message<'a>) -> Option<&'a [u8]> {
        self.to?.tag(message.bytes)
    }
}

/// Maps all header fields that the table says carry URIs, and names this proxy
/// in a User-Agent.
///
/// # Errors
/// From, To or Contact cannot be read.
pub fn map(message: &Message<'_>, crossing: &Crossing<'_>, edits: &mut Edits) -> Result<Identities, Fault> {
    let mut identities = Identities::default();
    for field in message.fields {
        let kind = field.name.kind();
        let place = match kind {
            Kind::Uris => Place::Elsewhere,
            Kind::Identity => Place::Identity,
            Kind::Contact if crossing.directory.config().wrapper => continue,
            Kind::Contact => Place::Contact,
            Kind::Bare => Place::Bare,
            Kind::Left | Kind::Path => {
                name_product(field, edits);
                continue;
            }
        };
        let read = map_field(message.bytes, field, place, crossing, edits);
        // A header field that nothing depends on passes as it is.
        if matches!(kind, Kind::Identity | Kind::Contact) {
            let last = read?;
            match field.name {
                HeaderName::FROM => identities.from = Some(last),
                HeaderName::TO => identities.to = Some(last),
                _ => {}
            }
        }
    }
    Ok(identities)
}

fn name_product(field: &Field, edits: &mut Edits) {
    if field.name == HeaderName::USER_AGENT {
        edits.replace(field.value.range(), PRODUCT);
    }
}

/// Maps the values of one field, and gives the last one. An error: there is one
/// that cannot be read, or none where there must be one.
fn map_field(
    text: &[u8],
    field: &Field,
    place: Place,
    crossing: &Crossing<'_>,
    edits: &mut Edits,
) -> Result<NameAddr, Fault> {
    let mut last = Err(Fault::Value(field.name.name()));
    for value in NameAddrs::new(text, field.value, field.name.values()) {
        let value = value.map_err(|_| Fault::Value(field.name.name()))?;
        match Uri::within(text, value.uri) {
            Some(uri) => crossing.map_uri(text, &uri, place, value.form, edits),
            None => readable(value.uri.of(text), field)?,
        }
        map_quoted(text, &value, place, crossing, edits);
        last = Ok(value);
    }
    last
}

/// A `sip:` URI that is none could be read in two ways.
#[cold]
fn readable(uri: &[u8], field: &Field) -> Result<(), Fault> {
    if Uri::scheme(uri) == Scheme::Sip { Err(Fault::of_uri(uri, field.name.name())) } else { Ok(()) }
}

/// URIs in quoted parameters: `pub-gruu`, `temp-gruu` (RFC 5627) and the
/// `received` of Kamailio and OpenSIPS in a Contact, and the `target-uri` of a
/// Trigger-Consent (RFC 5360), which maps by rule 1 as that one does.
fn map_quoted(text: &[u8], value: &NameAddr, place: Place, crossing: &Crossing<'_>, edits: &mut Edits) {
    let (names, inner): (&[&[u8]], Place) = match place {
        Place::Contact => (&[b"pub-gruu", b"temp-gruu", b"received"], Place::Elsewhere),
        Place::Bare => (&[b"target-uri"], Place::Bare),
        Place::Identity | Place::Elsewhere => return,
    };
    if value.parameters.is_empty() {
        return;
    }
    for parameter in Parameters::new(text, value.parameters) {
        let quoted = parameter.value;
        let holds_uri = names.iter().any(|name| parameter.name.of(text).eq_ignore_ascii_case(name));
        if holds_uri && quoted.len() > 2 && quoted.of(text).starts_with(b"\"") {
            let inside = Span::new(quoted.start + 1, quoted.end.saturating_sub(1));
            crossing.map(text, inside, inner, UriForm::Bracketed, edits);
        }
    }
}
