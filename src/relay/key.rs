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
    /// The line of RTP, not the open socket.
    pub(super) line: bool,
}

impl SocketKey {
    /// The four open sockets of a stream.
    pub(super) fn open(stream: Key) -> impl Iterator<Item = Self> {
        let of = move |side| Component::BOTH.map(|component| Self { stream, side, component, line: false });
        Family::BOTH.into_iter().flat_map(of)
    }

    /// The line on this side.
    pub(super) fn line(stream: Key, side: Family) -> Self {
        Self { stream, side, component: Component::Rtp, line: true }
    }

    /// The 64 bits that epoll keeps for us: generation, place (29 bits), line, side, component.
    pub(super) fn datum(self) -> u64 {
        let side = u64::from(self.side == Family::V6);
        let component = u64::from(self.component == Component::Rtcp);
        let socket = u64::from(self.line) << 2 | side << 1 | component;
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
            line: datum & 4 != 0,
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
                let lines = Family::BOTH.map(|side| SocketKey::line(stream, side));
                for key in SocketKey::open(stream).chain(lines) {
                    assert_eq!(SocketKey::from_datum(key.datum()), key);
                    assert_ne!(key.datum(), WAKE);
                }
            }
        }
    }
}
