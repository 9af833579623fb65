//! The program under measurement: started, read, and ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The program, until it is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(arguments: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sipproxy64"))
            .args(arguments.split(' '))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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

    /// Processor time so far of the threads whose names begin so.
    pub(crate) fn processor_time(&self, name: &str) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let of = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(path.join("schedstat")).unwrap();
            let is_meant = fs::read_to_string(path.join("comm")).unwrap().starts_with(name);
            is_meant.then(|| text.split(' ').next().unwrap().parse::<u64>().unwrap())
        };
        Duration::from_nanos(threads.filter_map(of).sum())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A party's socket.
pub(crate) fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}
