//! A phone that has a link-local address alone, on one of several links.

use crate::harness::agent::Agent;
use crate::harness::daemon::Daemon;
use crate::harness::media::Media;
use crate::harness::namespace::{Elsewhere, isolated_with, run};
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN6, P1};

/// The peers' namespace is this one; $D is the daemon's, which would take its first link
/// for any link-local address.
const WIRES: &str = r#"
in_d() { nsenter -t $D -n "$@"; }
for ours in 2001:db8::1 2001:db8::101 2001:db8::102; do ip address del $ours/128 dev lo; done
for ours in 192.0.2.1 192.0.2.207; do ip address del $ours/32 dev lo; done
in_d ip link set lo up
for number in 0 1; do
    ip link add m$number index 10$number type veth peer name d$number netns $D
    ip link set m$number addrgenmode none up
    in_d ip link set d$number addrgenmode none up
    in_d ip address add fe80::1/64 dev d$number nodad
done
ip address add fe80::2/64 dev m1 nodad
for ours in 2001:db8::1 2001:db8::101 2001:db8::102; do in_d ip address add $ours/128 dev lo nodad; done
for ours in 192.0.2.1 192.0.2.207; do in_d ip address add $ours/32 dev lo; done
in_d ip route add 192.0.2.101 dev d1
ip route add 192.0.2.1 dev m1
for ours in 2001:db8::1 2001:db8::101; do ip route add $ours via fe80::1 dev m1; done
# The kernel makes the routes of IPv6 addresses a little later.
for ours in 2001:db8::1 2001:db8::101; do until in_d ip -6 route get $ours | grep -q ^local; do :; done; done
until ip -6 route show table local | grep -q '^local fe80::2 '; do :; done
in_d ip -6 route show | grep fe80::/64 | head -n 1 | grep -q 'dev d0 '
"#;

#[test]
fn a_link_local_phone_is_answered_on_its_own_link() {
    isolated_with(&["ip", "nsenter"], || {
        let machine = Elsewhere::new();
        run(&format!("D={}\n{WIRES}", machine.process()));
        let _daemon = Daemon::start_in(machine.process());
        let alice = Party::new("alice", P1, 30000);
        let mut agent = Agent::bind("near", "[fe80::2%101]:5060");
        // Nothing in SIP says which link that is (RFC 3261 §25.1).
        agent.sent_by = "[fe80::2]:5060".to_owned();
        let (media, contact) =
            (Media::bind("2001:db8:9::55".parse().unwrap(), 30000), "<sip:near@[fe80::2]>".to_owned());
        let near = Party { agent, media, user: "near", contact };
        let options = near.request("OPTIONS", "sip:[2001:db8::1]");
        near.agent.send(&options, LISTEN6);
        near.agent.receive_response(200, &options);
        // Who answers this is on the other side, and knows nothing of links.
        let message = near.request("MESSAGE", "sip:alice@[2001:db8::101]");
        near.agent.send(&message, F1);
        alice.respond(&alice.agent.receive_request("MESSAGE"), 200, "OK", "a");
        near.agent.receive_response(200, &message);
    });
}
