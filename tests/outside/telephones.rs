//! Telephones and a registrar that others wrote: baresip registers through the
//! daemon at Kamailio on the other family, is called and calls.

use std::net::IpAddr;
use std::process::Command;

use crate::harness::daemon::Daemon;
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated_with;
use crate::harness::telephones::{Baresip, DOMAIN, Kamailio, share_of};

/// Who is where.
struct Place {
    /// What the daemon needs to know beside the picture.
    options: &'static [&'static str],
    registrar: &'static str,
    /// A phone, and the listen address on its side.
    alice: [&'static str; 2],
    /// A telephone on the registrar's side, and the listen address there.
    bob: [&'static str; 2],
}

const IPV4_PHONE: Place = Place {
    options: &[],
    registrar: "2001:db8:456::12",
    alice: ["192.0.2.101", "192.0.2.1"],
    bob: ["2001:db8:9::55", "2001:db8::1"],
};

const IPV6_PHONE: Place = Place {
    options: &["-u", "198.51.100.12"],
    registrar: "198.51.100.12",
    alice: ["2001:db8:6::7", "2001:db8::1"],
    bob: ["198.51.100.9", "192.0.2.1"],
};

const PITCHES: [u16; 2] = [440, 1000];

/// baresip does not bind its media to an address, so that on one machine all of
/// it would come from the very address it goes to.
fn send_from([own, relay]: [&str; 2]) {
    let run = |options: &[&str]| {
        let family = if own.contains(':') { "-6" } else { "-4" };
        let route = ["route", options[0], "table", "local", "local", relay, "dev", "lo"];
        let status = Command::new("ip").arg(family).args(route).args(&options[1..]).status().unwrap();
        assert!(status.success(), "{options:?}");
    };
    run(&["del"]);
    run(&["add", "src", own]);
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Registers both, lets one of them call, both hold and resume, and one hang up.
fn call(name: &str, place: &Place, alice_calls: bool, caller_ends: bool) {
    send_from(place.alice);
    send_from(place.bob);
    let folder = Folder::new(name);
    let _registrar = Kamailio::start(&folder, ip(place.registrar));
    let mut daemon = Daemon::start_with(place.options);
    let alice = Baresip::start(&folder, "alice", ip(place.alice[0]), ip(place.alice[1]), PITCHES[0]);
    let bob = Baresip::start(&folder, "bob", ip(place.bob[0]), ip(place.registrar), PITCHES[1]);
    let (mut caller, mut callee, dialled) = if alice_calls { (alice, bob, "bob") } else { (bob, alice, "alice") };

    caller.command("dial", &format!("sip:{dialled}@{DOMAIN}"));
    callee.await_event("CALL_INCOMING");
    callee.command("accept", "");
    for telephone in [&mut caller, &mut callee] {
        // Media may come before the ACK.
        telephone.await_events(&["CALL_ESTABLISHED", "CALL_RTPESTAB"]);
    }
    [&caller, &callee].into_iter().for_each(Baresip::await_sound);
    for (who, command) in [(0, "hold"), (0, "resume"), (1, "hold"), (1, "resume")] {
        let (by, other) = if who == 0 { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
        by.command(command, "");
        other.await_event("CALL_REMOTE_SDP");
        by.await_event("CALL_REMOTE_SDP");
    }
    [&caller, &callee].into_iter().for_each(Baresip::await_stream);
    let (ends, other) = if caller_ends { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
    ends.command("hangup", "");
    other.await_event("CALL_CLOSED");

    let line = daemon.await_line(&format!("call ended: the {} hung up", if caller_ends { "caller" } else { "callee" }));
    assert!(line.contains("verdict=both parties sent media"), "{line}");
    for leg in ["from_caller=", "from_callee="] {
        let packets = line.split_once(leg).unwrap().1.split(' ').next().unwrap();
        assert!(packets.parse::<u32>().unwrap() >= 50, "{line}");
    }
    let pitches = if alice_calls { PITCHES } else { [PITCHES[1], PITCHES[0]] };
    for (telephone, pitch) in [(caller, pitches[1]), (callee, pitches[0])] {
        let heard = telephone.heard();
        let share = share_of(&heard, pitch);
        assert!(share > 0.7, "only {share} of what was heard is the other's {pitch} Hz");
    }
}

const PROGRAMS: [&str; 2] = ["baresip", "kamailio"];

#[test]
fn baresip_on_ipv4_calls_through_a_registrar_on_ipv6() {
    isolated_with(&PROGRAMS, || call("from4to6", &IPV4_PHONE, true, true));
}

#[test]
fn baresip_on_ipv4_is_called_by_a_registrar_on_ipv6() {
    isolated_with(&PROGRAMS, || call("to4from6", &IPV4_PHONE, false, false));
}

#[test]
fn baresip_on_ipv6_calls_through_a_registrar_on_ipv4() {
    isolated_with(&PROGRAMS, || call("from6to4", &IPV6_PHONE, true, false));
}

#[test]
fn baresip_on_ipv6_is_called_by_a_registrar_on_ipv4() {
    isolated_with(&PROGRAMS, || call("to6from4", &IPV6_PHONE, false, true));
}
