//! A network namespace for each test.

use std::any::type_name;
use std::env;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::picture::{ADDRESSES4, ADDRESSES6};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "SIPPROXY64_TEST_INSIDE";

/// The status of a namespace that could not be furnished.
const UNFURNISHED: i32 = 77;

/// Puts the addresses on lo, then becomes the test. IPv6 addresses are usable
/// at once with `nodad`; but the kernel makes their routes a little later, which
/// is waited for.
const FURNISH: &str = r#"
{ ip link set lo up &&
  { printf 'address add %s/32 dev lo\n' $ADDRESSES4; printf 'address add %s/128 dev lo nodad\n' $ADDRESSES6; } |
  ip -batch - &&
  until ip -6 route show table local | grep -c '^local 2001:' | grep -qx "$COUNT6"; do :; done
} || exit 77
exec "$0" "$@"
"#;

/// Runs `test` in a network namespace of its own: the test program calls itself
/// inside one, for this test alone. Where namespaces cannot be had the test is skipped.
pub fn isolated<Test: FnOnce()>(test: Test) {
    isolated_with(&[], test);
}

/// The same for a test that calls these programs.
pub fn isolated_with<Test: FnOnce()>(programs: &[&str], test: Test) {
    isolated_by(&["-rn", "-n"], programs, test);
}

/// The same for a test that needs other users than root: without a namespace of users.
pub fn isolated_with_users<Test: FnOnce()>(test: Test) {
    isolated_by(&["-n"], &[], test);
}

fn isolated_by<Test: FnOnce()>(ways: &[&'static str], programs: &[&str], test: Test) {
    if env::var_os(INSIDE).is_some() {
        await_network(ADDRESSES4[0], ADDRESSES4[1]);
        await_network(ADDRESSES6[0], ADDRESSES6[1]);
        return test();
    }
    let name = test_name::<Test>();
    let Some(unshare) = find_unshare(ways) else {
        return skip(
            &name,
            "the right to make network namespaces: unshare (util-linux), as root or with user namespaces",
        );
    };
    if let Some(missing) = programs.iter().chain(&["ip"]).find(|program| !is_installed(program)) {
        return skip(
            &name,
            &format!(
                "{missing} (Debian: iproute2 has ip, sip-tester has sipp, baresip-core has baresip, chromium, sngrep, tmux and tshark those)"
            ),
        );
    }
    let output = run_inside(unshare, &name);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(UNFURNISHED) {
        return skip(&name, &format!("IPv4 and IPv6 in a network namespace: {}", err.trim()));
    }
    assert!(output.status.success(), "{name}, {}:\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{name} did not run in its namespace:\n{out}\n{err}");
}

/// Another network namespace, empty, until this is dropped.
#[derive(Debug)]
pub struct Elsewhere(Child);

impl Elsewhere {
    pub fn new() -> Self {
        // It says when its namespace is there, and keeps it until it is killed.
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "echo; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    /// A process in it.
    pub fn process(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a script of the shell, which must succeed.
pub fn run(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Waits until datagrams arrive: Linux may swallow the first ones of a network
/// namespace that was made this moment, without a word or a count.
fn await_network(one: &str, other: &str) {
    let [one, other] = [one, other].map(|address| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket
    });
    let mut arrived = 0;
    let deadline = Instant::now() + PATIENCE;
    while arrived < 5 {
        assert!(Instant::now() < deadline, "nothing arrives in this network namespace");
        let both = [(&one, &other), (&other, &one)].map(|(from, to)| {
            from.send_to(b"there?", to.local_addr().unwrap()).unwrap();
            to.recv(&mut [0; 8]).is_ok()
        });
        arrived = if both == [true, true] { arrived + 1 } else { 0 };
    }
}

/// Says that the test `name` is skipped and what it needs, past the capture of
/// the test runner. In CI, where everything is to be had, that is a failure.
fn skip(name: &str, needs: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(env::var("CI").as_deref() != Ok("true"), "{name} would be skipped in CI: needs {needs}");
    say(&format!("skipped: {name} needs {needs} (skipped so far: {count})"));
}

/// Whether a program is to be had; those of the system's administrator count.
fn is_installed(program: &str) -> bool {
    let path = env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| Path::new(folder).join(program).is_file())
}

fn say(line: &str) {
    // Unlike eprintln! this is not captured; a closed stderr is no failure.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The options with which a namespace can be had here. Each is tried once.
fn find_unshare(ways: &[&'static str]) -> Option<&'static str> {
    static TRIED: Mutex<Vec<(&str, bool)>> = Mutex::new(Vec::new());
    let mut tried = TRIED.lock().unwrap();
    ways.iter().copied().find(|options| {
        if let Some((_, works)) = tried.iter().find(|(known, _)| known == options) {
            return *works;
        }
        let quiet = || Stdio::null();
        let probe = Command::new("unshare").args([options, "true"]).stdout(quiet()).stderr(quiet()).status();
        let works = probe.is_ok_and(|status| status.success());
        tried.push((options, works));
        works
    })
}

fn run_inside(unshare: &str, name: &str) -> Output {
    let program = env::current_exe().unwrap();
    let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    Command::new("unshare")
        .args([unshare, "sh", "-c", FURNISH])
        .arg(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("PATH", path)
        .env("ADDRESSES4", ADDRESSES4.join(" "))
        .env("ADDRESSES6", ADDRESSES6.join(" "))
        .env("COUNT6", ADDRESSES6.len().to_string())
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The name of the test as the test runner knows it: that of the function in
/// which the closure stands, without the crate's. That it is right is checked
/// above, by the one test that must have passed.
fn test_name<Test>() -> String {
    let path = type_name::<Test>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, name)| name).to_owned()
}
