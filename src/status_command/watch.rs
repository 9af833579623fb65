//! `status --watch`: the status anew each second, on the whole terminal.
//!
//! Plain control sequences that every terminal of the last decades knows (ECMA-48).
//! The size is asked for in the same way, so that a window may change it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::control::AskError;

/// How often the daemon is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// Another screen, no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The screen from before, and its cursor.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Far down to the right; then: where is that?
const ASK_SIZE: &str = "\x1b[999;999H\x1b[6n";

/// Shows what `ask` says until somebody types `q`, or a signal ends it: then the
/// terminal is put back first.
pub(super) fn watch(first: Vec<u8>, ask: impl FnMut() -> Result<Vec<u8>, AskError>) -> io::Result<()> {
    let signals = [Signal::SIGTERM, Signal::SIGHUP].into_iter().collect::<SigSet>();
    signals.thread_block()?;
    let ended = look(first, ask, &SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?);
    signals.thread_unblock()?;
    if let Some(signal) = ended? {
        raise(signal)?;
    }
    Ok(())
}

/// The signal that ends it, if that is not a key.
fn look(
    first: Vec<u8>,
    mut ask: impl FnMut() -> Result<Vec<u8>, AskError>,
    signals: &SignalFd,
) -> io::Result<Option<Signal>> {
    let mut screen = Screen::enter()?;
    let mut view = View::new(first);
    let mut asked = now();
    loop {
        screen.show(&view)?;
        let left = PERIOD.saturating_sub(asked.elapsed());
        if left.is_zero() {
            view.set(ask());
            asked = now();
            continue;
        }
        match screen.wait(left, signals)? {
            Came::Keys(keys) => {
                if keys.into_iter().any(|key| view.press(key) == Wish::End) {
                    return Ok(None);
                }
            }
            Came::Signal(signal) => return Ok(Some(signal)),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the shell: how long somebody has been looking")]
fn now() -> Instant {
    Instant::now()
}

/// What is shown: the text and which part of it.
#[derive(Debug)]
struct View {
    lines: Vec<String>,
    trouble: Option<String>,
    /// The first line shown.
    top: usize,
    /// Lines and columns of the terminal.
    size: (usize, usize),
}

/// What ends a wait.
enum Came {
    Keys(Vec<Key>),
    Signal(Signal),
}

/// What somebody typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    /// The terminal told its size: lines, columns.
    Size(usize, usize),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    End,
}

impl View {
    fn new(text: Vec<u8>) -> Self {
        let mut view = Self { lines: Vec::new(), trouble: None, top: 0, size: (24, 80) };
        view.set(Ok(text));
        view
    }

    /// A daemon that is restarted is asked again; what it said last stays.
    fn set(&mut self, answer: Result<Vec<u8>, AskError>) {
        match answer {
            Ok(text) => {
                self.lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
        self.scroll(0);
    }

    fn press(&mut self, key: Key) -> Wish {
        let page = self.room().cast_signed();
        match key {
            Key::Quit => return Wish::End,
            Key::Up => self.scroll(-1),
            Key::Down => self.scroll(1),
            Key::PageUp => self.scroll(-page),
            Key::PageDown => self.scroll(page),
            Key::Home => self.scroll(isize::MIN),
            Key::Size(lines, columns) => {
                self.size = (lines.max(2), columns.max(1));
                self.scroll(0);
            }
        }
        Wish::Stay
    }

    /// Lines for the text: the last one of the terminal is for the keys.
    fn room(&self) -> usize {
        self.size.0.saturating_sub(1)
    }

    fn scroll(&mut self, by: isize) {
        let most = self.lines.len().saturating_sub(self.room());
        self.top = self.top.saturating_add_signed(by).min(most);
    }

    /// The screen as control sequences: each line over what stood there, then
    /// nothing below. So nothing flickers.
    fn draw(&self) -> String {
        let columns = self.size.1;
        let cut = |line: &str| line.chars().take(columns).collect::<String>();
        let mut out = String::from("\x1b[H");
        for line in self.lines.iter().skip(self.top).take(self.room()) {
            out.push_str("\x1b[K");
            out.push_str(&cut(line));
            out.push_str("\r\n");
        }
        out.push_str("\x1b[J");
        out.push_str(&format!("\x1b[{};1H\x1b[7m{}\x1b[0m", self.size.0, cut(&self.footer())));
        out
    }

    fn footer(&self) -> String {
        if let Some(trouble) = &self.trouble {
            return trouble.clone();
        }
        let below = self.lines.len().saturating_sub(self.top.saturating_add(self.room()));
        match below {
            0 => "q quits".to_owned(),
            _ => format!("{below} more lines; arrows scroll, q quits"),
        }
    }
}

/// The terminal, taken over until this is dropped.
struct Screen {
    before: Termios,
    /// Typed and not understood yet.
    typed: Vec<u8>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut silent = before.clone();
        // Ctrl-C comes as a byte, so that it puts the terminal back too.
        silent.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &silent)?;
        let screen = Self { before, typed: Vec::new() };
        put(ENTER)?;
        Ok(screen)
    }

    fn show(&self, view: &View) -> io::Result<()> {
        put(&format!("{ASK_SIZE}{}", view.draw()))
    }

    /// The keys typed within this time, or a signal; at the first ones it is over.
    fn wait(&mut self, time: Duration, signals: &SignalFd) -> io::Result<Came> {
        let stdin = io::stdin();
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let wanted = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut wanted = [wanted(stdin.as_fd()), wanted(signals.as_fd())];
        match poll(&mut wanted, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Came::Keys(Vec::new())),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        if wanted[1].any() == Some(true) {
            let signal =
                signals.read_signal()?.and_then(|signal| Signal::try_from(signal.ssi_signo.cast_signed()).ok());
            return Ok(Came::Signal(signal.unwrap_or(Signal::SIGTERM)));
        }
        let mut buffer = [0; 64];
        // Not through std's buffer, in which the next look would miss what is left.
        let length = nix::unistd::read(stdin.as_fd(), &mut buffer)?;
        if length == 0 {
            // The terminal is gone.
            return Ok(Came::Keys(vec![Key::Quit]));
        }
        self.typed.extend_from_slice(buffer.get(..length).unwrap_or_default());
        Ok(Came::Keys(keys(&mut self.typed)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put(LEAVE);
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Takes the keys out of what was typed. The beginning of a sequence stays.
fn keys(typed: &mut Vec<u8>) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = typed.as_slice();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != 0x1b {
            keys.extend(plain(byte));
            rest = behind;
            continue;
        }
        let Some(parameters) = behind.strip_prefix(b"[") else {
            // Escape alone, or the beginning of a sequence.
            if behind.is_empty() {
                break;
            }
            rest = behind;
            continue;
        };
        let Some(end) = parameters.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
            // No sequence is that long.
            if parameters.len() > 32 {
                rest = &[];
            }
            break;
        };
        let (parameters, behind) = parameters.split_at(end);
        keys.extend(behind.first().and_then(|&last| sequence(parameters, last)));
        rest = behind.get(1..).unwrap_or_default();
    }
    let left = rest.len();
    typed.drain(..typed.len().saturating_sub(left));
    keys
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'q' | b'Q' | 3 => Some(Key::Quit),
        b'k' => Some(Key::Up),
        b'j' | b'\n' => Some(Key::Down),
        b' ' => Some(Key::PageDown),
        b'b' => Some(Key::PageUp),
        b'g' => Some(Key::Home),
        _ => None,
    }
}

/// A control sequence, without its introducer.
fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    match (parameters, last) {
        (_, b'A') => Some(Key::Up),
        (_, b'B') => Some(Key::Down),
        (_, b'H') => Some(Key::Home),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        (_, b'R') => {
            let (lines, columns) = str::from_utf8(parameters).ok()?.split_once(';')?;
            Some(Key::Size(lines.parse().ok()?, columns.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (Vec<Key>, Vec<u8>) {
        let mut typed = bytes.to_vec();
        (keys(&mut typed), typed)
    }

    #[test]
    fn keys_and_sequences_are_understood_also_in_pieces() {
        assert_eq!(typed(b"q").0, [Key::Quit]);
        assert_eq!(typed(b"\x03").0, [Key::Quit]);
        assert_eq!(typed(b"\x1b[A\x1b[6~j").0, [Key::Up, Key::PageDown, Key::Down]);
        assert_eq!(typed(b"\x1b[48;132R").0, [Key::Size(48, 132)]);
        assert_eq!(typed(b"j\x1b[48;1"), (vec![Key::Down], b"\x1b[48;1".to_vec()));
        assert_eq!(typed(&[0x1b; 200]).0, []);
        assert_eq!(typed(format!("\x1b[{}", "1".repeat(100)).as_bytes()), (vec![], vec![]));
    }

    #[test]
    fn nothing_is_drawn_beyond_the_terminal() {
        let text: String = (0..100).map(|line| format!("line {line} {}\n", "x".repeat(200))).collect();
        let mut view = View::new(text.into_bytes());
        view.press(Key::Size(10, 20));
        let drawn = view.draw();
        let lines: Vec<&str> = drawn.split("\r\n").collect();
        assert_eq!(lines.len(), 10);
        assert!(lines[0] == "\x1b[H\x1b[Kline 0 xxxxxxxxxxxxx", "{drawn:?}");
        assert!(drawn.contains("more lines"), "{drawn:?}");
        for _ in 0..200 {
            view.press(Key::PageDown);
        }
        assert!(view.draw().contains("line 99 "));
        assert!(view.draw().contains("q quits"));
    }

    #[test]
    fn what_was_seen_stays_while_nobody_answers() {
        let mut view = View::new(b"1 call now\n".to_vec());
        view.set(Err(AskError::Nobody("/run/sipproxy64/control".into())));
        let drawn = view.draw();
        assert!(drawn.contains("1 call now") && drawn.contains("no daemon answers"), "{drawn:?}");
    }
}
