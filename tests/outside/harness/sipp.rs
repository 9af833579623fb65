//! SIPp of Debian's sip-tester: peers that nobody here wrote.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::folder::Folder;
use super::kernel::await_socket;

/// Where Debian has the recordings; SIPp looks for them in `pcap` of the current directory.
const RECORDINGS: &str = "/usr/share/sip-tester";

/// A folder for SIPp to run in.
pub fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    symlink(RECORDINGS, folder.path().join("pcap")).unwrap();
    folder
}

fn read(folder: &Folder, file: &str) -> String {
    fs::read(folder.path().join(file))
        .map_or_else(|_| String::new(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// A running SIPp.
pub struct Sipp {
    child: Child,
    role: &'static str,
}

impl Sipp {
    fn start(folder: &Folder, role: &'static str, options: &[&str]) -> Self {
        let screen = fs::File::create(folder.path().join(format!("{role}.screen"))).unwrap();
        let child = Command::new("sipp")
            .current_dir(folder.path())
            .args(options)
            // Without retransmissions nothing that is lost goes unnoticed.
            .args(["-nr", "-nostdin", "-trace_err", "-error_file", &format!("{role}.errors")])
            .args(["-trace_stat", "-stf", &format!("{role}.csv")])
            .stdin(Stdio::null())
            .stdout(screen.try_clone().unwrap())
            .stderr(screen)
            .spawn()
            .unwrap();
        Self { child, role }
    }

    /// A callee, as soon as its socket is there.
    pub fn answer(folder: &Folder, local: &str, options: &[&str]) -> Self {
        let address = address(local);
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let sipp = Self::start(folder, "callee", &[&["-sn", "uas", "-i", &ip, "-p", &port], options].concat());
        await_socket(address);
        sipp
    }

    /// A caller, to its end. It succeeds where no call has failed.
    pub fn call(folder: &Folder, remote: &str, local: &str, options: &[&str]) {
        let address = address(local);
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let own = [remote, "-i", &ip, "-p", &port, "-timeout", "300", "-timeout_error"];
        let mut sipp = Self::start(folder, "caller", &[&own, options].concat());
        let status = sipp.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", report(folder, "caller"));
    }

    /// Ends a callee once its calls are over, and gives its statistics.
    pub fn end(mut self, folder: &Folder) -> Statistics {
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

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What SIPp counted.
pub struct Statistics {
    successful: usize,
    failed: usize,
}

impl Statistics {
    /// From the last line of its statistics: names above, numbers below.
    pub fn read(folder: &Folder, role: &str) -> Self {
        let text = read(folder, &format!("{role}.csv"));
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(';').collect();
        let last: Vec<&str> = text.lines().last().unwrap_or_default().split(';').collect();
        let number = |name: &str| {
            let column = names.iter().position(|&other| other == name).unwrap_or_else(|| panic!("no {name} in {text}"));
            last[column].parse().unwrap_or_else(|_| panic!("{name} is {}", last[column]))
        };
        Self { successful: number("SuccessfulCall(C)"), failed: number("FailedCall(C)") }
    }

    pub fn assert_calls(&self, count: usize) {
        assert_eq!((self.successful, self.failed), (count, 0), "calls that succeeded and that failed");
    }
}

fn report(folder: &Folder, role: &str) -> String {
    format!("{}\n{}", read(folder, &format!("{role}.errors")), read(folder, &format!("{role}.screen")))
}

/// The UDP payloads of a recording: pcap, Ethernet, IPv4.
pub fn recording(file: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(Path::new(RECORDINGS).join(file)).unwrap();
    let (mut rest, mut payloads) = (&bytes[24..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let length = usize::try_from(u32::from_le_bytes(head[8..12].try_into().unwrap())).unwrap();
        let (frame, behind) = behind.split_at(length);
        let ip = &frame[14..];
        let udp = &ip[usize::from(ip[0] & 15) * 4..];
        let udp_length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        payloads.push(udp[8..udp_length].to_vec());
        rest = behind;
    }
    assert!(!payloads.is_empty());
    payloads
}
