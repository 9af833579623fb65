//! What the system lets one process have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use tracing::warn;

use crate::config::Config;
use crate::signalling::{IN_STOCK, Output};

/// File descriptors beside the sockets: standard streams, epoll, eventfds,
/// signals, log, and name look-ups.
const BESIDE: u64 = 64;

/// Of a stream: RTP and RTCP on each side.
const OF_A_STREAM: u64 = 4;

/// How many file descriptors a configuration can come to need: four for each
/// port pair, and on each of so many SIP threads one for each fake and those in stock.
fn files_needed(config: &Config, threads: usize) -> u64 {
    let of_streams = u64::from(config.rtp_ports.pairs()).saturating_mul(OF_A_STREAM);
    of_streams.saturating_add(files_beside(config, threads))
}

/// How many of them are not for streams.
fn files_beside(config: &Config, threads: usize) -> u64 {
    let of_a_thread = config.maps.len().saturating_add(IN_STOCK);
    u64::try_from(of_a_thread.saturating_mul(threads)).unwrap_or(u64::MAX).saturating_add(BESIDE)
}

/// Raises the limit of open files as far as it goes and as it is needed, and
/// says so if that is too low. The answer is how many streams there can be then.
pub(super) fn raise_files(config: &Config) -> Option<usize> {
    let needed = files_needed(config, Output::Network.threads());
    match getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| raise(soft, hard, needed)) {
        Ok(limit) => {
            let advice = too_few_files(config, limit)?;
            warn!(limit, needed, "{advice}");
            usize::try_from(streams(config, limit)).ok()
        }
        Err(error) => {
            warn!(%error, needed, "cannot read or raise the limit of open files");
            None
        }
    }
}

/// How many streams there are files for: whoever asks for the status, and a process
/// that takes over, find some left.
fn streams(config: &Config, limit: rlim_t) -> u64 {
    (limit.saturating_sub(files_beside(config, Output::Network.threads())) / OF_A_STREAM).max(1)
}

/// What to say about the limit of open files that a start would have.
pub(crate) fn files_advice(config: &Config) -> Option<String> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    too_few_files(config, hard)
}

fn too_few_files(config: &Config, limit: rlim_t) -> Option<String> {
    let streams = streams(config, limit);
    (limit < files_needed(config, Output::Network.threads())).then(|| {
        format!(
            "the limit of open files, {limit}, allows {streams} media streams only; raise it (ulimit -n, LimitNOFILE= \
             in systemd) or take a smaller --rtp-ports range"
        )
    })
}

/// Up to the hard limit, and beyond it where root may and it is not enough.
fn raise(soft: rlim_t, hard: rlim_t, needed: u64) -> nix::Result<rlim_t> {
    if hard < needed && setrlimit(Resource::RLIMIT_NOFILE, needed, needed).is_ok() {
        return Ok(needed);
    }
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Map, PortRange};

    #[test]
    fn each_port_pair_may_take_four_files() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        config.rtp_ports = PortRange::new(20000, 20199).unwrap();
        let none = files_needed(&config, 2);
        assert_eq!(none, 400 + BESIDE + 2 * u64::try_from(IN_STOCK).unwrap());
        let map = Map { phone: "192.0.2.9:5060".parse().unwrap(), fake: "[2001:db8::9]:5060".parse().unwrap() };
        config.maps.push(map);
        assert_eq!(files_needed(&config, 2), none + 2);
    }
}
