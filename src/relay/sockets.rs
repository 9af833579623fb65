//! The sockets of a stream.

use std::io;
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::line::{Connected, Line};
use super::stock::Stock;
use crate::family::{Family, PerFamily};
use crate::media::stream::Component;
use crate::socket::{BindError, SocketOptions};

/// RTP and RTCP at one listen address. What a packet needs is in its first line of
/// the cache.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
#[derive(Debug)]
#[repr(C, align(64))]
struct Pair {
    /// To the party whose RTP comes here, while it is known.
    line: Option<Line>,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where RTP is bound.
    address: SocketAddr,
}

#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
impl Pair {
    fn bind(listen: IpAddr, port: u16, stock: &mut Stock) -> Result<Self, BindError> {
        let address = SocketAddr::new(listen, port);
        let rtp = stock.bind(address)?;
        let rtcp = stock.bind(SocketAddr::new(listen, port.saturating_add(1)))?;
        Ok(Self { rtp, rtcp, line: None, address })
    }

    /// Sockets of another process; they are bound and do not block.
    fn adopt(rtp: OwnedFd, rtcp: OwnedFd) -> io::Result<Self> {
        let rtp: UdpSocket = rtp.into();
        let address = rtp.local_addr()?;
        Ok(Self { rtp, rtcp: rtcp.into(), line: None, address })
    }

    fn open(&self, component: Component) -> &UdpSocket {
        match component {
            Component::Rtp => &self.rtp,
            Component::Rtcp => &self.rtcp,
        }
    }

    fn connected(&self) -> Option<&Connected> {
        self.line.as_ref().and_then(Line::connected)
    }
}

/// The four open sockets of a stream, bound; what arrives waits in them. Beside
/// them there may be a `Line` on each side.
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
    ///
    /// # Errors
    /// A port that cannot be had.
    pub fn bind(listen: PerFamily<IpAddr>, ports: PerFamily<u16>, stock: &mut Stock) -> Result<Self, PortTaken> {
        let mut pair = |side| {
            let port = ports[side];
            Pair::bind(listen[side], port, stock).map_err(|error| PortTaken { side, port, error })
        };
        Ok(Self(PerFamily::new(pair(Family::V4)?, pair(Family::V6)?)))
    }

    /// The descriptors, to hand them to another process: RTP and RTCP of the
    /// IPv4 side, then of the IPv6 side.
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

    /// Where one of them is bound.
    pub(super) fn address(&self, side: Family, component: Component) -> SocketAddr {
        let mut address = self.0[side].address;
        if component == Component::Rtcp {
            address.set_port(address.port().saturating_add(1));
        }
        address
    }

    /// One of the open sockets, to be watched.
    pub(super) fn open(&self, side: Family, component: Component) -> BorrowedFd<'_> {
        self.0[side].open(component).as_fd()
    }

    /// The socket of the line on `side`, if there is one, to be watched.
    pub(super) fn connected(&self, side: Family) -> Option<&Connected> {
        self.0[side].connected()
    }

    /// What to read the errors of: an open socket, or that of a line.
    pub(super) fn raw(&self, side: Family, component: Component, line: bool) -> Option<RawFd> {
        let pair = &self.0[side];
        match line {
            true => pair.connected().map(|connected| connected.as_fd().as_raw_fd()),
            false => Some(pair.open(component).as_raw_fd()),
        }
    }

    /// Takes one packet off an open socket, or off the line.
    pub(super) fn receive(
        &mut self,
        side: Family,
        component: Component,
        line: bool,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        let pair = &mut self.0[side];
        match pair.line.as_mut().filter(|_| line).and_then(Line::receiver) {
            Some((party, connected)) => connected.receive(party, buffer),
            None => pair.open(component).recv_from(buffer),
        }
    }

    /// Sends a packet to the party on `side`, which is at `to`: by its line, if
    /// there is one. A first failure may be an ICMP error for a packet before.
    pub(super) fn send(&self, side: Family, component: Component, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let pair = &self.0[side];
        let send = || match pair.connected().filter(|_| component == Component::Rtp) {
            Some(connected) => connected.send(packet),
            None => pair.open(component).send_to(packet, to),
        };
        send().or_else(|_| send()).map(drop)
    }

    /// Whom packets of this component reach by the line on `side`, if there is one.
    pub(super) fn line(&self, side: Family, component: Component) -> Option<SocketAddr> {
        let line = self.0[side].line.as_ref().filter(|line| line.connected().is_some())?;
        (component == Component::Rtp).then_some(line.party)
    }

    /// Whom the line on `side` is for.
    pub(super) fn party(&self, side: Family) -> Option<SocketAddr> {
        self.0[side].line.as_ref().map(|line| line.party)
    }

    /// Makes a line to the party on `side`.
    pub(super) fn connect(&mut self, side: Family, party: SocketAddr, options: SocketOptions, most_files: u64) {
        let pair = &mut self.0[side];
        pair.line = Some(Line::new(&pair.rtp, pair.address, party, options, most_files));
    }

    /// Lets the party on `side` come to the open socket again.
    pub(super) fn hang_up(&self, side: Family) {
        if let Some(connected) = self.connected(side) {
            connected.hang_up(self.0[side].address);
        }
    }

    /// Closes the line on `side`.
    pub(super) fn disconnect(&mut self, side: Family) {
        self.0[side].line = None;
    }
}
