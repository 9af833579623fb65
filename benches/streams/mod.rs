//! Streams between parties on loopback, made known to a relay by calls.

use std::net::{SocketAddr, UdpSocket};

use sipproxy64::family::{Family, PerFamily};

use crate::daemon::{answer, port, text};
use crate::parties::{LOOPBACK, Pair, Party};

/// The parties of so many streams, each of which `call` makes known to a relay; it says
/// which ports of the relay face the two.
pub(crate) fn parties(streams: u16, mut call: impl FnMut(u16, &Pair) -> PerFamily<u16>) -> Vec<Pair> {
    let pair = |number| {
        let mut pair = PerFamily::from_fn(Party::new);
        let ports = call(number, &pair);
        Family::BOTH.into_iter().for_each(|side| pair[side].relay = SocketAddr::new(LOOPBACK[side], ports[side]));
        pair
    };
    (0..streams).map(pair).collect()
}

/// What a party says of its media.
pub(crate) fn sdp(party: &Party) -> String {
    let address = party.socket.local_addr().unwrap();
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (address.ip(), address.port());
    format!("v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n")
}

/// A call through this program, to the IPv4 stand-in of the callee at `dialled`.
pub(crate) fn call(caller: &UdpSocket, callee: &UdpSocket, dialled: u16, number: u16, pair: &Pair) -> PerFamily<u16> {
    let (contact, offer) = (caller.local_addr().unwrap(), sdp(&pair[Family::V4]));
    let invite = format!(
        "INVITE sip:six@127.0.0.1:{dialled} SIP/2.0\r\nVia: SIP/2.0/UDP {contact};branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:four@127.0.0.1>;tag=f\r\nTo: <sip:six@127.0.0.1>\r\nCall-ID: {number}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:four@{contact}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{offer}",
        offer.len()
    );
    caller.send_to(invite.as_bytes(), ("127.0.0.1", dialled)).unwrap();
    let (request, from) = text(callee);
    let contact = format!("sip:six@{}", callee.local_addr().unwrap());
    callee.send_to(answer(&request, &contact, &sdp(&pair[Family::V6])).as_bytes(), from).unwrap();
    let (ok, _) = text(caller);
    assert!(ok.starts_with("SIP/2.0 200"), "{ok}");
    PerFamily::new(port(&ok), port(&request))
}
