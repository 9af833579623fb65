//! What the system lets one process have.

use rustix::io;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Config;
use crate::relay::first_reserved_file;
use crate::signalling::{IN_STOCK, MAX_PEER_SOCKETS, Output};

/// File descriptors beside the sockets: standard streams, epoll, eventfds,
/// signals, log, and name look-ups.
const BESIDE: u64 = 64;

/// Of a stream: RTP and RTCP on each side.
const OF_A_STREAM: u64 = 4;

/// Of a stream with a peer socket on each side, which it has as long as there are files
/// below [`first_reserved_file`].
const WITH_PEER_SOCKETS: u64 = 6;

/// How many file descriptors a configuration can come to need: so many that
/// [`streams`] are as many as there are port pairs.
fn files_needed(config: &Config, threads: usize) -> u64 {
    let with_peer_sockets = u64::from(config.rtp_ports.pairs()).saturating_mul(WITH_PEER_SOCKETS);
    // 3/4 of the limit are for six files each, 1/4 for four: 3/16 of a stream for each
    // file, and nothing is lost by rounding.
    with_peer_sockets.saturating_add(files_beside(config, threads)).saturating_mul(16).div_ceil(18).saturating_add(16)
}

/// How many of them are not for streams: on each of so many SIP threads one for each
/// fake and those in stock, the peer sockets of uplinks and phones, and some more.
fn files_beside(config: &Config, threads: usize) -> u64 {
    let of_a_thread = config.maps.len().saturating_add(IN_STOCK);
    let of_sip = of_a_thread.saturating_mul(threads).saturating_add(MAX_PEER_SOCKETS);
    u64::try_from(of_sip).unwrap_or(u64::MAX).saturating_add(BESIDE)
}

/// Raises the limit of open files as far as it goes and as it is needed, and
/// says so if that is too low. The answer is how many streams there can be then.
pub(super) fn raise_files(config: &Config) -> Option<usize> {
    let needed = files_needed(config, Output::Network.threads());
    match raise(getrlimit(Resource::Nofile), needed) {
        Ok(limit) => {
            let advice = too_few_files(config, limit)?;
            warn!(limit, needed, "{advice}");
            usize::try_from(streams(config, limit, Output::Network.threads())).ok()
        }
        Err(error) => {
            warn!(%error, needed, "cannot raise the limit of open files");
            None
        }
    }
}

/// How many streams there are files for, also where those that came first have peer sockets:
/// whoever asks for the status, and a process that takes over, find some left.
fn streams(config: &Config, limit: u64, threads: usize) -> u64 {
    let shared = first_reserved_file(limit);
    let with_peer_sockets = shared.saturating_sub(files_beside(config, threads)) / WITH_PEER_SOCKETS;
    with_peer_sockets.saturating_add(limit.saturating_sub(shared) / OF_A_STREAM).max(1)
}

/// What to say about the limit of open files that a start would have.
pub(crate) fn files_advice(config: &Config) -> Option<String> {
    too_few_files(config, most_files(getrlimit(Resource::Nofile)))
}

fn too_few_files(config: &Config, limit: u64) -> Option<String> {
    let streams = streams(config, limit, Output::Network.threads());
    (streams < u64::from(config.rtp_ports.pairs())).then(|| {
        format!(
            "the limit of open files, {limit}, allows {streams} media streams only; raise it (ulimit -n, LimitNOFILE= \
             in systemd) or take a smaller --rtp-ports range"
        )
    })
}

/// The hard limit.
fn most_files(limit: Rlimit) -> u64 {
    limit.maximum.unwrap_or(u64::MAX)
}

/// Up to the hard limit, and beyond it where root may and it is not enough.
fn raise(before: Rlimit, needed: u64) -> io::Result<u64> {
    let set = |most| setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    let hard = most_files(before);
    if hard < needed && set(Some(needed)).is_ok() {
        return Ok(needed);
    }
    if before.current != before.maximum {
        set(before.maximum)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Map, PortRange};

    #[test]
    fn what_is_needed_is_enough_and_not_far_more() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        for (low, high) in [(20000, 20199), (16384, 32767), (1024, 65535)] {
            config.rtp_ports = PortRange::new(low, high).unwrap();
            for threads in [1, 2, 4] {
                let (needed, pairs) = (files_needed(&config, threads), u64::from(config.rtp_ports.pairs()));
                assert!((pairs..pairs + 5).contains(&streams(&config, needed, threads)), "{low}-{high}, {threads}");
                assert!(streams(&config, needed / 10 * 9, threads) < pairs);
            }
        }
        let none = files_needed(&config, 2);
        let map = Map { phone: "192.0.2.9:5060".parse().unwrap(), fake: "[2001:db8::9]:5060".parse().unwrap() };
        config.maps.push(map);
        assert!(files_needed(&config, 2) > none);
    }

    /// Where there are nearly none at all, a call is tried.
    #[test]
    fn there_is_one_stream_at_least() {
        let config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        assert_eq!(streams(&config, 0, 4), 1);
        assert!(streams(&config, u64::MAX, 4) > 1 << 40);
    }
}
