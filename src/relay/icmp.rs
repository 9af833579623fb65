//! What ICMP says of packets that were sent (ip(7), IP_RECVERR).

use std::io::IoSliceMut;
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

    /// Takes one error off a socket: whether it says that the packet did not
    /// get there, which "packet too big" does not. `None`: no error waits.
    pub(super) fn next(&mut self, socket: RawFd) -> Option<bool> {
        let mut nothing = [];
        let mut packet = [IoSliceMut::new(&mut nothing)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket, &mut packet, Some(&mut self.control), flags).ok()?;
        let unreachable = message.cmsgs().is_ok_and(|mut messages| messages.any(|message| is_unreachable(&message)));
        Some(unreachable)
    }
}

fn is_unreachable(message: &ControlMessageOwned) -> bool {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message else {
        return false;
    };
    let errno = i32::try_from(error.ee_errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    matches!(errno, Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EACCES | Errno::EHOSTDOWN)
}
