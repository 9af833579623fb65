//! How each socket is made.
//!
//! All are UDP sockets bound to one address and port: one for SIP at each
//! listen address and fake, four for each media stream. None of them blocks.

mod bind_error;
pub mod icmp;

use std::io;
pub use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub use self::bind_error::{BindError, Role};
use crate::family::Family;

/// What is asked for SIP sockets, in bytes; without privileges the kernel gives
/// what `net.core.rmem_max` allows. A registrar that starts anew gets a burst.
const SIP_RECEIVE_BUFFER: usize = 4 << 20;

/// IP_PMTUDISC_DONT and IPV6_PMTUDISC_DONT.
const DO_NOT_DISCOVER: libc::c_int = libc::IP_PMTUDISC_DONT;

sockopt_impl!(
    /// Whether IPv4 datagrams leave with "don't fragment" set (ip(7)).
    Ipv4MtuDiscover, SetOnly, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int
);
sockopt_impl!(
    /// Whether IPv6 datagrams leave in one piece or not at all (ipv6(7)).
    Ipv6MtuDiscover, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::c_int
);

/// What the command line says about sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// Bind addresses that are not on an interface yet.
    pub freebind: bool,
    /// The DSCP of relayed media (RFC 2474), 0 to 63; `None`: as the system has it.
    pub dscp: Option<u8>,
}

/// Sockets for SIP at one address, at least one. The kernel deals datagrams out
/// to them by source address and port, so that all of one peer come to one socket
/// (SO_REUSEPORT, socket(7)).
///
/// The first is bound without that option: it fails where another program has the
/// address. Only then may others share it, and they must be of the same user.
///
/// # Errors
/// Where the system says no, and for which address.
pub fn bind_sip(
    address: SocketAddr,
    role: Role,
    options: SocketOptions,
    count: usize,
) -> Result<Vec<UdpSocket>, BindError> {
    let first = bind(address, role, options.freebind, |_| Ok(()))?;
    let failed = |cause| BindError { address, role, cause };
    let mut sockets = Vec::with_capacity(count.max(1));
    if count > 1 {
        SockRef::from(&first).set_reuse_port(true).map_err(failed)?;
    }
    // The same but where the system chose the port.
    let bound = first.local_addr().map_err(failed)?;
    sockets.push(first);
    for _ in 1..count {
        sockets.push(bind(bound, role, options.freebind, |socket| socket.set_reuse_port(true))?);
    }
    Ok(sockets)
}

/// A second socket for SIP beside one that is bound already, connected to `peer`: the
/// kernel gives it what comes from there, and the other one what comes from all others.
///
/// # Errors
/// Where the address cannot be shared, or there is no way to the peer.
pub fn connect_sip(open: &UdpSocket, peer: SocketAddr, options: SocketOptions) -> io::Result<UdpSocket> {
    // Others of this user may share the address from here on, and nobody else.
    SockRef::from(open).set_reuse_port(true)?;
    let local = open.local_addr()?;
    let role = Role::Listen(Family::at(local));
    let socket = bind(local, role, options.freebind, |socket| socket.set_reuse_port(true));
    let socket = socket.map_err(|error| error.cause)?;
    socket.connect(peer)?;
    Ok(socket)
}

/// The discard port (RFC 863) of our own address: nobody speaks from there.
const NOWHERE: u16 = 9;

/// Lets what comes from the peer of a connected socket go to the open socket again.
/// What came before still waits here.
pub fn disconnect(connected: &UdpSocket, local: IpAddr) {
    // It fails where there is no way to ourselves; then the last packets are lost. To
    // be open again is not to be had: in IPv6 Linux keeps the address of the peer as a
    // filter (connect(2) with AF_UNSPEC).
    let _ = connected.connect(SocketAddr::new(local, NOWHERE));
}

/// A socket for RTP or RTCP that has no address yet, but all else.
#[derive(Debug)]
pub struct Unbound(Socket);

impl Unbound {
    /// One for addresses of this family.
    ///
    /// # Errors
    /// Where the system has no more of them.
    pub fn new(family: Family, options: SocketOptions) -> io::Result<Self> {
        let socket = new(domain(family))?;
        prepare_media(&socket, family, options)?;
        Ok(Self(socket))
    }

    /// Gives it an address.
    ///
    /// # Errors
    /// Where that cannot be had; the socket is as it was.
    pub fn bind(&self, address: SocketAddr) -> Result<(), BindError> {
        self.0.bind(&address.into()).map_err(|cause| BindError { address, role: Role::Media, cause })
    }
}

impl From<Unbound> for UdpSocket {
    fn from(Unbound(socket): Unbound) -> Self {
        socket.into()
    }
}

impl AsFd for Unbound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A socket for RTP or RTCP.
///
/// # Errors
/// An address that cannot be had.
pub fn bind_media(address: SocketAddr, options: SocketOptions) -> Result<UdpSocket, BindError> {
    let failed = |cause| BindError { address, role: Role::Media, cause };
    let socket = Unbound::new(Family::at(address), options).map_err(failed)?;
    socket.bind(address)?;
    Ok(socket.into())
}

/// A second socket for RTP where one is bound that allows it (SO_REUSEPORT).
///
/// # Errors
/// An address that cannot be had.
pub fn bind_media_again(address: SocketAddr, options: SocketOptions) -> Result<UdpSocket, BindError> {
    let failed = |cause| BindError { address, role: Role::Media, cause };
    let socket = Unbound::new(Family::at(address), options).map_err(failed)?;
    socket.0.set_reuse_port(true).map_err(failed)?;
    socket.bind(address)?;
    Ok(socket.into())
}

fn bind(
    address: SocketAddr,
    role: Role,
    freebind: bool,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> Result<UdpSocket, BindError> {
    let make = || {
        let family = Family::at(address);
        let socket = new(domain(family))?;
        prepare_sip(&socket, family, freebind)?;
        prepare(&socket)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    make().map_err(|cause| BindError { address, role, cause })
}

fn new(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))
}

fn domain(family: Family) -> Domain {
    match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    }
}

fn set_freebind(socket: &Socket, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => socket.set_freebind_v4(true),
        Family::V6 => socket.set_freebind_v6(true),
    }
}

fn prepare_sip(socket: &Socket, family: Family, freebind: bool) -> io::Result<()> {
    if freebind {
        set_freebind(socket, family)?;
    }
    // Without retransmission of our own, a datagram above the path MTU should
    // be cut into fragments from the first one on, not be lost to probe the path.
    match family {
        Family::V4 => {
            setsockopt(socket, Ipv4MtuDiscover, &DO_NOT_DISCOVER)?;
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
        }
        Family::V6 => {
            // An IPv6 socket that takes IPv4 would be a way around the bridge.
            socket.set_only_v6(true)?;
            setsockopt(socket, Ipv6MtuDiscover, &DO_NOT_DISCOVER)?;
            // Where a datagram was too big for its path, ICMP says so, too: only in
            // IPv6, as IPv4 routers cut up what has no "don't fragment".
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
        }
    }
    // With the right to it (CAP_NET_ADMIN) also beyond that; less is no error.
    match setsockopt(socket, sockopt::RcvBufForce, &SIP_RECEIVE_BUFFER) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(SIP_RECEIVE_BUFFER),
    }
}

/// What a media socket needs and does not have by itself. A call has four, so each
/// of these calls counts. IPV6_V6ONLY is not among them: a socket that is bound to
/// one IPv6 address has it. Nor is IPV6_MTU_DISCOVER, as what IPv6 does unasked is
/// right: what is too large for its way is cut into fragments, here.
fn prepare_media(socket: &Socket, family: Family, options: SocketOptions) -> io::Result<()> {
    if options.freebind {
        set_freebind(socket, family)?;
    }
    // A media socket is mostly not connected; only so do ICMP errors reach it,
    // for the line at the end of the call ("nobody there").
    match family {
        Family::V4 => {
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
            // As for SIP.
            setsockopt(socket, Ipv4MtuDiscover, &DO_NOT_DISCOVER)?;
        }
        Family::V6 => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    // DSCP is the upper six bits of the field (RFC 2474 §3).
    match (options.dscp.map(|value| u32::from(value & 0x3f) << 2), family) {
        (Some(field), Family::V4) => socket.set_tos_v4(field),
        (Some(field), Family::V6) => socket.set_tclass_v6(field),
        (None, _) => Ok(()),
    }
}

/// Waits until what this thread sent over loopback has arrived. A kernel with much to
/// do hands packets out later, but in their order.
#[cfg(test)]
pub(crate) fn await_loopback() {
    let fence = UdpSocket::bind("127.0.0.1:0").unwrap();
    fence.send_to(b"fence", fence.local_addr().unwrap()).unwrap();
    assert_eq!(fence.recv(&mut [0; 8]).unwrap(), 5);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_taken_address_is_an_error_that_names_it() {
        let listen = Role::Listen(Family::V4);
        for count in [1, 2] {
            let sockets = bind_sip(address("127.0.0.1:0"), listen, SocketOptions::default(), count).unwrap();
            assert_eq!(sockets.len(), count);
            let taken = sockets[0].local_addr().unwrap();
            let error = bind_media(taken, SocketOptions::default()).unwrap_err();
            assert_eq!(error.cause.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&taken.to_string()));
            let error = bind_sip(taken, listen, SocketOptions::default(), count).unwrap_err();
            assert_eq!(error.cause.kind(), io::ErrorKind::AddrInUse, "another daemon of the same user");
        }
    }

    /// The way around the bridge that IPV6_V6ONLY closes is closed without.
    #[test]
    fn an_ipv6_media_socket_has_no_part_in_ipv4() {
        let six = bind_media(address("[::1]:0"), SocketOptions::default()).unwrap();
        assert!(socket2::SockRef::from(&six).only_v6().unwrap());
        let port = six.local_addr().unwrap().port();
        let four = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        assert!(six.send_to(b"from six", SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), port)).is_err());
        four.send_to(b"to four", ("127.0.0.1", port)).unwrap();
        await_loopback();
        assert_eq!(six.recv_from(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    /// What is too large for its way is cut up, in either family, not refused.
    #[test]
    fn a_media_packet_of_any_size_leaves() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let sockets = [(); 2].map(|()| bind_media(address(listen), SocketOptions::default()).unwrap());
            let there = sockets[1].local_addr().unwrap();
            for length in [1, 1500, 65_000] {
                assert_eq!(sockets[0].send_to(&vec![b'x'; length], there).unwrap(), length);
            }
        }
    }

    #[test]
    fn media_sockets_carry_the_dscp() {
        let options = SocketOptions { freebind: false, dscp: Some(46) };
        let socket = bind_media(address("127.0.0.1:0"), options).unwrap();
        assert_eq!(socket2::SockRef::from(&socket).tos_v4().unwrap(), 46 << 2);
        let socket = bind_media(address("[::1]:0"), options).unwrap();
        assert_eq!(socket2::SockRef::from(&socket).tclass_v6().unwrap(), 46 << 2);
    }

    #[test]
    fn freebind_takes_an_address_that_no_interface_has() {
        let there = address("192.0.2.77:0");
        let error = bind_media(there, SocketOptions::default()).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AddrNotAvailable);
        assert!(bind_media(there, SocketOptions { freebind: true, dscp: None }).is_ok());
        let there = address("[2001:db8::77]:0");
        assert!(bind_media(there, SocketOptions { freebind: true, dscp: None }).is_ok());
    }
}
