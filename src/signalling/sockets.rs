//! The SIP sockets: one at each listen address and fake.
//!
//! They share one epoll instance of their own, and the runtime watches only
//! that: however many fakes there are, waiting costs the same.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::Config;
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
use crate::socket::UdpSocket;
use crate::socket::{BindError, Role, SocketOptions, bind_sip};

/// SIP sockets that are bound, but not watched yet. They can be bound before
/// rights are dropped and a runtime exists.
#[derive(Debug)]
pub struct BoundSockets {
    sockets: Vec<SipSocket>,
}

#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
#[derive(Debug)]
struct SipSocket {
    /// As configured; what the core knows the socket by.
    address: SocketAddr,
    socket: UdpSocket,
}

impl BoundSockets {
    /// Binds both listen addresses and all fakes.
    pub fn bind(config: &Config, options: SocketOptions) -> Result<Self, BindError> {
        let listen = config.listen.iter().map(|(side, &address)| (address, Role::Listen(side)));
        let fakes = config.maps.iter().map(|map| (map.fake, Role::Fake(map.phone)));
        let bind = |(address, role)| Ok(SipSocket { address, socket: bind_sip(address, role, options)? });
        Ok(Self { sockets: listen.chain(fakes).map(bind).collect::<Result<_, _>>()? })
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }
}

/// The epoll instance as tokio wants it.
#[derive(Debug)]
struct Watch(Epoll);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// The SIP sockets, watched.
#[derive(Debug)]
pub(super) struct SipSockets {
    sockets: Vec<SipSocket>,
    places: HashMap<SocketAddr, usize>,
    watch: AsyncFd<Watch>,
}

impl SipSockets {
    /// Watches the sockets; a tokio runtime must be there.
    pub(super) fn watch(BoundSockets { sockets }: BoundSockets) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut places = HashMap::new();
        for (at, SipSocket { address, socket }) in sockets.iter().enumerate() {
            epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(at).unwrap_or(u64::MAX)))?;
            places.insert(*address, at);
        }
        // What replaces this call is the same, but for the word `unsafe`: a promise
        // that the descriptor stays open and the same. `Watch` keeps it.
        #[allow(deprecated, reason = "its successor is unsafe")]
        let watch = AsyncFd::with_interest(Watch(epoll), Interest::READABLE)?;
        Ok(Self { sockets, places, watch })
    }

    /// Waits until sockets are readable; gives the number of `events` that say which.
    pub(super) async fn readable(&self, events: &mut [EpollEvent]) -> io::Result<usize> {
        loop {
            let mut guard = self.watch.readable().await?;
            match self.watch.get_ref().0.wait(events, EpollTimeout::ZERO) {
                // Tokio is told of changes only: it may wait for the next one
                // not before there is nothing left.
                Ok(0) => guard.clear_ready(),
                Ok(ready) => return Ok(ready),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Takes a datagram from the socket of an event: its length, our address,
    /// and the sender's. `None`: there is none now.
    pub(super) fn receive(&self, event: EpollEvent, buffer: &mut [u8]) -> Option<(usize, SocketAddr, SocketAddr)> {
        let SipSocket { address, socket } = self.sockets.get(usize::try_from(event.data()).ok()?)?;
        // Errors are those of single packets (a bad checksum): nothing that stays.
        let (length, remote) = socket.recv_from(buffer).ok()?;
        Some((length, *address, remote))
    }

    /// The socket of an event at which errors wait, with our address.
    pub(super) fn failing(&self, event: EpollEvent) -> Option<(RawFd, SocketAddr)> {
        let SipSocket { address, socket } = self.sockets.get(usize::try_from(event.data()).ok()?)?;
        event.events().contains(EpollFlags::EPOLLERR).then(|| (socket.as_raw_fd(), *address))
    }

    /// Whether an address is that of one of these sockets.
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.places.contains_key(&address)
    }

    /// Sends out of the socket at `from`.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, message: &[u8]) -> io::Result<()> {
        let socket = self.places.get(&from).and_then(|&at| self.sockets.get(at));
        let SipSocket { socket, .. } = socket.ok_or(io::ErrorKind::AddrNotAvailable)?;
        socket.send_to(message, to).map(|_| ())
    }

    /// Closes all of them, so that another process may bind their addresses.
    pub(super) fn close(&mut self) {
        self.places.clear();
        self.sockets.clear();
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "tests own sockets")]
mod tests {
    use super::*;
    use crate::family::Family;

    /// Sockets on loopback at ports that the system chose.
    fn bound() -> BoundSockets {
        let bind = |address: &str| {
            let address = address.parse().unwrap();
            let socket = bind_sip(address, Role::Listen(Family::of(address.ip())), SocketOptions::default()).unwrap();
            SipSocket { address: socket.local_addr().unwrap(), socket }
        };
        BoundSockets { sockets: ["127.0.0.1:0", "[::1]:0", "[::1]:0"].map(bind).into() }
    }

    async fn next(sockets: &SipSockets, buffer: &mut [u8]) -> (usize, SocketAddr, SocketAddr) {
        let mut events = [EpollEvent::empty(); 8];
        let ready = sockets.readable(&mut events).await.unwrap();
        events[..ready].iter().find_map(|&event| sockets.receive(event, buffer)).unwrap()
    }

    #[tokio::test]
    async fn each_socket_is_heard_and_spoken_from() {
        let sockets = SipSockets::watch(bound()).unwrap();
        let mut buffer = vec![0; 65_535];
        for SipSocket { address, .. } in &sockets.sockets {
            let peer = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
            let there = peer.local_addr().unwrap();
            for length in [0, 1, 1500, 65_507] {
                peer.send_to(&vec![b'x'; length], address).unwrap();
                assert_eq!(next(&sockets, &mut buffer).await, (length, *address, there));
            }
            sockets.send(*address, there, b"answer").unwrap();
            let (length, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"answer"[..], *address));
        }
    }

    #[tokio::test]
    async fn what_is_left_at_a_socket_is_told_again() {
        let sockets = SipSockets::watch(bound()).unwrap();
        let mut buffer = [0; 100];
        let here = sockets.sockets[1].address;
        let peer = UdpSocket::bind("[::1]:0").unwrap();
        for message in [b"1", b"2", b"3"] {
            peer.send_to(message, here).unwrap();
        }
        for message in [b"1", b"2", b"3"] {
            // One datagram a waking, though more are there.
            next(&sockets, &mut buffer).await;
            assert_eq!(&buffer[..1], message);
        }
    }

    #[tokio::test]
    async fn closed_addresses_are_free_for_another_daemon() {
        let mut sockets = SipSockets::watch(bound()).unwrap();
        let address = sockets.sockets[0].address;
        assert!(sockets.contains(address));
        assert!(UdpSocket::bind(address).is_err());
        sockets.close();
        assert!(!sockets.contains(address));
        assert!(UdpSocket::bind(address).is_ok());
        assert!(sockets.send(address, address, b"x").is_err());
    }
}
