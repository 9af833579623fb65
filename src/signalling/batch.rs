//! Datagrams in and out, many at a system call.
//!
//! Both ends keep what they are made of, so that nothing is allocated for a
//! datagram. They hold pointers for the kernel and stay on the thread that made
//! them.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, recvmmsg, sendmmsg,
};

use crate::family::Family;

/// Datagrams at a system call: beyond this, less than a per cent is left to gain.
pub(super) const BATCH: usize = 16;
/// How often a message is tried. A failure may be what ICMP says of a datagram before it,
/// and anybody can make ICMP up; one of its own comes back each time.
const MAX_ATTEMPTS: u32 = 8;
/// Room for the largest datagram of UDP, and some more: at powers of two their
/// first lines would all want the same few places of a cache.
const DATAGRAM: usize = (1 << 16) + 17 * 64;

/// Where datagrams are received into. Of its mebibyte only what was ever written
/// to takes memory.
#[derive(Debug)]
pub(super) struct Inbox {
    buffers: Box<[u8]>,
    /// The kernel is told how long an address may be by how long the last one was:
    /// each family has headers of its own.
    v4: MultiHeaders<SockaddrIn>,
    v6: MultiHeaders<SockaddrIn6>,
    /// Length and sender of each.
    received: Vec<(usize, SocketAddr)>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * DATAGRAM].into_boxed_slice(),
            v4: MultiHeaders::preallocate(BATCH, None),
            v6: MultiHeaders::preallocate(BATCH, None),
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Receives what waits at a socket of this family, [`BATCH`] at the most; how
    /// many they are. Errors are those of single packets (a bad checksum, an ICMP
    /// message): nothing that stays.
    pub(super) fn receive(&mut self, socket: RawFd, family: Family) -> usize {
        self.received.clear();
        let Self { buffers, received, .. } = self;
        match family {
            Family::V4 => receive_into(socket, &mut self.v4, buffers, received),
            Family::V6 => receive_into(socket, &mut self.v6, buffers, received),
        }
        received.len()
    }

    /// A datagram of the last batch, with its sender.
    pub(super) fn get(&self, index: usize) -> Option<(SocketAddr, &[u8])> {
        let &(length, from) = self.received.get(index)?;
        let start = index.checked_mul(DATAGRAM)?;
        Some((from, self.buffers.get(start..start.checked_add(length)?)?))
    }
}

fn receive_into<S: SockaddrLike + Copy + Into<SocketAddr>>(
    socket: RawFd,
    headers: &mut MultiHeaders<S>,
    buffers: &mut [u8],
    received: &mut Vec<(usize, SocketAddr)>,
) {
    // Another error is of what was sent before, and says nothing of what waits.
    if receive_once(socket, headers, buffers, received).is_err_and(|errno| errno != Errno::EAGAIN) {
        let _ = receive_once(socket, headers, buffers, received);
    }
}

fn receive_once<S: SockaddrLike + Copy + Into<SocketAddr>>(
    socket: RawFd,
    headers: &mut MultiHeaders<S>,
    buffers: &mut [u8],
    received: &mut Vec<(usize, SocketAddr)>,
) -> nix::Result<()> {
    let mut buffers = buffers.chunks_exact_mut(DATAGRAM);
    let mut slices: [_; BATCH] = std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
    let messages = recvmmsg(socket, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    received.extend(messages.map_while(|message| Some((message.bytes, message.address?.into()))));
    Ok(())
}

/// A socket to send by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) socket: RawFd,
    /// It is connected to where the messages are for: the kernel knows the way, and
    /// would look for it where it is told the address again.
    pub(super) connected: bool,
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    /// The key of the socket that it leaves by.
    pub(super) socket: usize,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// Messages that wait to be sent together, and room for more.
#[derive(Debug)]
pub(super) struct Outbox {
    leaving: Vec<Leaving>,
    /// Copies of those that could not leave, a batch at the most.
    unsent: Vec<Leaving>,
    room: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
    addresses: Vec<Option<SockaddrStorage>>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            leaving: Vec::with_capacity(BATCH),
            unsent: Vec::new(),
            room: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, None),
            addresses: Vec::with_capacity(BATCH),
        }
    }

    /// A buffer to write a message into.
    pub(super) fn room(&mut self) -> Vec<u8> {
        self.room.pop().unwrap_or_default()
    }

    /// Takes back a buffer that is not needed.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        if self.room.len() < BATCH {
            self.room.push(buffer);
        }
    }

    /// A message is to leave. `true`: as many wait as go out together.
    pub(super) fn push(&mut self, leaving: Leaving) -> bool {
        self.leaving.push(leaving);
        self.leaving.len() >= BATCH
    }

    /// Sends all that waits; what goes out of one socket keeps its order.
    /// `socket` finds a socket by its key, `failed` is told of each message that
    /// the system does not take, and why. Where it says `true`, the message is kept.
    pub(super) fn send(
        &mut self,
        socket: impl Fn(usize) -> Option<Exit>,
        mut failed: impl FnMut(&Leaving, Errno) -> bool,
    ) {
        let unsent = &mut self.unsent;
        let mut failed = |leaving: &Leaving, errno| {
            if failed(leaving, errno) && unsent.len() < BATCH {
                unsent.push(Leaving { bytes: leaving.bytes.clone(), ..*leaving });
            }
        };
        // As few as they are, this sorts in place and allocates nothing.
        self.leaving.sort_by_key(|leaving| leaving.socket);
        for run in self.leaving.chunk_by(|one, other| one.socket == other.socket) {
            let Some(exit) = run.first().and_then(|leaving| socket(leaving.socket)) else {
                run.iter().for_each(|leaving| failed(leaving, Errno::EADDRNOTAVAIL));
                continue;
            };
            send_run(exit, run, &mut self.headers, &mut self.addresses, &mut failed);
        }
        for Leaving { bytes, .. } in self.leaving.drain(..) {
            if self.room.len() < BATCH {
                self.room.push(bytes);
            }
        }
    }

    /// The next message that could not leave and was kept.
    pub(super) fn unsent(&mut self) -> Option<Leaving> {
        self.unsent.pop()
    }
}

/// Sends messages out of one socket.
fn send_run(
    exit: Exit,
    run: &[Leaving],
    headers: &mut MultiHeaders<SockaddrStorage>,
    addresses: &mut Vec<Option<SockaddrStorage>>,
    failed: &mut impl FnMut(&Leaving, Errno),
) {
    let mut rest = run;
    while let Some((first, behind)) = rest.split_first() {
        let mut sent = send_some(exit, rest, headers, addresses);
        for _ in 1..MAX_ATTEMPTS {
            if sent.is_err() {
                sent = send_some(exit, rest, headers, addresses);
            }
        }
        match sent {
            Ok(sent) => rest = rest.get(sent.max(1)..).unwrap_or_default(),
            Err(errno) => {
                failed(first, errno);
                rest = behind;
            }
        }
    }
}

/// Sends the first of these messages; how many left.
fn send_some(
    exit: Exit,
    run: &[Leaving],
    headers: &mut MultiHeaders<SockaddrStorage>,
    addresses: &mut Vec<Option<SockaddrStorage>>,
) -> nix::Result<usize> {
    addresses.clear();
    let to = |leaving: &Leaving| (!exit.connected).then(|| SockaddrStorage::from(leaving.to));
    addresses.extend(run.iter().take(BATCH).map(to));
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    for (slice, leaving) in slices.iter_mut().zip(run) {
        *slice = [IoSlice::new(&leaving.bytes)];
    }
    let sent = sendmmsg(exit.socket, headers, slices.iter(), &*addresses, [], MsgFlags::MSG_DONTWAIT)?;
    Ok(sent.count())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::socket::await_loopback;

    fn leaving(socket: usize, to: SocketAddr, bytes: &[u8]) -> Leaving {
        Leaving { socket, to, bytes: bytes.to_vec() }
    }

    fn open(socket: &UdpSocket) -> Exit {
        Exit { socket: socket.as_raw_fd(), connected: false }
    }

    /// What waits at a socket, in its order.
    fn waiting(inbox: &mut Inbox, socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
        await_loopback();
        let family = Family::of(socket.local_addr().unwrap().ip());
        let count = inbox.receive(socket.as_raw_fd(), family);
        (0..count).map(|index| inbox.get(index).map(|(from, bytes)| (from, bytes.to_vec())).unwrap()).collect()
    }

    /// Both families by turns: an address is never cut off to the other's length.
    #[test]
    fn batches_keep_order_length_and_sender() {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        for address in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"] {
            let (us, them) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
            let (here, there) = (us.local_addr().unwrap(), them.local_addr().unwrap());
            let lengths = [0, 1, 1500, 65_507, 3];
            for length in lengths {
                assert!(!outbox.push(leaving(7, there, &vec![b'x'; length])));
            }
            outbox.send(|key| (key == 7).then(|| open(&us)), |_, errno| panic!("{errno}"));
            let arrived = waiting(&mut inbox, &them);
            assert_eq!(arrived.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), lengths);
            assert!(arrived.iter().all(|(from, bytes)| *from == here && bytes.iter().all(|&byte| byte == b'x')));
            assert_eq!(inbox.receive(them.as_raw_fd(), Family::at(there)), 0);
            assert!(inbox.get(0).is_none());
        }
    }

    #[test]
    fn a_batch_is_full_at_its_size_and_what_is_left_comes_next() {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let (us, them) = (UdpSocket::bind("[::1]:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        let there = them.local_addr().unwrap();
        for number in 0..BATCH + 3 {
            let full = outbox.push(leaving(0, there, &[u8::try_from(number).unwrap()]));
            assert_eq!(full, number + 1 >= BATCH);
        }
        outbox.send(|_| Some(open(&us)), |_, errno| panic!("{errno}"));
        let mut numbers: Vec<_> = waiting(&mut inbox, &them).into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(numbers.len(), BATCH);
        numbers.extend(waiting(&mut inbox, &them).into_iter().flat_map(|(_, bytes)| bytes));
        assert!(numbers.into_iter().map(usize::from).eq(0..BATCH + 3));
    }

    #[test]
    fn a_connected_socket_sends_to_its_peer() {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (us, them) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
            let there = them.local_addr().unwrap();
            us.connect(there).unwrap();
            for message in [b"one", b"two"] {
                outbox.push(leaving(0, there, message));
            }
            outbox.send(|_| Some(Exit { connected: true, ..open(&us) }), |_, errno| panic!("{errno}"));
            let arrived: Vec<_> = waiting(&mut inbox, &them).into_iter().map(|(_, bytes)| bytes).collect();
            assert_eq!(arrived, [b"one", b"two"]);
        }
    }

    /// What one message meets is no fault of the next.
    #[test]
    fn a_message_that_cannot_leave_is_told_and_the_others_leave() {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let (us, them) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let there = them.local_addr().unwrap();
        outbox.push(leaving(0, there, b"first"));
        outbox.push(leaving(1, there, b"no socket"));
        outbox.push(leaving(0, there, &vec![0; 65_536]));
        outbox.push(leaving(0, there, b"last"));
        let mut told = Vec::new();
        outbox.send(
            |key| (key == 0).then(|| open(&us)),
            |leaving, errno| {
                told.push((leaving.bytes.len(), errno));
                errno == Errno::EADDRNOTAVAIL
            },
        );
        assert_eq!(outbox.unsent().map(|kept| kept.bytes.len()), Some(9));
        assert!(outbox.unsent().is_none());
        assert_eq!(told, [(65_536, Errno::EMSGSIZE), (9, Errno::EADDRNOTAVAIL)]);
        let arrived: Vec<_> = waiting(&mut inbox, &them).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(arrived, [b"first".to_vec(), b"last".to_vec()]);
        assert!(outbox.room().capacity() > 0, "buffers are used again");
    }
}
