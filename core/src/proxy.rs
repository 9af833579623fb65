//! The daemon without sockets: datagrams and time in, datagrams and commands out.
//!
//! [`Proxy::handle`] reads a datagram, decides where it goes, and writes what is
//! to be sent. It remembers nothing. What messages have in common, the media
//! sessions and the count of our own answers, is behind [`State`], so that many
//! proxies can work side by side: the daemon has one on each of its SIP threads.
//! [`Standalone`] is one proxy with a state of its own.

mod request;
mod response;
mod standalone;
mod state;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use self::standalone::Standalone;
pub use self::state::{Memory, State};
use crate::address::{Directory, Source};
use crate::edit::Edits;
use crate::family::Family;
use crate::media::table::{Refusal, Sender, Signal};
pub use crate::reason::Reason;
use crate::rewrite::body;
use crate::rewrite::fields::Identities;
use crate::rewrite::lenient;
use crate::rewrite::request::UriRoom;
use crate::rewrite::session;
use crate::route::Routes;
use crate::scan::Span;
use crate::sdp::description::{self, Description};
use crate::sdp::malformed::Malformed;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message, StartLine};
use crate::sip::method::Method;
use crate::streams::{Grant, Wanted};

/// How often one datagram may come in at a socket of ours again.
pub const MOST_PASSES: usize = 8;

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
    body: BodyRoom,
}

/// The part of [`Room`] that descriptions take.
#[derive(Debug, Default)]
struct BodyRoom {
    parts: Vec<Span>,
    description: description::Room,
    alternative: description::Room,
    wanted: Vec<Wanted>,
    grants: Vec<Grant>,
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
    let stun = bytes.len() >= 20 && bytes.first() < Some(&4) && bytes.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]);
    blank || stun
}

/// How a message crosses, as far as media goes.
#[derive(Clone, Copy, Debug)]
struct Passage {
    local: SocketAddr,
    source: SocketAddr,
    destination: SocketAddr,
    sender: Sender,
    asked_by: Option<IpAddr>,
    branch: u64,
    cseq: u32,
    identities: Identities,
}

/// Why a description keeps a message from being forwarded.
#[derive(Clone, Copy, Debug)]
enum Hindrance {
    Malformed(Malformed),
    Refused(Refusal),
}

impl From<Hindrance> for Reason {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Malformed(malformed) => Self::Description(malformed),
            Hindrance::Refused(Refusal::NoPorts) => Self::NoPorts,
            Hindrance::Refused(Refusal::MaxCalls) => Self::TooManyCalls,
            Hindrance::Refused(Refusal::MaxCallsPerSource) => Self::TooManyCallsFromSource,
        }
    }
}

/// Whether the media sessions want to know of them.
fn concerns_media(method: Method) -> bool {
    method.describes_media() || matches!(method, Method::Bye | Method::Cancel)
}

/// Tells the media sessions about a message that concerns them, and writes what they
/// grant into the session descriptions.
fn cross_media(
    now: Duration,
    message: &Message<'_>,
    passage: &Passage,
    (directory, state): (&Directory, &mut dyn State),
    room: &mut BodyRoom,
    edits: &mut Edits,
) -> Result<(), Hindrance> {
    let method = message.method();
    let describes = method.describes_media();
    room.parts.clear();
    if describes {
        body::descriptions(message, &mut room.parts);
    }
    // Of alternatives the last one is the best (RFC 2046 §5.1.4).
    let (last, others) = room.parts.split_last().unzip();
    let described = last.map(|&part| Description::parse(message.bytes, part, &mut room.description)).transpose();
    let described = described.map_err(Hindrance::Malformed)?;
    if let Some(description) = &described {
        session::wanted(description, &mut room.wanted);
    }
    // Before anything is done: all of them change, or none.
    for &part in others.unwrap_or_default() {
        Description::parse(message.bytes, part, &mut room.alternative).map_err(Hindrance::Malformed)?;
    }
    let signal = signal(message, passage, method, described.is_some().then_some(room.wanted.as_slice()));
    room.grants.clear();
    state.signal(now, &signal, &mut room.grants).map_err(Hindrance::Refused)?;
    let arrival = Family::at(passage.local);
    let ours = directory.sdp_connection(arrival.other());
    for &part in others.unwrap_or_default() {
        let other = Description::parse(message.bytes, part, &mut room.alternative).map_err(Hindrance::Malformed)?;
        session::edits(&other, &room.grants, arrival, ours, edits);
    }
    if let Some(description) = &described {
        session::edits(description, &room.grants, arrival, ours, edits);
    }
    Ok(())
}

fn signal<'a>(message: &Message<'a>, passage: &Passage, method: Method, wanted: Option<&'a [Wanted]>) -> Signal<'a> {
    Signal {
        call_id: message.value(HeaderName::CALL_ID).unwrap_or_default(),
        method,
        cseq: passage.cseq,
        status: message.status(),
        arrival: Family::at(passage.local),
        from_tag: passage.identities.from_tag(message),
        to_tag: passage.identities.to_tag(message),
        source: passage.source,
        destination: passage.destination,
        sender: passage.sender,
        asked_by: passage.asked_by,
        branch: passage.branch,
        wanted,
    }
}

/// The largest payload of a UDP datagram of a family (RFC 768, RFC 8200 §4.5).
fn largest_payload(side: Family) -> usize {
    match side {
        Family::V4 => 65_507,
        Family::V6 => 65_527,
    }
}
