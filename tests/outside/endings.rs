//! When the media of a call ends, and when it does not: by BYE, failure or silence.

use std::thread;
use std::time::Duration;

use crate::harness::agent::{Received, response_to};
use crate::harness::call::{answer, follow_up, refuse, ring, ring_with};
use crate::harness::media::Described;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::talk::{CALLEE, CALLER, EITHER, Scene, Talk, description, section};

/// Timers that are over soon, but for those that are not under test; not so soon that
/// a test that is held up for a moment seems to be silent.
const SHORT: [&str; 6] = ["--rtp-timeout", "3", "--ringing-timeout", "60", "--hold-timeout", "60"];

/// Longer than the short timers, however late they are looked after.
const LONGER: Duration = Duration::from_millis(5500);

/// A BYE ends the media at once, whatever is said to it.
#[test]
fn a_bye_ends_it_whatever_the_answer() {
    isolated(|| {
        for (by, role) in [(CALLER, "caller"), (CALLEE, "callee")] {
            for status in [Some(200), Some(481), Some(500), None] {
                Scene::both_ways(|scene| {
                    let mut talk = scene.talk();
                    talk.assert_talks();
                    let bye = talk.request(by, "BYE", None);
                    if let Some(status) = status {
                        talk.respond(by, &bye, status, "");
                    }
                    talk.daemon.await_line(&format!("call ended: the {role} hung up"));
                    assert_closed(&talk);
                });
            }
        }
    });
}

/// Whoever stops the proxy reads what became of the calls.
#[test]
fn the_end_of_the_proxy_is_told_of_each_call() {
    isolated(|| {
        for signal in ["TERM", "INT"] {
            Scene::both_ways(|scene| {
                let mut talk = scene.talk();
                talk.assert_talks();
                talk.daemon.signal(signal);
                let ended = talk.daemon.await_line("call ended: this proxy was stopped");
                assert!(ended.contains("both parties sent media"), "{ended}");
                talk.daemon.await_line("stopped calls_cut_off=1");
                assert!(talk.daemon.wait().success());
            });
        }
    });
}

/// Nobody listens at the relay's ports any more.
fn assert_closed(talk: &Talk) {
    for end in &talk.ends {
        let file = if end.told.rtp.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
        let port = format!(":{:04X} ", end.told.rtp.port());
        let sockets = std::fs::read_to_string(file).unwrap();
        assert!(!sockets.contains(&port), "{} is still open:\n{sockets}", end.told.rtp);
    }
}

/// What a response says of the call counts, whatever is wrong with its description.
#[test]
fn a_refusal_with_a_description_that_nobody_can_read_ends_it() {
    isolated(|| {
        Scene::both_ways(|mut scene| {
            let [caller, callee] = &scene.parties;
            let ringing = ring(caller, callee, scene.uri, scene.proxy);
            let busy = response_to(&ringing.received.message, 486, "Busy Here", &ringing.to_tag);
            callee.agent.respond(&ringing.received, &busy.with_sdp("v=0\r\nm=audio x RTP/AVP 0\r\n".to_owned()));
            caller.agent.receive_response(486, &ringing.invite);
            scene.daemon.await_line("not accepted by the callee (486)");
        });
    });
}

/// Knowing the Call-ID is not enough.
#[test]
fn a_bye_of_another_dialog_ends_nothing() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                let (local, remote) = (talk.ends[by].dialog.local.clone(), talk.ends[by].dialog.remote.clone());
                for (from, to) in [(format!("{local}x"), remote.clone()), (local.clone(), format!("{remote}x"))] {
                    let bye = talk.ends[by].dialog.request(&talk.parties[by].agent, "BYE").without_body();
                    let bye = bye.replacing("From", &from).replacing("To", &to);
                    talk.ends[by].dialog.send(&talk.parties[by].agent, &bye);
                    let received = talk.parties[1 - by].agent.receive_request("BYE");
                    talk.respond(by, &(bye, received), 481, "");
                    talk.assert_talks();
                }
            }
            talk.end(CALLER);
        });
    });
}

#[test]
fn a_failure_ends_it() {
    isolated(|| {
        for (status, words) in [
            (486, "call ended: not accepted by the callee (486)"),
            (603, "call ended: not accepted by the callee (603)"),
            (487, "call ended: the caller gave up (487)"),
            (407, "call ended: asked for a password (407) verdict=the caller calls again if it has one; "),
        ] {
            Scene::both_ways(|mut scene| {
                let [caller, callee] = &scene.parties;
                let ringing = ring(caller, callee, scene.uri, scene.proxy);
                refuse(caller, callee, &ringing, status, "Because");
                scene.daemon.await_line(words);
            });
        }
    });
}

/// A CANCEL that comes too late: the callee answers all the same.
#[test]
fn a_cancel_alone_ends_nothing() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let [caller, callee] = &scene.parties;
            let ringing = ring(caller, callee, scene.uri, scene.proxy);
            let cancel = follow_up("CANCEL", &ringing.invite);
            caller.agent.send(&cancel, scene.proxy);
            let received = callee.agent.receive_request("CANCEL");
            callee.respond(&received, 200, "OK", &ringing.to_tag);
            caller.agent.receive_response(200, &cancel);
            answer(caller, callee, &ringing).assert_talks(caller, callee, 5);
        });
    });
}

/// A challenge ends the first attempt; the second one has a session again.
#[test]
fn a_challenged_call_is_made_again() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let [caller, callee] = &scene.parties;
            let ringing = ring(caller, callee, scene.uri, scene.proxy);
            refuse(caller, callee, &ringing, 407, "Proxy Authentication Required");
            let mut again = ringing.invite.replacing("CSeq", "2 INVITE").replacing("Via", &caller.agent.via());
            again.fields.retain(|(name, _)| !name.starts_with("Content"));
            let again = again.with("Proxy-Authorization", "Digest username=\"x\"").with_sdp(caller.media.description());
            let ringing = ring_with(caller, callee, again, scene.proxy);
            answer(caller, callee, &ringing).assert_talks(caller, callee, 5);
        });
    });
}

#[test]
fn silence_ends_a_call_of_which_nothing_is_heard() {
    isolated(|| {
        let talk = Scene::six_to_four(&SHORT).talk();
        talk.assert_talks();
        let mut talk = talk;
        talk.daemon.await_line("call ended: silence for ");
        assert_closed(&talk);
    });
}

/// Only one party is heard, by RTP or just by RTCP: that is a call.
#[test]
fn a_call_of_which_one_party_is_heard_goes_on() {
    isolated(|| {
        for by in EITHER {
            let mut talk = Scene::six_to_four(&SHORT).talk();
            for number in 0..LONGER.as_millis() / 250 {
                let number = u16::try_from(number).unwrap();
                let (here, there) = (&talk.parties[by].media, &talk.parties[1 - by].media);
                here.send_rtcp("one-sided", number, talk.ends[by].told);
                there.expect_rtcp(here, "one-sided", number, talk.ends[1 - by].told);
                // The pace of the packets is what is tested.
                thread::sleep(Duration::from_millis(250));
            }
            talk.assert_talks();
            talk.end(by);
            let line = talk.daemon.await_line("call ended");
            assert!(line.contains("hung up"), "{line}");
        }
    });
}

#[test]
fn a_call_on_hold_has_a_timer_of_its_own() {
    isolated(|| {
        for by in EITHER {
            let mut talk = Scene::four_to_six(&SHORT).talk();
            talk.assert_talks();
            let media = &talk.parties[by].media;
            let offer = description(media.described, &[section("audio", media, &["inactive"])]);
            let answer = talk.description(1 - by);
            talk.reinvite(by, &offer, &answer);
            thread::sleep(LONGER);
            let (offer, answer) = (talk.description(by), talk.description(1 - by));
            let exchanged = talk.reinvite(by, &offer, &answer);
            talk.assert_same_ports(by, &exchanged);
            talk.assert_talks();
            // Resumed, it is as mortal as it was.
            talk.daemon.await_line("call ended: silence for ");
        }
    });
}

/// A call that rings is put off by provisional responses and by early media.
#[test]
fn ringing_lasts_while_something_comes() {
    isolated(|| {
        let mut scene = Scene::six_to_four(&["--ringing-timeout", "3"]);
        let invite = scene.parties[CALLER].invite(scene.uri);
        let received = scene.invite(&invite);
        let ports = progress(&scene, &invite, &received);
        for number in 0..8 {
            let [caller, callee] = &scene.parties;
            callee.media.send_rtp("early", number, Described::of(&received.message));
            caller.media.expect_rtp(&callee.media, "early", number, ports);
            thread::sleep(Duration::from_millis(600));
        }
        for _ in 0..8 {
            assert_eq!(progress(&scene, &invite, &received), ports);
            thread::sleep(Duration::from_millis(600));
        }
        let line = scene.daemon.await_line("call ended: silence for ");
        assert!(line.contains("never answered: it rang") && line.contains("only the callee sent media"), "{line}");
    });
}

/// A 183 with a description; where the caller is told to send.
fn progress(scene: &Scene, invite: &Message, received: &Received) -> Described {
    let [caller, callee] = &scene.parties;
    let response = response_to(&received.message, 183, "Session Progress", "early")
        .with("Contact", &callee.contact)
        .with_sdp(callee.media.description());
    callee.agent.respond(received, &response);
    Described::of(&caller.agent.receive_response(183, invite).message)
}
