//! Test mode (placeholder of this branch).

use std::io::Write;
use std::path::PathBuf;

use crate::config::Config;

/// Why the transcript ended.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {}

/// Reads recorded messages and prints what would be sent.
pub fn run(_config: Config, _files: &[PathBuf], _out: &mut dyn Write) -> Result<(), TranscriptError> {
    Ok(())
}
