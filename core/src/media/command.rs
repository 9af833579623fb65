//! What the media table asks of the shell, which owns the sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::LatchMode;
use crate::family::{Family, PerFamily};
use crate::streams::Transport;

/// A media session, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// One stream of a session, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId(pub u64);

/// What the shell is to do, in this order, before the message that asked for
/// it is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Bind the first two sockets of a stream: at the listen address of `side` the
    /// RTP port and the RTCP port above it. Those of the other side are reserved:
    /// nobody hears of them before [`Command::OpenRest`]. Where one cannot be had,
    /// report it with [`super::table::Table::port_taken`] or
    /// [`super::table::Table::no_socket`] and signal the message again.
    Open {
        /// Its session; all streams of one are best relayed by one thread.
        session: SessionId,
        /// The stream.
        stream: StreamId,
        /// The RTP port of each side.
        ports: PerFamily<u16>,
        /// The side whose sockets are needed now.
        side: Family,
        /// Whom media may come from.
        latch: LatchMode,
    },
    /// Bind the sockets of a stream's other side too; where one cannot be had, as
    /// above. What comes to the first side before has to wait, and is to be reported
    /// with [`super::table::Table::open_rest`], as it would leave by these.
    OpenRest {
        /// The stream.
        stream: StreamId,
        /// The side.
        side: Family,
        /// Its RTP port.
        port: u16,
    },
    /// The leg on `side` has been described anew. One for a stream whose `Open`
    /// failed is ignored; the `Open` that replaces it is followed by its own.
    Describe {
        /// The stream.
        stream: StreamId,
        /// The side on which the described party is.
        side: Family,
        /// What is known of the party.
        leg: LegDescription,
    },
    /// Say with [`super::table::Table::heard`] when a packet of the session last came.
    Query {
        /// The session.
        session: SessionId,
    },
    /// Close the sockets of one stream, if it has any; its session goes on.
    CloseStream {
        /// The stream.
        stream: StreamId,
    },
    /// Close all streams of a session and log its one line.
    Close {
        /// The session.
        session: SessionId,
        /// What the log line tells.
        obituary: Box<Obituary>,
    },
}

/// What is known of one party of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegDescription {
    /// Where the party wants RTP; `None`: not known (a name, or not described
    /// yet) or not allowed. Port 0 is never given.
    pub rtp: Option<SocketAddr>,
    /// Where it wants RTCP.
    pub rtcp: Option<SocketAddr>,
    /// The addresses from which `--latch signalled` lets media come: that of
    /// the description and that of the SIP packet that carried it.
    pub acceptable: [Option<IpAddr>; 2],
    /// What travels in the stream.
    pub transport: Transport,
    /// How many packets go to `rtp` and `rtcp` until one comes back; `None`: any number.
    pub budget: Option<u16>,
}

impl LegDescription {
    /// The same of a party that names no address.
    pub fn to_nobody(self) -> Self {
        let [_, source] = self.acceptable;
        Self { rtp: None, rtcp: None, acceptable: [None, source], ..self }
    }
}

/// What is known of a session at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obituary {
    /// Its Call-ID, as it stood.
    pub call_id: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// Each side's party as the signalling showed it: the address of its SIP.
    pub parties: PerFamily<Option<SocketAddr>>,
    /// The side that called.
    pub caller: Family,
    /// From the first description to the end.
    pub duration: Duration,
    /// Whether the call was answered.
    pub answered: bool,
    /// Whether a provisional response came.
    pub rang: bool,
    /// Whether a stranger asked for it.
    pub by_stranger: bool,
    /// What each side's party last said of its media.
    pub wishes: PerFamily<Wish>,
}

/// What a party last said of its media, all streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// No description of it came.
    #[default]
    Unsaid,
    /// It wants media.
    Open,
    /// It holds every stream back.
    Held,
    /// It refused or removed every stream.
    Closed,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A BYE from this side.
    Bye(Family),
    /// A final response to the INVITE that was no success.
    Failed(u16),
    /// There were no ports for it: the INVITE went to nobody.
    NoPorts,
    /// Silence, for this long.
    Silence(Duration),
    /// The process ends.
    Shutdown,
}
