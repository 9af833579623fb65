//! What can be seen of the table from outside.

use super::*;
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
