//! `--check`: what would be done, without doing it.
//!
//! The answer is a configuration file: every option in force, and in comments
//! what follows from them. Nothing is bound and nothing is created.

use std::io::{self, Write};

use crate::cli::Options;
use crate::config::Config;
use crate::daemon::warnings;
use crate::secret;

/// The answer cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct CheckError(#[from] io::Error);

/// Writes to `out` what a start with these options would do.
///
/// # Errors
/// Where `out` takes nothing.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), CheckError> {
    writeln!(out, "# sipproxy64 {} would run like this:", env!("CARGO_PKG_VERSION"))?;
    for line in &options.in_force {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "#")?;
    for line in consequences(&options.config).into_iter().chain([key(options)]) {
        writeln!(out, "# {line}")?;
    }
    for warning in warnings::all(&options.config, options.observers.hep.as_ref()) {
        writeln!(out, "# warning: {warning}")?;
    }
    Ok(())
}

/// What follows from the options, defaults included.
fn consequences(config: &Config) -> [String; 4] {
    let maps = config.maps.len();
    let (low, high) = config.rtp_ports.bounds();
    let calls = config.max_calls.map_or_else(|| "as many as the ports allow".to_owned(), |calls| calls.to_string());
    let seconds = [config.timeouts.rtp, config.timeouts.ringing, config.timeouts.hold].map(|time| time.as_secs());
    let [rtp, ringing, hold] = seconds;
    [
        format!("SIP sockets: {}, at 2 listen addresses and {maps} of --map", maps.saturating_add(2)),
        format!("media: ports {low}-{high}, enough for {} streams", config.rtp_ports.pairs()),
        format!("calls with media: {calls}; {} of one stranger", config.max_calls_per_source),
        format!("silence ends a call after {rtp} s, while it rings {ringing} s, on hold {hold} s"),
    ]
}

fn key(options: &Options) -> String {
    let kind = match options.secret.as_deref().map(secret::check) {
        None => "a random one; calls of strangers cannot be ended through a later run",
        Some(Ok(true)) => "from the file",
        // An error was told with the other wrong options.
        Some(Ok(false) | Err(_)) => "a random one, to be kept in the file, which does not exist yet",
    };
    format!("key: {kind}")
}
