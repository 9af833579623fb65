//! What ICMP says of datagrams that were sent (ip(7), IP_RECVERR).

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{sock_extended_err, sockaddr_in6};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

/// What is needed to read the errors of sockets, made once for all of them.
#[derive(Debug)]
pub struct ErrorReader {
    control: Vec<u8>,
}

impl Default for ErrorReader {
    fn default() -> Self {
        Self { control: cmsg_space!(sock_extended_err, sockaddr_in6) }
    }
}

impl ErrorReader {
    /// Takes one error off a socket. `None`: no error waits.
    pub fn next(&mut self, socket: RawFd) -> Option<IcmpError> {
        let mut nothing = [];
        let mut datagram = [IoSliceMut::new(&mut nothing)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket, &mut datagram, Some(&mut self.control), flags).ok()?;
        let errno = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| errno(&message)));
        let destination = message.address.as_ref().and_then(endpoint);
        Some(IcmpError { errno: errno.unwrap_or(Errno::UnknownErrno), destination })
    }
}

/// An error of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// What it means.
    pub errno: Errno,
    /// Where the datagram went.
    pub destination: Option<SocketAddr>,
}

impl IcmpError {
    /// The datagram did not get there; that it was too big does not say so.
    pub fn is_unreachable(self) -> bool {
        use Errno::{EACCES, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH};
        matches!(self.errno, ECONNREFUSED | EHOSTUNREACH | ENETUNREACH | EACCES | EHOSTDOWN)
    }
}

fn endpoint(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into())))
}

fn errno(message: &ControlMessageOwned) -> Option<Errno> {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message else {
        return None;
    };
    i32::try_from(error.ee_errno).ok().map(Errno::from_raw)
}
