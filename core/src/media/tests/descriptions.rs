//! What descriptions do to streams and legs.

use super::*;
use crate::media::command::StreamId;

#[test]
fn an_offer_opens_a_stream_and_says_who_may_speak() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Invite, 1, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    let commands = bench.commands();
    let Command::Open { ports, side, latch: LatchMode::Signalled, .. } = commands[0] else { panic!("{commands:?}") };
    assert_eq!((ports, side), (PerFamily::new(16384, 16384), Family::V6));
    let Command::Describe { side: Family::V4, leg, .. } = commands[1] else { panic!("{commands:?}") };
    assert_eq!((leg.rtp, leg.rtcp), (Some(at(P4)), Some(at("192.0.2.101:4001"))));
    assert_eq!(leg.acceptable, [Some(at(P4).ip()); 2]);
    let Command::Describe { side: Family::V6, leg, .. } = commands[2] else { panic!("{commands:?}") };
    assert_eq!((leg.rtp, leg.acceptable), (None, [Some(at(P6).ip()), None]));
    assert_eq!(commands.len(), 3);
}

/// Of a call that is refused only the callee ever heard of a port.
#[test]
fn sockets_are_opened_when_a_message_names_them() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let ringing = response(request(Method::Invite, 1, &[]), 183, &[]);
    bench.signal(&ringing);
    assert_eq!(bench.commands(), []);
    let rest = Command::OpenRest { stream: StreamId(1), side: Family::V4, port: 16384 };
    for status in [183, 183, 200] {
        let answer = Signal { status: Some(status), wanted: Some(&[audio(P6)]), ..ringing };
        assert_eq!(bench.signal(&answer), [Grant::Relayed { port: 16384 }]);
        let first = bench.commands().into_iter().next();
        assert_eq!(first == Some(rest.clone()), first.is_some(), "{first:?}");
    }
    bench.table.open_rest(SessionId(1));
    assert_eq!(bench.commands(), []);
}

/// The callee may speak before it answers.
#[test]
fn early_media_opens_what_no_message_named() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4), audio("192.0.2.101:4002")]));
    bench.commands();
    bench.table.open_rest(SessionId(1));
    let rest = |stream, port| Command::OpenRest { stream: StreamId(stream), side: Family::V4, port };
    assert_eq!(bench.commands(), [rest(1, 16384), rest(2, 16386)]);
    bench.table.open_rest(SessionId(1));
    assert_eq!(bench.commands(), []);
    bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]));
    assert!(!bench.commands().contains(&rest(1, 16384)));
}

#[test]
fn an_answer_sets_the_leg_of_the_callee() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let answer = response(request(Method::Invite, 1, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
}

#[test]
fn retransmissions_change_nothing_and_get_the_same() {
    let mut bench = Bench::new(&config());
    for answer in [false, true] {
        let wanted = [audio(if answer { P6 } else { P4 })];
        let invite = request(Method::Invite, 1, &wanted);
        let message = if answer { response(invite, 200, &wanted) } else { invite };
        let grants = bench.signal(&message);
        bench.commands();
        assert_eq!(bench.signal(&message), grants);
        assert_eq!(bench.commands(), []);
    }
}

#[test]
fn an_old_retransmission_does_not_undo_what_came_after() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4002")]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio("[2001:db8:9::55]:7000")]));
    assert_eq!(bench.aims().iter().filter(|(side, _)| *side == Family::V4).count(), 0);
}

/// The network may hold a datagram back until its exchange is over.
#[test]
fn a_late_copy_of_what_another_exchange_replaced_changes_nothing() {
    let mut bench = Bench::answered();
    let callees = |wanted| Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Invite, 1, wanted) };
    let (offer, theirs) = ([audio(P4)], [audio(P6)]);
    bench.signal(&in_dialog(Method::Invite, 2, &offer));
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 200, &theirs));
    bench.signal(&callees(&theirs));
    let answer = [audio("192.0.2.101:4002")];
    let answer = Signal { from_tag: B, to_tag: A, ..response(callees(&[]), 200, &answer) };
    bench.signal(&answer);
    assert_eq!(bench.aims().last(), Some(&(Family::V4, Some(at("192.0.2.101:4002")))));
    bench.signal(&in_dialog(Method::Invite, 2, &offer));
    assert_eq!(bench.aims(), []);
    // What is refused is not there any more.
    let moved = [audio("192.0.2.101:4004")];
    bench.signal(&in_dialog(Method::Invite, 3, &moved));
    bench.signal(&response(in_dialog(Method::Invite, 3, &[]), 488, &[]));
    assert_eq!(bench.aims().last(), Some(&(Family::V4, Some(at("192.0.2.101:4002")))));
    bench.signal(&in_dialog(Method::Invite, 3, &moved));
    bench.signal(&answer);
    assert_eq!(bench.aims(), []);
}

/// Whoever was called, too, or watches the caller, knows the Call-ID and one tag.
#[test]
fn who_is_no_party_says_nothing_of_a_call_that_rings() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(request(Method::Invite, 1, &[]), 183, &[audio(P6)]));
    bench.commands();
    let evil = [audio("192.0.2.66:6666"), audio("192.0.2.66:6668")];
    for method in [Method::Ack, Method::Invite, Method::Update] {
        for to_tag in [None, C] {
            let source = at("192.0.2.66:5060");
            let said = Signal { source, sender: Sender::Generic, to_tag, ..request(method, 9, &evil) };
            assert_eq!(bench.signal(&said), [Grant::Relayed { port: 16384 }, Grant::Refused]);
            bench.signal(&response(said, 404, &[]));
        }
    }
    assert_eq!((bench.aims(), bench.table.sessions()), (vec![], 1));
    // Who knows the tags of a dialog is a party that has moved.
    let moved =
        Signal { source: at("192.0.2.66:5060"), sender: Sender::Generic, ..in_dialog(Method::Update, 9, &evil) };
    bench.signal(&moved);
    assert_eq!(bench.aims()[0], (Family::V4, Some(at("192.0.2.66:6666"))));
}

#[test]
fn who_goes_on_after_a_hold_is_described_again() {
    let mut bench = Bench::answered();
    bench.commands();
    let held = [Wanted { held: true, ..audio(P6) }];
    for (cseq, wanted, aims) in [(5, held, 0), (6, [audio(P6)], 1), (7, [audio(P6)], 0)] {
        let reoffer = Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Invite, cseq, &wanted) };
        bench.signal(&Signal { source: at("[2001:db8:9::55]:5060"), ..reoffer });
        assert_eq!(bench.aims(), vec![(Family::V6, Some(at(P6))); aims]);
    }
}

/// It may have spoken first, behind the same NAT.
#[test]
fn the_bye_of_a_fork_that_lost_lets_the_other_one_go_on() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 200, &[audio(P6)]));
    bench.signal(&Signal { to_tag: C, ..response(invite, 200, &[audio("[2001:db8:9::55]:7000")]) });
    bench.commands();
    bench.signal(&Signal { to_tag: Some(b"nobody"), ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.aims(), []);
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!((bench.aims(), bench.table.sessions()), (vec![(Family::V6, Some(at(P6)))], 1));
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.aims(), []);
}

/// An IPv4 phone calls an IPv6 phone through a proxy that has both families.
#[test]
fn each_pass_in_the_same_direction_has_a_session_of_its_own() {
    let mut bench = Bench::new(&config());
    let (proxy6, proxy4, phone6) = ("[2001:db8:456::12]:5060", "198.51.100.12:5060", "[2001:db8:6::7]:5060");
    let invite = request(Method::Invite, 1, &[]);
    let first = Signal { destination: at(proxy6), ..invite };
    let second = Signal { branch: 2, source: at(proxy4), destination: at(phone6), ..invite };
    let (offer, forwarded, answer) = ([audio(P4)], [audio("[2001:db8::1]:16384")], [audio("[2001:db8:6::7]:30000")]);
    let back = |pass: Signal<'_>, wanted| {
        let Signal { source, destination, .. } = pass;
        Signal { source: destination, destination: source, ..response(pass, 200, wanted) }
    };
    for _ in 0..2 {
        assert_eq!(bench.signal(&Signal { wanted: Some(&offer), ..first }), [Grant::Relayed { port: 16384 }]);
        assert_eq!(bench.signal(&Signal { wanted: Some(&forwarded), ..second }), [Grant::Untouched]);
        assert_eq!(bench.table.sessions(), 2);
        // Also when another process goes on with them.
        bench.commands();
        bench.hand_over(&config());
    }
    for _ in 0..2 {
        assert_eq!(bench.signal(&Signal { branch: 2, ..back(second, &answer) }), [Grant::Untouched]);
        assert_eq!(bench.signal(&back(first, &answer)), [Grant::Relayed { port: 16384 }]);
    }
    // The called party hangs up, and its BYE passes both, the other way round.
    for pass in [second, first] {
        let (source, destination) = (pass.destination, pass.source);
        let bye = Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Bye, 1, &[]) };
        bench.signal(&Signal { source, destination, ..bye });
    }
    assert_eq!((bench.table.sessions(), bench.table.ports_in_use(Family::V4)), (0, 0));
}

/// One of those who are called makes up tags, while another has said where he is.
#[test]
fn made_up_dialogs_make_room_for_one_another() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 183, &[audio(P6)]));
    for tag in 0..100u8 {
        let tag = [b'x', tag];
        let evil = [audio("[2001:db8:66::6]:6666")];
        let source = at("[2001:db8:66::6]:5060");
        bench.signal(&Signal { source, to_tag: Some(&tag), ..response(invite, 183, &evil) });
    }
    bench.commands();
    bench.signal(&response(invite, 200, &[]));
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
}

/// Who has just answered asks himself, and that overtakes his answer.
#[test]
fn what_was_answered_stays_when_a_request_that_overtook_it_is_refused() {
    let mut bench = Bench::answered();
    let moved = [audio("[2001:db8:9::55]:6002")];
    let theirs = Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Update, 1, &moved) };
    bench.signal(&in_dialog(Method::Update, 2, &[audio(P4)]));
    bench.signal(&theirs);
    bench.signal(&response(in_dialog(Method::Update, 2, &[]), 200, &moved));
    bench.commands();
    bench.signal(&Signal { from_tag: B, to_tag: A, ..response(Signal { wanted: None, ..theirs }, 491, &[]) });
    assert_eq!(bench.aims(), []);
}

#[test]
fn an_invite_that_is_sent_again_does_not_undo_an_update() {
    let mut bench = Bench::new(&config());
    let invite = [audio(P4)];
    bench.signal(&request(Method::Invite, 1, &invite));
    bench.signal(&response(request(Method::Invite, 1, &[]), 183, &[audio(P6)]));
    bench.signal(&in_dialog(Method::Update, 2, &[audio("192.0.2.101:4002")]));
    bench.commands();
    bench.signal(&request(Method::Invite, 1, &invite));
    assert_eq!(bench.aims(), []);
}

#[test]
fn a_late_offer_is_the_callees() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Invite, 1, &[])), []);
    assert_eq!(bench.table.sessions(), 0);
    let offer = response(request(Method::Invite, 1, &[]), 200, &[]);
    assert_eq!(bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..offer }), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.signal(&in_dialog(Method::Ack, 1, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.table.sessions(), 1);
    let aims = bench.aims();
    assert_eq!(aims.last(), Some(&(Family::V4, Some(at(P4)))));
}

#[test]
fn the_passes_of_a_hairpin_stay_apart() {
    let mut bench = Bench::new(&config());
    let fake = at("[2001:db8::101]:5060");
    let first =
        bench.signal(&Signal { destination: at("[2001:db8::102]:5060"), ..request(Method::Invite, 1, &[audio(P4)]) });
    assert_eq!(first, [Grant::Relayed { port: 16384 }]);
    // Others may have sockets where the call goes to: nobody is heard from there yet.
    assert!(bench.legs().iter().all(|(side, _)| *side == Family::V4));
    // The second pass comes from ourselves and has our relay socket in it.
    let ours = [audio("[2001:db8::1]:16384")];
    let second = Signal {
        arrival: Family::V6,
        source: fake,
        destination: at("192.0.2.102:5060"),
        branch: 77,
        ..request(Method::Invite, 1, &ours)
    };
    assert_eq!(bench.signal(&second), [Grant::Relayed { port: 16386 }]);
    assert_eq!(bench.table.sessions(), 2);
    assert_eq!(bench.aims()[0], (Family::V6, Some(at("[2001:db8::1]:16384"))));
    // The answer: through the second session, then through the first.
    let answer = [audio("192.0.2.102:4000")];
    let back = Signal { source: at("192.0.2.102:5060"), destination: fake, ..response(second, 200, &answer) };
    assert_eq!(back.arrival, Family::V4);
    assert_eq!(bench.signal(&back), [Grant::Relayed { port: 16386 }]);
    let ours = [audio("[2001:db8::1]:16386")];
    let back = Signal { source: at("[2001:db8::102]:5060"), ..response(request(Method::Invite, 1, &[]), 200, &ours) };
    bench.commands();
    assert_eq!(bench.signal(&back), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.aims(), [(Family::V6, Some(at("[2001:db8::1]:16386")))]);
    assert_eq!(bench.table.sessions(), 2);
    // BYE ends one after the other.
    bench.commands();
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { arrival: Family::V6, ..in_dialog(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 0);
}

/// A call from phone to phone that the uplink sends back to the side it came from,
/// up to the answer; `callee` is what the second phone answers.
fn sent_back(callee: &str) -> Bench {
    let mut bench = Bench::new(&config());
    let uplink = at("[2001:db8:456::12]:5060");
    let (ours, answer, back) = ([audio("[2001:db8::1]:16384")], [audio(callee)], [audio("[2001:db8::1]:16386")]);
    let invite = Signal { destination: uplink, ..request(Method::Invite, 1, &[]) };
    bench.signal(&Signal { wanted: Some(&[audio(P4)]), ..invite });
    let second =
        Signal { arrival: Family::V6, source: uplink, destination: at("192.0.2.102:5060"), branch: 77, ..invite };
    bench.signal(&Signal { wanted: Some(&ours), ..second });
    bench.signal(&Signal { source: at("192.0.2.102:5060"), destination: uplink, ..response(second, 200, &answer) });
    bench.signal(&Signal { source: uplink, ..response(invite, 200, &back) });
    bench
}

#[test]
fn a_call_that_an_uplink_sends_back_leads_from_relay_to_relay() {
    let mut bench = sent_back("192.0.2.102:4000");
    let aims = [
        (Family::V4, P4),
        (Family::V6, "[2001:db8::1]:16384"),
        (Family::V4, "192.0.2.102:4000"),
        (Family::V6, "[2001:db8::1]:16386"),
    ];
    let told: Vec<_> = bench.aims().into_iter().filter_map(|(side, to)| Some((side, to?))).collect();
    assert_eq!(told, aims.map(|(side, to)| (side, at(to))));
}

/// Else packets would go round for ever, and whoever gets into one call twice could
/// close such a ring, in any order.
#[test]
fn no_ring_can_be_made_of_two_relays() {
    // The second phone answers with the first one's relay socket.
    let mut bench = sent_back("192.0.2.1:16384");
    assert!(!bench.aims().contains(&(Family::V4, Some(at("192.0.2.1:16384")))));
    // The first phone moves to the second one's.
    let mut bench = sent_back("192.0.2.102:4000");
    bench.commands();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.1:16386")]));
    assert_eq!(bench.aims(), [(Family::V4, None)]);
    // By its RTCP alone.
    bench.signal(&in_dialog(Method::Invite, 3, &[Wanted { rtcp: Some(at("192.0.2.1:16387")), ..audio(P4) }]));
    assert_eq!(bench.aims(), [], "still nobody");
    bench.signal(&in_dialog(Method::Invite, 4, &[audio(P4)]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at(P4)))]);
}

#[test]
fn an_address_of_the_outgoing_family_passes_untouched_and_so_does_its_answer() {
    let mut bench = Bench::new(&config());
    let offer = [audio("[2001:db8:5::5]:4000"), audio(P4)];
    assert_eq!(bench.signal(&request(Method::Invite, 1, &offer)), [Grant::Untouched, Grant::Relayed { port: 16384 }]);
    let answer = response(request(Method::Invite, 1, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6), audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Untouched, Grant::Relayed { port: 16384 }]);
    // So is a stream that was not, from the next offer on.
    let relayed = [audio(P4), audio(P4)];
    bench.signal(&in_dialog(Method::Invite, 2, &relayed));
    let answer = response(in_dialog(Method::Invite, 2, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6), audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Relayed { port: 16386 }, Grant::Relayed { port: 16384 }]);
    // The callee's own offer is relayed.
    let theirs = [audio(P6), audio(P6)];
    let offer = Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Invite, 1, &theirs) };
    assert_eq!(bench.signal(&offer), [Grant::Relayed { port: 16386 }, Grant::Relayed { port: 16384 }]);
}

/// `c=IN IP6 0.0.0.0` is how some write the hold of RFC 2543 where they have IPv6.
#[test]
fn the_unspecified_address_is_of_neither_family() {
    let mut bench = Bench::answered();
    let held = [Wanted { held: true, ..audio("[::]:4000") }];
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &held)), [Grant::Relayed { port: 16384 }]);
    let answer = response(in_dialog(Method::Invite, 2, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.pass(seconds(3000), None), None, "it is on hold");
    // A stream that passes by this proxy is held like that, too.
    let mut bench = Bench::new(&config());
    for (cseq, offer) in [(1, audio("[2001:db8:5::5]:4000")), (2, audio("[::]:4000"))] {
        assert_eq!(bench.signal(&request(Method::Invite, cseq, &[offer])), [Grant::Untouched]);
    }
    // So is what could not be relayed: it need not be.
    for (cseq, offer) in [(3, audio("[2001:db8:5::5]:4000")), (4, audio("[::]:4000"))] {
        let over_tcp = Wanted { transport: Transport::NotRelayable, ..offer };
        assert_eq!(bench.signal(&request(Method::Invite, cseq, &[over_tcp])), [Grant::Untouched]);
    }
    assert_eq!(bench.table.ports_in_use(Family::V4), 0);
}

#[test]
fn port_zero_stays_and_the_stream_keeps_its_ports() {
    let mut bench = Bench::answered();
    let off = [Wanted { port: 0, ..audio(P4) }];
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &off)), [Grant::Refused]);
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.table.ports_in_use(Family::V4), 1);
}

#[test]
fn a_refused_re_offer_is_taken_back() {
    for method in [Method::Invite, Method::Update, Method::Prack] {
        let mut bench = Bench::answered();
        bench.signal(&in_dialog(method, 2, &[audio("192.0.2.101:4002")]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
        // What it could do instead crosses like anything else.
        let instead = [audio("[2001:db8:9::55]:9"), audio("192.0.2.5:9")];
        let grants = bench.signal(&response(in_dialog(method, 2, &[]), 488, &instead));
        assert_eq!(grants, [Grant::Refused, Grant::Untouched]);
        assert_eq!(bench.aims(), [(Family::V4, Some(at(P4)))]);
        assert_eq!(bench.table.sessions(), 1);
        // An accepted one is not, whatever fails later.
        bench.signal(&in_dialog(method, 3, &[audio("192.0.2.101:4002")]));
        bench.signal(&response(in_dialog(method, 3, &[]), 200, &[]));
        bench.signal(&response(in_dialog(method, 3, &[]), 500, &[]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
        // Nor is the next one, by a late refusal of that.
        bench.signal(&in_dialog(method, 4, &[audio("192.0.2.101:4004")]));
        bench.signal(&response(in_dialog(method, 3, &[]), 500, &[]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4004")))]);
        bench.signal(&response(in_dialog(method, 4, &[]), 488, &[]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
    }
}

#[test]
fn what_was_said_while_a_re_invite_rang_is_taken_back_with_it() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4002")]));
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 183, &[audio("[2001:db8:9::55]:6002")]));
    bench.commands();
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 488, &[]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at(P4))), (Family::V6, Some(at(P6)))]);
}

/// A provisional response that the network repeats, or that the 200 has overtaken.
#[test]
fn what_a_callee_says_after_its_answer_is_older_where_it_is_provisional() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let (ringing, answer) = ([audio(P6)], [audio("[2001:db8:9::55]:6002")]);
    for (status, said) in [(183, &ringing), (200, &answer), (183, &ringing), (200, &answer)] {
        assert!(matches!(bench.signal(&response(invite, status, said))[..], [Grant::Relayed { .. }]));
    }
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6))), (Family::V6, Some(at("[2001:db8:9::55]:6002")))]);
}

#[test]
fn the_newest_fork_has_the_leg_until_the_first_answer() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let (one, two) = ([audio(P6)], [audio("[2001:db8:9::66]:6000")]);
    bench.signal(&response(invite, 183, &one));
    bench.signal(&Signal { to_tag: C, ..response(invite, 183, &two) });
    bench.signal(&response(invite, 183, &one));
    assert_eq!(
        bench.aims(),
        [(Family::V6, Some(at(P6))), (Family::V6, Some(two[0].address.map(|ip| SocketAddr::new(ip, 6000)).unwrap()))]
    );
    // The first one answers, without saying it again; then the other.
    bench.signal(&response(invite, 200, &[]));
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
    bench.signal(&Signal { to_tag: C, source: at("[2001:db8:9::66]:5060"), ..response(invite, 200, &two) });
    assert_eq!(bench.aims(), []);
    let session = bench.table.sessions.values().next().unwrap();
    assert_eq!(session.parties[Family::V6], Some(at("[2001:db8:9::55]:5060")));
    // The caller drops the second: nothing ends. Then the first.
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn rtcp_goes_where_the_description_says() {
    let mut bench = Bench::new(&config());
    let wanted = [Wanted { rtcp: Some(at("192.0.2.101:9001")), ..audio(P4) }];
    bench.signal(&request(Method::Invite, 1, &wanted));
    assert_eq!(bench.legs()[0].1.rtcp, Some(at("192.0.2.101:9001")));
    // Not where that socket cannot send.
    let mut bench = Bench::new(&config());
    let wanted = [Wanted { rtcp: Some(at("[2001:db8:5::5]:9001")), ..audio(P4) }];
    bench.signal(&request(Method::Invite, 1, &wanted));
    assert_eq!(bench.legs()[0].1.rtcp, Some(at("192.0.2.101:4001")));
}

#[test]
fn descriptions_elsewhere_do_not_count() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Options, 1, &[audio(P4)])), []);
    assert_eq!(bench.table.sessions(), 0);
    assert_eq!(bench.commands(), []);
}

#[test]
fn crossing_re_invites_are_both_taken_back() {
    let mut bench = Bench::answered();
    let ours = in_dialog(Method::Invite, 2, &[]);
    let theirs = Signal {
        arrival: Family::V6,
        from_tag: B,
        to_tag: A,
        source: at("[2001:db8:9::55]:5060"),
        destination: at("192.0.2.101:5060"),
        ..request(Method::Invite, 9, &[])
    };
    let (four, six) = ([audio("192.0.2.101:4002")], [audio("[2001:db8:9::55]:6002")]);
    bench.signal(&Signal { wanted: Some(&four), ..ours });
    bench.signal(&Signal { wanted: Some(&six), ..theirs });
    assert_eq!(bench.aims().len(), 2);
    bench.signal(&response(ours, 491, &[]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at(P4)))]);
    let refusal = Signal { from_tag: B, to_tag: A, ..response(theirs, 491, &[]) };
    bench.signal(&refusal);
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
}

/// What the callee offered while it rings, and was refused, is not its leg when the
/// answer comes, which need not say the first description again.
#[test]
fn a_refused_early_offer_of_the_callee_does_not_come_back_with_the_answer() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 183, &[audio(P6)]));
    bench.commands();
    let update = Signal { from_tag: B, to_tag: A, arrival: Family::V6, ..request(Method::Update, 1, &[]) };
    let elsewhere = [audio("[2001:db8:9::55]:6002")];
    bench.signal(&Signal { wanted: Some(&elsewhere), ..update });
    bench.signal(&Signal { from_tag: B, to_tag: A, ..response(update, 488, &[]) });
    assert_eq!(bench.aims().last(), Some(&(Family::V6, Some(at(P6)))));
    bench.signal(&response(invite, 200, &[]));
    assert_eq!(bench.aims(), []);
}

#[test]
fn a_name_is_relayed_to_whoever_is_learned() {
    let mut bench = Bench::new(&config());
    let named = [Wanted { address: None, ..audio(P4) }];
    assert_eq!(bench.signal(&request(Method::Invite, 1, &named)), [Grant::Relayed { port: 16384 }]);
    let (side, leg) = bench.legs()[0];
    assert_eq!((side, leg.rtp, leg.acceptable), (Family::V4, None, [None, Some(at(P4).ip())]));
}

#[test]
fn what_cannot_be_relayed_takes_no_ports() {
    let mut bench = Bench::new(&config());
    let tcp = Wanted { transport: Transport::NotRelayable, ..audio(P4) };
    assert_eq!(bench.signal(&request(Method::Invite, 1, &[tcp])), [Grant::Refused]);
    assert_eq!(bench.table.sessions(), 0);
    let grants = bench.signal(&request(Method::Invite, 1, &[tcp, audio(P4)]));
    assert_eq!(grants, [Grant::Refused, Grant::Relayed { port: 16384 }]);
}

#[test]
fn a_fax_keeps_the_ports_of_its_stream() {
    let mut bench = Bench::answered();
    let fax = [Wanted { transport: Transport::Udptl, ..audio(P4) }];
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &fax)), [Grant::Relayed { port: 16384 }]);
    let (_, leg) = bench.legs()[0];
    assert_eq!((leg.rtp, leg.rtcp, leg.transport), (Some(at(P4)), None, Transport::Udptl));
}
