//! What re-INVITEs and UPDATEs change of a call that stands (RFC 3264 §8, RFC 3311):
//! each description moves its sender's media and nobody else's. Every packet is
//! counted, in both directions, and by callers of both families.

use crate::harness::PATIENCE;
use crate::harness::media::{Bridge, Described, Media};
use crate::harness::message::{Message, unique};
use crate::harness::namespace::isolated;
use crate::harness::talk::{CALLEE, CALLER, EITHER, Scene, Talk, description, section};

/// A re-INVITE moves the media of its sender, and of nobody else.
#[test]
fn either_party_moves_by_reinvite() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for (by, port) in [(CALLER, 42000), (CALLEE, 42100), (CALLER, 42200)] {
                talk.move_media(by, port);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
            talk.end(CALLEE);
        });
    });
}

#[test]
fn either_party_moves_by_update() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            for (by, port) in [(CALLEE, 42000), (CALLER, 42100)] {
                talk.assert_talks();
                talk.move_media(by, port);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.update(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
            }
            talk.assert_talks();
        });
    });
}

/// The answer of a re-INVITE may move the leg of who answers.
#[test]
fn the_answer_moves_its_sender() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            talk.move_media(CALLEE, 42000);
            let (offer, answer) = (talk.description(CALLER), talk.description(CALLEE));
            let exchanged = talk.reinvite(CALLER, &offer, &answer);
            talk.assert_same_ports(CALLER, &exchanged);
            talk.assert_talks();
        });
    });
}

/// A re-INVITE without a description asks for an offer; the ACK answers it.
#[test]
fn a_late_offer_within_the_call() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                talk.move_media(by, 42000 + 100 * u16::try_from(by).unwrap());
                talk.move_media(1 - by, 43000 + 100 * u16::try_from(by).unwrap());
                let invite = talk.request(by, "INVITE", None);
                let offer = talk.respond(by, &invite, 200, &talk.description(1 - by));
                let answer = talk.ack(by, &invite.0, Some(&talk.description(by)));
                talk.assert_same_ports(by, &[answer, offer]);
                talk.assert_talks();
            }
        });
    });
}

/// Hold by direction attributes: who holds plays music, who is held is silent.
#[test]
fn hold_and_resume_by_direction() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                for (held, holds) in [("sendonly", "recvonly"), ("inactive", "inactive")] {
                    let [offer, answer] =
                        [(by, held), (1 - by, holds)].map(|(of, direction)| with(&talk, of, &[direction]));
                    let [offer, answer] = talk.reinvite(by, &offer, &answer);
                    assert!(offer.body.contains(&format!("a={held}\r\n")), "{offer}");
                    assert!(answer.body.contains(&format!("a={holds}\r\n")), "{answer}");
                    assert_music(&talk, by);
                    let (offer, answer) = (with(&talk, by, &["sendrecv"]), talk.description(1 - by));
                    let exchanged = talk.reinvite(by, &offer, &answer);
                    talk.assert_same_ports(by, &exchanged);
                    talk.assert_talks();
                }
            }
        });
    });
}

/// Hold as RFC 2543 has it: the unspecified address of each family is the other's.
#[test]
fn hold_and_resume_by_address() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                let is_six = talk.parties[by].media.described.is_ipv6();
                let (here, there) = if is_six { ("::", "0.0.0.0") } else { ("0.0.0.0", "::") };
                let offer = description(here.parse().unwrap(), &[section("audio", &talk.parties[by].media, &[])]);
                let answer = talk.description(1 - by);
                let [offer, answer] = talk.reinvite(by, &offer, &answer);
                assert_eq!(Described::of(&offer).rtp.ip().to_string(), there, "{offer}");
                assert_eq!(Described::of(&answer), talk.ends[by].told);
                assert_music(&talk, by);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
        });
    });
}

/// What the holding party sends is heard.
fn assert_music(talk: &Talk, by: usize) {
    let music = unique("music ");
    for number in 0..5 {
        talk.parties[by].media.send_rtp(&music, number, talk.ends[by].told);
    }
    for number in 0..5 {
        talk.parties[1 - by].media.expect_rtp(&talk.parties[by].media, &music, number, talk.ends[1 - by].told);
    }
}

/// The description of a party's one stream with attributes.
fn with(talk: &Talk, of: usize, attributes: &[&str]) -> String {
    let media = &talk.parties[of].media;
    description(media.described, &[section("audio", media, attributes)])
}

#[test]
fn the_codec_changes() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            let opus = ["rtpmap:96 opus/48000/2", "fmtp:96 useinbandfec=1", "ptime:20"];
            for by in EITHER {
                let [offer, answer] =
                    [by, 1 - by].map(|of| with(&talk, of, &opus).replace("RTP/AVP 0", "RTP/AVP 96 8"));
                let exchanged = talk.reinvite(by, &offer, &answer);
                for message in &exchanged {
                    assert!(message.body.contains(" RTP/AVP 96 8\r\na=rtpmap:96 opus/48000/2\r\n"), "{message}");
                }
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
        });
    });
}

/// A fax begins: the one stream becomes T.38, and audio again (RFC 3362, RFC 3264 §8.3.3).
#[test]
fn audio_becomes_fax_and_audio_again() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                let fax = [by, 1 - by].map(|of| with(&talk, of, &["T38FaxVersion:0"]).replace("m=audio", "m=image"));
                let [offer, answer] = fax.map(|text| text.replace("RTP/AVP 0", "udptl t38"));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                assert_fax(&talk.parties[0].media, talk.ends[0].told, &talk.parties[1].media, talk.ends[1].told);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
            }
        });
    });
}

/// A fax as a stream of its own, while the audio rests with port 0.
#[test]
fn a_fax_beside_resting_audio() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            let faxes = [44000, 45000].into_iter().zip(&talk.parties);
            let faxes: Vec<Media> = faxes.map(|(port, party)| Media::bind(party.media.described, port)).collect();
            let fax = |of: usize| format!("m=image {} udptl t38\r\n", faxes[of].address().port());
            let both = |talk: &Talk, of: usize| {
                description(talk.parties[of].media.described, &["m=audio 0 RTP/AVP 0\r\n".to_owned(), fax(of)])
            };
            let (offer, answer) = (both(&talk, CALLEE), both(&talk, CALLER));
            let [offer, answer] = talk.reinvite(CALLEE, &offer, &answer).map(|message| Described::all(&message));
            assert_eq!((offer[0].rtp.port(), answer[0].rtp.port()), (0, 0), "port 0 stays 0");
            assert_fax(&faxes[CALLER], offer[1], &faxes[CALLEE], answer[1]);
            let back = |talk: &Talk, of: usize| {
                let audio = section("audio", &talk.parties[of].media, &[]);
                description(talk.parties[of].media.described, &[audio, "m=image 0 udptl t38\r\n".to_owned()])
            };
            let (offer, answer) = (back(&talk, CALLEE), back(&talk, CALLER));
            let exchanged = talk.reinvite(CALLEE, &offer, &answer);
            talk.assert_same_ports(CALLEE, &exchanged);
            talk.assert_talks();
        });
    });
}

/// UDPTL datagrams (ITU-T T.38 §9.1) go both ways.
fn assert_fax(one: &Media, told_one: Described, other: &Media, told_other: Described) {
    for number in 0..5u8 {
        let packet = [0, number, 1, 6, 0xc0, 0x01, 0x80, 0, 0, 0xff];
        one.send_bytes(&packet, told_one.rtp);
        assert_eq!(other.receive_rtp_within(PATIENCE), Some((packet.to_vec(), told_other.rtp)));
        other.send_bytes(&packet, told_other.rtp);
        assert_eq!(one.receive_rtp_within(PATIENCE), Some((packet.to_vec(), told_one.rtp)));
    }
}

/// A second stream is added, refused, added again, removed, and its place used again.
#[test]
fn a_stream_comes_and_goes() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            let videos: Vec<Media> = talk
                .parties
                .iter()
                .zip([44000, 45000])
                .map(|(party, port)| Media::bind(party.media.described, port))
                .collect();
            let two = |talk: &Talk, of: usize, second: &str| {
                let audio = section("audio", &talk.parties[of].media, &[]);
                let second = if second == "refused" {
                    "m=video 0 RTP/AVP 31\r\n".to_owned()
                } else {
                    section(second, &videos[of], &[])
                };
                description(talk.parties[of].media.described, &[audio, second])
            };
            let change = |talk: &mut Talk, by: usize, asked: &str, granted: &str| {
                let (offer, answer) = (two(talk, by, asked), two(talk, 1 - by, granted));
                let exchanged = talk.reinvite(by, &offer, &answer);
                talk.assert_same_ports(by, &exchanged);
                talk.assert_talks();
                second_streams(by, &exchanged)
            };
            // Refused by the other party.
            let refused = change(&mut talk, CALLER, "video", "refused");
            assert_eq!(refused[CALLER].rtp.port(), 0);
            // Accepted the second time, which the other party asks for.
            let accepted = change(&mut talk, CALLEE, "video", "video");
            assert_eq!(accepted[CALLEE], refused[CALLEE], "what was offered to the callee has its ports");
            assert_carries(&videos, &accepted);
            // Removed, by who did not ask for it.
            let removed = change(&mut talk, CALLER, "refused", "refused");
            assert_eq!(removed.map(|told| told.rtp.port()), [0, 0]);
            // Its place is used again, for something else.
            let reused = change(&mut talk, CALLER, "text", "text");
            assert_eq!(reused, accepted, "the place has its ports");
            assert_carries(&videos, &reused);
        });
    });
}

/// Where each party was told to send its second stream.
fn second_streams(by: usize, exchanged: &[Message; 2]) -> [Described; 2] {
    let [offer, answer] = [&exchanged[0], &exchanged[1]].map(|message| Described::all(message)[1]);
    if by == CALLER { [answer, offer] } else { [offer, answer] }
}

fn assert_carries(media: &[Media], told: &[Described; 2]) {
    let bridge = Bridge { one: (&media[0], told[0]), other: (&media[1], told[1]) };
    bridge.assert_carries(5);
}
