//! IPv6 addresses that have lost their brackets (RFC 5118 §4.2, §4.3).
//!
//! `sip:bob@2001:db8::10` is no SIP URI: its last colon might stand before a port.
//! Some programs write such texts all the same. Here they are told from other
//! nonsense, and where they can be read in one way only, that way is found.

use super::host::ipv6;
use crate::scan::{Scanner, Span, is_lws, number};
use crate::sip::uri::{Scheme, Uri};

/// What is wrong with a host and port that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// An IPv6 address without brackets.
    NoBrackets,
    /// An address with a zone ID.
    ZoneId,
    /// Anything else.
    Other,
}

/// What is wrong with `text`, in which no host and port can be read.
pub fn wrong(text: &[u8]) -> Wrong {
    let inside = text.strip_prefix(b"[").unwrap_or(text);
    let address = inside.split(|&byte| byte == b'%' || byte == b']').next().unwrap_or_default();
    if ipv6(address).is_some() && inside.get(address.len()) == Some(&b'%') {
        return Wrong::ZoneId;
    }
    let bare = inside.len() == text.len();
    if bare && (ipv6(text).is_some() || with_port(text).is_some()) { Wrong::NoBrackets } else { Wrong::Other }
}

/// How many bytes of `text` are an IPv6 address without brackets, with or without
/// a port behind it. `None`: it is none, or could be read in both ways, as in
/// `2001:db8::10:5070`.
///
/// ```
/// use sipproxy64_core::sip::brackets::bare_address;
/// assert_eq!(bare_address(b"2001:db8::10"), Some(12));
/// assert_eq!(bare_address(b"2001:db8:0:0:0:0:0:1:5070"), Some(20));
/// assert_eq!(bare_address(b"2001:db8::10:5070"), None);
/// ```
pub fn bare_address(text: &[u8]) -> Option<usize> {
    match (ipv6(text), with_port(text)) {
        (Some(_), None) => Some(text.len()),
        (None, Some(address)) => Some(address),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// The length of the address, if `text` can be one with a port behind it.
fn with_port(text: &[u8]) -> Option<usize> {
    let colon = text.iter().rposition(|&byte| byte == b':')?;
    let (address, port) = text.split_at_checked(colon)?;
    let port = number(port.get(1..)?).filter(|port| (1..=0xffff).contains(port));
    (port.is_some() && ipv6(address).is_some()).then_some(colon)
}

/// Where host and port stand in a `sip:` URI, readable or not.
pub fn hostport(uri: &[u8]) -> Option<Span> {
    if Uri::scheme(uri) != Scheme::Sip {
        return None;
    }
    let mut scanner = Scanner::new(uri);
    scanner.take_while(|byte| byte != b':');
    scanner.eat(b':');
    if scanner.rest().contains(&b'@') {
        scanner.take_while(|byte| byte != b'@');
        scanner.eat(b'@');
    }
    let start = scanner.offset();
    scanner.take_while(|byte| !matches!(byte, b';' | b'?'));
    Some(Span::new(start, scanner.offset()))
}

/// Where host and port stand in the value of a Via, readable or not.
pub fn sent_by(via: &[u8]) -> Option<Span> {
    let mut scanner = Scanner::new(via);
    for _ in 0..2 {
        scanner.take_while(|byte| byte != b'/');
        scanner.eat(b'/').then_some(())?;
    }
    scanner.skip_lws();
    scanner.take_while(|byte| !is_lws(byte));
    scanner.skip_lws();
    let start = scanner.offset();
    scanner.take_while(|byte| !is_lws(byte) && !matches!(byte, b';' | b','));
    Some(Span::new(start, scanner.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_one_way_only_is_found() {
        let found =
            |text: &str| bare_address(text.as_bytes()).and_then(|length| text.get(..length)).map(str::to_string);
        for (text, address) in [
            ("2001:db8::10", "2001:db8::10"),
            ("2001:db8::a0b:c", "2001:db8::a0b:c"),
            ("2001:db8:0:0:0:0:0:5060", "2001:db8:0:0:0:0:0:5060"),
            ("2001:db8:0:0:0:0:0:1:5060", "2001:db8:0:0:0:0:0:1"),
            ("2001:db8::1:50600", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::ffff:192.0.2.1:5060", "::ffff:192.0.2.1"),
        ] {
            assert_eq!(found(text).as_deref(), Some(address), "{text}");
        }
        for text in ["2001:db8::10:5070", "::1:1", "192.0.2.1:5060", "host:5060", "[2001:db8::1]", "fe80::1%eth0", ""] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(wrong(b"2001:db8::10"), Wrong::NoBrackets);
        assert_eq!(wrong(b"2001:db8::10:5070"), Wrong::NoBrackets);
        assert_eq!(wrong(b"[fe80::1%eth0]:5060"), Wrong::ZoneId);
        assert_eq!(wrong(b"[fe80::1%25eth0]"), Wrong::ZoneId);
        assert_eq!(wrong(b"fe80::1%2"), Wrong::ZoneId);
        assert_eq!(wrong(b"host:99999"), Wrong::Other);
        assert_eq!(wrong(b"[2001:db8::1"), Wrong::Other);
        assert_eq!(wrong(b""), Wrong::Other);
    }

    #[test]
    fn host_and_port_are_found_in_what_is_no_uri_and_no_via() {
        let show = |text: &str, span: Option<Span>| {
            span.map(|span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned())
        };
        let uri = |text: &str| show(text, hostport(text.as_bytes()));
        assert_eq!(uri("sip:bob@2001:db8::1;lr").as_deref(), Some("2001:db8::1"));
        assert_eq!(uri("sips:fe80::1%1?a=b").as_deref(), Some("fe80::1%1"));
        assert_eq!(uri("tel:+1"), None);
        let via = |text: &str| show(text, sent_by(text.as_bytes()));
        assert_eq!(via("SIP / 2.0/UDP\r\n 2001:db8::1 ;branch=x").as_deref(), Some("2001:db8::1"));
        assert_eq!(via("nonsense"), None);
    }
}
