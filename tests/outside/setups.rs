//! The set-ups of README.md: each configuration is run as it is printed there,
//! and calls go through it.

use std::fs;
use std::process::Command;

use crate::harness::call::establish;
use crate::harness::daemon::{Daemon, PROGRAM};
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, G4, LISTEN4, LISTEN6, NAT4, P1, P2, Q6, U6, X4, X6};
use crate::harness::uri::uri_of;
use crate::uplink::{call_back, registered};

const README: &str = include_str!("../../README.md");
/// Stands before the configuration of a set-up.
const MARK: &str = "<!-- set-up: ";

/// All set-ups: name and configuration.
fn setups() -> Vec<(&'static str, &'static str)> {
    README.split(MARK).skip(1).map(setup).collect()
}

fn setup(text: &'static str) -> (&'static str, &'static str) {
    let (name, rest) = text.split_once(" -->\n").expect("a mark has its end");
    let rest = rest.trim_start().strip_prefix("```\n").unwrap_or_else(|| panic!("{name}: no configuration follows"));
    (name, rest.split_once("```").expect("a block has its end").0)
}

/// A configuration of the README in a file of its own, and the daemon that has it.
struct SetUp {
    daemon: Daemon,
    _folder: Folder,
}

impl SetUp {
    fn start(name: &str) -> Self {
        let (_, text) = setups().into_iter().find(|(setup, _)| *setup == name).expect("it stands in the README");
        let folder = Folder::new(name);
        let file = folder.file("conf");
        fs::write(&file, text).unwrap();
        // The key goes to its usual place, which is the test's own.
        let mut command = Command::new("unshare");
        let private = "mount -t tmpfs none /var/lib && mkdir /var/lib/sipproxy64 && exec \"$0\" \"$@\"";
        command.args(["-m", "sh", "-c", private, PROGRAM]);
        let mut daemon = Daemon::spawn_by(command, &["--config", &file]);
        daemon.await_line("ready");
        Self { daemon, _folder: folder }
    }
}

/// A call is set up, talks both ways, and is ended by the one who answered it.
fn call(caller: &Party, callee: &Party, uri: &str, proxy: &str) {
    let mut call = establish(caller, callee, uri, proxy);
    call.assert_talks(caller, callee, 20);
    call.end_by_callee(caller, callee);
}

#[test]
fn each_set_up_is_short_and_has_its_test() {
    let here = include_str!("setups.rs");
    for (name, configuration) in setups() {
        assert!(configuration.lines().count() < 10, "{name}: ten lines or more");
        assert!(here.contains(&format!("SetUp::start(\"{name}\")")), "{name}: no test starts it");
    }
    assert!(setups().len() >= 6);
}

/// All of IPv6 calls the phones behind the router, and they call back.
#[test]
fn router_export() {
    isolated(|| {
        let mut setup = SetUp::start("router-export");
        let (alice, bob, dan) =
            (Party::new("alice", P1, 30000), Party::new("bob", X6, 40000), Party::new("dan", P2, 31000));
        call(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        call(&bob, &dan, "sip:dan@[2001:db8::102]", F2);
        // A phone dials an address of IPv6, and one of its own side.
        call(&alice, &bob, "sip:bob@[2001:db8:9::55]:5062", LISTEN4);
        call(&alice, &dan, "sip:dan@192.0.2.102", LISTEN4);
        setup.daemon.assert_alive();
    });
}

/// They register with an IPv6 provider, are called, and dial numbers.
#[test]
fn phones_that_have_ipv4_only() {
    isolated(|| {
        let mut setup = SetUp::start("ipv4-only-phones");
        let (alice, provider) = (Party::new("alice", P1, 30000), Party::new("carol", U6, 40000));
        let contact = registered(&alice, &provider, F1);
        call_back(&provider, &alice, &contact);
        call(&alice, &provider, "sip:+31201234567@provider.example", LISTEN4);
        setup.daemon.assert_alive();
    });
}

/// All of IPv4 calls an IPv6 phone at its IPv4 address, and it dials numbers.
#[test]
fn phones_that_have_ipv6_only() {
    isolated(|| {
        let mut setup = SetUp::start("ipv6-only-phones");
        let (quinn, xavier) = (Party::new("quinn", Q6, 30000), Party::new("xavier", X4, 40000));
        call(&xavier, &quinn, "sip:quinn@192.0.2.207", G4);
        call(&quinn, &xavier, "sip:xavier@198.51.100.9:5062", LISTEN6);
        let provider = Party::new("carol", "198.51.100.12:5060", 41000);
        call(&quinn, &provider, "sip:+31201234567@provider.example", LISTEN6);
        setup.daemon.assert_alive();
    });
}

/// No phone is known; what is dialled goes to the uplink of the other side.
#[test]
fn dialling_out() {
    isolated(|| {
        let mut setup = SetUp::start("dial-out");
        let (six, four) = (Party::new("six", U6, 40000), Party::new("four", "198.51.100.12:5060", 41000));
        let (xavier, bob) = (Party::new("xavier", X4, 30000), Party::new("bob", X6, 31000));
        call(&xavier, &six, "sip:+31201234567@192.0.2.1", LISTEN4);
        call(&bob, &four, "sip:+31201234567@[2001:db8::1]", LISTEN6);
        // Between the two of them as well.
        call(&four, &six, "sip:200@192.0.2.1", LISTEN4);
        setup.daemon.assert_alive();
    });
}

/// A phone that knows nothing of its NAT registers, and is called at the address
/// that it was seen at.
#[test]
fn roaming_phones() {
    isolated(|| {
        let mut setup = SetUp::start("roaming-phones");
        let (mut dave, provider) = (Party::new("dave", NAT4, 30000), Party::new("carol", U6, 40000));
        dave.contact = "<sip:dave@10.0.0.5:5060>".to_owned();
        dave.agent.sent_by = "10.0.0.5:5060".to_owned();
        dave.media.described = "10.0.0.5".parse().unwrap();
        let contact = registered(&dave, &provider, LISTEN6);
        let mut call = establish(&provider, &dave, uri_of(&contact), LISTEN6);
        // It is heard first, so that its address is learned.
        dave.media.send_rtp("first", 0, call.callee.told);
        provider.media.expect_rtp(&dave.media, "first", 0, call.caller.told);
        dave.media.send_rtcp("first", 0, call.callee.told);
        provider.media.expect_rtcp(&dave.media, "first", 0, call.caller.told);
        call.assert_talks(&provider, &dave, 20);
        call.end_by_callee(&provider, &dave);
        setup.daemon.assert_alive();
    });
}

/// The PBX registers its trunk with an IPv6 provider, which calls it at the
/// Contact, or at the listen address; it dials out, and numeric addresses too.
#[test]
fn pbx_with_an_ipv6_provider() {
    isolated(|| {
        let mut setup = SetUp::start("pbx");
        let (pbx, provider) = (Party::new("trunk", P1, 30000), Party::new("carol", U6, 40000));
        let contact = registered(&pbx, &provider, F1);
        call_back(&provider, &pbx, &contact);
        call(&provider, &pbx, "sip:+31201234567@[2001:db8::1]", LISTEN6);
        call(&pbx, &provider, "sip:+31207654321@provider.example", LISTEN4);
        let bob = Party::new("bob", X6, 41000);
        call(&pbx, &bob, "sip:bob@[2001:db8:9::55]:5062", LISTEN4);
        setup.daemon.assert_alive();
    });
}
