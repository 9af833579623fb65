//! How sessions end.

use super::*;

#[test]
fn another_answered_fork_takes_over() {
    let mut bench = Bench::answered();
    let two = [audio("[2001:db8:9::66]:6000")];
    bench.signal(&Signal { to_tag: C, ..response(request(Method::Invite, 1, &[]), 200, &two) });
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.aims(), [(Family::V6, Some(at("[2001:db8:9::66]:6000")))]);
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 0);
}

/// The 200 of a fork that was dropped is sent again, as its ACK was lost.
#[test]
fn a_fork_that_is_over_does_not_take_over() {
    let mut bench = Bench::answered();
    let two = [Wanted { held: true, ..audio("[2001:db8:9::66]:6000") }];
    let other = Signal { to_tag: C, ..response(request(Method::Invite, 1, &[]), 200, &two) };
    bench.signal(&other);
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    bench.signal(&other);
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.table.sessions(), 0);
}

/// A re-INVITE that the BYE overtook, and what answers it.
#[test]
fn a_request_from_before_the_bye_begins_nothing() {
    let mut bench = Bench::answered();
    let held = [Wanted { held: true, ..audio(P4) }];
    bench.signal(&in_dialog(Method::Bye, 3, &[]));
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &held)), [Grant::Refused]);
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 200, &held));
    assert_eq!(bench.table.sessions(), 0);
    // After it, or by the other party, it is asked for.
    bench.signal(&in_dialog(Method::Invite, 4, &held));
    assert_eq!(bench.table.sessions(), 1);
}

/// The network repeats it, behind the BYE of the other party, who answers it once more.
#[test]
fn a_copy_of_a_request_from_before_the_others_bye_begins_nothing() {
    let mut bench = Bench::answered();
    let (held, answer) = ([Wanted { held: true, ..audio(P4) }], [Wanted { held: true, ..audio(P6) }]);
    for copies in 0..2 {
        bench.signal(&in_dialog(Method::Invite, 3, &held));
        assert_eq!(bench.table.sessions(), 1 - copies);
        bench.signal(&response(in_dialog(Method::Invite, 3, &[]), 200, &answer));
        bench.signal(&Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Bye, 1, &[]) });
        assert_eq!(bench.table.sessions(), 0);
    }
    bench.signal(&in_dialog(Method::Invite, 4, &held));
    assert_eq!(bench.table.sessions(), 1);
}

/// The UPDATE of whom the BYE had not reached yet, and the late answer to another one.
#[test]
fn the_answer_to_another_request_confirms_nothing() {
    let mut bench = Bench::answered();
    let held = [Wanted { held: true, ..audio(P6) }];
    bench.signal(&in_dialog(Method::Bye, 4, &[]));
    bench.commands();
    bench.signal(&Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Update, 1, &held) });
    bench.signal(&response(in_dialog(Method::Update, 3, &[]), 200, &held));
    assert_eq!(bench.pass(seconds(41), None), Some(End::Silence(seconds(40))));
}

/// It is the first that is heard of the call after a restart, and is to be sent again with a
/// password.
#[test]
fn a_re_invite_that_is_refused_ends_no_dialog() {
    let mut bench = Bench::new(&config());
    bench.signal(&in_dialog(Method::Invite, 2, &[audio(P4)]));
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 407, &[]));
    assert_eq!(bench.table.sessions(), 0);
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)])), [Grant::Relayed { port: 16386 }]);
    let answer = response(in_dialog(Method::Invite, 3, &[]), 200, &[]);
    assert_eq!(bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..answer }), [Grant::Relayed { port: 16386 }]);
    // Nor does an UPDATE.
    let mut bench = Bench::new(&config());
    bench.signal(&in_dialog(Method::Update, 2, &[audio(P4)]));
    bench.signal(&response(in_dialog(Method::Update, 2, &[]), 500, &[]));
    bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)]));
    assert_eq!(bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..answer }), [Grant::Relayed { port: 16386 }]);
}

#[test]
fn a_late_answer_within_an_invite_that_failed_begins_nothing() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    let prack = in_dialog(Method::Prack, 2, &[]);
    let held = [Wanted { held: true, ..audio(P6) }];
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 183, &[audio(P6)]));
    bench.signal(&response(prack, 200, &held));
    bench.signal(&response(invite, 486, &[]));
    assert_eq!(bench.table.sessions(), 0);
    for _ in 0..2 {
        bench.signal(&in_dialog(Method::Prack, 2, &[Wanted { held: true, ..audio(P4) }]));
        bench.signal(&response(prack, 200, &held));
        assert_eq!(bench.table.sessions(), 0);
    }
    // Another attempt is another call, even of a callee who keeps its tag.
    bench.signal(&request(Method::Invite, 3, &[audio(P4)]));
    let grants = bench.signal(&response(request(Method::Invite, 3, &[]), 200, &[audio(P6)]));
    assert!(matches!(grants[..], [Grant::Relayed { .. }]), "{grants:?}");
}

#[test]
fn bye_ends_from_either_side_with_the_right_tags_only() {
    let mut bench = Bench::answered();
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    bench.signal(&Signal { to_tag: None, ..request(Method::Bye, 2, &[]) });
    // A callee may have one tag for several calls.
    bench.signal(&Signal { arrival: Family::V6, from_tag: B, to_tag: C, ..request(Method::Bye, 1, &[]) });
    assert_eq!(bench.table.sessions(), 1);
    bench.now = seconds(90);
    bench.signal(&Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Bye, 1, &[]) });
    let obituary = bench.end().unwrap();
    assert_eq!(obituary.end, End::Bye(Family::V6));
    assert_eq!((obituary.answered, obituary.duration, obituary.caller), (true, seconds(90), Family::V4));
    assert_eq!(obituary.parties, PerFamily::new(Some(at("192.0.2.101:5060")), Some(at("[2001:db8:9::55]:5060"))));
    assert_eq!(obituary.call_id, b"c1@192.0.2.101");
    assert_eq!(bench.table.ports_in_use(Family::V4), 0);
    assert_eq!(bench.table.poll_timeout(), None);
}

/// RFC 2543 has none.
#[test]
fn bye_ends_the_call_of_a_callee_without_a_tag() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { to_tag: None, ..response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]) });
    bench.signal(&Signal { to_tag: None, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.end().unwrap().end, End::Bye(Family::V4));
}

/// A 200 whose ACK was lost is sent again, and may meet the BYE.
#[test]
fn what_comes_late_begins_no_call_after_bye() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    bench.commands();
    let answer = [audio(P6)];
    let again = response(request(Method::Invite, 1, &[]), 200, &answer);
    bench.now = seconds(31);
    assert_eq!(bench.signal(&again), [Grant::Refused]);
    assert_eq!(bench.signal(&in_dialog(Method::Ack, 1, &[audio(P4)])), [Grant::Refused]);
    assert_eq!((bench.table.sessions(), bench.commands().len()), (0, 0));
    // Whoever asks for media gets it: somebody else ended the call, or it is another one.
    bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&response(in_dialog(Method::Invite, 3, &[]), 200, &[audio(P6)]));
    assert_eq!(bench.table.ports_in_use(Family::V6), 1);
    bench.signal(&in_dialog(Method::Bye, 4, &[]));
    // Later it can only be a call from before a restart of ours.
    bench.now = seconds(70);
    bench.signal(&again);
    assert_eq!(bench.table.sessions(), 1);
}

#[test]
fn failure_ends_when_no_branch_is_left_and_cancel_does_not() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    bench.signal(&request(Method::Cancel, 1, &[]));
    bench.signal(&response(request(Method::Cancel, 1, &[]), 200, &[]));
    bench.signal(&response(invite, 486, &[]));
    bench.signal(&response(invite, 486, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { branch: 2, ..response(invite, 487, &[]) });
    assert_eq!(bench.end().unwrap().end, End::Failed(487));
}

/// A ring group may have more members than are counted: one of them may still ring.
#[test]
fn the_failure_of_all_branches_that_are_counted_ends_nothing_where_there_are_more() {
    let mut bench = Bench::new(&config());
    let invite = |branch| Signal { branch, ..request(Method::Invite, 1, &[]) };
    let offer = [audio(P4)];
    for branch in 0..100 {
        bench.signal(&Signal { wanted: Some(&offer), ..invite(branch) });
    }
    for branch in 0..99 {
        bench.signal(&Signal { branch, ..response(invite(branch), 486, &[]) });
    }
    let grants = bench.signal(&Signal { branch: 99, ..response(invite(99), 183, &[audio(P6)]) });
    assert_eq!((&grants[..], bench.table.sessions()), (&[Grant::Relayed { port: 16384 }][..], 1));
    // Who asks again, with a password, has given all of them up.
    bench.signal(&Signal { branch: 100, ..request(Method::Invite, 2, &offer) });
    bench.signal(&Signal { branch: 100, ..response(request(Method::Invite, 2, &[]), 403, &[]) });
    assert_eq!(bench.table.sessions(), 0);
}

/// An INVITE without an offer begins no session; the first branch that makes one does,
/// and the others are pending all the same.
#[test]
fn a_branch_of_a_late_offer_that_fails_ends_nothing_while_another_rings() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    let other = Signal { branch: 2, ..invite };
    bench.signal(&invite);
    bench.signal(&other);
    bench.signal(&response(invite, 183, &[audio(P6)]));
    let two = [audio("[2001:db8:9::66]:6000")];
    bench.signal(&Signal { to_tag: C, ..response(other, 183, &two) });
    bench.signal(&response(invite, 486, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { to_tag: C, ..response(other, 486, &[]) });
    assert_eq!(bench.end().unwrap().end, End::Failed(486));
}

/// A callee may have one tag for several calls.
#[test]
fn that_another_call_rings_keeps_none_that_failed() {
    let mut bench = Bench::new(&config());
    bench.signal(&response(request(Method::Invite, 1, &[]), 183, &[audio(P6)]));
    let other = Signal { from_tag: C, branch: 2, ..request(Method::Invite, 1, &[]) };
    bench.signal(&Signal { from_tag: C, ..response(other, 180, &[]) });
    bench.signal(&response(request(Method::Invite, 1, &[]), 486, &[]));
    assert_eq!(bench.end().unwrap().end, End::Failed(486));
}

/// UDP may turn a provisional response and the final one round.
#[test]
fn a_branch_that_failed_is_not_pending_again_when_it_rang_before() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    bench.signal(&response(invite, 486, &[]));
    bench.signal(&response(invite, 180, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { branch: 2, ..response(invite, 486, &[]) });
    assert_eq!(bench.end().unwrap().end, End::Failed(486));
}

/// A copy of an INVITE comes when that was asked for its password already.
#[test]
fn an_invite_from_before_the_password_is_no_branch() {
    let mut bench = Bench::new(&config());
    let wanted = [audio(P4)];
    let (first, second) = (request(Method::Invite, 1, &[]), request(Method::Invite, 2, &[]));
    bench.signal(&request(Method::Invite, 1, &wanted));
    bench.signal(&response(first, 407, &[]));
    bench.signal(&request(Method::Invite, 1, &wanted));
    bench.signal(&request(Method::Invite, 2, &wanted));
    bench.signal(&request(Method::Invite, 1, &wanted));
    bench.signal(&response(second, 180, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&response(second, 486, &[]));
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn a_branch_that_fails_after_another_answered_ends_nothing() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    bench.signal(&response(invite, 200, &[audio(P6)]));
    bench.signal(&Signal { branch: 2, to_tag: C, ..response(invite, 487, &[]) });
    assert_eq!(bench.table.sessions(), 1);
}

#[test]
fn a_failure_ends_no_call_but_the_one_that_failed() {
    let mut bench = Bench::new(&config());
    // The offer came late, so that the callee's tag finds this call.
    bench.signal(&response(request(Method::Invite, 1, &[]), 183, &[audio(P6)]));
    let other = Signal { from_tag: C, branch: 2, ..request(Method::Invite, 1, &[]) };
    bench.signal(&Signal { wanted: Some(&[audio(P4)]), ..other });
    bench.signal(&Signal { from_tag: C, ..response(other, 180, &[]) });
    for _ in 0..2 {
        bench.signal(&Signal { from_tag: C, ..response(other, 486, &[]) });
        assert_eq!(bench.table.sessions(), 2);
    }
    bench.signal(&response(request(Method::Invite, 1, &[]), 486, &[]));
    assert_eq!(bench.end().unwrap().end, End::Failed(486));
}

#[test]
fn silence_ends_an_invite_without_any_answer_after_forty_seconds() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(bench.pass(seconds(39), None), None);
    assert_eq!(bench.pass(seconds(41), None), Some(End::Silence(seconds(40))));
    // From the last place on that was asked.
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.pass(seconds(30), None);
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    assert_eq!(bench.pass(seconds(69), None), None);
    assert_eq!(bench.pass(seconds(71), None), Some(End::Silence(seconds(40))));
}

/// A request of a dialog that is not known may be of a call from before a restart,
/// or made up: nobody holds ports for an hour by saying that he holds a call.
#[test]
fn a_dialog_that_nobody_confirms_is_over_after_forty_seconds() {
    let held = [Wanted { held: true, ..audio(P4) }];
    let answer = [Wanted { held: true, ..audio(P6) }];
    for method in [Method::Update, Method::Prack, Method::Ack] {
        let mut bench = Bench::new(&config());
        bench.signal(&in_dialog(method, 7, &held));
        assert_eq!(bench.pass(seconds(41), None), Some(End::Silence(seconds(40))), "{method:?}");
    }
    for method in [Method::Update, Method::Prack] {
        let request = in_dialog(method, 7, &held);
        let mut bench = Bench::new(&config());
        bench.signal(&request);
        bench.signal(&response(request, 200, &answer));
        assert_eq!(bench.pass(seconds(3000), None), None, "{method:?}");
        let mut bench = Bench::new(&config());
        bench.signal(&request);
        bench.signal(&response(request, 481, &[]));
        assert_eq!(bench.end().map(|obituary| obituary.end), Some(End::Failed(481)), "{method:?}");
        let mut bench = Bench::new(&config());
        bench.signal(&request);
        assert_eq!(bench.pass(seconds(3000), Some(seconds(5))), None, "{method:?}: media was heard");
    }
}

/// Who answers at once, and holds.
#[test]
fn an_answer_confirms_a_call_without_any_ringing() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 200, &[Wanted { held: true, ..audio(P6) }]));
    assert_eq!(bench.pass(seconds(3000), None), None);
}

#[test]
fn ringing_may_last_three_minutes_from_the_last_sign() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.pass(seconds(30), None);
    bench.signal(&response(request(Method::Invite, 1, &[]), 180, &[]));
    assert_eq!(bench.pass(seconds(209), Some(seconds(100))), None);
    assert_eq!(bench.pass(seconds(230), Some(seconds(35))), Some(End::Silence(seconds(175 + 5))));
}

#[test]
fn an_answered_call_ends_after_a_minute_without_a_packet() {
    let mut bench = Bench::answered();
    assert_eq!(bench.pass(seconds(100), Some(seconds(50))), None);
    assert_eq!(bench.pass(seconds(111), Some(seconds(50))), Some(End::Silence(seconds(60))));
}

/// Not from the last ringing, and no ringing that comes late counts.
#[test]
fn that_minute_begins_with_the_answer() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(invite, 183, &[audio(P6)]));
    bench.pass(seconds(100), None);
    bench.signal(&response(invite, 200, &[]));
    assert_eq!(bench.pass(seconds(150), None), None);
    bench.signal(&response(invite, 180, &[]));
    assert_eq!(bench.pass(seconds(161), None), Some(End::Silence(seconds(60))));
}

#[test]
fn a_call_on_hold_has_its_own_time_and_a_resumed_one_a_new_minute() {
    let mut bench = Bench::answered();
    let held = [Wanted { held: true, ..audio(P4) }];
    bench.signal(&in_dialog(Method::Invite, 2, &held));
    assert_eq!(bench.pass(seconds(3000), Some(seconds(1))), None);
    bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)]));
    assert_eq!(bench.pass(seconds(3050), Some(seconds(1))), None);
    assert_eq!(bench.pass(seconds(3061), Some(seconds(1))), Some(End::Silence(seconds(60))));
    bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &held));
    assert_eq!(bench.pass(seconds(3700), Some(seconds(1))), Some(End::Silence(seconds(3599 + 1))));
}

#[test]
fn a_call_whose_other_line_was_refused_in_the_answer_can_be_held() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4), audio("192.0.2.101:4002")]));
    let held = [Wanted { held: true, ..audio(P6) }, Wanted { port: 0, ..audio(P6) }];
    bench.signal(&response(request(Method::Invite, 1, &[]), 200, &held));
    assert_eq!(bench.pass(seconds(3000), None), None);
}

/// A fax or a video that was refused is no stream that could be missed.
#[test]
fn a_call_whose_added_line_was_refused_can_be_held() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio(P4), audio("192.0.2.101:4002")]));
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 488, &[]));
    let held = [Wanted { held: true, ..audio(P4) }];
    bench.signal(&in_dialog(Method::Invite, 3, &held));
    bench.signal(&response(in_dialog(Method::Invite, 3, &[]), 200, &[Wanted { held: true, ..audio(P6) }]));
    assert_eq!(bench.pass(seconds(3000), None), None);
}

#[test]
fn a_shell_that_never_says_leaks_nothing_and_haste_kills_nothing() {
    let mut bench = Bench::answered();
    bench.now = seconds(61);
    bench.table.handle_timeout(bench.now);
    for _ in 0..10 {
        bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]));
        bench.table.handle_timeout(bench.now);
    }
    assert_eq!(bench.table.sessions(), 1);
    while let Some(due) = bench.table.poll_timeout() {
        bench.table.handle_timeout(due);
    }
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn shutdown_closes_everything() {
    let mut bench = Bench::answered();
    bench.table.shut_down(seconds(5));
    assert_eq!(bench.end().unwrap().end, End::Shutdown);
    assert_eq!(bench.table.sessions(), 0);
}
