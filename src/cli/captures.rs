//! The options of those who look at what crosses.

use std::path::{Path, PathBuf};

use clap::Args;

use super::complaint::Complaint;
use super::endpoint::Endpoint;
use super::values;
use crate::hep::Collector;
use crate::observer::settings::Settings;
use crate::pcap::CaptureFile;
use crate::record::Recording;

/// By which number a collector knows this proxy, unless told.
const CAPTURE_ID: u32 = 64;
/// At which size a new capture file is begun, unless told.
const CAPTURE_SIZE: u64 = 100_000_000;

/// The options as clap sees them. The comments are the text of `--help`.
#[derive(Debug, Args)]
pub(super) struct Captures {
    /// Send each SIP message to a collector, by HEP version 3 over UDP
    #[arg(long, value_name = "HOST[:PORT]", value_parser = values::hep)]
    hep: Option<Endpoint>,

    /// By which number the collector knows this proxy [default: 64]
    #[arg(long, value_name = "N", value_parser = values::hep_id, allow_negative_numbers = true)]
    hep_id: Option<u32>,

    /// Write each SIP message to a capture file, as it came and as it left
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Write media to the capture file too
    #[arg(long)]
    pcap_rtp: bool,

    /// At which size a new capture file is begun, in megabytes [default: 100]
    #[arg(long, value_name = "MB", value_parser = values::megabytes, allow_negative_numbers = true)]
    pcap_size: Option<u64>,

    /// Record each call as a test, in a directory of its own under this one
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Leave out of recordings who calls, and from where
    #[arg(long)]
    anonymise: bool,
}

impl Captures {
    /// Who is to look.
    pub(super) fn settings(&self) -> Result<Settings, Complaint> {
        let of_hep = [("--hep-id", self.hep_id.is_some())];
        let of_pcap = [("--pcap-rtp", self.pcap_rtp), ("--pcap-size", self.pcap_size.is_some())];
        meaningful("--hep HOST", self.hep.is_some(), &of_hep)?;
        meaningful("--pcap FILE", self.pcap.is_some(), &of_pcap)?;
        meaningful("--record DIR", self.record.is_some(), &[("--anonymise", self.anonymise)])?;
        let recording = |path| Ok(Recording { folder: whole("--record", path)?, anonymise: self.anonymise });
        let capture_id = self.hep_id.unwrap_or(CAPTURE_ID);
        let size = self.pcap_size.unwrap_or(CAPTURE_SIZE);
        let file = |path| Ok(CaptureFile { path: whole("--pcap", path)?, size, media: self.pcap_rtp });
        Ok(Settings {
            hep: self.hep.clone().map(|endpoint| Collector { endpoint, capture_id }),
            pcap: self.pcap.as_deref().map(file).transpose()?,
            record: self.record.as_deref().map(recording).transpose()?,
        })
    }
}

/// Refuses options that say how, where the one that says what is missing.
fn meaningful(main: &str, is_given: bool, others: &[(&str, bool)]) -> Result<(), Complaint> {
    match others.iter().find(|(_, given)| *given && !is_given) {
        Some((other, _)) => {
            Err(Complaint::line(&format!("{other}: it means nothing without {main}; give both or none")))
        }
        None => Ok(()),
    }
}

/// A path from the root on: the daemon does not stay in the folder it was
/// started in.
fn whole(option: &str, path: &Path) -> Result<PathBuf, Complaint> {
    std::path::absolute(path).map_err(|error| Complaint::line(&format!("{option} {}: {error}", path.display())))
}
