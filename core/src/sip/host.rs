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
        let address = scan_host(scanner)?;
        let host = Span::new(start, scanner.offset());
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
        let port = Span::new(port_start, ahead.offset());
        *scanner = ahead;
        Some(Self { host, port: Some(port), address, port_number: Some(port_number) })
    }

    /// Host and port together.
    pub fn span(&self) -> Span {
        Span::new(self.host.start, self.port.map_or(self.host.end, |port| port.end))
    }
}

/// Steps over a host; the address that it is, unless it is a name.
fn scan_host(scanner: &mut Scanner<'_>) -> Option<Option<IpAddr>> {
    if scanner.eat(b'[') {
        let address = ipv6(scanner.take_to(b']'))?;
        return scanner.eat(b']').then_some(Some(address.into()));
    }
    match scanner.peek()? {
        b'.' | b'-' => return None,
        b'0'..=b'9' => {
            // Whether a name goes on behind it: 192.0.2.1.example.com
            let (address, length) = ipv4_front(scanner.rest());
            let rest = scanner.rest().get(length..).unwrap_or_default();
            if rest.first().is_none_or(|&byte| !HOSTNAME.has(byte)) {
                scanner.skip(length);
                return Some(address.map(IpAddr::V4));
            }
        }
        _ => {}
    }
    let name = scanner.take_class(&HOSTNAME);
    if name.is_empty() { None } else { Some(None) }
}

/// A dotted quad without leading zeros, which some read as octal.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let (address, length) = ipv4_front(text);
    address.filter(|_| length == text.len())
}

/// The digits and dots at the front of `text`: the address that they are, if they
/// are one, and how many there are.
fn ipv4_front(text: &[u8]) -> (Option<Ipv4Addr>, usize) {
    let (mut bits, mut dots, mut good) = (0u32, 0, true);
    let (mut octet, mut digits, mut length) = (0u32, 0, 0);
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            octet = octet.wrapping_mul(10).wrapping_add(digit.into());
            digits += 1;
        } else if byte == b'.' {
            good &= is_octet(octet, digits);
            bits = bits << 8 | octet;
            (octet, digits, dots) = (0, 0, dots + 1);
        } else {
            break;
        }
        length += 1;
    }
    good &= is_octet(octet, digits) && dots == 3;
    (good.then(|| Ipv4Addr::from_bits(bits << 8 | octet)), length)
}

/// Whether so many digits are a number up to 255 without leading zeros.
fn is_octet(number: u32, digits: usize) -> bool {
    match digits {
        1 => true,
        2 => number >= 10,
        3 => (100..=255).contains(&number),
        _ => false,
    }
}

/// An IPv6 address without brackets. The three colons in front of a dotted quad
/// that the ABNF of RFC 3261 allows by mistake are accepted (RFC 5118 §4.10).
pub fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    plain_ipv6(text).or_else(|| with_three_colons(text))
}

/// An IPv6 address by RFC 4291 §2.2, and nothing else.
pub fn plain_ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut segments = [0; 8];
    let (mut count, mut gap) = (0, None);
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), behind);
    }
    while !rest.is_empty() {
        let (segment, digits) = hex_digits(rest)?;
        if rest.get(digits) == Some(&b'.') {
            let bits = ipv4(rest)?.to_bits();
            *segments.get_mut(count)? = (bits >> 16) as u16;
            *segments.get_mut(count + 1)? = bits as u16;
            count += 2;
            break;
        }
        *segments.get_mut(count)? = segment;
        count += 1;
        rest = match rest.get(digits..)? {
            [b':', b':', behind @ ..] if gap.is_none() => {
                gap = Some(count);
                behind
            }
            [b':', behind @ ..] if !behind.is_empty() => behind,
            [] => break,
            _ => return None,
        };
    }
    match gap {
        None => (count == 8).then(|| segments.into()),
        // It stands for one segment at least.
        Some(gap) => {
            segments.get_mut(gap..)?.rotate_right(8usize.checked_sub(count).filter(|&zeros| zeros > 0)?);
            Some(segments.into())
        }
    }
}

/// The number that up to four hex digits at the front of `text` are, and how many
/// there are; `None`: none, or more.
fn hex_digits(text: &[u8]) -> Option<(u16, usize)> {
    let (mut number, mut count) = (0, 0);
    for &byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' | b'A'..=b'F' => (byte | 0x20) - b'a' + 10,
            _ => break,
        };
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
