//! Who looks, as the options say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Sink;
use crate::clock::Clock;
use crate::config::Config;
use crate::hep::{Collector, Hep};
use crate::pcap::{CaptureError, CaptureFile, Pcap};

/// What `--hep`, `--pcap` and their companions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--hep`
    pub hep: Option<Collector>,
    /// `--pcap`
    pub pcap: Option<CaptureFile>,
}

/// Why nobody can look. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The capture file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The collector.
    #[error("--hep: cannot start the thread that looks names up: {0}")]
    Collector(#[source] io::Error),
}

impl Settings {
    /// Opens files and sockets; with the rights to do so.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn sinks(&self, config: &Arc<Config>, clock: Clock) -> Result<Vec<Box<dyn Sink>>, SettingsError> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(file) = &self.pcap {
            sinks.push(Box::new(Pcap::start(file, Arc::clone(config), clock)?));
        }
        if let Some(collector) = &self.hep {
            let hep = Hep::start(collector, Arc::clone(config), clock).map_err(SettingsError::Collector)?;
            sinks.push(Box::new(hep));
        }
        Ok(sinks)
    }

    /// What was made by [`Settings::sinks`], and is to belong to who goes on.
    pub fn files(&self) -> Vec<PathBuf> {
        self.pcap.iter().map(|file| file.path.clone()).collect()
    }

    /// The folders in which files are made, renamed and removed while the
    /// program runs.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.pcap.iter().filter_map(|file| file.path.parent().map(Path::to_owned)).collect()
    }
}
