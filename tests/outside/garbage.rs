//! Nothing that arrives can end the process or stop other calls.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::call::{Call, establish};
use crate::harness::daemon::Daemon;
use crate::harness::media::Media;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, LISTEN4, LISTEN6, P1, STRANGER4, STRANGER6, U6, X6};
use crate::harness::uri::address_of;

/// Datagrams that may be under way at once: no more than any socket buffer holds.
const BURST: usize = 20;

/// Random numbers that are the same each time (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// A call that stands while strangers send what they like.
struct Siege {
    daemon: Daemon,
    bob: Party,
    alice: Party,
    uplink: Agent,
    strangers: [Agent; 2],
    call: Call,
    sent: usize,
}

impl Siege {
    fn new() -> Self {
        let daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        let strangers = [Agent::bind("stranger", STRANGER4), Agent::bind("stranger", STRANGER6)];
        Self { daemon, bob, alice, uplink: Agent::bind("uplink", U6), strangers, call, sent: 0 }
    }

    /// Sends `datagram` to SIP sockets of ours of both families.
    fn send(&mut self, datagram: &[u8]) {
        self.strangers[0].send_bytes(datagram, address_of(LISTEN4));
        self.strangers[1].send_bytes(datagram, address_of(LISTEN6));
        self.strangers[1].send_bytes(datagram, address_of(F2));
        self.sent += 1;
        if self.sent.is_multiple_of(BURST) {
            self.await_passage();
        }
    }

    /// Waits until all that was sent is dealt with, and a phone's message comes through.
    fn await_passage(&mut self) {
        self.daemon.process().await_handled(&[LISTEN4, LISTEN6, F2].map(address_of));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let fence = self.alice.request("MESSAGE", "sip:fence@provider.example").without_body();
            self.alice.agent.send(&fence, LISTEN4);
            let is_fence = |message: &Message| message.find("Call-ID") == fence.find("Call-ID");
            if self.uplink.receive_until_within(Duration::from_secs(1), is_fence).is_some() {
                return;
            }
        }
        panic!("a phone's message no longer comes through");
    }

    /// The old call still stands, and a new one can be made.
    fn assert_unmoved(mut self) {
        self.await_passage();
        self.call.assert_talks(&self.bob, &self.alice, 20);
        self.call.end_by_caller(&self.bob, &self.alice);
        let mut call = establish(&self.bob, &self.alice, "sip:alice@[2001:db8::101]", F1);
        call.assert_talks(&self.bob, &self.alice, 20);
        call.end_by_callee(&self.bob, &self.alice);
        self.daemon.assert_alive();
    }
}

/// A request with a bit of everything, for a phone that is switched off.
fn specimen() -> Vec<u8> {
    Message::template(
        r#"
        INVITE sip:two@[2001:db8::102];s64=192.0.2.102~5070__00 SIP/2.0
        Via: SIP/2.0/UDP [2001:db8:66::66]:5060;branch=z9hG4bKg1;rport, SIP/2.0/UDP 10.0.0.1
        Route: <sip:[2001:db8::1];lr>, "x" <sip:192.0.2.1:5060;lr;received=192.0.2.9~5060;sig=00>
        Max-Forwards: 70
        From: "Mal \"lory\"" <sip:m@[2001:db8:66::66]>;tag=g1
        To: <sip:two@[2001:db8::102]>
        Call-ID: g1
        CSeq: 1 INVITE
        Contact: <sip:m@[2001:db8:66::66]:5060?a=b>;q=0.5, <sip:m@[::1]>
        Content-Type: multipart/mixed;boundary="b"
        Content-Length: ...

        --b
        Content-Type: application/sdp

        v=0
        o=- 1 1 IN IP6 2001:db8:66::66
        s=-
        c=IN IP6 2001:db8:66::66
        t=0 0
        m=audio 40000 RTP/AVP 0
        a=rtcp:40001 IN IP6 2001:db8:66::66
        --b--
        "#,
    )
    .to_wire()
}

#[test]
fn random_bytes_at_the_sip_ports_do_nothing() {
    isolated(|| {
        let mut siege = Siege::new();
        let mut random = Random(0x0123_4567_89ab_cdef);
        for datagram in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0\0\0\0", &[0xff; 1400]] {
            siege.send(datagram);
        }
        for _ in 0..1000 {
            siege.send(&random.bytes(1400));
        }
        siege.send(&vec![b'A'; 60_000]);
        siege.await_passage();
        siege.assert_unmoved();
    });
}

#[test]
fn a_message_cut_short_at_any_byte_does_nothing() {
    isolated(|| {
        let mut siege = Siege::new();
        let specimen = specimen();
        for length in 0..specimen.len() {
            siege.send(&specimen[..length]);
        }
        siege.assert_unmoved();
    });
}

#[test]
fn a_message_with_wrong_bytes_does_nothing() {
    isolated(|| {
        let mut siege = Siege::new();
        let mut random = Random(0x5eed_5eed_5eed_5eed);
        let specimen = specimen();
        for _ in 0..1500 {
            let mut datagram = specimen.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(datagram.len());
                match random.below(3) {
                    0 => datagram[at] = random.next().to_le_bytes()[0],
                    1 => drop(datagram.remove(at)),
                    _ => datagram.insert(at, b"<>;,:\"\r\n [%"[random.below(11)]),
                }
            }
            siege.send(&datagram);
        }
        siege.assert_unmoved();
    });
}

/// Responses that nobody asked for, with Vias that look like ours.
#[test]
fn responses_that_nobody_asked_for_do_nothing() {
    isolated(|| {
        let mut siege = Siege::new();
        for via in ["SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00", "SIP/2.0/UDP [2001:db8::1]:5060", "SIP/2.0/UDP"] {
            let response = Message::template(&format!(
                "
                SIP/2.0 200 OK
                Via: {via}
                Via: SIP/2.0/UDP [2001:db8:9::55]:5062;branch=z9hG4bKx1
                From: <sip:a@192.0.2.1>;tag=1
                To: <sip:b@192.0.2.1>;tag=2
                Call-ID: 1
                CSeq: 1 INVITE
                Content-Length: 0
                "
            ));
            siege.send(&response.to_wire());
        }
        siege.await_passage();
        // The first that Bob gets is the BYE's answer, in there.
        siege.assert_unmoved();
    });
}

#[test]
fn random_bytes_at_the_media_ports_do_nothing() {
    isolated(|| {
        let siege = Siege::new();
        let mut random = Random(0xfeed_beef_cafe_f00d);
        let strangers: [Media; 2] =
            ["2001:db8:66::66", "198.51.100.66"].map(|ip| Media::bind(ip.parse().unwrap(), 50000));
        let (caller, callee) = (siege.call.caller.told, siege.call.callee.told);
        let targets: [(&Media, SocketAddr); 4] = [
            (&strangers[0], caller.rtp),
            (&strangers[0], caller.rtcp),
            (&strangers[1], callee.rtp),
            (&strangers[1], callee.rtcp),
        ];
        for round in 0..50 {
            for (stranger, target) in targets {
                (0..BURST).for_each(|_| stranger.send_bytes(&random.bytes(1500), target));
            }
            // Whatever the strangers sent is read when this is through.
            siege.call.assert_talks(&siege.bob, &siege.alice, if round % 10 == 0 { 5 } else { 1 });
        }
        siege.assert_unmoved();
    });
}
