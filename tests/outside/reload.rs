//! SIGUSR2: maps, names and uplinks are read again, and nothing is dropped.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::harness::agent::Agent;
use crate::harness::call::{Call, establish, ring};
use crate::harness::daemon::Daemon;
use crate::harness::folder::Folder;
use crate::harness::namespace::{isolated, isolated_with, run};
use crate::harness::party::Party;
use crate::harness::picture::{F1, F2, LISTEN4, P1, P2, U6, X6};

const LISTEN: &str = "listen4 192.0.2.1\nlisten6 2001:db8::1\ncontrol none\n";
const ALICE: &str = "map 192.0.2.101=2001:db8::101\n";
const CAROL: &str = "map 192.0.2.102=2001:db8::102\n";

/// A daemon and its configuration file.
struct Reloaded {
    daemon: Daemon,
    file: String,
    _folder: Folder,
}

impl Reloaded {
    fn start(text: &str) -> Self {
        let folder = Folder::new("reload");
        let file = folder.file("conf");
        fs::write(&file, format!("{LISTEN}{text}")).unwrap();
        let daemon = Daemon::start_as(&["-c", &file]);
        Self { daemon, file, _folder: folder }
    }

    /// Lets it read another text, and waits for a log line with `said`.
    fn reload(&mut self, text: &str, said: &str) -> String {
        fs::write(&self.file, format!("{LISTEN}{text}")).unwrap();
        self.daemon.signal("USR2");
        self.daemon.await_line(said)
    }
}

fn bob() -> Party {
    Party::new("bob", X6, 40000)
}

fn alice() -> Party {
    Party::new("alice", P1, 30000)
}

fn call(bob: &Party, alice: &Party) -> Call {
    establish(bob, alice, "sip:alice@[2001:db8::101]", F1)
}

#[test]
fn a_new_phone_is_reached_while_a_call_goes_on() {
    isolated(|| {
        let mut here = Reloaded::start(ALICE);
        let (bob, alice, carol) = (bob(), alice(), Party::new("carol", P2, 30100));
        let mut old = call(&bob, &alice);
        old.assert_talks(&bob, &alice, 3);
        here.reload(&[ALICE, CAROL].concat(), "reloaded maps=2 added=1 removed=0");
        let mut new = establish(&bob, &carol, "sip:carol@[2001:db8::102]", F2);
        new.assert_talks(&bob, &carol, 3);
        old.assert_talks(&bob, &alice, 3);
        new.end_by_callee(&bob, &carol);
        old.end_by_caller(&bob, &alice);
    });
}

/// The way back of its responses stands in them.
#[test]
fn a_call_that_rings_is_answered_though_the_caller_is_somebody_else_now() {
    isolated(|| {
        let mut here = Reloaded::start(ALICE);
        let (bob, alice) = (bob(), alice());
        let ringing = ring(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        here.reload(&[ALICE, "map 2001:db8:9::55=192.0.2.207\n"].concat(), "reloaded maps=2 added=1 removed=0");
        alice.accept(&ringing.received, &ringing.to_tag);
        bob.agent.receive_response(200, &ringing.invite);
    });
}

/// The media of a call to a phone that is no phone any more goes on; its fake is
/// free for somebody else.
#[test]
fn media_of_a_map_that_is_gone_goes_on() {
    isolated(|| {
        let mut here = Reloaded::start(&[ALICE, CAROL].concat());
        let (bob, alice) = (bob(), alice());
        let old = call(&bob, &alice);
        here.reload(CAROL, "reloaded maps=1 added=0 removed=1");
        drop(Agent::bind("somebody else", F1));
        old.assert_talks(&bob, &alice, 3);
    });
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    isolated(|| {
        let mut here = Reloaded::start(ALICE);
        let (bob, alice) = (bob(), alice());
        let said = here.reload(&[CAROL, "map 192.0.2.103\n"].concat(), "nothing is reloaded");
        assert!(said.contains(&format!("{}, line 5: map 192.0.2.103: missing '='", here.file)), "{said}");
        let said = here.reload("map 192.0.2.101=2001:db8::1\n", "the fake is a listen address");
        assert!(said.contains("line 4") && said.contains("nothing is reloaded"), "{said}");
        // An address that this machine has not.
        let said = here.reload("map 192.0.2.101=2001:db8::99\n", "cannot bind");
        assert!(said.contains("[2001:db8::99]:5060 (fake of 192.0.2.101)"), "{said}");
        fs::remove_file(&here.file).unwrap();
        here.daemon.signal("USR2");
        here.daemon.await_line("cannot read it");
        let mut call = call(&bob, &alice);
        call.end_by_callee(&bob, &alice);
    });
}

#[test]
fn another_uplink_gets_what_comes_from_now_on() {
    isolated(|| {
        let mut here = Reloaded::start(&[ALICE, "uplink6 2001:db8:456::12\n"].concat());
        let (old, new) = (Agent::bind("old uplink", U6), Agent::bind("new uplink", "[2001:db8:77::77]:5062"));
        let alice = alice();
        let options = || alice.request("OPTIONS", "sip:provider.example").without_body();
        alice.agent.send(&options(), LISTEN4);
        assert_eq!(old.receive_request("OPTIONS").source.to_string(), F1);
        here.reload(&[ALICE, "uplink6 [2001:db8:77::77]:5062\n"].concat(), "uplink6=\"[2001:db8:77::77]:5062\"");
        alice.agent.send(&options(), LISTEN4);
        assert_eq!(new.receive_request("OPTIONS").source.to_string(), F1);
        here.reload(ALICE, "uplink4=\"none\" uplink6=\"none\"");
        let request = options();
        alice.agent.send(&request, LISTEN4);
        alice.agent.receive_response(404, &request);
        assert!(old.receive_within(Duration::ZERO).is_none());
    });
}

#[test]
fn what_is_read_at_the_start_only_is_named() {
    isolated(|| {
        let mut here = Reloaded::start(&[ALICE, "rtp-ports 20000-20099\nlenient\n"].concat());
        let said = here.reload(&[ALICE, "rtp-ports 30000-30099\ndscp 46\n"].concat(), "not reloaded");
        assert!(said.contains("options=\"dscp, lenient, rtp-ports\""), "{said}");
        assert!(said.contains("a takeover (systemctl reload) changes it and keeps all calls"), "{said}");
        let said = here.daemon.await_line("reloaded maps=1 added=0 removed=0");
        assert!(said.contains("names=0"), "{said}");
    });
}

/// What can be read once only, as a shell's `<(...)`, is no reason to wait for ever.
#[test]
fn a_pipe_is_read_at_the_start_only() {
    isolated_with(&["mkfifo"], || {
        let folder = Folder::new("reload-pipe");
        let pipe = folder.file("conf");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let text = format!("{LISTEN}{ALICE}");
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, text).unwrap()
        });
        let mut daemon = Daemon::start_as(&["-c", &pipe]);
        writer.join().unwrap();
        daemon.signal("USR2");
        let said = daemon.await_line("nothing is reloaded");
        assert!(said.contains(&pipe), "{said}");
        daemon.signal("TERM");
        assert!(daemon.wait().success());
    });
}

/// Where the system has no thread left for it, calls go on, and it is tried again.
#[test]
fn a_name_that_cannot_be_looked_up_for_want_of_threads_is_told() {
    isolated_with(&["prlimit"], || {
        let mut here = Reloaded::start(ALICE);
        let (bob, alice) = (bob(), alice());
        let mut old = call(&bob, &alice);
        let process = here.daemon.process();
        let kilobytes: u64 = process.status("VmSize").trim_end_matches(" kB").parse().unwrap();
        // Less than the stack of a thread, and room for a reload.
        run(&format!("prlimit --pid {} --as={}", process.id(), (kilobytes << 10) + (1 << 20)));
        let said =
            here.reload(&format!("{ALICE}uplink6 sip.example.net\n"), "uplink cannot be looked up; trying again");
        assert!(said.contains("Resource temporarily unavailable"), "{said}");
        old.assert_talks(&bob, &alice, 5);
        old.end_by_caller(&bob, &alice);
    });
}
