//! The SIP sockets: on each thread one at each listen address and fake, and peer sockets.
//!
//! The sockets of one address share it, and the kernel deals datagrams out by who
//! sent them: those of one peer all come to one thread, in their order.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::batch::Exit;
use super::peer_sockets::Peer;
use crate::config::{Config, Map};
use crate::hashing::Hashing;
use crate::socket::UdpSocket;
use crate::socket::{BindError, Role, SocketOptions, bind_sip, connect_sip, disconnect};

/// The epoll datum of what wakes the thread.
const WAKE: u64 = u64::MAX;

/// A SIP socket, bound.
#[derive(Debug)]
pub struct SipSocket {
    /// As configured; what the core knows the socket by.
    pub address: SocketAddr,
    /// The socket itself.
    pub socket: UdpSocket,
}

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
        Self::bind_all(Role::of_sip(config), options, threads)
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
        Self::bind_all(maps.map(|map| (map.fake, Role::Fake(map.phone))), options, threads)
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
    /// By their keys.
    sockets: Vec<Option<Watched>>,
    /// What there is at each of our addresses.
    places: HashMap<SocketAddr, SocketsAt, Hashing>,
}

/// The keys of the sockets at an address.
#[derive(Debug)]
struct SocketsAt {
    open: usize,
    /// A few: by whom they are for.
    peers: Vec<(SocketAddr, usize)>,
}

impl SocketsAt {
    fn peer(&self, to: SocketAddr) -> Option<usize> {
        self.peers.iter().find(|(remote, _)| *remote == to).map(|&(_, key)| key)
    }
}

#[derive(Debug)]
struct Watched {
    socket: SipSocket,
    /// It is a peer socket, and no open one.
    connected: bool,
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
        let address = socket.address;
        let open = self.watch(Watched { socket, connected: false })?;
        self.places.insert(address, SocketsAt { open, peers: Vec::new() });
        Ok(())
    }

    fn watch(&mut self, watched: Watched) -> io::Result<usize> {
        // An event of whoever had the key before does no harm: nothing waits then.
        let free = self.sockets.iter().position(Option::is_none);
        let key = free.unwrap_or(self.sockets.len());
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(key).unwrap_or(WAKE));
        self.epoll.add(&watched.socket.socket, event)?;
        match self.sockets.get_mut(key) {
            Some(place) => *place = Some(watched),
            None => self.sockets.push(Some(watched)),
        }
        Ok(key)
    }

    /// Gives back the open ones at these addresses; `None`: all.
    pub(super) fn remove(&mut self, addresses: Option<&[SocketAddr]>) -> Vec<SipSocket> {
        let is_meant = |watched: &mut Watched| {
            !watched.connected && addresses.is_none_or(|meant| meant.contains(&watched.socket.address))
        };
        let removed = self.sockets.iter_mut().filter_map(|place| place.take_if(is_meant));
        let removed: Vec<_> = removed.map(|watched| watched.socket).collect();
        for SipSocket { address, socket } in &removed {
            self.places.remove(address);
            // Closing would not do where another process or thread has it too.
            let _ = self.epoll.delete(socket);
        }
        removed
    }

    /// Makes a peer socket beside the open socket of its address, and gives the key of that:
    /// what the peer sent before waits there. `None`: it is there already.
    ///
    /// # Errors
    /// Where it cannot be had, as where there is no way to the peer yet.
    pub(super) fn connect(&mut self, peer: Peer, options: SocketOptions) -> io::Result<Option<usize>> {
        let Peer { local, remote } = peer;
        let place = self.places.get(&local).ok_or(io::ErrorKind::AddrNotAvailable)?;
        if place.peer(remote).is_some() {
            return Ok(None);
        }
        let open = place.open;
        let beside = self.get(open).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = connect_sip(&beside.socket, remote, options)?;
        let key = self.watch(Watched { socket: SipSocket { address: local, socket }, connected: true })?;
        if let Some(place) = self.places.get_mut(&local) {
            place.peers.push((remote, key));
        }
        Ok(Some(open))
    }

    /// Lets what all peers but these send come to the open sockets. The
    /// keys of those that ended: what came before waits there, until they are closed.
    pub(super) fn disconnect(&mut self, kept: &[Peer]) -> Vec<usize> {
        let Self { places, sockets, .. } = self;
        let mut ended = Vec::new();
        for (&local, place) in places {
            place.peers.retain(|&(remote, key)| {
                let stays = kept.contains(&Peer { local, remote });
                if !stays && let Some(Some(peer)) = sockets.get(key) {
                    disconnect(&peer.socket.socket, local.ip());
                    ended.push(key);
                }
                stays
            });
        }
        ended
    }

    /// Closes a peer socket that was disconnected.
    pub(super) fn close(&mut self, key: usize) {
        if let Some(place) = self.sockets.get_mut(key) {
            *place = None;
        }
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
        self.sockets.get(key)?.as_ref().map(|watched| &watched.socket)
    }

    /// Whether a key is that of a peer socket.
    pub(super) fn is_peer(&self, key: usize) -> bool {
        self.sockets.get(key).and_then(Option::as_ref).is_some_and(|watched| watched.connected)
    }

    /// The socket of a key for reading errors, with our address.
    pub(super) fn descriptor(&self, key: usize) -> Option<(RawFd, SocketAddr)> {
        self.get(key).map(|socket| (socket.socket.as_raw_fd(), socket.address))
    }

    /// The socket of a key for sending.
    pub(super) fn exit(&self, key: usize) -> Option<Exit> {
        let Watched { socket, connected } = self.sockets.get(key)?.as_ref()?;
        Some(Exit { socket: socket.socket.as_raw_fd(), connected: *connected })
    }

    /// The key of the socket to send by, from an address of ours to another.
    pub(super) fn place(&self, from: SocketAddr, to: SocketAddr) -> Option<usize> {
        let place = self.places.get(&from)?;
        Some(place.peer(to).unwrap_or(place.open))
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::*;
    use crate::family::Family;
    use crate::socket::await_loopback;

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
            let from = sockets.place(address, there).and_then(|key| sockets.get(key)).unwrap();
            from.socket.send_to(b"answer", there).unwrap();
            let (length, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"answer"[..], address));
        }
    }

    /// Who is heard by the socket of a key.
    fn heard(sockets: &SipSockets, key: usize) -> Vec<SocketAddr> {
        await_loopback();
        let socket = &sockets.get(key).unwrap().socket;
        std::iter::from_fn(|| socket.recv_from(&mut [0; 8]).ok().map(|(_, from)| from)).collect()
    }

    #[test]
    fn a_peer_comes_by_its_socket_while_there_is_one() {
        let (mut sockets, addresses) = watched();
        for local in addresses {
            let [peer, other] = [(); 2].map(|()| UdpSocket::bind(SocketAddr::new(local.ip(), 0)).unwrap());
            let [from_peer, from_other] = [&peer, &other].map(|socket| socket.local_addr().unwrap());
            let both_speak = || [&peer, &other].map(|socket| socket.send_to(b"here", local).unwrap());
            let peer_of_ours = Peer { local, remote: from_peer };
            both_speak();
            let open = sockets.connect(peer_of_ours, SocketOptions::default()).unwrap().unwrap();
            assert_eq!(sockets.connect(peer_of_ours, SocketOptions::default()).unwrap(), None);
            let own = sockets.place(local, from_peer).unwrap();
            assert_eq!(sockets.place(local, from_other), Some(open));
            assert!(sockets.exit(own).unwrap().connected && !sockets.exit(open).unwrap().connected);
            both_speak();
            assert_eq!(heard(&sockets, open), [from_peer, from_other, from_other]);
            assert_eq!(heard(&sockets, own), [from_peer]);
            // What waits when it ends is not lost, and what comes then goes to the open one.
            both_speak();
            assert!(sockets.disconnect(&[peer_of_ours]).is_empty());
            assert_eq!(sockets.disconnect(&[]), [own]);
            both_speak();
            assert_eq!(heard(&sockets, own), [from_peer]);
            assert_eq!(heard(&sockets, open), [from_other, from_peer, from_other]);
            assert_eq!(sockets.place(local, from_peer), Some(open));
            sockets.close(own);
            both_speak();
            assert_eq!(heard(&sockets, open), [from_peer, from_other]);
        }
    }

    #[test]
    fn where_there_is_no_way_there_is_no_peer_socket() {
        let (mut sockets, addresses) = watched();
        let local = addresses[0];
        // A broadcast needs leave (socket(7)).
        let beyond = Peer { local, remote: "255.255.255.255:5060".parse().unwrap() };
        let nowhere = Peer { local: "127.0.0.1:1".parse().unwrap(), remote: local };
        for peer in [beyond, nowhere] {
            assert!(sockets.connect(peer, SocketOptions::default()).is_err(), "{peer:?}");
            assert_eq!(sockets.place(local, peer.remote), sockets.place(local, local));
        }
    }

    #[test]
    fn removed_addresses_are_free_for_another_daemon() {
        let (mut sockets, addresses) = watched();
        let address = addresses[0];
        assert!(UdpSocket::bind(address).is_err());
        assert_eq!(sockets.remove(Some(&addresses[..1])).len(), 1);
        assert!(UdpSocket::bind(address).is_ok());
        assert_eq!(sockets.place(address, address), None);
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
