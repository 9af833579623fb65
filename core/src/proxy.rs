//! The daemon without sockets: datagrams and time in, datagrams and commands out.
//!
//! [`Proxy::handle`] reads a datagram, decides where it goes, and writes what is
//! to be sent. It remembers nothing. What messages have in common, the media
//! sessions and the count of our own answers, is behind [`State`], so that many
//! proxies can work side by side: the daemon has one on each of its SIP threads.
//! [`Standalone`] is one proxy with a state of its own.

mod media;
mod request;
mod response;
mod standalone;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::standalone::Standalone;
pub use self::state::{Memory, State};
use crate::address::{Directory, Source};
use crate::edit::Edits;
use crate::family::Family;
pub use crate::reason::Reason;
use crate::rewrite::request::UriRoom;
use crate::rewrite::{body, lenient};
use crate::route::Routes;
use crate::sip::fault::Fault;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message, StartLine};

/// How often one datagram may come in at a socket of ours, the first time included.
pub const MAX_PASSES: usize = 8;

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Which of our sockets it came in on.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message in `out` is to be sent.
    Send {
        /// From this socket of ours.
        from: SocketAddr,
        /// To this address; it may be a socket of ours again, and is then
        /// handled at once instead of being sent.
        to: SocketAddr,
        /// Why it is an answer of our own; `None`: forwarded.
        refused: Option<Reason>,
    },
    /// Nothing is sent.
    Drop(Reason),
}

/// Decides about datagrams, one at a time. Time is counted from the start of the
/// daemon.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sipproxy64_core::address::Directory;
/// use sipproxy64_core::config::Config;
/// use sipproxy64_core::proxy::{Datagram, Memory, Outcome, Proxy, Reason};
/// let config = Config::new("192.0.2.1:5060".parse()?, "[2001:db8::1]:5060".parse()?);
/// let mut memory = Memory::new(&config);
/// let mut proxy = Proxy::new(Arc::new(Directory::new(Arc::new(config))));
/// let datagram = Datagram { local: "192.0.2.1:5060".parse()?, remote: "192.0.2.9:5060".parse()?, bytes: b"\r\n\r\n" };
/// let mut out = Vec::new();
/// assert_eq!(proxy.handle(Duration::ZERO, &datagram, &mut memory, &mut out), Outcome::Drop(Reason::KeepAlive));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    decider: Decider,
    fields: Fields,
    repaired: Vec<u8>,
}

/// What a message meets once it is read.
#[derive(Debug)]
struct Decider {
    directory: Arc<Directory>,
    sender: Source,
    room: Room,
}

/// What is filled anew by each message, kept for the room it takes.
#[derive(Debug, Default)]
struct Room {
    routes: Routes,
    edits: Edits,
    uri: UriRoom,
    body: media::Room,
}

impl Proxy {
    /// A proxy that goes by these addresses.
    pub fn new(directory: Arc<Directory>) -> Self {
        let decider = Decider { directory, sender: Source::Generic, room: Room::default() };
        Self { decider, fields: Fields::default(), repaired: Vec::new() }
    }

    /// Goes by other addresses from the next datagram on.
    pub fn set_directory(&mut self, directory: Arc<Directory>) {
        self.decider.directory = directory;
    }

    /// The addresses that it goes by.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.decider.directory
    }

    /// Who sent the datagram that was handled last, by its address, which may be
    /// forged. A response that answers nothing of ours is nobody's.
    pub fn sender(&self) -> Source {
        self.decider.sender
    }

    /// Handles one datagram; what is to be sent is written into `out`, which is
    /// cleared first. What `state` does in [`State::signal`] is done before.
    ///
    /// Handling a datagram again gives the same message.
    // In a caller that is optimised for size it would be, too.
    #[inline(never)]
    pub fn handle(
        &mut self,
        now: Duration,
        datagram: &Datagram<'_>,
        state: &mut dyn State,
        out: &mut Vec<u8>,
    ) -> Outcome {
        out.clear();
        let Self { decider, fields, repaired } = self;
        decider.sender = Source::Generic;
        if is_keep_alive(datagram.bytes) {
            decider.sender = decider.directory.source(datagram.remote);
            return Outcome::Drop(Reason::KeepAlive);
        }
        let config = decider.directory.config();
        let bytes = if config.lenient {
            lenient::repaired(datagram.bytes, config.wrapper, fields, &mut decider.room.edits, repaired)
        } else {
            datagram.bytes
        };
        let message = match Message::parse(bytes, fields) {
            Ok(message) => message,
            Err(fault) => return Outcome::Drop(Reason::NotSip(fault)),
        };
        let arrival = Arrival { now, datagram, message: &message };
        match message.start_line {
            StartLine::Request { method, uri, .. } => decider.request(&arrival, method, uri, state, out),
            StartLine::Status { code } => decider.response(&arrival, code, state, out),
        }
    }

    /// `sent` could not leave for its next hop. `true`: in `out` is a response that is to be
    /// handled as if that had given it (RFC 3261 §16.9). Nothing is said to an ACK or to
    /// a response, nor to a stranger whose request was small.
    pub fn unsent(&mut self, now: Duration, sent: &Datagram<'_>, state: &mut dyn State, out: &mut Vec<u8>) -> bool {
        let Self { decider, fields, .. } = self;
        let Ok(message) = Message::parse(sent.bytes, fields) else { return false };
        decider.unsent(&Arrival { now, datagram: sent, message: &message }, state, out).is_some()
    }

    /// Whether `endpoint` is one of our sockets: what is sent there comes in again.
    pub fn is_ours(&self, endpoint: SocketAddr) -> bool {
        self.decider.directory.is_ours(endpoint)
    }
}

/// A datagram that is a SIP message.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    now: Duration,
    datagram: &'a Datagram<'a>,
    message: &'a Message<'a>,
}

/// Line ends, zero bytes, or STUN (RFC 5626 §3.5.1, RFC 8489 §5).
fn is_keep_alive(bytes: &[u8]) -> bool {
    let blank = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0));
    // By its magic cookie, which no text has.
    blank || bytes.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42])
}

/// Whether any message can be understood as far as a proxy must (RFC 3261 §16.3, §16.7).
fn intact(message: &Message<'_>) -> Result<(), Reason> {
    if let Some(fault) = message.fault {
        return Err(Reason::Malformed(fault));
    }
    if message.other_version {
        return Err(Reason::Version);
    }
    for name in [HeaderName::FROM, HeaderName::TO] {
        message.first(name).ok_or(Reason::Malformed(Fault::Missing(name.name())))?;
    }
    Ok(())
}

/// Puts together what leaves on a side.
fn finish(message: &Message<'_>, edits: &mut Edits, side: Family, out: &mut Vec<u8>) -> Result<(), Reason> {
    body::finish(message, edits);
    edits.apply(message.bytes, out);
    if out.len() > largest_payload(side) { Err(Reason::TooLarge) } else { Ok(()) }
}

/// The largest payload of a UDP datagram of a family (RFC 768, RFC 8200 §4.5).
fn largest_payload(side: Family) -> usize {
    match side {
        Family::V4 => 65_507,
        Family::V6 => 65_527,
    }
}
