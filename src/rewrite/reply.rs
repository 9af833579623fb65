//! Our own answers, given without keeping anything (RFC 3261 §8.2.6, §8.2.7).

use std::io::Write;

use super::fields::PRODUCT;
use super::request::complete_via;
use crate::branch::Below;
use crate::config::Key;
use crate::edit::Edits;
use crate::reason::Reason;
use crate::scan::Span;
use crate::sip::header::HeaderName;
use crate::sip::message::{Field, Message};
use crate::sip::name_addr::tag;
use crate::sip::via::Via;
use crate::token::{Mac, Purpose, Seal};

/// The To-tag of our answers: it tells the ACK of one from others.
pub fn to_tag(key: &Key, call_id: &[u8], cseq: u32) -> Seal {
    Mac::new(key, Purpose::ToTag).bytes(call_id).number(cseq.into()).finish()
}

/// Writes the answer to `request` into `out`; `via` is its topmost Via and `below`
/// that one completed. An error: a header field that it needs cannot be read.
pub fn write(
    request: &Message<'_>,
    via: &Via,
    below: &Below<'_>,
    reason: Reason,
    key: &Key,
    edits: &mut Edits,
    out: &mut Vec<u8>,
) -> Option<()> {
    let (code, phrase) = reason.status()?;
    let text = request.bytes;
    let to = request.first(HeaderName::TO)?;
    let from = request.first(HeaderName::FROM)?;
    let call_id = request.call_id().ok()?;
    // A number that is too large has no ACK that we would know, but an answer.
    let cseq = request.cseq().map_or(0, |(cseq, _)| cseq);
    let cseq_field = request.first(HeaderName::CSEQ)?;
    out.clear();
    // Writing into a Vec cannot fail.
    let _ = match reason {
        Reason::Malformed(fault) => write!(out, "SIP/2.0 {code} {fault}\r\n"),
        Reason::Description(malformed) => write!(out, "SIP/2.0 {code} {malformed}\r\n"),
        _ => write!(out, "SIP/2.0 {code} {phrase}\r\n"),
    };
    for field in request.all(HeaderName::VIA) {
        put_via(text, field, via, below, edits, out);
    }
    put(text, "From", from.value, out);
    put(text, "To", to.value, out);
    if tag(to.value.of(text)).is_none() {
        out.truncate(out.len().saturating_sub(2));
        let _ = write!(out, ";tag={}\r\n", to_tag(key, call_id, cseq));
    }
    put(text, "Call-ID", request.first(HeaderName::CALL_ID)?.value, out);
    put(text, "CSeq", cseq_field.value, out);
    put_rest(request, reason, out);
    Some(())
}

/// A Via field as it came; the topmost Via as a server completes it.
fn put_via(text: &[u8], field: &Field, via: &Via, below: &Below<'_>, edits: &mut Edits, out: &mut Vec<u8>) {
    if field.line != via.field.line {
        out.extend_from_slice(field.line.of(text));
        return;
    }
    edits.clear();
    complete_via(via, below, edits);
    edits.remove(0..field.line.start);
    edits.remove(field.line.end..text.len());
    edits.apply(text, out);
    edits.clear();
}

fn put(text: &[u8], name: &str, value: Span, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.of(text));
    out.extend_from_slice(b"\r\n");
}

fn put_rest(request: &Message<'_>, reason: Reason, out: &mut Vec<u8>) {
    if reason == Reason::ProxyRequire {
        for field in request.all(HeaderName::PROXY_REQUIRE) {
            put(request.bytes, "Unsupported", field.value, out);
        }
    }
    if let Some(seconds) = reason.retry_after() {
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
    if reason == Reason::Options {
        let _ = write!(out, "Server: {PRODUCT}\r\n");
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}
