//! Hosts and ports (`host`, `hostport` and `IPv6reference` of RFC 3261 §25.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scan::{HOSTNAME, Scanner, Span, find, hex_value, is_lws, number_at_front};

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
    /// Reads a `hostport`. Spans count from the scanner's text.
    pub fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        Self::scan_over(|_, _| 0, scanner)
    }

    /// Reads the `sent-by` of a Via: white space may stand around its colon.
    pub fn scan_sent_by(scanner: &mut Scanner<'_>) -> Option<Self> {
        Self::scan_over(lws, scanner)
    }

    /// Reads either, over as much `blank` as may stand at a place of a text.
    fn scan_over(blank: fn(&[u8], usize) -> usize, scanner: &mut Scanner<'_>) -> Option<Self> {
        let start = scanner.offset();
        let rest = scanner.rest();
        let (address, length) = front(rest)?;
        let host = Span::new(start, start + length);
        let colon = length + blank(rest, length);
        if rest.get(colon) != Some(&b':') {
            scanner.skip(length);
            return Some(Self { host, port: None, address, port_number: None });
        }
        let port = colon + 1 + blank(rest, colon + 1);
        let (number, digits) = port_number(rest.get(port..)?)?;
        scanner.skip(port + digits);
        let port = Span::new(start + port, start + port + digits);
        Some(Self { host, port: Some(port), address, port_number: Some(number) })
    }

    /// Host and port together.
    pub fn span(&self) -> Span {
        Span::new(self.host.start, self.port.map_or(self.host.end, |port| port.end))
    }
}

/// How much white space stands in `text` from `at` on.
fn lws(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|&&byte| is_lws(byte)).count()
}

/// The number of a port at the front of `text`, and how many digits it has.
fn port_number(text: &[u8]) -> Option<(u16, usize)> {
    let (number, digits) = number_at_front(text)?;
    Some((u16::try_from(number).ok().filter(|&port| port > 0)?, digits))
}

/// The host at the front of `text`: the address that it is, unless it is a name,
/// and how long it is.
fn front(text: &[u8]) -> Option<(Option<IpAddr>, usize)> {
    match text.first()? {
        b'[' => {
            let inside = text.get(1..)?;
            let length = find(inside, b']')?;
            return Some((Some(ipv6(inside.get(..length)?)?.into()), length + 2));
        }
        b'.' | b'-' => return None,
        b'0'..=b'9' => {
            // Whether a name goes on behind it: 192.0.2.1.example.com
            if let Some((address, length)) = ipv4_front(text)
                && text.get(length).is_none_or(|&byte| !HOSTNAME.has(byte))
            {
                return Some((Some(address.into()), length));
            }
        }
        _ => {}
    }
    let length = text.iter().take_while(|&&byte| HOSTNAME.has(byte)).count();
    (length > 0).then_some((None, length))
}

/// A dotted quad without leading zeros, which some read as octal.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    ipv4_front(text).filter(|&(_, length)| length == text.len()).map(|(address, _)| address)
}

/// The dotted quad at the front of `text`, and how long it is.
fn ipv4_front(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let (a, rest) = octet(text)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), text.len() - rest.len()))
}

/// The number up to 255 without leading zeros at the front of `text`, and what
/// stands behind it.
#[inline]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: &u8| u16::from(byte - b'0');
    match text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            Some((u8::try_from(digit(a) * 100 + digit(b) * 10 + digit(c)).ok()?, rest))
        }
        [a @ b'1'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some(((a - b'0') * 10 + (b - b'0'), rest)),
        [a @ b'0'..=b'9', rest @ ..] => Some((a - b'0', rest)),
        _ => None,
    }
}

/// An IPv6 address without brackets. The three colons in front of a dotted quad
/// that the ABNF of RFC 3261 allows by mistake are accepted (RFC 5118 §4.10).
pub fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    plain_ipv6(text).or_else(|| with_three_colons(text))
}

/// An IPv6 address by RFC 4291 §2.2, and nothing else.
pub fn plain_ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let (mut bits, mut count, mut rest) = (0u128, 0, text);
    // What stands before the gap, and how many segments that is.
    let mut front = None;
    if let Some(behind) = rest.strip_prefix(b"::") {
        (front, rest) = (Some((0u128, 0)), behind);
    }
    while !rest.is_empty() {
        let (segment, digits) = hex_digits(rest)?;
        if rest.get(digits) == Some(&b'.') {
            bits = bits << 32 | u128::from(ipv4(rest)?.to_bits());
            count += 2;
            break;
        }
        bits = bits << 16 | u128::from(segment);
        count += 1;
        rest = match rest.get(digits..)? {
            [b':', b':', behind @ ..] if front.is_none() => {
                front = Some((bits, count));
                (bits, count) = (0, 0);
                behind
            }
            [b':', behind @ ..] if !behind.is_empty() => behind,
            [] => break,
            _ => return None,
        };
    }
    let bits = match front {
        None => (count == 8).then_some(bits)?,
        // It stands for one segment at least.
        Some((front, before)) => {
            let behind = 8u32.checked_sub(before).filter(|&behind| count < behind)?;
            front.checked_shl(16 * behind).unwrap_or(0) | bits
        }
    };
    Some(Ipv6Addr::from_bits(bits))
}

/// The number that up to four hex digits at the front of `text` are, and how many
/// there are; `None`: none, or more.
fn hex_digits(text: &[u8]) -> Option<(u16, usize)> {
    let (mut number, mut count) = (0, 0);
    for &byte in text {
        let digit = hex_value(byte);
        if digit > 15 {
            break;
        }
        number = number << 4 | u16::from(digit);
        count += 1;
        if count > 4 {
            return None;
        }
    }
    (count > 0).then_some((number, count))
}

#[cold]
fn with_three_colons(text: &[u8]) -> Option<Ipv6Addr> {
    let colons = text.windows(3).position(|window| window == b":::")?;
    let mut repaired = [0; 45];
    let (front, back) = (text.get(..colons + 2)?, text.get(colons + 3..)?);
    let repaired = repaired.get_mut(..text.len().checked_sub(1)?)?;
    let (head, tail) = repaired.split_at_mut_checked(front.len())?;
    head.copy_from_slice(front);
    tail.copy_from_slice(back);
    if back.contains(&b'.') { plain_ipv6(repaired) } else { None }
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
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<(Option<String>, Option<u16>, String)> {
        let mut scanner = Scanner::new(text.as_bytes());
        let found = HostPort::scan(&mut scanner)?;
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

    proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_does(
            v6: [u16; 8],
            small in "[0-9a-fA-F:.]{0,20}",
            groups in "(::)?([0-9a-f]{1,5}::?){0,9}([0-9]{1,3}\\.){0,4}[0-9a-f]{0,3}",
            v4 in "(0?[0-9]{1,3}\\.){3}[0-9]{0,3}",
        ) {
            // Zeros are what matters.
            for zeros in 0..8 {
                let mut segments = v6;
                segments.iter_mut().skip(zeros).step_by(zeros + 1).for_each(|segment| *segment = 0);
                let address = Ipv6Addr::from(segments);
                prop_assert_eq!(plain_ipv6(address.to_string().as_bytes()), Some(address));
            }
            for text in [&small, &groups, &v4] {
                prop_assert_eq!(plain_ipv6(text.as_bytes()), text.parse().ok(), "{}", text);
                prop_assert_eq!(ipv4(text.as_bytes()), text.parse().ok(), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_no_hostport_is_refused() {
        for text in [
            "",
            "[2001:db8::1",
            "[fe80::1%eth0]",
            "[1:2:3:4:5:6:7:8:9::]",
            "[1:2:3:4::5:6:7:8]",
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
