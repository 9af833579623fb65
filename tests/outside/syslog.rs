//! `--log syslog`, from within the sandbox, into a socket of the test's own in the
//! place of `/dev/log`.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use crate::harness::PATIENCE;
use crate::harness::daemon::PROGRAM;
use crate::harness::folder::Folder;
use crate::harness::namespace::isolated;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, OPTIONS, P1, U6};

/// Gives `$1` a `/dev` with nothing but `log`, which leads to `$0`, and what the
/// program needs at its start.
const OWN_DEV: &str = r#"set -e
mount -t tmpfs tmpfs /mnt
for device in null urandom; do
    touch /mnt/$device
    mount --bind /dev/$device /mnt/$device
done
ln -s "$0" /mnt/log
mount --rbind /mnt /dev
exec "$@""#;

/// A logging daemon.
struct Logger {
    socket: UnixDatagram,
}

impl Logger {
    fn at(path: &str) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// The next line with this text.
    fn await_line(&self, text: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no `{text}`: {error}"));
            let line = String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned();
            if line.contains(text) {
                return line;
            }
        }
    }
}

struct Running(Child);

impl Running {
    /// A daemon with the system's log at this path.
    fn start(path: &str, more: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", OWN_DEV, path, PROGRAM]).args(OPTIONS);
        command.args(["--log", "syslog", "--control", "none"]).args(more);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_systems_log_is_told_before_and_after_the_sandbox_and_over_a_restart_of_its_daemon() {
    isolated(|| {
        let folder = Folder::new("syslog");
        let path = folder.file("log");
        let logger = Logger::at(&path);
        let daemon = Running::start(&path, &[]);
        let number = daemon.0.id();
        // Facility "daemon", 3, and priority "notice", 5: 3 * 8 + 5.
        let tagged = |line: &str, priority: &str| {
            assert!(line.starts_with(priority) && line.contains(&format!(" sipproxy64[{number}]: ")), "{line}");
        };
        tagged(&logger.await_line("system_calls=\"restricted\""), "<29>");
        tagged(&logger.await_line("]: ready"), "<29>");
        for logger in [Some(logger), None] {
            let logger = logger.unwrap_or_else(|| {
                // Its socket has gone, and another one has its name.
                fs::remove_file(&path).unwrap();
                Logger::at(&path)
            });
            assert!(Command::new("kill").args(["-USR2", &number.to_string()]).status().unwrap().success());
            tagged(&logger.await_line("]: reloaded"), "<29>");
        }
        drop(daemon);
    });
}

/// A logging daemon that stands still, as it does where its disk does.
#[test]
fn messages_pass_while_the_systems_log_takes_nothing() {
    isolated(|| {
        let folder = Folder::new("syslog");
        let path = folder.file("log");
        let logger = Logger::at(&path);
        let _daemon = Running::start(&path, &["-v"]);
        logger.await_line("]: ready");
        let (phone, provider) = (Party::new("alice", P1, 30000), Party::new("provider", U6, 40000));
        // Far more than its socket holds (unix(7), max_dgram_qlen).
        for _ in 0..1000 {
            phone.agent.send(&phone.request("MESSAGE", "sip:a@provider.example"), LISTEN4);
            provider.agent.receive_request("MESSAGE");
        }
    });
}

/// A daemon in the background would say nothing to anybody.
#[test]
fn that_there_is_no_log_is_said() {
    isolated(|| {
        let nowhere = Folder::new("nolog");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", OWN_DEV, &nowhere.file("log"), PROGRAM]);
        command.args(["-l", "192.0.2.99", "-L", "2001:db8::1", "--log", "syslog", "--control", "none"]);
        let said = String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stderr).unwrap();
        assert!(said.contains("nobody listens at /dev/log") && said.contains("--log stderr"), "{said}");
    });
}
