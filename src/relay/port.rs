//! One socket of a stream, connected to its party while nobody else may speak.
//!
//! The kernel then drops the packets of strangers, uncounted, and spares us
//! the look-up of the way for each packet sent. What waited in the socket
//! before is still to be shown to the latch: so every packet is.

use std::io;
use std::net::SocketAddr;
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{SockaddrIn, connect};

/// A bound UDP socket that does not block.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    link: Link,
    /// It has its place among the [`Silences`](super::silences::Silences).
    pub(super) timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// It hears everybody.
    Open,
    /// It hears its party alone.
    Connected,
    /// It could not be connected; not to be tried again for each packet.
    Unconnectable,
}

impl Port {
    #[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self { socket, link: Link::Open, timed: false }
    }

    /// Where it is bound.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes one packet off it.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer)
    }

    /// Sends a packet to the party, which is at `to`. A first failure may be an
    /// ICMP error for a packet before this one.
    pub(super) fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let send = || match self.link {
            Link::Connected => self.socket.send(packet),
            Link::Open | Link::Unconnectable => self.socket.send_to(packet, to),
        };
        send().or_else(|_| send()).map(drop)
    }

    /// Whether it hears its party alone.
    pub(super) fn is_connected(&self) -> bool {
        self.link == Link::Connected
    }

    /// Whether it hears everybody and might be connected.
    pub(super) fn is_open(&self) -> bool {
        self.link == Link::Open
    }

    /// Lets it hear this party alone.
    pub(super) fn connect(&mut self, party: SocketAddr) {
        self.link = if self.socket.connect(party).is_ok() { Link::Connected } else { Link::Unconnectable };
    }

    /// Lets it hear everybody again. It keeps its address and port, since both
    /// were named when it was bound (connect(2), AF_UNSPEC).
    pub(super) fn disconnect(&mut self) {
        let nobody = libc::sockaddr_in {
            sin_family: libc::AF_UNSPEC as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: 0 },
            sin_zero: [0; 8],
        };
        // The kernel has no reason to refuse.
        if self.is_connected() {
            let _ = connect(self.socket.as_raw_fd(), &SockaddrIn::from(nobody));
        }
        self.link = Link::Open;
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Port {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<OwnedFd> for Port {
    fn from(descriptor: OwnedFd) -> Self {
        Self::new(descriptor.into())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "tests own sockets")]
mod tests {
    use super::*;

    /// A port, and a few sockets to talk to it.
    fn port(address: &str) -> (Port, [UdpSocket; 3]) {
        let others = [(); 3].map(|()| UdpSocket::bind((address, 0)).unwrap());
        // Named when it is bound, as those of streams are.
        let free = others[0].try_clone().unwrap().local_addr().unwrap().port();
        let number = (free.wrapping_add(1)..u16::MAX).find_map(|number| UdpSocket::bind((address, number)).ok());
        let socket = number.unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        (Port::new(socket), others)
    }

    fn hears(port: &Port, from: &UdpSocket) {
        let address = port.address().unwrap();
        from.send_to(b"here", address).unwrap();
        assert_eq!(port.receive(&mut [0; 16]).unwrap(), (4, from.local_addr().unwrap()));
    }

    #[test]
    fn it_hears_one_alone_and_then_everybody_and_then_another() {
        for address in ["127.0.0.1", "::1"] {
            let (mut port, [a, b, c]) = port(address);
            let bound = port.address().unwrap();
            hears(&port, &b);
            port.connect(a.local_addr().unwrap());
            assert!(port.is_connected() && !port.is_open());
            // On loopback a packet is there, or dropped, when it was sent.
            let _ = b.send_to(b"stranger", bound);
            hears(&port, &a);
            port.disconnect();
            assert_eq!(port.address().unwrap(), bound);
            hears(&port, &b);
            hears(&port, &c);
            port.connect(c.local_addr().unwrap());
            let _ = a.send_to(b"stranger", bound);
            hears(&port, &c);
            port.send(b"for c", c.local_addr().unwrap()).unwrap();
            assert_eq!(c.recv_from(&mut [0; 16]).unwrap(), (5, bound));
        }
    }

    #[test]
    fn what_waits_when_it_is_connected_is_there_with_its_sender() {
        let (mut port, [a, b, _]) = port("127.0.0.1");
        b.send_to(b"early", port.address().unwrap()).unwrap();
        port.connect(a.local_addr().unwrap());
        assert_eq!(port.receive(&mut [0; 16]).unwrap(), (5, b.local_addr().unwrap()));
    }

    #[test]
    fn where_it_cannot_be_connected_it_goes_on_without() {
        let (mut port, [a, ..]) = port("127.0.0.1");
        // Another family than its own.
        port.connect("[::1]:9".parse().unwrap());
        assert!(!port.is_connected() && !port.is_open());
        hears(&port, &a);
        port.disconnect();
        assert!(port.is_open());
    }
}
