//! The daemon as a user starts it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::kernel::await_read;
use super::picture::OPTIONS;
use super::{LONG_PATIENCE, PATIENCE};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sipproxy64");

/// What a daemon says that was to take over and was too slow.
const HELD_UP: [&str; 3] =
    ["the other process does not answer", "the other process has gone", "took too long to begin"];

/// A running sipproxy64. It is killed with the test; its log is shown where the test fails.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Daemon {
    /// With the command line of [`super::picture`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these options behind those of the picture.
    pub fn start_with(more: &[&str]) -> Self {
        let options: Vec<&str> = OPTIONS.iter().chain(more).copied().collect();
        Self::start_as(&options)
    }

    /// With these options alone, and ready for messages.
    pub fn start_as(options: &[&str]) -> Self {
        let mut daemon = Self::spawn(options);
        daemon.await_line("ready");
        daemon
    }

    /// With these options behind those of the picture, and no line for each datagram.
    pub fn start_quietly(more: &[&str]) -> Self {
        let mut daemon = Self::spawn_by(Command::new(PROGRAM), &[&OPTIONS, more].concat());
        daemon.await_line("ready");
        daemon
    }

    /// With the command line of the picture, in the network namespace of that process.
    pub fn start_in(process: u32) -> Self {
        let mut command = Command::new("nsenter");
        command.args(["-t", &process.to_string(), "-n", PROGRAM, "-v"]);
        let mut daemon = Self::spawn_by(command, &OPTIONS);
        daemon.await_line("ready");
        daemon
    }

    /// Lets another one with these options, [`Daemon::spawn_by`]'s, take over all calls;
    /// ends with this one. A machine that is busy enough holds the new one up for longer
    /// than calls may stand still: then the old one goes on, and it is tried again.
    pub fn hand_over(&mut self, options: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut new = Self::spawn_by(Command::new(PROGRAM), options);
            if new.gets_ready() {
                let mut old = std::mem::replace(self, new);
                assert!(old.wait().success());
                return;
            }
            let said = new.log.last().unwrap();
            assert!(HELD_UP.iter().any(|words| said.contains(words)) && Instant::now() < deadline, "{said}");
        }
    }

    /// Whether it gets ready; else it has ended.
    fn gets_ready(&mut self) -> bool {
        let deadline = Instant::now() + LONG_PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("it neither gets ready nor ends"),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if self.log.last().unwrap().contains("ready") {
                return true;
            }
        }
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    fn spawn(options: &[&str]) -> Self {
        Self::spawn_by(Command::new(PROGRAM), &[&["-v"], options].concat())
    }

    /// By this command, which need not be ready yet.
    pub fn spawn_by(mut command: Command, options: &[&str]) -> Self {
        // Beside others at once: the usual control socket is only one.
        let control: &[&str] = if options.contains(&"--control") { &[] } else { &["--control", "none"] };
        let mut child = command
            .args(control)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            let lines = stderr.split(b'\n').map_while(Result::ok);
            // The test may be over before the log is.
            lines.for_each(|line| drop(sender.send(String::from_utf8_lossy(&line).into_owned())));
        });
        Self { child, lines, log: Vec::new() }
    }

    /// Waits for a log line that contains `text`, also among those that came already.
    pub fn await_line(&mut self, text: &str) -> String {
        if let Some(line) = self.log.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let deadline = Instant::now() + LONG_PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("the log never said `{text}`"),
                Err(RecvTimeoutError::Disconnected) => panic!("the daemon ended without a word of `{text}`"),
            }
            let line = self.log.last().unwrap();
            if line.contains(text) {
                return line.clone();
            }
        }
    }

    /// Waits until the log has so many lines that contain `text`, and gives the last of them.
    pub fn await_lines(&mut self, text: &str, count: usize) -> String {
        let deadline = Instant::now() + LONG_PATIENCE;
        loop {
            if let Some(line) = self.log.iter().filter(|line| line.contains(text)).nth(count - 1) {
                return line.clone();
            }
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(line),
                Err(_) => panic!("the log did not say `{text}` {count} times"),
            }
        }
    }

    /// Sends it a signal, as `kill` does.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end. The end of its log is that of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("the daemon does not end"),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
            }
        }
    }

    /// Asserts that it has not ended.
    pub fn assert_alive(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the daemon has ended");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.log.extend(self.lines.iter());
            let state = ended.map_or("running".to_owned(), |status| status.to_string());
            eprintln!("---- log of the daemon ({state}) ----\n{}\n----", self.log.join("\n"));
        }
    }
}

/// What the kernel tells of a process.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Its number.
    pub fn id(self) -> u32 {
        self.0
    }

    /// Waits until it has done with all that was sent to these addresses: its sockets
    /// there are read, and the threads that read them wait for more.
    pub fn await_handled(self, addresses: &[SocketAddr]) {
        addresses.iter().for_each(|&address| await_read(address));
        let deadline = Instant::now() + PATIENCE;
        while self.works() {
            assert!(Instant::now() < deadline, "its threads never rest");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether one of its SIP and relay threads is at work.
    fn works(self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).unwrap().flatten();
        let stat = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let is_named = |stat: &String| stat.contains("(sip") || stat.contains("(relay");
        threads.map(stat).filter(is_named).any(|stat| !stat.contains(") S "))
    }

    /// How many descriptors it has open.
    pub fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).unwrap().count()
    }

    /// Its resident memory in kB.
    pub fn memory(self) -> u64 {
        self.status("VmRSS").trim_end_matches(" kB").parse().unwrap()
    }

    /// What `/proc/PID/status` has behind `name:`.
    pub fn status(self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().replace('\t', " ")
    }
}

/// What became of a start that was to fail.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: Option<i32>,
    /// What it said on stderr.
    pub said: String,
}

/// Starts the daemon with options that cannot work, and waits for its end.
pub fn fail_to_start(options: &[&str]) -> Failure {
    let mut child = Command::new(PROGRAM).args(options).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let (sender, ended) = channel();
    thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        sender.send(said)
    });
    let said = ended.recv_timeout(PATIENCE);
    if said.is_err() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap().code();
    Failure { status, said: said.expect("it runs although it should not") }
}
