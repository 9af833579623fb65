use super::*;
use crate::media::packet::Rtp;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn rtp(ssrc: u32) -> Packet {
    Packet::Rtp(Rtp { ssrc, sequence: 1, timestamp: 0, payload_type: 0 })
}

const NOW: Duration = Duration::from_secs(100);
const NAT: &str = "203.0.113.9:40000";

/// Described as 10.0.0.5:4000 by SIP from 203.0.113.9.
fn latch(mode: LatchMode) -> Latch {
    let mut latch = Latch::new(mode);
    describe(&mut latch, "10.0.0.5:4000");
    latch
}

fn describe(latch: &mut Latch, address: &str) {
    let address = at(address);
    latch.describe(Some(address), [Some(address.ip()), Some(at(NAT).ip())]);
}

#[track_caller]
fn goes_to(latch: &Latch, address: &str) {
    assert_eq!(latch.destination(), Some(at(address)));
}

#[test]
fn packets_go_to_the_description_until_an_acceptable_one_comes() {
    let mut latch = latch(LatchMode::Signalled);
    goes_to(&latch, "10.0.0.5:4000");
    assert!(!latch.hear(NOW, at("198.51.100.66:4000"), rtp(1)));
    goes_to(&latch, "10.0.0.5:4000");
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    goes_to(&latch, NAT);
}

#[test]
fn the_first_acceptable_packet_wins_and_others_are_refused() {
    let mut latch = latch(LatchMode::Signalled);
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    assert!(!latch.hear(NOW, at("203.0.113.9:40002"), rtp(2)));
    assert!(!latch.hear(NOW, at("203.0.113.9:40002"), rtp(1)));
    goes_to(&latch, NAT);
}

#[test]
fn the_described_address_wins_at_any_time() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    assert!(latch.hear(NOW, at("10.0.0.5:4000"), rtp(2)));
    goes_to(&latch, "10.0.0.5:4000");
    assert!(!latch.hear(NOW, at(NAT), rtp(1)));
}

#[test]
fn a_silent_winner_is_followed_by_its_ssrc() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    let moved = at("203.0.113.9:40002");
    assert!(!latch.hear(NOW + SILENCE - Duration::from_millis(1), moved, rtp(1)));
    assert!(!latch.hear(NOW + SILENCE, moved, rtp(2)), "another SSRC");
    assert!(!latch.hear(NOW + SILENCE, at("198.51.100.66:1"), rtp(1)), "not acceptable");
    assert!(latch.hear(NOW + SILENCE, moved, rtp(1)));
    goes_to(&latch, "203.0.113.9:40002");
}

#[test]
fn a_winner_is_followed_by_the_ssrc_that_it_had_last() {
    let mut latch = latch(LatchMode::Signalled);
    for packet in [Packet::Setup, rtp(1), rtp(2), Packet::Setup] {
        assert!(latch.hear(NOW, at(NAT), packet));
    }
    assert!(!latch.hear(after(2), at(OTHER_PORT), rtp(1)));
    assert!(latch.hear(after(2), at(OTHER_PORT), rtp(2)));
    goes_to(&latch, OTHER_PORT);
}

/// Fax over UDPTL has none.
#[test]
fn without_an_ssrc_nobody_is_followed() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), Packet::Udptl);
    for packet in [Packet::Udptl, Packet::Setup] {
        assert!(!latch.hear(after(60), at(OTHER_PORT), packet));
    }
    goes_to(&latch, NAT);
}

const OTHER_PORT: &str = "203.0.113.9:50000";

fn after(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

/// Its NAT has given the port away, and another SSRC begins (RFC 3550 §8.1).
#[test]
fn who_goes_on_after_a_hold_may_do_so_from_elsewhere() {
    for (mode, from, wins) in [
        (LatchMode::Signalled, OTHER_PORT, true),
        (LatchMode::First, OTHER_PORT, true),
        (LatchMode::First, "198.51.100.66:4000", false),
    ] {
        let mut latch = latch(mode);
        latch.hear(NOW, at(NAT), rtp(1));
        assert!(!latch.hear(after(60), at(from), rtp(2)), "nobody called for it");
        describe(&mut latch, "10.0.0.5:4000");
        assert_eq!(latch.hear(after(61), at(from), rtp(2)), wins, "{mode:?} {from}");
        goes_to(&latch, if wins { from } else { NAT });
    }
}

/// It is itself who may: nobody else to whom `first` listens, and not by STUN.
#[test]
fn who_goes_on_is_whom_the_signalling_shows_and_sends_media() {
    let mut latch = latch(LatchMode::First);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4000");
    assert!(!latch.hear(after(1), at(OTHER_PORT), rtp(2)));
    assert!(!latch.hear(after(3), at("198.51.100.66:4000"), rtp(3)));
    assert!(!latch.hear(after(3), at(OTHER_PORT), Packet::Setup));
    assert!(latch.hear(after(3), at(OTHER_PORT), rtp(2)));
    goes_to(&latch, OTHER_PORT);
}

/// Others at its address, behind the same NAT, have nothing of its pauses.
#[test]
fn who_came_back_where_it_was_is_not_displaced_later() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4000");
    for second in 10..20 {
        assert!(latch.hear(after(second), at(NAT), rtp(1)));
        assert!(!latch.hear(after(second), at(OTHER_PORT), rtp(2)));
    }
    assert!(!latch.hear(after(60), at(OTHER_PORT), rtp(2)));
    goes_to(&latch, NAT);
}

/// Its packets in flight do not keep the leg from the one that answered.
#[test]
fn a_fork_that_lost_yields_when_it_falls_silent() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4000");
    assert!(!latch.hear(NOW, at(OTHER_PORT), rtp(2)));
    assert!(latch.hear(after(1), at(NAT), rtp(1)));
    assert!(!latch.hear(after(2), at(OTHER_PORT), rtp(2)));
    assert!(latch.hear(after(3), at(OTHER_PORT), rtp(2)));
    goes_to(&latch, OTHER_PORT);
}

#[test]
fn a_move_takes_effect_at_once_and_the_old_winner_cannot_win() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4002");
    goes_to(&latch, "10.0.0.5:4002");
    assert!(latch.hear(NOW, at(NAT), rtp(1)), "still relayed");
    goes_to(&latch, "10.0.0.5:4002");
    assert!(!latch.hear(NOW, at("198.51.100.66:4000"), rtp(1)), "no stranger");
    assert!(latch.hear(NOW, at("203.0.113.9:40002"), rtp(2)));
    goes_to(&latch, "203.0.113.9:40002");
    assert!(!latch.hear(NOW, at(NAT), rtp(1)), "the race is over");
    let elsewhere = at("192.0.2.7:4000");
    latch.describe(Some(elsewhere), [Some(elsewhere.ip()); 2]);
    assert!(latch.hear(NOW, at("203.0.113.9:40002"), rtp(2)), "though it is to come from elsewhere");
    assert!(!latch.hear(NOW, at(NAT), rtp(1)));
}

#[test]
fn the_same_address_again_changes_nothing() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4000");
    goes_to(&latch, NAT);
    assert!(!latch.hear(NOW, at("203.0.113.9:40002"), rtp(2)));
}

#[test]
fn hold_by_the_unspecified_address_keeps_who_was_learned() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    latch.describe(None, [None, Some(at(NAT).ip())]);
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    goes_to(&latch, NAT);
    describe(&mut latch, "10.0.0.5:4000");
    goes_to(&latch, NAT);
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    goes_to(&latch, NAT);
    assert!(!latch.hear(NOW, at(OTHER_PORT), rtp(2)), "as before the hold");
}

/// Once: the next one is somebody else, also where the hold is said again.
#[test]
fn who_says_no_address_any_more_may_speak_from_another() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    let unsaid = [None, Some(at(NAT).ip())];
    latch.describe(None, unsaid);
    assert!(!latch.hear(NOW, at("198.51.100.66:4000"), rtp(2)), "no stranger");
    latch.describe(None, unsaid);
    assert!(latch.hear(NOW, at(OTHER_PORT), rtp(2)));
    goes_to(&latch, OTHER_PORT);
    assert!(!latch.hear(NOW, at(NAT), rtp(1)));
    latch.describe(None, unsaid);
    assert!(!latch.hear(NOW, at(NAT), rtp(1)));
    goes_to(&latch, OTHER_PORT);
}

#[test]
fn a_refused_re_offer_gives_the_winner_back() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4002");
    latch.hear(after(2), at(NAT), rtp(1));
    describe(&mut latch, "10.0.0.5:4000");
    goes_to(&latch, NAT);
    assert!(!latch.hear(after(3), at(OTHER_PORT), rtp(1)), "it was not silent");
}

#[test]
fn who_spoke_before_the_first_description_stays_if_it_accepts_him() {
    let mut latch = Latch::new(LatchMode::Signalled);
    latch.describe(None, [Some(at(NAT).ip()), None]);
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    describe(&mut latch, "10.0.0.5:4000");
    goes_to(&latch, NAT);
    latch = Latch::new(LatchMode::Signalled);
    latch.describe(None, [Some(at(NAT).ip()), None]);
    latch.hear(NOW, at(NAT), rtp(1));
    latch.describe(Some(at("192.0.2.7:4000")), [Some(at("192.0.2.7:0").ip()), None]);
    goes_to(&latch, "192.0.2.7:4000");
}

/// Two telephones behind different NATs, or one whose NAT has another address now,
/// may say the very same of themselves: a repeated description does not keep somebody
/// whom it no longer accepts from being followed.
#[test]
fn who_is_no_longer_acceptable_yields_to_who_is() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    let (private, elsewhere) = (at("10.0.0.5:4000"), at("198.51.100.7:40000"));
    latch.describe(Some(private), [Some(private.ip()), Some(elsewhere.ip())]);
    goes_to(&latch, NAT);
    assert!(latch.hear(NOW, at(NAT), rtp(1)), "until another comes");
    assert!(latch.hear(NOW, elsewhere, rtp(2)));
    goes_to(&latch, "198.51.100.7:40000");
    assert!(!latch.hear(NOW, at(NAT), rtp(1)));
}

#[test]
fn garbage_never_latches() {
    let mut latch = latch(LatchMode::First);
    assert!(latch.hear(NOW, at("198.51.100.66:1"), Packet::Other), "nobody has spoken yet");
    goes_to(&latch, "10.0.0.5:4000");
    latch.hear(NOW, at("10.0.0.5:4000"), rtp(1));
    assert!(!latch.hear(NOW, at("198.51.100.66:1"), Packet::Other));
}

#[test]
fn a_strangers_garbage_is_refused_before_anybody_has_spoken() {
    let mut latch = latch(LatchMode::Signalled);
    assert!(!latch.hear(NOW, at("198.51.100.66:1"), Packet::Other));
    assert!(latch.hear(NOW, at(NAT), Packet::Other));
    goes_to(&latch, "10.0.0.5:4000");
}

/// No packet could be sent there.
#[test]
fn port_zero_never_latches() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at("203.0.113.9:0"), rtp(1));
    goes_to(&latch, "10.0.0.5:4000");
}

#[test]
fn a_flood_of_stun_or_dtls_moves_nothing_and_media_displaces_it() {
    let mut latch = latch(LatchMode::Signalled);
    latch.hear(NOW, at(NAT), rtp(1));
    for _ in 0..1000 {
        assert!(!latch.hear(NOW + SILENCE * 2, at("203.0.113.9:40002"), Packet::Setup));
        assert!(latch.hear(NOW, at("10.0.0.5:4000"), Packet::Setup), "let in");
    }
    goes_to(&latch, NAT);
    // Before any media, DTLS-SRTP needs a way; media then finds its own.
    describe(&mut latch, "10.0.0.5:4002");
    assert!(latch.hear(NOW, at("203.0.113.9:1"), Packet::Setup));
    goes_to(&latch, "203.0.113.9:1");
    assert!(latch.hear(NOW, at("10.0.0.5:4002"), Packet::Setup));
    goes_to(&latch, "10.0.0.5:4002");
    assert!(latch.hear(NOW, at("203.0.113.9:40004"), rtp(1)));
    goes_to(&latch, "203.0.113.9:40004");
}

#[test]
fn first_takes_anybody_once() {
    let mut latch = latch(LatchMode::First);
    assert!(latch.hear(NOW, at("198.51.100.66:1"), rtp(1)));
    goes_to(&latch, "198.51.100.66:1");
    assert!(!latch.hear(NOW, at("198.51.100.67:1"), rtp(1)));
    assert!(latch.hear(NOW, at("10.0.0.5:4000"), rtp(2)), "the described one wins");
}

#[test]
fn off_never_moves_but_lets_asymmetric_clients_in() {
    let mut latch = latch(LatchMode::Off);
    assert!(latch.hear(NOW, at(NAT), rtp(1)));
    assert!(latch.hear(NOW, at("10.0.0.5:9"), rtp(1)));
    assert!(!latch.hear(NOW, at("198.51.100.66:1"), rtp(1)));
    goes_to(&latch, "10.0.0.5:4000");
}

#[test]
fn nobody_is_let_in_before_anything_is_known() {
    assert!(!Latch::new(LatchMode::Signalled).hear(NOW, at(NAT), rtp(1)));
    assert!(!Latch::new(LatchMode::Off).hear(NOW, at(NAT), rtp(1)));
}

#[test]
fn the_scope_of_a_link_local_address_is_learned() {
    let mut latch = Latch::new(LatchMode::Signalled);
    let described = at("[fe80::7]:4000");
    latch.describe(Some(described), [Some(described.ip()), None]);
    let scoped = at("[fe80::7%3]:4000");
    assert!(latch.hear(NOW, scoped, rtp(1)));
    assert_eq!(latch.destination(), Some(scoped));
}

#[test]
fn a_speaker_is_who_won_by_media() {
    let mut latch = latch(LatchMode::Signalled);
    assert_eq!(latch.speaker(), None);
    latch.hear(NOW, at(NAT), Packet::Setup);
    assert_eq!((latch.speaker(), latch.learned()), (None, Some(at(NAT))));
    latch.hear(NOW, at(NAT), rtp(1));
    assert_eq!(latch.speaker(), Some(at(NAT)));
    latch.hear(NOW, at("10.0.0.5:4000"), rtp(1));
    assert_eq!(latch.speaker(), Some(at("10.0.0.5:4000")));
    describe(&mut latch, "10.0.0.5:4002");
    assert_eq!(latch.speaker(), None);
}
