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
    assert_eq!((seen[3].caller, seen[3].parties[Family::V4]), (Family::V4, Some(at("192.0.2.101:5060"))));
}

#[test]
fn limits_tell_how_near_they_are() {
    let mut table = Table::new(&Config { max_calls: Some(9), ..config() });
    calling(&mut table, 4);
    let limits = table.limits();
    assert_eq!(limits.calls, Nearness { now: 4, most: 9 });
    assert_eq!(limits.calls_of_one_source, Nearness { now: 0, most: 32 });
}
