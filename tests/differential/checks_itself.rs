//! The checker finds what it is there to find: any other byte changed is seen.

use std::net::SocketAddr;

use sipproxy64::config::{Config, Map, Uplink, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

use crate::checker::{self, Passage};

const INPUT: &str = "INVITE sip:alice@[2001:db8::101] SIP/2.0\r\n\
    Via: SIP/2.0/UDP [2001:db8:9::55]:5062;branch=z9hG4bKx1;rport\r\n\
    v: SIP/2.0/UDP p.example;branch=z9hG4bKx0\r\n\
    Max-Forwards: 70\r\n\
    From: \"Bob, <sip:x@192.0.2.1>\" <sip:bob@[2001:db8:9::55];user=phone?a=b>;tag=b1\r\n\
    t: sip:alice@[2001:db8::101];x=y\r\n\
    Call-ID: c1@2001:db8:9::55\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:bob@[2001:db8:9::55]:5062>;expires=5 , sip:c@name.example\r\n\
    Replaces: 1@192.0.2.101;from-tag=1;to-tag=2\r\n\
    X-Other: <sip:a@192.0.2.101>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 100\r\n\r\n\
    v=0\r\no=bob 1 1 IN IP6 2001:db8:9::55\r\ns=-\r\nc=IN IP6 2001:db8:9::55\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

/// What the proxy writes and nobody else can work out: keyed digits, and the
/// addresses in a description.
const UNKNOWN: [&str; 6] = ["Via: SIP/2.0/UDP 192.0.2.1:5060;branch=", "Record-Route:", "Contact:", "c=", "o=", "m="];

/// What only looks like the rest of a token stays whoever's it was.
#[test]
fn what_is_no_rest_of_a_token_is_none() {
    let config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
    let [remote, local]: [SocketAddr; 2] = ["192.0.2.101:5060", "192.0.2.1:5060"].map(|text| text.parse().unwrap());
    for rest in ["_[2001:db8:9::55]", "_2001-db8-9--55", "_192.0.2.7", "_2001:db8:9::55", "__x", "_192.0.2.7_x_"] {
        let input = INPUT
            .replace("<sip:bob@[2001:db8:9::55];user=phone?a=b>", &format!("<sip:bob@192.0.2.101;maddr=;s64x={rest}>"))
            .replace("[2001:db8::101]", "192.0.2.1");
        let mut config = config.clone();
        let uplink = UplinkHost::Address("2001:db8:456::12".parse().unwrap());
        config.uplinks[Family::V6] = Some(Uplink { host: uplink, port: 5060, written: "[2001:db8:456::12]".into() });
        let (mut proxy, mut output) = (Standalone::new(std::sync::Arc::new(config.clone())), Vec::new());
        let datagram = Datagram { local, remote, bytes: input.as_bytes() };
        let Outcome::Send { from, to, refused: None } = proxy.handle(std::time::Duration::ZERO, &datagram, &mut output)
        else {
            panic!("{rest} is not forwarded")
        };
        let (input, output, config) = (input.as_bytes(), &output[..], &config);
        let passage = Passage { config, remote, local, from, to, input, output, damaged: false };
        checker::check(&passage).unwrap();
    }
}

#[test]
fn any_other_change_is_seen() {
    let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
    config.maps.push(Map { phone: "192.0.2.101:5060".parse().unwrap(), fake: "[2001:db8::101]:5060".parse().unwrap() });
    let [remote, local]: [SocketAddr; 2] =
        ["[2001:db8:9::55]:5062", "[2001:db8::101]:5060"].map(|text| text.parse().unwrap());
    let mut proxy = Standalone::new(std::sync::Arc::new(config.clone()));
    let mut output = Vec::new();
    let datagram = Datagram { local, remote, bytes: INPUT.as_bytes() };
    let Outcome::Send { from, to, refused: None } = proxy.handle(std::time::Duration::ZERO, &datagram, &mut output)
    else {
        panic!("not forwarded")
    };
    let check = |output: &[u8]| {
        checker::check(&Passage {
            config: &config,
            remote,
            local,
            from,
            to,
            input: INPUT.as_bytes(),
            output,
            damaged: false,
        })
    };
    check(&output).unwrap();
    let mut seen = 0;
    for at in 0..output.len() {
        let start = output[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = String::from_utf8_lossy(&output[start..]).into_owned();
        for change in [b'~', b'0', b' '] {
            let mut changed = output.clone();
            changed[at] = if changed[at] == change { b'7' } else { change };
            let rejected = check(&changed).is_err();
            assert!(
                rejected || UNKNOWN.iter().any(|front| line.starts_with(front)),
                "not seen: {}",
                String::from_utf8_lossy(&changed)
            );
            seen += usize::from(rejected);
        }
        let mut shorter = output.clone();
        shorter.remove(at);
        assert!(check(&shorter).is_err(), "not seen: {}", String::from_utf8_lossy(&shorter));
    }
    assert!(seen > output.len() * 2, "{seen} of {}", output.len() * 3);
}
