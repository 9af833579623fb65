//! What is mapped keeps its structure, whatever stands around the host.

use proptest::prelude::*;
use sipproxy64::proxy::Reason;

use super::bridge::*;

/// A user part: unreserved, user-unreserved and escapes (RFC 3261 §25.1), also of
/// what would end it if it were not escaped.
fn user() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9]",
        prop::sample::select(vec![
            ";",
            "?",
            "/",
            "&",
            "=",
            "+",
            "$",
            ",",
            "%0d%0a",
            "%0D%0AVia:",
            "%3e",
            "%3E;s64=",
            "%40",
            "%00",
            "%22",
            ";s64=1.2.3.4",
            "!",
            "~",
            "*",
            "'",
            "(",
            ")",
            ":",
            ";lr",
            "?Route=",
        ])
        .prop_map(str::to_owned),
    ];
    ("[a-z]", prop::collection::vec(piece, 0..12)).prop_map(|(first, rest)| first + &rest.concat())
}

/// A display name: a quoted string with escapes of what would end it.
fn display() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z ]",
        prop::sample::select(vec![
            "\\\"",
            "\\\\",
            "<",
            ">",
            ",",
            ";",
            "@",
            "<sip:x@192.0.2.101>",
            "\\\r".trim_end(),
            "%0d%0a",
            "é",
            ";tag=x",
        ])
        .prop_map(|text| if text == "\\" { "\\\\".to_owned() } else { text.to_owned() }),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn parameter() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        ";x=y",
        ";x=\"a,b\"",
        ";x=\"<sip:z@192.0.2.101>\"",
        ";x=\"\\\"\"",
        ";X",
        ";expires=60",
        ";q=0.5",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn the_output_has_the_structure_of_the_input(user in user(), display in display(), parameter in parameter()) {
        let mut bridge = Bridge::picture();
        let from = format!("{display} <sip:{user}@[2001:db8:9::55]>;tag=1{parameter}");
        let contact = format!("{display} <sip:{user}@[2001:db8:9::55]:5062;a=b?h=v>{parameter}");
        let message = request("MESSAGE", "sip:p@[2001:db8::101]", X6, "")
            .replace("\"M\" <sip:m@[2001:db8:9::55]>;tag=m1", &from)
            .replace("<sip:m@[2001:db8:9::55]:5062>", &contact);
        let sent = bridge.handle(X6, F1, &message).unwrap();
        let lines = |text: &str| text.split("\r\n\r\n").next().unwrap().split("\r\n").count();
        prop_assert_eq!(lines(&sent.text()), lines(&message) + 3, "one Via and two Record-Routes:\n{}", sent.text());
        let expected = format!("{display} <sip:{user}@192.0.2.1;s64=2001-db8-9--55>;tag=1{parameter}");
        prop_assert_eq!(sent.first("From"), expected);
        let mapped = sent.first("Contact");
        let (head, tail) = (format!("{display} <sip:{user}@192.0.2.1;a=b;s64=2001-db8-9--55~5062__"), format!("?h=v>{parameter}"));
        prop_assert!(mapped.starts_with(&head) && mapped.ends_with(&tail), "{mapped}");
        prop_assert_eq!(mapped.len(), head.len() + 16 + tail.len());
        // And it comes back as it was written.
        let back = bridge.handle(P1, LISTEN4, sent.response("200 OK")).unwrap();
        prop_assert_eq!(back.first("From"), from);
    }
}

/// What could be read in two ways is refused, not repaired.
#[test]
fn line_ends_and_open_ends_are_refused() {
    let mut bridge = Bridge::picture();
    let good = request("MESSAGE", "sip:p@[2001:db8::101]", X6, "");
    for (from, to) in [
        ("\"M\" <", "\"M\rVia: x\" <"),
        ("\"M\" <", "\"M\nVia: x\" <"),
        ("\"M\" <", "\"M <"),
        ("\"M\" <", "\"M\\\" <"),
        ("\"M\" <", "\"M\0\" <"),
        ("<sip:m@[2001:db8:9::55]>", "<sip:m@[2001:db8:9::55]"),
        ("<sip:m@[2001:db8:9::55]>", "<sip:m@<[2001:db8:9::55]>>"),
        ("<sip:m@[2001:db8:9::55]>", "<sip:m@[2001:db8:9::55] >"),
        ("From: ", "From : <sip:a@b>;tag=1\r\nFrom: "),
        ("Call-ID: ", "i: twice\r\nCall-ID: "),
        ("Contact: ", "Contact: <sip:a@b>, \"open\r\nContact: "),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        // Without a From that can be read there is no answer.
        match bridge.handle(X6, F1, &bad) {
            Ok(sent) => assert_eq!(sent.status(), Some(400), "{to:?}:\n{}", sent.text()),
            Err(reason) => assert!(matches!(reason, Reason::Malformed(_)), "{to:?}: {reason}"),
        }
    }
}

/// A token that somebody made up holds an address or nothing.
#[test]
fn a_made_up_token_puts_nothing_but_an_address_into_a_uri() {
    let mut bridge = Bridge::picture();
    for token in
        ["a", "192.0.2.9~1;x", "1.2.3.4%3e", "1.2.3.4~1_%0d%0a", "1.2.3.4~0x50", "--1~5060_x", "1.2.3.4~5060~1"]
    {
        let message = request(
            "MESSAGE",
            "sip:p@[2001:db8::101]",
            X6,
            &format!("P-Called-Party-ID: <sip:x@[2001:db8::1];s64={token}>\r\n"),
        );
        let sent = bridge.handle(X6, F1, &message).unwrap();
        let party = sent.first("P-Called-Party-ID");
        assert!(
            party.starts_with("<sip:x@") && party.ends_with('>') && party.matches(['<', '>']).count() == 2,
            "{party}"
        );
        let host = party["<sip:x@".len()..].split([';', '>']).next().unwrap().to_owned();
        assert!(host == "192.0.2.1" || host.parse::<std::net::SocketAddr>().is_ok(), "{token} -> {party}");
    }
}
