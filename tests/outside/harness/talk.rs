//! A call that changes: any request within the dialog, by either party.

use std::net::IpAddr;

use super::agent::{Received, response_to};
use super::call::{End, establish};
use super::daemon::Daemon;
use super::media::{Bridge, Described, Media};
use super::message::{Message, unique};
use super::party::Party;
use super::picture::{F1, LISTEN4, P1, X6};

/// The caller, as an index of what a [`Talk`] has two of.
pub const CALLER: usize = 0;
/// The callee.
pub const CALLEE: usize = 1;
/// Who may begin a change.
pub const EITHER: [usize; 2] = [CALLER, CALLEE];

/// Two parties at a daemon of their own: one on each side.
pub struct Scene {
    /// The daemon.
    pub daemon: Daemon,
    /// Caller and callee.
    pub parties: [Party; 2],
    /// What the caller dials.
    pub uri: &'static str,
    /// Where it sends that.
    pub proxy: &'static str,
}

impl Scene {
    /// A generic IPv6 party calls an IPv4 phone.
    pub fn six_to_four(options: &[&str]) -> Self {
        let daemon = Daemon::start_with(options);
        let parties = [Party::new("bob", X6, 40000), Party::new("alice", P1, 30000)];
        Self { daemon, parties, uri: "sip:alice@[2001:db8::101]", proxy: F1 }
    }

    /// The phone calls back.
    pub fn four_to_six(options: &[&str]) -> Self {
        let daemon = Daemon::start_with(options);
        let parties = [Party::new("alice", P1, 30000), Party::new("bob", X6, 40000)];
        Self { daemon, parties, uri: "sip:bob@[2001:db8:9::55]:5062", proxy: LISTEN4 }
    }

    /// Runs a test once in each direction.
    pub fn both_ways(test: impl Fn(Self)) {
        test(Self::six_to_four(&[]));
        test(Self::four_to_six(&[]));
    }

    /// A call that stands.
    pub fn talk(self) -> Talk {
        let call = establish(&self.parties[CALLER], &self.parties[CALLEE], self.uri, self.proxy);
        Talk { daemon: self.daemon, parties: self.parties, ends: [call.caller, call.callee] }
    }

    /// Sends an INVITE as the caller, and gives it as the callee got it.
    pub fn invite(&self, invite: &Message) -> Received {
        self.parties[CALLER].agent.send(invite, self.proxy);
        self.parties[CALLEE].agent.receive_request("INVITE")
    }
}

/// A call that stands, of which all can change.
pub struct Talk {
    /// The daemon.
    pub daemon: Daemon,
    /// Caller and callee.
    pub parties: [Party; 2],
    /// Their sides of the dialog.
    pub ends: [End; 2],
}

impl Talk {
    /// Sends a request within the dialog, and gives it as sent and as received.
    pub fn request(&mut self, by: usize, method: &str, body: Option<&str>) -> (Message, Received) {
        let (party, dialog) = (&self.parties[by], &mut self.ends[by].dialog);
        let request = dialog.request(&party.agent, method);
        let request = match body {
            Some(body) => request.with_sdp(body.to_owned()),
            None => request.without_body(),
        };
        dialog.send(&party.agent, &request);
        let received = self.parties[1 - by].agent.receive_request(method);
        self.ends[1 - by].dialog.assert_owns(&received);
        (request, received)
    }

    /// Answers a request of `by`; the response as it came to `by`.
    pub fn respond(&self, by: usize, (request, received): &(Message, Received), status: u16, body: &str) -> Message {
        let other = &self.parties[1 - by];
        let response = response_to(&received.message, status, "Because", "");
        let response = response.with("Contact", &other.contact);
        let response = if body.is_empty() { response.without_body() } else { response.with_sdp(body.to_owned()) };
        other.agent.respond(received, &response);
        self.parties[by].agent.receive_response(status, request).message
    }

    /// The ACK of a 2xx to a re-INVITE, with a body or without.
    pub fn ack(&self, by: usize, invite: &Message, body: Option<&str>) -> Message {
        let (party, dialog) = (&self.parties[by], &self.ends[by].dialog);
        let mut ack = dialog.ack(&party.agent, invite);
        if let Some(body) = body {
            ack.fields.retain(|(name, _)| name != "Content-Length");
            ack = ack.with_sdp(body.to_owned());
        }
        dialog.send(&party.agent, &ack);
        self.parties[1 - by].agent.receive_request("ACK").message
    }

    /// A re-INVITE, its 200 and ACK. The descriptions as they came: the offer
    /// at the other party, the answer at `by`.
    pub fn reinvite(&mut self, by: usize, offer: &str, answer: &str) -> [Message; 2] {
        let invite = self.request(by, "INVITE", Some(offer));
        let answered = self.respond(by, &invite, 200, answer);
        self.ack(by, &invite.0, None);
        [invite.1.message, answered]
    }

    /// An UPDATE and its 200, likewise.
    pub fn update(&mut self, by: usize, offer: &str, answer: &str) -> [Message; 2] {
        let update = self.request(by, "UPDATE", Some(offer));
        let answered = self.respond(by, &update, 200, answer);
        [update.1.message, answered]
    }

    /// A re-INVITE that is refused, and the ACK of that.
    pub fn refused(&mut self, by: usize, offer: &str, status: u16) {
        let invite = self.request(by, "INVITE", Some(offer));
        self.respond(by, &invite, status, "");
        self.ack_refusal(by, &invite.0);
    }

    /// The ACK of a refused re-INVITE goes the way of the INVITE.
    pub fn ack_refusal(&self, by: usize, invite: &Message) {
        let mut ack = super::call::follow_up("ACK", invite);
        for route in invite.all("Route") {
            ack = ack.with("Route", route);
        }
        self.ends[by].dialog.send(&self.parties[by].agent, &ack);
        self.parties[1 - by].agent.receive_request("ACK");
    }

    /// The present description of a party's one stream.
    pub fn description(&self, of: usize) -> String {
        self.parties[of].media.description()
    }

    /// Lets a party receive at another port from its next description on.
    pub fn move_media(&mut self, of: usize, port: u16) {
        let party = &mut self.parties[of];
        let ip = party.media.described;
        party.media = party.media.moved_to(ip, port);
    }

    /// Both ends, each with where it was told to send.
    pub fn bridge(&self) -> Bridge<'_> {
        Bridge {
            one: (&self.parties[CALLER].media, self.ends[CALLER].told),
            other: (&self.parties[CALLEE].media, self.ends[CALLEE].told),
        }
    }

    /// Asserts that RTP and RTCP go each way, every packet of them.
    pub fn assert_talks(&self) {
        self.bridge().assert_carries(5);
    }

    /// Asserts that these descriptions, as an exchange begun by `by` brought
    /// them to each party, name the ports that the first stream had before.
    pub fn assert_same_ports(&self, by: usize, [offer, answer]: &[Message; 2]) {
        assert_eq!(Described::of(offer), self.ends[1 - by].told, "ports stay with their stream:\n{offer}");
        assert_eq!(Described::of(answer), self.ends[by].told, "ports stay with their stream:\n{answer}");
    }

    /// BYE and its 200.
    pub fn end(&mut self, by: usize) {
        let bye = self.request(by, "BYE", None);
        self.respond(by, &bye, 200, "");
    }
}

/// A description at `ip` of these sections, each an `m=` line and what belongs to it.
pub fn description(ip: IpAddr, sections: &[String]) -> String {
    let family = if ip.is_ipv6() { "IP6" } else { "IP4" };
    let version = unique("");
    let head = format!("v=0\r\no=phone 7 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n");
    head + &sections.concat()
}

/// The section of an RTP stream at `media`, with these attributes.
pub fn section(kind: &str, media: &Media, attributes: &[&str]) -> String {
    let attributes: String = attributes.iter().map(|attribute| format!("a={attribute}\r\n")).collect();
    format!("m={kind} {} RTP/AVP 0\r\n{attributes}", media.address().port())
}
