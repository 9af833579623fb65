//! Recordings of live calls, each a directory like those under `t/`: options, the
//! messages that came, and what test mode makes of them.
//!
//! All messages of a Call-ID go into one directory. They are sealed anew for test
//! mode (see [`crate::recording`]), secrets are blanked, and whenever there is
//! time `expected` is written by test mode itself. What the daemon really sent
//! stands beside it in `sent`, so that a difference shows.

mod shares;
mod writer;

use std::collections::{BinaryHeap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, mkdir};
use tracing::warn;

use self::shares::{Begun, surplus};
use self::writer::Writer;
use crate::address::{Directory, Source};
use crate::clock::Clock;
use crate::config::{Config, Uplink, UplinkHost};
use crate::family::Family;
use crate::limit::{Bucket, Rate};
use crate::observer::{Change, Crossed, Fate, Sink};
use crate::reason::Reason;
use crate::secret;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message};
use crate::test_output;
use crate::transcript::{self, RECORD, uplink_line};

/// How many directories are kept: of older ones the oldest goes.
const MAX_CALLS: usize = 200;
/// How many of them are still written to.
const MAX_OPEN: usize = 100;
/// How much of one call is recorded: messages, and bytes.
const MAX_MESSAGES: usize = 400;
const MAX_BYTES: usize = 512 * 1024;
/// How many calls may begin in a second, so that a flood does not wear the disk out.
const MAX_A_SECOND: usize = 20;

/// The files of a directory.
const FILES: [&str; 5] = ["options", "input", "expected", "sent", "why"];
/// How directories are called; a number follows.
const NAME: &str = "call-";
/// What stands in `expected` for the version of the program, as in `t/`.
const VERSION: (&str, &str) = (concat!("SIPproxy64/", env!("CARGO_PKG_VERSION")), "SIPproxy64/<version>");

/// What `--record` and `--anonymise` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Where the directories of the calls go.
    pub folder: PathBuf,
    /// Leave out who and where.
    pub anonymise: bool,
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
#[error("--record {}: {error}; name a directory, or one to be made in a directory that is writable", folder.display())]
pub struct RecordError {
    folder: PathBuf,
    #[source]
    error: io::Error,
}

/// Records calls.
#[derive(Debug)]
pub struct Recorder {
    directory: Directory,
    clock: Clock,
    settings: Recording,
    /// The directories there are, in order.
    kept: VecDeque<Kept>,
    /// Calls that are written to, the one that waits longest first.
    open: VecDeque<Call>,
    begun: Begun,
    /// Messages that were not recorded, since the last line about them.
    left_out: u64,
    /// Lines about what is not recorded.
    told: Bucket,
    fields: Fields,
}

/// A directory that is there.
#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u32,
    /// Neither a phone nor an uplink began it, as far as is known.
    strangers: bool,
}

/// A call that is written to.
#[derive(Debug)]
struct Call {
    call_id: Vec<u8>,
    folder: PathBuf,
    kept: Kept,
    writer: Writer,
    messages: usize,
    bytes: usize,
    /// `expected` is older than `input`.
    changed: bool,
}

impl Recorder {
    /// Records into a folder, which is made where it is not there; the second part of
    /// the answer is whether it was made.
    ///
    /// # Errors
    /// Where the folder cannot be made or read.
    pub fn start(settings: &Recording, config: Arc<Config>, clock: Clock) -> Result<(Self, bool), RecordError> {
        let settings = settings.clone();
        let system = |error| RecordError { folder: settings.folder.clone(), error };
        let made = make_folder(&settings.folder).map_err(system)?;
        let kept = recordings(&settings.folder).map_err(system)?;
        let recorder = Self {
            directory: Directory::new(config),
            clock,
            settings,
            kept,
            open: VecDeque::new(),
            begun: Begun::default(),
            left_out: 0,
            told: Bucket::default(),
            fields: Fields::default(),
        };
        Ok((recorder, made))
    }

    /// Whether this process may write there, as the user that it stays.
    ///
    /// # Errors
    /// Where it may not.
    pub fn may_write(settings: &Recording) -> Result<(), RecordError> {
        let system = |error: nix::Error| RecordError { folder: settings.folder.clone(), error: error.into() };
        access(&settings.folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(system)
    }

    fn record(&mut self, crossed: &Crossed<'_>) -> io::Result<()> {
        let inside = self.directory.is_ours(crossed.remote);
        let call_id = Message::parse(crossed.received, &mut self.fields).ok();
        let call_id = call_id.and_then(|message| message.value(HeaderName::CALL_ID)).unwrap_or_default().to_vec();
        let open = self.open.iter().position(|call| call.call_id == call_id);
        let mut call = match open.and_then(|at| self.open.remove(at)) {
            Some(call) => call,
            // The second pass of something that was left out.
            None if inside => return Ok(()),
            None => match self.begin(call_id, crossed)? {
                Some(call) => call,
                None => {
                    self.leave_out();
                    return Ok(());
                }
            },
        };
        let mut result = Ok(());
        if call.is_full() {
            self.leave_out();
        } else {
            result = call.add(crossed, inside);
        }
        self.open.push_back(call);
        let surplus = surplus(&self.open, MAX_OPEN, |call| call.kept.strangers, |_| true);
        if let Some(mut oldest) = surplus.and_then(|at| self.open.remove(at)) {
            oldest.write_expected()?;
        }
        result
    }

    /// Begins a directory; `None`: too many have begun a moment ago.
    fn begin(&mut self, call_id: Vec<u8>, first: &Crossed<'_>) -> io::Result<Option<Call>> {
        let strangers = self.directory.source(first.remote) == Source::Generic;
        if !self.begun.admits(self.clock.now().as_secs(), MAX_A_SECOND, strangers) {
            return Ok(None);
        }
        let mut number = self.kept.back().map_or(1, |last| last.number.wrapping_add(1));
        // One that somebody else has put there is left alone.
        let folder = loop {
            let folder = self.settings.folder.join(name(number));
            if make_folder(&folder)? {
                break folder;
            }
            number = number.wrapping_add(1);
        };
        // Where the disk is full, nothing is lost but this one.
        let kept = Kept { number, strangers };
        let call = self.fill(&folder, kept, call_id, first).inspect_err(|_| remove(&folder))?;
        self.kept.push_back(kept);
        self.make_room();
        Ok(Some(call))
    }

    /// Removes what is too much, but nothing that is still written to.
    fn make_room(&mut self) {
        let is_closed = |kept: &Kept| !self.open.iter().any(|call| call.kept.number == kept.number);
        while let Some(at) = surplus(&self.kept, MAX_CALLS, |kept| kept.strangers, is_closed) {
            let Some(Kept { number, .. }) = self.kept.remove(at) else { break };
            remove(&self.settings.folder.join(name(number)));
        }
    }

    /// Puts into a new directory what is known from the beginning.
    fn fill(&self, folder: &Path, kept: Kept, call_id: Vec<u8>, first: &Crossed<'_>) -> io::Result<Call> {
        let pseudonyms = self.settings.anonymise.then(secret::random).transpose().map_err(io::Error::other)?;
        let writer = Writer::new(self.directory.config(), pseudonyms);
        let (messages, bytes, changed) = (0, 0, false);
        let mut call = Call { call_id, folder: folder.to_owned(), kept, writer, messages, bytes, changed };
        call.create("options")?.write_all(call.writer.options().as_bytes())?;
        call.create("input")?;
        for side in Family::BOTH {
            let addresses = self.directory.uplink_addresses(side);
            let uplink = &self.directory.config().uplinks[side];
            if matches!(uplink, Some(Uplink { host: UplinkHost::Name(_), .. })) && !addresses.is_empty() {
                call.add_uplink(side, addresses)?;
            }
        }
        call.create("sent")?;
        let why = call.writer.title(first.received, first.remote.ip());
        call.create("why")?.write_all(why.as_bytes())?;
        Ok(call)
    }

    fn leave_out(&mut self) {
        self.left_out = self.left_out.saturating_add(1);
        if self.take_turn() {
            let messages = std::mem::take(&mut self.left_out);
            warn!(messages, "--record: not recorded, of a call that is too long, or of too many calls");
        }
    }

    /// Whether a line may be written now, which counts as one then.
    fn take_turn(&mut self) -> bool {
        self.told.take(self.clock.now(), Rate::ONCE_A_MINUTE)
    }

    fn failed(&mut self, error: &io::Error) {
        if self.take_turn() {
            warn!(folder = %self.settings.folder.display(), %error, "--record: cannot write");
        }
    }
}

impl Sink for Recorder {
    fn message(&mut self, crossed: &Crossed<'_>) {
        if !matches!(crossed.fate, Fate::Dropped(Reason::KeepAlive))
            && let Err(error) = self.record(crossed)
        {
            self.failed(&error);
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            // Calls that began under other options end here, as far as they go.
            Change::Config(config) => {
                self.settle();
                self.open.clear();
                self.directory = self.directory.reconfigured(Arc::clone(config));
            }
            Change::Back => {}
            Change::Uplink(side, addresses) => {
                self.directory.set_uplink(*side, addresses.clone());
                let told = self.open.iter_mut().try_for_each(|call| call.add_uplink(*side, addresses));
                if let Err(error) = told {
                    self.failed(&error);
                }
            }
        }
    }

    fn settle(&mut self) {
        let written = self.open.iter_mut().try_for_each(Call::write_expected);
        if let Err(error) = written {
            self.failed(&error);
        }
    }
}

impl Call {
    fn is_full(&self) -> bool {
        self.messages >= MAX_MESSAGES || self.bytes >= MAX_BYTES
    }

    fn create(&self, file: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.folder.join(file))
    }

    fn append(&self, file: &str, text: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).open(self.folder.join(file))?.write_all(text)
    }

    /// Adds a message to `input`, unless it is the second pass of one that is
    /// there, and what became of it to `sent`.
    fn add(&mut self, crossed: &Crossed<'_>, inside: bool) -> io::Result<()> {
        if !inside {
            let (remote, local) = (self.writer.endpoint(crossed.remote), self.writer.endpoint(crossed.local));
            let mut text = format!("{RECORD}{remote} -> {local}\n").into_bytes();
            text.extend_from_slice(&self.writer.message(crossed.received, crossed.remote.ip()));
            if text.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            self.append("input", &text)?;
            self.messages = self.messages.saturating_add(1);
            self.bytes = self.bytes.saturating_add(text.len());
        }
        let mut text = Vec::new();
        match crossed.fate {
            Fate::Dropped(reason) => test_output::dropped(&mut text, reason)?,
            Fate::Sent { from, to, message, .. } => {
                let message = self.writer.message(message, to.ip());
                test_output::sent(&mut text, self.writer.endpoint(from), self.writer.endpoint(to), &message)?;
            }
        }
        self.append("sent", &without_version(&text))?;
        self.changed = true;
        Ok(())
    }

    fn add_uplink(&mut self, side: Family, addresses: &[IpAddr]) -> io::Result<()> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|&address| self.writer.address(address)).collect();
        self.append("input", uplink_line(side, &addresses).as_bytes())
    }

    /// Has test mode say what it makes of `input`.
    fn write_expected(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let input = fs::read(self.folder.join("input"))?;
        let mut printed = Vec::new();
        if let Err(error) = transcript::play(self.writer.config().clone(), &input, &mut printed) {
            // What was recorded stays good to look at.
            printed = format!("{error}\n").into_bytes();
        }
        let printed = without_version(&printed);
        let mut expected = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.folder.join("expected"))?;
        expected.write_all(&printed)
    }
}

/// A text with the version of the program left out.
fn without_version(text: &[u8]) -> Vec<u8> {
    let (version, place) = (VERSION.0.as_bytes(), VERSION.1.as_bytes());
    let next = |rest: &[u8]| rest.windows(version.len()).position(|part| part == version);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, behind)) = next(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        out.extend_from_slice(place);
        rest = behind.get(version.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn name(number: u32) -> String {
    format!("{NAME}{number:06}")
}

/// The recordings in a folder, in order.
fn recordings(folder: &Path) -> io::Result<VecDeque<Kept>> {
    // A heap sorts too, with a tenth of the machine code.
    let mut numbers = BinaryHeap::new();
    for entry in fs::read_dir(folder)? {
        let file_name = entry?.file_name();
        let number = file_name.to_str().and_then(|file_name| file_name.strip_prefix(NAME)?.parse().ok());
        numbers.extend(number.filter(|&number| file_name.to_str() == Some(&name(number))));
    }
    Ok(numbers.into_sorted_vec().into_iter().map(|number| Kept { number, strangers: false }).collect())
}

/// Makes a folder that nobody else may look into; `false`: there is something of that name.
fn make_folder(path: &Path) -> io::Result<bool> {
    match mkdir(path, Mode::S_IRWXU) {
        Err(Errno::EEXIST) => Ok(false),
        made => Ok(made.map(|()| true)?),
    }
}

/// Removes a recording, but nothing else that somebody may have put there.
fn remove(folder: &Path) {
    for file in FILES {
        let _ = fs::remove_file(folder.join(file));
    }
    let _ = fs::remove_dir(folder);
}
