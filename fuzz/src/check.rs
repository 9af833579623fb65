//! What holds for spans, and for every message that leaves.

use std::net::SocketAddr;

use sipproxy64::config::Config;
use sipproxy64::family::{Family, is_unicast};
use sipproxy64::proxy::Outcome;
use sipproxy64::scan::Span;
use sipproxy64::sip::header::HeaderName;
use sipproxy64::sip::message::{Fields, Message, StartLine};

/// `part` lies in `whole`. Nothing at all may lie anywhere.
pub fn assert_inside(part: Span, whole: Span) {
    let inside = whole.start <= part.start && part.start <= part.end && part.end <= whole.end;
    assert!(inside || part == Span::default(), "{part:?} is not inside {whole:?}");
}

/// `parts` lie in `whole`, one behind the other.
pub fn assert_within(parts: &[Span], whole: Span) {
    let mut behind = whole.start;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        assert_inside(*part, whole);
        assert!(part.start >= behind, "{part:?} begins before {behind}");
        behind = part.end;
    }
}

/// What is sent leaves from a socket of ours, to one host of the same family, and
/// is a message that can be read in one way, with a true Content-Length.
pub fn assert_sendable(config: &Config, local: SocketAddr, outcome: Outcome, out: &[u8]) {
    let Outcome::Send { from, to, refused } = outcome else {
        return;
    };
    assert!(config.is_ours(from), "{from} is not ours");
    assert!(is_unicast(to.ip()) && to.port() != 0, "{to} is no host");
    assert_eq!(from.is_ipv4(), to.is_ipv4());
    assert_eq!(Family::of(from.ip()) == Family::of(local.ip()), refused.is_some(), "forwarded means bridged");
    let mut fields = Fields::default();
    let message = Message::parse(out, &mut fields).expect("a message");
    assert_eq!(message.fault, None, "{}", out.escape_ascii());
    assert_eq!(message.bytes.len(), out.len(), "nothing before it");
    assert!(out.len() <= 65_527);
    if let Some(length) = message.value(HeaderName::CONTENT_LENGTH) {
        let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
        assert_eq!(length, out.len() - message.body.start, "Content-Length");
    }
    if let Some(reason) = refused {
        let (code, _) = reason.status().expect("a reason that is answered");
        assert_eq!(message.start_line, StartLine::Status { code });
        assert!(message.body.is_empty());
    }
}
