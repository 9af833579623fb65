//! The four sockets of a stream.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::port::Port;
use crate::family::{Family, PerFamily};
use crate::media::stream::Component;
use crate::socket::{BindError, SocketOptions, bind_media};

/// RTP and RTCP at one listen address.
#[derive(Debug)]
struct Pair {
    rtp: Port,
    rtcp: Port,
    /// Where the first of them is bound.
    address: SocketAddr,
}

impl Pair {
    fn bind(listen: IpAddr, port: u16, options: SocketOptions) -> Result<Self, BindError> {
        let address = SocketAddr::new(listen, port);
        let rtp = Port::new(bind_media(address, options)?);
        let rtcp = Port::new(bind_media(SocketAddr::new(listen, port.saturating_add(1)), options)?);
        Ok(Self { rtp, rtcp, address })
    }

    /// Sockets of another process; they are bound and do not block.
    fn adopt(rtp: OwnedFd, rtcp: OwnedFd) -> io::Result<Self> {
        let rtp = Port::from(rtp);
        let address = rtp.address()?;
        Ok(Self { rtp, rtcp: rtcp.into(), address })
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

    /// Where to look for the descriptors to hand them to another process: RTP
    /// and RTCP of the IPv4 side, then of the IPv6 side.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        let [v4, v6] = Family::BOTH.map(|side| &self.0[side]);
        [v4.rtp.as_fd(), v4.rtcp.as_fd(), v6.rtp.as_fd(), v6.rtcp.as_fd()]
    }

    /// The sockets behind descriptors of [`StreamSockets::descriptors`], which
    /// another process has sent. Fails where the first of a pair is no socket
    /// of its family.
    pub fn adopt([rtp4, rtcp4, rtp6, rtcp6]: [OwnedFd; 4]) -> io::Result<Self> {
        let (v4, v6) = (Pair::adopt(rtp4, rtcp4)?, Pair::adopt(rtp6, rtcp6)?);
        if !v4.address.is_ipv4() || !v6.address.is_ipv6() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(PerFamily::new(v4, v6)))
    }

    /// One of them.
    pub(super) fn of(&self, side: Family, component: Component) -> &Port {
        match component {
            Component::Rtp => &self.0[side].rtp,
            Component::Rtcp => &self.0[side].rtcp,
        }
    }

    /// One of them.
    pub(super) fn of_mut(&mut self, side: Family, component: Component) -> &mut Port {
        match component {
            Component::Rtp => &mut self.0[side].rtp,
            Component::Rtcp => &mut self.0[side].rtcp,
        }
    }

    /// Where one of them is bound.
    pub(super) fn address(&self, side: Family, component: Component) -> SocketAddr {
        let mut address = self.0[side].address;
        if component == Component::Rtcp {
            address.set_port(address.port().saturating_add(1));
        }
        address
    }
}
