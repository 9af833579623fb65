//! A capture file for Wireshark, tshark, tcpdump and sngrep, in the pcapng format.
//!
//! Each message stands in it twice, as it came and as it left, with its
//! direction and, where it was refused or dropped, the reason as a comment. The
//! packets are put together again from what the sockets gave: raw IP (the link
//! type of the file), UDP, and the payload in one piece.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::clock::Clock;
use crate::config::Config;
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

/// What tells a file from others: device and inode.
fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
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

    /// Begins a new file; where that cannot be done, this one anew.
    fn turn_over(&mut self) {
        match self.settings.begin() {
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

    /// Gives the file its name again where another process has moved it away for one of
    /// its own, which nothing was written to then.
    fn put_back(&self) -> io::Result<()> {
        let ours = identity(&self.file.metadata()?);
        let older = self.settings.older();
        if fs::symlink_metadata(&older).is_ok_and(|there| identity(&there) == ours) {
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

/// The blocks of pcapng, in little-endian order.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Packets begin with their IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;
/// Options of blocks.
const COMMENT: u16 = 1;
const EPB_FLAGS: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const END_OF_OPTIONS: [u8; 4] = [0; 4];
/// The direction in [`EPB_FLAGS`].
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// What is said about a packet beside what is in it.
#[derive(Clone, Copy, Debug)]
struct Note<'a> {
    direction: u32,
    comment: Option<&'a str>,
}

/// The section header, and the one interface. The resolution of times is the
/// default, microseconds.
fn put_head(out: &mut Vec<u8>) {
    put_block(SECTION_HEADER, out, |out| {
        out.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        // Version 1.0, and a length that nobody knows yet.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        put_option(SHB_USERAPPL, concat!("sipproxy64 ", env!("CARGO_PKG_VERSION")).as_bytes(), out);
        out.extend_from_slice(&END_OF_OPTIONS);
    });
    put_block(INTERFACE_DESCRIPTION, out, |out| {
        out.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        // Reserved, and no limit to the length of packets.
        out.extend_from_slice(&[0; 6]);
        put_option(IF_NAME, b"sipproxy64", out);
        out.extend_from_slice(&END_OF_OPTIONS);
    });
}

fn put_packet(since: Duration, ends: (SocketAddr, SocketAddr), note: Note<'_>, payload: &[u8], out: &mut Vec<u8>) {
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    put_block(ENHANCED_PACKET, out, |out| {
        let [a, b, c, d, e, f, g, h] = micros.to_le_bytes();
        // The only interface; the upper half of the time stands first.
        out.extend_from_slice(&[0, 0, 0, 0, e, f, g, h, a, b, c, d]);
        let lengths = out.len();
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        put_datagram(ends, payload, out);
        let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = out.get_mut(lengths..start) {
            place.copy_from_slice(&[length, length].concat());
        }
        pad(out);
        put_option(EPB_FLAGS, &note.direction.to_le_bytes(), out);
        if let Some(comment) = note.comment {
            put_option(COMMENT, comment.as_bytes(), out);
        }
        out.extend_from_slice(&END_OF_OPTIONS);
    });
}

/// A block: type, total length, what `body` writes, total length.
fn put_block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    // Blocks are written whole, so that this is a multiple of four.
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len().saturating_sub(start).saturating_add(4)).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(place) = out.get_mut(start.saturating_add(4)..start.saturating_add(8)) {
        place.copy_from_slice(&length);
    }
}

fn put_option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// Fills up to 32 bits.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The IP protocol number of UDP.
const UDP: u8 = 17;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// An IP packet with a UDP datagram (RFC 791, RFC 8200, RFC 768).
fn put_datagram((from, to): (SocketAddr, SocketAddr), payload: &[u8], out: &mut Vec<u8>) {
    let length = payload.len().saturating_add(UDP_HEADER);
    let udp_length = u16::try_from(length).unwrap_or(u16::MAX);
    let sum = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(length.saturating_add(IPV4_HEADER)).unwrap_or(u16::MAX).to_be_bytes();
            let mut header = [0; IPV4_HEADER];
            // Version and length of the header, total length, Don't Fragment, TTL 64.
            let fields =
                [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, UDP, 0, 0], &from.octets(), &to.octets()].concat();
            header.copy_from_slice(&fields);
            let [high, low] = (!sum(0, &header)).to_be_bytes();
            (header[10], header[11]) = (high, low);
            out.extend_from_slice(&header);
            sum(sum(0, &from.octets()), &to.octets())
        }
        (from, to) => {
            let (from, to) = (ipv6(from), ipv6(to));
            // Version, no flow label; payload length, next header, hop limit 64.
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&udp_length.to_be_bytes());
            out.extend_from_slice(&[UDP, 64]);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            sum(sum(0, &from), &to)
        }
    };
    let head = [from.port().to_be_bytes(), to.port().to_be_bytes(), udp_length.to_be_bytes()].concat();
    // The pseudo header: addresses, protocol and length (RFC 8200 §8.1).
    let sum = self::sum(self::sum(self::sum(sum, &[0, UDP]), &udp_length.to_be_bytes()), &head);
    // Zero would say that there is none.
    let checksum = match !self::sum(sum, payload) {
        0 => u16::MAX,
        checksum => checksum,
    };
    out.extend_from_slice(&head);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(payload);
}

fn ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The ones' complement sum of RFC 1071, going on from `sum`. All but the last
/// piece must have an even length.
fn sum(sum: u16, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let byte = |at| u32::from(word.get(at).copied().unwrap_or(0));
        byte(0) << 8 | byte(1)
    });
    // A datagram has less than 2^15 words, so that this fits.
    let total = words.fold(u32::from(sum), u32::wrapping_add);
    let folded = (total & 0xffff) + (total >> 16);
    u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as the kernel sends it sums up to all ones over header and
    /// pseudo header (RFC 1071 §1).
    fn checked(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_datagram((from.parse().unwrap(), to.parse().unwrap()), payload, &mut out);
        let (header, addresses) = if out[0] == 0x45 { (20, 12..20) } else { (40, 8..40) };
        let udp = &out[header..];
        let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
        assert_eq!(sum(sum(sum(sum(0, &out[addresses]), &[0, UDP]), &length), udp), 0xffff, "checksum of UDP");
        assert_eq!(&udp[4..6], &length);
        if header == 20 {
            assert_eq!(sum(0, &out[..20]), 0xffff, "checksum of IPv4");
            assert_eq!(usize::from(u16::from_be_bytes([out[2], out[3]])), out.len());
        } else {
            assert_eq!(&out[4..6], &length);
        }
        out
    }

    #[test]
    fn headers_are_right_at_every_length() {
        let payload = vec![0xe7; 65_527];
        for length in [0, 1, 2, 3, 172, 1472, 65_506, 65_507] {
            assert_eq!(checked("192.0.2.9:5062", "192.0.2.1:5060", &payload[..length]).len(), 28 + length);
        }
        for length in [0, 1, 1452, 65_526, 65_527] {
            assert_eq!(checked("[2001:db8::9]:5062", "[2001:db8::1]:5060", &payload[..length]).len(), 48 + length);
        }
    }

    #[test]
    fn blocks_are_whole_and_aligned() {
        let mut out = Vec::new();
        put_head(&mut out);
        let ends = ("192.0.2.9:5062".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        let note = Note { direction: INBOUND, comment: Some("dropped: loop") };
        put_packet(Duration::from_micros(0x0001_0002_0003_0004), ends, note, b"BYE", &mut out);
        let number = |at: usize| u32::from_le_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]);
        let (mut at, mut kinds) = (0, Vec::new());
        while at < out.len() {
            let length = number(at + 4) as usize;
            assert_eq!((length % 4, number(at + length - 4) as usize), (0, length));
            kinds.push(number(at));
            if number(at) == ENHANCED_PACKET {
                assert_eq!((number(at + 12), number(at + 16)), (0x0001_0002, 0x0003_0004));
                assert_eq!((number(at + 20), number(at + 24)), (31, 31));
            }
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET]);
    }

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
