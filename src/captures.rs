//! `--hep`, `--pcap` and `--record`: what they say, and their sinks opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::info;

use crate::clock::Clock;
use crate::config::Config;
use crate::endpoint::Host;
use crate::hep::{Collector, Hep};
use crate::observer::Sink;
use crate::pcap::{CaptureError, CaptureFile, Pcap};
use crate::record::{RecordError, Recorder, Recording};

/// What `--hep`, `--pcap` and their companions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--hep`
    pub hep: Option<Collector>,
    /// `--pcap`
    pub pcap: Option<CaptureFile>,
    /// `--record`
    pub record: Option<Recording>,
}

/// Why nobody can look. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The capture file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The recordings.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Settings {
    /// Opens files and sockets; with the rights to do so.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn sinks(&self, config: &Arc<Config>, clock: Clock) -> Result<Opened, SettingsError> {
        let (mut sinks, mut made): (Vec<Box<dyn Sink>>, _) = (Vec::new(), Vec::new());
        if let Some(file) = &self.pcap {
            sinks.push(Box::new(Pcap::start(file, Arc::clone(config), clock)?));
            made.push(file.path.clone());
        }
        if let Some(recording) = &self.record {
            let (recorder, is_new) = Recorder::start(recording, Arc::clone(config), clock)?;
            sinks.push(Box::new(recorder));
            made.extend(is_new.then(|| recording.folder.clone()));
        }
        if let Some(collector) = &self.hep {
            sinks.push(Box::new(Hep::new(collector, Arc::clone(config), clock)));
        }
        Ok(Opened { sinks, made })
    }

    /// Whether this process, as the user that it stays, may write what is written later.
    ///
    /// # Errors
    /// Where it may not.
    pub fn may_write(&self) -> Result<(), SettingsError> {
        self.record.as_ref().map_or(Ok(()), Recorder::may_write).map_err(SettingsError::from)
    }

    /// Says in the log what is kept of messages, and where it goes: they are private.
    pub fn log(&self) {
        let host = |collector: &Collector| match &collector.endpoint.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        };
        if let Some(collector) = &self.hep {
            info!(collector = host(collector), "a collector gets all messages");
        }
        if let Some(file) = &self.pcap {
            info!(file = %file.path.display(), media = file.media, "all messages are captured");
        }
        if let Some(recording) = &self.record {
            info!(folder = %recording.folder.display(), anonymised = recording.anonymise, "calls are recorded");
        }
    }

    /// The folders in which files are made, renamed and removed while the
    /// program runs.
    pub fn folders(&self) -> Vec<PathBuf> {
        let captures = self.pcap.iter().filter_map(|file| file.path.parent().map(Path::to_owned));
        captures.chain(self.record.iter().map(|recording| recording.folder.clone())).collect()
    }
}

/// Those who look, ready to.
pub struct Opened {
    /// The sinks, opened.
    pub sinks: Vec<Box<dyn Sink>>,
    /// The files and folders that were made, to belong to who goes on.
    pub made: Vec<PathBuf>,
}
