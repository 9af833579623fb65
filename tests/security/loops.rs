//! Loops and spirals end, and grow only by what each pass adds.

use std::collections::HashMap;
use std::net::SocketAddr;

use sipproxy64::config::Config;
use sipproxy64::family::Family;
use sipproxy64::proxy::Reason;

use super::bridge::*;

/// The most that a pass adds: a Via, two Record-Routes, and a token for each of
/// the URIs of [`request`].
const PER_PASS: usize = 700;

/// Two bridges, each the uplink of the other.
struct Pair {
    bridges: [Bridge; 2],
    whose: HashMap<SocketAddr, usize>,
}

const A: [&str; 2] = ["192.0.2.1:5060", "[2001:db8::1]:5060"];
const B: [&str; 2] = ["192.0.2.2:5060", "[2001:db8:b::1]:5060"];

impl Pair {
    fn new() -> Self {
        let bridge = |own: [&str; 2], other: [&str; 2]| {
            let mut config = Config::new(at(own[0]), at(own[1]));
            config.uplinks[Family::V4] = Some(uplink(other[0]));
            config.uplinks[Family::V6] = Some(uplink(other[1]));
            config.check().unwrap();
            Bridge::new(config)
        };
        let whose = [(A, 0), (B, 1)].into_iter().flat_map(|(own, index)| own.map(|address| (at(address), index)));
        Self { bridges: [bridge(A, B), bridge(B, A)], whose: whose.collect() }
    }

    /// Carries a message until it leaves both: the requests' sizes, and what leaves.
    fn carry(&mut self, from: &str, to: &str, message: &str) -> (Vec<usize>, Result<Sent, Reason>) {
        let (mut sizes, mut from, mut to, mut bytes) = (Vec::new(), at(from), at(to), message.as_bytes().to_vec());
        for _ in 0..1000 {
            let Some(&index) = self.whose.get(&to) else { unreachable!() };
            match self.bridges[index].pass(from, to, &bytes) {
                Ok(sent) if self.whose.contains_key(&sent.to) => {
                    if sent.status().is_none() {
                        sizes.push(sent.bytes.len());
                    }
                    (from, to, bytes) = (sent.from, sent.to, sent.bytes);
                }
                outcome => return (sizes, outcome),
            }
        }
        panic!("it circles for ever");
    }
}

#[test]
fn two_bridges_that_are_each_others_uplink_end_within_the_hop_count() {
    for hops in [1, 2, 3, 70, 255] {
        let mut pair = Pair::new();
        let call = request("OPTIONS", "sip:nobody@example.com", X4, "")
            .replace("Max-Forwards: 70", &format!("Max-Forwards: {hops}"));
        let (sizes, end) = pair.carry(X4, A[0], &call);
        let end = end.unwrap();
        // By 255 hops a datagram is full.
        let status = if hops > 70 { 513 } else { 483 };
        assert_eq!((end.status(), end.to), (Some(status), at(X4)), "after {hops} hops");
        assert!(sizes.len() < hops && (status == 513 || sizes.len() == hops - 1));
        let before = [call.len()].into_iter().chain(sizes.iter().copied());
        let grown = sizes.iter().zip(before).map(|(after, before)| after.saturating_sub(before));
        // Each token of a URI that is mapped again gains a dash.
        assert!(grown.max().unwrap_or(0) <= PER_PASS + 4 * hops, "{sizes:?}");
        assert!(end.bytes.len() <= call.len(), "all that was added is gone:\n{}", end.text());
    }
}

#[test]
fn without_max_forwards_it_begins_at_seventy() {
    let call = request("OPTIONS", "sip:nobody@example.com", X4, "").replace("Max-Forwards: 70\r\n", "");
    let (sizes, end) = Pair::new().carry(X4, A[0], &call);
    assert_eq!((sizes.len(), end.unwrap().status()), (70, Some(483)));
}

#[test]
fn max_forwards_that_are_no_hop_count_are_refused() {
    let mut bridge = Bridge::picture();
    for (value, status) in
        [("0", 483), ("1", 483), ("256", 400), ("4294967296", 400), ("-1", 400), ("1e1", 400), ("", 400)]
    {
        let call =
            request("BYE", "sip:x@example.com", X4, "").replace("Max-Forwards: 70", &format!("Max-Forwards: {value}"));
        assert_eq!(bridge.handle(X4, LISTEN4, &call).unwrap().status(), Some(status), "{value}");
    }
    // An ACK is never answered.
    let ack = request("ACK", "sip:x@example.com", X4, "").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(bridge.handle(X4, LISTEN4, &ack), Err(Reason::MaxForwards));
}

#[test]
fn a_loop_with_a_body_ends_where_a_datagram_ends() {
    let mut pair = Pair::new();
    let call = request("OPTIONS", "sip:nobody@example.com", X4, &format!("Subject: {}\r\n", "x".repeat(60_000)));
    let (sizes, end) = pair.carry(X4, A[0], &call);
    assert_eq!(end.unwrap().status(), Some(513));
    assert!(sizes.len() < 70 && sizes.iter().all(|&size| size <= 65_527), "{sizes:?}");
}

/// Routes that name us over and over: two passes at the most.
#[test]
fn routes_through_ourselves_do_not_wind_us_up() {
    for (from, to) in [(P1, LISTEN4), (X4, LISTEN4), (X6, LISTEN6), (X6, F1), (Q6, LISTEN6)] {
        for pair in [["192.0.2.1", "[2001:db8::1]"], ["[2001:db8::1]", "192.0.2.1"], ["[2001:db8::101]", "192.0.2.207"]]
        {
            let routes: String = (0..300).map(|index| format!("Route: <sip:{};lr>\r\n", pair[index % 2])).collect();
            for uri in ["sip:x@192.0.2.101", "sip:x@[2001:db8:6::7]", "sip:192.0.2.1", "sip:x@192.0.2.207"] {
                let mut bridge = Bridge::picture();
                // `handle` panics where a message comes back more often than a spiral may.
                let _ = bridge.handle(from, to, request("INVITE", uri, from, &routes));
            }
        }
    }
}
