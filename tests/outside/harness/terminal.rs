//! A terminal (tmux), for programs that draw on one.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::folder::Folder;

/// A terminal in which a program runs, to be looked at.
#[derive(Debug)]
pub struct Terminal {
    socket: String,
    /// The process in it.
    process: String,
}

impl Terminal {
    /// Runs a command in a terminal of so many columns and lines.
    pub fn start(folder: &Folder, (columns, lines): (usize, usize), command: &str) -> Self {
        let mut terminal = Self { socket: folder.file("tmux"), process: String::new() };
        let command = format!("exec {command}");
        let (columns, lines) = (columns.to_string(), lines.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, &command]);
        terminal.process = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]).trim().to_owned();
        terminal
    }

    /// What tmux says to these arguments.
    pub fn tmux(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("tmux").args(["-S", &self.socket]).args(arguments).env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The screen, once all of these are on it.
    pub fn await_texts(&self, texts: &[&str]) -> String {
        self.await_times(1, texts)
    }

    /// The screen, once each of these is on it so often.
    pub fn await_times(&self, times: usize, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            let missing = texts.iter().find(|text| screen.matches(**text).count() < times);
            let Some(missing) = missing else { return screen };
            assert!(Instant::now() < deadline, "`{missing}` is not on the screen {times} times:\n{screen}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // sngrep outlives its terminal, busily.
        let _ = Command::new("kill").args(["-KILL", &self.process]).output();
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}
