//! The four sockets of a stream.

#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};

use crate::family::{Family, PerFamily};
use crate::media::stream::Component;
use crate::socket::{BindError, SocketOptions, bind_media};

/// RTP and RTCP at one listen address.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
#[derive(Debug)]
struct Pair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Pair {
    fn bind(listen: IpAddr, port: u16, options: SocketOptions) -> Result<Self, BindError> {
        let rtp = bind_media(SocketAddr::new(listen, port), options)?;
        let rtcp = bind_media(SocketAddr::new(listen, port.saturating_add(1)), options)?;
        Ok(Self { rtp, rtcp })
    }
}

/// The four sockets of a stream, bound; what arrives waits in them.
#[derive(Debug)]
pub struct StreamSockets(PerFamily<Pair>);

/// A stream's port pair that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct PortTaken {
    /// The side whose pair it is.
    pub side: Family,
    /// Its RTP port.
    pub port: u16,
    /// Which of the two it was, and why.
    pub error: BindError,
}

impl StreamSockets {
    /// Binds the RTP port of each side and the RTCP port above it. After an
    /// error none of them is held.
    pub fn bind(listen: PerFamily<IpAddr>, ports: PerFamily<u16>, options: SocketOptions) -> Result<Self, PortTaken> {
        let pair = |side| {
            let port = ports[side];
            Pair::bind(listen[side], port, options).map_err(|error| PortTaken { side, port, error })
        };
        Ok(Self(PerFamily::new(pair(Family::V4)?, pair(Family::V6)?)))
    }

    /// One of them.
    #[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
    pub(super) fn of(&self, side: Family, component: Component) -> &UdpSocket {
        match component {
            Component::Rtp => &self.0[side].rtp,
            Component::Rtcp => &self.0[side].rtcp,
        }
    }
}
