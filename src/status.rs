//! What the daemon is doing now: `sipproxy64 status`, `/status.json`, `/metrics`.
//!
//! A [`Snapshot`] is gathered when somebody asks, and only then. It holds plain
//! values; [`text`] makes words for people of it, serde makes JSON for programs.
//! Its fields are the schema of that JSON, described in sipproxy64(8): fields may
//! be added, and [`SCHEMA`] grows where one changes its meaning or goes away.

pub mod gather;
pub mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use crate::media::view::CallState;

/// The version of the schema of the JSON.
pub const SCHEMA: u32 = 1;
/// A party of a call that was not heard for this many seconds has fallen silent:
/// nothing is said of the pauses between packets.
pub const SILENT: f64 = 3.0;

/// What the daemon is doing, at one moment. Times are in seconds, with fractions.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the daemon.
    pub version: &'static str,
    /// Now, since 1970 (UTC).
    pub time: f64,
    /// For how long it has been running.
    pub uptime: f64,
    /// The addresses that it listens at: IPv4, IPv6.
    pub listen: [String; 2],
    /// The calls with media there are.
    pub calls: Vec<Call>,
    /// Phones and uplinks, in the order of the configuration.
    pub parties: Vec<Party>,
    /// Limits, and how near they are.
    pub limits: Vec<Limit>,
    /// SIP messages since the start.
    pub messages: Messages,
    /// What went wrong since the start, the most frequent first.
    pub troubles: Vec<Trouble>,
    /// Media since the start, by the side it came from.
    pub media: Vec<Media>,
    /// Calls that ended since the start.
    pub ended: Ended,
}

/// One call with media. A hairpin (two phones of one side) is two of them.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Its number, since the start.
    pub id: u64,
    /// Its Call-ID, what is not printable escaped.
    pub call_id: String,
    /// How far it is.
    pub state: CallState,
    /// For how long it has been known.
    pub age: f64,
    /// The party that called.
    pub caller: Leg,
    /// The party that was called.
    pub callee: Leg,
    /// How many media streams it has.
    pub streams: usize,
}

/// One party of a call and the media that comes from it, all streams together.
#[derive(Clone, Debug, Serialize)]
pub struct Leg {
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// The address of its SIP.
    pub address: Option<String>,
    /// Who that is.
    pub kind: Kind,
    /// Our first RTP port on its side, with the address.
    pub port: Option<String>,
    /// Where its media is sent.
    pub destination: Option<String>,
    /// Packets that came from it, RTCP among them.
    pub packets: u64,
    /// Their UDP payload in octets.
    pub bytes: u64,
    /// RTP packets that never came, by the sequence numbers.
    pub lost: u64,
    /// Interarrival jitter of its RTP (RFC 3550), in milliseconds.
    pub jitter_ms: Option<f64>,
    /// For how long nothing has come from it; null: nothing ever did.
    pub silent: Option<f64>,
    /// Packets that went to it.
    pub sent: u64,
    /// Packets for its port that the latch refused: strangers, or another address of its own.
    pub refused: u64,
    /// Packets to it that came back as ICMP errors or could not be sent.
    pub failed: u64,
    /// What it hears of the other party, in words.
    pub hears: String,
}

impl Leg {
    /// A party of whom no media is known.
    fn new(family: &'static str, address: Option<String>, kind: Kind) -> Self {
        Self {
            family,
            address,
            kind,
            port: None,
            destination: None,
            packets: 0,
            bytes: 0,
            lost: 0,
            jitter_ms: None,
            silent: None,
            sent: 0,
            refused: 0,
            failed: 0,
            hears: String::new(),
        }
    }
}

/// Who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A phone with a map.
    Phone,
    /// An uplink.
    Uplink,
    /// This proxy itself: the other half of a hairpin.
    Ourselves,
    /// Anybody else.
    Generic,
}

/// A phone or an uplink.
#[derive(Clone, Debug, Serialize)]
pub struct Party {
    /// Phone or uplink.
    pub kind: Kind,
    /// Its address, or its name as configured.
    pub address: String,
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// A phone's fake, or the addresses that an uplink's name stands for now.
    pub stands_for: Vec<String>,
    /// How long ago its last SIP message came; null: none yet.
    pub last_heard: Option<f64>,
}

/// A limit, and how near it is.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// `calls`, `calls_of_one_source`, `calls_of_strangers`, `streams_of_strangers` or
    /// `port_pairs`.
    pub name: &'static str,
    /// So much there is now.
    pub now: u64,
    /// So much there may be.
    pub most: u64,
}

/// SIP messages since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// That came.
    pub received: u64,
    /// Of these, that were sent on.
    pub forwarded: u64,
    /// Of these, that this proxy answered itself.
    pub answered: u64,
    /// Of these, that came to nothing.
    pub dropped: u64,
    /// Of these, line ends and the like that keep a NAT open.
    pub keep_alives: u64,
    /// Dropped unread under overload, and not counted above.
    pub shed: u64,
}

/// Something that went wrong, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// `dropped`, `refused`, `unsent`, `unreachable`, `too_big`, `ports`, `streams`,
    /// `registration`, `circling` or `overload`: [`crate::signalling::Trouble::kind`].
    pub kind: Cow<'static, str>,
    /// Why, in words.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Media that came from one side since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Media {
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// Packets that came.
    pub packets: u64,
    /// Their UDP payload in octets.
    pub bytes: u64,
    /// RTP packets that never came.
    pub lost: u64,
    /// Packets that the latch refused.
    pub refused: u64,
}

/// Calls that ended since the start, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Somebody hung up.
    pub hung_up: u64,
    /// They were not accepted, or the caller gave up; but for a password that was asked for.
    pub failed: u64,
    /// They fell silent.
    pub silent: u64,
}

impl Snapshot {
    /// The JSON, with a line end.
    pub fn json(&self) -> Vec<u8> {
        // Writing plain values into memory cannot fail.
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
