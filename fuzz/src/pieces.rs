//! Good messages out of arbitrary pieces.
//!
//! Hosts, ports and parameters come from lists in which every rule of the mapping
//! has its example, and some from nowhere.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use arbitrary::Arbitrary;
use sipproxy64::sip::header::{Kind, Row, TABLE, Values};

/// Who sends, from where to where.
pub const SENDERS: &[(&str, &str)] = &[
    ("192.0.2.101:5060", "192.0.2.1:5060"),
    ("192.0.2.101:5099", "192.0.2.1:5060"),
    ("192.0.2.102:5060", "192.0.2.1:5060"),
    ("192.0.2.103:5062", "192.0.2.1:5060"),
    ("192.0.2.101:5060", "192.0.2.207:5060"),
    ("203.0.113.9:40123", "192.0.2.1:5060"),
    ("203.0.113.9:5060", "192.0.2.207:5060"),
    ("198.51.100.12:5060", "192.0.2.1:5060"),
    ("[2001:db8:9::55]:5062", "[2001:db8::101]:5060"),
    ("[2001:db8:9::55]:5060", "[2001:db8::1]:5060"),
    ("[2001:db8:9::55]:5060", "[2001:db8::103]:5070"),
    ("[2001:db8:456::12]:5060", "[2001:db8::101]:5060"),
    ("[2001:db8:456::12]:5060", "[2001:db8::1]:5060"),
    ("[2001:db8:6::7]:5060", "[2001:db8::1]:5060"),
    ("[2001:db8:6::7]:5060", "[2001:db8::102]:5060"),
];

const USERS: &[&str] =
    &["", "alice@", "bob@", "+15551234@", "a;phone-context=b@", "j%40s:pw@", "1_u.R~(!)&i'n+t$/c?,;;*:w@", "%00@"];

const HOSTS: &[&str] = &[
    "192.0.2.1",
    "192.0.2.101",
    "192.0.2.102",
    "192.0.2.103",
    "192.0.2.207",
    "198.51.100.12",
    "203.0.113.9",
    "10.0.0.5",
    "[2001:db8::1]",
    "[2001:db8::101]",
    "[2001:db8::102]",
    "[2001:db8::103]",
    "[2001:db8:6::7]",
    "[2001:db8:456::12]",
    "[2001:db8:9::55]",
    "[2001:DB8::101]",
    "[2001:0db8:0:0:0:0:0:1]",
    "[2001:db8:0:0:6::7]",
    "[2001:db8::192.0.2.1]",
    "[::ffff:192.0.2.101]",
    "[::FFFF:c000:0201]",
    "[fe80::1]",
    "0.0.0.0",
    "127.0.0.1",
    "example.com",
    "proxy.example",
    "xn--bcher-kva.example.",
    "localhost",
];

const PORTS: &[&str] =
    &["", "", "", ":5060", ":5062", ":5070", ":05060", ":005062", ":1", ":65535", ":5061", ":0005070"];

const URI_PARAMETERS: &[&str] = &[
    ";lr",
    ";transport=udp",
    ";transport=tls",
    ";user=phone",
    ";ob",
    ";gr=urn:uuid:1",
    ";x=%20",
    ";s64=host",
    ";s64-=10.0.0.5",
    ";s64=10.0.0.5",
    ";S64=2001-db8--7~5099",
    ";s64--=10.0.0.6~5060",
    ";s64",
    ";s64-",
    ";maddr=192.0.2.101",
    ";maddr=192.0.2.9",
    ";maddr=[2001:db8::101]",
    ";maddr=example.net",
    ";ttl=1",
    ";method=INVITE",
];

const URI_HEADERS: &[&str] = &["", "", "?Replaces=1%40192.0.2.9", "?Subject=x&Route=%3Csip:192.0.2.101%3E", "?a=b@c"];

const NAMES: &[&str] = &["", "\"Bob\" ", "Bob ", "\"B\\\"o,<sip:b@192.0.2.101>\" ", "\"\" ", "J\u{f6}rg ", " "];

const FIELD_PARAMETERS: &[&str] = &[
    ";q=0.7",
    ";expires=60",
    ";+sip.instance=\"<urn:uuid:1>\"",
    ";x=\"a,;b\"",
    " ; x = y",
    ";reg-id=1",
    ";party=calling",
    ";index=1.1",
];

const OTHERS: &[&str] = &[
    "Subject: 192.0.2.101\r\n",
    "s: <sip:a@192.0.2.101>\r\n",
    "X-Host: <sip:192.0.2.1:5060>, [2001:db8::101]\r\n",
    "Replaces: 1@192.0.2.101;to-tag=a;from-tag=b\r\n",
    "Authorization: Digest uri=\"sip:192.0.2.1\", response=\"0\"\r\n",
    "Warning: 399 192.0.2.101 \"x\"\r\n",
    "Supported:\r\n\t100rel,\r\n timer\r\n",
    "Allow: INVITE,ACK\r\n",
    "User-Agent: Phone/1\r\n",
    "Expires: 60\r\n",
    "Identity: eyJ;info=<https://192.0.2.101/c>;alg=ES256\r\n",
];

fn pick<T: Copy>(list: &[T], index: u8) -> T {
    list[usize::from(index) % list.len()]
}

/// A `sip:` URI, and some others.
#[derive(Arbitrary, Clone, Debug)]
pub struct Uri {
    scheme: u8,
    user: u8,
    host: Host,
    port: u8,
    parameters: [Option<u8>; 2],
    headers: u8,
}

#[derive(Arbitrary, Clone, Debug)]
enum Host {
    Listed(u8),
    AlsoListed(u8),
    V4(u32),
    V6(u128),
}

impl Uri {
    /// Its text. `bare`: with nothing that needs brackets.
    pub fn text(&self, bare: bool) -> String {
        let scheme = match self.scheme {
            0..200 => "sip:",
            200..230 => "sips:",
            230..240 => "SIP:",
            240..250 => return "tel:+15551234".into(),
            _ => return "urn:service:sos".into(),
        };
        let host = match self.host {
            Host::Listed(index) | Host::AlsoListed(index) => pick(HOSTS, index).into(),
            Host::V4(bits) => Ipv4Addr::from_bits(bits).to_string(),
            Host::V6(bits) => format!("[{}]", Ipv6Addr::from_bits(bits)),
        };
        let mut text = format!("{scheme}{}{host}{}", pick(USERS, self.user), pick(PORTS, self.port));
        if bare {
            return text.replace([';', '?', ','], "");
        }
        for parameter in self.parameters.iter().flatten() {
            let parameter = pick(URI_PARAMETERS, *parameter);
            // One that stands twice is nobody's to read.
            let name = parameter.split('=').next().unwrap_or_default().to_lowercase();
            if !text.to_lowercase().contains(&name) {
                text.push_str(parameter);
            }
        }
        text + pick(URI_HEADERS, self.headers)
    }
}

/// A value of Contact and its kin.
#[derive(Arbitrary, Clone, Debug)]
pub struct Address {
    name: u8,
    bare: bool,
    uri: Uri,
    parameters: [Option<u8>; 2],
}

impl Address {
    /// Its text, and that with brackets.
    pub fn texts(&self) -> [String; 2] {
        let parameters: String = self.parameters.iter().flatten().map(|&it| pick(FIELD_PARAMETERS, it)).collect();
        let bracketed = format!("{}<{}>{parameters}", pick(NAMES, self.name), self.uri.text(false));
        if self.bare {
            let uri = self.uri.text(true);
            [format!("{uri}{parameters}"), format!("<{uri}>{parameters}")]
        } else {
            [bracketed.trim().to_owned(), bracketed.trim().to_owned()]
        }
    }

    /// The URI in it.
    pub fn uri(&self) -> String {
        self.uri.text(self.bare)
    }
}

/// A header field.
#[derive(Arbitrary, Clone, Debug)]
pub struct Field {
    row: u8,
    style: u8,
    /// What stands in it, if it is one that is mapped.
    first: Address,
    more: Option<Address>,
}

impl Field {
    fn row(&self) -> Option<&'static Row> {
        let mapped: Vec<&Row> =
            TABLE.iter().filter(|row| matches!(row.kind, Kind::Uris | Kind::Contact | Kind::Bare)).collect();
        // A quarter is for others.
        (self.row < 192).then(|| mapped[usize::from(self.row) % mapped.len()])
    }

    /// Its name in the table, if it is mapped.
    pub fn name(&self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// Its values, if it is mapped.
    pub fn values(&self) -> Vec<&Address> {
        let Some(row) = self.row() else { return Vec::new() };
        let more = self.more.iter().filter(|_| row.values == Values::List);
        std::iter::once(&self.first).chain(more).collect()
    }

    /// Its line.
    pub fn line(&self) -> String {
        let Some(row) = self.row() else { return pick(OTHERS, self.style).into() };
        let name = match (row.compact, self.style % 4) {
            (Some(letter), 0) => char::from(letter).to_string(),
            (_, 1) => row.name.to_uppercase(),
            (_, 2) => format!("{} ", row.name.to_lowercase()),
            _ => row.name.into(),
        };
        let comma = [",", ", ", ",\r\n ", " ,\t"][usize::from(self.style / 4) % 4];
        let blank = ["", " ", "\r\n  ", "\t"][usize::from(self.style / 16) % 4];
        let values: Vec<String> = self.values().iter().map(|value| value.texts()[0].clone()).collect();
        format!("{name}:{blank}{}\r\n", values.join(comma))
    }
}

/// One `m=` line and what belongs to it.
#[derive(Arbitrary, Clone, Debug)]
pub struct Stream {
    port: u16,
    proto: u8,
    connection: Option<Host>,
    attributes: [Option<u8>; 3],
}

const PROTOS: &[&str] = &[
    "audio {} RTP/AVP 0 8",
    "video {} UDP/TLS/RTP/SAVPF 96",
    "image {} udptl t38",
    "message {} TCP/MSRP *",
    "application {} UDP/BFCP *",
    "audio {}/2 RTP/AVP 0",
];

const ATTRIBUTES: &[&str] = &[
    "a=sendrecv",
    "a=inactive",
    "a=rtcp-mux",
    "a=rtcp:40001",
    "a=rtcp:40009 IN IP4 192.0.2.9",
    "a=rtcp:9 IN IP6 ::",
    "a=mid:1",
    "a=candidate:1 1 UDP 1 192.0.2.9 40000 typ host",
    "a=ice-ufrag:x",
    "a=altc:1 IP6 2001:db8::9 40000",
    "a=fmtp:0 192.0.2.101",
    "a=bundle-only",
    "b=AS:64",
    "i=x",
];

/// A body.
#[derive(Arbitrary, Clone, Debug)]
pub enum Body {
    /// Of no interest.
    Text(Vec<u8>),
    /// A session description.
    Sdp {
        /// In a part of a multipart body.
        part: bool,
        /// Its `o=` and `c=` lines.
        host: u8,
        /// Whether there is a `c=` line of the session.
        no_connection: bool,
        /// Its streams.
        streams: Vec<Stream>,
    },
}

impl Body {
    /// Its media type and its text.
    pub fn text(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Text(text) => ("text/plain", text.clone()),
            Self::Sdp { part, host, no_connection, streams } => {
                let sdp = description(pick(HOSTS, *host), *no_connection, streams);
                if !part {
                    return ("application/sdp", sdp.into_bytes());
                }
                let parts = format!(
                    "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b--\r\n"
                );
                ("multipart/mixed; boundary=b", parts.into_bytes())
            }
        }
    }

    /// Whether nothing in it is rewritten.
    pub fn is_left(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// How many lines of it may grow.
    pub fn lines(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Sdp { streams, .. } => 4 + 4 * streams.len(),
        }
    }
}

fn description(host: &str, no_connection: bool, streams: &[Stream]) -> String {
    let connection = |host: &str| {
        let plain = host.trim_matches(['[', ']']);
        format!("IN {} {plain}\r\n", if plain.contains(':') { "IP6" } else { "IP4" })
    };
    let mut sdp = format!("v=0\r\no=- 1 1 {}s=-\r\n", connection(host));
    if !no_connection {
        sdp += &format!("c={}", connection(host));
    }
    sdp += "t=0 0\r\n";
    for stream in streams.iter().take(12) {
        sdp += &format!("m={}\r\n", pick(PROTOS, stream.proto).replace("{}", &stream.port.to_string()));
        let own = match &stream.connection {
            Some(Host::Listed(index) | Host::AlsoListed(index)) => Some(pick(HOSTS, *index).to_owned()),
            Some(Host::V4(bits)) => Some(Ipv4Addr::from_bits(*bits).to_string()),
            Some(Host::V6(bits)) => Some(Ipv6Addr::from_bits(*bits).to_string()),
            None => no_connection.then(|| host.to_owned()),
        };
        own.into_iter().for_each(|own| sdp += &format!("c={}", connection(&own)));
        stream.attributes.iter().flatten().for_each(|it| sdp += &format!("{}\r\n", pick(ATTRIBUTES, *it)));
    }
    sdp
}

/// A request.
#[derive(Arbitrary, Clone, Debug)]
pub struct Request {
    sender: u8,
    method: u8,
    uri: Uri,
    vias: [u8; 2],
    rport: bool,
    max_forwards: Option<u8>,
    from: Address,
    to: Address,
    in_dialog: bool,
    /// The header fields that nothing depends on.
    pub fields: Vec<Field>,
    /// The body.
    pub body: Body,
    /// Whether Content-Length says where the body ends, with something behind it.
    pub length: bool,
}

const METHODS: &[&str] = &[
    "INVITE",
    "INVITE",
    "BYE",
    "REGISTER",
    "MESSAGE",
    "REFER",
    "UPDATE",
    "SUBSCRIBE",
    "NOTIFY",
    "OPTIONS",
    "ACK",
    "X",
];

impl Request {
    /// Who sends it, and the socket of ours that it comes to.
    pub fn endpoints(&self) -> (SocketAddr, SocketAddr) {
        let (remote, local) = pick(SENDERS, self.sender);
        (remote.parse().unwrap(), local.parse().unwrap())
    }

    /// Its method.
    pub fn method(&self) -> &'static str {
        pick(METHODS, self.method)
    }

    /// From and To, tags apart.
    pub fn parties(&self) -> [&Address; 2] {
        [&self.from, &self.to]
    }

    /// What stands behind the parties.
    pub fn tags(&self) -> [&'static str; 2] {
        [";tag=caller", if self.in_dialog { ";tag=callee" } else { "" }]
    }

    /// Its bytes, with `lines` in the place of its fields.
    pub fn bytes(&self, lines: &str) -> Vec<u8> {
        let (remote, _) = self.endpoints();
        let [from, to] = self.parties().map(|party| party.texts()[0].clone());
        let [caller, callee] = self.tags();
        let method = self.method();
        let rport = if self.rport { ";rport" } else { "" };
        let mut out = format!("{method} {} SIP/2.0\r\n", self.uri.text(false));
        out += &match self.vias[0] % 4 {
            0 => format!("Via: SIP/2.0/UDP {remote};branch=z9hG4bKx{rport}\r\n"),
            1 => format!("v:SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKx{rport}\r\n"),
            2 => format!("Via: SIP / 2.0 / UDP phone.example:5062 ;BRANCH=z9hG4bKx;received=192.0.2.9{rport}\r\n"),
            _ => format!("Via: SIP/2.0/UDP {remote}{rport}, SIP/2.0/TCP [2001:db8:7::7];branch=y\r\n"),
        };
        out += ["", "Via: SIP/2.0/TLS h.example;x=\",\"\r\n", "v: SIP/2.0/UDP 192.0.2.101\r\n"]
            [usize::from(self.vias[1]) % 3];
        if let Some(hops) = self.max_forwards {
            out += &format!("Max-Forwards: {hops}\r\n");
        }
        out += &format!("From: {from}{caller}\r\nt:{to}{callee}\r\nCall-ID: c1@192.0.2.101\r\nCSeq: 1 {method}\r\n");
        out += lines;
        let (kind, body) = self.body.text();
        out += &format!("Content-Type: {kind}\r\n");
        let behind: &[u8] = if self.length { b"behind" } else { b"" };
        if self.length {
            out += &format!("l : {}\r\n", body.len());
        }
        [out.as_bytes(), b"\r\n", &body, behind].concat()
    }

    /// Its fields.
    pub fn lines(&self) -> String {
        lines(&self.fields)
    }
}

/// The lines of fields; of those of which a message may have no more than one, the first.
pub fn lines(fields: &[Field]) -> String {
    kept(fields).map(Field::line).collect()
}

/// The fields whose lines these are.
pub fn kept(fields: &[Field]) -> impl Iterator<Item = &Field> {
    let single = |field: &Field| matches!(field.name(), Some("Refer-To" | "Referred-By" | "Reply-To"));
    fields
        .iter()
        .take(8)
        .enumerate()
        .filter(move |(index, field)| {
            !single(field) || fields.iter().take(*index).all(|earlier| earlier.name() != field.name())
        })
        .map(|(_, field)| field)
}
