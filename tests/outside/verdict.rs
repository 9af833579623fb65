//! The log line at the end of a call names the fault that it had (README,
//! "Reading the log"): each test injects one.

use crate::harness::PATIENCE;
use crate::harness::call::ring;
use crate::harness::daemon::Daemon;
use crate::harness::kernel::await_read;
use crate::harness::media::{Described, Media};
use crate::harness::namespace::isolated;
use crate::harness::talk::{CALLEE, CALLER, Scene, Talk, description, section};

/// The verdict of the one call that ended.
fn verdict(daemon: &mut Daemon) -> String {
    let line = daemon.await_line("call ended");
    let text = line.split_once("verdict=").expect("the line has a verdict").1;
    text.split_once(" caller=").unwrap().0.to_owned()
}

/// Hangs up when all packets are read, and asserts what is said then.
fn assert_verdict(mut talk: Talk, words: &[&str]) {
    for end in &talk.ends {
        await_read(end.told.rtp);
        await_read(end.told.rtcp);
    }
    talk.end(CALLER);
    assert_says(&mut talk.daemon, words);
}

fn assert_says(daemon: &mut Daemon, words: &[&str]) {
    let text = verdict(daemon);
    for word in words {
        assert!(text.contains(word), "the verdict lacks `{word}`: {text}");
    }
}

/// So many packets, which nobody waits for.
fn send(media: &Media, numbers: impl IntoIterator<Item = u16>, to: Described) {
    for (sent, number) in numbers.into_iter().enumerate() {
        media.send_rtp("fault", number, to);
        // No more than any socket holds.
        if sent % 50 == 49 {
            await_read(to.rtp);
        }
    }
}

/// The next packets of a track arrive, so that all before them were relayed.
fn assert_heard(talk: &Talk, by: usize) {
    talk.parties[1 - by].media.send_rtp("marker", 9, talk.ends[1 - by].told);
    talk.parties[by].media.expect_rtp(&talk.parties[1 - by].media, "marker", 9, talk.ends[by].told);
}

#[test]
fn a_good_call_is_called_so() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            talk.end(CALLEE);
            assert_eq!(verdict(&mut talk.daemon), "both parties sent media");
            let line = talk.daemon.await_line("call ended: the callee hung up");
            let call_id = format!("call_id={}", talk.ends[CALLER].dialog.call_id);
            for part in [" duration=", "from_caller=10 packets, 1160 bytes, 0 lost, jitter ", &call_id] {
                assert!(line.contains(part), "no `{part}` in {line}");
            }
        });
    });
}

#[test]
fn a_callee_that_does_not_send() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let talk = scene.talk();
            assert_heard(&talk, CALLEE);
            let port = format!(
                "no packets from the callee: it does not send, or a firewall keeps it from UDP {}",
                talk.ends[CALLEE].told.rtp
            );
            assert_verdict(talk, &["only the caller sent media", &port]);
        });
    });
}

#[test]
fn a_caller_that_does_not_send() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let talk = scene.talk();
            assert_heard(&talk, CALLER);
            let port = talk.ends[CALLER].told.rtp.to_string();
            assert_verdict(talk, &["only the callee sent media; no packets from the caller", &port]);
        });
    });
}

#[test]
fn nobody_sends() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        let words = ["neither party sent media", "no packets from the caller", "no packets from the callee"];
        assert_verdict(talk, &words);
    });
}

/// A NAT of which nothing in the signalling tells.
#[test]
fn media_from_another_address() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        let elsewhere = Media::bind("203.0.113.9".parse().unwrap(), 50000);
        send(&elsewhere, 0..7, talk.ends[CALLEE].told);
        assert_heard(&talk, CALLEE);
        let words = [
            "only the caller sent media",
            "7 packets for the callee's port were refused by the latch",
            "203.0.113.9:50000",
        ];
        assert_verdict(talk, &words);
    });
}

#[test]
fn a_stranger_at_the_port_of_a_good_call() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        talk.assert_talks();
        let stranger = Media::bind("2001:db8:66::66".parse().unwrap(), 50000);
        send(&stranger, 0..30, talk.ends[CALLER].told);
        talk.assert_talks();
        let words = [
            "both parties sent media; 30 packets to the caller's port were refused by the latch, the last from [2001:db8:66::66]:50000",
        ];
        assert_verdict(talk, &words);
    });
}

/// Nobody listens where the callee wants its media.
#[test]
fn a_port_that_is_closed() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            let gone = talk.parties[CALLEE].media.address();
            talk.move_media(CALLEE, 47000);
            send(&talk.parties[CALLER].media, 10..20, talk.ends[CALLER].told);
            let came = format!("ICMP errors came back for {gone}, where the callee wants its media");
            assert_verdict(talk, &["only the caller sent media", "destination unreachable: ", &came]);
        });
    });
}

#[test]
fn an_address_without_a_route() {
    isolated(|| {
        let scene = Scene::six_to_four(&[]);
        let mut talk = scene.talk();
        let far = "203.0.113.200";
        let offer = talk.description(CALLEE).replace("192.0.2.101", far);
        let answer = talk.description(CALLER);
        talk.reinvite(CALLEE, &offer, &answer);
        send(&talk.parties[CALLER].media, 0..4, talk.ends[CALLER].told);
        let words = ["4 packets for the callee could not be sent from here, the last to 203.0.113.200:30000: Network"];
        assert_verdict(talk, &words);
    });
}

/// A generic party that wants media where its signalling is not, and nothing answers there.
#[test]
fn an_address_that_never_answers() {
    isolated(|| {
        let mut talk = Scene::six_to_four(&[]).talk();
        let victim = Media::bind("2001:db8:66::66".parse().unwrap(), 50000);
        let offer = description(victim.described, &[section("audio", &victim, &[])]);
        let answer = talk.description(CALLEE);
        talk.reinvite(CALLER, &offer, &answer);
        send(&talk.parties[CALLEE].media, 0..250, talk.ends[CALLEE].told);
        let words = ["50 packets for the caller were held back: its SIP does not come from [2001:db8:66::66]:50000"];
        assert_verdict(talk, &words);
    });
}

#[test]
fn an_address_that_media_may_not_go_to() {
    isolated(|| {
        let scene = Scene::six_to_four(&[]);
        let mut talk = scene.talk();
        let unusable = talk.description(CALLER).replace("2001:db8:9::55", "::1");
        let answer = talk.description(CALLEE);
        talk.reinvite(CALLER, &unusable, &answer);
        send(&talk.parties[CALLEE].media, 0..4, talk.ends[CALLEE].told);
        let words = ["4 packets for the caller had nowhere to go: it named no address that media may go to"];
        assert_verdict(talk, &words);
    });
}

#[test]
fn a_call_that_is_never_answered() {
    isolated(|| {
        let mut scene = Scene::four_to_six(&["--ringing-timeout", "3"]);
        ring(&scene.parties[CALLER], &scene.parties[CALLEE], scene.uri, scene.proxy);
        assert_says(
            &mut scene.daemon,
            &["never answered: it rang until nothing came any more", "neither party sent media"],
        );
        scene.daemon.await_line("call ended: silence for ");
    });
}

#[test]
fn a_call_that_was_forgotten_on_hold() {
    isolated(|| {
        let mut talk = Scene::four_to_six(&["--hold-timeout", "1"]).talk();
        talk.assert_talks();
        let media = &talk.parties[CALLEE].media;
        let offer = description(media.described, &[section("audio", media, &["inactive"])]);
        let answer = talk.description(CALLER);
        talk.reinvite(CALLEE, &offer, &answer);
        assert_says(&mut talk.daemon, &["both parties sent media; the callee had put the call on hold"]);
    });
}

#[test]
fn parties_that_vanish() {
    isolated(|| {
        let mut talk = Scene::six_to_four(&["--rtp-timeout", "3"]).talk();
        talk.assert_talks();
        let words = [" s before the end, without BYE", "the caller fell silent ", "the callee fell silent "];
        assert_says(&mut talk.daemon, &words);
    });
}

#[test]
fn a_lossy_way() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        send(&talk.parties[CALLEE].media, (0..101).filter(|number| number % 5 != 1), talk.ends[CALLEE].told);
        // The last of them has come.
        while let Some((packet, _)) = talk.parties[CALLER].media.receive_rtp_within(PATIENCE) {
            if packet[3] == 100 {
                break;
            }
        }
        assert_verdict(talk, &["% of what the callee sent was lost on its way here"]);
    });
}

#[test]
fn only_rtcp() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        let media = &talk.parties[CALLEE].media;
        media.send_rtcp("report", 1, talk.ends[CALLEE].told);
        talk.parties[CALLER].media.expect_rtcp(media, "report", 1, talk.ends[CALLER].told);
        assert_heard(&talk, CALLEE);
        assert_verdict(talk, &["only RTCP came from the callee, no RTP"]);
    });
}

#[test]
fn a_callee_that_refuses_all_media() {
    isolated(|| {
        let mut talk = Scene::six_to_four(&[]).talk();
        let offer = talk.description(CALLER);
        let answer = talk.description(CALLEE).replace("m=audio 30000", "m=audio 0");
        talk.reinvite(CALLER, &offer, &answer);
        assert_verdict(talk, &["neither party sent media; the callee refused or removed all media (port 0)"]);
    });
}
