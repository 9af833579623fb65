//! The addresses of `o=` and `c=` lines (RFC 8866 §5.2, §5.7).

use std::iter::successors;
use std::net::IpAddr;

use super::line::{fields, is_blank, last_field};
use super::malformed::{Malformed, SdpFault};
use crate::scan::{HOSTNAME, Span, find, number, trim_span};
use crate::sip::host::{ipv4, plain_ipv6};

/// What stands in the place of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address as it was written: an IPv4-mapped one is IPv6 here, see
    /// [`Address::canonical`]. The text decides, not the addrtype beside it.
    Numeric(IpAddr),
    /// A host name.
    Name,
    /// An address of another network than the internet (nettype not `IN`).
    Foreign,
}

impl Address {
    /// Reads an address. Brackets around it and a zone behind an IPv6 address
    /// (`%eth0`, which says nothing outside its machine) are passed over.
    /// `None`: neither an IP address nor a host name, or one that some read in
    /// another way, like `192.0.2.010`.
    ///
    /// ```
    /// use sipproxy64_core::sdp::connection::Address;
    /// assert_eq!(Address::read(b"[2001:DB8::1]"), Some(Address::Numeric("2001:db8::1".parse().unwrap())));
    /// assert_eq!(Address::read(b"pbx.example.com"), Some(Address::Name));
    /// assert_eq!(Address::read(b"192.0.2.300"), None);
    /// ```
    pub fn read(text: &[u8]) -> Option<Self> {
        let inside = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
        if let Some(address) = ipv4(inside) {
            return Some(Self::Numeric(address.into()));
        }
        if find(inside, b':').is_some() {
            let plain = inside.get(..find(inside, b'%').unwrap_or(inside.len()))?;
            return plain_ipv6(plain).map(|address| Self::Numeric(address.into()));
        }
        let last_label = inside.strip_suffix(b".").unwrap_or(inside).rsplit(|&byte| byte == b'.').next()?;
        let is_name = HOSTNAME.all(inside) && last_label.iter().any(|byte| !byte.is_ascii_digit());
        is_name.then_some(Self::Name)
    }

    /// The IP address that packets go to: an IPv4-mapped one (RFC 4291
    /// §2.5.5.2) is the IPv4 address in it. `None`: not known.
    pub fn canonical(self) -> Option<IpAddr> {
        match self {
            Self::Numeric(address) => Some(address.to_canonical()),
            Self::Name | Self::Foreign => None,
        }
    }

    /// Whether it is `0.0.0.0` or `::`: nothing is to be sent (the hold of RFC
    /// 2543, RFC 3264 §8.4).
    pub fn is_unspecified(self) -> bool {
        self.canonical().is_some_and(|address| address.is_unspecified())
    }
}

/// The longest value of a `c=` line: more than any host name takes (RFC 1035
/// §2.3.4). One at session level may be copied to many streams.
const MAX_CONNECTION: usize = 300;

/// A `c=` line: `c=<nettype> <addrtype> <connection-address>` (RFC 8866 §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its address.
    pub address: Address,
    /// By the `/count` of multicast it is not one address.
    pub is_group: bool,
    /// The value of the line without blanks around it.
    pub span: Span,
    /// It is written as nearly all are: `IN IP4 192.0.2.1`, an address and no more.
    pub is_plain: bool,
}

impl Connection {
    /// Reads the value of a `c=` line.
    ///
    /// # Errors
    /// It does not have three parts, or an address that is none.
    pub fn read(message: &[u8], value: Span) -> Result<Self, Malformed> {
        let span = trim_span(message, value);
        if span.len() > MAX_CONNECTION {
            return Err(Malformed::new(value.start, SdpFault::ConnectionAddress));
        }
        if let [b'I', b'N', b' ', b'I', b'P', b'4' | b'6', b' ', address @ ..] = span.of(message)
            && let Some(address) = ipv4(address).map(IpAddr::V4).or_else(|| plain_ipv6(address).map(IpAddr::V6))
        {
            return Ok(Self { address: Address::Numeric(address), is_group: false, span, is_plain: true });
        }
        let mut fields = fields(message, span);
        let (Some(nettype), Some(addrtype), Some(address)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Malformed::new(value.start, SdpFault::ConnectionLine));
        };
        if !nettype.of(message).eq_ignore_ascii_case(b"IN") || !is_addrtype(addrtype.of(message)) {
            return Ok(Self { address: Address::Foreign, is_group: false, span, is_plain: false });
        }
        let (address, count) =
            read_with_count(address.of(message)).ok_or(Malformed::new(address.start, SdpFault::ConnectionAddress))?;
        Ok(Self { address, is_group: count != 1, span, is_plain: false })
    }

    /// Whether it names a group and not one host.
    pub fn is_multicast(&self) -> bool {
        self.is_group || self.address.canonical().is_some_and(|address| address.is_multicast())
    }
}

/// `address[/ttl][/count]`: IPv4 has a TTL in front of the count, IPv6 has none.
fn read_with_count(text: &[u8]) -> Option<(Address, u32)> {
    let mut pieces = text.split(|&byte| byte == b'/');
    let address = Address::read(pieces.next()?)?;
    let suffixes = [pieces.next().map(number), pieces.next().map(number)];
    if pieces.next().is_some() {
        return None;
    }
    let is_v6 = matches!(address, Address::Numeric(IpAddr::V6(_)));
    let count = match suffixes {
        [None, _] => 1,
        [Some(count), None] if is_v6 => count?,
        [Some(ttl), None] => ttl.map(|_| 1)?,
        [Some(ttl), Some(count)] => ttl.and(count)?,
    };
    Some((address, count))
}

/// Where an `o=` line says its address (RFC 8866 §5.2):
/// `o=<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address; `None` where it is neither an IP address nor a name.
    pub address: Option<Address>,
    /// The addrtype; empty, in front of the address, where it is missing.
    pub addrtype: Span,
    /// From the addrtype to the end of the address.
    pub span: Span,
}

impl Origin {
    /// Reads the value of an `o=` line, from its end, since some user names
    /// hold blanks. Nearly all end like the `c=` line of the session, if that is
    /// given. `None`: it holds no address of the internet.
    pub fn read(message: &[u8], value: Span, session: Option<&Connection>) -> Option<Self> {
        session.and_then(|connection| Self::like(connection, message, value)).or_else(|| Self::alone(message, value))
    }

    /// One that ends as a `c=` line reads.
    fn like(connection: &Connection, message: &[u8], value: Span) -> Option<Self> {
        let before = value.of(message).strip_suffix(connection.span.of(message)).filter(|_| connection.is_plain)?;
        if !is_blank(*before.last()?) {
            return None;
        }
        let start = value.start + before.len() + "IN ".len();
        let (addrtype, span) = (Span::new(start, start + "IP4".len()), Span::new(start, value.end));
        Some(Self { address: Some(connection.address), addrtype, span })
    }

    fn alone(message: &[u8], value: Span) -> Option<Self> {
        let last = last_field(message, value)?;
        let before = |field: &Span| last_field(message, Span::new(value.start, field.start));
        let addrtype = successors(Some(last), before).find(|field| is_addrtype(field.of(message)));
        match addrtype.filter(|addrtype| addrtype.end < last.end) {
            Some(addrtype) => {
                let address = trim_span(message, Span::new(addrtype.end, last.end));
                let span = Span::new(addrtype.start, last.end);
                Some(Self { address: Address::read(address.of(message)), addrtype, span })
            }
            None => match Address::read(last.of(message)) {
                Some(address @ Address::Numeric(_)) => {
                    Some(Self { address: Some(address), addrtype: Span::new(last.start, last.start), span: last })
                }
                _ => None,
            },
        }
    }
}

/// `IP4` or `IP6`.
fn is_addrtype(text: &[u8]) -> bool {
    matches!(text, [b'I' | b'i', b'P' | b'p', b'4' | b'6'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Address {
        Address::Numeric(text.parse().unwrap())
    }

    fn connection(text: &str) -> Result<(Address, bool), SdpFault> {
        Connection::read(text.as_bytes(), Span::new(0, text.len()))
            .map(|connection| (connection.address, connection.is_group))
            .map_err(|malformed| malformed.fault)
    }

    #[test]
    fn connections_are_read_as_they_occur() {
        assert_eq!(connection("IN IP4 192.0.2.1"), Ok((numeric("192.0.2.1"), false)));
        assert_eq!(connection(" in  ip6 [2001:db8::1] "), Ok((numeric("2001:db8::1"), false)));
        assert_eq!(connection("IN IP6 fe80::1%eth0"), Ok((numeric("fe80::1"), false)));
        assert_eq!(connection("IN IP4 2001:db8::1"), Ok((numeric("2001:db8::1"), false)));
        assert_eq!(connection("IN IP4 host.example.com"), Ok((Address::Name, false)));
        assert_eq!(connection("IN IP4 localhost."), Ok((Address::Name, false)));
        assert_eq!(connection("ATM NSAP 47.0091"), Ok((Address::Foreign, false)));
        assert_eq!(connection(&format!("ATM NSAP {}", "4".repeat(300))), Err(SdpFault::ConnectionAddress));
    }

    #[test]
    fn ttl_and_count_stand_behind_slashes() {
        assert_eq!(connection("IN IP4 233.252.0.1/127"), Ok((numeric("233.252.0.1"), false)));
        assert_eq!(connection("IN IP4 233.252.0.1/127/3"), Ok((numeric("233.252.0.1"), true)));
        assert_eq!(connection("IN IP6 ff15::101/3"), Ok((numeric("ff15::101"), true)));
        assert_eq!(connection("IN IP6 ff15::101/x"), Err(SdpFault::ConnectionAddress));
        assert_eq!(connection("IN IP6 fe80::1%eth0/x"), Err(SdpFault::ConnectionAddress));
        assert_eq!(connection("IN IP4 233.252.0.1/1/2/3"), Err(SdpFault::ConnectionAddress));
    }

    #[test]
    fn addresses_that_could_be_read_in_two_ways_are_refused() {
        for text in ["192.0.2.010", "192.0.2.300", "192.0.2", "2001:db8:::1", "[[2001:db8::1]]", "1:2", "a b", ""] {
            assert_eq!(Address::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(connection("IN IP4"), Err(SdpFault::ConnectionLine));
    }

    #[test]
    fn mapped_addresses_mean_the_ipv4_address_in_them() {
        let mapped = Address::read(b"::ffff:192.0.2.2").unwrap();
        assert_eq!(mapped.canonical(), Some("192.0.2.2".parse().unwrap()));
        assert!(Address::read(b"::ffff:0.0.0.0").unwrap().is_unspecified());
        assert!(Address::read(b"::").unwrap().is_unspecified());
    }

    fn origin(text: &str) -> Option<(Option<Address>, &str)> {
        Origin::read(text.as_bytes(), Span::new(0, text.len()), None)
            .map(|origin| (origin.address, &text[origin.span.range()]))
    }

    #[test]
    fn origins_are_read_from_their_end() {
        let v4 = Some(numeric("192.0.2.1"));
        assert_eq!(origin("bob 1 1 IN IP4 192.0.2.1"), Some((v4, "IP4 192.0.2.1")));
        assert_eq!(origin("IP6 of bob 1 1 IN IP4 192.0.2.1 "), Some((v4, "IP4 192.0.2.1")));
        assert_eq!(
            origin("tel:+1 1 1 IN IP6 [2001:db8::1]"),
            Some((Some(numeric("2001:db8::1")), "IP6 [2001:db8::1]"))
        );
        assert_eq!(origin("- 1 1 IN IP4 h.example"), Some((Some(Address::Name), "IP4 h.example")));
        assert_eq!(origin("- 1 1 IN IP4 192.0.2.1 more"), Some((None, "IP4 192.0.2.1 more")));
        assert_eq!(origin("- 1 1 IN 192.0.2.1"), Some((v4, "192.0.2.1")));
        assert_eq!(origin("- 1 1 IN IP4"), None);
        assert_eq!(origin(""), None);
    }

    #[test]
    fn origins_that_end_like_a_c_line_are_read_the_same() {
        let origins =
            ["IN IP4 192.0.2.1", "IN IP6 [2001:db8::1]", "IN IP6 fe80::1%eth0", "IN IP4 h.example", "192.0.2.1"];
        for (line, origin) in origins.iter().flat_map(|line| origins.map(|origin| (line, origin))) {
            for front in ["- 1 1 ", "-\t1\t1\t", "-", ""] {
                let text = format!("{line}{front}{origin}");
                let (line, value) = (Span::new(0, line.len()), Span::new(line.len(), text.len()));
                let connection = Connection::read(text.as_bytes(), line).ok();
                let alone = Origin::read(text.as_bytes(), value, None);
                assert_eq!(Origin::read(text.as_bytes(), value, connection.as_ref()), alone, "{text}");
            }
        }
    }
}
