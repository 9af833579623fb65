//! The process of a daemon: `--daemon`, `--pid-file` and `--user`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::call::establish;
use crate::harness::daemon::{Daemon, PROGRAM, Process, fail_to_start};
use crate::harness::namespace::{isolated, isolated_with_users};
use crate::harness::party::Party;
use crate::harness::picture::{F1, LISTEN4, LISTEN6, OPTIONS, P1, X6};

/// A folder that anybody may use, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sipproxy64-process-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A daemon that left us, ended with the test.
struct Left {
    process: Process,
    pid_file: String,
}

impl Left {
    /// Starts one, and waits as a shell would.
    fn start(folder: &Folder, more: &[&str]) -> Self {
        let pid_file = folder.path("pid");
        let (status, said) = run(folder, &[&["-d", "-P", &pid_file], more].concat());
        assert_eq!(status.code(), Some(0), "{said}");
        assert_eq!(said, "", "nothing is said where nothing is wrong");
        // No waiting: it has started.
        let process = Process(fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap());
        Self { process, pid_file }
    }

    fn stat(&self, field: usize) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0)).unwrap();
        // Behind the name, which may hold anything: state, parent, group, session.
        stat.rsplit(')').next().unwrap().split_whitespace().nth(field).unwrap().to_owned()
    }

    /// The `status` of each of its threads; some may end while one looks.
    fn threads(&self) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.0)).unwrap();
        let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
        let found: Vec<String> = threads.flatten().filter_map(status).collect();
        assert!(!found.is_empty());
        found
    }

    fn link(&self, name: &str) -> PathBuf {
        fs::read_link(format!("/proc/{}/{name}", self.process.0)).unwrap()
    }

    fn end(&self) {
        signal(self.process, "TERM");
        await_that("the daemon ends", || !is_running(self.process));
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if is_running(self.process) {
            signal(self.process, "KILL");
        }
    }
}

/// Runs the program with the options of the picture behind `options` until the
/// shell would go on; what it said comes from a file, as a daemon may keep that open.
/// Where this machine has no log, that is said too, and is none of these tests' matter.
fn run(folder: &Folder, options: &[&str]) -> (ExitStatus, String) {
    let said = folder.path("said");
    let mut command = Command::new(PROGRAM);
    command.args(options).args(["--control", "none"]).args(OPTIONS).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(File::create(&said).unwrap()).status().unwrap();
    let said = fs::read_to_string(&said).unwrap();
    let no_log = |line: &&str| line.contains("--log syslog: nobody listens at /dev/log");
    (status, said.split_inclusive('\n').filter(|line| !no_log(line)).collect())
}

fn signal(process: Process, name: &str) {
    let kill = format!("kill -{name} {}", process.0);
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Whether a thread of it is there. A zombie that nobody has taken in is none; the
/// first thread may be one already while others still hold what the process had.
fn is_running(process: Process) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", process.0)) else { return false };
    threads.flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|state| !state.is_empty() && !state.trim_start().starts_with(['Z', 'X']))
    })
}

fn await_that(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A call from a stranger to a phone, with media, through whatever daemon there is.
fn assert_makes_a_call() {
    let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
    let mut call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
    call.assert_talks(&bob, &alice, 5);
    call.end_by_callee(&bob, &alice);
}

#[test]
fn the_shell_goes_on_when_the_daemon_has_started() {
    isolated(|| {
        let folder = Folder::new();
        let daemon = Left::start(&folder, &[]);
        assert_makes_a_call();
        assert_eq!(daemon.stat(3), daemon.process.0.to_string(), "it leads a session of its own");
        assert_eq!(daemon.link("cwd"), Path::new("/"));
        for stream in ["fd/0", "fd/1", "fd/2"] {
            assert_eq!(daemon.link(stream), Path::new("/dev/null"), "{stream}");
        }
        daemon.end();
        assert!(!Path::new(&daemon.pid_file).exists(), "the pid file is removed");
        let _sockets = (Agent::bind("IPv4", LISTEN4), Agent::bind("IPv6", LISTEN6));
    });
}

/// Where the log was asked for on stderr it goes on there.
#[test]
fn the_log_of_a_daemon_can_go_on_to_stderr() {
    isolated(|| {
        let folder = Folder::new();
        let (status, _) = run(&folder, &["-d", "--log", "stderr", "-P", &folder.path("pid")]);
        assert!(status.success());
        let pid = fs::read_to_string(folder.path("pid")).unwrap().trim().parse().unwrap();
        let daemon = Left { process: Process(pid), pid_file: folder.path("pid") };
        daemon.end();
        let said = fs::read_to_string(folder.path("said")).unwrap();
        assert!(said.contains("ready") && said.contains("stopped"), "{said}");
    });
}

#[test]
fn what_goes_wrong_at_the_start_of_a_daemon_is_said_in_the_shell() {
    isolated(|| {
        let folder = Folder::new();
        let other = Agent::bind("another program", LISTEN6);
        let (status, said) = run(&folder, &["-d", "-P", &folder.path("pid")]);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("2001:db8::1") && said.contains("in use"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!Path::new(&folder.path("pid")).exists());
        drop(other);
        let (status, said) = run(&folder, &["-d", "--dscp", "64"]);
        assert_eq!(status.code(), Some(2), "{said}");
        let (status, said) = run(&folder, &["-d", "-P", "/nonexistent/pid"]);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.starts_with("sipproxy64: --pid-file /nonexistent/pid: "), "{said}");
    });
}

/// As in a container that has not all of the usual mounts.
#[test]
fn a_daemon_says_what_it_takes_to_leave_the_shell() {
    isolated(|| {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /dev && exec \"$0\" -l 127.0.0.1 -L ::1 --control none -d";
        let output = command.args(["--mount", "sh", "-c", script, PROGRAM]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("sipproxy64: --daemon: /dev/null: No such file"), "{said}");
    });
}

#[test]
fn a_pid_file_belongs_to_one_daemon_at_a_time() {
    isolated(|| {
        let folder = Folder::new();
        let daemon = Left::start(&folder, &[]);
        let (status, said) = run(&folder, &["-P", &daemon.pid_file]);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("process {} has it and is running", daemon.process.0)), "{said}");
        // One that had no time to clean up leaves nothing in the way.
        signal(daemon.process, "KILL");
        await_that("the daemon ends", || !is_running(daemon.process));
        assert!(Path::new(&daemon.pid_file).exists());
        drop(Left::start(&folder, &[]));
    });
}

/// A daemon that only relays its last calls does not keep the next one from starting.
#[test]
fn sighup_frees_the_pid_file_at_once() {
    isolated(|| {
        let folder = Folder::new();
        let pid_file = folder.path("pid");
        let mut daemon = Daemon::start_with(&["--control", "none", "-P", &pid_file]);
        let (bob, alice) = (Party::new("bob", X6, 40000), Party::new("alice", P1, 30000));
        let call = establish(&bob, &alice, "sip:alice@[2001:db8::101]", F1);
        daemon.signal("HUP");
        daemon.await_line("SIP sockets closed");
        let next = Left::start(&folder, &[]);
        call.assert_talks(&bob, &alice, 5);
        daemon.signal("TERM");
        daemon.wait();
        assert!(Path::new(&pid_file).exists(), "the old daemon leaves the file of the new one alone");
        next.end();
    });
}

#[test]
fn rights_are_given_up_once_all_is_bound() {
    isolated_with_users(|| {
        let folder = Folder::new();
        let secret = folder.path("secret");
        let daemon = Left::start(&folder, &["--user", "4711:4712", "--secret", &secret]);
        assert_eq!(daemon.process.status("Uid"), "4711 4711 4711 4711");
        assert_eq!(daemon.process.status("Gid"), "4712 4712 4712 4712");
        assert_eq!(daemon.process.status("Groups"), "4712");
        for rights in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(daemon.process.status(rights), "0000000000000000", "{rights}");
        }
        for status in daemon.threads() {
            assert!(status.contains("Uid:\t4711\t4711\t4711\t4711\n"), "{status}");
        }
        assert_makes_a_call();
        daemon.end();
        assert!(!Path::new(&daemon.pid_file).exists(), "the folder is anybody's");
    });
}

/// All of it together: everything that is done while it runs is still done.
#[test]
fn a_daemon_in_its_sandbox_does_all_that_it_should() {
    isolated_with_users(|| {
        let folder = Folder::new();
        let (file, control) = (folder.path("conf"), folder.path("control"));
        let text = |more: &str| {
            let listen = "listen4 192.0.2.1\nlisten6 2001:db8::1\nuplink4 localhost\nuser 4711:4712\nlog stderr\n";
            fs::write(&file, format!("{listen}map 192.0.2.101=2001:db8::101\n{more}")).unwrap();
        };
        text("");
        let said = folder.path("said");
        let said_by_now = || fs::read_to_string(&said).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["-d", "-P", &folder.path("pid"), "--control", &control, "-c", &file]);
        let status = command.stdout(Stdio::null()).stderr(File::create(&said).unwrap()).status().unwrap();
        assert!(status.success(), "{}", said_by_now());
        let pid = fs::read_to_string(folder.path("pid")).unwrap().trim().parse().unwrap();
        let daemon = Left { process: Process(pid), pid_file: folder.path("pid") };
        for status in daemon.threads() {
            assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
        }
        await_that("names are looked up", || said_by_now().contains("uplink found"));
        assert_makes_a_call();
        text("map 192.0.2.102=2001:db8::102\n");
        signal(daemon.process, "USR2");
        await_that("maps are read again", || said_by_now().contains("reloaded maps=2 added=1"));
        assert_makes_a_call();
        let asked = Command::new(PROGRAM).args(["status", "--control", &control]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        daemon.end();
        assert!(said_by_now().contains("stopped") && !said_by_now().contains("denied"), "{}", said_by_now());
        assert!(!Path::new(&daemon.pid_file).exists() && !Path::new(&control).exists());
    });
}

/// What the resolver reads may be links to anywhere, as in distributions that make
/// all of /etc out of a store.
#[test]
fn names_are_looked_up_where_the_files_of_the_resolver_are_links() {
    isolated(|| {
        let folder = Folder::new();
        fs::write(folder.path("hosts"), "127.0.0.9 uplink.test\n").unwrap();
        fs::write(folder.path("nsswitch"), "hosts: files\n").unwrap();
        let script = r#"mount -t tmpfs none /etc && ln -s "$1" /etc/hosts && ln -s "$2" /etc/nsswitch.conf || exit 77
                        shift 2; exec "$0" "$@""#;
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, PROGRAM, &folder.path("hosts"), &folder.path("nsswitch")]);
        let options = ["-l", "192.0.2.1", "-L", "2001:db8::1", "-u", "uplink.test"];
        let mut daemon = Daemon::spawn_by(command, &options);
        let said = daemon.await_line("name=uplink.test");
        assert!(said.contains("uplink found") && said.contains("127.0.0.9"), "{said}");
    });
}

#[test]
fn the_sandbox_can_be_left_off() {
    isolated(|| {
        let folder = Folder::new();
        let daemon = Left::start(&folder, &["--no-sandbox"]);
        assert_eq!(daemon.process.status("Seccomp"), "0");
        assert_eq!(daemon.process.status("NoNewPrivs"), "0");
    });
}

/// In a folder that only root may write to, nothing stands in the file in the end.
#[test]
fn the_pid_file_of_another_user_is_emptied_at_least() {
    isolated_with_users(|| {
        let folder = Folder::new();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        for _ in 0..2 {
            let daemon = Left::start(&folder, &["--user", "4711:4712"]);
            daemon.end();
            assert_eq!(fs::read_to_string(&daemon.pid_file).unwrap(), "");
        }
    });
}

/// A folder of root's is refused at the start, not at the first call.
#[test]
fn recordings_go_where_the_user_may_write() {
    isolated_with_users(|| {
        let folder = Folder::new();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        let (of_root, new) = (folder.path("of-root"), folder.path("new"));
        fs::create_dir(&of_root).unwrap();
        let options = [&OPTIONS[..], &["--control", "none", "--user", "4711:4712", "--record"]].concat();
        let failure = fail_to_start(&[&options[..], &[&of_root]].concat());
        assert_eq!(failure.status, Some(1), "{failure:?}");
        assert!(failure.said.contains(&format!("--record {of_root}: ")), "{failure:?}");
        // One that was not there belongs to the user.
        let mut daemon = Daemon::start_as(&[&options[..], &[&new]].concat());
        daemon.signal("TERM");
        assert!(daemon.wait().success());
    });
}

#[test]
fn only_root_becomes_another_user() {
    isolated_with_users(|| {
        let failure = fail_to_start(&[&OPTIONS[..], &["--control", "none", "--user", "no such user"]].concat());
        assert_eq!(failure.status, Some(2));
        assert!(
            failure.said.contains("--user no such user: this system has no user 'no such user'"),
            "{}",
            failure.said
        );
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "4711", "--regid", "4711", "--clear-groups", PROGRAM, "--user", "4712:4712"]);
        let output = command.args(["--control", "none"]).args(OPTIONS).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("--user 4712:4712: only root can become another user"), "{said}");
    });
}
