//! The daemon without sockets: datagrams and time in, datagrams and commands out.
//!
//! [`Proxy::handle`] reads a datagram, decides where it goes, asks the media
//! table about its session description, and writes what is to be sent. It keeps
//! nothing of SIP; media sessions are all that it remembers.

mod request;
mod response;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::address::Directory;
use crate::config::Config;
use crate::edit::Edits;
use crate::family::Family;
use crate::limit::AnswerLimit;
use crate::media::command::{Command, SessionId};
use crate::media::table::{Refusal, Sender, Signal, Table};
use crate::media::usage::Usage;
pub use crate::reason::Reason;
use crate::rewrite::body;
use crate::rewrite::lenient;
use crate::rewrite::session;
use crate::route::Routes;
use crate::scan::Span;
use crate::sdp::description::{self, Description};
use crate::sdp::malformed::Malformed;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message, StartLine};
use crate::sip::method::Method;
use crate::sip::name_addr::tag;
use crate::streams::{Grant, Wanted};

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
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

/// The whole daemon, as a function of datagrams and time. Time is counted from
/// the start of the daemon.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sipproxy64::{config::Config, proxy::{Datagram, Outcome, Proxy, Reason}};
/// let config = Config::new("192.0.2.1:5060".parse()?, "[2001:db8::1]:5060".parse()?);
/// let mut proxy = Proxy::new(Arc::new(config));
/// let datagram = Datagram { local: "192.0.2.1:5060".parse()?, remote: "192.0.2.9:5060".parse()?, bytes: b"\r\n\r\n" };
/// let mut out = Vec::new();
/// assert_eq!(proxy.handle(Duration::ZERO, &datagram, &mut out), Outcome::Drop(Reason::KeepAlive));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    directory: Directory,
    table: Table,
    answers: AnswerLimit,
    room: Room,
}

/// What is filled anew by each message, kept for the room it takes.
#[derive(Debug, Default)]
struct Room {
    routes: Routes,
    edits: Edits,
    uri_edits: Edits,
    uri: Vec<u8>,
    body: BodyRoom,
    fields: Fields,
    repaired: Vec<u8>,
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
    /// A proxy without any call.
    pub fn new(config: Arc<Config>) -> Self {
        let (table, answers) = (Table::new(&config), AnswerLimit::new(&config.key));
        Self { directory: Directory::new(config), table, answers, room: Room::default() }
    }

    /// The addresses of a side's uplink, where that is a host name.
    pub fn set_uplink(&mut self, side: Family, addresses: Vec<IpAddr>) {
        self.directory.set_uplink(side, addresses);
    }

    /// The addresses of this machine, beside those of the configuration.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.table.set_local_addresses(addresses);
    }

    /// Handles one datagram; what is to be sent is written into `out`, which is
    /// cleared first. Commands that come of it are to be carried out before.
    ///
    /// Handling a datagram again gives the same message, so that a port which
    /// cannot be bound does no harm (see [`Proxy::port_taken`]).
    pub fn handle(&mut self, now: Duration, datagram: &Datagram<'_>, out: &mut Vec<u8>) -> Outcome {
        out.clear();
        if is_keep_alive(datagram.bytes) {
            return Outcome::Drop(Reason::KeepAlive);
        }
        let mut fields = std::mem::take(&mut self.room.fields);
        let mut repaired = std::mem::take(&mut self.room.repaired);
        let bytes = if self.directory.config().lenient {
            lenient::repaired(datagram.bytes, &mut fields, &mut self.room.edits, &mut repaired)
        } else {
            datagram.bytes
        };
        let outcome = match Message::parse(bytes, &mut fields) {
            Err(fault) => Outcome::Drop(Reason::NotSip(fault)),
            Ok(message) => match message.start_line {
                StartLine::Request { method, uri, .. } => self.request(now, datagram, &message, method, uri, out),
                StartLine::Status { code } => self.response(now, datagram, &message, code, out),
            },
        };
        (self.room.fields, self.room.repaired) = (fields, repaired);
        outcome
    }

    /// A port that [`Command::Open`] asked for cannot be bound. `true`: another
    /// one was chosen; handle the same datagram again.
    pub fn port_taken(&mut self, now: Duration, side: Family, port: u16) -> bool {
        self.table.port_taken(now, side, port)
    }

    /// When a packet of a session last came: the answer to [`Command::Query`].
    pub fn heard(&mut self, now: Duration, session: SessionId, last: Option<Duration>) {
        self.table.heard(now, session, last);
    }

    /// What the shell is to do next.
    pub fn next_command(&mut self) -> Option<Command> {
        self.table.next_command()
    }

    /// When [`Proxy::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.table.poll_timeout()
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.table.handle_timeout(now);
    }

    /// Whether `endpoint` is one of our sockets: what is sent there comes in again.
    pub fn is_ours(&self, endpoint: SocketAddr) -> bool {
        self.directory.is_ours(endpoint)
    }

    /// Who has the media ports, for the log. Takes a look at every session.
    pub fn port_usage(&self, now: Duration) -> Usage {
        self.table.usage(now)
    }

    /// How many media sessions there are.
    pub fn sessions(&self) -> usize {
        self.table.sessions()
    }
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

/// Tells the media table about a message, and writes what it grants into the
/// session descriptions. Descriptions count in INVITE, ACK, PRACK, UPDATE and
/// their responses; elsewhere they are left alone.
fn cross_media(
    now: Duration,
    message: &Message<'_>,
    passage: &Passage,
    (directory, table): (&Directory, &mut Table),
    room: &mut BodyRoom,
    edits: &mut Edits,
) -> Result<(), Hindrance> {
    let method = message.method();
    let describes = matches!(method, Method::Invite | Method::Ack | Method::Prack | Method::Update);
    if !describes && !matches!(method, Method::Bye | Method::Cancel) {
        return Ok(());
    }
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
    let signal = signal(message, passage, method, described.is_some().then_some(room.wanted.as_slice()));
    room.grants.clear();
    table.signal(now, &signal, &mut room.grants).map_err(Hindrance::Refused)?;
    let arrival = Family::of(passage.local.ip());
    let listen = crate::family::PerFamily::from_fn(|side| directory.listen(side).ip());
    for &part in others.unwrap_or_default() {
        let other = Description::parse(message.bytes, part, &mut room.alternative).map_err(Hindrance::Malformed)?;
        session::edits(&other, &room.grants, arrival, listen, edits);
    }
    if let Some(description) = &described {
        session::edits(description, &room.grants, arrival, listen, edits);
    }
    Ok(())
}

fn signal<'a>(message: &Message<'a>, passage: &Passage, method: Method, wanted: Option<&'a [Wanted]>) -> Signal<'a> {
    Signal {
        call_id: message.value(HeaderName::CALL_ID).unwrap_or_default(),
        method,
        cseq: passage.cseq,
        status: message.status(),
        arrival: Family::of(passage.local.ip()),
        from_tag: message.value(HeaderName::FROM).and_then(tag),
        to_tag: message.value(HeaderName::TO).and_then(tag),
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
