//! A call that passes more than twice: from relay to relay, and never round.

use super::*;
use crate::media::session::MediaState;

/// The passes of a call that one proxy hands on to the other side, and another one back:
/// from where each comes, and where it goes.
const PASSES: [(&str, &str); 3] = [
    ("192.0.2.101:5060", "[2001:db8:456::12]:5060"),
    ("[2001:db8:456::12]:5060", "198.51.100.12:5060"),
    ("198.51.100.12:5060", "[2001:db8:6::7]:5060"),
];

/// A message of the caller or the callee as it is on one of them.
fn on_pass(pass: usize, is_caller: bool, message: Signal<'_>) -> Signal<'_> {
    let (caller, callee) = PASSES[pass];
    let (from, to) = if is_caller { (caller, callee) } else { (callee, caller) };
    let branch = message.branch + 100 * pass as u64;
    Signal { arrival: Family::at(at(from)), source: at(from), destination: at(to), branch, ..message }
}

fn handed_on() -> Bench {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    for (pass, offer) in [P4, "[2001:db8::1]:16384", "192.0.2.1:16386"].into_iter().enumerate() {
        bench.signal(&on_pass(pass, true, Signal { wanted: Some(&[audio(offer)]), ..invite }));
    }
    for (pass, answer) in [(2, P6), (1, "192.0.2.1:16388"), (0, "[2001:db8::1]:16386")] {
        bench.signal(&on_pass(pass, false, response(invite, 200, &[audio(answer)])));
    }
    bench
}

fn relay_socket(side: Family, port: u16) -> SocketAddr {
    SocketAddr::new(config().listen[side].ip(), port)
}

/// The way of a packet through our sockets: from the one of which it leaves to the one where
/// it comes in, which must expect it from there; and so on.
fn on_its_way(bench: &Bench, (from, to): (SocketAddr, SocketAddr)) -> Option<(SocketAddr, SocketAddr)> {
    let side = Family::at(to);
    let owner = bench.table.allocations.owner(side, to.port())?;
    let MediaState { legs, allocation, .. } = &bench.table.sessions[&owner.session].media[owner.media_index];
    let leaves = relay_socket(side.other(), (*allocation)?.ports[side.other()]);
    let is_expected = legs[side].description?.rtp == Some(from);
    legs[side.other()].description?.rtp.filter(|to| is_expected && to.ip() == leaves.ip()).map(|to| (leaves, to))
}

#[test]
fn a_call_that_passes_three_times_leads_from_relay_to_relay() {
    let bench = handed_on();
    let there = (at("[2001:db8::1]:16384"), at("[2001:db8::1]:16386"));
    let back = (at("192.0.2.1:16388"), at("192.0.2.1:16386"));
    assert_eq!(on_its_way(&bench, there), Some((back.1, back.0)));
    assert_eq!(on_its_way(&bench, back), Some((there.1, there.0)));
}

/// Whatever three of its parties say, in any order.
#[test]
fn no_ring_can_be_made_of_three_relays() {
    let ports = [16384, 16386, 16388];
    let sockets = |side| ports.map(|port| relay_socket(side, port));
    for all in 0..18 * 18 * 18 {
        let mut bench = handed_on();
        for (cseq, number) in (2..).zip([all / 324, all / 18 % 18, all % 18]) {
            let (pass, is_caller, port) = (number / 3 % 3, number / 9 == 0, number % 3);
            let (from_tag, to_tag) = if is_caller { (A, B) } else { (B, A) };
            let signal = on_pass(pass, is_caller, Signal { from_tag, to_tag, ..request(Method::Invite, cseq, &[]) });
            let told = sockets(signal.arrival)[port].to_string();
            bench.signal(&Signal { wanted: Some(&[audio(&told)]), ..signal });
        }
        for side in Family::BOTH {
            for (from, to) in sockets(side).into_iter().flat_map(|from| sockets(side).map(|to| (from, to))) {
                let way = std::iter::successors(Some((from, to)), |&at| on_its_way(&bench, at));
                assert!(way.take(7).count() < 7, "from {from} to {to}, {all}");
            }
        }
    }
}
