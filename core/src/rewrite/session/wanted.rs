//! What a description asks of the relay.

use std::net::SocketAddr;

use crate::scan::Span;
use crate::sdp::attribute::Direction;
use crate::sdp::connection::Address;
use crate::sdp::description::{Description, MediaDescription, Section};
use crate::streams::{MAX_STREAMS, Transport, Wanted};

/// Puts one entry for each `m=` line into `out`, in order, up to
/// [`MAX_STREAMS`]; `out` is cleared first.
///
/// A stream that the relay cannot carry is [`Transport::NotRelayable`]; a
/// pseudo stream (`m=message ... sip`) is one with port 0.
pub fn wanted(description: &Description<'_>, out: &mut Vec<Wanted>) {
    out.clear();
    out.extend(description.media().take(MAX_STREAMS).map(|media| stream(description, media)));
}

fn stream(description: &Description<'_>, media: &MediaDescription) -> Wanted {
    let (message, session) = (description.message(), description.session());
    // What holds for a stream that does not say otherwise.
    let addressed = if media.section.connection.is_some() { &media.section } else { session };
    let first = addressed.connection.as_ref().filter(|_| !addressed.is_layered);
    let address = first.and_then(|connection| connection.address.canonical());
    let direction = media.section.direction.or(session.direction);
    let within_sip = media.line.is_within_sip(message);
    // Of several ports (RFC 8866 §5.14) the first is relayed, and leaves as the only one.
    let relayable = !within_sip && is_one_host(addressed);
    let transport = if relayable { transport(message, media.line.proto) } else { Transport::NotRelayable };
    let rtcp = media.rtcp(message).filter(|rtcp| !rtcp.is_placeholder()).and_then(|rtcp| {
        let own = rtcp.address.map(|address| address.canonical());
        own.unwrap_or(address).map(|address| SocketAddr::new(address, rtcp.port))
    });
    Wanted {
        address,
        port: if within_sip { 0 } else { media.line.port },
        rtcp,
        transport,
        held: matches!(direction, Some(Direction::SendOnly | Direction::Inactive))
            || address.is_some_and(|address| address.is_unspecified()),
    }
}

/// Whether the `c=` lines of a section, if there are any, name one host of the internet.
fn is_one_host(section: &Section) -> bool {
    section
        .connection
        .as_ref()
        .is_none_or(|first| !section.is_layered && !first.is_multicast() && first.address != Address::Foreign)
}

/// What travels in a stream of that proto (RFC 8866 §8.2.2). What is not known
/// to be UDP is not relayable.
fn transport(message: &[u8], proto: Span) -> Transport {
    let proto = proto.of(message);
    let is = |name: &str| proto.eq_ignore_ascii_case(name.as_bytes());
    let begins =
        |prefix: &str| proto.get(..prefix.len()).is_some_and(|front| front.eq_ignore_ascii_case(prefix.as_bytes()));
    if begins("RTP/") || begins("UDP/TLS/RTP/") || begins("UDP/RTP/") {
        Transport::Rtp
    } else if is("udptl") || is("UDP/TLS/UDPTL") {
        Transport::Udptl
    } else if is("UDP") || begins("UDP/") || is("DTLS/SCTP") {
        // DTLS/SCTP is how drafts before RFC 8841 wrote UDP/DTLS/SCTP.
        Transport::Udp
    } else {
        Transport::NotRelayable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::description::Room;

    fn read(session: &str, media: &str) -> Wanted {
        let text = format!("v=0\r\n{session}{media}");
        let mut room = Room::default();
        let description = Description::parse(text.as_bytes(), Span::new(0, text.len()), &mut room).unwrap();
        let mut out = Vec::new();
        wanted(&description, &mut out);
        assert_eq!(out.len(), 1);
        out[0]
    }

    const C: &str = "c=IN IP6 2001:db8::5\r\n";
    const AUDIO: &str = "m=audio 5000 RTP/AVP 0\r\n";

    #[test]
    fn a_stream_is_where_its_own_c_line_says() {
        let stream = read(C, AUDIO);
        assert_eq!(stream.address, Some("2001:db8::5".parse().unwrap()));
        assert_eq!((stream.port, stream.rtcp, stream.held), (5000, None, false));
        let own = read(C, &format!("{AUDIO}c=IN IP4 192.0.2.9\r\n"));
        assert_eq!(own.address, Some("192.0.2.9".parse().unwrap()));
        assert_eq!(read("c=IN IP4 h.example\r\n", AUDIO).address, None);
        assert_eq!(read("c=IN IP4 h.example\r\n", AUDIO).transport, Transport::Rtp);
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let stream = read("c=IN IP6 ::ffff:192.0.2.2\r\n", AUDIO);
        assert_eq!(stream.address, Some("192.0.2.2".parse().unwrap()));
    }

    #[test]
    fn hold_is_a_direction_or_no_address() {
        assert!(read("c=IN IP4 0.0.0.0\r\n", AUDIO).held);
        assert!(read("c=IN IP6 ::\r\n", AUDIO).held);
        assert!(read(C, &format!("{AUDIO}a=sendonly\r\n")).held);
        assert!(read(C, &format!("{AUDIO}a=inactive\r\n")).held);
        assert!(!read(C, &format!("{AUDIO}a=recvonly\r\n")).held);
        assert!(read(&format!("{C}a=inactive\r\n"), AUDIO).held);
        assert!(!read(&format!("{C}a=inactive\r\n"), &format!("{AUDIO}a=sendrecv\r\n")).held);
    }

    #[test]
    fn rtcp_may_be_elsewhere() {
        let rtcp = |attribute: &str| read(C, &format!("{AUDIO}a=rtcp:{attribute}\r\n")).rtcp.map(|at| at.to_string());
        assert_eq!(rtcp("5007").as_deref(), Some("[2001:db8::5]:5007"));
        assert_eq!(rtcp("5007 IN IP4 192.0.2.3").as_deref(), Some("192.0.2.3:5007"));
        assert_eq!(rtcp("5007 IN IP6 ::ffff:192.0.2.3").as_deref(), Some("192.0.2.3:5007"));
        assert_eq!(rtcp("9 IN IP4 0.0.0.0"), None);
        assert_eq!(rtcp("5007 IN IP4 h.example"), None);
        assert_eq!(rtcp("nonsense"), None);
    }

    #[test]
    fn transports_are_told_by_proto() {
        for (proto, transport) in [
            ("RTP/SAVPF", Transport::Rtp),
            ("UDP/TLS/RTP/SAVPF", Transport::Rtp),
            ("udp/rtp/avp", Transport::Rtp),
            ("udptl", Transport::Udptl),
            ("UDPTL", Transport::Udptl),
            ("UDP/TLS/UDPTL", Transport::Udptl),
            ("UDP/BFCP", Transport::Udp),
            ("udp", Transport::Udp),
            ("UDP/DTLS/SCTP", Transport::Udp),
            ("DTLS/SCTP", Transport::Udp),
            ("TCP/BFCP", Transport::NotRelayable),
            ("TCP/RTP/AVP", Transport::NotRelayable),
            ("tcp", Transport::NotRelayable),
        ] {
            assert_eq!(read(C, &format!("m=x 5000 {proto} 0\r\n")).transport, transport, "{proto}");
        }
    }

    #[test]
    fn groups_and_layers_are_not_relayable() {
        for (session, media) in [
            ("c=IN IP4 233.252.0.1/127\r\n", AUDIO),
            ("c=IN IP6 ff15::101\r\n", AUDIO),
            ("c=IN IP6 2001:db8::5/2\r\n", AUDIO),
            ("c=ATM NSAP 47.0091\r\n", AUDIO),
            (C, "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\n"),
        ] {
            assert_eq!(read(session, media).transport, Transport::NotRelayable, "{session}{media}");
        }
        assert_eq!(read("c=IN IP4 192.0.2.1/127\r\n", AUDIO).transport, Transport::Rtp);
        let two = read(C, "m=audio 5000/2 RTP/AVP 0\r\n");
        assert_eq!((two.port, two.transport), (5000, Transport::Rtp), "the first of two");
    }

    #[test]
    fn pseudo_streams_ask_for_nothing() {
        let stream = read(C, "m=message 5060 sip null\r\n");
        assert_eq!((stream.port, stream.transport), (0, Transport::NotRelayable));
    }

    #[test]
    fn no_more_streams_than_the_limit_are_asked_for() {
        let text = format!("v=0\r\n{C}{}", AUDIO.repeat(70));
        let mut room = Room::default();
        let description = Description::parse(text.as_bytes(), Span::new(0, text.len()), &mut room).unwrap();
        let mut out = Vec::new();
        wanted(&description, &mut out);
        assert_eq!(out.len(), MAX_STREAMS);
    }
}
