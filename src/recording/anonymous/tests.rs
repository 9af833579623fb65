//! What stays of a message, and what does not.

use super::*;

fn anonymised(message: &str) -> String {
    let mut anonymiser = Anonymiser::new(Key([5; 16]));
    String::from_utf8(anonymiser.message(message.as_bytes())).unwrap()
}

const INVITE: &str = "INVITE sip:+4930123456@[2a00:1450::55];user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP phone7.corp.test;branch=z9hG4bK-192-168-1-5;rport\r\n\
    From: \"Bob Smith\" <sip:1017@8.8.8.8:5062>;tag=abc12345\r\n\
    To: Alice <sip:alice@8.8.8.8>\r\n\
    Call-ID: call7@8.8.8.8\r\n\
    CSeq: 1 INVITE\r\n\
    Replaces: call7@8.8.8.8;to-tag=abc12345;from-tag=x\r\n\
    X-Customer: Smith & Sons, 1017\r\n\
    Subject: lunch\r\n\
    Content-Type: application/sdp\r\n\
    \r\n\
    v=0\r\no=bob 7 4 IN IP6 2a00:1450::55\r\ns=Bob\r\nc=IN IP6 2a00:1450::55\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=msid:secret-name\r\n";

#[test]
fn nobody_is_left_in_it() {
    let text = anonymised(INVITE).to_lowercase();
    for word in [
        "493012", "bob", "smith", "alice", "1017", "8.8.8.8", "2a00", "corp", "192-168", "call7", "abc123", "lunch",
        "secret", "sons",
    ] {
        assert!(!text.contains(word), "{word} is left in\n{text}");
    }
}

#[test]
fn the_form_stays() {
    let text = anonymised(INVITE);
    for part in [
        "INVITE sip:+",
        "@[2001:db8::1];user=phone SIP/2.0\r\n",
        "Via: SIP/2.0/UDP ",
        ";branch=z9hG4bK-",
        ";rport\r\n",
        "@192.0.2.1:5062>;tag=",
        "\r\nCSeq: 1 INVITE\r\n",
        "Content-Type: application/sdp\r\n\r\nv=0\r\no=",
        " 7 4 IN IP6 2001:db8::1\r\ns=",
        "c=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=msid:",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn what_was_the_same_still_is() {
    let text = anonymised(INVITE);
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
    let (call_id, replaces) = (line("Call-ID: "), line("Replaces: "));
    assert!(replaces.starts_with(&call_id), "{call_id}, {replaces}");
    let tag = line("From: ").split_once(";tag=").unwrap().1.to_owned();
    assert!(replaces.contains(&format!(";to-tag={tag};")), "{tag}, {replaces}");
}

#[test]
fn what_is_malformed_stays_so() {
    for (message, expected) in [
        ("\r\nOPTIONS sip:[::1 SIP/2.0\r\n", "\r\nOPTIONS sip:[::1 SIP/2.0\r\n"),
        ("SIP/2.0 404 Not Found\r\n", "SIP/2.0 404 Not Found\r\n"),
        ("SIP/2.0 200\r\nVia: ;;;=,\"\r\n", "SIP/2.0 200\r\nVia: ;;;=,\"\r\n"),
        ("", ""),
    ] {
        assert_eq!(anonymised(message), expected);
    }
    let unusual = anonymised("OPTIONS sip:[2A00:1450::0055] SIP/2.0\r\n");
    assert!(unusual.contains("[2001:0DB8:0000:0000:0000:0000:0000:0001]"), "{unusual}");
}
