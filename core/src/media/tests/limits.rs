//! What strangers cannot do, and what is there when all is over.

use super::*;
use crate::config::PortOrder;
use crate::media::allowance::Allowance;
use crate::media::command::StreamId;
use proptest::prelude::*;

#[test]
fn our_own_sockets_are_nobodys_destination() {
    for no in [
        "192.0.2.1:16384",
        "192.0.2.1:5060",
        "127.0.0.1:4000",
        "224.0.0.1:4000",
        "255.255.255.255:4000",
        "0.0.0.0:4000",
    ] {
        let mut bench = Bench::new(&config());
        bench.signal(&request(Method::Invite, 1, &[audio(no)]));
        assert_eq!(bench.aims()[0], (Family::V4, None), "{no}");
    }
}

/// Nobody may have his media sent into another call.
#[test]
fn a_relay_socket_is_no_destination_of_another_call() {
    let mut bench = Bench::answered();
    let wanted = [audio("192.0.2.1:16384")];
    bench.signal(&Signal { call_id: b"another", ..request(Method::Invite, 1, &wanted) });
    assert_eq!(bench.aims()[0], (Family::V4, None));
}

/// Only at our addresses are ports ours, and only while a stream has them.
#[test]
fn two_parties_hear_each_other_whatever_their_ports() {
    for (four, six) in [
        ("192.0.2.101:16384", "[2001:db8:9::55]:16384"),
        // Two telephones on this machine.
        ("192.0.2.1:4000", "[2001:db8::1]:4000"),
    ] {
        let mut bench = Bench::new(&config());
        let (source, destination) = (at(four), at(six));
        let invite = Signal { source, destination, ..request(Method::Invite, 1, &[]) };
        bench.signal(&Signal { wanted: Some(&[audio(four)]), ..invite });
        bench.commands();
        bench.signal(&Signal { source: destination, ..response(invite, 200, &[audio(six)]) });
        assert_eq!(bench.aims(), [(Family::V6, Some(at(six)))], "{six}");
    }
}

/// What a reload or the interfaces say is this machine is so from then on.
#[test]
fn an_address_is_this_machines_for_as_long_as_it_is() {
    let aim = |bench: &mut Bench, call_id: &[u8], to: &str| {
        let wanted = [audio(to)];
        bench.signal(&Signal { call_id, ..request(Method::Invite, 1, &wanted) });
        bench.aims()[0].1.is_some()
    };
    let mut config = config();
    config.listen[Family::V4] = at("192.0.2.2:5060");
    config.maps.clear();
    config.maps.push(Map { phone: at("[2001:db8:6::7]:5060"), fake: at("192.0.2.207:5060") });
    let mut bench = Bench::new(&config);
    let there = ["192.0.2.207:4000", "198.51.100.1:4000"];
    assert_eq!(there.map(|to| aim(&mut bench, b"1", to)), [false, true]);
    config.maps.clear();
    bench.table.reconfigure(&config);
    bench.table.set_local_addresses(vec![at(there[1]).ip()], Vec::new());
    assert_eq!(there.map(|to| aim(&mut bench, b"2", to)), [true, false]);
}

fn call<'a>(call_id: &'a [u8], wanted: &'a [Wanted]) -> Signal<'a> {
    let asked_by = Charge::Stranger(at("192.0.2.101:5060").ip());
    Signal { call_id, asked_by, sender: Sender::Generic, ..request(Method::Invite, 1, wanted) }
}

#[test]
fn one_stranger_cannot_take_every_call() {
    let mut config = config();
    config.max_calls_per_source = 2;
    let mut bench = Bench::new(&config);
    let wanted = [audio(P6)];
    let from = |call_id, source| {
        let source = at(source);
        Signal { arrival: Family::V6, source, asked_by: Charge::Stranger(source.ip()), ..call(call_id, &wanted) }
    };
    bench.signal(&from(b"1", "[2001:db8:9::55]:5060"));
    bench.signal(&from(b"2", "[2001:db8:9::66]:5061"));
    let third = from(b"3", "[2001:db8:9::77]:5060");
    assert_eq!(bench.try_signal(&third), Err(Refusal::MaxCallsPerSource));
    bench.signal(&from(b"1", "[2001:db8:9::55]:5060"));
    bench.signal(&from(b"4", "[2001:db8:9:1::55]:5060"));
    bench.signal(&Signal { asked_by: Charge::Nobody, ..third });
    bench.signal(&Signal { call_id: b"1", ..response(from(b"1", "[::]:1"), 486, &[]) });
    bench.signal(&Signal { call_id: b"5", ..third });
}

/// A range of 40 pairs, of which strangers may have 30, and one of them 15.
fn forty_pairs() -> Config {
    let mut config = config();
    config.rtp_ports = PortRange::new(16384, 16463).unwrap();
    config
}

/// The calls of `count` strangers at as many /64s, each with a Call-ID of its own,
/// as many as they get; each call has this many streams.
fn storm(bench: &mut Bench, strangers: u16, calls: u16, streams: usize) -> usize {
    storm_of(bench, strangers, calls, &vec![audio(P6); streams])
}

/// The same with these streams.
fn storm_of(bench: &mut Bench, strangers: u16, calls: u16, wanted: &[Wanted]) -> usize {
    let mut granted = 0;
    for (stranger, number) in (0..strangers).flat_map(|stranger| (0..calls).map(move |number| (stranger, number))) {
        let call_id = format!("{stranger}-{number}");
        let source = at(&format!("[2001:db8:{stranger:x}:1::{number:x}]:5060"));
        let asked_by = Charge::Stranger(source.ip());
        let signal = Signal { arrival: Family::V6, source, asked_by, ..call(call_id.as_bytes(), wanted) };
        granted += usize::from(bench.try_signal(&signal).is_ok());
    }
    granted
}

#[test]
fn one_stranger_cannot_take_every_port_by_many_streams() {
    let mut bench = Bench::new(&forty_pairs());
    assert_eq!(storm(&mut bench, 1, 100, 5), 3);
    assert_eq!(bench.table.ports_in_use(Family::V6), 15);
    let more = [audio(P6); 9];
    let source = at("[2001:db8:0:1::]:5060");
    let reoffer = Signal { call_id: b"0-0", cseq: 2, arrival: Family::V6, source, ..call(b"", &more) };
    assert_eq!(bench.signal(&reoffer).iter().filter(|&&grant| grant == Grant::Refused).count(), 4, "nor later on");
    assert_eq!(bench.table.ports_in_use(Family::V6), 15);
}

#[test]
fn what_a_stranger_had_is_given_back() {
    let mut bench = Bench::new(&forty_pairs());
    let counts = |bench: &Bench| {
        let limits = bench.table.limits();
        [limits.calls_of_one_source, limits.calls_of_strangers, limits.streams_of_strangers].map(|limit| limit.now)
    };
    storm(&mut bench, 1, 2, 2);
    assert_eq!(counts(&bench), [2, 2, 4]);
    let failed = |call_id, status| {
        let invite = Signal { arrival: Family::V6, ..request(Method::Invite, 1, &[]) };
        Signal { call_id, ..response(invite, status, &[]) }
    };
    bench.signal(&failed(b"0-0", 180));
    // A third stream that cannot be opened.
    let (source, more) = (at("[2001:db8:0:1::]:5060"), [audio(P6); 3]);
    let reoffer = Signal { arrival: Family::V6, source, ..call(b"0-0", &more) };
    let grants = bench.signal(&reoffer);
    let [.., Grant::Relayed { port }] = grants[..] else { panic!("{grants:?}") };
    assert_eq!(counts(&bench), [2, 2, 5]);
    bench.table.no_socket(bench.now, Family::V4, port);
    assert_eq!(counts(&bench), [2, 2, 4]);
    // Nor has it one for which no port is asked for a moment.
    bench.signal(&Signal { cseq: 2, ..reoffer });
    assert_eq!(counts(&bench), [2, 2, 4]);
    bench.signal(&failed(b"0-0", 486));
    assert_eq!(counts(&bench), [1, 1, 2]);
    bench.signal(&failed(b"0-1", 486));
    assert_eq!(counts(&bench), [0, 0, 0]);
}

#[test]
fn many_tags_of_one_call_id_are_many_calls() {
    let mut config = forty_pairs();
    config.max_calls_per_source = 5;
    let mut bench = Bench::new(&config);
    let wanted = [audio(P4)];
    let tags: Vec<_> = (0..50u8).map(|tag| [tag]).collect();
    let granted = tags
        .iter()
        .filter(|tag| bench.try_signal(&Signal { from_tag: Some(&tag[..]), ..call(b"one", &wanted) }).is_ok());
    assert_eq!(granted.count(), 5);
}

#[test]
fn strangers_together_leave_a_quarter_of_the_ports_to_phones() {
    let mut bench = Bench::new(&forty_pairs());
    assert_eq!(storm(&mut bench, 50, 2, 1), 30);
    let stranger = [audio(P4)];
    assert_eq!(bench.try_signal(&call(b"stranger", &stranger)), Err(Refusal::NoPorts));
    let (source, two) = (at("[2001:db8:0:1::]:5060"), [audio(P6); 2]);
    let reoffer = Signal { call_id: b"0-0", cseq: 2, arrival: Family::V6, source, ..call(b"", &two) };
    assert_eq!(bench.signal(&reoffer)[1], Grant::Refused, "nor later on");
    for number in 0..10u8 {
        bench.signal(&Signal { call_id: &[number], ..request(Method::Invite, 1, &stranger) });
    }
    assert_eq!(bench.table.ports_in_use(Family::V4), 40);
}

/// Also where the calls are limited further than the ports do, or take none.
#[test]
fn strangers_together_leave_a_quarter_of_the_calls_to_phones() {
    for (max_calls, wanted, granted, left) in
        [(None, audio(P4), 30, 10), (Some(8), audio(P6), 6, 2), (Some(3), audio(P6), 3, 0)]
    {
        let mut bench = Bench::new(&Config { max_calls, ..forty_pairs() });
        assert_eq!(storm_of(&mut bench, 50, 2, &[wanted]), granted);
        let offer = [audio(P4)];
        let phone = request(Method::Invite, 1, &offer);
        let calls = (0..20u8).filter(|&number| bench.try_signal(&Signal { call_id: &[number], ..phone }).is_ok());
        assert_eq!(calls.count(), left);
    }
}

/// How many of these calls that an uplink asks for are let begin.
fn granted_to_uplink(bench: &mut Bench, call_ids: &[[u8; 1]], method: Method) -> usize {
    let wanted = [audio(P4)];
    let to_tag = if method == Method::Update { B } else { None };
    let uplink = Signal { asked_by: Charge::OnTrust, to_tag, ..request(method, 1, &wanted) };
    call_ids.iter().filter(|call_id| bench.try_signal(&Signal { call_id: &call_id[..], ..uplink }).is_ok()).count()
}

/// The address of an uplink can be forged, and a phone that is off says nothing.
#[test]
fn what_an_uplink_asks_for_leaves_an_eighth_until_somebody_answers() {
    let mut bench = Bench::new(&forty_pairs());
    let call_ids: [_; 100] = std::array::from_fn(|number| [u8::try_from(number).unwrap()]);
    let (called, made_up) = call_ids.split_at(30);
    assert_eq!(granted_to_uplink(&mut bench, called, Method::Invite), 30);
    assert_eq!(granted_to_uplink(&mut bench, made_up, Method::Update), 5, "within dialogs that are none");
    let more = [audio(P4); 9];
    let reoffer = Signal { call_id: &called[0], ..request(Method::Invite, 2, &more) };
    assert_eq!(bench.signal(&reoffer)[1..], [Grant::Refused; 8], "nor later on");
    let phones = (100..120u8).filter(|number| {
        let phone = Signal { call_id: &[*number], ..request(Method::Invite, 1, &more[..1]) };
        bench.try_signal(&phone).is_ok()
    });
    assert_eq!(phones.count(), 5);
    // Whose calls are answered is an uplink.
    bench.signal(&Signal { call_id: &[100], ..response(request(Method::Invite, 1, &[]), 486, &[]) });
    bench.now += crate::media::ports::REST;
    assert_eq!(granted_to_uplink(&mut bench, &[*b"x"], Method::Invite), 0);
    bench.signal(&Signal { call_id: &called[0], ..response(request(Method::Invite, 1, &[]), 180, &[]) });
    assert_eq!(granted_to_uplink(&mut bench, &[*b"x", *b"y"], Method::Invite), 1);
}

/// Also where the calls are limited further than the ports do, or take none.
#[test]
fn what_an_uplink_asks_for_leaves_an_eighth_of_the_calls() {
    let mut bench = Bench::new(&Config { max_calls: Some(8), ..forty_pairs() });
    let call_ids: [_; 20] = std::array::from_fn(|number| [u8::try_from(number).unwrap()]);
    assert_eq!(granted_to_uplink(&mut bench, &call_ids, Method::Invite), 7);
    assert!(bench.try_signal(&request(Method::Invite, 1, &[audio(P4)])).is_ok());
}

#[test]
fn unanswered_calls_of_strangers_are_over_after_forty_seconds() {
    let mut bench = Bench::new(&forty_pairs());
    assert_eq!(storm(&mut bench, 50, 2, 1), 30);
    // The relay heard nothing on any of them.
    while let Some(due) = bench.table.poll_timeout().filter(|due| *due <= seconds(41)) {
        bench.now = due;
        bench.table.handle_timeout(due);
        for command in bench.commands() {
            if let Command::Query { session } = command {
                bench.table.heard(due, session, None);
            }
        }
    }
    assert_eq!(bench.table.sessions(), 0);
    bench.now += crate::media::ports::REST;
    assert_eq!(storm(&mut bench, 50, 2, 1), 30, "all is given back");
}

#[test]
fn an_offer_in_the_answer_counts_for_the_stranger_who_called() {
    let mut config = forty_pairs();
    config.max_calls_per_source = 2;
    let mut bench = Bench::new(&config);
    let wanted = [audio(P6)];
    let granted = (0..9u8).map(|number| {
        let late = Signal { call_id: &[number], ..response(request(Method::Invite, 1, &[]), 200, &wanted) };
        bench.signal(&Signal { asked_by: Charge::Stranger(at(P4).ip()), branch: number.into(), ..late })
    });
    let granted = granted.filter(|grants| grants[..] != [Grant::Refused]).count();
    assert_eq!(granted, 2);
}

#[test]
fn over_a_limit_a_new_call_is_refused_and_an_old_one_goes_on_without() {
    let mut config = config();
    config.rtp_ports = PortRange::new(16384, 16387).unwrap();
    let mut bench = Bench::new(&config);
    let (one, two) = ([audio(P4)], [audio(P4), audio(P4)]);
    bench.signal(&request(Method::Invite, 1, &one));
    assert_eq!(bench.try_signal(&call(b"2", &two)), Err(Refusal::NoPorts));
    assert_eq!(bench.table.sessions(), 1, "nothing half done");
    let more = [audio(P4), audio(P4), audio(P4)];
    let grants = bench.signal(&request(Method::Invite, 2, &more));
    assert_eq!(grants, [Grant::Relayed { port: 16384 }, Grant::Relayed { port: 16386 }, Grant::Refused]);
    assert_eq!(bench.try_signal(&call(b"2", &one)), Err(Refusal::NoPorts));
    let late = Signal { call_id: b"3", ..response(request(Method::Invite, 1, &[]), 200, &one) };
    let late = Signal { wanted: Some(&[audio(P6)]), ..late };
    assert_eq!(bench.signal(&late), [Grant::Refused]);
    assert_eq!(bench.signal(&Signal { call_id: b"4", ..in_dialog(Method::Ack, 1, &one) }), [Grant::Refused]);
}

/// Its sender has the answer of the first one, or will.
#[test]
fn a_stream_that_had_no_ports_has_none_when_its_request_is_sent_again() {
    let mut bench = Bench::new(&Config { rtp_ports: PortRange::new(16384, 16387).unwrap(), ..config() });
    let (one, two) = ([audio(P4)], [audio(P4), audio("192.0.2.101:4002")]);
    let other = Signal { call_id: b"2", ..request(Method::Invite, 1, &one) };
    bench.signal(&request(Method::Invite, 1, &one));
    bench.signal(&other);
    assert_eq!(bench.signal(&in_dialog(Method::Update, 2, &two))[1], Grant::Refused);
    bench.signal(&Signal { call_id: b"2", ..response(other, 486, &[]) });
    bench.now += crate::media::ports::REST;
    assert_eq!(bench.signal(&in_dialog(Method::Update, 2, &two))[1], Grant::Refused);
    assert_eq!(bench.signal(&in_dialog(Method::Update, 3, &two))[1], Grant::Relayed { port: 16386 });
}

#[test]
fn max_calls_is_the_limit_of_all() {
    let mut config = config();
    config.max_calls = Some(1);
    let mut bench = Bench::new(&config);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(bench.try_signal(&call(b"2", &[audio(P4)])), Err(Refusal::MaxCalls));
}

#[test]
fn a_port_that_somebody_else_has_is_replaced() {
    let mut bench = Bench::new(&config());
    let invite = [audio(P4)];
    bench.signal(&request(Method::Invite, 1, &invite));
    bench.commands();
    assert!(bench.table.port_taken(bench.now, Family::V6, 16384));
    let commands = bench.commands();
    let Command::Open { ports, .. } = commands[0] else { panic!("{commands:?}") };
    assert_eq!(ports, PerFamily::new(16384, 16386));
    assert_eq!(commands.len(), 3);
    assert_eq!(bench.signal(&request(Method::Invite, 1, &invite)), [Grant::Relayed { port: 16386 }]);
    // It is nobody's, and is asked for again after a while.
    assert_eq!(Family::BOTH.map(|side| bench.table.ports_in_use(side)), [1, 1]);
    bench.signal(&response(request(Method::Invite, 1, &[]), 486, &[]));
    let usage = bench.table.usage(bench.now);
    assert_eq!((usage.pairs, usage.resting, usage.taken, usage.lost), (10, 1, 1, 0));
    bench.now += crate::media::ports::REST;
    assert_eq!(bench.table.allocations.available(bench.now), 9);
    bench.now = crate::media::ports::REST_TAKEN;
    assert_eq!(bench.table.allocations.available(bench.now), 10);
}

/// That no other is tried for a moment is for where all are another program's.
#[test]
fn ports_that_are_taken_now_and_then_refuse_no_call() {
    let mut bench = Bench::new(&Config { rtp_ports: PortRange::new(16384, 17407).unwrap(), ..config() });
    let wanted = [audio(P4)];
    for number in 0..100u8 {
        let invite = Signal { call_id: &[number], ..request(Method::Invite, 1, &wanted) };
        bench.signal(&invite);
        let port = port(&bench.commands());
        assert!(bench.table.port_taken(bench.now, Family::V4, port), "{number}");
    }
}

#[test]
fn a_strangers_word_for_an_address_has_a_budget() {
    let mut bench = Bench::new(&config());
    let there = [audio(P6)];
    let elsewhere = [audio("[2001:db8:bad::1]:6000"), audio("[2001:db8:bad::1]:6002")];
    let generic = |wanted| Signal { sender: Sender::Generic, ..response(request(Method::Invite, 1, &[]), 200, wanted) };
    bench.signal(&request(Method::Invite, 1, &[audio(P4), audio(P4)]));
    bench.commands();
    bench.signal(&generic(&there));
    bench.signal(&generic(&elsewhere));
    let budgets: Vec<_> = bench.legs().into_iter().map(|(_, leg)| leg.budget).collect();
    assert_eq!(budgets, [None, Some(100), Some(100)]);
}

/// A socket of somebody who has nothing to do with the call.
#[test]
fn a_stranger_has_no_reports_sent_to_where_no_media_goes() {
    for (sender, rtcp) in [(Sender::Generic, None), (Sender::Known, Some(at("192.0.2.66:53")))] {
        let mut bench = Bench::new(&config());
        let wanted = [Wanted { rtcp: Some(at("192.0.2.66:53")), ..audio(P4) }];
        bench.signal(&Signal { sender, ..request(Method::Invite, 1, &wanted) });
        assert_eq!(bench.legs()[0].1.rtcp, rtcp);
    }
    // Media may go elsewhere, a little, and reports with it, or home.
    for rtcp in [at("192.0.2.66:53"), at(P4)] {
        let mut bench = Bench::new(&config());
        let wanted = [Wanted { rtcp: Some(rtcp), ..audio("192.0.2.66:4000") }];
        bench.signal(&Signal { sender: Sender::Generic, ..request(Method::Invite, 1, &wanted) });
        let leg = bench.legs()[0].1;
        assert_eq!((leg.rtcp, leg.budget), (Some(rtcp), Some(200)));
    }
}

/// One forged packet must not make an address that never spoke the party's own.
#[test]
fn a_stranger_who_comes_from_elsewhere_has_a_budget_there() {
    let mut bench = Bench::new(&config());
    let victim = "[2001:db8:bad::1]:6000";
    let (answer, moved) = ([audio(P6)], [audio(victim)]);
    let generic = |wanted| Signal { sender: Sender::Generic, ..response(request(Method::Invite, 1, &[]), 200, wanted) };
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&generic(&answer));
    bench.commands();
    for cseq in [1, 2] {
        let forged = Signal {
            arrival: Family::V6,
            from_tag: B,
            to_tag: A,
            source: at("[2001:db8:bad::1]:5060"),
            sender: Sender::Generic,
            ..request(Method::Invite, cseq, &moved)
        };
        bench.signal(&forged);
        let budgets: Vec<_> = bench.legs().into_iter().map(|(_, leg)| leg.budget).collect();
        assert!(budgets.iter().all(|budget| *budget == Some(200)), "{budgets:?}");
    }
}

/// The source of an INVITE may be forged, and a door station answers by itself: no media for
/// whoever lives there, until something shows that the answer arrived.
#[test]
fn a_stranger_who_calls_has_a_budget_from_the_answer_to_its_ack() {
    let mut bench = Bench::new(&config());
    let (there, here) = ([audio(P6)], [audio(P4)]);
    let source = at("[2001:db8:9::55]:5060");
    let stranger = |method, to_tag, wanted| {
        let asked_by = Charge::Stranger(source.ip());
        let request = request(method, 1, wanted);
        Signal { arrival: Family::V6, source, sender: Sender::Generic, asked_by, to_tag, ..request }
    };
    let answer = |status, wanted| {
        let source = at("192.0.2.101:5060");
        Signal { source, ..response(stranger(Method::Invite, None, &[]), status, wanted) }
    };
    let budgets = |bench: &mut Bench| {
        let legs = bench.legs().into_iter().filter(|(side, _)| *side == Family::V6);
        legs.map(|(_, leg)| leg.budget).collect::<Vec<_>>()
    };
    bench.signal(&stranger(Method::Invite, None, &there));
    // Early media may be an announcement to which nobody answers.
    bench.signal(&answer(183, &here));
    assert_eq!(budgets(&mut bench), [None]);
    bench.signal(&answer(200, &here));
    bench.signal(&answer(200, &here));
    bench.signal(&stranger(Method::Ack, None, &[]));
    bench.signal(&stranger(Method::Ack, C, &[]));
    bench.signal(&stranger(Method::Invite, C, &there));
    assert_eq!(budgets(&mut bench), [Some(200)]);
    // So says whoever lives there of a call that it did not make.
    bench.signal(&Signal { status: Some(481), from_tag: B, ..stranger(Method::Update, A, &[]) });
    assert_eq!(budgets(&mut bench), []);
    // Who knows the tag elsewhere does not live there either, however often he says it.
    let elsewhere = Signal { source: at("[2001:db8:bad::1]:5060"), ..stranger(Method::Update, B, &there) };
    bench.signal(&elsewhere);
    assert_eq!(budgets(&mut bench), [Some(200)]);
    bench.signal(&elsewhere);
    assert_eq!(budgets(&mut bench), []);
    bench.signal(&stranger(Method::Ack, B, &[]));
    bench.signal(&answer(200, &here));
    assert_eq!(budgets(&mut bench), [None]);
}

#[test]
fn what_a_stranger_has_sent_to_others_does_not_grow_with_its_descriptions() {
    let mut bench = Bench::answered();
    let closed = Wanted { port: 0, ..audio(P6) };
    bench.commands();
    for line in 0..60 {
        let mut lines = vec![closed; line];
        lines.push(audio("[2001:db8:bad::1]:6000"));
        let cseq = u32::try_from(line).unwrap();
        let source = at("[2001:db8:9::55]:5060");
        let reoffer =
            Signal { arrival: Family::V6, source, from_tag: B, to_tag: A, ..request(Method::Invite, cseq, &lines) };
        bench.signal(&Signal { sender: Sender::Generic, ..reoffer });
    }
    let granted: Vec<u16> = bench.legs().into_iter().filter_map(|(_, leg)| leg.budget).collect();
    assert_eq!((granted.len() > 8, granted.iter().sum::<u16>()), (true, 1000));
}

#[test]
fn addresses_that_a_stranger_names_by_turns_get_a_thousand_packets_in_all() {
    let mut bench = Bench::answered();
    let mut allowance = Allowance::default();
    let sent = (2..12).map(|cseq| {
        let victim = if cseq % 2 == 0 { "[2001:db8:bad::1]:6000" } else { "[2001:db8:bad::2]:6000" };
        let (wanted, source) = ([audio(victim)], at("[2001:db8:9::55]:5060"));
        let reoffer = Signal { arrival: Family::V6, source, from_tag: B, ..request(Method::Invite, cseq, &wanted) };
        bench.signal(&Signal { to_tag: A, sender: Sender::Generic, ..reoffer });
        bench.legs().iter().for_each(|(_, leg)| allowance.describe(leg));
        (0..500).filter(|_| allowance.spend(at(victim).ip())).count()
    });
    assert_eq!(sent.collect::<Vec<_>>(), [200, 200, 200, 200, 200, 0, 0, 0, 0, 0]);
}

/// Each fork answers from where it was asked.
#[test]
fn a_fork_that_answers_from_where_it_was_asked_has_no_budget() {
    let mut bench = Bench::new(&config());
    let other = at("[2001:db8:77::1]:5060");
    let fork = Signal { branch: 2, destination: other, ..request(Method::Invite, 1, &[]) };
    let (offer, answer) = ([audio(P4)], [audio("[2001:db8:77::1]:6000")]);
    bench.signal(&request(Method::Invite, 1, &offer));
    bench.signal(&Signal { wanted: Some(&offer), ..fork });
    bench.commands();
    let ok = Signal { source: other, sender: Sender::Generic, ..response(fork, 200, &answer) };
    bench.signal(&ok);
    assert_eq!(bench.legs().into_iter().map(|(_, leg)| leg.budget).collect::<Vec<_>>(), [None]);
    assert_eq!(bench.table.sessions.values().next().unwrap().parties[Family::V6], Some(other));
    // One that was not asked has.
    let (source, answer) = (at("[2001:db8:bad::1]:5060"), [audio("[2001:db8:bad::1]:6000")]);
    bench.signal(&Signal { source, to_tag: C, sender: Sender::Generic, ..response(fork, 200, &answer) });
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.legs().into_iter().map(|(_, leg)| leg.budget).collect::<Vec<_>>(), [Some(200)]);
}

/// On the second pass of a hairpin nobody knows any more who said it: what the first one
/// let pass, as it was of the other family already, is a stranger's word.
#[test]
fn what_crossed_untouched_has_a_budget_on_the_second_pass() {
    // A port of ours at another's address is none of ours.
    let (elsewhere, ours) = (Some(200), None);
    for (to, budget) in
        [("[2001:db8:bad::1]:6000", elsewhere), ("[2001:db8:bad::1]:16384", elsewhere), ("[2001:db8::1]:16384", ours)]
    {
        let mut bench = Bench::new(&config());
        // The first pass, from IPv4, and the second one, whose sender is ourselves.
        bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
        bench.commands();
        let wanted = [audio(to)];
        let second = Signal {
            arrival: Family::V6,
            from_tag: A,
            source: at("[2001:db8::101]:5060"),
            destination: at("192.0.2.102:5060"),
            sender: Sender::Ourselves,
            branch: 2,
            ..request(Method::Invite, 1, &wanted)
        };
        bench.signal(&second);
        let legs = bench.legs();
        let (_, leg) = legs.iter().find(|(side, _)| *side == Family::V6).unwrap();
        assert_eq!((leg.rtp, leg.budget), (Some(at(to)), budget));
        // A relay socket of ours is heard from its own port alone.
        let expected = [budget.map(|_| at(to).ip()), None];
        assert_eq!(leg.acceptable, expected, "{to}");
    }
}

/// Whoever is asked, once, can answer with any tags, and for ever.
#[test]
fn one_request_begins_one_session_however_it_is_answered() {
    let mut bench = Bench::new(&config());
    let offer = [audio(P6)];
    let late = response(request(Method::Invite, 1, &[]), 200, &offer);
    let tags: Vec<[u8; 1]> = (0..100).map(|tag| [tag]).collect();
    let granted = tags.iter().filter(|tag| {
        let made_up = Signal { from_tag: Some(*tag), to_tag: Some(*tag), ..late };
        bench.signal(&made_up)[..] != [Grant::Refused]
    });
    assert_eq!(granted.count(), 1);
    assert_eq!(bench.table.sessions(), 1);
    // Another fork of the same request is of that session.
    assert!(matches!(
        bench.signal(&Signal { from_tag: Some(&tags[0]), to_tag: B, ..late })[..],
        [Grant::Relayed { .. }]
    ));
    // What an offer began is not begun again by its answer.
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(bench.signal(&Signal { from_tag: Some(b"x"), to_tag: Some(b"y"), ..late }), [Grant::Refused]);
    assert_eq!(bench.table.sessions(), 1);
}

#[test]
fn what_strangers_send_stays_bounded() {
    let mut bench = Bench::answered();
    let many = vec![audio(P6); 500];
    for n in 0..500u32 {
        let tag = n.to_be_bytes();
        let fork = Signal {
            to_tag: Some(&tag),
            branch: u64::from(n),
            ..response(request(Method::Invite, 1, &[]), 183, &many)
        };
        bench.signal(&fork);
        bench.signal(&Signal { branch: u64::from(n), ..request(Method::Invite, 1, &[]) });
    }
    let session = bench.table.sessions.values().next().unwrap();
    assert!(session.tags.len() <= 32 && session.media.len() <= 64);
    assert!(session.is_sound());
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert!(bench.table.tags.is_empty());
}

/// Nor do the places where it rings, and the calls that are over.
#[test]
fn what_a_caller_sends_stays_bounded() {
    let mut bench = Bench::new(&config());
    let offer = [audio(P4)];
    for n in 1..500u32 {
        bench.signal(&request(Method::Invite, n, &offer));
        bench.signal(&Signal { branch: 1000 + u64::from(n), ..request(Method::Invite, 500, &offer) });
        assert!(bench.table.sessions.values().all(Session::is_sound));
    }
    let mut bench = Bench::new(&config());
    for cseq in 1..2000 {
        bench.now += seconds(6);
        bench.signal(&request(Method::Invite, cseq, &offer));
        bench.signal(&response(request(Method::Invite, cseq, &[]), 200, &[audio(P6)]));
        bench.signal(&in_dialog(Method::Bye, cseq, &[]));
        assert_eq!(bench.table.sessions(), 0);
    }
    assert_eq!(bench.table.tags.over().len(), 1024);
}

/// One message of one of three calls, and how many seconds passed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    call_id: [u8; 1],
    what: u8,
    lines: u8,
    tag: [u8; 1],
    /// In seconds.
    pub(super) wait: u64,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3u8, 0..10u8, 0..4u8, 0..4u8, 0..30u64);
    let step =
        step.prop_map(|(call_id, what, lines, tag, wait)| Step { call_id: [call_id], what, lines, tag: [tag], wait });
    prop::collection::vec(step, 1..200)
}

impl Step {
    /// Says it at this bench: the side it leaves to, and what its lines get.
    pub(super) fn take(&self, bench: &mut Bench) -> (Family, Result<Vec<Grant>, Refusal>) {
        let (v4, v6) = (vec![audio(P4); self.lines.into()], vec![audio(P6); self.lines.into()]);
        let cseq = 1 + u32::from(self.what);
        let to_tag = (self.tag[0] > 0).then_some(&self.tag[..]);
        let sent = match self.what {
            0 | 1 => request(Method::Invite, 1, &v4),
            2 => in_dialog(Method::Invite, cseq, &v4),
            3 => response(request(Method::Invite, 1, &[]), 183, &v6),
            4 => response(request(Method::Invite, 1, &[]), 200, &v6),
            5 => response(request(Method::Invite, 1, &[]), 486, &[]),
            6 => in_dialog(Method::Bye, cseq, &[]),
            7 => in_dialog(Method::Update, cseq, &v4),
            8 => response(in_dialog(Method::Update, 8, &[]), 500, &[]),
            _ => Signal { arrival: Family::V6, ..request(Method::Invite, 1, &v6) },
        };
        let asked_by = match self.call_id {
            [0] => Charge::Nobody,
            [1] => Charge::OnTrust,
            _ => Charge::Stranger(at(P4).ip()),
        };
        bench.now += seconds(self.wait);
        let said = bench.try_signal(&Signal { call_id: &self.call_id, to_tag, asked_by, ..sent });
        if self.what == 9 {
            bench.table.handle_timeout(bench.now);
        }
        (sent.arrival.other(), said)
    }
}

proptest! {
    /// Whatever comes in whatever order: the ports in use are those of live
    /// sessions, and when these have ended all are free.
    #[test]
    fn ports_are_those_of_live_sessions(steps in steps(), seed: u64) {
        let mut config = config();
        config.port_order = PortOrder::Random(seed);
        let mut bench = Bench::new(&config);
        for step in steps {
            let _ = step.take(&mut bench);
            let live: usize = bench.table.sessions.values().flat_map(|session| &session.media).filter(|media| media.allocation.is_some()).count();
            for family in Family::BOTH {
                prop_assert_eq!(bench.table.ports_in_use(family), live);
            }
        }
        while let Some(due) = bench.table.poll_timeout() {
            bench.now = bench.now.max(due);
            bench.table.handle_timeout(bench.now);
        }
        prop_assert_eq!(bench.table.sessions(), 0);
        prop_assert!(bench.table.tags.is_empty());
        let rested = bench.now + crate::media::ports::REST;
        prop_assert_eq!(bench.table.allocations.available(rested), 10);
        bench.now = rested;
        prop_assert_eq!(granted_to_uplink(&mut bench, &std::array::from_fn::<_, 20, _>(|number| [number as u8]), Method::Invite), 9);
        prop_assert_eq!(bench.table.limits().streams_of_strangers.now, 0);
    }
}

/// The caller's side is opened by the answer, with another port if need be.
#[test]
fn a_port_of_the_callers_side_is_replaced_when_the_call_is_answered() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let answer = Signal { wanted: Some(&[audio(P6)]), ..response(request(Method::Invite, 1, &[]), 200, &[]) };
    assert_eq!(bench.signal(&answer), [Grant::Relayed { port: 16384 }]);
    bench.commands();
    assert!(bench.table.port_taken(bench.now, Family::V4, 16384));
    let stream = StreamId(1);
    assert_eq!(bench.commands(), [Command::OpenRest { stream, side: Family::V4, port: 16386 }]);
    assert_eq!(bench.signal(&answer), [Grant::Relayed { port: 16386 }]);
    assert_eq!(bench.commands(), []);
    // Where none can be had the call goes on without the stream.
    bench.table.no_socket(bench.now, Family::V4, 16386);
    assert_eq!(bench.commands(), [Command::CloseStream { stream }]);
    assert_eq!(bench.signal(&answer), [Grant::Refused]);
    assert_eq!((bench.table.sessions(), bench.table.ports_in_use(Family::V6)), (1, 0));
}

/// Its request is not refused any more: nobody would send it again.
#[test]
fn a_call_that_rings_goes_on_without_its_stream() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(request(Method::Invite, 1, &[]), 183, &[audio(P6)]));
    bench.table.no_socket(bench.now, Family::V4, 16384);
    assert_eq!(bench.table.sessions(), 1);
}

#[test]
fn where_no_port_can_be_opened_the_call_is_refused_and_the_next_one_later_is_not() {
    let mut bench = Bench::new(&Config { rtp_ports: PortRange::new(16384, 17407).unwrap(), ..config() });
    let wanted = [audio(P4)];
    bench.signal(&call(b"1", &wanted));
    let mut ports = (16384..).step_by(2);
    while bench.table.port_taken(bench.now, Family::V4, ports.next().unwrap()) {}
    assert!(ports.next().unwrap() < 17300, "given up before all ports of the range were tried");
    assert_eq!((bench.table.sessions(), bench.table.ports_in_use(Family::V6)), (0, 0));
    assert_eq!(bench.try_signal(&call(b"1", &wanted)), Err(Refusal::NoPorts));
    bench.now += Duration::from_secs(2);
    bench.signal(&call(b"1", &wanted));
}

/// The IPv4 port that these ask for.
fn port(commands: &[Command]) -> u16 {
    let opened = commands.iter().find_map(|command| match command {
        Command::Open { ports, .. } => Some(ports[Family::V4]),
        _ => None,
    });
    opened.unwrap()
}

/// No descriptors, or the address is gone: no port is another program's for that.
#[test]
fn where_the_machine_has_no_socket_the_ports_are_free_again_soon() {
    let mut bench = Bench::new(&config());
    let wanted = [audio(P4)];
    for _ in 0..20 {
        bench.signal(&call(b"1", &wanted));
        let port = port(&bench.commands());
        bench.table.no_socket(bench.now, Family::V4, port);
        assert_eq!(bench.table.sessions(), 0);
        assert_eq!(bench.try_signal(&call(b"1", &wanted)), Err(Refusal::NoPorts));
        bench.now += seconds(2);
    }
    bench.now += crate::media::ports::REST;
    assert_eq!(bench.table.allocations.available(bench.now), 10);
}

/// Later in a call the streams that are there go on.
#[test]
fn where_the_machine_has_no_socket_a_call_goes_on_without_the_new_stream() {
    let mut bench = Bench::answered();
    let two = [audio(P4), audio("192.0.2.101:4002")];
    let grants = bench.signal(&in_dialog(Method::Invite, 2, &two));
    let [old, Grant::Relayed { port }] = grants[..] else { panic!("{grants:?}") };
    bench.table.no_socket(bench.now, Family::V6, port);
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &two)), [old, Grant::Refused]);
    assert_eq!(bench.table.sessions(), 1);
    // When it is asked for again, it is another one.
    bench.now += seconds(2);
    bench.commands();
    let grants = bench.signal(&in_dialog(Method::Invite, 3, &two));
    assert!(matches!(grants[..], [_, Grant::Relayed { .. }]), "{grants:?}");
    assert_eq!(bench.aims()[0], (Family::V4, Some(at("192.0.2.101:4002"))));
}

/// The files of this machine may be fewer than the ports.
#[test]
fn there_are_no_more_streams_than_the_machine_has_sockets_for() {
    let config = Config { most_streams: Some(4), ..config() };
    let mut bench = Bench::new(&config);
    let one = [audio(P4)];
    for stranger in 0..3u8 {
        bench.signal(&call(&[stranger], &one));
    }
    assert_eq!(bench.try_signal(&call(b"x", &one)), Err(Refusal::NoPorts), "the rest is for phones");
    bench.signal(&request(Method::Invite, 1, &one));
    bench.commands();
    assert_eq!(bench.table.allocations.available(bench.now), 0);
    assert_eq!(bench.signal(&in_dialog(Method::Update, 2, &[one[0], one[0]]))[1], Grant::Refused);
    bench.signal(&response(request(Method::Invite, 1, &[]), 486, &[]));
    assert_eq!(bench.table.allocations.available(bench.now), 1);
}

/// Another program may have most of the range: a port that is free is found.
#[test]
fn where_most_ports_are_another_programs_one_of_the_rest_is_found() {
    let mut bench = Bench::new(&config());
    let wanted = [audio(P4)];
    bench.signal(&request(Method::Invite, 1, &wanted));
    for port in (16384..16402).step_by(2) {
        assert!(bench.table.port_taken(bench.now, Family::V6, port), "{port}");
    }
    assert_eq!(bench.signal(&request(Method::Invite, 1, &wanted)), [Grant::Relayed { port: 16402 }]);
}
