//! The daemon (placeholder of this branch).

use crate::cli::Options;

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {}

/// Runs the daemon until a signal ends it.
pub fn run(_options: Options) -> Result<(), DaemonError> {
    Ok(())
}
