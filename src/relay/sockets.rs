//! The sockets of a stream.

use std::io;
use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::key::Way;
use super::peer_socket::{Connected, PeerSocket};
use super::stock::Stock;
use crate::family::{Family, PerFamily};
use crate::media::stream::Component;
use crate::socket::{BindError, SocketOptions};

/// RTP and RTCP at one listen address. What a packet needs is in its first line of
/// the cache.
#[derive(Debug)]
#[repr(C, align(64))]
struct Pair {
    /// To the party whose RTP comes here, while it is known.
    peer: Option<PeerSocket>,
    ports: Ports,
}

/// The ports of one side.
#[derive(Debug)]
enum Ports {
    /// Reserved: nobody was told of them yet. RTP will be here.
    Noted(SocketAddr),
    /// Open.
    Open(OpenPair),
}

/// The open sockets of one side of a stream, bound; what arrives waits in them.
#[derive(Debug)]
#[repr(C)]
pub struct OpenPair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where RTP is bound.
    address: SocketAddr,
}

impl OpenPair {
    /// Binds the RTP port at an address and the RTCP port above it. After an error
    /// none of them is held.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub fn bind(address: SocketAddr, stock: &mut Stock) -> Result<Self, PortTaken> {
        let (side, port) = (Family::at(address), address.port());
        let mut bind = |port| {
            let bound = stock.bind(SocketAddr::new(address.ip(), port));
            bound.map_err(|error| PortTaken { side, port: address.port(), error })
        };
        Ok(Self { rtp: bind(port)?, rtcp: bind(port.saturating_add(1))?, address })
    }

    fn socket(&self, component: Component) -> &UdpSocket {
        match component {
            Component::Rtp => &self.rtp,
            Component::Rtcp => &self.rtcp,
        }
    }
}

impl Pair {
    /// Sockets of another process; they are bound and do not block.
    fn adopt(rtp: OwnedFd, rtcp: OwnedFd) -> io::Result<Self> {
        let rtp: UdpSocket = rtp.into();
        let address = rtp.local_addr()?;
        Ok(Self { peer: None, ports: Ports::Open(OpenPair { rtp, rtcp: rtcp.into(), address }) })
    }

    fn address(&self) -> SocketAddr {
        match &self.ports {
            Ports::Noted(address) | Ports::Open(OpenPair { address, .. }) => *address,
        }
    }

    fn open(&self) -> Option<&OpenPair> {
        match &self.ports {
            Ports::Open(open) => Some(open),
            Ports::Noted(_) => None,
        }
    }

    fn socket(&self, component: Component) -> io::Result<&UdpSocket> {
        self.open().map(|open| open.socket(component)).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn connected(&self) -> Option<&Connected> {
        self.peer.as_ref().and_then(PeerSocket::connected)
    }
}

/// The sockets of a stream: two open ones on each side, or on one side where nobody
/// was told of the other one yet. Beside them there may be a `PeerSocket` on each side.
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
    /// Binds the ports of `side`: RTP, and RTCP above it. Those of the other side
    /// are only noted.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub fn bind(
        listen: PerFamily<IpAddr>,
        ports: PerFamily<u16>,
        side: Family,
        stock: &mut Stock,
    ) -> Result<Self, PortTaken> {
        let noted = |side| Pair { peer: None, ports: Ports::Noted(SocketAddr::new(listen[side], ports[side])) };
        let mut sockets = Self(PerFamily::from_fn(noted));
        sockets.bind_rest(side, stock)?;
        Ok(sockets)
    }

    /// Binds the ports of a side that are only noted so far.
    ///
    /// # Errors
    /// A port that cannot be had; then none of this side is held.
    pub fn bind_rest(&mut self, side: Family, stock: &mut Stock) -> Result<(), PortTaken> {
        self.set(side, OpenPair::bind(self.0[side].address(), stock)?);
        Ok(())
    }

    /// Gives a side its sockets.
    pub(super) fn set(&mut self, side: Family, open: OpenPair) {
        self.0[side].ports = Ports::Open(open);
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        Family::BOTH.into_iter().all(|side| self.is_open(side))
    }

    /// Whether a side has its sockets.
    pub(super) fn is_open(&self, side: Family) -> bool {
        self.0[side].open().is_some()
    }

    /// The descriptors, to hand them to another process: RTP and RTCP of the
    /// IPv4 side, then of the IPv6 side. `None`: a side has none yet.
    pub fn descriptors(&self) -> Option<[BorrowedFd<'_>; 4]> {
        let [v4, v6] = Family::BOTH.map(|side| self.0[side].open());
        let (v4, v6) = (v4?, v6?);
        Some([v4.rtp.as_fd(), v4.rtcp.as_fd(), v6.rtp.as_fd(), v6.rtcp.as_fd()])
    }

    /// The sockets behind descriptors of [`StreamSockets::descriptors`], which
    /// another process has sent.
    ///
    /// # Errors
    /// The first of a pair is no socket of its family.
    pub fn adopt([rtp4, rtcp4, rtp6, rtcp6]: [OwnedFd; 4]) -> io::Result<Self> {
        let (v4, v6) = (Pair::adopt(rtp4, rtcp4)?, Pair::adopt(rtp6, rtcp6)?);
        if !v4.address().is_ipv4() || !v6.address().is_ipv6() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(PerFamily::new(v4, v6)))
    }

    /// Reads a value of each line of the cache that a packet needs.
    pub(super) fn touch(&self) -> u64 {
        let [v4, v6] = Family::BOTH.map(|side| u64::from(self.connected(side).is_some()));
        v4 ^ v6
    }

    /// Where one of them is bound, or will be.
    pub(super) fn address(&self, side: Family, component: Component) -> SocketAddr {
        let mut address = self.0[side].address();
        if component == Component::Rtcp {
            address.set_port(address.port().saturating_add(1));
        }
        address
    }

    /// One of the open sockets, to be watched.
    pub(super) fn open(&self, side: Family, component: Component) -> Option<BorrowedFd<'_>> {
        self.0[side].open().map(|open| open.socket(component).as_fd())
    }

    /// The peer socket on `side`, if there is one, to be watched.
    pub(super) fn connected(&self, side: Family) -> Option<&Connected> {
        self.0[side].connected()
    }

    /// What to read the errors of.
    pub(super) fn raw(&self, side: Family, component: Component, way: Way) -> Option<RawFd> {
        let socket = match way {
            Way::Peer => self.0[side].connected().map(AsFd::as_fd),
            Way::Open => self.open(side, component),
        };
        socket.map(|socket| socket.as_raw_fd())
    }

    /// Takes one packet off an open socket, or off a peer socket.
    pub(super) fn receive(
        &mut self,
        side: Family,
        component: Component,
        way: Way,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        let pair = &mut self.0[side];
        match pair.peer.as_mut().filter(|_| way == Way::Peer).and_then(PeerSocket::receiver) {
            Some((party, connected)) => connected.receive(party, buffer),
            None => pair.socket(component)?.recv_from(buffer),
        }
    }

    /// Sends a packet to the party on `side`, which is at `to`: by its peer
    /// socket, if there is one. A first failure may be an ICMP error for a packet before.
    pub(super) fn send(&self, side: Family, component: Component, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let pair = &self.0[side];
        let send = || match pair.connected().filter(|_| component == Component::Rtp) {
            Some(connected) => connected.send(packet),
            None => pair.socket(component)?.send_to(packet, to),
        };
        send().or_else(|_| send()).map(drop)
    }

    /// Whom packets of this component reach by the peer socket on `side`, if there is one.
    pub(super) fn peer(&self, side: Family, component: Component) -> Option<SocketAddr> {
        let peer = self.0[side].peer.as_ref().filter(|peer| peer.connected().is_some())?;
        (component == Component::Rtp).then_some(peer.party)
    }

    /// Whom the peer socket on `side` is for.
    pub(super) fn party(&self, side: Family) -> Option<SocketAddr> {
        self.0[side].peer.as_ref().map(|peer| peer.party)
    }

    /// Makes a socket for the party on `side` alone.
    pub(super) fn connect(&mut self, side: Family, party: SocketAddr, options: SocketOptions, most_files: u64) {
        let pair = &mut self.0[side];
        pair.peer = pair.open().map(|open| PeerSocket::new(&open.rtp, open.address, party, options, most_files));
    }

    /// Lets the party on `side` come to the open socket again.
    pub(super) fn disconnect(&self, side: Family) {
        if let Some(connected) = self.connected(side) {
            connected.disconnect(self.0[side].address());
        }
    }

    /// Closes the peer socket on `side`.
    pub(super) fn close_peer(&mut self, side: Family) {
        self.0[side].peer = None;
    }
}
