//! The messages that the benches work on, and a bridge for them.

#![allow(dead_code, reason = "not every bench needs all of it")]

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::config::{Config, Map, Uplink, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A bridge with an IPv6 uplink, and so many phones with maps, that of the messages
/// the first one.
fn proxy(phones: u8) -> Standalone {
    let mut config = Config::new(endpoint("192.0.2.1:5060"), endpoint("[2001:db8::1]:5060"));
    let host = UplinkHost::Address("2001:db8::100".parse().unwrap());
    config.uplinks[Family::V6] = Some(Uplink { host, port: 5060, written: "[2001:db8::100]:5060".to_string() });
    config.maps = (100..100 + phones)
        .map(|host| Map {
            phone: SocketAddr::new(Ipv4Addr::new(192, 0, 2, host).into(), 5060),
            fake: SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, host.into()).into(), 5060),
        })
        .collect();
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

/// The answer of the uplink to what `request` became, with a status line.
fn answer(proxy: &mut Standalone, now: Duration, request: &[u8], status: &str, sdp: &str) -> Vec<u8> {
    let mut out = Vec::new();
    send(proxy, now, Side::Phone, request, &mut out);
    let kept = ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"];
    let lines = kept.iter().flat_map(|name| lines(&out, name)).map(|line| {
        let tag = if line.starts_with("To:") { ";tag=t" } else { "" };
        format!("{line}{tag}\r\n")
    });
    let lines: String = lines.collect();
    let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\n{lines}Contact: <sip:bench@[2001:db8::100]:5060>\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

/// The lines of a header field.
fn lines(message: &[u8], name: &str) -> Vec<String> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.lines().filter(|line| line.starts_with(&format!("{name}:"))).map(str::to_string).collect()
}

/// The BYE of the caller, when it got the answer `ok`: by the route that was recorded.
fn bye(ok: &[u8]) -> Vec<u8> {
    let value = |line: &String| line.split_once(": ").unwrap().1.to_string();
    let contact = lines(ok, "Contact").iter().map(value).next().unwrap();
    let routes = lines(ok, "Record-Route").iter().map(value).rev().collect::<Vec<_>>().join(", ");
    let (from, to) = (lines(ok, "From"), lines(ok, "To"));
    format!(
        "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKbye;rport\r\nMax-Forwards: 70\r\n\
         Route: {routes}\r\n{}\r\n{}\r\n{}\r\nCSeq: 314160 BYE\r\nContent-Length: 0\r\n\r\n",
        contact.trim_matches(['<', '>']),
        from[0],
        to[0],
        lines(ok, "Call-ID")[0]
    )
    .into_bytes()
}

/// Who sends.
#[derive(Clone, Copy)]
enum Side {
    Phone,
    Uplink,
}

fn send(proxy: &mut Standalone, now: Duration, side: Side, bytes: &[u8], out: &mut Vec<u8>) {
    let v4 = |host: u8| SocketAddr::new(Ipv4Addr::new(192, 0, 2, host).into(), 5060);
    let v6 = |host: u16| SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host).into(), 5060);
    let (local, remote) = match side {
        Side::Phone => (v4(1), v4(100)),
        Side::Uplink => (v6(1), v6(0x100)),
    };
    let outcome = proxy.handle(now, &Datagram { local, remote, bytes: black_box(bytes) }, out);
    assert!(matches!(outcome, Outcome::Send { refused: None, .. }), "{outcome:?}");
    while proxy.next_command().is_some() {}
}

/// What is measured, by name.
pub(crate) const CASES: [&str; 6] = ["options", "mapped", "invite", "ok", "bye", "call"];

/// A bridge and what it is sent over and over.
pub(crate) struct Case {
    proxy: Standalone,
    messages: Vec<(Side, Vec<u8>)>,
    out: Vec<u8>,
    now: Duration,
}

impl Case {
    /// - `options`: a request without a body
    /// - `mapped`: the same from one of a hundred phones that have maps
    /// - `invite`, `ok`: an INVITE with SDP, and its answer, of a call that is known
    /// - `bye`: a request by the route that was recorded
    /// - `call`: an INVITE that begins a call and the answer that ends it
    pub(crate) fn new(name: &str) -> Self {
        let (mut proxy, now) = (proxy(if name == "mapped" { 100 } else { 0 }), Duration::ZERO);
        let (invite, sdp) = (request("INVITE", SDP), SDP.replace("IP4 192.0.2.100", "IP6 2001:db8::100"));
        let messages = match name {
            "options" | "mapped" => vec![(Side::Phone, request("OPTIONS", ""))],
            "invite" => vec![(Side::Phone, invite)],
            "ok" => vec![(Side::Uplink, answer(&mut proxy, now, &invite, "200 OK", &sdp))],
            "bye" => {
                let (ok, mut out) = (answer(&mut proxy, now, &invite, "200 OK", &sdp), Vec::new());
                send(&mut proxy, now, Side::Uplink, &ok, &mut out);
                vec![(Side::Phone, bye(&out))]
            }
            "call" => {
                let busy = answer(&mut proxy, now, &invite, "486 Busy Here", "");
                vec![(Side::Phone, invite), (Side::Uplink, busy)]
            }
            _ => panic!("no case {name}; there are {CASES:?}"),
        };
        let mut case = Self { proxy, messages, out: Vec::with_capacity(65_536), now };
        // Everything has the room it needs, and a BYE has ended its call.
        case.run();
        case
    }

    /// How many bytes come in.
    pub(crate) fn length(&self) -> usize {
        self.messages.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Handles all messages once.
    pub(crate) fn run(&mut self) {
        // Ports of a call that ended rest; they do not run out.
        self.now += Duration::from_millis(1);
        for (side, bytes) in &self.messages {
            send(&mut self.proxy, self.now, *side, bytes, &mut self.out);
        }
    }
}
