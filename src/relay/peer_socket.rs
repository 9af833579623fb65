//! A second socket at a media port, connected to the party that speaks there.
//!
//! The system gives it the packets of that party, and those of everybody else
//! to the open socket, so that whatever happens in a call is heard as before:
//! strangers, who are counted; a party that moves; the described address. Where
//! nothing happens packets cost less: one that is sent finds its way at once.
//!
//! What is called for each packet goes to the system without the C library, whose
//! recv(2) and send(2) are points where a thread may be cancelled: a fifth of all
//! that this program itself does for a packet.
//!
//! The open socket is not connected itself since it could not be opened again, see
//! [`disconnect`].

use std::io;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;

use crate::socket::{SocketOptions, bind_media_again, disconnect};

/// As many packets of a peer socket are looked at for where they come from. One that found
/// the socket before it was connected may be late, but not by so many.
const DOUBTFUL: u8 = 64;

/// What a party's packets come and go by, while it is known.
#[derive(Debug)]
pub(super) struct PeerSocket {
    /// Whom it is for.
    pub(super) party: SocketAddr,
    /// `None`: it cannot be had. Not to be tried again for each packet.
    socket: Option<Connected>,
}

#[derive(Debug)]
pub(super) struct Connected {
    socket: UdpSocket,
    /// As many more packets may be of others.
    doubtful: u8,
}

impl PeerSocket {
    /// One for this party beside the open socket, which is bound at `local`.
    /// None is had where files are scarce: those from `most_files` on are for
    /// calls.
    pub(super) fn new(
        open: &UdpSocket,
        local: SocketAddr,
        party: SocketAddr,
        options: SocketOptions,
        most_files: u64,
    ) -> Self {
        let connect = || {
            // Others of this user may share the port from here on, and nobody else.
            SockRef::from(open).set_reuse_port(true)?;
            let socket = bind_media_again(local, options).map_err(|error| error.cause)?;
            if u64::try_from(socket.as_raw_fd()).is_ok_and(|file| file >= most_files) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            socket.connect(party)?;
            Ok(Connected { socket, doubtful: DOUBTFUL })
        };
        let socket: io::Result<_> = connect();
        Self { party, socket: socket.ok() }
    }

    /// Its socket, if it has one.
    pub(super) fn connected(&self) -> Option<&Connected> {
        self.socket.as_ref()
    }

    /// Its socket to receive by, with whom it is for.
    pub(super) fn receiver(&mut self) -> Option<(SocketAddr, &mut Connected)> {
        self.socket.as_mut().map(|connected| (self.party, connected))
    }
}

impl Connected {
    /// Takes one packet off it, which is of the party. Between binding and
    /// connection others may have been quick: of the first few it is asked.
    pub(super) fn receive(&mut self, party: SocketAddr, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self.doubtful.checked_sub(1) {
            Some(less) => {
                self.doubtful = less;
                self.socket.recv_from(buffer)
            }
            None => Ok((recv(&self.socket, buffer, RecvFlags::empty())?.0, party)),
        }
    }

    /// Sends a packet to the party.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, packet, SendFlags::empty())?)
    }

    /// Lets the packets of the party go to the open socket again. What came
    /// before still waits here.
    pub(super) fn disconnect(&self, local: SocketAddr) {
        disconnect(&self.socket, local.ip());
    }
}

impl AsFd for Connected {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{await_loopback, bind_media};

    const PLENTY: u64 = 1 << 20;

    /// An open socket and three to talk to it.
    fn open(ip: &str) -> (UdpSocket, SocketAddr, [UdpSocket; 3]) {
        let others = [(); 3].map(|()| UdpSocket::bind((ip, 0)).unwrap());
        let socket = bind_media(SocketAddr::new(ip.parse().unwrap(), 0), SocketOptions::default()).unwrap();
        let local = socket.local_addr().unwrap();
        (socket, local, others)
    }

    /// Who is heard at a socket.
    fn heard(mut receive: impl FnMut(&mut [u8]) -> io::Result<(usize, SocketAddr)>) -> Vec<SocketAddr> {
        await_loopback();
        let mut buffer = [0; 16];
        std::iter::from_fn(|| receive(&mut buffer).ok().map(|(_, from)| from)).collect()
    }

    fn by(peer: &mut PeerSocket) -> impl FnMut(&mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (party, connected) = peer.receiver().unwrap();
        move |buffer| connected.receive(party, buffer)
    }

    #[test]
    fn the_party_comes_by_its_socket_and_others_by_the_open_one() {
        for ip in ["127.0.0.1", "::1"] {
            let (socket, local, others) = open(ip);
            let address = others.each_ref().map(|other| other.local_addr().unwrap());
            let all_speak = || others.iter().for_each(|other| _ = other.send_to(b"here", local).unwrap());
            all_speak();
            assert_eq!(heard(|buffer| socket.recv_from(buffer)), address);
            for round in 0..2 {
                let mut peer = PeerSocket::new(&socket, local, address[round], SocketOptions::default(), PLENTY);
                all_speak();
                assert_eq!(heard(by(&mut peer)), [address[round]]);
                let rest: Vec<_> = address.into_iter().filter(|&other| other != address[round]).collect();
                assert_eq!(heard(|buffer| socket.recv_from(buffer)), rest);
                peer.connected().unwrap().send(b"to the party").unwrap();
                assert_eq!(others[round].recv_from(&mut [0; 16]).unwrap(), (12, local));
                // What waits when it ends is not lost, and what comes then goes to the open one.
                all_speak();
                peer.connected().unwrap().disconnect(local);
                all_speak();
                assert_eq!(heard(by(&mut peer)), [address[round]]);
                assert_eq!(heard(|buffer| socket.recv_from(buffer)).len(), 5);
                drop(peer);
                all_speak();
                assert_eq!(heard(|buffer| socket.recv_from(buffer)), address);
            }
        }
    }

    #[test]
    fn who_speaks_is_known_without_asking_in_the_end() {
        let (socket, local, [party, other, _]) = open("::1");
        let address = party.local_addr().unwrap();
        let mut peer = PeerSocket::new(&socket, local, address, SocketOptions::default(), PLENTY);
        for _ in 0..2 * DOUBTFUL {
            party.send_to(b"here", local).unwrap();
            other.send_to(b"here", local).unwrap();
            assert_eq!(heard(by(&mut peer)), [address]);
        }
    }

    #[test]
    fn another_program_cannot_have_the_port() {
        let (socket, local, [other, ..]) = open("127.0.0.1");
        let _peer = PeerSocket::new(&socket, local, other.local_addr().unwrap(), SocketOptions::default(), PLENTY);
        assert!(UdpSocket::bind(local).is_err());
        assert!(bind_media(local, SocketOptions::default()).is_err());
    }

    #[test]
    fn where_files_are_scarce_there_is_none() {
        let (socket, local, [other, ..]) = open("127.0.0.1");
        let party = other.local_addr().unwrap();
        let peer = PeerSocket::new(&socket, local, party, SocketOptions::default(), 3);
        assert!(peer.connected().is_none() && peer.party == party);
        other.send_to(b"here", local).unwrap();
        assert_eq!(heard(|buffer| socket.recv_from(buffer)), [party]);
    }
}
