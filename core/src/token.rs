//! What a message carries for us: `s64=`, `received=`, `sig=` and our branch.
//!
//! The proxy keeps no state of SIP; what a response or a later request needs
//! travels in the messages. A MAC under a key of ours proves that we wrote it. All
//! MACs are SipHash-2-4, written as 16 hex digits and read without regard to case.
//! Each covers the kind of its token and every field with its length.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::Key;
use crate::family::canonical_endpoint;
use crate::scan::{find, hex_value, number};
use crate::sip::host::{SIP_PORT, ipv4, ipv6};
use crate::siphash::SipHash;
use crate::text::{Sink, Text, display, hex_digits, write_endpoint};

/// What a MAC proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `s64=WRITTEN__SIG`: anybody may send to WRITTEN.
    Everybody = 1,
    /// `s64=WRITTEN_SOURCE_SIG`: anybody may send there.
    Source = 2,
    /// `s64=WRITTEN__SIG`: one IP address may send to WRITTEN.
    Recipient = 3,
    /// `sig=` of a Record-Route: its `received=` was the source of a request, or where it went.
    Route = 4,
    /// Our branch: the request went through us, and how.
    Branch = 5,
    /// The To-tag of a response of our own.
    ToTag = 6,
    /// No proof: the place of a subscriber in a table of [`crate::limit`].
    Limit = 7,
    /// No proof: a made-up word of an anonymous recording.
    Pseudonym = 8,
}

/// A MAC being computed. What has a length of its own is covered with it, so that
/// no two lists of fields are the same bytes.
///
/// ```
/// use sipproxy64_core::config::Key;
/// use sipproxy64_core::token::{Mac, Purpose};
/// let mac = |name: &[u8]| Mac::new(&Key([7; 16]), Purpose::Branch).name(name).finish();
/// assert_eq!(mac(b"Example.COM"), mac(b"example.com"));
/// assert_eq!(mac(b"a").to_string().len(), 16);
/// ```
#[derive(Debug)]
pub struct Mac(SipHash);

impl Mac {
    /// Under `key`, for one purpose.
    #[inline]
    pub fn new(key: &Key, purpose: Purpose) -> Self {
        let mut hash = SipHash::new(key);
        hash.byte(purpose as u8);
        Self(hash)
    }

    /// Covers one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.byte(byte);
        self
    }

    /// Covers bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len());
        self.0.bytes(bytes);
        self
    }

    /// Covers a name, in lower case.
    #[inline]
    pub fn name(&mut self, name: &[u8]) -> &mut Self {
        self.length(name.len());
        name.iter().for_each(|byte| self.0.byte(byte.to_ascii_lowercase()));
        self
    }

    fn length(&mut self, length: usize) {
        // A datagram is shorter by far.
        self.0.bytes(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// Covers a number.
    #[inline]
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.word(number);
        self
    }

    /// Covers a port, as a number.
    #[inline]
    pub fn port(&mut self, port: u16) -> &mut Self {
        self.0.bytes(&port.to_le_bytes());
        self
    }

    /// Covers an address, as a number.
    #[inline]
    pub fn address(&mut self, address: IpAddr) -> &mut Self {
        // Each part as it lies: what is put together first has to wait for that.
        match address {
            IpAddr::V4(v4) => self.byte(4).octets(&v4.octets()),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.byte(4).octets(&v4.octets()),
                None => self.byte(16).octets(&v6.octets()),
            },
        }
    }

    #[inline]
    fn octets(&mut self, octets: &[u8]) -> &mut Self {
        self.0.bytes(octets);
        self
    }

    /// Covers address and port, as numbers.
    #[inline]
    pub fn endpoint(&mut self, endpoint: SocketAddr) -> &mut Self {
        self.address(endpoint.ip()).port(endpoint.port())
    }

    /// The MAC.
    #[inline]
    pub fn finish(&self) -> Seal {
        Seal(self.0.finish())
    }
}

/// A finished MAC; its text is 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seal(pub u64);

impl Seal {
    /// How long its text is.
    pub const LENGTH: usize = 16;

    /// Reads its text, in upper or lower case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = <&[u8; Self::LENGTH]>::try_from(text).ok()?.map(hex_value);
        let all = digits.iter().all(|&digit| digit < 16);
        all.then(|| Self(digits.iter().fold(0, |value, &digit| value << 4 | u64::from(digit))))
    }
}

impl Text for Seal {
    fn write(&self, out: &mut impl Sink) {
        out.put(&hex_digits(self.0));
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// Text without brackets and with `-` for `:`, as old IPv4-only phones trip over
/// these behind a host.
#[derive(Clone, Copy, Debug)]
pub struct Dashed<'a>(pub &'a [u8]);

impl Text for Dashed<'_> {
    fn write(&self, out: &mut impl Sink) {
        // IPv4 has none of these.
        if find(self.0, b':').is_none() && !self.0.starts_with(b"[") {
            return out.put(self.0);
        }
        for piece in self.0.split_inclusive(|byte| matches!(byte, b'[' | b']' | b':')) {
            match piece.split_last() {
                Some((b'[' | b']', piece)) => out.put(piece),
                Some((b':', piece)) => (piece, "-").write(out),
                _ => out.put(piece),
            }
        }
    }
}

/// An endpoint as it stands in a token: `2001-db8--55~5062`.
#[derive(Clone, Copy, Debug)]
pub struct Tilde(pub SocketAddr);

impl Text for Tilde {
    fn write(&self, out: &mut impl Sink) {
        write_endpoint(self.0, b'-', b'~', out);
    }
}

/// Host and port as they stood, read from a token: `2001-db8--55~5062`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// The host, with `-` for `:`.
    pub host: &'a [u8],
    /// The digits of the port.
    pub port: Option<&'a [u8]>,
    /// What they mean.
    pub endpoint: SocketAddr,
}

impl<'a> Written<'a> {
    /// Reads one.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let tilde = text.iter().position(|&byte| byte == b'~');
        let host = text.get(..tilde.unwrap_or(text.len()))?;
        let port = tilde.map(|tilde| text.get(tilde.saturating_add(1)..).unwrap_or_default());
        let port_number = match port {
            Some(digits) => u16::try_from(number(digits)?).ok().filter(|&port| port > 0)?,
            None => SIP_PORT,
        };
        let endpoint = SocketAddr::new(dashed_address(host)?, port_number);
        Some(Self { host, port, endpoint })
    }

    /// The host as it stood, IPv6 in brackets.
    pub fn bracketed_host(&self) -> impl Text {
        BracketedHost(*self)
    }
}

struct BracketedHost<'a>(Written<'a>);

impl Text for BracketedHost<'_> {
    fn write(&self, out: &mut impl Sink) {
        if self.0.endpoint.is_ipv4() {
            return out.put(self.0.host);
        }
        out.put(b"[");
        for piece in self.0.host.split_inclusive(|&byte| byte == b'-') {
            match piece.split_last() {
                Some((b'-', piece)) => (piece, ":").write(out),
                _ => out.put(piece),
            }
        }
        out.put(b"]");
    }
}

fn dashed_address(text: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = ipv4(text) {
        return Some(v4.into());
    }
    let mut colons = [0; 45];
    let colons = colons.get_mut(..text.len())?;
    for (colon, &byte) in colons.iter_mut().zip(text) {
        // A token has no colons of its own: it would not come back as it was.
        *colon = match byte {
            b'-' => b':',
            b':' => return None,
            _ => byte,
        };
    }
    ipv6(colons).map(IpAddr::V6)
}

/// `s64=WRITTEN[_SOURCE][_SIG]`: what a mapped URI was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Host and port as they stood.
    pub written: Written<'a>,
    /// Where the packet came from that carried it.
    pub source: Option<SocketAddr>,
    /// What proves it.
    pub seal: Option<Seal>,
    /// What stands behind WRITTEN, with its underscore.
    pub beyond: &'a [u8],
}

impl<'a> Token<'a> {
    /// Reads the value of an `s64=`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = value.iter().position(|&byte| byte == b'_').unwrap_or(value.len());
        let (written, beyond) = value.split_at_checked(end).filter(|_| value.is_ascii())?;
        let (source, seal) = Self::read_beyond(beyond)?;
        Some(Self { written: Written::parse(written)?, source, seal, beyond })
    }

    /// Whether `text` can stand behind WRITTEN, so that the token can be read.
    pub fn is_beyond(text: &[u8]) -> bool {
        text.starts_with(b"_") && text.is_ascii() && Self::read_beyond(text).is_some()
    }

    /// Reads what stands behind WRITTEN: nothing, or an underscore before each part.
    fn read_beyond(beyond: &[u8]) -> Option<(Option<SocketAddr>, Option<Seal>)> {
        let mut parts = beyond.split(|&byte| byte == b'_').skip(1);
        let source = match parts.next() {
            None | Some(b"") => None,
            Some(source) => Some(Written::parse(source)?.endpoint),
        };
        let seal = parts.next().and_then(Seal::parse);
        parts.next().is_none().then_some((source, seal))
    }

    /// Whether its seal lets `sender` use it; `None`: ourselves, to whom nobody can
    /// have given one.
    pub fn is_proven(&self, key: &Key, sender: Option<IpAddr>) -> bool {
        let written = canonical_endpoint(self.written.endpoint);
        let Some(seal) = self.seal else { return false };
        is_for_everybody(key, written, self.source, seal)
            || (self.source.is_none() && sender.is_some_and(|sender| seal == seal_recipient(key, written, sender)))
    }

    /// Whether `beyond`, behind this WRITTEN, lets everybody use it.
    pub fn lets_everybody(key: &Key, written: SocketAddr, beyond: &[u8]) -> bool {
        let Some((source, Some(seal))) = Self::read_beyond(beyond) else { return false };
        is_for_everybody(key, canonical_endpoint(written), source, seal)
    }
}

fn is_for_everybody(key: &Key, written: SocketAddr, source: Option<SocketAddr>, seal: Seal) -> bool {
    seal == source.map_or_else(|| seal_everybody(key, written), |source| seal_source(key, written, source))
}

/// The SIG by which anybody may send to `written`.
pub fn seal_everybody(key: &Key, written: SocketAddr) -> Seal {
    Mac::new(key, Purpose::Everybody).endpoint(written).finish()
}

/// The SIG by which anybody may send to `source`, or to `written` there.
pub fn seal_source(key: &Key, written: SocketAddr, source: SocketAddr) -> Seal {
    Mac::new(key, Purpose::Source).endpoint(written).endpoint(source).finish()
}

/// The SIG by which `recipient` alone may send to `written`.
pub fn seal_recipient(key: &Key, written: SocketAddr, recipient: IpAddr) -> Seal {
    Mac::new(key, Purpose::Recipient).endpoint(written).address(recipient).finish()
}

/// The `sig=` of a Record-Route at `route` with `received=`.
pub fn seal_route(key: &Key, route: SocketAddr, received: SocketAddr) -> Seal {
    Mac::new(key, Purpose::Route).endpoint(route).endpoint(received).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::written;

    #[test]
    fn a_token_gives_back_what_was_written() {
        for (value, text) in [
            ("2001-db8-9--55~5062", "[2001:db8:9::55]:5062"),
            ("2001-DB8--1", "[2001:DB8::1]"),
            ("--ffff-192.0.2.7~05060", "[::ffff:192.0.2.7]:05060"),
            ("10.0.0.5", "10.0.0.5"),
            ("2001-db8---192.0.2.1", "[2001:db8:::192.0.2.1]"),
        ] {
            let token = Token::parse(value.as_bytes()).unwrap();
            assert_eq!(written((token.written.bracketed_host(), token.written.port.map(|port| (":", port)))), text);
        }
    }

    #[test]
    fn the_parts_of_a_token() {
        let token = |value: &'static str| {
            Token::parse(value.as_bytes()).map(|token| {
                (token.written.endpoint.to_string(), token.source.map(|source| source.to_string()), token.seal)
            })
        };
        assert_eq!(token("10.0.0.5"), Some(("10.0.0.5:5060".into(), None, None)));
        assert_eq!(token("10.0.0.5__00000000000000fF"), Some(("10.0.0.5:5060".into(), None, Some(Seal(255)))));
        assert_eq!(
            token("10.0.0.5~1_203.0.113.9~40123_0000000000000001"),
            Some(("10.0.0.5:1".into(), Some("203.0.113.9:40123".into()), Some(Seal(1))))
        );
        for unreadable in [
            "",
            "_",
            "host",
            "10.0.0.5~",
            "10.0.0.5~0",
            "10.0.0.5~65536",
            "10.0.0.5_x_0000000000000001",
            "10.0.0.5__0_0",
            "1:2",
            "::1",
        ] {
            assert_eq!(token(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_seal_proves_to_whom_it_was_given() {
        let key = Key([1; 16]);
        let written: SocketAddr = "203.0.113.9:5060".parse().unwrap();
        let (friend, stranger): (IpAddr, IpAddr) = ("2001:db8::9".parse().unwrap(), "2001:db8::a".parse().unwrap());
        let value = format!("203.0.113.9__{}", seal_recipient(&key, written, friend)).to_uppercase();
        let token = Token::parse(value.as_bytes()).unwrap();
        assert!(token.is_proven(&key, Some(friend)));
        assert!(!token.is_proven(&key, Some(stranger)));
        assert!(!token.is_proven(&Key([2; 16]), Some(friend)));
        let value = format!("203.0.113.9__{}", seal_everybody(&key, written));
        assert!(Token::parse(value.as_bytes()).unwrap().is_proven(&key, Some(stranger)));
    }

    /// Else whoever has one could send anywhere by it.
    #[test]
    fn a_seal_proves_no_source_that_was_put_beside_it() {
        let key = Key([1; 16]);
        let written: SocketAddr = "203.0.113.9:5060".parse().unwrap();
        let friend: IpAddr = "2001:db8::9".parse().unwrap();
        for seal in [seal_recipient(&key, written, friend), seal_everybody(&key, written)] {
            let value = format!("203.0.113.9_198.51.100.1~22_{seal}");
            assert!(!Token::parse(value.as_bytes()).unwrap().is_proven(&key, Some(friend)));
        }
    }

    #[test]
    fn endpoints_are_written_without_colons() {
        assert_eq!(written(Tilde("[2001:db8::1]:5060".parse().unwrap())), "2001-db8--1~5060");
        assert_eq!(written(Tilde("192.0.2.1:7".parse().unwrap())), "192.0.2.1~7");
    }
}
