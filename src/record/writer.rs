//! The messages of one recording, as they are written.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, Key};
use crate::escaped::Escaped;
use crate::family::Family;
use crate::recording::anonymous::Anonymiser;
use crate::recording::command_line::command_line;
use crate::recording::length::corrected;
use crate::recording::seals::{Party, reseal};
use crate::redact::redacted;

/// The longest start-line that is shown in `why`.
const MAX_LINE: usize = 100;

/// Writes the messages of one recording.
#[derive(Debug)]
pub(super) struct Writer {
    /// The key of the daemon.
    key: Key,
    /// The configuration of test mode, addresses of the recording in it.
    config: Config,
    anonymiser: Option<Anonymiser>,
}

impl Writer {
    /// For messages under this configuration; `pseudonyms`: the key of made-up
    /// words, where they are to be anonymous.
    pub(super) fn new(config: &Config, pseudonyms: Option<Key>) -> Self {
        let plain = Config::new(config.listen[Family::V4], config.listen[Family::V6]);
        let test = Config { key: plain.key, port_order: plain.port_order, most_streams: None, ..config.clone() };
        let mut anonymiser = pseudonyms.map(Anonymiser::new);
        let config_of_test = anonymiser.as_mut().map_or_else(|| test.clone(), |anonymiser| anonymiser.config(&test));
        Self { key: config.key, config: config_of_test, anonymiser }
    }

    /// The configuration that the recording is for.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The options of test mode.
    pub(super) fn options(&self) -> String {
        command_line(&self.config)
    }

    /// What `why` says, from the first message.
    pub(super) fn title(&mut self, first: &[u8], peer: IpAddr) -> String {
        let first = self.message(first, peer);
        let line = first.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
        format!("recorded by sipproxy64 {}: {}\n", env!("CARGO_PKG_VERSION"), Escaped(line, MAX_LINE))
    }

    /// A message from or to `peer`.
    pub(super) fn message(&mut self, message: &[u8], peer: IpAddr) -> Vec<u8> {
        let test = Party { key: self.config.key, peer };
        let mut resealed = message.to_vec();
        reseal(message, &Party { key: self.key, peer }, &mut resealed, &test);
        let redacted = redacted(&resealed);
        let Some(anonymiser) = &mut self.anonymiser else { return corrected(message, redacted) };
        let mut anonymous = anonymiser.message(&redacted);
        // What was signed is another address now.
        reseal(&redacted, &test, &mut anonymous, &Party { peer: anonymiser.address(peer), ..test });
        corrected(message, anonymous)
    }

    /// An endpoint, in the line above a message.
    pub(super) fn endpoint(&mut self, endpoint: SocketAddr) -> SocketAddr {
        self.anonymiser.as_mut().map_or(endpoint, |anonymiser| anonymiser.endpoint(endpoint))
    }

    /// An address of an uplink.
    pub(super) fn address(&mut self, address: IpAddr) -> IpAddr {
        self.anonymiser.as_mut().map_or(address, |anonymiser| anonymiser.address(address))
    }
}
