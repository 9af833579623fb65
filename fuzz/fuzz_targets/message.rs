//! One datagram, read in every way in which the proxy reads one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipproxy64::scan::Span;
use sipproxy64::sip::header::Kind;
use sipproxy64::sip::message::{Fields, Message};
use sipproxy64::sip::multipart::leaves;
use sipproxy64::sip::name_addr::{NameAddrs, tag};
use sipproxy64::sip::uri::Uri;
use sipproxy64::sip::via::Vias;
use sipproxy64_fuzz::check::{assert_inside, assert_within};

fuzz_target!(|bytes: &[u8]| {
    let mut fields = Fields::default();
    let Ok(message) = Message::parse(bytes, &mut fields) else { return };
    let whole = Span::new(0, message.bytes.len());
    assert_inside(message.body, whole);
    let mut behind = 0;
    for field in message.fields {
        assert!(field.line.start >= behind, "fields in order, none within another");
        assert_inside(field.line, Span::new(0, message.body.start));
        assert_inside(field.value, field.line);
        behind = field.line.end;
    }
    let _ = (message.call_id(), message.cseq(), message.method(), message.status());
    vias(&message);
    addresses(&message);
    parts(&message);
});

fn vias(message: &Message<'_>) {
    for via in Vias::new(message).flatten() {
        assert_inside(via.whole, via.field.value);
        assert_inside(via.sent_by.span(), via.whole);
        for span in [
            via.branch,
            via.received.map(|received| received.parameter.whole),
            via.rport.map(|rport| rport.parameter.whole),
        ] {
            span.into_iter().for_each(|span| assert_inside(span, via.whole));
        }
    }
}

fn addresses(message: &Message<'_>) {
    for field in message.fields.iter().filter(|field| field.name.kind() != Kind::Left) {
        let _ = tag(field.value.of(message.bytes));
        for value in NameAddrs::new(message.bytes, field.value, field.name.values()).flatten() {
            assert_inside(value.whole, field.value);
            assert_inside(value.uri, value.whole);
            assert_inside(value.parameters, field.value);
            uri(value.uri.of(message.bytes));
        }
    }
}

fn uri(text: &[u8]) {
    let Some(uri) = Uri::parse(text) else { return };
    let whole = Span::new(0, text.len());
    assert_within(&[uri.user.unwrap_or_default(), uri.hostport.span(), uri.parameters], whole);
    let mut behind = uri.parameters.start;
    for parameter in uri.parameters(text) {
        assert!(parameter.whole.start >= behind);
        assert_inside(parameter.whole, uri.parameters);
        assert_inside(parameter.name, parameter.whole);
        assert_inside(parameter.value, parameter.whole);
        behind = parameter.whole.end;
    }
}

/// Whatever field might name the boundary of a multipart body.
fn parts(message: &Message<'_>) {
    for field in message.fields {
        for part in leaves(message.bytes, message.body, field.value.of(message.bytes)) {
            assert_inside(part.body, message.body);
            assert_inside(part.header, message.body);
            let _ = part.field(message.bytes, "Content-Type");
        }
    }
}
