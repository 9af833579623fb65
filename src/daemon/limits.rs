//! What the system lets one process have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use tracing::warn;

use crate::config::Config;

/// File descriptors beside the sockets: standard streams, epoll, eventfds,
/// signals, log, and name look-ups.
const BESIDE: u64 = 64;

/// How many file descriptors a configuration can come to need: four for each
/// port pair, one for each fake on each SIP thread.
fn files_needed(config: &Config, threads: usize) -> u64 {
    let fakes = u64::try_from(config.maps.len().saturating_mul(threads)).unwrap_or(u64::MAX);
    u64::from(config.rtp_ports.pairs()).saturating_mul(4).saturating_add(fakes).saturating_add(BESIDE)
}

/// Raises the limit of open files as far as it goes, and says so if that is too low.
pub(super) fn raise_files(config: &Config, threads: usize) {
    let needed = files_needed(config, threads);
    match getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| raise(soft, hard)) {
        Ok(limit) if limit < needed => {
            let streams = limit.saturating_sub(BESIDE) / 4;
            warn!(
                limit,
                needed,
                "the limit of open files allows {streams} media streams only; raise it (ulimit -n, LimitNOFILE= in \
                 systemd) or take a smaller --rtp-ports range"
            );
        }
        Ok(_) => {}
        Err(error) => warn!(%error, needed, "cannot read or raise the limit of open files"),
    }
}

fn raise(soft: rlim_t, hard: rlim_t) -> nix::Result<rlim_t> {
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
        assert_eq!(files_needed(&config, 2), 400 + BESIDE);
        let map = Map { phone: "192.0.2.9:5060".parse().unwrap(), fake: "[2001:db8::9]:5060".parse().unwrap() };
        config.maps.push(map);
        assert_eq!(files_needed(&config, 2), 402 + BESIDE);
    }
}
