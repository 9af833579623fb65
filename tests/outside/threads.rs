//! SIP threads: the messages of one peer keep their order, and all threads work.

use std::collections::HashMap;
use std::fs;

use crate::harness::agent::Agent;
use crate::harness::daemon::Daemon;
use crate::harness::message::Message;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, P1};

/// Peers, each with an address and port of its own; the kernel deals them out to
/// the threads by these. That one of four gets none of so many does not happen.
const PEERS: u16 = 48;
/// Messages under way at a time: no more than what the receiver's socket holds.
const ROUND: usize = 48;
/// Messages of each peer.
const MESSAGES: usize = 40;

/// How often each SIP thread has been woken.
fn wakings(process: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|task| task.unwrap().path());
    let mut wakings: Vec<_> = tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
            let status = fs::read_to_string(task.join("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            name.starts_with("sip").then(|| (name, line.trim().parse().unwrap()))
        })
        // The first thread has the name of the program.
        .filter(|(name, _)| name[3..].parse::<usize>().is_ok())
        .collect();
    wakings.sort();
    wakings
}

#[test]
fn each_peer_keeps_its_order_and_each_thread_its_work() {
    isolated(|| {
        let daemon = Daemon::start_quietly(&[]);
        let alice = Agent::bind("alice", P1);
        let peers: Vec<Party> = (0..PEERS)
            .map(|number| Party::new("bob", &format!("[2001:db8:9::55]:{}", 20_000 + number), 40_000 + 2 * number))
            .collect();
        let mut before = Vec::new();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        // Bursts of one peer, then of the next: a burst is what could overtake itself.
        for burst in 0..MESSAGES / 8 {
            if burst == 1 {
                before = wakings(daemon.process().0);
            }
            for group in peers.chunks(ROUND / 8) {
                for peer in group {
                    let calm = peer.request("MESSAGE", "sip:alice@[2001:db8::101]");
                    for number in burst * 8..burst * 8 + 8 {
                        let message = calm.clone().replacing("CSeq", &format!("{} MESSAGE", number + 1));
                        let message = message.with("Subject", format!("{} {number}", peer.agent.address));
                        peer.agent.send(&message.without_body(), F1);
                    }
                }
                for _ in 0..group.len() * 8 {
                    assert_is_next(&alice.receive().message, &mut numbers);
                }
            }
        }
        assert_eq!(numbers.len(), usize::from(PEERS));
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(before.len(), cores.min(4), "{before:?}");
        for ((name, before), (_, after)) in before.iter().zip(wakings(daemon.process().0)) {
            assert!(after > *before, "{name} got nothing to do");
        }
    });
}

/// The Subject has the peer and its number, which counts up.
fn assert_is_next(message: &Message, numbers: &mut HashMap<String, usize>) {
    let (peer, number) = message.value("Subject").split_once(' ').unwrap();
    let expected = numbers.entry(peer.to_owned()).or_default();
    assert_eq!(number.parse(), Ok(*expected), "what {peer} sent was overtaken");
    *expected += 1;
}
