//! The options of those who look at what crosses.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::arguments::Unfit;
use super::complaint::Complaint;
use super::merge::FromFile;
use super::values::{self, flag, path, put};
use crate::captures::Settings;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::hep::Collector;
use crate::pcap::CaptureFile;
use crate::record::Recording;

/// By which number a collector knows this proxy, unless told.
const CAPTURE_ID: u32 = 64;
/// At which size a new capture file is begun, unless told.
const CAPTURE_SIZE: u64 = 100_000_000;

/// What they say.
#[derive(Debug, Default)]
pub(super) struct Captures {
    hep: Option<Endpoint>,
    hep_id: Option<u32>,
    pcap: Option<PathBuf>,
    pcap_rtp: bool,
    pcap_size: Option<u64>,
    record: Option<PathBuf>,
    anonymise: bool,
}

impl Captures {
    /// Takes in the option of that long name; `None` where it is none of these.
    pub(super) fn set(&mut self, long: &str, value: &OsStr) -> Option<Result<(), Unfit>> {
        Some(match long {
            "hep" => put(&mut self.hep, values::hep, value),
            "hep-id" => put(&mut self.hep_id, values::hep_id, value),
            "pcap" => path(&mut self.pcap, value),
            "pcap-rtp" => flag(&mut self.pcap_rtp),
            "pcap-size" => put(&mut self.pcap_size, values::megabytes, value),
            "record" => path(&mut self.record, value),
            "anonymise" => flag(&mut self.anonymise),
            _ => return None,
        })
    }

    /// Who is to look; the file is where what is wrong may stand.
    pub(super) fn settings(&self, config: &Config, from_file: &FromFile) -> Result<Settings, Complaint> {
        let of_hep = [("hep-id", self.hep_id.is_some())];
        let of_pcap = [("pcap-rtp", self.pcap_rtp), ("pcap-size", self.pcap_size.is_some())];
        let of_record = [("anonymise", self.anonymise)];
        let lacking = |(option, main): (&str, &str)| {
            from_file.said(option, &format!("--{option}: it means nothing without {main}; give both or none"))
        };
        meaningful("--hep HOST", self.hep.is_some(), &of_hep).map_err(lacking)?;
        meaningful("--pcap FILE", self.pcap.is_some(), &of_pcap).map_err(lacking)?;
        meaningful("--record DIR", self.record.is_some(), &of_record).map_err(lacking)?;
        let recording = |path| Ok(Recording { folder: whole("--record", path)?, anonymise: self.anonymise });
        let capture_id = self.hep_id.unwrap_or(CAPTURE_ID);
        let size = self.pcap_size.unwrap_or(CAPTURE_SIZE);
        let file = |path| Ok(CaptureFile { path: whole("--pcap", path)?, size, media: self.pcap_rtp });
        let hep = self.hep.clone().map(|endpoint| Collector { endpoint, capture_id });
        // Each message that it got would be one more for it.
        if let Some(address) = hep.as_ref().and_then(Collector::address).filter(|address| config.is_ours(*address)) {
            let why = format!("--hep {address}: an address of this proxy itself; name the collector");
            return Err(from_file.said("hep", &why));
        }
        Ok(Settings {
            hep,
            pcap: self.pcap.as_deref().map(file).transpose()?,
            record: self.record.as_deref().map(recording).transpose()?,
        })
    }
}

/// Refuses options that say how, where the one that says what is missing.
fn meaningful<'a>(main: &'a str, is_given: bool, others: &[(&'a str, bool)]) -> Result<(), (&'a str, &'a str)> {
    let lacking = others.iter().find(|(_, given)| *given && !is_given);
    lacking.map_or(Ok(()), |&(other, _)| Err((other, main)))
}

/// A path from the root on: the daemon does not stay in the folder it was
/// started in.
fn whole(option: &str, path: &Path) -> Result<PathBuf, Complaint> {
    std::path::absolute(path).map_err(|error| Complaint::line(&format!("{option} {}: {error}", path.display())))
}
