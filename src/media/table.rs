//! The media table: which dialog has which streams, ports and parties.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::command::{Command, SessionId};
use crate::config::Config;
use crate::family::Family;
use crate::sip::method::Method;
use crate::streams::{Grant, Wanted};

/// What one SIP message that is about to be forwarded says to the table.
#[derive(Clone, Copy, Debug)]
pub struct Signal<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// Its method, in a response that of the CSeq.
    pub method: Method,
    /// The number in its CSeq.
    pub cseq: u32,
    /// The status code; `None`: a request.
    pub status: Option<u16>,
    /// The side it came from.
    pub arrival: Family,
    /// The tag of its From.
    pub from_tag: Option<&'a [u8]>,
    /// The tag of its To.
    pub to_tag: Option<&'a [u8]>,
    /// Where the packet came from.
    pub source: SocketAddr,
    /// Where it is sent on to.
    pub destination: SocketAddr,
    /// Who sent it.
    pub sender: Sender,
    /// Tells the branches of a forked request apart: the same in a request, its
    /// CANCEL and its responses.
    pub branch: u64,
    /// The `m=` lines of its description, if it carries one that counts.
    pub wanted: Option<&'a [Wanted]>,
}

/// Who sent a message, as far as limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A mapped phone, an uplink, or ourselves: no limit of its own.
    Known,
    /// Anybody else.
    Generic,
}

/// Why a new session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No media ports are free.
    #[error("no media ports free")]
    NoPorts,
    /// `--max-calls` is reached.
    #[error("too many calls")]
    MaxCalls,
    /// `--max-calls-per-source` is reached.
    #[error("too many calls from this source")]
    MaxCallsPerSource,
}

/// Sessions, streams and ports.
#[derive(Debug)]
pub struct Table {}

#[allow(unused_variables, clippy::todo)]
impl Table {
    /// An empty table.
    pub fn new(config: &Config) -> Self {
        Self {}
    }

    /// Takes in one message; where it carries a description, `grants` gets one
    /// entry for each of its `m=` lines. A retransmission changes nothing and
    /// gets the same grants.
    pub fn signal(&mut self, now: Duration, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal> {
        Ok(())
    }

    /// A port that [`Command::Open`] asked for cannot be bound: the streams that
    /// have it get another one. `false` where no other is left.
    pub fn port_taken(&mut self, now: Duration, family: Family, port: u16) -> bool {
        false
    }

    /// When a packet of a session last came: the answer to [`Command::Query`].
    pub fn heard(&mut self, now: Duration, session: SessionId, last: Option<Duration>) {}

    /// The addresses of this machine, beside those of the configuration.
    pub fn set_local_addresses(&mut self, addresses: Vec<IpAddr>) {}

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now: Duration) {}

    /// When [`Table::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        None
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        0
    }
}
