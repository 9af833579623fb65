//! How each socket is made.
//!
//! All are UDP sockets bound to one address and port: one for SIP at each
//! listen address and fake, four for each media stream. None of them blocks.

use std::fmt;
use std::io;
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
pub use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::Plain;
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
    /// The same for IPv6 (ipv6(7)).
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

/// What a socket is for; the words of the error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// SIP at a listen address.
    Listen(Family),
    /// SIP at the stand-in of this phone.
    Fake(SocketAddr),
    /// RTP or RTCP.
    Media,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(family) => write!(f, "{family} listen address"),
            Self::Fake(phone) => write!(f, "fake of {}", Plain(*phone)),
            Self::Media => f.write_str("media port"),
        }
    }
}

/// A socket that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {address} ({role}): {cause}{}", Advice { address: *address, cause })]
pub struct BindError {
    /// Where it was to be.
    pub address: SocketAddr,
    /// What for.
    pub role: Role,
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

/// What the user can do about a [`BindError`].
struct Advice<'a> {
    address: SocketAddr,
    cause: &'a io::Error,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        let length = if ip.is_ipv4() { 32 } else { 128 };
        match self.cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRNOTAVAIL) => {
                write!(f, "; no interface has it: ip addr add {ip}/{length} dev lo, or use --freebind")
            }
            Some(Errno::EADDRINUSE) => {
                write!(f, "; another program has it: ss -lunp 'sport = :{port}' tells which")
            }
            Some(Errno::EACCES) if port < 1024 => {
                write!(f, "; ports below 1024 need root or CAP_NET_BIND_SERVICE, or take a higher port")
            }
            Some(Errno::EMFILE | Errno::ENFILE) => {
                write!(f, "; raise the limit: ulimit -n, or LimitNOFILE= in systemd")
            }
            Some(Errno::EAFNOSUPPORT) => write!(f, "; this system has no {}", Family::of(ip)),
            _ => Ok(()),
        }
    }
}

/// Sockets for SIP at one address, at least one. The kernel deals datagrams out
/// to them by source address and port, so that all of one peer come to one socket
/// (SO_REUSEPORT, socket(7)).
///
/// The first is bound without that option: it fails where another program has the
/// address. Only then may others share it, and they must be of the same user.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
pub fn bind_sip(
    address: SocketAddr,
    role: Role,
    options: SocketOptions,
    count: usize,
) -> Result<Vec<UdpSocket>, BindError> {
    let first = bind(address, role, options.freebind, prepare_sip)?;
    let failed = |cause| BindError { address, role, cause };
    let mut sockets = Vec::with_capacity(count.max(1));
    if count > 1 {
        SockRef::from(&first).set_reuse_port(true).map_err(failed)?;
    }
    // The same but where the system chose the port.
    let bound = first.local_addr().map_err(failed)?;
    sockets.push(first);
    for _ in 1..count {
        sockets.push(bind(bound, role, options.freebind, |socket, ip| {
            socket.set_reuse_port(true)?;
            prepare_sip(socket, ip)
        })?);
    }
    Ok(sockets)
}

/// A socket for RTP or RTCP.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
pub fn bind_media(address: SocketAddr, options: SocketOptions) -> Result<UdpSocket, BindError> {
    bind(address, Role::Media, options.freebind, |socket, ip| prepare_media(socket, ip, options.dscp))
}

/// A second socket for RTP where one is bound that allows it (SO_REUSEPORT).
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
pub fn bind_media_again(address: SocketAddr, options: SocketOptions) -> Result<UdpSocket, BindError> {
    bind(address, Role::Media, options.freebind, |socket, ip| {
        socket.set_reuse_port(true)?;
        prepare_media(socket, ip, options.dscp)
    })
}

#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
fn bind(
    address: SocketAddr,
    role: Role,
    freebind: bool,
    prepare: impl FnOnce(&Socket, IpAddr) -> io::Result<()>,
) -> Result<UdpSocket, BindError> {
    let make = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        common(&socket, address.ip(), freebind)?;
        prepare(&socket, address.ip())?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    make().map_err(|cause| BindError { address, role, cause })
}

/// What all sockets have.
fn common(socket: &Socket, ip: IpAddr, freebind: bool) -> io::Result<()> {
    // An IPv6 socket that takes IPv4 would be a way around the bridge.
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match (freebind, ip) {
        (true, IpAddr::V4(_)) => socket.set_freebind_v4(true)?,
        (true, IpAddr::V6(_)) => socket.set_freebind_v6(true)?,
        (false, _) => {}
    }
    // Without retransmission of our own, a datagram above the path MTU should
    // be cut into fragments from the first one on, not be lost to probe the path.
    match ip {
        IpAddr::V4(_) => setsockopt(socket, Ipv4MtuDiscover, &DO_NOT_DISCOVER)?,
        IpAddr::V6(_) => setsockopt(socket, Ipv6MtuDiscover, &DO_NOT_DISCOVER)?,
    }
    Ok(())
}

fn prepare_sip(socket: &Socket, ip: IpAddr) -> io::Result<()> {
    // Where a datagram was too big for its path, ICMP says so: only in IPv6, as
    // IPv4 routers cut up what has no "don't fragment".
    if ip.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    // With the right to it (CAP_NET_ADMIN) also beyond that; less is no error.
    match setsockopt(socket, sockopt::RcvBufForce, &SIP_RECEIVE_BUFFER) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(SIP_RECEIVE_BUFFER),
    }
}

fn prepare_media(socket: &Socket, ip: IpAddr, dscp: Option<u8>) -> io::Result<()> {
    // A media socket is mostly not connected; only so do ICMP errors reach it,
    // for the line at the end of the call ("nobody there").
    match ip {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    // DSCP is the upper six bits of the field (RFC 2474 §3).
    match (dscp.map(|value| u32::from(value & 0x3f) << 2), ip) {
        (Some(field), IpAddr::V4(_)) => socket.set_tos_v4(field),
        (Some(field), IpAddr::V6(_)) => socket.set_tclass_v6(field),
        (None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn said(address: SocketAddr, role: Role, errno: Errno) -> String {
        BindError { address, role, cause: errno.into() }.to_string()
    }

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let fake = Role::Fake(address("192.0.2.101:5060"));
        let text = said(address("[2001:db8::101]:5060"), fake, Errno::EADDRNOTAVAIL);
        assert!(text.contains("[2001:db8::101]:5060 (fake of 192.0.2.101)"), "{text}");
        assert!(text.contains("ip addr add 2001:db8::101/128 dev lo"), "{text}");
        let text = said(address("192.0.2.1:5060"), Role::Listen(Family::V4), Errno::EADDRINUSE);
        assert!(text.contains("(IPv4 listen address)") && text.contains("ss -lunp 'sport = :5060'"), "{text}");
        let text = said(address("192.0.2.1:80"), Role::Media, Errno::EACCES);
        assert!(text.contains("(media port)") && text.contains("below 1024"), "{text}");
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
