//! Forked calls: several callees answer one INVITE, each with a To-tag of its
//! own (RFC 3261 §12.1, §16.7).

use crate::harness::agent::{Received, response_to};
use crate::harness::call::{End, follow_up};
use crate::harness::dialog::Dialog;
use crate::harness::media::{Bridge, Described, Media};
use crate::harness::message::{Message, unique};
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F2, P2};
use crate::harness::talk::{CALLEE, CALLER, Scene, Talk};

/// A call that a proxy behind the callee's address forks to two telephones.
struct Forked {
    scene: Scene,
    invite: Message,
    received: Received,
    telephones: [Media; 2],
    to_tags: [String; 2],
}

impl Forked {
    fn new(scene: Scene) -> Self {
        let six = scene.parties[CALLEE].media.described.is_ipv6();
        let addresses = if six { ["2001:db8:77::77", "2001:db8:66::66"] } else { ["203.0.113.9", "198.51.100.66"] };
        let telephones = addresses.map(|address| Media::bind(address.parse().unwrap(), 35000));
        let invite = scene.parties[CALLER].invite(scene.uri);
        let received = scene.invite(&invite);
        Self { scene, invite, received, telephones, to_tags: [unique("first"), unique("second")] }
    }

    /// A response of one telephone, as it was sent and as it came.
    fn respond(&self, which: usize, status: u16) -> [Message; 2] {
        let callee = &self.scene.parties[CALLEE];
        let response = response_to(&self.received.message, status, "Because", &self.to_tags[which]);
        let response = if status < 300 {
            response.with("Contact", &callee.contact).with_sdp(self.telephones[which].description())
        } else {
            response.without_body()
        };
        callee.agent.respond(&self.received, &response);
        let came = self.scene.parties[CALLER].agent.receive_response(status, &self.invite).message;
        [response, came]
    }

    /// The caller and one telephone.
    fn bridge<'a>(&'a self, which: usize, response: &Message) -> Bridge<'a> {
        let told = Described::of(&self.received.message);
        Bridge {
            one: (&self.scene.parties[CALLER].media, Described::of(response)),
            other: (&self.telephones[which], told),
        }
    }

    /// Early media of one telephone comes through to the caller.
    fn assert_caller_hears(&self, which: usize, response: &Message) {
        let (track, told) = (unique("early "), Described::of(&self.received.message));
        let caller = &self.scene.parties[CALLER].media;
        for number in 0..5 {
            self.telephones[which].send_rtp(&track, number, told);
        }
        for number in 0..5 {
            caller.expect_rtp(&self.telephones[which], &track, number, Described::of(response));
        }
    }

    /// The dialog of one telephone and of the caller with it.
    fn dialogs(&self, [sent, came]: &[Message; 2]) -> [Dialog; 2] {
        [Dialog::of_caller(&self.invite, came), Dialog::of_callee(&self.received.message, sent)]
    }

    /// The caller ends its dialog with one telephone.
    fn bye(&self, response: &[Message; 2]) {
        let [mut caller, callee] = self.dialogs(response);
        let agent = &self.scene.parties[CALLER].agent;
        let bye = caller.request(agent, "BYE").without_body();
        caller.send(agent, &bye);
        let received = self.scene.parties[CALLEE].agent.receive_request("BYE");
        callee.assert_owns(&received);
        self.scene.parties[CALLEE].respond(&received, 200, "OK", "");
        agent.receive_response(200, &bye);
    }
}

/// The newest description has the leg until the first 2xx, which keeps it.
#[test]
fn early_media_of_two_forks_and_the_first_answers() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let forked = Forked::new(scene);
            let [_, first] = forked.respond(0, 183);
            forked.bridge(0, &first).assert_carries(5);
            let [_, second] = forked.respond(1, 183);
            assert_eq!(Described::of(&second), Described::of(&first), "one stream, one pair of ports");
            forked.bridge(1, &second).assert_carries(5);
            let answered = forked.respond(0, 200);
            assert_eq!(Described::of(&answered[1]), Described::of(&first));
            forked.bridge(0, &answered[1]).assert_carries(5);
            // A later word of the other fork moves nothing any more.
            forked.respond(1, 180);
            forked.bridge(0, &answered[1]).assert_carries(5);
            forked.bye(&answered);
        });
    });
}

/// Early media of a fork that was described before is still heard while the
/// newer one is silent.
#[test]
fn the_older_fork_is_heard_until_the_newer_speaks() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let forked = Forked::new(scene);
            let [_, first] = forked.respond(0, 183);
            forked.assert_caller_hears(0, &first);
            let [_, second] = forked.respond(1, 183);
            forked.assert_caller_hears(0, &second);
            forked.assert_caller_hears(1, &second);
            forked.bridge(1, &second).assert_carries(5);
        });
    });
}

/// Two answers: the first keeps the media, and the BYE for the second does not
/// end it; once the first has hung up, the other has it.
#[test]
fn two_forks_answer() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let forked = Forked::new(scene);
            let first = forked.respond(0, 200);
            forked.bridge(0, &first[1]).assert_carries(5);
            let second = forked.respond(1, 200);
            forked.bridge(0, &first[1]).assert_carries(5);
            forked.bye(&second);
            forked.bridge(0, &first[1]).assert_carries(5);
            forked.bye(&first);
        });
    });
}

#[test]
fn the_fork_that_stays_has_the_media() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let forked = Forked::new(scene);
            let first = forked.respond(0, 200);
            forked.bridge(0, &first[1]).assert_carries(5);
            let second = forked.respond(1, 200);
            forked.bye(&first);
            forked.bridge(1, &second[1]).assert_carries(5);
            forked.bye(&second);
        });
    });
}

/// A proxy before us forks: two INVITEs of one call come through here, to two
/// phones. One answers, the other is cancelled; its 487 ends nothing.
#[test]
fn a_fork_before_the_proxy() {
    isolated(|| {
        let scene = Scene::six_to_four(&[]);
        let second = Party::new("second", P2, 32000);
        let invite = scene.parties[CALLER].invite(scene.uri);
        let mut other = invite.clone();
        other.start = "INVITE sip:second@[2001:db8::102] SIP/2.0".to_owned();
        let other = other.replacing("Via", &scene.parties[CALLER].agent.via());
        let received = scene.invite(&invite);
        scene.parties[CALLER].agent.send(&other, F2);
        let other_received = second.agent.receive_request("INVITE");
        assert_eq!(Described::of(&other_received.message), Described::of(&received.message), "one session");

        second.respond(&other_received, 180, "Ringing", "b");
        scene.parties[CALLER].agent.receive_response(180, &other);
        let sent = scene.parties[CALLEE].accept(&received, "a");
        let answer = scene.parties[CALLER].agent.receive_response(200, &invite).message;
        scene.parties[CALLER].agent.send(&follow_up("CANCEL", &other), F2);
        let cancel = second.agent.receive_request("CANCEL");
        second.respond(&cancel, 200, "OK", "b");
        scene.parties[CALLER].agent.receive();
        second.respond(&other_received, 487, "Request Terminated", "b");
        let refusal = scene.parties[CALLER].agent.receive_response(487, &other).message;
        let ack = follow_up("ACK", &other).replacing("To", refusal.value("To"));
        scene.parties[CALLER].agent.send(&ack, F2);
        second.agent.receive_request("ACK");

        let ends = [
            End { dialog: Dialog::of_caller(&invite, &answer), told: Described::of(&answer) },
            End { dialog: Dialog::of_callee(&received.message, &sent), told: Described::of(&received.message) },
        ];
        let mut talk = Talk { daemon: scene.daemon, parties: scene.parties, ends };
        talk.ack(CALLER, &invite, None);
        talk.assert_talks();
        talk.end(CALLER);
        let line = talk.daemon.await_line("call ended");
        assert!(line.contains("the caller hung up"), "{line}");
    });
}
