//! Lines: sockets at our addresses that are connected to an uplink.
//!
//! What an uplink sends has a queue of its own there: strangers who fill that of the
//! address take nothing from it. And what is sent by a line finds its way at once, where
//! the kernel looks for the way of all others each time. Where there is none, as there
//! is no way to the uplink yet, all goes by the open socket.

use std::net::SocketAddr;

use super::links::link_local;
use crate::address::Directory;
use crate::family::Family;

/// So many lines there are at the most.
pub const MOST_LINES: usize = 64;

/// Whom a line connects: the address of an uplink, and the listen address or fake that
/// it is reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// The lines that a thread should have, by its number, of so many: each address of an
/// uplink is of one thread only, so that what comes from there keeps its order. None to a
/// link-local address: it would be one of the interface where it is first.
pub(super) fn wanted(directory: &Directory, thread: usize, threads: usize) -> Vec<Ends> {
    let config = directory.config();
    let (mut wanted, mut count) = (Vec::new(), 0);
    for local in config.listen.iter().map(|(_, &listen)| listen).chain(config.maps.iter().map(|map| map.fake)) {
        let side = Family::at(local);
        let Some(uplink) = &config.uplinks[side] else { continue };
        for &address in directory.uplink_addresses(side) {
            let peer = SocketAddr::new(address, uplink.port);
            if count < MOST_LINES && link_local(peer).is_none() {
                if count.checked_rem(threads) == Some(thread) {
                    wanted.push(Ends { local, peer });
                }
                count += 1;
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Map, Uplink, UplinkHost};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn there_is_a_line_from_each_of_our_addresses_to_each_of_an_uplink() {
        let (listen, fake) = (at("[2001:db8::1]:5070"), at("[2001:db8::101]:5060"));
        let mut config = Config::new(at("192.0.2.1:5060"), listen);
        config.maps.push(Map { phone: at("192.0.2.101:5060"), fake });
        config.maps.push(Map { phone: at("[2001:db8:6::7]:5060"), fake: at("192.0.2.207:5060") });
        assert_eq!(wanted(&Directory::new(Arc::new(config.clone())), 0, 1), []);
        let host = UplinkHost::Name("sip.example.net".into());
        config.uplinks[Family::V6] = Some(Uplink { host, port: 5080, written: "sip.example.net:5080".into() });
        let mut directory = Directory::new(Arc::new(config));
        assert_eq!(wanted(&directory, 0, 1), [], "it is not known yet where that is");
        directory
            .set_uplink(Family::V6, ["2001:db8::a", "fe80::1", "2001:db8::b"].map(|ip| ip.parse().unwrap()).into());
        let peers = [at("[2001:db8::a]:5080"), at("[2001:db8::b]:5080")];
        let all = [listen, fake].into_iter().flat_map(|local| peers.map(|peer| Ends { local, peer }));
        let all: Vec<_> = all.collect();
        assert_eq!(wanted(&directory, 0, 1), all);
        assert_eq!(wanted(&directory, 1, 3), all[1..=1]);
        directory.set_uplink(Family::V6, (1..=99).map(|host| std::net::Ipv6Addr::from_bits(host).into()).collect());
        let number = |thread| wanted(&directory, thread, 3).len();
        assert_eq!(number(0) + number(1) + number(2), MOST_LINES);
        assert_eq!(number(0), number(1) + 1);
    }
}
