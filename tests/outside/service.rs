//! What a service manager hears (sd_notify(3)). It is a socket of the test here.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::harness::PATIENCE;
use crate::harness::daemon::{Daemon, PROGRAM, Process};
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated;
use crate::harness::picture::OPTIONS;

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sipproxy64-{name}-{}", process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// Starts the daemon, which is to say this often that it is alive.
    fn start(&self, watchdog_microseconds: Option<&str>) -> Daemon {
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(period) = watchdog_microseconds {
            command.env("WATCHDOG_USEC", period);
        }
        Daemon::spawn_by(command, &OPTIONS)
    }

    /// Waits until there is something to hear; `false`: that process has failed before.
    fn is_told(&self, process: &mut Child) -> bool {
        let mut wanted = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        while poll(&mut wanted, PollTimeout::from(50_u8)).unwrap() == 0 {
            if process.try_wait().unwrap().is_some_and(|status| !status.success()) {
                return false;
            }
        }
        true
    }

    /// The lines of the next message.
    fn hear(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("the manager is told nothing");
        std::str::from_utf8(&buffer[..length]).unwrap().lines().map(str::to_owned).collect()
    }

    /// Asserts that the next message has this line.
    fn expect(&self, line: &str) -> Vec<String> {
        let heard = self.hear();
        assert!(heard.iter().any(|said| said == line), "{line} expected, heard {heard:?}");
        heard
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn a_service_manager_hears_of_start_and_end() {
    isolated(|| {
        let manager = Manager::new("ends");
        let mut daemon = manager.start(None);
        let ready = manager.expect("READY=1");
        assert!(ready.contains(&format!("MAINPID={}", daemon.process().id())), "{ready:?}");
        daemon.signal("TERM");
        manager.expect("STOPPING=1");
        assert!(daemon.wait().success());
    });
}

/// A daemon that waits for its calls to end is not stopping yet: the manager
/// would end it when its patience is over.
#[test]
fn a_service_manager_hears_that_calls_are_waited_for() {
    isolated(|| {
        let manager = Manager::new("leaves");
        let mut daemon = manager.start(None);
        manager.expect("READY=1");
        daemon.signal("HUP");
        manager.expect("STATUS=SIP sockets closed; media is relayed until the last call ends");
        manager.expect("STOPPING=1");
        assert!(daemon.wait().success());
    });
}

#[test]
fn a_service_manager_hears_that_it_is_alive() {
    isolated(|| {
        let manager = Manager::new("alive");
        let mut daemon = manager.start(Some("200000"));
        manager.expect("READY=1");
        for _ in 0..3 {
            manager.expect("WATCHDOG=1");
        }
        daemon.signal("TERM");
        while !manager.hear().contains(&"STOPPING=1".to_owned()) {}
        assert!(daemon.wait().success());
    });
}

/// A manager knows the end of its own children alone. So it hears of the process that
/// has taken over when that has no other parent any more.
#[test]
fn a_service_manager_hears_of_a_process_that_belongs_to_it() {
    isolated(|| {
        let manager = Manager::new("reload");
        let folder = Folder::new("service-reload");
        let control = folder.file("control");
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", &manager.path);
        let mut old = Daemon::spawn_by(command, &[&OPTIONS[..], &["--control", &control]].concat());
        manager.expect("READY=1");
        let mut command = Command::new(PROGRAM);
        command.env("NOTIFY_SOCKET", &manager.path).args(OPTIONS).stderr(Stdio::null());
        command.args(["--control", &control, "--takeover", &control, "--daemon", "--log", "stderr"]);
        let mut waiting = command.spawn().unwrap();
        // On a busy machine it may be too late, and the old one goes on.
        let mut again = 1..20;
        while !manager.is_told(&mut waiting) {
            again.next().expect("a takeover comes about");
            waiting = command.spawn().unwrap();
        }
        let ready = manager.expect("READY=1");
        let main = ready.iter().find_map(|line| line.strip_prefix("MAINPID=")).unwrap();
        let main = Process(main.parse().unwrap());
        assert_ne!(main.id(), waiting.id());
        assert_ne!(main.status("PPid"), waiting.id().to_string());
        assert!(waiting.wait().unwrap().success());
        assert!(old.wait().success());
        assert!(Command::new("kill").arg(main.id().to_string()).status().unwrap().success());
        manager.expect("STOPPING=1");
    });
}

/// A manager that is gone is no reason to refuse calls.
#[test]
fn a_service_manager_may_be_gone() {
    isolated(|| {
        let manager = Manager::new("gone");
        fs::remove_file(&manager.path).unwrap();
        let mut daemon = manager.start(None);
        daemon.await_line("the service manager cannot be told of our state");
        daemon.signal("TERM");
        assert!(daemon.wait().success());
    });
}
