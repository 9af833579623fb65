//! Whoever reads the log may stop reading: no message waits for that.

use std::io::{BufRead, BufReader, PipeReader, Write, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use crate::harness::PATIENCE;
use crate::harness::daemon::PROGRAM;
use crate::harness::kernel::await_socket;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, OPTIONS, P1, U6};

/// A daemon that says much, and the end of the pipe that its log comes out of.
struct Talkative {
    child: Child,
    log: BufReader<PipeReader>,
}

impl Talkative {
    /// Starts one. Nobody reads its log behind the line that it is ready.
    fn start() -> Self {
        let mut daemon = Self::start_behind(b"");
        daemon.read_until("ready");
        daemon
    }

    /// Starts one whose log comes behind this.
    fn start_behind(before: &[u8]) -> Self {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(before).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(OPTIONS).args(["-vv", "--control", "none"]).stdin(Stdio::null()).stderr(writer);
        let child = command.spawn().unwrap();
        // Or the pipe had another end still.
        drop(command);
        Self { child, log: BufReader::new(reader) }
    }

    /// Its log as far as the first line with this text.
    fn read_until(&mut self, text: &str) -> String {
        let (mut read, mut last) = (String::new(), 0);
        while !read[last..].contains(text) {
            last = read.len();
            assert!(self.log.read_line(&mut read).unwrap() > 0, "it never said `{text}`");
        }
        read
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
        let id = self.child.id();
        let (ended, waited) = channel();
        thread::scope(|scope| {
            scope.spawn(|| ended.send(self.child.wait().unwrap()));
            let status = waited.recv_timeout(PATIENCE);
            if status.is_err() {
                Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
            }
            status.expect("it does not end")
        })
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of each message the log has some 6 kB: of so many, more than a pipe and the daemon hold.
fn send_messages() {
    let (mut phone, provider) = (Party::new("alice", P1, 30000), Party::new("provider", U6, 40000));
    phone.contact = format!("\"{}\" {}", "x".repeat(3000), phone.contact);
    for _ in 0..400 {
        phone.agent.send(&phone.request("MESSAGE", "sip:a@provider.example"), LISTEN4);
        provider.agent.receive_request("MESSAGE");
    }
}

#[test]
fn messages_pass_while_nobody_reads_and_the_log_says_what_it_lost() {
    isolated(|| {
        let mut daemon = Talkative::start();
        send_messages();
        let read = daemon.read_until("lines of the log lost");
        let told = read.lines().filter(|line| line.contains(" message ")).count();
        let lost: usize = read.trim_end().rsplit_once("lost=").expect("how many").1.parse().unwrap();
        assert!((50..400).contains(&told) && told + lost >= 400, "{told} messages are told and {lost} lines lost");
        daemon.terminate();
        assert!(daemon.read_until("stopped").lines().count() < 5, "nothing else has happened");
        assert!(daemon.end().success());
    });
}

#[test]
fn the_start_waits_for_no_reader() {
    isolated(|| {
        // As much as a pipe holds (pipe(7)).
        let mut daemon = Talkative::start_behind(&[b'\n'; 1 << 16]);
        await_socket(LISTEN4.parse().unwrap());
        let alice = Party::new("alice", P1, 50000);
        let options = alice.request("OPTIONS", "sip:192.0.2.1");
        alice.agent.send(&options, LISTEN4);
        alice.agent.receive_response(200, &options);
        daemon.terminate();
        assert!(daemon.end().success());
    });
}

#[test]
fn the_end_waits_for_no_reader() {
    isolated(|| {
        let mut daemon = Talkative::start();
        send_messages();
        daemon.terminate();
        assert!(daemon.end().success());
    });
}
