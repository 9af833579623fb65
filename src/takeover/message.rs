//! What the two processes tell each other.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Key;
use crate::family::PerFamily;
use crate::file_id::FileId;
use crate::limit::SavedLimit;
use crate::media::saved::Saved;
use crate::relay::SessionState;
use crate::signalling::{Figures, Heard};
use crate::status::gather::Past;

/// What the old process has, as far as the new one must know it to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What its clock tells; that of the new process goes on from there.
    pub clock: Duration,
    /// The key of its signatures, for a process that has no other.
    pub key: Key,
    /// The listen address of each side.
    pub listen: PerFamily<SocketAddr>,
    /// All its SIP addresses, listen addresses and fakes.
    pub sip: Vec<SocketAddr>,
    /// What else it has that another process can go on with.
    pub belongings: Vec<Belonging>,
}

/// Something in the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Belonging {
    /// The control socket.
    Control {
        /// Its path.
        path: PathBuf,
        /// What tells its file from others.
        id: FileId,
    },
    /// The pid file.
    PidFile {
        /// Its path.
        path: PathBuf,
    },
}

/// All that the old process knows. Its descriptors follow it, in this order: one
/// for each of `sip`, one for each of `belongings`, four for each stream of
/// `relay`.
#[derive(Debug, Serialize, Deserialize)]
pub struct State<'a> {
    /// The address of each SIP socket; several may share one.
    pub sip: Vec<SocketAddr>,
    /// What else it has.
    pub belongings: Vec<Belonging>,
    /// What the messages of each call have said.
    pub table: Saved,
    /// What the relay knows of each session.
    pub relay: Vec<Cow<'a, SessionState>>,
    /// Whom it has answered.
    pub answers: SavedLimit,
    /// What it counted and whom it heard, for who looks at the status.
    pub counts: Counts,
    /// Each side's uplink that is a name, and where it was found.
    pub uplinks: PerFamily<Option<(String, Vec<IpAddr>)>>,
}

/// What a daemon counts beside its calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// SIP messages.
    pub figures: Figures,
    /// When phones and uplinks were last heard.
    pub heard: Heard,
    /// Calls that have ended.
    pub past: Past,
}

impl State<'_> {
    /// How many descriptors follow.
    pub fn descriptors(&self) -> usize {
        let streams: usize = self.relay.iter().map(|session| session.streams.len()).sum();
        self.sip.len().saturating_add(self.belongings.len()).saturating_add(streams.saturating_mul(4))
    }
}

/// What the old process says after its offer and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromOld {
    /// All is the new one's now.
    Go,
    /// It remains so: the old one ends.
    Over,
    /// It is the old one's again: the new one ends.
    Back,
}

/// What the new process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNew {
    /// It waits for the state.
    Ready,
    /// It has everything, and reads nothing yet.
    Attached,
    /// It reads and relays.
    Running {
        /// What of the belongings it has kept.
        kept: Vec<Belonging>,
    },
    /// It will not take over, for this reason.
    Refuse(String),
}
