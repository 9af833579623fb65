//! What the messages of all proxies have in common.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Config;
use crate::limit::{AnswerLimit, Asker};
use crate::media::signal::{Refusal, Signal};
use crate::media::table::Table;
use crate::streams::Grant;

/// The memory behind a [`super::Proxy`]. Only messages that say something of
/// media, and answers of our own, ask it; all others cross without.
pub trait State {
    /// Takes in what a message says of media; see [`Table::signal`]. What comes of
    /// it, open ports above all, must be done before this returns: the message
    /// that names them leaves next.
    ///
    /// # Errors
    ///
    /// A request that would begin a session which is refused.
    fn signal(&mut self, now: Duration, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal>;

    /// Whether an answer of our own may go to this address now; counts it if so.
    fn admits_answer(&mut self, now: Duration, to: IpAddr, asker: Asker) -> bool;
}

/// A state of one owner. What the sessions ask for stays in the table's queue
/// ([`Table::next_command`]) for its owner to carry out.
#[derive(Debug)]
pub struct Memory {
    /// The media sessions.
    pub table: Table,
    /// The count of our own answers.
    pub answers: AnswerLimit,
}

impl Memory {
    /// Nothing happened yet.
    pub fn new(config: &Config) -> Self {
        Self { table: Table::new(config), answers: AnswerLimit::new(&config.key) }
    }
}

impl State for Memory {
    fn signal(&mut self, now: Duration, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal> {
        self.table.signal(now, signal, grants)
    }

    fn admits_answer(&mut self, now: Duration, to: IpAddr, asker: Asker) -> bool {
        self.answers.admits(now, to, asker)
    }
}
