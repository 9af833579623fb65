//! The `m=` line (RFC 8866 §5.14) and `a=rtcp` (RFC 3605).

use super::connection::{Address, Connection};
use super::line::fields;
use super::malformed::{Malformed, SdpFault};
use crate::scan::{Span, number, number_at_front};

/// An `m=` line: `m=<media> <port>[/<number of ports>] <proto> <fmt> ...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// The port; 0: refused, removed or held back.
    pub port: u16,
    /// The port field, with the number of ports.
    pub port_span: Span,
    /// The transport protocol: `RTP/AVP`, `udptl`, ...
    pub proto: Span,
}

impl MediaLine {
    /// Reads the value of an `m=` line. Formats may be missing.
    ///
    /// # Errors
    /// A part is missing, or the port is none.
    pub fn read(message: &[u8], value: Span) -> Result<Self, Malformed> {
        let mut fields = fields(message, value);
        let (Some(_media), Some(port_span), Some(proto)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Malformed::new(value.start, SdpFault::MediaLine));
        };
        let port = read_port(port_span.of(message)).ok_or(Malformed::new(port_span.start, SdpFault::MediaPort))?;
        Ok(Self { port, port_span, proto })
    }

    /// Whether no media stands behind it: Microsoft's `m=message 5060 sip null`
    /// says that instant messages travel in SIP itself.
    pub fn is_within_sip(&self, message: &[u8]) -> bool {
        self.proto.of(message).eq_ignore_ascii_case(b"sip")
    }
}

/// `port[/number of ports]`: the port, if there is at least one.
fn read_port(text: &[u8]) -> Option<u16> {
    let (port, digits) = number_at_front(text)?;
    match text.get(digits..)? {
        [] => {}
        [b'/', count @ ..] if number(count)? > 0 => {}
        _ => return None,
    }
    port.try_into().ok()
}

/// `a=rtcp:<port> [<nettype> <addrtype> <connection-address>]` (RFC 3605 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// The port that RTCP is wanted on.
    pub port: u16,
    /// The address, where it has one of its own.
    pub address: Option<Address>,
}

impl Rtcp {
    /// Reads the value of the attribute; `None` where it is not as above.
    pub fn read(message: &[u8], value: Span) -> Option<Self> {
        let mut fields = fields(message, value);
        let port = number(fields.next()?.of(message))?.try_into().ok()?;
        let address = match fields.next() {
            None => None,
            Some(nettype) => Some(Connection::read(message, Span::new(nettype.start, value.end)).ok()?.address),
        };
        Some(Self { port, address })
    }

    /// Whether it is a placeholder that nothing is sent to: the discard port
    /// (RFC 863) or an unspecified address, as WebRTC writes them.
    pub fn is_placeholder(&self) -> bool {
        matches!(self.port, 0 | 9) || self.address.is_some_and(Address::is_unspecified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &str) -> Result<u16, SdpFault> {
        MediaLine::read(text.as_bytes(), Span::new(0, text.len()))
            .map(|line| line.port)
            .map_err(|malformed| malformed.fault)
    }

    #[test]
    fn ports_are_read_with_and_without_their_number() {
        assert_eq!(media("audio 49170 RTP/AVP 0"), Ok(49170));
        assert_eq!(media("audio 49170/2 RTP/AVP 0"), Ok(49170));
        assert_eq!(media("audio 0 RTP/AVP"), Ok(0));
        assert_eq!(media("audio 65535 RTP/AVP 0"), Ok(65535));
    }

    #[test]
    fn ports_out_of_range_are_refused() {
        for port in ["65536", "-1", "1e30", "$", "/2", "5/", "5/0", "5/2/2", "99999999999"] {
            assert_eq!(media(&format!("audio {port} RTP/AVP 0")), Err(SdpFault::MediaPort), "{port}");
        }
        assert_eq!(media("audio 5"), Err(SdpFault::MediaLine));
        assert_eq!(media(""), Err(SdpFault::MediaLine));
    }

    fn rtcp(text: &str) -> Option<Rtcp> {
        Rtcp::read(text.as_bytes(), Span::new(0, text.len()))
    }

    #[test]
    fn rtcp_has_a_port_and_perhaps_an_address() {
        assert_eq!(rtcp("53020"), Some(Rtcp { port: 53020, address: None }));
        let address = Some(Address::Numeric("2001:db8::1".parse().unwrap()));
        assert_eq!(rtcp("53020 IN IP6 2001:db8::1"), Some(Rtcp { port: 53020, address }));
        assert!(rtcp("9 IN IP4 0.0.0.0").unwrap().is_placeholder());
        assert_eq!(rtcp("70000"), None);
        assert_eq!(rtcp("5 IN IP4"), None);
    }
}
