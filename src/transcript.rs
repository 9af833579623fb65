//! Test mode: recorded messages in, what would be sent out, through the same
//! [`Standalone`] and without sockets.
//!
//! A record is a line `>> udp SOURCE -> DESTINATION` and, below it, the bytes as
//! on the wire up to the next such line. A line `>> uplink4 ADDRESS...`, or with
//! a 6, tells the addresses of an uplink that is a host name. Lines before the
//! first message that begin with `#` are comments. What is sent to ourselves comes in
//! again at once.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::config::Config;
use crate::family::Family;
use crate::proxy::{Datagram, MAX_PASSES, Outcome, Standalone};
use crate::scan::{find, trim};
use crate::test_output;

/// What begins the line above a message.
pub const RECORD: &str = ">> udp ";
/// What begins a line with the addresses of an uplink.
const UPLINKS: [(Family, &str); 2] = [(Family::V4, ">> uplink4 "), (Family::V6, ">> uplink6 ")];

/// Why a transcript ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// A file cannot be read.
    #[error("--test {}: {source}{}", path.display(), advice(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of a file is not what it should be.
    #[error("--test {}, {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        #[source]
        error: LineError,
    },
    /// What would be sent cannot be written.
    #[error("cannot write to stdout: {0}")]
    Write(#[source] io::Error),
}

/// Why records were not played to their end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// A line is not what it should be.
    #[error(transparent)]
    Line(#[from] LineError),
    /// What would be sent cannot be written.
    #[error("cannot write what would be sent: {0}")]
    Write(#[from] io::Error),
}

/// A line that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Recordings and cases are directories, which are easily named instead.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::IsADirectory => "; name a file with messages, as its \"input\" if it is a recording",
        io::ErrorKind::NotFound => "; name a file with messages, or - for standard input",
        _ => "",
    }
}

/// Reads the messages recorded in `files` (`-`: stdin) and writes to `out` what
/// a proxy of this configuration would send.
///
/// # Errors
/// A file that cannot be read, or holds something else; `out` takes nothing.
pub fn run(config: Config, files: &[PathBuf], out: &mut dyn Write) -> Result<(), TranscriptError> {
    let mut player = Player::new(config, out);
    for path in files {
        let text = read(path).map_err(|source| TranscriptError::Read { path: path.clone(), source })?;
        look_over(&path.display(), &text);
        player.text(&text).map_err(|error| match error {
            PlayError::Line(error) => TranscriptError::Line { path: path.clone(), error },
            PlayError::Write(error) => TranscriptError::Write(error),
        })?;
    }
    Ok(())
}

/// As [`run`], with recorded messages that are no file's.
///
/// # Errors
/// Records that hold something else; `out` takes nothing.
pub fn play(config: Config, records: &[u8], out: &mut dyn Write) -> Result<(), PlayError> {
    Player::new(config, out).text(records)
}

/// Says what is most likely not meant: there is nothing to play, or somebody typed it.
fn look_over(file: &impl Display, text: &[u8]) {
    let Ok(records) = records(text) else { return };
    if records.is_empty() {
        warn!("{file}: no message in it; {HEAD_ADVICE}, and the message below that");
    }
    if let Some(line) = written_by_hand(&records) {
        warn!("{file}, line {line}: the lines of this message end in LF alone; SIP has CRLF, as unix2dos(1) makes it");
    }
}

/// The line of the first record whose message has no CR at all, as editors leave it. On
/// the wire that is no SIP (RFC 3261 §7).
fn written_by_hand(records: &[Record<'_>]) -> Option<usize> {
    let by_hand = |record: &Record<'_>| match record.what {
        What::Message(Datagram { bytes, .. }) => find(bytes, b'\r').is_none() && find(bytes, b'\n').is_some(),
        What::Uplink(..) => false,
    };
    records.iter().find(|record| by_hand(record)).map(|record| record.line)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    std::fs::read(path)
}

/// What the line above a message must be.
const HEAD_ADVICE: &str = "write >> udp SOURCE -> DESTINATION, for example >> udp 192.0.2.101:5060 -> 192.0.2.1:5060";

/// One record of a file.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    line: usize,
    what: What<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum What<'a> {
    Message(Datagram<'a>),
    Uplink(Family, Vec<IpAddr>),
}

/// The records of a file.
fn records(text: &[u8]) -> Result<Vec<Record<'_>>, LineError> {
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut at = 0;
    for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = index.saturating_add(1);
        let wrong = |what: &str| LineError { line: number, what: what.to_owned() };
        let behind = at + line.len();
        if let Some(addresses) = line.strip_prefix(RECORD.as_bytes()) {
            let (remote, local) = addresses_of(addresses).ok_or_else(|| wrong(HEAD_ADVICE))?;
            let bytes = text.get(behind..behind).unwrap_or_default();
            records.push(Record { line: number, what: What::Message(Datagram { local, remote, bytes }) });
        } else if let Some((side, uplink)) = uplink_of(line) {
            let what = "write >> uplink6 ADDRESS..., for example >> uplink6 2001:db8:456::12";
            let addresses = uplink.ok_or_else(|| wrong(what))?;
            records.push(Record { line: number, what: What::Uplink(side, addresses) });
        } else if is_like_a_head(line) {
            return Err(wrong(HEAD_ADVICE));
        } else if let Some(Record { what: What::Message(message), .. }) = records.last_mut() {
            let start = at.saturating_sub(message.bytes.len());
            message.bytes = text.get(start..behind).unwrap_or_default();
        } else if !line.starts_with(b"#") && !trim(line).is_empty() {
            return Err(wrong("the first message needs a line >> udp SOURCE -> DESTINATION above it"));
        }
        at = behind;
    }
    Ok(records)
}

/// Whether a line was most likely meant for the one above a message: a text may begin with
/// `>>`, too, but then there is no endpoint beside an arrow.
fn is_like_a_head(line: &[u8]) -> bool {
    let words = line.strip_prefix(b">>").and_then(|rest| std::str::from_utf8(rest).ok()?.split_once("->"));
    let is_endpoint = |word: Option<&str>| word.is_some_and(|word| word.parse::<SocketAddr>().is_ok());
    words.is_some_and(|(from, to)| {
        is_endpoint(from.split_whitespace().next_back()) || is_endpoint(to.split_whitespace().next())
    })
}

/// The addresses of an uplink, if a line tells them; `None` inside: it is wrong.
fn uplink_of(line: &[u8]) -> Option<(Family, Option<Vec<IpAddr>>)> {
    let line = std::str::from_utf8(line).ok()?;
    let (side, addresses) = UPLINKS.iter().find_map(|(side, start)| Some((*side, line.strip_prefix(start)?)))?;
    let addresses = addresses.split_whitespace().map(|address| address.parse().ok());
    let addresses: Option<Vec<IpAddr>> = addresses.collect();
    let good = |address: &IpAddr| Family::of(*address) == side;
    Some((side, addresses.filter(|addresses| !addresses.is_empty() && addresses.iter().all(good))))
}

/// The line that tells the addresses of an uplink.
pub fn uplink_line(side: Family, addresses: &[IpAddr]) -> String {
    let start = UPLINKS.iter().find(|(of, _)| *of == side).map_or("", |(_, start)| start.trim_end());
    addresses.iter().fold(start.to_owned(), |line, address| format!("{line} {address}")) + "\n"
}

fn addresses_of(text: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (remote, local) = std::str::from_utf8(text).ok()?.trim_end().split_once(" -> ")?;
    Some((remote.parse().ok()?, local.parse().ok()?))
}

struct Player<'a> {
    config: Arc<Config>,
    proxy: Standalone,
    out: &'a mut dyn Write,
    sent: Vec<u8>,
    returning: Vec<u8>,
}

impl<'a> Player<'a> {
    fn new(config: Config, out: &'a mut dyn Write) -> Self {
        let config = Arc::new(config);
        let proxy = Standalone::new(Arc::clone(&config));
        Self { config, proxy, out, sent: Vec::new(), returning: Vec::new() }
    }

    /// Plays the records of a text.
    fn text(&mut self, text: &[u8]) -> Result<(), PlayError> {
        for record in records(text)? {
            match record.what {
                What::Message(message) if !self.config.is_ours(message.local) => {
                    let local = message.local;
                    let what = format!("{local} is no address of this proxy; see --listen4, --listen6 and --map");
                    return Err(LineError { line: record.line, what }.into());
                }
                What::Message(message) => self.play(&message)?,
                What::Uplink(side, addresses) => self.proxy.set_uplink(side, addresses),
            }
        }
        Ok(())
    }

    /// Shows what becomes of one message, and of what comes back to ourselves.
    fn play(&mut self, record: &Datagram<'_>) -> io::Result<()> {
        let (mut local, mut remote) = (record.local, record.remote);
        self.returning.clear();
        self.returning.extend_from_slice(record.bytes);
        // As the daemon does.
        for _ in 0..MAX_PASSES {
            let datagram = Datagram { local, remote, bytes: &self.returning };
            let outcome = self.proxy.handle(Duration::ZERO, &datagram, &mut self.sent);
            // Nothing is relayed here: ports are as good as open.
            while self.proxy.next_command().is_some() {}
            match outcome {
                Outcome::Drop(reason) => return test_output::dropped(self.out, reason),
                Outcome::Send { from, to, .. } => {
                    test_output::sent(self.out, from, to, &self.sent)?;
                    if !self.proxy.is_ours(to) {
                        return Ok(());
                    }
                    (local, remote) = (to, from);
                    std::mem::swap(&mut self.sent, &mut self.returning);
                }
            }
        }
        test_output::dropped(self.out, "it came back to ourselves over and over")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_is_nearly_right_is_told_from_a_text() {
        let after =
            |line: &str| records(format!(">> udp 192.0.2.9:1 -> 192.0.2.1:5060\nA\r\n\r\n{line}\n").as_bytes()).is_ok();
        for wrong in
            [">>udp 192.0.2.9:1 -> 192.0.2.1:5060", ">> tcp 192.0.2.9:1->192.0.2.1:5060", ">> 192.0.2.9:1 -> x"]
        {
            assert!(!after(wrong), "{wrong}");
        }
        for text in [">> quoted A -> B", ">> 1 -> 2", ">>", "> 192.0.2.9:1 -> 192.0.2.1:5060"] {
            assert!(after(text), "{text}");
        }
    }

    #[test]
    fn a_message_ends_where_the_next_record_begins() {
        let text = b"# why\n>> udp 192.0.2.9:1 -> 192.0.2.1:5060\nA\r\n\r\nbody\n>> udp [2001:db8::9]:2 -> [2001:db8::1]:5060\r\nB";
        let records = records(text).unwrap();
        let bytes: Vec<_> = records
            .iter()
            .map(|record| match &record.what {
                What::Message(message) => (record.line, message.bytes),
                What::Uplink(..) => panic!("no uplink is told"),
            })
            .collect();
        assert_eq!(bytes, [(2, &b"A\r\n\r\nbody\n"[..]), (6, &b"B"[..])]);
    }

    #[test]
    fn the_addresses_of_an_uplink_are_told_in_a_line_of_their_own() {
        let line = uplink_line(Family::V6, &["2001:db8::12".parse().unwrap(), "2001:db8::13".parse().unwrap()]);
        assert_eq!(line, ">> uplink6 2001:db8::12 2001:db8::13\n");
        let told = vec!["2001:db8::12".parse().unwrap(), "2001:db8::13".parse().unwrap()];
        assert_eq!(records(line.as_bytes()).unwrap()[0].what, What::Uplink(Family::V6, told));
        assert_eq!(records(b">> uplink6 192.0.2.1\n").unwrap_err().line, 1);
    }

    #[test]
    fn a_message_that_somebody_typed_is_told_from_one_of_the_wire() {
        let record = |message: &str| format!("# why\n>> udp 192.0.2.9:1 -> 192.0.2.1:5060\n{message}");
        let by_hand = |text: &str| written_by_hand(&records(record(text).as_bytes()).unwrap());
        assert_eq!(by_hand("BYE sip:a\nVia: b\n\n"), Some(2));
        for of_the_wire in ["BYE sip:a\r\nVia: b\n\r\n", "BYE sip:a\r\n\r\nv=0\n", "\0", ""] {
            assert_eq!(by_hand(of_the_wire), None, "{of_the_wire:?}");
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        assert_eq!(records(b"\nINVITE").unwrap_err().line, 2);
        assert_eq!(records(b">> udp 192.0.2.9 -> 192.0.2.1:5060\n").unwrap_err().line, 1);
    }
}
