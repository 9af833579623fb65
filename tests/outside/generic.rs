//! A generic caller reaches a phone, and a phone a generic callee; every header field is looked
//! at, on both sides.

use crate::harness::agent::{Received, response_to};
use crate::harness::call::{End, establish};
use crate::harness::daemon::Daemon;
use crate::harness::dialog::Dialog;
use crate::harness::media::{Bridge, Described, Media};
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::pattern::{assert_list, assert_matches, assert_reads};
use crate::harness::picture::{F1, G4, LISTEN4, LISTEN6, P1, Q6, X4, X6};
use crate::harness::uri::address_of;

/// One way to read the worked example: who calls whom, and through what.
struct Example {
    /// The caller, with port.
    caller: &'static str,
    /// Its host in a URI, the same in an `s64=`, and bare.
    caller_host: &'static str,
    caller_written: &'static str,
    caller_bare: &'static str,
    caller_family: &'static str,
    /// The fake that it calls, with port, and its host in a URI.
    fake: &'static str,
    fake_host: &'static str,
    /// The phone behind it, with port, and its host.
    phone: &'static str,
    phone_host: &'static str,
    phone_family: &'static str,
    /// The listen address of the caller's side and that of the phone's, bare, then in a URI.
    near_bare: &'static str,
    far_bare: &'static str,
    far_host: &'static str,
    /// The same with port.
    far: &'static str,
}

/// As in `t/worked-example`.
const X6_TO_P1: Example = Example {
    caller: X6,
    caller_host: "[2001:db8:9::55]",
    caller_written: "2001-db8-9--55",
    caller_bare: "2001:db8:9::55",
    caller_family: "IP6",
    fake: F1,
    fake_host: "[2001:db8::101]",
    phone: P1,
    phone_host: "192.0.2.101",
    phone_family: "IP4",
    near_bare: "2001:db8::1",
    far_bare: "192.0.2.1",
    far_host: "192.0.2.1",
    far: LISTEN4,
};

/// Its mirror image: a generic IPv4 caller and a phone that has IPv6 only.
const X4_TO_Q6: Example = Example {
    caller: X4,
    caller_host: "198.51.100.9",
    caller_written: "198.51.100.9",
    caller_bare: "198.51.100.9",
    caller_family: "IP4",
    fake: G4,
    fake_host: "192.0.2.207",
    phone: Q6,
    phone_host: "[2001:db8:6::7]",
    phone_family: "IP6",
    near_bare: "192.0.2.1",
    far_bare: "2001:db8::1",
    far_host: "[2001:db8::1]",
    far: LISTEN6,
};

#[test]
fn the_worked_example_from_invite_to_bye() {
    isolated(|| X6_TO_P1.run());
}

#[test]
fn the_worked_example_from_ipv4_to_ipv6() {
    isolated(|| X4_TO_Q6.run());
}

impl Example {
    fn run(&self) {
        let mut daemon = Daemon::start();
        let bob = Party::new("bob", self.caller, 40000);
        let mut alice = Party::new("alice", self.phone, 30000);

        let invite = self.invite();
        bob.agent.send(&invite, self.fake);
        let received = alice.agent.receive_request("INVITE");
        self.assert_invite(&received);
        let (mut caller, mut callee) = self.answer(&bob, &alice, &invite, &received);

        let bridge = Bridge { one: (&bob.media, caller.told), other: (&alice.media, callee.told) };
        bridge.assert_carries(50);

        alice.media = Media::bind(alice.agent.address.ip(), 30010);
        self.reinvite(&mut callee, &mut caller, &alice, &bob);
        let bridge = Bridge { one: (&bob.media, caller.told), other: (&alice.media, callee.told) };
        bridge.assert_carries(50);

        self.bye(&mut callee, &alice, &bob);
        daemon.assert_alive();
    }

    /// The INVITE as section 7 prints it.
    fn invite(&self) -> Message {
        let Self { caller, caller_host, caller_bare, caller_family, fake_host, .. } = self;
        Message::template(&format!(
            r#"
            INVITE sip:alice@{fake_host} SIP/2.0
            Via: SIP/2.0/UDP {caller};branch=z9hG4bKx1;rport
            Max-Forwards: 70
            From: "Bob" <sip:bob@{caller_host}>;tag=b1
            To: <sip:alice@{fake_host}>
            Call-ID: c1@{caller_bare}
            CSeq: 1 INVITE
            Contact: <sip:bob@{caller}>
            User-Agent: Phone/1
            Content-Type: application/sdp
            Content-Length: ...

            v=0
            o=bob 1 1 IN {caller_family} {caller_bare}
            s=-
            c=IN {caller_family} {caller_bare}
            t=0 0
            m=audio 40000 RTP/AVP 0
            "#
        ))
    }

    /// And as it reaches the phone.
    fn assert_invite(&self, received: &Received) {
        let Self { caller, caller_host, caller_bare, caller_written, .. } = self;
        let Self { fake, phone_host, phone_family, far, far_bare, far_host, .. } = self;
        assert_eq!(received.source, address_of(far), "the INVITE comes from");
        let pattern = format!(
            r#"
            INVITE sip:alice@{phone_host} SIP/2.0
            Via: SIP/2.0/UDP {far};branch=z9hG4bK<TOKEN>
            Via: SIP/2.0/UDP {caller};branch=z9hG4bKx1;rport=5062;received={caller_bare}
            Record-Route: <sip:{far};lr>
            Record-Route: <sip:{fake};lr;received={caller_written}~5062;sig=<SIG>>
            Max-Forwards: 69
            From: "Bob" <sip:bob@{far_host};s64={caller_written}>;tag=b1
            To: <sip:alice@{phone_host}>
            Call-ID: c1@{caller_bare}
            CSeq: 1 INVITE
            Contact: <sip:bob@{far_host};s64={caller_written}~5062__<SIG>>
            User-Agent: SIPproxy64/<VERSION>
            Content-Type: application/sdp
            Content-Length: <LENGTH>

            v=0
            o=bob 1 1 IN {phone_family} {far_bare}
            s=-
            c=IN {phone_family} {far_bare}
            t=0 0
            m=audio <PORT> RTP/AVP 0
            "#
        );
        assert_reads(&received.message, &pattern);
        assert_ne!(caller_host, far_host);
        self.assert_relayed(&received.message, far_bare);
    }

    /// A description names our listen address and an even port of the range.
    fn assert_relayed(&self, message: &Message, listen: &str) -> Described {
        let described = Described::of(message);
        assert_eq!(described.rtp.ip().to_string(), listen, "c= of\n{message}");
        assert!((16384..=32767).contains(&described.rtp.port()), "a port of ours in\n{message}");
        assert_eq!(described.rtp.port() % 2, 0, "an even port in\n{message}");
        let strange = [self.caller_bare, self.phone_host.trim_matches(['[', ']'])];
        assert!(
            !strange.iter().any(|address| message.body.contains(address)),
            "an address shows through in\n{message}"
        );
        described
    }

    /// 100, 180, 200, ACK.
    fn answer(&self, bob: &Party, alice: &Party, invite: &Message, received: &Received) -> (End, End) {
        alice.agent.respond(received, &response_to(&received.message, 100, "Trying", "").without_body());
        self.assert_response(&bob.agent.receive_response(100, invite), "");
        alice.respond(received, 180, "Ringing", "p1");
        let ringing = bob.agent.receive_response(180, invite);
        self.assert_response(&ringing, ";tag=p1");
        assert_matches(ringing.message.value("Contact"), &format!("<sip:alice@{}>", self.fake));

        let sent = alice.accept(received, "p1");
        let accepted = bob.agent.receive_response(200, invite);
        self.assert_response(&accepted, ";tag=p1");
        assert_matches(accepted.message.value("Contact"), &format!("<sip:alice@{}>", self.fake));
        let (inner, outer) = (format!("<sip:{};lr>", self.far), self.received_route());
        assert_list(&accepted.message, "Record-Route", &[&inner, &outer]);
        let told = self.assert_relayed(&accepted.message, self.near_bare);

        let caller = Dialog::of_caller(invite, &accepted.message);
        let callee = Dialog::of_callee(&received.message, &sent);
        caller.send(&bob.agent, &caller.ack(&bob.agent, invite));
        self.assert_ack(&alice.agent.receive_request("ACK"), &callee);
        (End { dialog: caller, told }, End { dialog: callee, told: Described::of(&received.message) })
    }

    fn received_route(&self) -> String {
        format!("<sip:{};lr;received={}~5062;sig=<SIG>>", self.fake, self.caller_written)
    }

    /// What every response to Bob's INVITE has: From exactly as he wrote it.
    fn assert_response(&self, received: &Received, tag: &str) {
        let Self { caller, caller_host, caller_bare, fake, fake_host, .. } = self;
        let message = &received.message;
        assert_eq!(received.source, address_of(fake), "the response comes from");
        assert_eq!(message.value("From"), format!("\"Bob\" <sip:bob@{caller_host}>;tag=b1"));
        assert_eq!(message.value("To"), format!("<sip:alice@{fake_host}>{tag}"));
        let via = format!("SIP/2.0/UDP {caller};branch=z9hG4bKx1;rport=5062;received={caller_bare}");
        assert_eq!(message.all("Via"), [via.as_str()]);
    }

    /// The ACK is recorded by nobody and has no Route left.
    fn assert_ack(&self, received: &Received, callee: &Dialog) {
        assert_eq!(received.source, address_of(self.far), "the ACK comes from");
        callee.assert_owns(received);
        assert_eq!(received.message.all("Record-Route"), Vec::<&str>::new());
        assert_eq!(received.message.list("Via").len(), 2, "Vias of\n{}", received.message);
        assert_eq!(received.message.value("Max-Forwards"), "69");
    }

    /// The callee has moved its media: the relay's ports stay what they were.
    fn reinvite(&self, callee: &mut End, caller: &mut End, alice: &Party, bob: &Party) {
        let invite = callee.dialog.request(&alice.agent, "INVITE").with_sdp(alice.media.description());
        callee.dialog.send(&alice.agent, &invite);
        let received = bob.agent.receive_request("INVITE");
        self.assert_from_phone(&received, &caller.dialog);
        let (near, far) = (format!("<sip:{};lr>", self.fake), format!("<sip:{};lr>", self.far));
        assert_list(&received.message, "Record-Route", &[&near, &far]);
        assert_matches(received.message.value("Contact"), &format!("<sip:alice@{}>", self.fake));
        assert_eq!(self.assert_relayed(&received.message, self.near_bare), caller.told, "the ports of a stream stay");

        bob.accept(&received, "");
        let accepted = alice.agent.receive_response(200, &invite).message;
        assert_eq!(self.assert_relayed(&accepted, self.far_bare), callee.told, "the ports of a stream stay");
        callee.dialog.send(&alice.agent, &callee.dialog.ack(&alice.agent, &invite));
        self.assert_from_phone(&bob.agent.receive_request("ACK"), &caller.dialog);
    }

    /// A request of the phone within the dialog as Bob gets it.
    fn assert_from_phone(&self, received: &Received, caller: &Dialog) {
        let Self { caller: address, caller_host, fake, fake_host, .. } = self;
        let message = &received.message;
        assert_eq!(received.source, address_of(fake), "a request of the phone comes from");
        caller.assert_owns(received);
        assert_eq!(message.request_uri(), format!("sip:bob@{address}"));
        assert_eq!(message.value("To"), format!("\"Bob\" <sip:bob@{caller_host}>;tag=b1"));
        assert_eq!(message.value("From"), format!("<sip:alice@{fake_host}>;tag=p1"));
    }

    fn bye(&self, callee: &mut End, alice: &Party, bob: &Party) {
        let bye = callee.dialog.request(&alice.agent, "BYE").without_body();
        let inner = format!("<sip:{};lr>", self.far);
        assert_list(&bye, "Route", &[&inner, &self.received_route()]);
        callee.dialog.send(&alice.agent, &bye);
        let received = bob.agent.receive_request("BYE");
        assert_eq!(received.source, address_of(self.fake), "the BYE comes from");
        assert_eq!(received.message.request_uri(), format!("sip:bob@{}", self.caller));
        bob.respond(&received, 200, "OK", "");
        alice.agent.receive_response(200, &bye);
    }
}

/// A phone may send to any address: it dials a numeric one of the other
/// family; nobody has a map for it.
#[test]
fn a_phone_calls_a_numeric_address() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, bob) = (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000));
        let invite = alice.invite("sip:bob@[2001:db8:9::55]:5062");
        alice.agent.send(&invite, LISTEN4);
        let received = bob.agent.receive_request("INVITE");
        assert_eq!(received.source, address_of(F1), "a phone's request leaves from its fake");
        let message = &received.message;
        assert_eq!(message.request_uri(), "sip:bob@[2001:db8:9::55]:5062");
        assert_matches(message.value("From"), "\"alice\" <sip:alice@[2001:db8::101]>;tag=<TOKEN>");
        assert_eq!(message.value("To"), "<sip:bob@[2001:db8::1];s64=2001-db8-9--55~5062>");
        assert_eq!(message.value("Contact"), "<sip:alice@[2001:db8::101]:5060>");
        assert_list(message, "Record-Route", &["<sip:[2001:db8::101]:5060;lr>", "<sip:192.0.2.1:5060;lr>"]);
        let sent = bob.accept(&received, "x1");
        let accepted = alice.agent.receive_response(200, &invite).message;
        assert_matches(accepted.value("Contact"), "<sip:bob@192.0.2.1;s64=2001-db8-9--55~5062__<SIG>>");
        let caller = Dialog::of_caller(&invite, &accepted);
        caller.send(&alice.agent, &caller.ack(&alice.agent, &invite));
        let mut callee = Dialog::of_callee(message, &sent);
        callee.assert_owns(&bob.agent.receive_request("ACK"));
        let one = (&alice.media, Described::of(&accepted));
        Bridge { one, other: (&bob.media, Described::of(message)) }.assert_carries(50);

        let bye = callee.request(&bob.agent, "BYE").without_body();
        callee.send(&bob.agent, &bye);
        let received = alice.agent.receive_request("BYE");
        caller.assert_owns(&received);
        assert_eq!(received.source, address_of(LISTEN4), "the BYE comes from");
        alice.respond(&received, 200, "OK", "");
        bob.agent.receive_response(200, &bye);
    });
}

/// The same the other way: Q6 dials an IPv4 address, and hangs up itself.
#[test]
fn a_phone_of_ipv6_calls_a_numeric_address() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (quinn, carol) = (Party::new("quinn", Q6, 30000), Party::new("carol", X4, 40000));
        let mut call = establish(&quinn, &carol, "sip:carol@198.51.100.9:5062", LISTEN6);
        call.assert_talks(&quinn, &carol, 50);
        call.end_by_caller(&quinn, &carol);
    });
}
