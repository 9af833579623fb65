//! Media sockets that are made before a call needs them.
//!
//! Of what it takes to open a socket, making it is the larger part, and needs no
//! port. So each SIP thread makes some while it has nothing else to do; a message
//! that begins a call then only binds them. No port is taken for that, and who
//! looks from outside sees nothing but a few more open files.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use super::most_files;
use crate::family::{Family, PerFamily};
use crate::socket::{BindError, Role, SocketOptions, Unbound};

/// Sockets of a stream on each side: RTP and RTCP.
const OF_A_STREAM: usize = 2;

/// Sockets without an address, and how further ones are made.
#[derive(Debug)]
pub struct Stock {
    options: SocketOptions,
    sockets: PerFamily<Vec<Unbound>>,
    /// So many are to be there on each side.
    meant: usize,
    /// The system has no more, or not for this.
    exhausted: bool,
    /// Files beyond this number are for the sockets of calls.
    most_files: u64,
}

impl Stock {
    /// An empty one that is meant to hold what so many streams need.
    pub fn new(options: SocketOptions, streams: usize) -> Self {
        let meant = streams.saturating_mul(OF_A_STREAM);
        let sockets = PerFamily::from_fn(|_| Vec::with_capacity(meant));
        Self { options, sockets, meant, exhausted: false, most_files: most_files() }
    }

    /// One that stays empty: each socket is made when it is needed.
    pub fn none(options: SocketOptions) -> Self {
        // Not by way of the system, which is asked for nothing here.
        Self { options, sockets: PerFamily::default(), meant: 0, exhausted: false, most_files: 0 }
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        !self.exhausted && Family::BOTH.iter().any(|&family| self.sockets[family].len() < self.meant)
    }

    /// Whether a stream would find less than it needs.
    pub fn is_low(&self) -> bool {
        self.has_room() && Family::BOTH.iter().any(|&family| self.sockets[family].len() < OF_A_STREAM)
    }

    /// Makes what a stream needs, as far as there is room.
    pub fn add(&mut self) {
        for family in Family::BOTH {
            for _ in 0..OF_A_STREAM.min(self.meant.saturating_sub(self.sockets[family].len())) {
                match Unbound::new(family, self.options) {
                    Ok(socket) if self.is_spare(&socket) => self.sockets[family].push(socket),
                    _ => self.exhausted = true,
                }
            }
        }
    }

    fn is_spare(&self, socket: &Unbound) -> bool {
        u64::try_from(socket.as_fd().as_raw_fd()).is_ok_and(|file| file < self.most_files)
    }

    /// A socket at this address: one of those that are there, or a new one.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub(super) fn bind(&mut self, address: SocketAddr) -> Result<UdpSocket, BindError> {
        let family = Family::at(address);
        // What went out may come back: files that calls had were closed.
        self.exhausted = false;
        let socket = match self.sockets[family].pop() {
            Some(socket) => socket,
            None => {
                Unbound::new(family, self.options).map_err(|cause| BindError { address, role: Role::Media, cause })?
            }
        };
        match socket.bind(address) {
            Ok(()) => Ok(socket.into()),
            Err(error) => {
                if self.sockets[family].len() < self.meant {
                    self.sockets[family].push(socket);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(stock: &Stock) -> [usize; 2] {
        Family::BOTH.map(|family| stock.sockets[family].len())
    }

    #[test]
    fn it_fills_up_by_streams_and_no_further() {
        let mut stock = Stock::new(SocketOptions::default(), 2);
        assert!(stock.has_room() && stock.is_low());
        stock.add();
        assert!(stock.has_room() && !stock.is_low());
        stock.add();
        assert!(!stock.has_room());
        stock.add();
        assert_eq!(count(&stock), [4, 4]);
    }

    #[test]
    fn what_is_there_is_taken_first_and_comes_back_where_the_port_is_taken() {
        let mut stock = Stock::new(SocketOptions::default(), 1);
        stock.add();
        let socket = stock.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(count(&stock), [1, 2]);
        let taken = socket.local_addr().unwrap();
        assert_eq!(stock.bind(taken).unwrap_err().address, taken);
        assert_eq!(count(&stock), [1, 2]);
        // More than there are.
        let more = [(); 3].map(|()| stock.bind("[::1]:0".parse().unwrap()).unwrap());
        assert!(more.iter().all(|socket| socket.local_addr().unwrap().port() != 0));
        assert_eq!(count(&stock), [1, 0]);
    }

    #[test]
    fn where_files_are_scarce_it_stays_empty_until_it_is_asked_again() {
        let mut stock = Stock { most_files: 3, ..Stock::new(SocketOptions::default(), 1) };
        stock.add();
        assert_eq!(count(&stock), [0, 0]);
        assert!(!stock.has_room() && !stock.is_low());
        assert!(stock.bind("127.0.0.1:0".parse().unwrap()).is_ok());
        assert!(stock.has_room());
    }
}
