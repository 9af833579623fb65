//! Where offers and answers may stand beside INVITE and 200, and how they fail
//! (RFC 3264, RFC 6337).

use crate::harness::agent::{Received, response_to};
use crate::harness::call::End;
use crate::harness::dialog::Dialog;
use crate::harness::media::{Bridge, Described};
use crate::harness::message::{Message, unique};
use crate::harness::namespace::isolated;
use crate::harness::talk::{CALLEE, CALLER, EITHER, Scene, Talk, description, section};

/// An early dialog: a reliable provisional response came (RFC 3262).
struct Early {
    scene: Scene,
    invite: Message,
    received: Received,
    to_tag: String,
    ends: [End; 2],
}

impl Early {
    /// INVITE and 183, each with a description.
    fn with_answer(scene: Scene) -> Self {
        let offer = scene.parties[CALLER].media.description();
        let answer = scene.parties[CALLEE].media.description();
        let (early, offer, answer) = Self::start(scene, Some(&offer), &answer);
        early.told([&answer, &offer])
    }

    /// INVITE, perhaps with an offer, and 183 with a description; both as they came.
    fn start(scene: Scene, offer: Option<&str>, body: &str) -> (Self, Message, Message) {
        let [caller, callee] = &scene.parties;
        let invite = caller.request("INVITE", scene.uri).with("Supported", "100rel");
        let invite = match offer {
            Some(offer) => invite.with_sdp(offer.to_owned()),
            None => invite.without_body(),
        };
        let received = scene.invite(&invite);
        let to_tag = unique("early");
        let progress = response_to(&received.message, 183, "Session Progress", &to_tag)
            .with("Contact", &callee.contact)
            .with("Require", "100rel")
            .with("RSeq", "1")
            .with_sdp(body.to_owned());
        callee.agent.respond(&received, &progress);
        let response = caller.agent.receive_response(183, &invite).message;
        let dialogs = [Dialog::of_caller(&invite, &response), Dialog::of_callee(&received.message, &progress)];
        let nowhere = "127.0.0.1:9".parse().unwrap();
        let ends = dialogs.map(|dialog| End { dialog, told: Described { rtp: nowhere, rtcp: nowhere } });
        let offer = received.message.clone();
        (Self { scene, invite, received, to_tag, ends }, offer, response)
    }

    fn told(mut self, messages: [&Message; 2]) -> Self {
        for (end, message) in self.ends.iter_mut().zip(messages) {
            end.told = Described::of(message);
        }
        self
    }

    /// As a call of which requests can be sent.
    fn talk(self) -> (Talk, impl FnOnce(&mut Talk, Option<&str>)) {
        let Self { scene, invite, received, to_tag, ends } = self;
        let talk = Talk { daemon: scene.daemon, parties: scene.parties, ends };
        let answer = move |talk: &mut Talk, body: Option<&str>| {
            let [caller, callee] = &talk.parties;
            let response = response_to(&received.message, 200, "OK", &to_tag).with("Contact", &callee.contact);
            let response = match body {
                Some(body) => response.with_sdp(body.to_owned()),
                None => response.without_body(),
            };
            callee.agent.respond(&received, &response);
            let response = caller.agent.receive_response(200, &invite).message;
            if body.is_some() {
                assert_eq!(Described::of(&response), talk.ends[CALLER].told, "ports stay with their stream");
            }
            talk.ack(CALLER, &invite, None);
        };
        (talk, answer)
    }
}

/// A PRACK; its RAck names the 183 (RFC 3262 §7.2).
fn prack(talk: &mut Talk, body: Option<&str>, answer: &str) -> [Message; 2] {
    let prack = talk.request(CALLER, "PRACK", body);
    [prack.1.message.clone(), talk.respond(CALLER, &prack, 200, answer)]
}

#[test]
fn a_late_offer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let [caller, callee] = &scene.parties;
            let invite = caller.request("INVITE", scene.uri).without_body();
            let received = scene.invite(&invite);
            let sent = callee.accept(&received, "late");
            let offer = caller.agent.receive_response(200, &invite).message;
            let dialog = Dialog::of_caller(&invite, &offer);
            let mut ack = dialog.ack(&caller.agent, &invite);
            ack.fields.retain(|(name, _)| name != "Content-Length");
            dialog.send(&caller.agent, &ack.with_sdp(caller.media.description()));
            let answer = callee.agent.receive_request("ACK").message;
            let ends = [
                End { dialog, told: Described::of(&offer) },
                End { dialog: Dialog::of_callee(&received.message, &sent), told: Described::of(&answer) },
            ];
            let mut talk = Talk { daemon: scene.daemon, parties: scene.parties, ends };
            talk.assert_talks();
            talk.end(CALLER);
        });
    });
}

/// Early media both ways, then the same after the answer, which has no description.
#[test]
fn early_media_goes_on_after_the_answer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let (mut talk, answer) = Early::with_answer(scene).talk();
            talk.assert_talks();
            prack(&mut talk, None, "");
            answer(&mut talk, None);
            talk.assert_talks();
            talk.end(CALLEE);
        });
    });
}

/// The caller offers again in PRACK: both parties move.
#[test]
fn prack_carries_an_offer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let (mut talk, answer) = Early::with_answer(scene).talk();
            talk.assert_talks();
            talk.move_media(CALLER, 42000);
            talk.move_media(CALLEE, 43000);
            let [offer, body] = [CALLER, CALLEE].map(|of| talk.description(of));
            let exchanged = prack(&mut talk, Some(&offer), &body);
            talk.assert_same_ports(CALLER, &exchanged);
            talk.assert_talks();
            answer(&mut talk, None);
            talk.assert_talks();
        });
    });
}

/// An offer in 183 is answered in PRACK.
#[test]
fn prack_carries_the_answer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let body = scene.parties[CALLEE].media.description();
            let (early, _, offer) = Early::start(scene, None, &body);
            let (mut talk, answer) = early.talk();
            let body = talk.description(CALLER);
            let [said, _] = prack(&mut talk, Some(&body), "");
            talk.ends[CALLER].told = Described::of(&offer);
            talk.ends[CALLEE].told = Described::of(&said);
            talk.assert_talks();
            answer(&mut talk, None);
            talk.assert_talks();
        });
    });
}

/// UPDATE in an early dialog, by each party (RFC 3311).
#[test]
fn update_before_the_answer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let (mut talk, answer) = Early::with_answer(scene).talk();
            talk.assert_talks();
            prack(&mut talk, None, "");
            for by in EITHER {
                talk.move_media(by, 42000 + 100 * u16::try_from(by).unwrap());
                let (offer, body) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.update(by, &offer, &body);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
            answer(&mut talk, None);
            talk.assert_talks();
        });
    });
}

/// A refused re-offer changes nothing in the end: not for who sent it, nor for the other.
#[test]
fn a_refused_reoffer_is_taken_back() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for (by, status) in [(CALLER, 488), (CALLEE, 488), (CALLER, 500), (CALLEE, 603)] {
                talk.refused(by, &elsewhere(&talk, by), status);
                talk.assert_talks();
                let update = talk.request(by, "UPDATE", Some(&elsewhere(&talk, by)));
                talk.respond(by, &update, status, "");
                talk.assert_talks();
            }
            talk.end(CALLER);
        });
    });
}

/// The description of a party that would move, and does not.
fn elsewhere(talk: &Talk, of: usize) -> String {
    talk.description(of).replace(&format!("m=audio {}", talk.parties[of].media.address().port()), "m=audio 47000")
}

/// Both re-offer at once; both are refused with 491, and one tries again (RFC 3261 §14.1).
#[test]
fn crossing_reinvites() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            let crossing = EITHER.map(|by| {
                let (party, body) = (&talk.parties[by], elsewhere(&talk, by));
                let dialog = &mut talk.ends[by].dialog;
                let request = dialog.request(&party.agent, "INVITE").with_sdp(body);
                dialog.send(&party.agent, &request);
                request
            });
            let received = EITHER.map(|by| talk.parties[1 - by].agent.receive_request("INVITE"));
            for (by, (request, received)) in EITHER.into_iter().zip(crossing.iter().zip(received)) {
                talk.respond(by, &(request.clone(), received), 491, "");
                talk.ack_refusal(by, request);
            }
            talk.assert_talks();
            talk.move_media(CALLEE, 42000);
            let [offer, answer] = [CALLEE, CALLER].map(|of| talk.description(of));
            let exchanged = talk.reinvite(CALLEE, &offer, &answer);
            talk.assert_same_ports(CALLEE, &exchanged);
            talk.assert_talks();
        });
    });
}

/// A retransmission is forwarded as it was, and says nothing new; nor does one
/// that comes after a newer description.
#[test]
fn retransmissions_change_nothing() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let [caller, callee] = &scene.parties;
            let invite = caller.invite(scene.uri);
            let received = scene.invite(&invite);
            assert_eq!(scene.invite(&invite).message, received.message);
            let sent = callee.accept(&received, "again");
            let answer = caller.agent.receive_response(200, &invite).message;
            callee.agent.respond(&received, &sent);
            assert_eq!(caller.agent.receive_response(200, &invite).message, answer);
            let ends = [
                End { dialog: Dialog::of_caller(&invite, &answer), told: Described::of(&answer) },
                End { dialog: Dialog::of_callee(&received.message, &sent), told: Described::of(&received.message) },
            ];
            let mut talk = Talk { daemon: scene.daemon, parties: scene.parties, ends };
            talk.ack(CALLER, &invite, None);
            talk.assert_talks();
            for of in EITHER {
                talk.move_media(of, 42000 + 100 * u16::try_from(of).unwrap());
            }
            let [offer, body] = [CALLER, CALLEE].map(|of| talk.description(of));
            let again = talk.request(CALLER, "INVITE", Some(&offer));
            let reanswered = talk.respond(CALLER, &again, 200, &body);
            assert_eq!(talk.respond(CALLER, &again, 200, &body).body, reanswered.body);
            talk.ack(CALLER, &again.0, None);
            talk.assert_talks();
            // What was said first arrives once more, late.
            talk.parties[CALLEE].agent.respond(&received, &sent);
            let late = talk.parties[CALLER].agent.receive_response(200, &invite).message;
            assert_eq!(late, answer);
            talk.assert_talks();
        });
    });
}

/// A party that has both families asks for media in the other one, and comes
/// back: what needs no relay passes as it is, and the ports are still there.
#[test]
fn the_family_of_one_party_changes() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                let other = &talk.parties[1 - by].media;
                // An address of the other party's family, which this one has too.
                let there = if other.described.is_ipv6() { "2001:db8:77::77" } else { "203.0.113.9" };
                let there = crate::harness::media::Media::bind(there.parse().unwrap(), 46000);
                let offer = description(there.described, &[section("audio", &there, &[])]);
                let answer = talk.description(1 - by);
                let [offer, answer] = talk.reinvite(by, &offer, &answer);
                assert_eq!(Described::of(&offer).rtp, there.address(), "passes untouched:\n{offer}");
                assert_eq!(
                    Described::of(&answer).rtp,
                    talk.parties[1 - by].media.address(),
                    "nor is its answer:\n{answer}"
                );
                let direct = Bridge {
                    one: (&there, Described::of(&answer)),
                    other: (&talk.parties[1 - by].media, Described::of(&offer)),
                };
                direct.assert_carries(3);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
        });
    });
}
