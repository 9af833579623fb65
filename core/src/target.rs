//! What requests for a URI go to: the numeric address in it, or what our
//! parameter `s64=` says that address was before.

use std::net::{IpAddr, SocketAddr};

use crate::config::SIP_PORT;
use crate::family::canonical;
use crate::scan::{Scanner, Span};
use crate::sip::host::HostPort;
use crate::sip::uri::{Parameter, Uri};
use crate::text::{AddressAndPort, equals};
use crate::token::Token;

/// The name of the parameter that holds what a host was before.
pub const TOKEN_NAME: &[u8] = b"s64";

/// The numeric address that requests for a URI go to: its `maddr`, else its host.
#[derive(Clone, Copy, Debug)]
pub struct Numeric {
    /// The address.
    pub address: IpAddr,
    /// The host as it stands, with brackets if it has them.
    pub host: Span,
    /// The port as it stands.
    pub port: Option<u16>,
}

impl Numeric {
    /// That of a URI; `None`: a name.
    pub fn of(text: &[u8], uri: &Uri) -> Option<Self> {
        let port = uri.hostport.port_number;
        if let Some(maddr) = uri.last_parameter(text, b"maddr")
            && let Some(address) = whole_host(maddr.value.of(text))
        {
            return Some(Self { address, host: maddr.value, port });
        }
        uri.hostport.address.map(|address| Self { address, host: uri.hostport.host, port })
    }

    /// Address and port; an IPv4-mapped address is the IPv4 address in it.
    pub fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(canonical(self.address), self.port.unwrap_or(SIP_PORT))
    }

    /// Whether host and port are written in the one way that rule 1 gives back.
    pub fn is_plain(&self, text: &[u8], uri: &Uri) -> bool {
        let plain_port = uri.hostport.port.is_none_or(|port| !port.of(text).starts_with(b"0"));
        let written = AddressAndPort { address: self.address, port: None };
        plain_port && equals(self.host.of(text), &written)
    }
}

/// What the `maddr` of a URI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maddr {
    /// There is none, or an empty one, which counts for nothing.
    Absent,
    /// An address.
    Numeric,
    /// A name: requests go by that.
    Name,
    /// No host, as an IPv6 address without brackets is none: some would follow it.
    Unreadable,
    /// There are several: some follow the first one, and some the last (RFC 3261
    /// §19.1.1 allows one).
    Several,
}

impl Maddr {
    /// That of a URI.
    pub fn of(text: &[u8], uri: &Uri) -> Self {
        let Some(Parameter { value, .. }) = uri.last_parameter(text, b"maddr") else { return Self::Absent };
        let is_maddr = |parameter: &Parameter| parameter.name.of(text).eq_ignore_ascii_case(b"maddr");
        if uri.parameters(text).filter(is_maddr).nth(1).is_some() {
            return Self::Several;
        }
        if value.is_empty() {
            return Self::Absent;
        }
        match whole(value.of(text)) {
            Some(HostPort { address: Some(_), .. }) => Self::Numeric,
            Some(_) => Self::Name,
            None => Self::Unreadable,
        }
    }
}

/// The address that `text` is, if it is one and nothing else.
fn whole_host(text: &[u8]) -> Option<IpAddr> {
    whole(text)?.address
}

/// The host that `text` is, if it is one and nothing else.
fn whole(text: &[u8]) -> Option<HostPort> {
    let mut scanner = Scanner::new(text);
    let host = HostPort::scan(&mut scanner)?;
    (scanner.is_at_end() && host.port.is_none()).then_some(host)
}

/// The token of a URI whose target is an address of ours, and what it says.
pub fn token<'a>(text: &'a [u8], uri: &Uri) -> Option<(Parameter, Token<'a>)> {
    let parameter = uri.last_parameter(text, TOKEN_NAME)?;
    Some((parameter, Token::parse(parameter.value.of(text))?))
}
