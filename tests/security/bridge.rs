//! The bridge of `tests/outside/harness/picture.rs`, as a function of datagrams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::config::{Config, Map, Uplink, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Outcome, Reason, Standalone};

pub const LISTEN4: &str = "192.0.2.1:5060";
pub const LISTEN6: &str = "[2001:db8::1]:5060";
pub const P1: &str = "192.0.2.101:5060";
pub const F1: &str = "[2001:db8::101]:5060";
pub const P2: &str = "192.0.2.102:5060";
pub const F2: &str = "[2001:db8::102]:5060";
pub const Q6: &str = "[2001:db8:6::7]:5060";
pub const G4: &str = "192.0.2.207:5060";
pub const U6: &str = "[2001:db8:456::12]:5060";
/// Strangers.
pub const X4: &str = "198.51.100.9:5062";
pub const X6: &str = "[2001:db8:9::55]:5062";

pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// An uplink by its address.
pub fn uplink(address: &str) -> Uplink {
    let endpoint = at(address);
    Uplink { host: UplinkHost::Address(endpoint.ip()), port: endpoint.port(), written: address.to_owned() }
}

/// The configuration of the picture.
pub fn picture() -> Config {
    let mut config = Config::new(at(LISTEN4), at(LISTEN6));
    config.uplinks[Family::V6] = Some(uplink(U6));
    for (phone, fake) in [(P1, F1), (P2, F2), (Q6, G4)] {
        config.maps.push(Map { phone: at(phone), fake: at(fake) });
    }
    config.check().unwrap();
    config
}

/// What was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    /// Why it is an answer of our own.
    pub refused: Option<Reason>,
}

impl Sent {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.text().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The values of the header fields of this name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap();
        let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    }

    pub fn first(&self, name: &str) -> String {
        self.all(name).first().cloned().unwrap_or_else(|| panic!("no {name} in\n{}", self.text()))
    }

    /// The response of a user agent to this request.
    pub fn response(&self, status: &str) -> String {
        let copied = |name: &str| self.all(name).iter().map(|value| format!("{name}: {value}\r\n")).collect::<String>();
        let (via, from, call_id, cseq) = (copied("Via"), copied("From"), copied("Call-ID"), copied("CSeq"));
        let (record_route, to) = (copied("Record-Route"), self.first("To"));
        let tag = if to.contains(";tag=") { "" } else { ";tag=answer" };
        format!(
            "SIP/2.0 {status}\r\n{via}{record_route}{from}To: {to}{tag}\r\n{call_id}{cseq}Content-Length: 0\r\n\r\n"
        )
    }
}

/// A bridge in pretended time.
pub struct Bridge {
    pub proxy: Standalone,
    pub now: Duration,
}

impl Bridge {
    pub fn new(config: Config) -> Self {
        Self { proxy: Standalone::new(Arc::new(config)), now: Duration::ZERO }
    }

    pub fn picture() -> Self {
        Self::new(picture())
    }

    /// One pass.
    pub fn pass(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Result<Sent, Reason> {
        let mut out = Vec::new();
        let datagram = Datagram { local: to, remote: from, bytes };
        let outcome = self.proxy.handle(self.now, &datagram, &mut out);
        while self.proxy.next_command().is_some() {}
        match outcome {
            Outcome::Send { from, to, refused } => Ok(Sent { from, to, bytes: out, refused }),
            Outcome::Drop(reason) => Err(reason),
        }
    }

    /// What was to leave did not: there is no way to its next hop. What its sender gets.
    pub fn unsent(&mut self, sent: &Sent) -> Option<Result<Sent, Reason>> {
        let datagram = Datagram { local: sent.from, remote: sent.to, bytes: &sent.bytes };
        let mut answer = Vec::new();
        let answered = self.proxy.unsent(self.now, &datagram, &mut answer);
        answered.then(|| self.handle(&sent.to.to_string(), &sent.from.to_string(), answer))
    }

    /// As many passes as it takes until it leaves us.
    pub fn handle(&mut self, from: &str, to: &str, message: impl AsRef<[u8]>) -> Result<Sent, Reason> {
        let mut sent = self.pass(at(from), at(to), message.as_ref())?;
        for _ in 0..8 {
            if !self.proxy.is_ours(sent.to) {
                return Ok(sent);
            }
            sent = self.pass(sent.from, sent.to, &sent.bytes)?;
        }
        panic!("it circles: {}", sent.text());
    }
}

/// A request as a user agent at `from` writes it, with more header fields.
pub fn request(method: &str, uri: &str, from: &str, more: &str) -> String {
    let host = from.rsplit_once(':').unwrap().0;
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKx1;rport\r\nMax-Forwards: 70\r\n\
         From: \"M\" <sip:m@{host}>;tag=m1\r\nTo: <{uri}>\r\nCall-ID: c1@{host}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:m@{from}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// The same with an offer of this many streams.
pub fn invite(uri: &str, from: &str, call_id: &str, streams: usize) -> String {
    let host = at(from).ip();
    let family = if host.is_ipv4() { "IP4" } else { "IP6" };
    let sdp = format!("v=0\r\no=m 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n")
        + &"m=audio 40000 RTP/AVP 0\r\n".repeat(streams);
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    let bracketed = from.rsplit_once(':').unwrap().0;
    request("INVITE", uri, from, "")
        .replace("Content-Length: 0\r\n\r\n", &length)
        .replace(&format!("Call-ID: c1@{bracketed}"), &format!("Call-ID: {call_id}"))
}
