//! What can be seen of the table from outside.

use super::*;
use crate::media::command::Wish;
use crate::media::view::{CallState, Nearness};

/// So many calls that ring, by their Call-IDs.
fn calling(table: &mut Table, count: usize) {
    for number in 0..count {
        let (wanted, call_id) = ([audio(P4)], format!("c{number}"));
        let invite = Signal { call_id: call_id.as_bytes(), ..request(Method::Invite, 1, &wanted) };
        table.signal(seconds(number as u64), &invite, &mut Vec::new()).unwrap();
    }
}

#[test]
fn all_calls_are_seen_in_pieces_each_once() {
    let mut table = Table::new(&config());
    calling(&mut table, 7);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let piece = table.calls(seconds(10), after, 3);
        assert!(piece.len() <= 3);
        let Some(last) = piece.last() else { break };
        after = Some(last.session);
        seen.extend(piece);
    }
    let ids: Vec<_> = seen.iter().map(|call| String::from_utf8_lossy(&call.call_id).into_owned()).collect();
    assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4", "c5", "c6"]);
    assert_eq!((seen[3].state, seen[3].age, seen[3].streams.len()), (CallState::Trying, seconds(7), 1));
    let parties = PerFamily::new(Some(at("192.0.2.101:5060")), Some(at("[2001:db8:9::55]:5060")));
    assert_eq!((seen[3].caller, seen[3].parties), (Family::V4, parties));
}

#[test]
fn limits_tell_how_near_they_are() {
    let mut table = Table::new(&Config { max_calls: Some(9), ..config() });
    calling(&mut table, 4);
    let limits = table.limits();
    assert_eq!(limits.calls, Nearness { now: 4, most: 9 });
    assert_eq!(limits.calls_of_one_source, Nearness { now: 0, most: 32 });
}

#[test]
fn the_use_of_ports_adds_up() {
    let mut bench = Bench::new(&config());
    calling(&mut bench.table, 3);
    let invite = Signal { call_id: b"c0", ..request(Method::Invite, 1, &[]) };
    bench.signal(&Signal { call_id: b"c0", ..response(invite, 200, &[audio(P6)]) });
    let held = [Wanted { held: true, ..audio(P6) }];
    bench.signal(&Signal { call_id: b"c1", ..response(invite, 200, &held) });
    // One that another program has on this side alone.
    assert!(bench.table.port_taken(bench.now, Family::V6, 16388));
    let usage = bench.table.usage(seconds(10));
    let lost = Usage { pairs: 10, answered: 1, held: 1, ringing: 1, taken: 1, quietest: seconds(10), ..usage };
    assert_eq!((usage, usage.resting, usage.lost), (lost, 0, 0));
}

#[test]
fn how_far_a_call_is_can_be_seen() {
    let state = |bench: &Bench| bench.table.calls(seconds(1), None, 1)[0].state;
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(state(&bench), CallState::Trying);
    bench.signal(&response(invite, 180, &[]));
    assert_eq!(state(&bench), CallState::Ringing);
    bench.signal(&response(invite, 200, &[audio(P6)]));
    assert_eq!(state(&bench), CallState::Answered);
    bench.signal(&in_dialog(Method::Invite, 2, &[Wanted { held: true, ..audio(P4) }]));
    assert_eq!(state(&bench), CallState::Held);
    let wishes = bench.table.calls(seconds(1), None, 1)[0].wishes;
    assert_eq!(wishes, PerFamily::new(Wish::Held, Wish::Open));
    // Anybody can say that of a dialog.
    let mut bench = Bench::new(&config());
    bench.signal(&in_dialog(Method::Invite, 2, &[Wanted { held: true, ..audio(P4) }]));
    assert_eq!(state(&bench), CallState::Trying);
    bench.table.shut_down(seconds(1));
    assert!(!bench.end().unwrap().answered);
}
