//! Calls between peers that nobody here wrote: SIPp of Debian's sip-tester.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::LONG_PATIENCE;
use crate::harness::agent::Agent;
use crate::harness::daemon::Daemon;
use crate::harness::dialog::Dialog;
use crate::harness::media::Described;
use crate::harness::namespace::isolated_with;
use crate::harness::party::Party;
use crate::harness::picture::{LISTEN4, P1, U6, X6};

/// Where Debian has the recordings; SIPp looks for them in `pcap` of the current directory.
const RECORDINGS: &str = "/usr/share/sip-tester";

/// A folder for SIPp to run in, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sipp-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        symlink(RECORDINGS, path.join("pcap")).unwrap();
        Self(path)
    }

    fn read(&self, file: &str) -> String {
        fs::read(self.0.join(file)).map_or_else(|_| String::new(), |text| String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What cannot be removed is in the target folder still.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A running SIPp.
struct Sipp {
    child: Child,
    role: &'static str,
}

impl Sipp {
    fn start(folder: &Folder, role: &'static str, options: &[&str]) -> Self {
        let screen = || Stdio::from(fs::File::create(folder.0.join(format!("{role}.screen"))).unwrap());
        let child = Command::new("sipp")
            .current_dir(&folder.0)
            .args(options)
            .args(["-nostdin", "-trace_err", "-error_file", &format!("{role}.errors")])
            .args(["-trace_stat", "-stf", &format!("{role}.csv")])
            .stdin(Stdio::null())
            .stdout(screen())
            .stderr(screen())
            .spawn()
            .unwrap();
        Self { child, role }
    }

    /// A callee, as soon as its socket is there.
    fn answer(folder: &Folder, local: &str, options: &[&str]) -> Self {
        let address: SocketAddr = local.parse().unwrap();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let sipp = Self::start(folder, "callee", &[&["-sn", "uas", "-i", &ip, "-p", &port], options].concat());
        await_socket(address);
        sipp
    }

    /// A caller, to its end. It succeeds where no call has failed.
    fn call(folder: &Folder, remote: &str, local: &str, options: &[&str]) {
        let address: SocketAddr = local.parse().unwrap();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let own = [remote, "-i", &ip, "-p", &port, "-timeout", "90", "-timeout_error"];
        let mut sipp = Self::start(folder, "caller", &[&own, options].concat());
        let status = sipp.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", report(folder, "caller"));
    }

    /// Ends a callee once its calls are over, and gives its statistics.
    fn end(mut self, folder: &Folder) -> Statistics {
        let kill = format!("kill -USR1 {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.child.wait().unwrap();
        Statistics::read(folder, self.role)
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What SIPp counted.
struct Statistics {
    successful: usize,
    failed: usize,
    retransmissions: usize,
}

impl Statistics {
    /// From the last line of its statistics: names above, numbers below.
    fn read(folder: &Folder, role: &str) -> Self {
        let text = folder.read(&format!("{role}.csv"));
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(';').collect();
        let last: Vec<&str> = text.lines().last().unwrap_or_default().split(';').collect();
        let number = |name: &str| {
            let column = names.iter().position(|&other| other == name).unwrap_or_else(|| panic!("no {name} in {text}"));
            last[column].parse().unwrap_or_else(|_| panic!("{name} is {}", last[column]))
        };
        Self {
            successful: number("SuccessfulCall(C)"),
            failed: number("FailedCall(C)"),
            retransmissions: number("Retransmissions(C)"),
        }
    }

    fn assert_calls(&self, count: usize) {
        assert_eq!((self.successful, self.failed), (count, 0), "calls that succeeded and that failed");
        assert_eq!(self.retransmissions, 0, "retransmissions: something was lost");
    }
}

fn report(folder: &Folder, role: &str) -> String {
    format!("{}\n{}", folder.read(&format!("{role}.errors")), folder.read(&format!("{role}.screen")))
}

/// Waits until a UDP socket of another program is bound. There is nothing to
/// be told of it, so the list of the kernel is read again and again.
fn await_socket(address: SocketAddr) {
    let (file, suffix) = if address.is_ipv4() { ("/proc/net/udp", "") } else { ("/proc/net/udp6", "") };
    let wanted = format!("{}:{:04X}{suffix}", kernel_form(address), address.port());
    let deadline = Instant::now() + LONG_PATIENCE;
    while !fs::read_to_string(file).unwrap().contains(&wanted) {
        assert!(Instant::now() < deadline, "nobody binds {address}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// An address as /proc/net/udp writes it: words of four bytes in the machine's order.
fn kernel_form(address: SocketAddr) -> String {
    let octets = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
    words.map(|word| format!("{word:08X}")).collect()
}

const LOAD: [&str; 4] = ["-r", "40", "-m", "200"];

/// IPv4 to IPv6: a phone's calls for our listen address go to the uplink.
#[test]
fn two_hundred_calls_from_ipv4_to_ipv6() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("4to6");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, U6, &[]);
        Sipp::call(&folder, LISTEN4, P1, &[&["-sn", "uac"], &LOAD[..]].concat());
        Statistics::read(&folder, "caller").assert_calls(200);
        callee.end(&folder).assert_calls(200);
        daemon.assert_alive();
    });
}

/// IPv6 to IPv4: a generic caller calls a phone at its fake.
#[test]
fn two_hundred_calls_from_ipv6_to_ipv4() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("6to4");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, P1, &[]);
        Sipp::call(&folder, "[2001:db8::101]:5060", X6, &[&["-sn", "uac"], &LOAD[..]].concat());
        Statistics::read(&folder, "caller").assert_calls(200);
        callee.end(&folder).assert_calls(200);
        daemon.assert_alive();
    });
}

/// The same with callers that follow the recorded route, as real ones do: the
/// built-in scenario sends its ACK and BYE without Routes.
#[test]
fn calls_that_follow_the_recorded_route() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("routes");
        let mut daemon = Daemon::start();
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sipp/uac-routes.xml");
        let scenario = ["-sf", scenario.to_str().unwrap()];
        let callee = Sipp::answer(&folder, P1, &[]);
        Sipp::call(&folder, "[2001:db8::101]:5060", X6, &[&scenario, &["-r", "40", "-m", "40"][..]].concat());
        callee.end(&folder).assert_calls(40);
        daemon.assert_alive();
    });
}

/// Eight seconds of speech from a recording, echoed by the callee.
#[test]
fn calls_with_recorded_speech_and_echo() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("pcap");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, P1, &["-rtp_echo", "-mi", "192.0.2.101"]);
        let load = ["-sn", "uac_pcap", "-mi", "2001:db8:9::55", "-r", "5", "-m", "5"];
        Sipp::call(&folder, "[2001:db8::101]:5060", X6, &load);
        Statistics::read(&folder, "caller").assert_calls(5);
        callee.end(&folder).assert_calls(5);
        daemon.assert_alive();
    });
}

/// SIPp's echo, counted: each of fifty packets comes back as it was sent.
#[test]
fn every_packet_comes_back_from_an_echo() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("echo");
        let mut daemon = Daemon::start();
        let callee = Sipp::answer(&folder, P1, &["-rtp_echo", "-mi", "192.0.2.101"]);
        let bob = Party::new("bob", X6, 40000);
        let invite = bob.invite("sip:service@[2001:db8::101]:5060");
        bob.agent.send(&invite, "[2001:db8::101]:5060");
        bob.agent.receive_response(180, &invite);
        let accepted = bob.agent.receive_response(200, &invite).message;
        let mut dialog = Dialog::of_caller(&invite, &accepted);
        dialog.send(&bob.agent, &dialog.ack(&bob.agent, &invite));
        let relay = Described::of(&accepted);
        for number in 0..50 {
            bob.media.send_rtp("echo", number, relay);
            bob.media.expect_rtp(&bob.media, "echo", number, relay);
        }
        end(&bob.agent, &mut dialog);
        callee.end(&folder).assert_calls(1);
        daemon.assert_alive();
    });
}

fn end(agent: &Agent, dialog: &mut Dialog) {
    let bye = dialog.request(agent, "BYE").without_body();
    dialog.send(agent, &bye);
    agent.receive_response(200, &bye);
}

/// Without a proxy between them: what a failure above is measured against.
#[test]
fn sipp_calls_itself() {
    isolated_with(&["sipp"], || {
        let folder = Folder::new("alone");
        let callee = Sipp::answer(&folder, U6, &["-rtp_echo", "-mi", "2001:db8:456::12"]);
        let load = ["-sn", "uac", "-r", "40", "-m", "20"];
        Sipp::call(&folder, U6, X6, &load);
        Statistics::read(&folder, "caller").assert_calls(20);
        callee.end(&folder).assert_calls(20);
    });
}
