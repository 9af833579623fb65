//! A capture file for Wireshark, tshark, tcpdump and sngrep, in the pcapng format.
//!
//! Each message stands in it twice, as it came and as it left, with its
//! direction and, where it was refused or dropped, the reason as a comment. The
//! packets are put together again from what the sockets gave: raw IP (the link
//! type of the file), UDP, and the payload in one piece.

mod format;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::mem;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use self::format::{INBOUND, Note, OUTBOUND, SECTION_HEADER, put_head, put_packet};
use crate::clock::Clock;
use crate::config::Config;
use crate::file_id::FileId;
use crate::limit::{Bucket, Rate};
use crate::observer::{Change, Crossed, Fate, Relayed, Sink};

/// How much is held back until the observer has nothing else to do.
const HELD_BACK: usize = 64 * 1024;

/// What `--pcap` and its companions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureFile {
    /// The file. The one before it is kept under this name and `.1`.
    pub path: PathBuf,
    /// At which size, in bytes, a new one is begun.
    pub size: u64,
    /// Media too.
    pub media: bool,
}

/// Why a capture file cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// What is there is something else.
    #[error("--pcap {}: it is there, and no capture file; name another one, or remove it", .0.display())]
    Foreign(PathBuf),
    /// The system says no.
    #[error("--pcap {}: {error}; its directory must exist and be writable", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Writes a capture file.
#[derive(Debug)]
pub struct Pcap {
    config: Arc<Config>,
    clock: Clock,
    settings: CaptureFile,
    file: File,
    /// The bytes of whole blocks in the file.
    written: u64,
    /// Blocks to be written.
    held: Vec<u8>,
    failures: Bucket,
}

impl CaptureFile {
    /// Where the file goes when it is full.
    pub fn older(&self) -> PathBuf {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        older.into()
    }

    /// Begins a file; one that is there already becomes the older one.
    fn begin(&self) -> io::Result<File> {
        match fs::rename(&self.path, self.older()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Never through a link that somebody put there meanwhile.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)
    }
}

/// Whether a file is there that is no capture file of ours, which must be left alone.
fn is_foreign(path: &Path) -> io::Result<bool> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        about => about?,
    };
    if !about.is_file() {
        return Ok(true);
    }
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(!start.is_empty() && start != SECTION_HEADER.to_le_bytes())
}

impl Pcap {
    /// Begins the file.
    ///
    /// # Errors
    /// Where it cannot be created, or something else has its name.
    pub fn start(settings: &CaptureFile, config: Arc<Config>, clock: Clock) -> Result<Self, CaptureError> {
        let settings = settings.clone();
        let system = |error| CaptureError::System { path: settings.path.clone(), error };
        for path in [settings.path.clone(), settings.older()] {
            if is_foreign(&path).map_err(system)? {
                return Err(CaptureError::Foreign(path));
            }
        }
        let file = settings.begin().map_err(system)?;
        let mut held = Vec::with_capacity(HELD_BACK);
        put_head(&mut held);
        let mut pcap = Self { config, clock, settings, file, written: 0, held, failures: Bucket::default() };
        pcap.settle();
        Ok(pcap)
    }

    fn packet(&mut self, at: SystemTime, (from, to): (SocketAddr, SocketAddr), note: Note<'_>, payload: &[u8]) {
        let length = self.written.saturating_add(u64::try_from(self.held.len()).unwrap_or(u64::MAX));
        if length >= self.settings.size {
            self.settle();
            self.turn_over();
        }
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        put_packet(since, (from, to), note, payload, &mut self.held);
        if self.held.len() >= HELD_BACK {
            self.settle();
        }
    }

    /// Begins a new file; where that cannot be done, or the file there is another
    /// process's, this one anew.
    fn turn_over(&mut self) {
        let begun = if self.is_moved_away() { Err(ErrorKind::AlreadyExists.into()) } else { self.settings.begin() };
        match begun {
            Ok(file) => self.file = file,
            Err(error) => {
                self.failed(&error, "cannot begin a new file; the old one is emptied");
                if let Err(error) = self.file.set_len(0).and_then(|()| self.file.rewind()) {
                    self.failed(&error, "cannot empty the old file");
                    return;
                }
            }
        }
        self.written = 0;
        put_head(&mut self.held);
    }

    /// Whether another file has the name now: that of the daemon that serves SIP after SIGHUP.
    fn is_moved_away(&self) -> bool {
        let there = FileId::at(&self.settings.path);
        let ours = self.file.metadata().map(|about| FileId::of(&about));
        matches!((there, ours), (Ok(there), Ok(ours)) if there != ours)
    }

    /// Gives the file its name again where another process has moved it away for one of
    /// its own, which nothing was written to then.
    fn put_back(&self) -> io::Result<()> {
        let ours = FileId::of(&self.file.metadata()?);
        let older = self.settings.older();
        if FileId::at(&older).is_ok_and(|there| there == ours) {
            fs::rename(older, &self.settings.path)?;
        }
        Ok(())
    }

    fn failed(&mut self, error: &io::Error, what: &'static str) {
        if self.failures.take(self.clock.now(), Rate::ONCE_A_MINUTE) {
            warn!(file = %self.settings.path.display(), %error, "--pcap: {what}");
        }
    }
}

impl Sink for Pcap {
    fn message(&mut self, crossed: &Crossed<'_>) {
        let ended = match crossed.fate {
            Fate::Sent { refused, .. } => refused.map(|reason| (reason.fate(), reason)),
            Fate::Dropped(reason) => Some(("dropped", reason)),
        };
        let comment = ended.map(|(fate, reason)| format!("{fate}: {reason}"));
        // What came from ourselves was written a moment ago.
        if !self.config.is_ours(crossed.remote) {
            let note = Note { direction: INBOUND, comment: comment.as_deref() };
            self.packet(crossed.at, (crossed.remote, crossed.local), note, crossed.received);
        }
        if let Fate::Sent { from, to, message, .. } = crossed.fate {
            let inside = self.config.is_ours(to).then_some("to this proxy itself, never on the wire");
            self.packet(crossed.at, (from, to), Note { direction: OUTBOUND, comment: inside }, message);
        }
    }

    fn wants_media(&self) -> bool {
        self.settings.media
    }

    fn media(&mut self, relayed: &Relayed<'_>) {
        let comment = relayed.sent.is_none().then_some("not relayed");
        let note = Note { direction: INBOUND, comment };
        self.packet(relayed.at, (relayed.remote, relayed.local), note, relayed.payload);
        if let Some(ends) = relayed.sent {
            self.packet(relayed.at, ends, Note { direction: OUTBOUND, comment: None }, relayed.payload);
        }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Config(config) => self.config = Arc::clone(config),
            Change::Uplink(..) => {}
            Change::Back => {
                if let Err(error) = self.put_back() {
                    self.failed(&error, "this capture goes on as the older file");
                }
            }
        }
    }

    /// Writes what was held back. Where that fails it is lost, but the file
    /// still ends with a whole block.
    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let held = mem::take(&mut self.held);
        match self.file.write_all(&held) {
            Ok(()) => self.written = self.written.saturating_add(u64::try_from(held.len()).unwrap_or_default()),
            Err(error) => {
                self.failed(&error, "cannot write; packets are lost");
                let _ = self.file.set_len(self.written);
                let _ = self.file.seek(SeekFrom::Start(self.written));
            }
        }
        self.held = held;
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, size: u64) -> (PathBuf, CaptureFile) {
        let folder = std::env::temp_dir().join(format!("sipproxy64-pcap-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        (folder.clone(), CaptureFile { path: folder.join("calls.pcap"), size, media: false })
    }

    fn start(settings: &CaptureFile) -> Result<Pcap, CaptureError> {
        let config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        Pcap::start(settings, Arc::new(config), Clock::start())
    }

    #[test]
    fn a_full_file_makes_room_and_the_one_before_is_kept() {
        let (folder, settings) = settings("size", 10_000);
        let mut pcap = start(&settings).unwrap();
        let ends = ("192.0.2.9:5062".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        for _ in 0..100 {
            pcap.packet(SystemTime::UNIX_EPOCH, ends, Note { direction: INBOUND, comment: None }, &[b'x'; 1000]);
        }
        pcap.settle();
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for path in [&settings.path, &settings.older()] {
            let content = fs::read(path).unwrap();
            assert!(content.starts_with(&SECTION_HEADER.to_le_bytes()), "{}", path.display());
            assert!(content.len() < 12_000, "{} has {} bytes", path.display(), content.len());
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    /// After SIGHUP one goes on with its calls while another one has begun.
    #[test]
    fn a_full_file_makes_no_room_among_those_of_another_process() {
        let (folder, settings) = settings("another", 1000);
        let mut before = start(&settings).unwrap();
        let _after = start(&settings).unwrap();
        let theirs = FileId::at(&settings.path).unwrap();
        let ends = ("192.0.2.9:5062".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        for _ in 0..3 {
            before.packet(SystemTime::UNIX_EPOCH, ends, Note { direction: INBOUND, comment: None }, &[b'x'; 1000]);
        }
        before.settle();
        assert_eq!(FileId::at(&settings.path).unwrap(), theirs);
        let ours = fs::metadata(settings.older()).unwrap();
        assert!(FileId::of(&ours) == FileId::of(&before.file.metadata().unwrap()) && ours.len() < 2000);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_restart_keeps_what_was_captured_and_leaves_other_files_alone() {
        let (folder, settings) = settings("restart", 10_000);
        drop(start(&settings).unwrap());
        drop(start(&settings).unwrap());
        assert!(settings.path.exists() && settings.older().exists());
        fs::write(&settings.path, "dear diary").unwrap();
        let said = start(&settings).unwrap_err().to_string();
        assert!(said.ends_with("no capture file; name another one, or remove it"), "{said}");
        assert_eq!(fs::read(&settings.path).unwrap(), b"dear diary");
        fs::remove_file(&settings.path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &settings.path).unwrap();
        assert!(matches!(start(&settings), Err(CaptureError::Foreign(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
