//! The names of sockets, as epoll keeps them for us.

use super::slab::Key;
use crate::family::Family;
use crate::media::stream::Component;

/// The epoll datum of the eventfd; no [`SocketKey`] comes near it.
pub(super) const WAKE: u64 = u64::MAX;

/// Which socket an epoll event speaks of. It outlives the socket, as an event
/// of the same waking may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketKey {
    pub(super) stream: Key,
    pub(super) side: Family,
    pub(super) component: Component,
    pub(super) way: Way,
}

/// Which of the sockets at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The one that everybody can send to.
    Open,
    /// The one that is connected to the party of RTP.
    Peer,
}

impl SocketKey {
    /// The four open sockets of a stream.
    pub(super) fn open(stream: Key) -> impl Iterator<Item = Self> {
        let of = move |side| Component::BOTH.map(|component| Self { stream, side, component, way: Way::Open });
        Family::BOTH.into_iter().flat_map(of)
    }

    /// The peer socket on this side.
    pub(super) fn peer(stream: Key, side: Family) -> Self {
        Self { stream, side, component: Component::Rtp, way: Way::Peer }
    }

    /// The 64 bits that epoll keeps for us: generation, place (29 bits), way, side, component.
    pub(super) fn datum(self) -> u64 {
        let side = u64::from(self.side == Family::V6);
        let component = u64::from(self.component == Component::Rtcp);
        let socket = u64::from(self.way == Way::Peer) << 2 | side << 1 | component;
        u64::from(self.stream.generation) << 32 | u64::from(self.stream.index) << 3 | socket
    }

    /// The key that has this datum.
    pub(super) fn from_datum(datum: u64) -> Self {
        Self {
            stream: Key {
                index: u32::try_from(datum >> 3 & 0x1fff_ffff).unwrap_or(u32::MAX),
                generation: u32::try_from(datum >> 32).unwrap_or(u32::MAX),
            },
            side: if datum & 2 == 0 { Family::V4 } else { Family::V6 },
            component: if datum & 1 == 0 { Component::Rtp } else { Component::Rtcp },
            way: if datum & 4 == 0 { Way::Open } else { Way::Peer },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datum_names_one_socket_of_one_generation() {
        for generation in [0, 1, u32::MAX] {
            for index in [0, 1, 0x1fff_fffe] {
                let stream = Key { index, generation };
                let peers = Family::BOTH.map(|side| SocketKey::peer(stream, side));
                for key in SocketKey::open(stream).chain(peers) {
                    assert_eq!(SocketKey::from_datum(key.datum()), key);
                    assert_ne!(key.datum(), WAKE);
                }
            }
        }
    }
}
