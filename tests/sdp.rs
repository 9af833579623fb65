//! Properties of reading and rewriting session descriptions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sipproxy64::address::sdp_connection;
use sipproxy64::edit::Edits;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::rewrite::session;
use sipproxy64::scan::Span;
use sipproxy64::sdp::description::{Description, Room};
use sipproxy64::sip::multipart;
use sipproxy64::streams::{Grant, Transport};

const LISTEN4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const LISTEN6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

fn parse<'a>(text: &'a [u8], room: &'a mut Room) -> Option<Description<'a>> {
    Description::parse(text, Span::new(0, text.len()), room).ok()
}

fn rewritten(description: &Description<'_>, grants: &[Grant], arrival: Family) -> Vec<u8> {
    let listen = PerFamily::new(LISTEN4, LISTEN6);
    let mut edits = Edits::default();
    session::edits(description, grants, arrival, &sdp_connection(listen[arrival.other()]), &mut edits);
    let mut out = Vec::new();
    edits.apply(description.message(), &mut out);
    out
}

fn address() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "IP6 2001:db8:5::5",
        "IP6 [2001:db8:5::5]",
        "ip6 2001:DB8:5::6",
        "IP6 ::",
        "IP6 ::ffff:198.51.100.7",
        "IP6 fe80::5%eth0",
        "IP4 198.51.100.5",
        "IP4 0.0.0.0",
        "IP4 host.example.com",
        "IP6 ff15::5/2",
        "IP4 233.252.0.1/127/2",
    ])
}

fn attribute() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "a=rtcp:5001",
        "a=rtcp:x",
        "a=rtcp-mux",
        "a=sendonly",
        "a=ice-ufrag:x",
        "a=ice-lite",
        "a=group:BUNDLE a",
        "a=csup:ccap-v0,cap-v0,ccap-v0",
        "a=creq:ccap-v0,ccap-v0",
        "a=pcfg:1 c=1 t=1 c=2",
        "a=acap:1 candidate:1 1 UDP 1 198.51.100.5 1 typ host",
        "a=bundle-only",
        "a=mid:a",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "i=x",
        "",
    ]);
    prop_oneof![
        plain.prop_map(str::to_owned),
        address().prop_map(|address| format!("a=rtcp:5007 IN {address}")),
        address().prop_map(|address| format!("a=candidate:1 1 UDP 1 {} 5000 typ host", &address[4..])),
        address().prop_map(|address| format!("c=IN {address}")),
        address().prop_map(|address| format!("o=- 1 1 IN {address}")),
    ]
}

fn media() -> impl Strategy<Value = String> {
    let port = prop::sample::select(vec!["0", "9", "5000", "65535", "5000/2"]);
    let proto = prop::sample::select(vec!["RTP/AVP 0", "udptl t38", "TCP/BFCP *", "sip null"]);
    (port, proto, prop::collection::vec(attribute(), 0..6)).prop_map(|(port, proto, attributes)| {
        attributes.iter().fold(format!("m=audio {port} {proto}"), |text, line| text + "\n" + line)
    })
}

/// Descriptions as they may come, with any line end and perhaps none at the end.
fn description() -> impl Strategy<Value = String> {
    let session = prop::collection::vec(attribute(), 0..6);
    let end = prop::sample::select(vec!["\r\n", "\n", "\r"]);
    (address(), session, prop::collection::vec(media(), 0..5), end, any::<bool>()).prop_map(
        |(address, session, media, end, ended)| {
            let mut lines = vec![format!("v=0\no=- 1 1 IN {address}\ns=-")];
            lines.extend(session);
            lines.extend(media);
            let text = lines.join("\n") + if ended { "\n" } else { "" };
            text.replace('\n', end)
        },
    )
}

fn grant() -> impl Strategy<Value = Grant> {
    prop_oneof![
        (8192u16..32767).prop_map(|half| Grant::Relayed { port: half * 2 }),
        Just(Grant::Untouched),
        Just(Grant::Refused)
    ]
}

/// The lines of a description that may name an address which media goes to.
fn address_lines(text: &str) -> impl Iterator<Item = &str> {
    const KINDS: [&str; 5] = ["c=", "o=", "a=rtcp:", "a=candidate", "a=acap"];
    text.split(['\r', '\n']).filter(|line| KINDS.iter().any(|kind| line.starts_with(kind)))
}

/// The literal addresses of a family in a line.
fn literals(line: &str, family: Family) -> Vec<IpAddr> {
    let fields = line.split([' ', '/', '[', ']', '%']);
    fields
        .filter_map(|field| field.parse().ok())
        .filter(|&address: &IpAddr| [address, address.to_canonical()].map(Family::of).contains(&family))
        .collect()
}

proptest! {
    #[test]
    fn nothing_that_arrives_panics(text in prop::collection::vec(any::<u8>(), 0..400), grants in prop::collection::vec(grant(), 0..4)) {
        let mut room = Room::default();
        if let Some(description) = parse(&text, &mut room) {
            session::wanted(&description, &mut Vec::new());
            rewritten(&description, &grants, Family::V4);
        }
        multipart::leaves(&text, Span::new(0, text.len()), b"multipart/mixed;boundary=a").for_each(drop);
        multipart::boundary(&text);
    }

    #[test]
    fn damage_does_not_panic(text in description(), at in any::<prop::sample::Index>(), byte in any::<u8>(), grants in prop::collection::vec(grant(), 0..6)) {
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let mut room = Room::default();
        if let Some(description) = parse(&text, &mut room) {
            session::wanted(&description, &mut Vec::new());
            rewritten(&description, &grants, Family::V6);
        }
    }

    #[test]
    fn spans_rebuild_the_input(text in description()) {
        let mut room = Room::default();
        if let Some(description) = parse(text.as_bytes(), &mut room) {
            let mut rebuilt = text[description.session().span.range()].to_owned();
            description.media().for_each(|media| rebuilt.push_str(&text[media.section.span.range()]));
            prop_assert_eq!(&rebuilt, &text);
            let lines = description.lines().map(|line| &text[line.whole().range()]);
            let solid = |text: &str| text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            prop_assert_eq!(solid(&lines.collect::<String>()), solid(&text));
        }
    }

    #[test]
    fn untouched_streams_change_nothing(text in description()) {
        let mut room = Room::default();
        if let Some(description) = parse(text.as_bytes(), &mut room) {
            let grants = vec![Grant::Untouched; description.media().count()];
            if grants.is_empty() {
                return Ok(());
            }
            for arrival in Family::BOTH {
                // "Nowhere" alone is said as the other side says it.
                let out = rewritten(&description, &grants, arrival);
                let there = text.replace("c=IN IP4 0.0.0.0", "c=IN IP6 ::");
                let back = String::from_utf8(out.clone()).unwrap().replace("c=IN IP4 0.0.0.0", "c=IN IP6 ::");
                prop_assert_eq!(back, there);
                let nowhere = if arrival == Family::V4 { &b"IP4 0.0.0.0"[..] } else { b"IP6 ::" };
                let is_left = |line: &[u8]| line.strip_prefix(b"c=IN ").is_some_and(|rest| rest == nowhere);
                prop_assert!(!out.split(|byte| b"\r\n".contains(byte)).any(is_left));
            }
        }
    }

    #[test]
    fn relayed_streams_leave_no_address_of_the_arriving_family(text in description(), v6 in any::<bool>()) {
        let arrival = if v6 { Family::V6 } else { Family::V4 };
        let mut room = Room::default();
        let Some(description) = parse(text.as_bytes(), &mut room) else { return Ok(()) };
        let grants = vec![Grant::Relayed { port: 16384 }; description.media().count()];
        if grants.is_empty() {
            return Ok(());
        }
        let out = String::from_utf8(rewritten(&description, &grants, arrival)).unwrap();
        for line in address_lines(&out) {
            prop_assert!(literals(line, arrival).is_empty(), "{} in {}", line, out);
        }
    }

    #[test]
    fn what_leaves_can_be_read_again_and_has_the_same_streams(text in description(), grants in prop::collection::vec(grant(), 5)) {
        let mut room = Room::default();
        let Some(description) = parse(text.as_bytes(), &mut room) else { return Ok(()) };
        let out = rewritten(&description, &grants, Family::V6);
        let mut room = Room::default();
        let Some(again) = parse(&out, &mut room) else { panic!("cannot be read: {}", String::from_utf8_lossy(&out)) };
        prop_assert_eq!(again.media().count(), description.media().count());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        session::wanted(&description, &mut before);
        session::wanted(&again, &mut after);
        for ((before, after), grant) in before.iter().zip(&after).zip(&grants) {
            match grant {
                _ if before.port == 0 => prop_assert_eq!(after.port, 0),
                Grant::Untouched => {
                    prop_assert_eq!(before.port, after.port);
                    // Of several, and of none, the table says this of no stream.
                    let said = before.address.filter(|address| !address.is_unspecified());
                    prop_assert!(said.is_none() || said == after.address);
                }
                Grant::Relayed { port } => {
                    prop_assert_eq!(after.port, *port);
                    let nowhere = before.address.is_some_and(|address| address.is_unspecified());
                    let can_be = before.transport != Transport::NotRelayable;
                    prop_assert!(nowhere || !can_be || after.address == Some(LISTEN4), "{:?}", after);
                }
                Grant::Refused => prop_assert_eq!(after.port, 0),
            }
        }
    }
}

/// A body as long as a datagram, of the lines that ask for the most work.
#[test]
fn a_full_datagram_of_streams_is_rewritten() {
    for line in [
        "m=a 5 b\n",
        "m=a 0 b\nc=IN IP6 ::1\n",
        "a=csup:ccap-v0\n",
        "c=IN IP6 ::1\n",
        "a=rtcp:5\n",
        "\n",
        "a\n",
        "o=\n",
    ] {
        let head = "v=0\nc=IN IP6 2001:db8::5\nm=a 5 RTP/AVP 0\n";
        let text = head.to_owned() + &line.repeat((65_535 - head.len()) / line.len());
        let mut room = Room::default();
        if let Some(description) = parse(text.as_bytes(), &mut room) {
            let out = rewritten(&description, &[Grant::Relayed { port: 16384 }], Family::V6);
            assert_eq!(parse(&out, &mut Room::default()).unwrap().media().count(), description.media().count());
        }
    }
}
