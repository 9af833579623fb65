//! One test for each rule of the rewriting.

use super::*;
use crate::scan::Span;
use crate::sdp::description::Room;

const UNTOUCHED: Grant = Grant::Untouched;
const REFUSED: Grant = Grant::Refused;

const fn relayed(port: u16) -> Grant {
    Grant::Relayed { port }
}

/// `text` as it leaves; its lines end with LF here, so that they are easy to read.
fn rewritten(text: &str, arrival: Family, grants: &[Grant]) -> String {
    let message = format!("head\n{text}");
    let part = Span::new(5, message.len());
    let mut room = Room::default();
    let description = Description::parse(message.as_bytes(), part, &mut room).unwrap();
    let ours = match arrival {
        Family::V4 => b"IN IP6 2001:db8::1".as_slice(),
        Family::V6 => b"IN IP4 192.0.2.1",
    };
    let mut changes = Edits::default();
    edits(&description, grants, arrival, ours, &mut changes);
    let mut out = Vec::new();
    changes.apply(message.as_bytes(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("head\n").unwrap().to_owned()
}

/// The same for one relayed stream: what is behind its `m=` line.
fn stream(session: &str, attributes: &str) -> String {
    let text = format!("v=0\n{session}m=audio 5000 RTP/AVP 0\n{attributes}");
    let out = rewritten(&text, Family::V6, &[relayed(16384)]);
    out.split_once("m=audio 16384 RTP/AVP 0\n").unwrap().1.to_owned()
}

const C6: &str = "c=IN IP6 2001:db8::5\n";
const C4: &str = "c=IN IP4 192.0.2.1\n";

#[test]
fn a_call_leaves_in_the_other_family() {
    let v6 = "v=0\r\no=bob 1 1 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\nt=0 0\r\n\
              m=audio 40000 RTP/AVP 0\r\na=crypto:1 x inline:y\r\n";
    let v4 = "v=0\r\no=bob 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
              m=audio 16384 RTP/AVP 0\r\na=crypto:1 x inline:y\r\n";
    assert_eq!(rewritten(v6, Family::V6, &[relayed(16384)]), v4);
    let back = rewritten(v4, Family::V4, &[relayed(40000)]);
    assert_eq!(back, v6.replace("2001:db8::5", "2001:db8::1"));
}

#[test]
fn untouched_streams_change_nothing() {
    let text = format!("v=0\no=- 1 1 IN IP6 2001:db8::5\n{C4}a=ice-lite\nm=audio 5000 RTP/AVP 0\na=candidate:x\n");
    assert_eq!(rewritten(&text, Family::V6, &[UNTOUCHED]), text);
}

#[test]
fn a_name_in_the_origin_stays() {
    let out =
        rewritten(&format!("v=0\no=- 1 1 IN IP6 h.example\n{C6}m=a 5 RTP/AVP 0\n"), Family::V6, &[relayed(16384)]);
    assert!(out.starts_with("v=0\no=- 1 1 IN IP4 h.example\n"), "{out}");
}

#[test]
fn origins_lose_brackets_and_what_cannot_be_read() {
    for address in ["IP6 [2001:db8::5]", "ip6 2001:db8:::5", "IP6 ::ffff:192.0.2.9", "IP6 2001:db8::5 x"] {
        let text = format!("v=0\no=tel:+1 a 1 1 IN {address}\n{C6}m=a 5 RTP/AVP 0\n");
        let out = rewritten(&text, Family::V6, &[relayed(16384)]);
        assert!(out.starts_with("v=0\no=tel:+1 a 1 1 IN IP4 192.0.2.1\nc="), "{out}");
    }
}

#[test]
fn a_mapped_address_is_rewritten_whichever_side_it_came_from() {
    let text = "v=0\no=- 1 1 IN IP6 ::ffff:192.0.2.9\nc=IN IP6 ::ffff:192.0.2.9\nm=audio 5000 RTP/AVP 0\n";
    for (arrival, ours) in [(Family::V4, "IP6 2001:db8::1"), (Family::V6, "IP4 192.0.2.1")] {
        let expected = format!("v=0\no=- 1 1 IN {ours}\nc=IN {ours}\nm=audio 16384 RTP/AVP 0\n");
        assert_eq!(rewritten(text, arrival, &[relayed(16384)]), expected);
    }
}

#[test]
fn connections_at_both_levels_become_ours() {
    let text = format!("v=0\n{C6}m=audio 5000 RTP/AVP 0\nc=in ip6 [2001:db8::6]\n");
    assert_eq!(
        rewritten(&text, Family::V6, &[relayed(16384)]),
        format!("v=0\n{C4}m=audio 16384 RTP/AVP 0\nc=IN IP4 192.0.2.1\n")
    );
    let name = "v=0\nc=IN IP6 h.example\nm=audio 5000 RTP/AVP 0\n";
    assert_eq!(rewritten(name, Family::V6, &[relayed(16384)]), format!("v=0\n{C4}m=audio 16384 RTP/AVP 0\n"));
}

#[test]
fn nowhere_stays_nowhere() {
    let text = "v=0\no=- 1 1 IN IP4 0.0.0.0\nc=IN IP4 0.0.0.0\nm=audio 5000 RTP/AVP 0\n";
    assert_eq!(
        rewritten(text, Family::V4, &[relayed(16384)]),
        "v=0\no=- 1 1 IN IP6 ::\nc=IN IP6 ::\nm=audio 16384 RTP/AVP 0\n"
    );
    let text = "v=0\nc=IN IP6 ::\nm=audio 5000 RTP/AVP 0\n";
    assert_eq!(rewritten(text, Family::V6, &[relayed(16384)]), "v=0\nc=IN IP4 0.0.0.0\nm=audio 16384 RTP/AVP 0\n");
}

#[test]
fn a_refused_stream_has_port_0_and_no_address_of_the_other_side() {
    let text = format!("v=0\n{C6}m=audio 5000/2 RTP/AVP 0\nm=image 0 udptl t38\nc=IN IP6 2001:db8::6\nm=x 7 tcp *\n");
    assert_eq!(
        rewritten(&text, Family::V6, &[REFUSED, REFUSED]),
        format!("v=0\n{C4}m=audio 0 RTP/AVP 0\nm=image 0 udptl t38\n{C4}m=x 0 tcp *\n")
    );
}

#[test]
fn port_0_stays_whatever_was_granted() {
    for grant in [relayed(16386), UNTOUCHED, REFUSED] {
        let text = format!("v=0\n{C6}m=audio 5000 RTP/AVP 0\nm=video 0 RTP/AVP 31\nc=IN IP6 2001:db8::6\n");
        let out = rewritten(&text, Family::V6, &[relayed(16384), grant]);
        assert_eq!(out, format!("v=0\n{C4}m=audio 16384 RTP/AVP 0\nm=video 0 RTP/AVP 31\n{C4}"));
    }
}

#[test]
fn layers_of_multicast_become_one() {
    let text = "v=0\nm=audio 5000 RTP/AVP 0\nc=IN IP6 ff15::1\nc=IN IP6 ff15::2\n";
    assert_eq!(rewritten(text, Family::V6, &[REFUSED]), format!("v=0\nm=audio 0 RTP/AVP 0\n{C4}"));
}

#[test]
fn pseudo_streams_keep_their_port() {
    let text = format!("v=0\n{C6}m=audio 5000 RTP/AVP 0\nm=message 5060 sip null\n");
    let out = rewritten(&text, Family::V6, &[relayed(16384), REFUSED]);
    assert_eq!(out, format!("v=0\n{C4}m=audio 16384 RTP/AVP 0\nm=message 5060 sip null\n"));
}

#[test]
fn a_relayed_stream_beside_an_untouched_one_gets_its_own_connection() {
    // The session's address is in the outgoing family already: it stays.
    let text = "v=0\nc=IN IP4 192.0.2.9\nm=audio 5000 RTP/AVP 0\nm=video 5002 RTP/AVP 31\ni=x\na=x\n";
    assert_eq!(
        rewritten(text, Family::V6, &[UNTOUCHED, relayed(16384)]),
        format!("v=0\nc=IN IP4 192.0.2.9\nm=audio 5000 RTP/AVP 0\nm=video 16384 RTP/AVP 31\ni=x\n{C4}a=x\n")
    );
}

#[test]
fn an_untouched_stream_beside_a_relayed_one_keeps_its_address() {
    // As in the answer to such an offer: both streams are at one IPv6 address.
    let text = format!("v=0\n{C6}m=audio 5000 RTP/AVP 0\nm=video 5002 RTP/AVP 31");
    assert_eq!(
        rewritten(&text, Family::V6, &[relayed(16384), UNTOUCHED]),
        format!("v=0\n{C4}m=audio 16384 RTP/AVP 0\nm=video 5002 RTP/AVP 31\n{}", C6.trim_end())
    );
}

#[test]
fn connections_of_their_own_leave_the_session_line_to_the_rule() {
    let text = format!("v=0\n{C6}m=audio 5000 RTP/AVP 0\nc=IN IP4 192.0.2.9\nm=video 5002 RTP/AVP 31\n{C6}");
    assert_eq!(
        rewritten(&text, Family::V6, &[UNTOUCHED, relayed(16384)]),
        format!("v=0\n{C4}m=audio 5000 RTP/AVP 0\nc=IN IP4 192.0.2.9\nm=video 16384 RTP/AVP 31\n{C4}")
    );
}

#[test]
fn rtcp_is_next_to_rtp() {
    assert_eq!(stream(C6, "a=rtcp:5001\n"), "a=rtcp:16385\n");
    assert_eq!(stream(C6, "a=rtcp:5007 IN IP6 2001:db8::6\n"), "a=rtcp:16385 IN IP4 192.0.2.1\n");
    assert_eq!(stream(C6, "a=rtcp:5001 IN IP6\na=x\n"), "a=x\n");
}

#[test]
fn rtcp_on_the_port_of_rtp_stays_there_if_muxed() {
    assert_eq!(stream(C6, "a=rtcp:5000\na=rtcp-mux\n"), "a=rtcp:16384\na=rtcp-mux\n");
    assert_eq!(stream(C6, "a=rtcp:5001\na=rtcp-mux\n"), "a=rtcp:16385\na=rtcp-mux\n");
    assert_eq!(stream(C6, "a=rtcp:5000\n"), "a=rtcp:16385\n");
}

#[test]
fn a_placeholder_for_rtcp_stays_one() {
    assert_eq!(stream(C6, "a=rtcp:9 IN IP6 ::\na=rtcp-mux\n"), "a=rtcp:9 IN IP4 0.0.0.0\na=rtcp-mux\n");
}

#[test]
fn rtcp_of_a_refused_stream_names_no_address() {
    let text = format!("v=0\n{C6}m=a 5 RTP/AVP 0\na=rtcp:6 IN IP6 2001:db8::5\nm=b 0 RTP/AVP 0\na=rtcp:7\n");
    let out = rewritten(&text, Family::V6, &[REFUSED, REFUSED]);
    assert_eq!(out, format!("v=0\n{C4}m=a 0 RTP/AVP 0\nm=b 0 RTP/AVP 0\na=rtcp:7\n"));
}

#[test]
fn what_leads_past_the_relay_is_cut_at_both_levels() {
    let session = format!("{C6}a=group:BUNDLE a\na=ice-lite\na=group:LS a\n");
    let attributes = "a=candidate:1 1 UDP 1 2001:db8::5 5000 typ host\na=ice-ufrag:x\na=ice-pwd:y\n\
                      a=altc:1 IP6 2001:db8::5 5000\na=end-of-candidates\na=csup:cap-v0,ccap-v0\n\
                      a=bundle-only\na=mid:a\na=fingerprint:sha-256 AB\na=setup:active\n";
    let rest = "a=csup:cap-v0\na=mid:a\na=fingerprint:sha-256 AB\na=setup:active\n";
    assert_eq!(stream(&session, attributes), rest);
    let out = rewritten(&format!("v=0\n{session}m=audio 5000 RTP/AVP 0\n"), Family::V6, &[relayed(16384)]);
    assert_eq!(out, format!("v=0\n{C4}a=group:LS a\nm=audio 16384 RTP/AVP 0\n"));
}

#[test]
fn an_untouched_stream_keeps_ice_unless_its_credentials_go() {
    let media = "m=a 5 RTP/AVP 0\nc=IN IP4 192.0.2.9\na=candidate:x\nm=b 6 RTP/AVP 0\nc=IN IP6 2001:db8::6\n";
    let out = |session: &str| rewritten(&format!("v=0\n{session}{media}"), Family::V6, &[UNTOUCHED, relayed(16384)]);
    assert!(out("").contains("a=candidate"));
    assert!(!out("a=ice-ufrag:x\na=ice-pwd:y\n").contains("ice"));
    assert!(!out("a=ice-ufrag:x\na=ice-pwd:y\n").contains("candidate"));
}

#[test]
fn streams_behind_the_limit_are_refused() {
    let text = format!("v=0\n{C6}{}", "m=a 5 RTP/AVP 0\n".repeat(MAX_STREAMS + 2));
    let out = rewritten(&text, Family::V6, &[relayed(16384); MAX_STREAMS + 2]);
    assert_eq!(out.matches("m=a 16384 ").count(), MAX_STREAMS);
    assert_eq!(out.matches("m=a 0 ").count(), 2);
}
