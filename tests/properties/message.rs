//! Arbitrary requests, the answers to them, and the way of both through the proxy.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sipproxy64::config::Config;
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Outcome, Reason, Standalone};

use crate::checker::naive::{self, Field};
use crate::checker::{self, Passage};
use crate::settings::{World, config, known, ours, senders, side};
use crate::uri::{Draft, draft};

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct RequestDraft {
    pub(crate) method: &'static str,
    pub(crate) target: TargetDraft,
    via: ViaDraft,
    from: ValueDraft,
    to: ValueDraft,
    others: Vec<(&'static str, Vec<ValueDraft>)>,
    left: Vec<&'static str>,
    max_forwards: bool,
    body: &'static str,
}

/// What stands in the Request-Line.
#[derive(Clone, Debug)]
pub(crate) enum TargetDraft {
    Name,
    Us,
    Known(Index),
    Neighbour(Index),
    Any(Draft),
}

#[derive(Clone, Debug)]
struct ViaDraft {
    sent_by: u8,
    rport: &'static str,
    others: &'static str,
    below: bool,
}

/// One value of a header field.
#[derive(Clone, Debug)]
struct ValueDraft {
    display: &'static str,
    uri: Draft,
    bracketed: bool,
    parameters: &'static str,
}

fn value() -> impl Strategy<Value = ValueDraft> {
    let display = select(vec![
        "",
        "",
        "Bob ",
        "\"Bob, <sip:x@192.0.2.101>;\" ",
        "\"\\\"Bob\\\\\" ",
        "\r\n ",
        "\"sip:a@[2001:db8::1]\"\t",
        "a b\r\n\t c ",
    ]);
    let parameters = select(vec![
        "",
        ";tag=1",
        ";a=\"sip:b@192.0.2.101\"",
        " ; s64=10.0.0.1",
        ";q=0.5;expires=60",
        "\r\n ;x=\"<y>\"",
        ";a=\"x;y,z\"",
    ]);
    (display, draft(), prop::bool::weighted(0.8), parameters)
        .prop_map(|(display, uri, bracketed, parameters)| ValueDraft { display, uri, bracketed, parameters })
}

/// Header fields that hold URIs: name, and whether a list.
const NAMES: [(&str, bool); 20] = [
    ("Contact", true),
    ("Contact", true),
    ("m", true),
    ("Reply-To", false),
    ("Refer-To", false),
    ("r", false),
    ("Referred-By", false),
    ("P-Asserted-Identity", true),
    ("P-Preferred-Identity", true),
    ("Remote-Party-ID", true),
    ("Diversion", true),
    ("HISTORY-INFO", true),
    ("Call-Info", true),
    ("Alert-Info", true),
    ("P-Charge-Info", false),
    ("P-Called-Party-ID", false),
    ("Geolocation", true),
    ("Policy-Contact", true),
    ("Also", true),
    ("P-Associated-URI", true),
];

/// Header fields that are none of our business, or none that we may touch.
const LEFT: [&str; 14] = [
    "Replaces: 1@192.0.2.101;to-tag=1;from-tag=2",
    "Authorization: Digest uri=\"sip:192.0.2.101\", nonce=\"<sip:[2001:db8::101]>\"",
    "X-Other : <sip:a@192.0.2.1>",
    "Subject:",
    "s:  sip:a@[2001:db8::1]  ",
    "Warning: 399 192.0.2.1 \"x\"",
    "Supported: a,\r\n\tb",
    "Record-Route: <sip:203.0.113.3;lr>, <sip:[2001:db8:9::3];lr>",
    "In-Reply-To: a@192.0.2.101",
    "Path: <sip:203.0.113.3;lr>",
    "User-Agent: Phone/1 (192.0.2.101)",
    "Join: a@192.0.2.101;from-tag=1;to-tag=2",
    "Service-Route: <sip:192.0.2.101;lr>",
    "P-RTP-Stat: 192.0.2.101",
];

const SDP4: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtcp:4001 IN IP4 192.0.2.101\r\na=ice-ufrag:x\r\n";
const SDP6: &str = "v=0\no=- 1 1 IN IP6 2001:db8:6::7\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8:6::7\nm=video 4002 RTP/AVP 0\nc=IN IP4 203.0.113.9\n";

fn via() -> impl Strategy<Value = ViaDraft> {
    let rport = select(vec![
        "",
        ";rport",
        ";RPORT",
        ";rport=9",
        ";received=203.0.113.77",
        " ;\r\n rport ;received=[::1]",
        ";rport=x;received=y",
    ]);
    let others = select(vec![
        ";branch=z9hG4bKx1",
        ";branch=z9hG4bKx1;alias",
        ";branch=1",
        "",
        ";maddr=203.0.113.66;branch=z9hG4bK-2",
    ]);
    (0u8..6, rport, others, any::<bool>()).prop_map(|(sent_by, rport, others, below)| ViaDraft {
        sent_by,
        rport,
        others,
        below,
    })
}

pub(crate) fn target() -> impl Strategy<Value = TargetDraft> {
    prop_oneof![
        2 => Just(TargetDraft::Name),
        2 => Just(TargetDraft::Us),
        2 => any::<Index>().prop_map(TargetDraft::Known),
        1 => any::<Index>().prop_map(TargetDraft::Neighbour),
        1 => draft().prop_map(TargetDraft::Any),
    ]
}

/// A request with anything in it that a good one may have.
pub(crate) fn request() -> impl Strategy<Value = RequestDraft> {
    let methods = vec!["OPTIONS", "REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE", "BYE", "PUBLISH", "FOO"];
    let name = select(NAMES.to_vec());
    let other = (name, prop::collection::vec(value(), 1..4)).prop_map(|((name, list), mut values)| {
        values.truncate(if list { 3 } else { 1 });
        (name, values)
    });
    let fields = (prop::collection::vec(other, 0..4), prop::collection::vec(select(LEFT.to_vec()), 0..4));
    let body = select(vec!["", "", "x", SDP4, SDP6]);
    (select(methods), target(), via(), value(), value(), fields, any::<bool>(), body).prop_map(
        |(method, target, via, from, to, (others, left), max_forwards, body)| RequestDraft {
            method,
            target,
            via,
            from,
            to,
            others,
            left,
            max_forwards,
            body,
        },
    )
}

impl ValueDraft {
    fn write(&self, config: &Config) -> String {
        let uri = self.uri.write(config);
        // What parts values may only stand in brackets.
        if self.bracketed || uri.contains([';', ',', '?']) {
            format!("{}<{uri}>{}", self.display, self.parameters)
        } else {
            format!("{uri}{}", self.parameters)
        }
    }
}

/// An endpoint as a sent-by or the like: without the port where it is 5060.
fn short(endpoint: SocketAddr) -> String {
    let text = endpoint.to_string();
    text.strip_suffix(":5060").map_or(text.clone(), str::to_owned)
}

impl TargetDraft {
    pub(crate) fn write(&self, config: &Config, local: SocketAddr) -> String {
        let side = Family::of(local.ip());
        match self {
            Self::Name => "sip:alice@provider.example".to_owned(),
            Self::Us => format!("sip:alice@{}", short(local)),
            Self::Known(index) => at_one_of(&known(config, side.other()), index, local),
            Self::Neighbour(index) => at_one_of(&known(config, side), index, local),
            Self::Any(draft) => draft.write(config),
        }
    }
}

fn at_one_of(endpoints: &[SocketAddr], index: &Index, otherwise: SocketAddr) -> String {
    let endpoint = if endpoints.is_empty() { otherwise } else { *index.get(endpoints) };
    format!("sip:alice@{}", short(endpoint))
}

impl ViaDraft {
    fn write(&self, remote: SocketAddr) -> String {
        let sent_by = match self.sent_by {
            0 | 1 => short(remote),
            2 => remote.to_string(),
            3 => "client.example : 5062".to_owned(),
            4 => "10.0.0.5:5071".to_owned(),
            _ => "[2001:DB8:9:0::5]".to_owned(),
        };
        let below = if self.below { "Via: SIP/2.0/TCP other.example;branch=z9hG4bKx0\r\n" } else { "" };
        format!("Via: SIP/2.0/UDP {sent_by}{}{}\r\n{below}", self.rport, self.others)
    }
}

/// A request as it is sent, and by whom.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    /// Somebody spoilt it on the way.
    pub(crate) damaged: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ">> udp {} -> {}\n{}", self.remote, self.local, naive::latin1(&self.bytes))
    }
}

impl RequestDraft {
    pub(crate) fn write(&self, config: &Config, remote: SocketAddr, local: SocketAddr) -> Sent {
        let uri = self.target.write(config, local);
        let mut text = format!("{} {uri} SIP/2.0\r\n{}", self.method, self.via.write(remote));
        if self.max_forwards {
            text += "Max-Forwards: 70\r\n";
        }
        text += &format!("From: {}\r\nt: {}\r\n", self.from.write(config), self.to.write(config));
        for (name, values) in &self.others {
            // One that may stand once only.
            if !["Refer-To", "r"].contains(name) || !text.contains("\r\nRefer-To:") && !text.contains("\r\nr:") {
                let values: Vec<String> = values.iter().map(|value| value.write(config)).collect();
                text += &format!("{name}: {}\r\n", values.join(" ,"));
            }
        }
        for field in &self.left {
            text += &format!("{field}\r\n");
        }
        text += &format!("Call-ID: c1@192.0.2.101\r\nCSeq: 1 {}\r\n", self.method);
        if self.body.starts_with('v') {
            text += "Content-Type: application/sdp\r\n";
        }
        text += &format!("l: {}\r\n\r\n{}", self.body.len(), self.body);
        let once: Vec<&str> = text.split("\r\nReply-To:").collect();
        let text = once.join("\r\nX-Reply:").replacen("\r\nX-Reply:", "\r\nReply-To:", 1);
        let once: Vec<&str> = text.split("\r\nReferred-By:").collect();
        let text = once.join("\r\nX-By:").replacen("\r\nX-By:", "\r\nReferred-By:", 1);
        let length_right = text.chars().map(|letter| letter as u8).collect();
        Sent { remote, local, bytes: length_right, damaged: false }
    }
}

/// A configuration, a sender, a socket of ours, and a request from one to the other.
pub(crate) fn scene() -> impl Strategy<Value = (World, Sent)> {
    (config(), side(), any::<(Index, Index)>(), request()).prop_map(|(config, side, (remote, local), request)| {
        let remote = *remote.get(&senders(&config, side));
        let local = *local.get(&ours(&config, side));
        let sent = request.write(&config, remote, local);
        (config, sent)
    })
}

/// One pass of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
}

/// How the way of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It left.
    Forwarded,
    /// It was answered.
    Answered(Reason),
    Dropped(Reason),
}

/// Sends a message and follows it through all passes. Every pass is shown to the
/// differential checker.
pub(crate) fn send(config: &Config, proxy: &mut Standalone, sent: &Sent) -> Result<(Vec<Pass>, End), TestCaseError> {
    let (mut remote, mut local, mut input) = (sent.remote, sent.local, sent.bytes.clone());
    let (mut passes, mut answered) = (Vec::new(), None);
    loop {
        let mut output = Vec::new();
        let datagram = Datagram { local, remote, bytes: &input };
        let outcome = proxy.handle(Duration::ZERO, &datagram, &mut output);
        while proxy.next_command().is_some() {}
        let (from, to, refused) = match outcome {
            Outcome::Drop(reason) => return Ok((passes, End::Dropped(reason))),
            Outcome::Send { from, to, refused } => (from, to, refused),
        };
        if let Some(reason) = refused {
            prop_assert!(from == local, "an answer from {from} to what came in on {local}");
            answered = Some(reason);
        } else {
            let passage =
                Passage { config, remote, local, from, to, input: &input, output: &output, damaged: sent.damaged };
            checker::check(&passage).map_err(TestCaseError::fail)?;
        }
        passes.push(Pass { remote, local, from, to, input: input.clone(), output: output.clone() });
        if !proxy.is_ours(to) {
            return Ok((passes, answered.map_or(End::Forwarded, End::Answered)));
        }
        prop_assert!(passes.len() < 8, "{} passes", passes.len());
        (remote, local, input) = (from, to, output);
    }
}

/// How a peer may give back the Vias that it got.
pub(crate) fn respelling() -> impl Strategy<Value = u8> {
    0u8..6
}

/// The answer of a peer to a request that it got: Vias in another spelling, all
/// other header fields as they came.
pub(crate) fn answer(request: &[u8], code: &str, respelling: u8) -> Vec<u8> {
    let request = naive::parse(request).unwrap();
    let mut text = format!("SIP/2.0 {code} Reason\r\n");
    let vias: Vec<String> = request.all("via").map(|via| respelled(via, respelling)).collect();
    text += &match respelling {
        1 => format!("v: {}\r\n", vias.join(",")),
        _ => vias.iter().map(|via| format!("Via:{via}\r\n")).collect::<String>(),
    };
    let echoed = |field: &&Field| {
        !["via", "content-length", "content-type", "max-forwards", "route"].contains(&field.name.as_str())
    };
    for field in request.fields.iter().filter(echoed) {
        text += &format!("{}\r\n", field.raw);
    }
    text += "Content-Length: 0\r\n\r\n";
    text.chars().map(|letter| letter as u8).collect()
}

fn respelled(via: &Field, respelling: u8) -> String {
    let value = via.value().replace("\r\n", "");
    let (sent_by, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let mut words = sent_by.split_whitespace();
    let (protocol, host) = (words.next().unwrap(), words.collect::<String>());
    let mut parameters: Vec<String> =
        parameters.split(';').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    match respelling {
        2 => {
            parameters.reverse();
            format!(" {} {host} ; {}", protocol.replace('/', " / "), parameters.join(" ; "))
        }
        3 => {
            let with_port = if host.ends_with(']') || !host.contains(':') { format!("{host}:5060") } else { host };
            format!(" {protocol} {with_port}{}", parameters.iter().map(|one| format!(";{one}")).collect::<String>())
        }
        4 => {
            // IPv6 in brackets, and long.
            let host = host.replace("2001:db8::1]", "2001:0DB8:0:0::1]").to_uppercase();
            for parameter in &mut parameters {
                if let Some(address) = parameter.strip_prefix("received=").filter(|address| address.contains(':')) {
                    *parameter = format!("Received=[{}]", address.trim_matches(['[', ']']));
                }
            }
            let host = host.strip_suffix(":5060").unwrap_or(&host).to_owned();
            format!(" {protocol} {host};{}", parameters.join(";"))
        }
        _ => format!(" {}", via.value()),
    }
}

/// The values of a header field with `<>` left out, which may be added.
pub(crate) fn unbracketed(field: &Field) -> String {
    field.value().replace(['<', '>'], "")
}
