//! Who may ask a phone for its password.

use sipproxy64::proxy::Reason;

use super::bridge::*;

const DIGEST: &str = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"provider.example\", nonce=\"1\"";

fn bridge(no_foreign_challenges: bool) -> Bridge {
    let mut config = picture();
    config.no_foreign_challenges = no_foreign_challenges;
    Bridge::new(config)
}

/// A stranger calls P1, P1 hangs up, and the stranger challenges its BYE.
fn challenged(bridge: &mut Bridge, status: &str) -> Result<Sent, Reason> {
    let invited = bridge.handle(X6, F1, request("INVITE", "sip:p@[2001:db8::101]", X6, "")).unwrap();
    let uri = invited.first("Contact");
    let routes: String = invited.all("Record-Route").iter().map(|route| format!("Route: {route}\r\n")).collect();
    let bye = bridge.handle(P1, LISTEN4, request("BYE", uri.trim_matches(['<', '>']), P1, &routes)).unwrap();
    assert_eq!(bye.to, at(X6));
    bridge.handle(X6, F1, bye.response(status))
}

#[test]
fn a_stranger_challenges_a_phone_only_where_that_is_allowed() {
    for status in [DIGEST, &DIGEST.replace("401", "407")] {
        assert_eq!(challenged(&mut bridge(true), status), Err(Reason::ForeignChallenge));
        assert_eq!(challenged(&mut bridge(false), status).unwrap().to, at(P1));
    }
    for status in ["200 OK", "481 Gone", "403 No"] {
        assert_eq!(challenged(&mut bridge(true), status).unwrap().to, at(P1), "{status}");
    }
}

#[test]
fn uplinks_and_phones_may_challenge() {
    let mut bridge = bridge(true);
    let register = bridge.handle(P1, LISTEN4, request("REGISTER", "sip:provider.example", P1, "")).unwrap();
    assert_eq!(register.to, at(U6));
    assert_eq!(bridge.handle(U6, F1, register.response(DIGEST)).unwrap().to, at(P1));
    let call = bridge.handle(P1, LISTEN4, request("INVITE", "sip:q@[2001:db8:6::7]", P1, "")).unwrap();
    assert_eq!(call.to, at(Q6));
    assert_eq!(bridge.handle(Q6, F1, call.response(DIGEST)).unwrap().to, at(P1));
    // A stranger that calls the uplink is asked for his own password.
    let stranger = bridge.handle(X4, LISTEN4, request("INVITE", "sip:b@example.com", X4, "")).unwrap();
    assert_eq!(bridge.handle(U6, LISTEN6, stranger.response(DIGEST)).unwrap().to, at(X4));
}

/// With or without the option: nobody challenges what was not sent to him through us.
#[test]
fn a_challenge_that_answers_nothing_is_dropped() {
    let mut bridge = bridge(false);
    let made_up = format!(
        "SIP/2.0 {DIGEST}\r\nVia: SIP/2.0/UDP [2001:db8::101]:5060;branch=z9hG4bK0123456789abcdefp192.0.2.1~5060\r\n\
         Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK1\r\nFrom: <sip:p@h>;tag=1\r\nTo: <sip:p@h>;tag=2\r\n\
         Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(bridge.handle(X6, F1, made_up), Err(Reason::ForeignResponse));
}
