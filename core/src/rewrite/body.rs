//! The body: where session descriptions stand in it, and its length.

use crate::edit::Edits;
use crate::scan::{Span, trim};
use crate::sip::header::HeaderName;
use crate::sip::message::Message;
use crate::sip::multipart::{is_media_type, leaves};

/// Puts the places of all session descriptions of a message into `parts`: the
/// body, or parts of a multipart one. Encoded and signed bodies are left alone.
pub fn descriptions(message: &Message<'_>, parts: &mut Vec<Span>) {
    parts.clear();
    let Some(content_type) = message.value(HeaderName::CONTENT_TYPE) else { return };
    if message.body.is_empty()
        || message.all(HeaderName::CONTENT_ENCODING).any(|field| encodes(field.value.of(message.bytes)))
    {
        return;
    }
    if is_description(content_type) {
        parts.push(message.body);
        return;
    }
    for part in leaves(message.bytes, message.body, content_type) {
        let encoded = part.field(message.bytes, "Content-Encoding").is_some_and(encodes);
        let transferred = part.field(message.bytes, "Content-Transfer-Encoding").is_some_and(is_transfer_encoded);
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
