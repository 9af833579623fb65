//! Messages that ended others, numbers beyond their bounds, and address texts.
//! The messages themselves stand under `t/hostile/` too, byte for byte.

use super::bridge::*;

/// An INVITE of a stranger for P1 with this description.
fn offer(sdp: &str) -> String {
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    request("INVITE", "sip:p@[2001:db8::101]", X6, "").replace("Content-Length: 0\r\n\r\n", &length)
}

/// What becomes of it: `None`: forwarded, else the status; 0: it cannot even be answered.
fn status(message: &str) -> Option<u16> {
    Bridge::picture().handle(X6, F1, message).map_or(Some(0), |sent| sent.status())
}

fn forwarded(message: &str) -> String {
    let sent = Bridge::picture().handle(X6, F1, message).unwrap();
    assert_eq!(sent.status(), None, "{}", sent.text());
    sent.text()
}

const SDP: &str = "v=0\r\no=m 1 1 IN IP6 2001:db8:9::55\r\ns=-\r\nc=IN IP6 2001:db8:9::55\r\nt=0 0\r\n";

#[test]
fn messages_that_ended_others_are_forwarded_or_refused() {
    let good = request("MESSAGE", "sip:p@[2001:db8::101]", X6, "");
    let long = "x".repeat(20_000);
    for (message, expected) in [
        // A CSeq number beyond what a buffer was made for.
        (good.replace("CSeq: 1 ", &format!("CSeq: {} ", "9".repeat(300))), Some(400)),
        (good.replace("CSeq: 1 ", "CSeq: 2147483648 "), Some(400)),
        (good.replace("CSeq: 1 ", "CSeq: 2147483647 "), None),
        (good.replace("CSeq: 1 MESSAGE", &format!("CSeq: 1 {long}")), Some(400)),
        // Very long values and tags.
        (good.replace("To: ", &format!("Accept: {}\r\nTo: ", "a/b,".repeat(10_000))), None),
        (good.replace("tag=m1", &format!("tag={long}")), None),
        (good.replace("z9hG4bKx1", &format!("z9hG4bK{long}")), None),
        (good.replace("c1@[2001", &format!("{long}@[2001")), None),
        // Broken Vias and URIs.
        (good.replace(";branch=z9hG4bKx1", ";branch"), None),
        (good.replace(";branch=z9hG4bKx1;rport", ";;;="), None),
        (good.replace("<sip:m@[2001:db8:9::55]>", "<sip:>"), Some(400)),
        (good.replace("<sip:m@[2001:db8:9::55]>", "<sip:@>"), Some(400)),
        (good.replace("<sip:m@[2001:db8:9::55]>", "<>"), Some(400)),
        (good.replace("<sip:m@[2001:db8:9::55]>", "<sip:[>"), Some(400)),
        (good.replace("<sip:m@[2001:db8:9::55]>", "<sip:m@%>"), Some(400)),
        // Blanks in the start-line.
        (good.replace("MESSAGE sip", "MESSAGE  sip"), Some(400)),
        (good.replace(" SIP/2.0\r\nVia", "  SIP/2.0\r\nVia"), Some(400)),
        (good.replace(" SIP/2.0\r\nVia", "\r\nVia"), Some(400)),
        (good.replace(" SIP/2.0\r\nVia", " \r\nVia"), Some(400)),
    ] {
        assert_eq!(status(&message), expected, "{}", &message[..message.len().min(600)]);
    }
    let no_via = good.replace("SIP/2.0/UDP [2001:db8:9::55]:5062", "SIP/2.0/");
    assert!(Bridge::picture().handle(X6, F1, no_via).is_err());
    for nothing in ["MESSAGE", "MESSAGE ", " ", "\r\n \r\n", "SIP/2.0 ", "SIP/2.0 200", ":"] {
        assert!(Bridge::picture().handle(X6, F1, nothing).is_err(), "{nothing:?}");
        assert!(Bridge::picture().handle(X6, F1, format!("{nothing}\r\n\r\n")).is_err(), "{nothing:?}");
    }
}

#[test]
fn descriptions_that_ended_others_are_forwarded_or_refused() {
    let long = "x".repeat(20_000);
    let with = |more: &str| format!("{SDP}m=audio 40000 RTP/AVP 0\r\n{more}");
    for (sdp, expected) in [
        (with("a=fmtp:"), None),
        (with("a=fmtp:\r\na=fmtp: \r\na=fmtp:0\r\n"), None),
        (with("a=rtpmap:\r\na=:\r\na=\r\n"), None),
        (format!("{SDP}m=audio 40000 RTP/AVP\r\n"), None),
        (format!("{SDP}m=audio 40000 RTP/AVP {}\r\n", "0 ".repeat(10_000)), None),
        (format!("{SDP}m=audio 40000\r\n"), Some(400)),
        (format!("{SDP}m=\r\n"), Some(400)),
        (format!("{SDP}m={long} 40000 RTP/AVP 0\r\n"), None),
        // No line end behind the last line, or behind any.
        (format!("{SDP}m=audio 40000 RTP/AVP 0"), None),
        ("v=0".to_owned(), None),
        (with("b=\r\nb=AS\r\nb=:\r\nb=AS:\r\nb=AS:99999999999999999999\r\n"), None),
        // No host name is that long (RFC 1035 §2.3.4).
        (with(&format!("c=IN IP6 {long}\r\n")), Some(400)),
        (with("c=IN IP6 \r\n"), Some(400)),
        (with("c=\r\n"), Some(400)),
        (with("c=IN\r\n"), Some(400)),
        ("v".to_owned(), Some(400)),
        ("=".to_owned(), Some(400)),
        ("\0".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(status(&offer(&sdp)), expected, "{}", &sdp[..sdp.len().min(300)]);
    }
}

#[test]
fn ports_and_counts_are_numbers_within_their_bounds() {
    for (port, expected) in [
        ("0", None),
        ("1", None),
        ("65535", None),
        ("40001", None),
        ("00040000", None),
        ("65536", Some(400)),
        ("-1", Some(400)),
        ("+1", Some(400)),
        ("1e3", Some(400)),
        ("1e30", Some(400)),
        ("0x10", Some(400)),
        ("4294967296", Some(400)),
        ("18446744073709551617", Some(400)),
        ("40000/1", None),
        ("40000/2", None),
        ("40000/0", Some(400)),
        ("40000/", Some(400)),
        ("40000/x", Some(400)),
        ("40000/99999999999", Some(400)),
        ("/", Some(400)),
    ] {
        assert_eq!(status(&offer(&format!("{SDP}m=audio {port} RTP/AVP 0\r\n"))), expected, "{port}");
    }
    for (port, expected) in [("0", 400), ("65536", 400), ("-1", 400), ("1e3", 400), ("", 400)] {
        let message = request("MESSAGE", "sip:p@[2001:db8::101]", X6, "");
        let contact = message.replace("<sip:m@[2001:db8:9::55]:5062>", &format!("<sip:m@[2001:db8:9::55]:{port}>"));
        assert_eq!(status(&contact), Some(expected), "{port}");
    }
}

#[test]
fn as_many_streams_as_there_are_cost_sixty_four_at_the_most() {
    for (count, relayed) in [(0, 0), (1, 1), (64, 64), (65, 64), (2_000, 64)] {
        let sdp = SDP.to_owned() + &"m=audio 40000 RTP/AVP 0\r\n".repeat(count);
        let mut bridge = Bridge::picture();
        let phone = offer(&sdp).replace("2001:db8:9::55]:5062", "2001:db8:6::7]:5060");
        let sent = bridge.handle(Q6, F1, phone).unwrap().text();
        let ports = sent.lines().filter_map(|line| line.strip_prefix("m=audio ")?.split(' ').next());
        let ports: Vec<_> = ports.collect();
        assert_eq!(ports.len(), count);
        assert_eq!(ports.iter().filter(|port| **port != "0").count(), relayed);
    }
}

#[test]
fn candidates_are_cut_however_many_there_are() {
    let candidates = "a=candidate:1 1 UDP 1 2001:db8:9::55 5000 typ host\r\n".repeat(1_000);
    let sent = forwarded(&offer(&format!("{SDP}m=audio 40000 RTP/AVP 0\r\n{candidates}")));
    assert!(!sent.contains("candidate") && !sent.contains("2001:db8:9::55 5000"), "{sent}");
}

/// An address is written in one way, or it is none.
#[test]
fn address_texts_are_canonical_or_refused() {
    let contact = |host: &str| {
        request("MESSAGE", "sip:p@[2001:db8::101]", X6, "")
            .replace("<sip:m@[2001:db8:9::55]:5062>", &format!("<sip:m@{host}>"))
    };
    for refused in [
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "2001:db8::9",
        "[2001:db8::9",
        "2001:db8::9]",
        "[[2001:db8::9]]",
        "[]",
        "[:]",
        "[1::2::3]",
        "[12345::1]",
        "[1:2:3:4:5:6:7:8:9]",
        "[192.0.2.9]",
        "[::192.0.2.256]",
        "[::1.2.3]",
        "[g::1]",
        "[0000000000000000000000000000000000000000000000000000::1]",
        "[::1]5060",
        "[::1]:",
        "[::1]:x",
    ] {
        assert_eq!(status(&contact(refused)), Some(400), "{refused}");
    }
    // Names that look like addresses stay names: nobody reads them as octal or hex.
    for name in ["192.0.2.09", "0300.0.2.9", "0xc0000209", "3221225993", "192.0.2", "192.0.2.9.1", "1.2.3.4.example"] {
        assert!(forwarded(&contact(name)).contains(&format!("Contact: <sip:m@{name}>")), "{name}");
    }
    for (written, token) in [
        ("[::]", "--"),
        ("[2001:DB8::9]", "2001-DB8--9"),
        ("[2001:0db8:0000:0000:0000:0000:0000:0009]", "2001-0db8-0000-0000-0000-0000-0000-0009"),
        ("[2001:db8::192.0.2.9]", "2001-db8--192.0.2.9"),
        ("[2001:db8:0:0:0:0:255.255.255.255]", "2001-db8-0-0-0-0-255.255.255.255"),
        ("[::ffff:192.0.2.9]", "--ffff-192.0.2.9"),
    ] {
        let sent = forwarded(&contact(written));
        assert!(sent.contains(&format!("<sip:m@192.0.2.1;s64={token}_")), "{written}:\n{sent}");
    }
}

/// What an SDP address is, its text decides, whatever family stands beside it:
/// relayed, it leaves in one form alone.
#[test]
fn addresses_of_descriptions_leave_in_one_form() {
    let described = |connection: &str| {
        offer(&format!(
            "v=0\r\no=m 1 1 IN IP6 2001:db8:9::55\r\ns=-\r\nc={connection}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
        ))
    };
    for odd in [
        "IN IP6 2001:DB8:9::55",
        "IN IP6 [2001:db8:9::55]",
        "IN IP4 2001:db8:9::55",
        "IN IP6 2001:0db8:0009:0000:0000:0000:0000:0055",
        "IN IP6 2001:db8:9::55%eth0",
        "in ip6 2001:db8:9::192.0.2.55",
    ] {
        let sent = forwarded(&described(odd));
        assert!(sent.contains("\r\nc=IN IP4 192.0.2.1\r\n") && !sent.contains("2001:db8:9::55 "), "{odd}:\n{sent}");
        assert!(sent.contains("m=audio 16384 "), "{odd}");
    }
    for none in [
        "IN IP6 2001:db8::1::2",
        "IN IP6 12345::",
        "IN IP4 192.0.2.010",
        "IN IP4 192.0.2.256",
        "IN IP4 1.2.3",
        "IN IP6 :",
    ] {
        assert_eq!(status(&described(none)), Some(400), "{none}");
    }
}
