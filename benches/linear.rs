//! What a byte costs as messages grow: the work on any message must be linear in
//! its length, or strangers could keep us busy with a few large ones.
//!
//! `cargo bench --bench linear` prints nanoseconds per byte for each shape at
//! growing sizes, and fails where the largest costs many times the smallest: of what
//! the proxy does, and of making a message fit for a log and for a recording.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use sipproxy64::config::{Config, Key, Map, Uplink, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Standalone};
use sipproxy64::recording::anonymous::Anonymiser;
use sipproxy64::recording::seals::{Party, reseal};
use sipproxy64::redact::redacted;

/// How many bytes a message has, about.
const SIZES: [usize; 4] = [8_000, 16_000, 32_000, 64_000];

/// A message is taken for linear if a byte of the largest one costs no more than
/// this many times a byte of the smallest: eight times as large, it would be
/// eight if the work were quadratic. The rest is for caches and noise.
const MOST: f64 = 3.0;

fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn proxy() -> Standalone {
    let mut config = Config::new(endpoint("192.0.2.1:5060"), endpoint("[2001:db8::1]:5060"));
    let host = UplinkHost::Address("2001:db8:456::12".parse().unwrap());
    config.uplinks[Family::V6] = Some(Uplink { host, port: 5060, written: "[2001:db8:456::12]".to_owned() });
    config.maps.push(Map { phone: endpoint("192.0.2.101:5060"), fake: endpoint("[2001:db8::101]:5060") });
    config.check().unwrap();
    Standalone::new(Arc::new(config))
}

/// A kind of message: a piece that is repeated up to the size, and what is around it.
struct Shape {
    name: &'static str,
    make: Box<dyn Fn(usize) -> String>,
}

fn request(uri: &str, vias: &str, fields: &str, body: &str) -> String {
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK1{vias}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.101>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
         {fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn fill(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}

fn shape(name: &'static str, make: impl Fn(usize) -> String + 'static) -> Shape {
    Shape { name, make: Box::new(make) }
}

/// Header fields made of a head, a repeated piece, and a tail.
fn field(name: &'static str, head: &'static str, piece: &'static str, tail: &'static str) -> Shape {
    shape(name, move |size| request("sip:b@example.com", "", &format!("{head}{}{tail}\r\n", fill(piece, size)), ""))
}

fn description(name: &'static str, head: &'static str, piece: &'static str) -> Shape {
    shape(name, move |size| {
        let sdp =
            format!("v=0\r\no=a 1 1 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\n{head}{}", fill(piece, size));
        request("sip:b@example.com", "", "Content-Type: application/sdp\r\n", &sdp)
    })
}

fn multipart(name: &'static str, head: &'static str, piece: &'static str) -> Shape {
    shape(name, move |size| {
        let body = format!("{head}{}", fill(piece, size));
        request("sip:b@example.com", "", "Content-Type: multipart/mixed;boundary=\"b\"\r\n", &body)
    })
}

fn shapes() -> Vec<Shape> {
    vec![
        field("one long field", "Subject: ", "x", ""),
        field("folds", "Subject: x", "\r\n x", ""),
        field("unknown fields", "a: b\r\n", "a: b\r\n", "a: b"),
        field("lines without a colon", "", "x\r\n", "x"),
        field("bare CRs", "Subject: ", "\r", ""),
        field("Via lines", "", "Via: SIP/2.0/UDP a\r\n", "Via: SIP/2.0/UDP a"),
        shape("Via list", |size| request("sip:b@example.com", &fill(", SIP/2.0/UDP a", size), "", "")),
        shape("Via parameters", |size| request("sip:b@example.com", &fill(";a=\"b\"", size), "", "")),
        shape("Via semicolons", |size| request("sip:b@example.com", &fill(";", size), "", "")),
        field("Routes of ours", "Route: <sip:192.0.2.1;lr>", ", <sip:192.0.2.1;lr>", ""),
        field("Routes of others", "Route: <sip:[2001:db8::9];lr>", ", <sip:[2001:db8::9];lr>", ""),
        field(
            "Route lines",
            "Route: <sip:192.0.2.1;lr>\r\n",
            "Route: <sip:192.0.2.1;lr>\r\n",
            "Route: <sip:192.0.2.1;lr>",
        ),
        field("Record-Routes", "Record-Route: <sip:a;lr>", ", <sip:a;lr>", ""),
        field("Contacts", "Contact: <sip:a@192.0.2.9>", ", <sip:a@192.0.2.9>", ""),
        field("bare Contacts", "Contact: sip:a@192.0.2.9", ",sip:a@192.0.2.9", ""),
        field("Contacts of phones", "Contact: <sip:a@192.0.2.101>", ",<sip:a@192.0.2.101>", ""),
        field("commas", "Alert-Info: <sip:a@192.0.2.9>", ",", ""),
        field("URI parameters", "Contact: <sip:a@192.0.2.9", ";a=b", ">"),
        field("URI semicolons", "Contact: <sip:a@192.0.2.9", ";", ">"),
        field("tokens", "Contact: <sip:a@192.0.2.1", ";s64=1.2.3.4", ">"),
        field("renamed tokens", "Contact: <sip:a@192.0.2.9", ";s64-=1.2.3.4", ">"),
        field("Contact parameters", "Contact: <sip:a@192.0.2.9>", ";a=\"sip:b@192.0.2.9\"", ""),
        field("Contact quotes", "Contact: <sip:a@192.0.2.9>", ";a=\"", ";a=x\""),
        field("open quotes", "Contact: ", "\"\\\"", ""),
        field("backslashes", "Contact: \"", "\\\\", "\" <sip:a@192.0.2.9>"),
        field("quotes", "Contact: ", "\"\"", "<sip:a@192.0.2.9>"),
        field("open brackets", "Alert-Info: ", "<", ""),
        field("nested comments", "Server: ", "(", ""),
        field("comments and escapes", "Warning: 399 a ", "(\\)\"\\\"", ""),
        field("ats", "Contact: <sip:", "a@", "b>"),
        field("schemes", "Contact: <sip:a@192.0.2.9>;x=", "sip:", ""),
        field("question marks", "Contact: <sip:192.0.2.9", "?a@", ">"),
        field("colons", "Contact: <sip:", ":", ">"),
        field("blanks", "Contact: <sip:a@192.0.2.9>", " ", ";x"),
        field("Proxy-Require", "Proxy-Require: a", ",a", ""),
        field("refused with Vias", "Max-Breadth: 1\r\nProxy-Require: a\r\nVia: SIP/2.0/UDP a", ", SIP/2.0/UDP a", ""),
        shape("Request-URI", |size| request(&format!("sip:{}@example.com", fill("a", size)), "", "", "")),
        shape("Request-URI parameters", |size| request(&format!("sip:b@example.com{}", fill(";a", size)), "", "", "")),
        shape("blank lines in front", |size| fill("\r\n", size) + &request("sip:b@example.com", "", "", "")),
        description("m= lines", "", "m=audio 5000 RTP/AVP 0\r\n"),
        description("m= lines without port", "", "m=x 0 RTP/AVP 0\r\n"),
        description("attributes", "m=audio 5000 RTP/AVP 0\r\n", "a=x:y\r\n"),
        description("candidates", "m=audio 5000 RTP/AVP 0\r\n", "a=candidate:1 1 UDP 1 192.0.2.9 5000 typ host\r\n"),
        description("session attributes", "", "a=x\r\n"),
        shape("session attributes and m= lines", |size| {
            let (session, media) =
                (fill("a=x\r\n", size / 2), fill("m=x 5 RTP/AVP 0\r\nc=IN IP4 192.0.2.9\r\n", size / 2));
            request("sip:b@example.com", "", "Content-Type: application/sdp\r\n", &format!("v=0\r\n{session}{media}"))
        }),
        description("c= lines", "m=audio 5000 RTP/AVP 0\r\n", "c=IN IP4 192.0.2.9\r\n"),
        description("formats", "m=audio 5000 RTP/AVP", " 0"),
        description("option tags", "m=audio 5000 RTP/AVP 0\r\na=csup:x", ",ccap-v0,x"),
        description("configurations", "m=audio 5000 RTP/AVP 0\r\na=pcfg:1", " c=1 t=1"),
        description("blank lines", "", "\r\n"),
        multipart("boundaries", "", "--b\r\n"),
        multipart("parts", "", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"),
        multipart("almost boundaries", "--b\r\n\r\n", "--bb\r\n"),
        multipart("part headers", "--b\r\n", "a: b\r\n"),
        multipart("folded part header", "--b\r\nContent-Type: application/sdp", "\r\n ;x"),
        multipart("descriptions", "", "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=x 0 RTP/AVP 0\r\n"),
        multipart(
            "nested parts",
            "--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n",
            "--c\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n",
        ),
        multipart("nested boundaries", "", "--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\n\r\n"),
        shape("media type parameters", |size| {
            let fields = format!("Content-Type: multipart/mixed{};boundary=b\r\n", fill(";a=b", size));
            request("sip:b@example.com", "", &fields, "--b\r\n")
        }),
    ]
}

/// Nothing hangs on it.
const KEY: Key = Key([1; 16]);

/// What is done with a message.
#[derive(Clone, Copy)]
enum Work {
    Handled,
    Blanked,
    Recorded,
}

impl Work {
    const ALL: [(&'static str, Self); 3] =
        [("handled", Self::Handled), ("blanked for a log", Self::Blanked), ("recorded", Self::Recorded)];

    /// It, ready to be done again and again; it is told what time it is.
    fn on(self, message: &[u8]) -> Box<dyn FnMut(Duration) + '_> {
        let remote = endpoint("192.0.2.101:5060");
        match self {
            Self::Handled => {
                let (mut proxy, mut out) = (proxy(), Vec::with_capacity(1 << 20));
                let datagram = Datagram { local: endpoint("192.0.2.1:5060"), remote, bytes: message };
                Box::new(move |now| {
                    // Whatever becomes of it, the work is done.
                    let _ = black_box(proxy.handle(now, black_box(&datagram), &mut out));
                    while proxy.next_command().is_some() {}
                })
            }
            Self::Blanked => Box::new(|_| {
                black_box(redacted(black_box(message)));
            }),
            Self::Recorded => {
                let mut anonymiser = Anonymiser::new(KEY);
                let party = Party { key: KEY, peer: remote.ip() };
                Box::new(move |_| {
                    let mut copy = anonymiser.message(black_box(message));
                    reseal(message, &party, &mut copy, &party);
                    black_box(copy);
                })
            }
        }
    }
}

/// Nanoseconds of this process for one message, the least of a few tries: time
/// that others had the processor does not count.
fn cost(mut work: impl FnMut(Duration)) -> f64 {
    let tries = (0..10).map(|second| {
        let (begun, mut count) = (processor_time(), 0u32);
        loop {
            work(Duration::from_secs(second));
            count += 1;
            let taken = processor_time() - begun;
            if taken >= LEAST {
                return taken.as_secs_f64() * 1e9 / f64::from(count);
            }
        }
    });
    tries.fold(f64::MAX, f64::min)
}

/// How long one try takes at the least.
const LEAST: Duration = Duration::from_millis(2);

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap()))
        .sum()
}

fn main() {
    let mut steep = Vec::new();
    for (done, work) in Work::ALL {
        println!("{done:<26}{}", SIZES.map(|size| format!("{size:>9}")).concat());
        for Shape { name, make } in shapes() {
            let costs = SIZES.map(|size| {
                // A datagram has no room for more.
                let message = make(size.min(64_500)).into_bytes();
                cost(work.on(&message)) / message.len() as f64
            });
            println!("{name:<26}{}", costs.map(|cost| format!("{cost:>9.2}")).concat());
            let [smallest, .., largest] = costs;
            // What costs next to nothing is noise.
            if largest > smallest * MOST && largest > 2.0 {
                steep.push(format!("{name}, {done}"));
            }
        }
    }
    if !steep.is_empty() {
        eprintln!("more than linear: {}", steep.join("; "));
        std::process::exit(1);
    }
}
