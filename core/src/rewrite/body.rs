//! The body: where session descriptions stand in it, and its length.

use crate::edit::Edits;
use crate::scan::{Span, trim};
use crate::sip::header::HeaderName;
use crate::sip::message::{Field, Message};
use crate::sip::multipart::{is_media_type, leaves};

/// How a body or a part of one is encoded for transfer (RFC 2045 §6).
const TRANSFER_ENCODING: &str = "Content-Transfer-Encoding";

/// Puts the places of all session descriptions of a message into `parts`: the
/// body, or parts of a multipart one. Encoded and signed bodies are left alone.
pub fn descriptions(message: &Message<'_>, parts: &mut Vec<Span>) {
    let Some(content_type) = message.value(HeaderName::CONTENT_TYPE) else { return };
    if message.body.is_empty()
        || message.all(HeaderName::CONTENT_ENCODING).any(|field| encodes(field.value.of(message.bytes)))
        || message.all(HeaderName::OTHER).any(|field| is_for_transfer(message.bytes, field))
    {
        return;
    }
    if is_description(content_type) {
        parts.push(message.body);
        return;
    }
    for part in leaves(message.bytes, message.body, content_type) {
        let encoded = part.field(message.bytes, "Content-Encoding").is_some_and(encodes);
        let transferred = part.field(message.bytes, TRANSFER_ENCODING).is_some_and(is_transfer_encoded);
        if part.field(message.bytes, "Content-Type").is_some_and(is_description) && !encoded && !transferred {
            parts.push(part.body);
        }
    }
}

fn is_description(content_type: &[u8]) -> bool {
    // As nearly all write it.
    content_type == b"application/sdp" || is_media_type(content_type, "application", "sdp")
}

fn encodes(value: &[u8]) -> bool {
    !trim(value).eq_ignore_ascii_case(b"identity")
}

/// Whether a field says that the body is encoded for transfer. SIP needs none, and has
/// no row for it; some bodies come out of mail all the same.
fn is_for_transfer(text: &[u8], field: &Field) -> bool {
    let (name, behind) = field.line.of(text).split_at_checked(TRANSFER_ENCODING.len()).unwrap_or_default();
    name.eq_ignore_ascii_case(TRANSFER_ENCODING.as_bytes())
        && matches!(behind, [b':' | b' ' | b'\t', ..])
        && is_transfer_encoded(field.value.of(text))
}

fn is_transfer_encoded(value: &[u8]) -> bool {
    let value = trim(value);
    value.eq_ignore_ascii_case(b"base64") || value.eq_ignore_ascii_case(b"quoted-printable")
}

/// Makes Content-Length true if the body changed, and cuts off what stands behind
/// the body.
pub fn finish(message: &Message<'_>, edits: &mut Edits) {
    let body = message.body;
    if edits.any_behind(body.start)
        && let Some(field) = message.first(HeaderName::CONTENT_LENGTH)
    {
        let length = body.len().saturating_add_signed(edits.growth_behind(body.start));
        edits.replace(field.value.range(), length);
    }
    if body.end < message.bytes.len() {
        edits.remove(body.end..message.bytes.len());
    }
}
