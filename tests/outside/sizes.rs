//! Messages up to what a datagram holds, over links that carry less.

use crate::harness::agent::Agent;
use crate::harness::daemon::Daemon;
use crate::harness::message::Message;
use crate::harness::namespace::{Elsewhere, isolated, isolated_with, run};
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, LISTEN6, P1, Q6, U6};

/// The largest payloads of UDP over IPv4 and over IPv6.
const MOST4: usize = 65_507;
const MOST6: usize = 65_527;

/// A MESSAGE of so many bytes.
fn padded(party: &Party, uri: &str, size: usize) -> Message {
    let bare = party.request("MESSAGE", uri).with("Subject", "").without_body();
    let missing = size - bare.to_wire().len();
    bare.replacing("Subject", &"x".repeat(missing))
}

/// The largest message that leaves whole arrives whole, and a byte more is 513.
fn assert_crosses(party: &Party, proxy: &str, uri: &str, receiver: &Agent, most: usize) {
    let probe = padded(party, uri, 1000);
    party.agent.send(&probe, proxy);
    let growth = receiver.receive_request("MESSAGE").message.to_wire().len() - 1000;
    let largest = padded(party, uri, most - growth);
    party.agent.send(&largest, proxy);
    let arrived = receiver.receive_request("MESSAGE").message;
    assert_eq!(arrived.value("Subject"), largest.value("Subject"));
    // Numbers in Call-ID and branch may have grown a digit.
    assert!((most - 8..=most).contains(&arrived.to_wire().len()));
    let larger = padded(party, uri, most - growth + 8);
    party.agent.send(&larger, proxy);
    party.agent.receive_response(513, &larger);
}

#[test]
fn datagrams_of_any_size_cross_both_ways() {
    isolated(|| {
        let _daemon = Daemon::start();
        let (alice, quinn) = (Party::new("alice", P1, 30000), Party::new("quinn", Q6, 30000));
        assert_crosses(&alice, LISTEN4, "sip:quinn@[2001:db8:6::7]", &quinn.agent, MOST6);
        assert_crosses(&quinn, LISTEN6, "sip:alice@192.0.2.101", &alice.agent, MOST4);
    });
}

/// A link with the least MTU that IPv6 allows: what is larger leaves in fragments.
#[test]
fn large_messages_leave_in_fragments_over_a_small_link() {
    isolated(|| {
        run("ip link set lo mtu 1280");
        let _daemon = Daemon::start();
        let (alice, quinn) = (Party::new("alice", P1, 30000), Party::new("quinn", Q6, 30000));
        assert_crosses(&alice, LISTEN4, "sip:quinn@[2001:db8:6::7]", &quinn.agent, MOST6);
        assert_crosses(&quinn, LISTEN6, "sip:alice@192.0.2.101", &alice.agent, MOST4);
    });
}

/// A namespace of its own for the daemon, behind a router whose link to the peers
/// carries less than the daemon's own link.
struct BehindRouter {
    _router: Elsewhere,
    machine: Elsewhere,
}

/// The peers' namespace is this one; $R and $D are the router's and the daemon's.
const WIRES: &str = r#"
in_r() { nsenter -t $R -n "$@"; }
in_d() { nsenter -t $D -n "$@"; }
for ours in 2001:db8::1 2001:db8::101 2001:db8::102 2001:db8:456::12; do ip address del $ours/128 dev lo; done
for ours in 192.0.2.1 192.0.2.207; do ip address del $ours/32 dev lo; done
ip link add m0 mtu 1280 type veth peer name r0 mtu 1280 netns $R
in_r ip link add r1 type veth peer name d0 netns $D
in_r sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 1 > /proc/sys/net/ipv4/ip_forward'
for link in r0 r1 lo; do in_r ip link set $link up; done
for link in d0 lo; do in_d ip link set $link up; done
ip link set m0 up
ip address add 2001:db8:456::12/128 dev m0 nodad
for ours in 2001:db8::1 2001:db8::101 2001:db8::102; do in_d ip address add $ours/128 dev d0 nodad; done
for ours in 192.0.2.1 192.0.2.207; do in_d ip address add $ours/32 dev d0; done
in_r ip address add 2001:db8:f::1/128 dev r0 nodad
in_r ip address add 2001:db8:f::2/128 dev r1 nodad
in_r ip address add 192.0.2.250/32 dev r0
in_r ip address add 192.0.2.251/32 dev r1
in_r ip route add 2001:db8:456::12 dev r0
in_r ip route add 2001:db8::1 dev r1
in_r ip route add 2001:db8::101 dev r1
in_r ip route add 192.0.2.101 dev r0
in_r ip route add 192.0.2.1 dev r1
in_d ip route add 2001:db8:f::2 dev d0
in_d ip route add 2001:db8:456::12 via 2001:db8:f::2
in_d ip route add 192.0.2.251 dev d0
in_d ip route add 192.0.2.101 via 192.0.2.251
ip route add 2001:db8:f::1 dev m0
ip route add 2001:db8::1 via 2001:db8:f::1
ip route add 2001:db8::101 via 2001:db8:f::1
ip route add 192.0.2.250 dev m0
ip route add 192.0.2.1 via 192.0.2.250
# The kernel makes the routes of IPv6 addresses a little later.
until ip -6 route get 2001:db8:456::12 | grep -q ^local; do :; done
for ours in 2001:db8::1 2001:db8::101 2001:db8::102; do until in_d ip -6 route get $ours | grep -q ^local; do :; done; done
for ours in 2001:db8:f::1 2001:db8:f::2; do until in_r ip -6 route get $ours | grep -q ^local; do :; done; done
"#;

impl BehindRouter {
    fn new() -> Self {
        let (router, machine) = (Elsewhere::new(), Elsewhere::new());
        run(&format!("R={}; D={}\n{WIRES}", router.process(), machine.process()));
        Self { _router: router, machine }
    }
}

/// The router drops the first large datagram and says so; it is sent again, once.
#[test]
fn a_message_too_big_for_its_path_is_sent_again_and_told_once() {
    isolated_with(&["nsenter"], || {
        let wires = BehindRouter::new();
        let mut daemon = Daemon::start_in(wires.machine.process());
        let (alice, uplink) = (Party::new("alice", P1, 30000), Agent::bind("uplink", U6));
        for size in [3000, 1400, 20_000] {
            let large = padded(&alice, "sip:bob@provider.example", size);
            alice.agent.send(&large, LISTEN4);
            let arrived = uplink.receive_request("MESSAGE").message;
            assert_eq!(arrived.value("Subject"), large.value("Subject"));
            assert_eq!(arrived.value("Call-ID"), large.value("Call-ID"), "each arrives once");
        }
        let told = daemon.await_line("larger than their path");
        assert!(told.contains("count=1"), "{told}");
    });
}
