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

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What it answers.
    pub request: &'a Message<'a>,
    /// The topmost Via of that.
    pub via: &'a Via,
    /// That Via as completed by us.
    pub below: &'a Below<'a>,
    /// What it says.
    pub reason: Reason,
}

/// How long an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is read best.
    Full,
    /// With compact names (RFC 3261 §7.3.3) and no Server.
    Compact,
    /// Without the reason phrase as well.
    Brief,
}

impl Answer<'_> {
    /// Writes it into `out`. `None`: a header field that it needs cannot be read.
    pub fn write(&self, form: Form, key: &Key, edits: &mut Edits, out: &mut Vec<u8>) -> Option<()> {
        let (request, text) = (self.request, self.request.bytes);
        let to = request.first(HeaderName::TO)?;
        let from = request.first(HeaderName::FROM)?;
        let call_id = request.call_id().ok()?;
        // A number that is too large has no ACK that we would know, but an answer.
        let cseq = request.cseq().map_or(0, |cseq| cseq.number);
        out.clear();
        self.put_status(form, out)?;
        for field in request.all(HeaderName::VIA) {
            put_via(text, field, self.via, self.below, edits, out);
        }
        put(text, form.name("From: ", "f:"), from.value, out);
        put(text, form.name("To: ", "t:"), to.value, out);
        if tag(to.value.of(text)).is_none() {
            out.truncate(out.len().saturating_sub(2));
            let _ = write!(out, ";tag={}\r\n", to_tag(key, call_id, cseq));
        }
        put(text, form.name("Call-ID: ", "i:"), request.first(HeaderName::CALL_ID)?.value, out);
        put(text, form.name("CSeq: ", "CSeq:"), request.first(HeaderName::CSEQ)?.value, out);
        self.put_rest(form, out);
        Some(())
    }

    fn put_status(&self, form: Form, out: &mut Vec<u8>) -> Option<()> {
        let (code, phrase) = self.reason.status()?;
        // Writing into a Vec cannot fail.
        let _ = match self.reason {
            _ if form == Form::Brief => write!(out, "SIP/2.0 {code} \r\n"),
            Reason::Malformed(fault) => write!(out, "SIP/2.0 {code} {fault}\r\n"),
            Reason::Description(malformed) => write!(out, "SIP/2.0 {code} {malformed}\r\n"),
            _ => write!(out, "SIP/2.0 {code} {phrase}\r\n"),
        };
        Some(())
    }

    fn put_rest(&self, form: Form, out: &mut Vec<u8>) {
        if self.reason == Reason::ProxyRequire {
            for field in self.request.all(HeaderName::PROXY_REQUIRE) {
                put(self.request.bytes, form.name("Unsupported: ", "Unsupported:"), field.value, out);
            }
        }
        if let Some(seconds) = self.reason.retry_after() {
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
        if self.reason == Reason::Options && form == Form::Full {
            let _ = write!(out, "Server: {PRODUCT}\r\n");
        }
        out.extend_from_slice(form.name("Content-Length: 0\r\n\r\n", "l:0\r\n\r\n").as_bytes());
    }
}

impl Form {
    fn name(self, full: &'static str, brief: &'static str) -> &'static str {
        match self {
            Self::Full => full,
            Self::Compact | Self::Brief => brief,
        }
    }
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
}

fn put(text: &[u8], name: &str, value: Span, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.of(text));
    out.extend_from_slice(b"\r\n");
}
