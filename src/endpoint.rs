//! Addresses and host names as people write them in options: with or without a
//! port, IPv6 with or without brackets where there is no port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::SIP_PORT;

/// What was written, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port, if one was written.
    pub port: Option<u16>,
}

/// The host of an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A numeric address, not IPv4-mapped and not link-local.
    Address(IpAddr),
    /// A valid host name, spelled as it was written.
    Name(String),
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing there.
    #[error("nothing is written; an address is wanted, for example 192.0.2.1 or 2001:db8::1")]
    Empty,
    /// `[2001:db8::1`
    #[error("missing ']' behind the IPv6 address, as in [2001:db8::1]:5060")]
    OpenBracket,
    /// `[2001:db8::1]5060`
    #[error("behind ']' only a port can stand, as in [2001:db8::1]:5060")]
    BehindBracket,
    /// `[192.0.2.1]`
    #[error("brackets are for IPv6 addresses only")]
    NotIpv6InBrackets,
    /// `192.0.2.1:`
    #[error("no port behind the ':'; write one from 1 to 65535, or leave the ':' out for {SIP_PORT}")]
    NoPort,
    /// `192.0.2.1:0`, `192.0.2.1:65536`, `192.0.2.1:sip`
    #[error("'{0}' is no port; write a number from 1 to 65535, or leave it out for {SIP_PORT}")]
    Port(String),
    /// `sip:pbx.example`, `alice@pbx.example`, `pbx.example;transport=tcp`, `udp:pbx.example`
    #[error("more than an address or name; write that, and its port if it has one, without all else")]
    Uri,
    /// `192.0.2.0/24`
    #[error("a '/'; one address is wanted, no prefix")]
    Prefix,
    /// `sip.example.net sip2.example.net`, `192.0.2.1 ; Alice`
    #[error("a space in it; one address or name is wanted")]
    Space,
    /// `fe80::1%eth0`
    #[error("an address with a zone ('%') reaches one link only and cannot stand in SIP; use a global one")]
    Zone,
    /// `fe80::1`
    #[error("a link-local address has no meaning without its interface; use a global one, or one of fd00::/8")]
    LinkLocal,
    /// `::ffff:192.0.2.1`
    #[error("an IPv4-mapped address; write {0}")]
    Mapped(Ipv4Addr),
    /// `2001:db8::g`
    #[error("not an IPv6 address")]
    Ipv6,
    /// `192.0.2.300`, `-pbx.example`
    #[error("neither an address nor a valid host name")]
    Host,
}

impl Endpoint {
    /// Reads `192.0.2.1`, `192.0.2.1:5070`, `2001:db8::1`, `[2001:db8::1]`,
    /// `[2001:db8::1]:5070`, `pbx.example` or `pbx.example:5070`.
    ///
    /// # Errors
    /// What it is not.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = split(text)?;
        Ok(Self { host, port: port.map(parse_port).transpose()? })
    }

    /// Its port, or that of SIP.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(SIP_PORT)
    }

    /// Where packets go, if that is numeric.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(address) => Some(SocketAddr::new(address, self.port_or_default())),
            Host::Name(_) => None,
        }
    }
}

/// Host and port apart. One ':' stands before a port, several are IPv6.
fn split(text: &str) -> Result<(Host, Option<&str>), EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::Empty);
    }
    if text.contains([' ', '\t']) {
        return Err(EndpointError::Space);
    }
    if is_uri(text) {
        return Err(EndpointError::Uri);
    }
    if text.contains('/') {
        return Err(EndpointError::Prefix);
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (address, behind) = inside.split_once(']').ok_or(EndpointError::OpenBracket)?;
        if address.parse::<Ipv4Addr>().is_ok() {
            return Err(EndpointError::NotIpv6InBrackets);
        }
        let port = match behind.strip_prefix(':') {
            Some(port) => Some(port),
            None if behind.is_empty() => None,
            None => return Err(EndpointError::BehindBracket),
        };
        return Ok((parse_ipv6(address)?, port));
    }
    match text.split_once(':') {
        None => Ok((parse_short(text)?, None)),
        Some((_, behind)) if behind.contains(':') => Ok((parse_ipv6(text)?, None)),
        Some((host, port)) => Ok((parse_short(host)?, Some(port))),
    }
}

/// Whether somebody wrote more of a URI than its host (RFC 3261 §19.1.1), or a transport as
/// sngrep has it. `sip:5070` is a host with its port.
fn is_uri(text: &str) -> bool {
    let schemes = ["sip:", "sips:", "tel:", "udp:", "tcp:", "tls:"];
    let behind_scheme = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    behind_scheme.is_some_and(|behind| behind.bytes().any(|byte| !byte.is_ascii_digit()))
        || text.contains("://")
        || text.contains(['@', ';'])
}

fn parse_ipv6(text: &str) -> Result<Host, EndpointError> {
    if text.contains('%') {
        return Err(EndpointError::Zone);
    }
    let address: Ipv6Addr = text.parse().map_err(|_| EndpointError::Ipv6)?;
    match address.to_ipv4_mapped() {
        Some(meant) => Err(EndpointError::Mapped(meant)),
        None if address.is_unicast_link_local() => Err(EndpointError::LinkLocal),
        None => Ok(Host::Address(IpAddr::V6(address))),
    }
}

/// A host without a colon in it: IPv4 or a name.
fn parse_short(text: &str) -> Result<Host, EndpointError> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    if is_host_name(text) { Ok(Host::Name(text.to_owned())) } else { Err(EndpointError::Host) }
}

/// RFC 1123 §2.1, and RFC 3261 §25.1 `hostname`: the last label begins with a
/// letter, which tells names from addresses. A dot may end it.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && last.starts_with(|first: char| first.is_ascii_alphabetic()) && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A port other than 0, in decimal digits without leading zeros.
///
/// # Errors
/// It is none.
pub fn parse_port(text: &str) -> Result<u16, EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::NoPort);
    }
    let wrong = || EndpointError::Port(text.to_owned());
    // `parse` alone would take a '+' and leading zeros.
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_address(text: &str) -> Option<String> {
        Endpoint::parse(text).unwrap().socket_address().map(|address| address.to_string())
    }

    #[test]
    fn addresses_with_and_without_port() {
        for (written, meant) in [
            ("192.0.2.1", "192.0.2.1:5060"),
            ("192.0.2.1:5070", "192.0.2.1:5070"),
            ("2001:db8::1", "[2001:db8::1]:5060"),
            ("[2001:db8::1]", "[2001:db8::1]:5060"),
            ("[2001:DB8::1]:65535", "[2001:db8::1]:65535"),
            ("::1", "[::1]:5060"),
            ("2001:db8::192.0.2.1", "[2001:db8::c000:201]:5060"),
        ] {
            assert_eq!(socket_address(written).as_deref(), Some(meant));
        }
    }

    #[test]
    fn names_are_valid_host_names() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for good in ["pbx", "pbx.example", "pbx.example.", "3com.example", "a-b.x--y.example", &label, &long] {
            assert_eq!(Endpoint::parse(good).unwrap().host, Host::Name(good.to_owned()));
        }
        let over = format!("{long}a");
        for bad in ["-pbx.example", "pbx-.example", "pbx..example", ".", ".example", "p_x.example", "bücher.example"] {
            assert_eq!(Endpoint::parse(bad), Err(EndpointError::Host), "{bad}");
        }
        for bad in ["192.0.2", "192.0.2.300", "192.0.2.01", "192.0.2.1.", "pbx.4", &over, &format!("{label}a.example")]
        {
            assert_eq!(Endpoint::parse(bad), Err(EndpointError::Host), "{bad}");
        }
    }

    #[test]
    fn ports_are_plain_numbers() {
        for bad in ["0", "00", "05060", "65536", "+5060", "-1", "1e3", "sip", "99999999999999999999"] {
            for host in ["192.0.2.1", "[2001:db8::1]", "pbx.example"] {
                let text = format!("{host}:{bad}");
                assert_eq!(Endpoint::parse(&text), Err(EndpointError::Port(bad.to_owned())), "{text}");
            }
        }
        assert_eq!(Endpoint::parse("sip:5070").unwrap().port, Some(5070), "a host may be called sip");
        assert_eq!(Endpoint::parse("192.0.2.1:"), Err(EndpointError::NoPort));
        assert_eq!(Endpoint::parse("[2001:db8::1]:"), Err(EndpointError::NoPort));
    }

    #[test]
    fn each_fault_has_its_name() {
        for (text, fault) in [
            ("", EndpointError::Empty),
            ("[2001:db8::1", EndpointError::OpenBracket),
            ("[2001:db8::1]5060", EndpointError::BehindBracket),
            ("[192.0.2.1]:5060", EndpointError::NotIpv6InBrackets),
            ("fe80::1%eth0", EndpointError::Zone),
            ("[fe80::1%2]:5060", EndpointError::Zone),
            ("fe80::1", EndpointError::LinkLocal),
            ("[::ffff:192.0.2.1]:5060", EndpointError::Mapped(Ipv4Addr::new(192, 0, 2, 1))),
            ("2001:db8::g", EndpointError::Ipv6),
            ("[pbx.example]", EndpointError::Ipv6),
            (":5060", EndpointError::Host),
            ("sip:pbx.example", EndpointError::Uri),
            ("sips:pbx.example:5061", EndpointError::Uri),
            ("alice@pbx.example", EndpointError::Uri),
            ("pbx.example;transport=tcp", EndpointError::Uri),
            ("http://pbx.example/", EndpointError::Uri),
            ("udp:192.0.2.1:5060", EndpointError::Uri),
            ("192.0.2.0/24", EndpointError::Prefix),
            ("2001:db8::/64", EndpointError::Prefix),
            ("192.0.2.1 192.0.2.2", EndpointError::Space),
            ("192.0.2.1:5060 ", EndpointError::Space),
            ("2001:db8::1 ; Alice", EndpointError::Space),
        ] {
            assert_eq!(Endpoint::parse(text), Err(fault), "{text}");
        }
    }
}
