//! The messages that the benches work on, and a bridge for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::config::{Config, Uplink, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

pub(crate) fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A bridge with an IPv6 uplink.
pub(crate) fn proxy() -> Standalone {
    let mut config = Config::new(endpoint("192.0.2.1:5060"), endpoint("[2001:db8::1]:5060"));
    let host = UplinkHost::Address("2001:db8::100".parse().unwrap());
    config.uplinks[Family::V6] = Some(Uplink { host, port: 5060, written: "[2001:db8::100]:5060".to_string() });
    config.check().unwrap();
    Standalone::new(Arc::new(config))
}

pub(crate) const SDP: &str = "v=0\r\no=bench 1 1 IN IP4 192.0.2.100\r\ns=-\r\nc=IN IP4 192.0.2.100\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

pub(crate) fn request(method: &str, sdp: &str) -> Vec<u8> {
    let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:bench@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bK776asdhds;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Bench\" <sip:bench@192.0.2.100>;tag=1928301774\r\nTo: <sip:bench@192.0.2.1>\r\n\
         Call-ID: a84b4c76e66710@192.0.2.100\r\nCSeq: 314159 {method}\r\nContact: <sip:bench@192.0.2.100:5060>\r\n\
         User-Agent: bench/1.0\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\nSupported: replaces, timer\r\n\
         {content}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

/// The answer of the uplink to what `request` became.
pub(crate) fn answer(proxy: &mut Standalone, request: &[u8], sdp: &str) -> Vec<u8> {
    let mut out = Vec::new();
    handle(proxy, request, &mut out);
    let text = String::from_utf8(out).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let kept = ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"];
    let lines = head.lines().filter(|line| kept.iter().any(|name| line.starts_with(&format!("{name}:"))));
    let lines: String = lines
        .map(|line| if line.starts_with("To:") { format!("{line};tag=t\r\n") } else { format!("{line}\r\n") })
        .collect();
    format!(
        "SIP/2.0 200 OK\r\n{lines}Contact: <sip:bench@[2001:db8::100]:5060>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

pub(crate) fn handle(proxy: &mut Standalone, bytes: &[u8], out: &mut Vec<u8>) -> Outcome {
    let local = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 5060);
    let remote = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 100).into(), 5060);
    let datagram = Datagram { local, remote, bytes };
    let outcome = proxy.handle(Duration::ZERO, &datagram, out);
    assert!(matches!(outcome, Outcome::Send { refused: None, .. }), "{outcome:?}");
    while proxy.next_command().is_some() {}
    outcome
}
