//! A stream with its sockets.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::figures::{Failures, StreamFigures};
use super::handover::StreamState;
use super::icmp::ErrorReader;
use super::key::SocketKey;
use super::sockets::StreamSockets;
use super::tap::{Passage, Tap};
use crate::clock::wall_clock;
use crate::family::PerFamily;
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::{Component, Stream};

/// ICMP errors read from a socket before the others get their turn again.
const ERRORS: usize = 16;

/// A stream with its sockets.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) id: StreamId,
    pub(super) session: SessionId,
    pub(super) stream: Stream,
    pub(super) sockets: StreamSockets,
    pub(super) failures: PerFamily<Failures>,
}

impl Relayed {
    /// Relays one packet of a socket, if one waits.
    pub(super) fn packet(&mut self, now: Duration, key: SocketKey, buffer: &mut [u8], tap: Option<&dyn Tap>) {
        let socket = self.sockets.of(key.side, key.component);
        // An error here is one from ICMP, which this very call takes off the
        // socket, or a packet with a bad checksum: nothing that stays.
        let Ok((length, from)) = socket.recv_from(buffer) else { return };
        let Some(packet) = buffer.get(..length) else { return };
        let to = self.stream.packet(now, key.side, key.component, from, packet);
        if let Some(tap) = tap {
            self.show(tap, key, from, to, packet);
        }
        let Some(to) = to else { return };
        let outgoing = key.side.other();
        let socket = self.sockets.of(outgoing, key.component);
        // A first failure may be an ICMP error for a packet before this one.
        if socket.send_to(packet, to).is_err()
            && let Err(error) = socket.send_to(packet, to)
        {
            let failures = &mut self.failures[outgoing];
            failures.unsent = failures.unsent.saturating_add(1);
            failures.last_unsent = Some((to, error.raw_os_error().unwrap_or(0)));
        }
    }

    #[cold]
    fn show(&self, tap: &dyn Tap, key: SocketKey, from: SocketAddr, to: Option<SocketAddr>, bytes: &[u8]) {
        let SocketKey { side, component, .. } = key;
        tap.packet(Passage {
            at: wall_clock(),
            session: self.session,
            stream: self.id,
            component,
            from,
            arrived: self.sockets.address(side, component),
            sent: to.map(|to| (self.sockets.address(side.other(), component), to)),
            bytes,
        });
    }

    /// Counts the ICMP errors that wait at a socket. As long as one is there
    /// epoll reports the socket.
    pub(super) fn read_errors(&mut self, key: SocketKey, errors: &mut ErrorReader) {
        let descriptor = self.sockets.of(key.side, key.component).as_raw_fd();
        let failures = &mut self.failures[key.side];
        for error in std::iter::from_fn(|| errors.next(descriptor)).take(ERRORS) {
            if error.unreachable {
                failures.unreachable = failures.unreachable.saturating_add(1);
                failures.last_unreachable = error.destination.or(failures.last_unreachable);
            }
        }
    }

    /// Gives the stream out.
    pub(super) fn detach(self) -> (StreamState, StreamSockets) {
        (StreamState { id: self.id, stream: self.stream, failures: self.failures }, self.sockets)
    }

    /// Takes a stream of this session in again.
    pub(super) fn attach(session: SessionId, state: StreamState, sockets: StreamSockets) -> Self {
        let StreamState { id, stream, failures } = state;
        Self { id, session, stream, sockets, failures }
    }

    /// What was counted so far.
    pub(super) fn figures(&self) -> StreamFigures {
        StreamFigures {
            stream: self.id,
            ports: PerFamily::from_fn(|side| Some(self.sockets.address(side, Component::Rtp))),
            legs: PerFamily::from_fn(|side| self.stream.report(side)),
            failures: self.failures,
        }
    }
}
