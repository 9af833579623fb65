//! Starts that fail say why; ends that are asked for come at once (`EXIT STATUS`
//! and `SIGNALS` of the manual).

use std::process::Command;

use crate::harness::agent::{Agent, response_to};
use crate::harness::daemon::{Daemon, Failure, fail_to_start};
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, LISTEN6, P1, X6};

/// One clear line with all these words.
fn assert_says(failure: &Failure, status: i32, words: &[&str]) {
    assert_eq!(failure.status, Some(status), "it said {}", failure.said);
    for word in words {
        assert!(failure.said.contains(word), "`{word}` is missing in: {}", failure.said);
    }
}

#[test]
fn an_address_that_this_machine_has_not_is_named() {
    isolated(|| {
        let listen = fail_to_start(&["-l", "192.0.2.99", "-L", "2001:db8::1"]);
        assert_says(&listen, 1, &["192.0.2.99", "listen", "ip addr"]);
        let listen = fail_to_start(&["-l", "192.0.2.1", "-L", "2001:db8::99"]);
        assert_says(&listen, 1, &["2001:db8::99", "listen"]);
        let map = "192.0.2.101=2001:db8::99";
        let fake = fail_to_start(&["-l", "192.0.2.1", "-L", "2001:db8::1", "-m", map]);
        assert_says(&fake, 1, &["2001:db8::99", "fake of 192.0.2.101"]);
    });
}

/// On a loopback nobody on the link would find it: the command names the interface whose
/// network it is in, and does it.
#[test]
fn the_command_for_a_missing_address_makes_it_reachable() {
    isolated(|| {
        for line in [
            "link add inside type veth peer name outside",
            "link set inside up",
            "link set outside up",
            "address add 2001:db8:77::1/64 dev inside nodad",
        ] {
            ip(line);
        }
        let start = ["-l", "192.0.2.1", "-L", "2001:db8:77::99"];
        let failure = fail_to_start(&start);
        let command = "ip addr add 2001:db8:77::99/128 dev inside";
        assert_says(&failure, 1, &[command, "--freebind"]);
        ip(&format!("{} nodad", command.trim_start_matches("ip ")));
        drop(Daemon::start_as(&start));
    });
}

/// With `--freebind` nothing fails, and later an address may go away.
#[test]
fn an_address_that_nobody_reaches_is_told() {
    isolated(|| {
        let (fakes, folder) = ("map 192.0.2.101=2001:db8::97\nmap 192.0.2.102=2001:db8::98\n", Folder::new("gone"));
        let file = folder.file("conf");
        std::fs::write(&file, format!("listen4 192.0.2.1\nlisten6 2001:db8::1\nfreebind\n{fakes}")).unwrap();
        let mut daemon = Daemon::start_as(&["-c", &file]);
        let said = daemon.await_line("nobody reaches us there");
        for word in ["WARN", "2001:db8::97", "fake of 192.0.2.101", "others=1", "ip addr add 2001:db8::97/128 dev "] {
            assert!(said.contains(word), "`{word}` is missing in: {said}");
        }
        ip("address add 2001:db8::97/128 dev lo nodad");
        ip("address add 2001:db8::98/128 dev lo nodad");
        daemon.signal("USR2");
        daemon.await_line("all our addresses are there again");
        ip("address del 2001:db8::1/128 dev lo");
        daemon.signal("USR2");
        let said = daemon.await_lines("nobody reaches us there", 2);
        assert!(said.contains("2001:db8::1") && said.contains("IPv6 listen address"), "{said}");
    });
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(status.success(), "ip {line}");
}

/// As at boot: the address is there, but the kernel has not found out yet whether
/// another host has it (RFC 4862, duplicate address detection); without a link it never will.
#[test]
fn an_address_that_is_not_ready_is_told_from_one_that_is_not_there() {
    isolated(|| {
        ip("link add unplugged type veth peer name nothing");
        ip("link set unplugged up");
        ip("address add 2001:db8::99/64 dev unplugged");
        let listen = fail_to_start(&["-l", "192.0.2.1", "-L", "2001:db8::99"]);
        assert_says(&listen, 1, &["2001:db8::99", "unplugged has it", "tentative", "--freebind"]);
        assert!(!listen.said.contains("ip addr add"), "{}", listen.said);
        let mut daemon = Daemon::start_as(&["-l", "192.0.2.1", "-L", "2001:db8::99", "--freebind"]);
        let said = daemon.await_line("nobody reaches us there");
        assert!(said.contains("unplugged has it, but it is not ready"), "{said}");
    });
}

#[test]
fn that_ipv6_is_switched_off_is_named() {
    isolated(|| {
        let switch_off = |of| std::fs::write(format!("/proc/sys/net/ipv6/conf/{of}/disable_ipv6"), "1").unwrap();
        let start = ["-l", "192.0.2.1", "-L", "2001:db8::1"];
        switch_off("lo");
        assert_says(&fail_to_start(&start), 1, &["2001:db8::1", "IPv6 is switched off at lo", "disable_ipv6=0"]);
        // Switched on at the loopback alone it helps nobody.
        std::fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0").unwrap();
        ip("link add one type veth peer name other");
        switch_off("one");
        assert_says(&fail_to_start(&start), 1, &["ip addr add 2001:db8::1/128 dev other"]);
        switch_off("other");
        assert_says(&fail_to_start(&start), 1, &["IPv6 is switched off at o", "disable_ipv6=0"]);
    });
}

/// Where the domain's name leads to the proxy there is nobody to hand calls on to.
#[test]
fn an_uplink_whose_name_is_our_own_is_told() {
    isolated(|| {
        let mut daemon = Daemon::start_as(&["-l", "127.0.0.1", "-L", "2001:db8::1", "-u", "localhost"]);
        let said = daemon.await_line("this proxy's own");
        assert!(said.contains("WARN") && said.contains("name=localhost"), "{said}");
    });
}

#[test]
fn an_address_that_another_program_has_is_named() {
    isolated(|| {
        let _other = Agent::bind("another program", LISTEN6);
        let failure = fail_to_start(&["-l", "192.0.2.1", "-L", "2001:db8::1"]);
        assert_says(&failure, 1, &["2001:db8::1", "listen", "in use"]);
    });
}

#[test]
fn a_wrong_option_is_status_2() {
    isolated(|| {
        let both = ["-l", "192.0.2.1", "-L", "2001:db8::1"];
        let with = |more: &[&str]| fail_to_start(&[&both[..], more].concat());
        assert_says(&with(&["--no-such-option"]), 2, &["--no-such-option"]);
        assert_says(&with(&["-m", "192.0.2.101=192.0.2.5"]), 2, &["192.0.2.101=192.0.2.5"]);
        assert_says(&with(&["-m", "192.0.2.101"]), 2, &["192.0.2.101", "PHONE=FAKE"]);
        assert_says(&with(&["-p", "17000-16000"]), 2, &["17000-16000"]);
        assert_says(&with(&["-U", "192.0.2.12"]), 2, &["192.0.2.12"]);
        assert_says(&fail_to_start(&["-L", "2001:db8::1"]), 2, &["listen4"]);
        assert_says(&fail_to_start(&["-l", "2001:db8::1", "-L", "2001:db8::1"]), 2, &["2001:db8::1"]);
        assert_says(&fail_to_start(&["-l", "192.0.2.1", "-L", "192.0.2.2"]), 2, &["192.0.2.2"]);
    });
}

/// Custom ports of the listen addresses, of fakes and phones.
#[test]
fn any_address_may_carry_a_port() {
    isolated(|| {
        let map = "192.0.2.101:5080=[2001:db8::101]:5090";
        let _daemon = Daemon::start_as(&["-l", "192.0.2.1:5070", "-L", "[2001:db8::1]:5071", "-m", map]);
        let (bob, alice) =
            (Party::new("bob", "[2001:db8:9::55]:5062", 40000), Party::new("alice", "192.0.2.101:5080", 30000));
        let uri = "sip:alice@[2001:db8::101]:5090";
        let mut call = crate::harness::call::establish(&bob, &alice, uri, "[2001:db8::101]:5090");
        call.assert_talks(&bob, &alice, 5);
        call.end_by_callee(&bob, &alice);
        let uri = "sip:bob@[2001:db8:9::55]:5062";
        let mut call = crate::harness::call::establish(&alice, &bob, uri, "192.0.2.1:5070");
        call.end_by_callee(&alice, &bob);
    });
}

#[test]
fn sigterm_and_sigint_end_it_now() {
    isolated(|| {
        for signal in ["TERM", "INT"] {
            let mut daemon = Daemon::start();
            daemon.signal(signal);
            daemon.wait();
            // Its sockets are free again.
            let _sockets = (Agent::bind("IPv4", LISTEN4), Agent::bind("IPv6", LISTEN6));
        }
    });
}

/// There is nothing to wait for.
#[test]
fn sighup_ends_it_when_nothing_is_left_to_relay() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let phone = Party::new("alice", P1, 30000);
        daemon.signal("HUP");
        assert!(daemon.wait().success());
        drop(phone);
    });
}

/// Media of a call that passes by needs no daemon.
#[test]
fn sighup_waits_for_no_call_whose_media_passes_by() {
    isolated(|| {
        let mut daemon = Daemon::start();
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let four = "v=0\r\no=b 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
        let invite = bob.request("INVITE", "sip:alice@[2001:db8::101]").with_sdp(four.to_owned());
        bob.agent.send(&invite, F1);
        let received = alice.agent.receive_request("INVITE");
        assert_eq!(received.message.body, four);
        let answer = four.replace("IP4 198.51.100.9", "IP6 2001:db8:9::77");
        let ok =
            response_to(&received.message, 200, "OK", "a").with("Contact", &alice.contact).with_sdp(answer.clone());
        alice.agent.respond(&received, &ok);
        assert_eq!(bob.agent.receive_response(200, &invite).message.body, answer);
        daemon.signal("HUP");
        daemon.await_line("calls_cut_off=0");
        assert!(daemon.wait().success());
    });
}
