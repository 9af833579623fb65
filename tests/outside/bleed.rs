//! RTP bleed and its kin: strangers at the media ports, in every phase of a
//! call, from both families (`--latch` and `SECURITY` of the manual). Each packet
//! is counted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::harness::agent::{Received, response_to};
use crate::harness::call::{End, refuse, ring};
use crate::harness::daemon::Daemon;
use crate::harness::dialog::Dialog;
use crate::harness::media::{Described, Media, rtp_packet};
use crate::harness::message::{Message, unique};
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, LISTEN6, Q6, X6};
use crate::harness::talk::{CALLEE, CALLER, EITHER, Scene, Talk, description, section};
use crate::harness::uri::address_of;

/// The range of these tests: small enough to be sprayed many times.
const RANGE: [&str; 2] = ["-p", "20000-20199"];
/// How long the ports of a call that has ended rest.
const REST: Duration = Duration::from_secs(5);
const PORTS: std::ops::RangeInclusive<u16> = 20000..=20199;

/// A stranger in each family, who sends RTP to every port, as the published
/// attack does, and counts what comes back.
struct Sprayer(Vec<UdpSocket>);

impl Sprayer {
    fn new() -> Self {
        // Neighbours of the parties among them: in IPv6 of the same /64.
        let addresses = ["198.51.100.66:7000", "192.0.2.102:7000", "[2001:db8:66::66]:7000", "[2001:db8:9::56]:7000"];
        Self(addresses.map(|address| UdpSocket::bind(address).unwrap()).into())
    }

    /// One packet to every port of the relay, from every address.
    fn spray(&self) {
        for socket in &self.0 {
            let relay = if socket.local_addr().unwrap().is_ipv4() { LISTEN4 } else { LISTEN6 };
            let relay = address_of(relay).ip();
            for port in PORTS {
                // The SSRC of the party in some, as one who has seen it would.
                let ssrc = if port % 4 < 2 { 0x5364 | u32::from(30000u16) << 16 } else { 0xbad };
                // A port that is closed answers with ICMP: that is no failure.
                let _ = socket.send_to(&rtp_packet(ssrc, "spray", port), (relay, port));
            }
        }
    }

    /// How many packets came back.
    fn heard(&self) -> usize {
        self.0.iter().map(|socket| received(socket).len()).sum()
    }
}

/// What waits at a socket.
fn received(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).unwrap();
    let mut packets = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => packets.push(buffer[..length].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return packets,
            // An ICMP error of a packet before.
            Err(_) => {}
        }
    }
}

/// Waits until the relay has done with all that was sent to both ports of these legs.
fn await_relayed(daemon: &Daemon, told: &[Described]) {
    let ports: Vec<SocketAddr> = told.iter().flat_map(|told| [told.rtp, told.rtcp]).collect();
    daemon.process().await_handled(&ports);
}

/// The whole range, before, during and after the set-up, in both directions:
/// the sprayers neither get nor inject one packet.
#[test]
fn a_spray_of_the_whole_range() {
    isolated(|| {
        add_neighbour();
        for start in [Scene::six_to_four, Scene::four_to_six] {
            let scene = start(&RANGE);
            let sprayer = Sprayer::new();
            sprayer.spray();
            let [caller, callee] = &scene.parties;
            let invite = caller.invite(scene.uri);
            let received = scene.invite(&invite);
            sprayer.spray();
            // Early media of the callee, between the sprays.
            let told = Described::of(&received.message);
            let progress = response_to(&received.message, 183, "Session Progress", "early")
                .with("Contact", &callee.contact)
                .with_sdp(callee.media.description());
            callee.agent.respond(&received, &progress);
            let early = Described::of(&caller.agent.receive_response(183, &invite).message);
            sprayer.spray();
            for number in 0..5 {
                callee.media.send_rtp("early", number, told);
                caller.media.expect_rtp(&callee.media, "early", number, early);
                sprayer.spray();
            }
            let mut talk = answered(scene, &invite, &received);
            sprayer.spray();
            talk.assert_talks();
            for by in EITHER {
                // While a new description is under way, and behind it.
                talk.move_media(by, 42000 + 100 * u16::try_from(by).unwrap());
                let invite = talk.request(by, "INVITE", Some(&talk.description(by)));
                sprayer.spray();
                talk.respond(by, &invite, 200, &talk.description(1 - by));
                talk.ack(by, &invite.0, None);
                sprayer.spray();
                talk.assert_talks();
            }
            sprayer.spray();
            talk.assert_talks();
            talk.end(CALLER);
            talk.daemon.await_line("call ended");
            sprayer.spray();
            assert_eq!(sprayer.heard(), 0, "the sprayers hear the call");
            for party in &talk.parties {
                assert_eq!(party.media.receive_rtp_within(Duration::from_millis(1)), None, "the sprayers are heard");
            }
        }
    });
}

/// Adds an address in the /64 of the IPv6 party, for a sprayer.
fn add_neighbour() {
    let status =
        std::process::Command::new("ip").args(["address", "add", "2001:db8:9::56/128", "dev", "lo", "nodad"]).status();
    assert!(status.unwrap().success());
}

/// 200 and ACK of an early dialog.
fn answered(scene: Scene, invite: &Message, received: &Received) -> Talk {
    let [caller, callee] = &scene.parties;
    let sent = callee.accept(received, "early");
    let response = caller.agent.receive_response(200, invite).message;
    let ends = [
        End { dialog: Dialog::of_caller(invite, &response), told: Described::of(&response) },
        End { dialog: Dialog::of_callee(&received.message, &sent), told: Described::of(&received.message) },
    ];
    let talk = Talk { daemon: scene.daemon, parties: scene.parties, ends };
    talk.ack(CALLER, invite, None);
    talk
}

/// A re-offer opens a new race. The old winner's packets in flight are relayed
/// but do not win it, nor does a stranger with its SSRC.
#[test]
fn packets_in_flight_do_not_pull_the_leg_back() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            talk.assert_talks();
            for by in EITHER {
                let media = &talk.parties[by].media;
                let new = media.moved_to(media.described, 42000 + 100 * u16::try_from(by).unwrap());
                let old = std::mem::replace(&mut talk.parties[by].media, new);
                let (offer, answer) = (talk.description(by), talk.description(1 - by));
                talk.reinvite(by, &offer, &answer);
                let ends = [&talk.ends[by], &talk.ends[1 - by]];
                let other = &talk.parties[1 - by].media;
                let six = old.described.is_ipv6();
                let stranger = if six { "2001:db8:66::66" } else { "198.51.100.66" };
                let stranger = old.moved_to(stranger.parse().unwrap(), 50000 + 100 * u16::try_from(by).unwrap());
                for number in 0..5 {
                    stranger.send_rtp("stranger", number, ends[0].told);
                    old.send_rtp("in flight", number, ends[0].told);
                    other.expect_rtp(&old, "in flight", number, ends[1].told);
                    // The other party is heard at the new place, and there alone.
                    other.send_rtp("answer", number, ends[1].told);
                    talk.parties[by].media.expect_rtp(other, "answer", number, ends[0].told);
                }
                assert_eq!(stranger.receive_rtp_within(Duration::from_millis(1)), None);
                assert_eq!(old.receive_rtp_within(Duration::from_millis(1)), None);
                talk.assert_talks();
            }
        });
    });
}

/// `--latch first`: before a party's first packet the first stranger has its
/// leg, and until then hears it; the party's own first packet, from exactly the
/// described address, takes it back. That is the bound of the manual.
#[test]
fn latch_first_is_open_until_the_party_speaks() {
    isolated(|| {
        let talk = Scene::six_to_four(&["--latch", "first"]).talk();
        let stranger = Media::bind("198.51.100.66".parse().unwrap(), 50000);
        let ends = &talk.ends;
        let [bob, alice] = [&talk.parties[CALLER].media, &talk.parties[CALLEE].media];
        stranger.send_rtp("injected", 1, ends[CALLEE].told);
        bob.expect_rtp(&stranger, "injected", 1, ends[CALLER].told);
        for number in 0..3 {
            bob.send_rtp("bled", number, ends[CALLER].told);
            stranger.expect_rtp(bob, "bled", number, ends[CALLEE].told);
        }
        for number in 0..3 {
            alice.send_rtp("here I am", number, ends[CALLEE].told);
            bob.expect_rtp(alice, "here I am", number, ends[CALLER].told);
        }
        talk.assert_talks();
        // From here on nobody else does.
        for number in 0..20 {
            stranger.send_rtp("late", number, ends[CALLEE].told);
        }
        await_relayed(&talk.daemon, &[ends[CALLEE].told]);
        talk.assert_talks();
        assert_eq!(stranger.receive_rtp_within(Duration::from_millis(1)), None);
        assert_eq!(alice.receive_rtp_within(Duration::from_millis(1)), None);
    });
}

/// A description without an address (a host name): its sender's SIP address is
/// all that is acceptable, so a stranger elsewhere gets nothing.
#[test]
fn a_name_is_learned_from_the_signalling_address_alone() {
    isolated(|| {
        Scene::both_ways(|scene| {
            let mut talk = scene.talk();
            let six = talk.parties[CALLEE].media.described.is_ipv6();
            let media = &talk.parties[CALLEE].media;
            let family = if six { "IP6" } else { "IP4" };
            let offer = description(media.described, &[section("audio", media, &[])])
                .replace(&format!("c=IN {family} {}", media.described), &format!("c=IN {family} phone.example"));
            let answer = talk.description(CALLER);
            talk.reinvite(CALLEE, &offer, &answer);
            let stranger = if six { "2001:db8:66::66" } else { "198.51.100.66" };
            let stranger = Media::bind(stranger.parse().unwrap(), 50000);
            for number in 0..20 {
                stranger.send_rtp("spray", number, talk.ends[CALLEE].told);
            }
            await_relayed(&talk.daemon, &[talk.ends[CALLEE].told]);
            let caller = &talk.parties[CALLER].media;
            let callee = &talk.parties[CALLEE].media;
            callee.send_rtp("learned", 1, talk.ends[CALLEE].told);
            callee.send_rtcp("learned", 1, talk.ends[CALLEE].told);
            caller.expect_rtp(callee, "learned", 1, talk.ends[CALLER].told);
            caller.expect_rtcp(callee, "learned", 1, talk.ends[CALLER].told);
            talk.assert_talks();
            assert_eq!(stranger.receive_rtp_within(Duration::from_millis(1)), None);
        });
    });
}

/// RTCP of four octets, and shorter than it claims (AST-2017-008): no leg
/// moves, and no report leaks.
#[test]
fn truncated_rtcp_moves_nothing() {
    isolated(|| {
        for mode in ["signalled", "first"] {
            let talk = Scene::six_to_four(&["--latch", mode]).talk();
            let prober = Media::bind("198.51.100.66".parse().unwrap(), 50000);
            let (told, caller) = (talk.ends[CALLEE].told, &talk.parties[CALLER].media);
            let probes: [&[u8]; 5] =
                [&[0x80, 0xc9, 0, 0], &[0x80, 0xc8, 0, 6, 0, 0, 0, 1], &[0x81, 0xc9], &[0x80], &[]];
            for probe in probes {
                for to in [told.rtp, told.rtcp] {
                    prober.send_bytes(probe, to);
                }
            }
            await_relayed(&talk.daemon, &[told]);
            let injected = caller.waiting();
            assert!(mode == "first" || injected == 0, "{injected} probes came through");
            caller.send_rtcp("report", 1, talk.ends[CALLER].told);
            talk.parties[CALLEE].media.expect_rtcp(caller, "report", 1, told);
            caller.send_rtp("sound", 1, talk.ends[CALLER].told);
            talk.parties[CALLEE].media.expect_rtp(caller, "sound", 1, told);
            assert_eq!(prober.waiting(), 0, "--latch {mode}");
            talk.assert_talks();
        }
    });
}

/// STUN and DTLS from a neighbour, and from the party's own address at another
/// port: neither moves a leg that has media.
#[test]
fn set_up_packets_move_no_leg_that_has_media() {
    isolated(|| {
        for mode in ["signalled", "first"] {
            let talk = Scene::six_to_four(&["--latch", mode]).talk();
            talk.assert_talks();
            let hello: Vec<u8> = [22, 254, 255].into_iter().chain([0; 40]).collect();
            let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            stun.resize(20, 7);
            let alice = &talk.parties[CALLEE].media;
            let stranger = Media::bind("198.51.100.66".parse().unwrap(), 50000);
            let own = Media::bind(alice.described, 50000);
            for number in 0..200u16 {
                for sender in [&stranger, &own] {
                    let bytes = if number % 2 == 0 { &hello } else { &stun };
                    sender.send_bytes(bytes, talk.ends[CALLEE].told.rtp);
                }
            }
            await_relayed(&talk.daemon, &[talk.ends[CALLEE].told]);
            talk.assert_talks();
            for sender in [&stranger, &own] {
                assert_eq!(sender.receive_rtp_within(Duration::from_millis(1)), None, "--latch {mode}");
            }
        }
    });
}

/// SDP that would aim the relay at itself, at this machine, or at many: not one
/// packet goes there.
#[test]
fn the_relay_cannot_be_aimed_at_what_is_no_peer() {
    isolated(|| {
        let mut talk = Scene::six_to_four(&[]).talk();
        let relay = talk.ends[CALLER].told.rtp;
        // Two sockets that would hear it.
        let traps = ["[::1]:50000", "[2001:db8::101]:50000"].map(|address| UdpSocket::bind(address).unwrap());
        let mut targets: Vec<SocketAddr> = traps.iter().map(|trap| trap.local_addr().unwrap()).collect();
        targets.extend([relay, talk.ends[CALLER].told.rtcp, address_of(LISTEN6)]);
        let odd = ["[ff02::1]:50000", "[ff15::5060]:50000", "[::ffff:192.0.2.101]:50000", "[::ffff:127.0.0.1]:50000"];
        targets.extend(odd.map(|text| text.parse::<SocketAddr>().unwrap()));
        for target in targets {
            let offer = aimed_at(target);
            let answer = talk.description(CALLEE);
            talk.reinvite(CALLER, &offer, &answer);
            for number in 0..20 {
                talk.parties[CALLEE].media.send_rtp("aimed", number, talk.ends[CALLEE].told);
            }
            await_relayed(&talk.daemon, &[talk.ends[CALLEE].told, talk.ends[CALLER].told]);
            for trap in &traps {
                assert_eq!(received(trap), Vec::<Vec<u8>>::new(), "aimed at {target}");
            }
        }
        talk.end(CALLER);
        let line = talk.daemon.await_line("call ended");
        assert!(line.contains("from_caller=0 packets"), "the relay heard itself: {line}");
    });
}

fn aimed_at(target: SocketAddr) -> String {
    format!(
        "v=0\r\no=bob 7 {0} IN IP6 2001:db8:9::55\r\ns=-\r\nc=IN IP6 {1}\r\nt=0 0\r\nm=audio {2} RTP/AVP 0\r\n",
        unique(""),
        target.ip(),
        target.port()
    )
}

/// The voice hammer: a stranger names a victim for its media. 200 packets of
/// RTP and RTCP together are all that the victim gets, however often it is
/// named anew; from the moment that it answers it gets all.
#[test]
fn a_victim_that_never_spoke_gets_a_bounded_number_of_packets() {
    isolated(|| {
        let mut talk = Scene::six_to_four(&[]).talk();
        let victim = Media::bind("2001:db8:66::66".parse().unwrap(), 50000);
        let mut heard = 0;
        for round in 0..3u16 {
            let offer = description(victim.described, &[section("audio", &victim, &[])]);
            let answer = talk.description(CALLEE);
            talk.reinvite(CALLER, &offer, &answer);
            for number in 0..150 {
                talk.parties[CALLEE].media.send_rtp("hammer", round * 150 + number, talk.ends[CALLEE].told);
                talk.parties[CALLEE].media.send_rtcp("hammer", round * 150 + number, talk.ends[CALLEE].told);
                if number % 50 == 0 {
                    await_relayed(&talk.daemon, &[talk.ends[CALLEE].told]);
                }
            }
            await_relayed(&talk.daemon, &[talk.ends[CALLEE].told]);
            heard += victim.waiting();
        }
        assert_eq!(heard, 200, "packets for a victim");
        // It speaks, so it is no victim.
        victim.send_rtp("here", 1, talk.ends[CALLER].told);
        let callee = &talk.parties[CALLEE].media;
        callee.expect_rtp(&victim, "here", 1, talk.ends[CALLEE].told);
        for number in 0..300 {
            callee.send_rtp("wanted", number, talk.ends[CALLEE].told);
            victim.expect_rtp(callee, "wanted", number, talk.ends[CALLER].told);
        }
    });
}

/// A stranger calls a phone of his own side: the first pass lets a description of the
/// other family be, and the second one comes from ourselves. It is his word all the same,
/// and both are addresses of this machine.
#[test]
fn a_hairpin_gives_no_leave_to_aim_at_this_machine() {
    isolated(|| {
        let daemon = Daemon::start();
        let (stranger, phone) = (Party::new("bob", X6, 40000), Party::new("q", Q6, 41000));
        for target in ["198.51.100.66", "192.0.2.1"] {
            let target = Media::bind(target.parse().unwrap(), 50000);
            let invite = stranger.request("INVITE", "sip:q@[2001:db8:6::7]").with("Contact", &stranger.contact);
            let invite = invite.with_sdp(target.description());
            stranger.agent.send(&invite, LISTEN6);
            let received = phone.agent.receive_request("INVITE");
            let told = Described::of(&received.message);
            let ok = response_to(&received.message, 200, "OK", "q").with("Contact", &phone.contact);
            phone.agent.respond(&received, &ok.with_sdp(phone.media.description()));
            stranger.agent.receive_response(200, &invite);
            for number in 0..300 {
                phone.media.send_rtp("hammer", number, told);
                if number % 50 == 0 {
                    await_relayed(&daemon, &[told]);
                }
            }
            await_relayed(&daemon, &[told]);
            assert_eq!(target.waiting(), 0, "packets for {:?}", target.described);
        }
    });
}

/// A caller's ports cannot be guessed from the ports of the calls before, nor
/// does a port come again before it has rested.
#[test]
fn ports_are_not_predictable() {
    isolated(|| {
        let scene = Scene::six_to_four(&["--max-calls-per-source", "100000"]);
        let [caller, callee] = &scene.parties;
        let mut ports: Vec<u16> = Vec::new();
        let mut taken: HashMap<u16, Instant> = HashMap::new();
        for _ in 0..400 {
            let ringing = ring(caller, callee, scene.uri, scene.proxy);
            let port = Described::of(&ringing.received.message).rtp.port();
            let now = Instant::now();
            if let Some(before) = taken.insert(port, now) {
                assert!(now - before >= REST, "port {port} came again after {:?}", now - before);
            }
            ports.push(port);
            refuse(caller, callee, &ringing, 486, "Busy Here");
        }
        assert!(ports.iter().all(|port| port % 2 == 0 && (16384..32767).contains(port)));
        // Each quarter of the range has its share, and they come in no order.
        for quarter in 0..4 {
            let low = 16384 + quarter * 4096;
            let share = ports.iter().filter(|port| (low..low + 4096).contains(*port)).count();
            assert!((50..150).contains(&share), "{share} of 400 ports from {low} on");
        }
        let rising = ports.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((120..280).contains(&rising), "{rising} of 399 ports are above the one before");
    });
}

/// Where the other family's traffic would be accepted: nowhere.
#[test]
fn the_families_are_apart() {
    isolated(|| {
        let talk = Scene::six_to_four(&[]).talk();
        let [four, six] = [talk.ends[CALLEE].told, talk.ends[CALLER].told];
        assert!(four.rtp.is_ipv4() && six.rtp.is_ipv6());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let socket = UdpSocket::bind("[::]:50000").unwrap();
        for port in [four.rtp.port(), six.rtp.port()] {
            // Refused by the system, or by the latch.
            let _ = socket.send_to(&rtp_packet(1, "mapped", 1), (mapped, port));
        }
        await_relayed(&talk.daemon, &[four, six]);
        talk.assert_talks();
    });
}
