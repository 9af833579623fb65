//! Hosts and ports (`host`, `hostport` and `IPv6reference` of RFC 3261 §25.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scan::{HOSTNAME, Scanner, Span, number};

/// The port of SIP where none is written (RFC 3261 §19.1.2).
pub const SIP_PORT: u16 = 5060;

/// A host with an optional port, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host, with brackets if it has them.
    pub host: Span,
    /// The digits of the port, if there is one.
    pub port: Option<Span>,
    /// What address the host is; `None`: a name.
    pub address: Option<IpAddr>,
    /// The value of the port.
    pub port_number: Option<u16>,
}

impl HostPort {
    /// Reads a `hostport`; with `blanks`, white space may stand around the
    /// colon, as in the sent-by of a Via. Spans count from the scanner's text.
    pub fn scan(scanner: &mut Scanner<'_>, blanks: bool) -> Option<Self> {
        let start = scanner.offset();
        let (address, text_length) = scan_host(scanner)?;
        let host = Span::new(start, start.saturating_add(text_length));
        let mut ahead = scanner.clone();
        if blanks {
            ahead.skip_lws();
        }
        if !ahead.eat(b':') {
            return Some(Self { host, port: None, address, port_number: None });
        }
        if blanks {
            ahead.skip_lws();
        }
        let port_start = ahead.offset();
        let digits = ahead.take_while(|byte| byte.is_ascii_digit());
        let port_number = number(digits).and_then(|port| u16::try_from(port).ok()).filter(|&port| port > 0)?;
        *scanner = ahead;
        let port = Span::new(port_start, port_start.saturating_add(digits.len()));
        Some(Self { host, port: Some(port), address, port_number: Some(port_number) })
    }

    /// The same, found in a text that begins `offset` bytes later.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        Self { host: self.host.shifted(offset), port: self.port.map(|port| port.shifted(offset)), ..self }
    }

    /// Host and port together.
    pub fn span(&self) -> Span {
        Span::new(self.host.start, self.port.map_or(self.host.end, |port| port.end))
    }
}

fn scan_host(scanner: &mut Scanner<'_>) -> Option<(Option<IpAddr>, usize)> {
    let rest = scanner.rest();
    if scanner.eat(b'[') {
        let text = scanner.take_while(|byte| byte != b']');
        let address = ipv6(text)?;
        return scanner.eat(b']').then(|| (Some(IpAddr::V6(address)), text.len().saturating_add(2)));
    }
    let text = scanner.take_class(&HOSTNAME);
    if text.is_empty() || text.starts_with(b".") || text.starts_with(b"-") || rest.starts_with(b"..") {
        return None;
    }
    let numeric = text.first().is_some_and(u8::is_ascii_digit);
    Some((if numeric { ipv4(text).map(IpAddr::V4) } else { None }, text.len()))
}

/// A dotted quad without leading zeros, which some read as octal.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split(|&byte| byte == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        let leading_zero = part.len() > 1 && part.starts_with(b"0");
        if part.len() > 3 || leading_zero {
            return None;
        }
        *octet = number(part).and_then(|value| u8::try_from(value).ok())?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// An IPv6 address without brackets. The three colons in front of a dotted quad
/// that the ABNF of RFC 3261 allows by mistake are accepted (RFC 5118 §4.10).
pub fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    if text.len() > 45 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| {
        let (front, back) = text.split_once(":::")?;
        let mut repaired = [0; 45];
        let length = front.len().checked_add(2)?.checked_add(back.len())?;
        let (head, tail) = repaired.split_at_mut_checked(front.len())?;
        head.copy_from_slice(front.as_bytes());
        let (colons, tail) = tail.split_at_mut_checked(2)?;
        colons.copy_from_slice(b"::");
        tail.get_mut(..back.len())?.copy_from_slice(back.as_bytes());
        let repaired = std::str::from_utf8(repaired.get(..length)?).ok()?;
        back.contains('.').then(|| repaired.parse().ok())?
    })
}

/// An address with or without brackets.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let inside = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    match inside {
        Some(inside) => ipv6(inside).map(IpAddr::V6),
        None => ipv4(text).map(IpAddr::V4).or_else(|| ipv6(text).map(IpAddr::V6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, Option<u16>, String)> {
        let mut scanner = Scanner::new(text.as_bytes());
        let found = HostPort::scan(&mut scanner, false)?;
        let rest = String::from_utf8_lossy(scanner.rest()).into_owned();
        Some((found.address.map(|address| address.to_string()), found.port_number, rest))
    }

    fn numeric(address: &str, port: Option<u16>, rest: &str) -> Option<(Option<String>, Option<u16>, String)> {
        Some((Some(address.into()), port, rest.into()))
    }

    #[test]
    fn addresses_are_told_from_names() {
        assert_eq!(read("192.0.2.1;x"), numeric("192.0.2.1", None, ";x"));
        assert_eq!(read("192.0.2.1:5070"), numeric("192.0.2.1", Some(5070), ""));
        assert_eq!(read("[2001:DB8::1]:05060>"), numeric("2001:db8::1", Some(5060), ">"));
        assert_eq!(read("[::ffff:192.0.2.1]"), numeric("::ffff:192.0.2.1", None, ""));
        assert_eq!(read("[2001:db8:::192.0.2.1]"), numeric("2001:db8::c000:201", None, ""));
        assert_eq!(read("192.0.2.01"), Some((None, None, String::new())));
        assert_eq!(read("p_1.example.com.:99"), Some((None, Some(99), String::new())));
    }

    #[test]
    fn what_is_no_hostport_is_refused() {
        for text in [
            "",
            "[2001:db8::1",
            "[fe80::1%eth0]",
            "[192.0.2.1]",
            "2001:db8::10",
            "host:",
            "host:0",
            "host:65536",
            "host:5e3x:",
            ":5060",
            ".example",
            "[]",
        ] {
            let whole = read(text).filter(|(_, _, rest)| rest.is_empty());
            assert_eq!(whole, None, "{text}");
        }
    }
}
