//! What ICMP says of packets that were sent (ip(7), IP_RECVERR).

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{sock_extended_err, sockaddr_in6};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

/// What is needed to read the errors of sockets, made once for all of them.
#[derive(Debug)]
pub(super) struct ErrorReader {
    control: Vec<u8>,
}

impl ErrorReader {
    pub(super) fn new() -> Self {
        Self { control: cmsg_space!(sock_extended_err, sockaddr_in6) }
    }

    /// Takes one error off a socket. `None`: no error waits.
    pub(super) fn next(&mut self, socket: RawFd) -> Option<Error> {
        let mut nothing = [];
        let mut packet = [IoSliceMut::new(&mut nothing)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket, &mut packet, Some(&mut self.control), flags).ok()?;
        let unreachable = message.cmsgs().is_ok_and(|mut messages| messages.any(|message| is_unreachable(&message)));
        let destination = message.address.as_ref().and_then(endpoint);
        Some(Error { unreachable, destination })
    }
}

/// An error of a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// The packet did not get there; "packet too big" does not say so.
    pub(super) unreachable: bool,
    /// Where the packet went.
    pub(super) destination: Option<SocketAddr>,
}

fn endpoint(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into())))
}

fn is_unreachable(message: &ControlMessageOwned) -> bool {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message else {
        return false;
    };
    let errno = i32::try_from(error.ee_errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    matches!(errno, Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EACCES | Errno::EHOSTDOWN)
}
