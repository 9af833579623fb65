//! The SIP sockets: on each thread one at each listen address and fake.
//!
//! The sockets of one address share it, and the kernel deals datagrams out by who
//! sent them: those of one peer all come to one thread, in their order.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::config::{Config, Map};
use crate::hashing::Hashing;
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
use crate::socket::UdpSocket;
use crate::socket::{BindError, Role, SocketOptions, bind_sip};

/// The epoll datum of what wakes the thread.
const WAKE: u64 = u64::MAX;

/// A SIP socket, bound.
#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
#[derive(Debug)]
pub struct SipSocket {
    /// As configured; what the core knows the socket by.
    pub address: SocketAddr,
    /// The socket itself.
    pub socket: UdpSocket,
}

#[allow(clippy::disallowed_types, reason = "the shell owns sockets")]
impl SipSocket {
    /// The socket of another process, which was bound to this address there.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn adopt(address: SocketAddr, descriptor: OwnedFd) -> io::Result<Self> {
        let socket = UdpSocket::from(descriptor);
        if socket.local_addr()? != address {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        Ok(Self { address, socket })
    }
}

/// SIP sockets that nobody watches yet: for each thread a set, with the same
/// addresses. They can be bound before rights are dropped and threads exist.
#[derive(Debug)]
pub struct BoundSockets(pub Vec<Vec<SipSocket>>);

impl BoundSockets {
    /// Binds both listen addresses and all fakes, for so many threads.
    ///
    /// # Errors
    /// The address that cannot be had.
    pub fn bind(config: &Config, options: SocketOptions, threads: usize) -> Result<Self, BindError> {
        let listen = config.listen.iter().map(|(side, &address)| (address, Role::Listen(side)));
        Self::bind_all(listen.chain(config.maps.iter().map(fake)), options, threads)
    }

    /// Binds the fakes of these maps, for so many threads.
    ///
    /// # Errors
    /// The address that cannot be had; then none of them is held.
    pub fn bind_fakes<'a>(
        maps: impl Iterator<Item = &'a Map>,
        options: SocketOptions,
        threads: usize,
    ) -> Result<Self, BindError> {
        Self::bind_all(maps.map(fake), options, threads)
    }

    fn bind_all(
        addresses: impl Iterator<Item = (SocketAddr, Role)>,
        options: SocketOptions,
        threads: usize,
    ) -> Result<Self, BindError> {
        let Self(mut sets) = Self::none(threads);
        for (address, role) in addresses {
            let sockets = bind_sip(address, role, options, sets.len())?;
            for (set, socket) in sets.iter_mut().zip(sockets) {
                set.push(SipSocket { address, socket });
            }
        }
        Ok(Self(sets))
    }

    /// None, for so many threads.
    pub fn none(threads: usize) -> Self {
        Self((0..threads.max(1)).map(|_| Vec::new()).collect())
    }

    /// How many addresses they have.
    pub fn addresses(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }
}

fn fake(map: &Map) -> (SocketAddr, Role) {
    (map.fake, Role::Fake(map.phone))
}

/// What a thread waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// It was woken: there are orders.
    Woken,
    /// This socket is readable, or errors wait at it.
    Socket {
        /// Which one.
        key: usize,
        /// Errors wait.
        failing: bool,
    },
}

/// The SIP sockets of a thread, watched.
#[derive(Debug)]
pub(super) struct SipSockets {
    epoll: Epoll,
    /// By their keys, which are never used again.
    sockets: Vec<Option<SipSocket>>,
    /// The socket to send from at each address.
    places: HashMap<SocketAddr, usize, Hashing>,
}

impl SipSockets {
    /// None yet; `wake` is watched too.
    pub(super) fn new(wake: impl AsFd) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self { epoll, sockets: Vec::new(), places: HashMap::default() })
    }

    /// Watches one more.
    pub(super) fn add(&mut self, socket: SipSocket) -> io::Result<()> {
        let key = self.sockets.len();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(key).unwrap_or(WAKE));
        self.epoll.add(&socket.socket, event)?;
        self.places.insert(socket.address, key);
        self.sockets.push(Some(socket));
        Ok(())
    }

    /// Gives back those at these addresses; `None`: all.
    pub(super) fn remove(&mut self, addresses: Option<&[SocketAddr]>) -> Vec<SipSocket> {
        let is_meant = |socket: &mut SipSocket| addresses.is_none_or(|meant| meant.contains(&socket.address));
        let removed: Vec<_> = self.sockets.iter_mut().filter_map(|place| place.take_if(is_meant)).collect();
        for SipSocket { address, socket } in &removed {
            self.places.remove(address);
            // Closing would not do where another process or thread has it too.
            let _ = self.epoll.delete(socket);
        }
        removed
    }

    /// Looks which sockets are readable and whether the thread is woken, and with
    /// `idle` waits until there is something; gives the number of `events` that tell.
    pub(super) fn wait(&self, events: &mut [EpollEvent], idle: bool) -> io::Result<usize> {
        let timeout = if idle { EpollTimeout::NONE } else { EpollTimeout::ZERO };
        loop {
            match self.epoll.wait(events, timeout) {
                Err(Errno::EINTR) => {}
                ready => return Ok(ready?),
            }
        }
    }

    /// What an event speaks of.
    pub(super) fn ready(event: EpollEvent) -> Ready {
        match usize::try_from(event.data()) {
            _ if event.data() == WAKE => Ready::Woken,
            Ok(key) => Ready::Socket { key, failing: event.events().contains(EpollFlags::EPOLLERR) },
            Err(_) => Ready::Woken,
        }
    }

    /// The socket of a key, if it is still there.
    pub(super) fn get(&self, key: usize) -> Option<&SipSocket> {
        self.sockets.get(key)?.as_ref()
    }

    /// The socket of a key for reading errors, with our address.
    pub(super) fn descriptor(&self, key: usize) -> Option<(RawFd, SocketAddr)> {
        self.get(key).map(|socket| (socket.socket.as_raw_fd(), socket.address))
    }

    /// The key of the socket to send from at an address.
    pub(super) fn place(&self, from: SocketAddr) -> Option<usize> {
        self.places.get(&from).copied()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "tests own sockets")]
mod tests {
    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::*;
    use crate::family::Family;

    /// Sockets on loopback at ports that the system chose, watched.
    fn watched() -> (SipSockets, Vec<SocketAddr>) {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        let mut sockets = SipSockets::new(&wake).unwrap();
        let mut addresses = Vec::new();
        for address in ["127.0.0.1:0", "[::1]:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let role = Role::Listen(Family::at(address));
            let socket = bind_sip(address, role, SocketOptions::default(), 1).unwrap().remove(0);
            let address = socket.local_addr().unwrap();
            sockets.add(SipSocket { address, socket }).unwrap();
            addresses.push(address);
        }
        (sockets, addresses)
    }

    fn next(sockets: &SipSockets, buffer: &mut [u8]) -> (usize, SocketAddr, SocketAddr) {
        let mut events = [EpollEvent::empty(); 8];
        assert!(sockets.wait(&mut events, true).unwrap() > 0);
        let Ready::Socket { key, failing: false } = SipSockets::ready(events[0]) else { panic!() };
        let socket = sockets.get(key).unwrap();
        let (length, remote) = socket.socket.recv_from(buffer).unwrap();
        (length, socket.address, remote)
    }

    #[test]
    fn each_socket_is_heard_and_spoken_from() {
        let (sockets, addresses) = watched();
        let mut buffer = vec![0; 65_535];
        for address in addresses {
            let peer = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
            let there = peer.local_addr().unwrap();
            for length in [0, 1, 1500, 65_507] {
                peer.send_to(&vec![b'x'; length], address).unwrap();
                assert_eq!(next(&sockets, &mut buffer), (length, address, there));
            }
            let from = sockets.place(address).and_then(|key| sockets.get(key)).unwrap();
            from.socket.send_to(b"answer", there).unwrap();
            let (length, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"answer"[..], address));
        }
    }

    #[test]
    fn removed_addresses_are_free_for_another_daemon() {
        let (mut sockets, addresses) = watched();
        let address = addresses[0];
        assert!(UdpSocket::bind(address).is_err());
        assert_eq!(sockets.remove(Some(&addresses[..1])).len(), 1);
        assert!(UdpSocket::bind(address).is_ok());
        assert_eq!(sockets.place(address), None);
        assert!(sockets.get(0).is_none() && sockets.get(1).is_some());
        assert_eq!(sockets.remove(None).len(), 2);
    }

    #[test]
    fn each_thread_gets_a_socket_at_each_address() {
        let bind = |count| {
            let role = Role::Listen(Family::V4);
            let options = SocketOptions::default();
            BoundSockets::bind_all([("127.0.0.1:0".parse().unwrap(), role)].into_iter(), options, count).unwrap()
        };
        let BoundSockets(sets) = bind(3);
        let addresses: Vec<_> = sets.iter().map(|set| set[0].socket.local_addr().unwrap()).collect();
        assert_eq!(addresses, [addresses[0]; 3]);
        assert_eq!(bind(0).addresses(), 1);
    }
}
