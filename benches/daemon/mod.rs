//! The program under measurement: started, read, and ended.

#![allow(dead_code, reason = "not every bench needs all of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sipproxy64");

/// The program, until it is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it.
    pub(crate) fn begin(arguments: &str) -> Self {
        let mut command = Command::new(PROGRAM);
        Self(command.args(arguments.split(' ')).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn start(arguments: &str) -> Self {
        Self::run(Command::new(PROGRAM).args(arguments.split(' ')))
    }

    /// The same on one processor, where taskset(1) is there to see to it.
    pub(crate) fn start_on_one(arguments: &str) -> Self {
        if Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_err() {
            println!("no taskset: the program has all processors");
            return Self::start(arguments);
        }
        Self::run(Command::new("taskset").args(["-c", "0", PROGRAM]).args(arguments.split(' ')))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the daemon ended: are its ports free?");
        }
        // Whoever reads no more must not stop the daemon.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self(child)
    }

    /// Its resident set in kB.
    pub(crate) fn resident(&self) -> usize {
        number(&fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap(), "VmRSS")
    }

    /// What stands behind `name:` in the status of each thread, added up.
    pub(crate) fn of_threads(&self, name: &str) -> usize {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads.map(|thread| number(&fs::read_to_string(thread.unwrap().path().join("status")).unwrap(), name)).sum()
    }

    /// Processor time so far of the threads whose names begin so.
    pub(crate) fn processor_time(&self, name: &str) -> Duration {
        processor_time(self.0.id(), name)
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.0.id()
    }
}

/// Processor time so far of the threads of a process whose names begin so.
pub(crate) fn processor_time(process: u32, name: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(path.join("schedstat")).unwrap();
        let is_meant = fs::read_to_string(path.join("comm")).unwrap().starts_with(name);
        is_meant.then(|| text.split(' ').next().unwrap().parse::<u64>().unwrap())
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn number(status: &str, name: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// A party's socket.
pub(crate) fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// The next message that comes to a socket, and where from.
pub(crate) fn text(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

/// The lines of a message whose names are these.
pub(crate) fn lines<'a>(message: &'a str, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    head.split("\r\n").filter(move |line| names.iter().any(|name| line.starts_with(name)))
}

/// The port in the first `m=` line of a message.
pub(crate) fn port(message: &str) -> u16 {
    message.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A 200 to an INVITE as it came, with this Contact and SDP.
pub(crate) fn answer(invite: &str, contact: &str, sdp: &str) -> String {
    let mut ok = String::from("SIP/2.0 200 OK\r\n");
    for line in lines(invite, &["Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:"]) {
        let tag = if line.starts_with("To:") { ";tag=t" } else { "" };
        ok += &format!("{line}{tag}\r\n");
    }
    ok += &format!("Contact: <{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n", sdp.len());
    ok + sdp
}
