//! Peer sockets: at our addresses, connected to an uplink or a phone.
//!
//! What these send has a queue of its own there: strangers who fill that of the address
//! take nothing from it. And what is sent by one finds its way at once, where the
//! kernel looks for the way of all others each time. Where there is none, as there is no
//! way to the peer yet, all goes by the open socket.

use std::net::SocketAddr;

use super::links::link_local;
use crate::address::Directory;
use crate::family::Family;

/// So many there are at the most.
pub const MAX_PEER_SOCKETS: usize = 64;

/// Whom such a socket is for, and the listen address or fake that it speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// Whom a thread should have sockets for, by its number, of so many: each is on one thread
/// only, so that what comes from it keeps its order.
pub(super) fn wanted(directory: &Directory, thread: usize, threads: usize) -> Vec<Peer> {
    let config = directory.config();
    let mut wanted = Vec::new();
    for local in config.sip_addresses() {
        let side = Family::at(local);
        let Some(uplink) = &config.uplinks[side] else { continue };
        let addresses = directory.uplink_addresses(side).iter();
        wanted.extend(addresses.map(|&address| Peer { local, remote: SocketAddr::new(address, uplink.port) }));
    }
    wanted.extend(
        config.maps.iter().map(|map| Peer { local: directory.listen(Family::at(map.phone)), remote: map.phone }),
    );
    // That of a link-local address would be one of the interface where it is first.
    wanted.retain(|peer| link_local(peer.remote).is_none());
    wanted.truncate(MAX_PEER_SOCKETS);
    wanted.into_iter().skip(thread).step_by(threads.max(1)).collect()
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
    fn there_are_sockets_for_uplinks_and_phones() {
        let [four, six] = [at("192.0.2.1:5060"), at("[2001:db8::1]:5070")];
        let (phone, fake) = (at("192.0.2.101:5060"), at("[2001:db8::101]:5060"));
        let mut config = Config::new(four, six);
        config.maps.push(Map { phone, fake });
        config.maps.push(Map { phone: at("[fe80::7]:5060"), fake: at("192.0.2.207:5060") });
        let host = UplinkHost::Name("sip.example.net".into());
        config.uplinks[Family::V6] = Some(Uplink { host, port: 5080, written: "sip.example.net:5080".into() });
        let mut directory = Directory::new(Arc::new(config));
        let to_phone = Peer { local: four, remote: phone };
        assert_eq!(wanted(&directory, 0, 1), [to_phone], "it is not known yet where the uplink is");
        directory
            .set_uplink(Family::V6, ["2001:db8::a", "fe80::1", "2001:db8::b"].map(|ip| ip.parse().unwrap()).into());
        let remotes = [at("[2001:db8::a]:5080"), at("[2001:db8::b]:5080")];
        let to_uplink = [six, fake].into_iter().flat_map(|local| remotes.map(|remote| Peer { local, remote }));
        let all: Vec<_> = to_uplink.chain([to_phone]).collect();
        assert_eq!(wanted(&directory, 0, 1), all);
        let (even, odd) = (wanted(&directory, 0, 2), wanted(&directory, 1, 2));
        assert_eq!((even, odd), (vec![all[0], all[2], all[4]], vec![all[1], all[3]]));
        directory.set_uplink(Family::V6, (1..=99).map(|host| std::net::Ipv6Addr::from_bits(host).into()).collect());
        assert_eq!(wanted(&directory, 0, 1).len(), MAX_PEER_SOCKETS);
    }
}
