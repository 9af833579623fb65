//! A session description: read, rewritten, and read again. The first byte says
//! which side it came from and what its streams are granted.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use sipproxy64::address::sdp_connection;
use sipproxy64::edit::Edits;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::rewrite::session;
use sipproxy64::scan::Span;
use sipproxy64::sdp::connection::Connection;
use sipproxy64::sdp::description::{Description, Room};
use sipproxy64::streams::{Grant, MAX_STREAMS, Transport, Wanted};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, sdp)) = bytes.split_first() else { return };
    let whole = Span::new(0, sdp.len());
    let mut room = Room::default();
    let description = match Description::parse(sdp, whole, &mut room) {
        Ok(description) => description,
        Err(malformed) => return assert!(malformed.offset <= sdp.len(), "{malformed}"),
    };
    let arrival = if choice & 1 == 0 { Family::V4 } else { Family::V6 };
    let mut wanted = Vec::new();
    session::wanted(&description, &mut wanted);
    assert!(wanted.len() <= MAX_STREAMS);
    let grants: Vec<Grant> = wanted.iter().enumerate().map(|(index, wanted)| grant(choice, index, wanted)).collect();
    let out = rewritten(sdp, &description, &grants, arrival);
    let all = !grants.is_empty() && grants.len() == description.media().count();
    if all && grants.iter().all(|grant| *grant == Grant::Untouched) && !names_nowhere(sdp, &description) {
        return assert_eq!(out, sdp, "nothing to change");
    }
    assert_eq!(out, rewritten(sdp, &description, &grants, arrival));
    // All but the c= line of a stream, and our addresses and ports, is only cut.
    assert!(out.len() <= sdp.len() + (description.media().count() + 4) * 320, "{}", out.escape_ascii());
    leaves_in_the_other_family(&out, &wanted, &grants, arrival);
});

/// Whether a `c=` line has the unspecified address, which each side says in its own way.
fn names_nowhere(sdp: &[u8], description: &Description<'_>) -> bool {
    let mut connections = description.lines().filter(|line| sdp.get(line.whole().start) == Some(&b'c'));
    connections
        .any(|line| Connection::read(sdp, line.value).is_ok_and(|connection| connection.address.is_unspecified()))
}

fn listen() -> PerFamily<IpAddr> {
    PerFamily::new([192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into())
}

/// What a stream gets; the media table gives no stream without an address less.
fn grant(choice: u8, index: usize, wanted: &Wanted) -> Grant {
    let index = u16::try_from(index).unwrap_or(0);
    match choice.rotate_left(u32::from(index)) >> 1 & 3 {
        0 if wanted.port != 0 => Grant::Untouched,
        1 => Grant::Refused,
        _ if wanted.port == 0 || wanted.transport == Transport::NotRelayable => Grant::Refused,
        _ => Grant::Relayed { port: 16384 + 2 * index },
    }
}

fn rewritten(sdp: &[u8], description: &Description<'_>, grants: &[Grant], arrival: Family) -> Vec<u8> {
    let mut edits = Edits::default();
    edits.clear();
    session::edits(description, grants, arrival, &sdp_connection(listen()[arrival.other()]), &mut edits);
    let mut out = Vec::new();
    edits.apply(sdp, &mut out);
    out
}

/// Read again, each stream is where it was said to be.
fn leaves_in_the_other_family(out: &[u8], before: &[Wanted], grants: &[Grant], arrival: Family) {
    let mut room = Room::default();
    let description = match Description::parse(out, Span::new(0, out.len()), &mut room) {
        Ok(description) => description,
        Err(malformed) => panic!("{malformed}: {}", out.escape_ascii()),
    };
    let mut after = Vec::new();
    session::wanted(&description, &mut after);
    assert_eq!(before.len(), after.len());
    for ((before, after), grant) in before.iter().zip(&after).zip(grants) {
        match *grant {
            Grant::Relayed { port } => {
                assert_eq!(after.port, port, "{}", out.escape_ascii());
                let nowhere = before.address.is_some_and(|address| address.is_unspecified());
                let ours = after.address.is_some_and(|address| address == listen()[arrival.other()]);
                let held = after
                    .address
                    .is_some_and(|address| address.is_unspecified() && Family::of(address) == arrival.other());
                assert!(if nowhere { held } else { ours }, "{:?} {}", after.address, out.escape_ascii());
            }
            Grant::Refused => assert_eq!(after.port, 0, "{}", out.escape_ascii()),
            Grant::Untouched => {
                assert_eq!(before.port, after.port, "{}", out.escape_ascii());
                // Of several addresses, and of "nowhere", the table says this of no single stream.
                let said = before.address.filter(|address| !address.is_unspecified());
                assert!(said.is_none() || said == after.address, "{}", out.escape_ascii());
            }
        }
    }
}
