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
use crate::family::{Family, PerFamily};
use crate::media::command::{LegDescription, SessionId, StreamId};
use crate::media::stream::{Component, Stream};

/// ICMP errors read from a socket before the others get their turn again.
const ERRORS: usize = 16;

/// A stream with its sockets.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) stream: Stream,
    pub(super) sockets: StreamSockets,
    pub(super) id: StreamId,
    pub(super) session: SessionId,
    pub(super) failures: PerFamily<Failures>,
}

impl Relayed {
    /// Relays one packet of a socket, if one waits. Where the socket hears its
    /// party alone from now on: until when at the soonest.
    pub(super) fn packet(
        &mut self,
        now: Duration,
        key: SocketKey,
        buffer: &mut [u8],
        tap: Option<&dyn Tap>,
    ) -> Option<Duration> {
        let SocketKey { side, component, .. } = key;
        let port = self.sockets.of(side, component);
        let may_connect = port.is_open();
        // An error here is one from ICMP, which this very call takes off the
        // socket, or a packet with a bad checksum: nothing that stays.
        let (length, from) = port.receive(buffer).ok()?;
        let packet = buffer.get(..length)?;
        let to = self.stream.packet(now, side, component, from, packet);
        if let Some(tap) = tap {
            self.show(tap, key, from, to, packet);
        }
        if let Some(to) = to
            && let Err(error) = self.sockets.of(side.other(), component).send(packet, to)
        {
            self.failures[side.other()].not_sent(to, &error);
        }
        if may_connect { self.connect(side, component) } else { None }
    }

    /// Connects a socket, if nobody else is let in.
    fn connect(&mut self, side: Family, component: Component) -> Option<Duration> {
        let (party, until) = self.stream.sole_speaker(side, component)?;
        let port = self.sockets.of_mut(side, component);
        port.connect(party);
        // One that was connected before may still have its place.
        let untimed = port.is_connected() && !std::mem::replace(&mut port.timed, true);
        untimed.then_some(until)
    }

    /// The time has come to look at a connected socket: whether others may be
    /// let in. If not: when to look again.
    pub(super) fn look_again(&mut self, now: Duration, key: SocketKey) -> Option<Duration> {
        let SocketKey { side, component, .. } = key;
        let sole = self.stream.sole_speaker(side, component).map(|(_, until)| until).filter(|&until| until > now);
        let port = self.sockets.of_mut(side, component);
        let until = sole.filter(|_| port.is_connected());
        port.timed = until.is_some();
        if until.is_none() {
            port.disconnect();
        }
        until
    }

    /// A leg is described anew, and heard with open ears: even one that is
    /// described as it was may have become silent for good.
    pub(super) fn describe(&mut self, side: Family, leg: LegDescription) {
        self.stream.describe(side, leg);
        for component in Component::BOTH {
            self.sockets.of_mut(side, component).disconnect();
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

    /// Gives the stream out. Its sockets hear everybody, as new ones do.
    pub(super) fn detach(mut self) -> (StreamState, StreamSockets) {
        for side in Family::BOTH {
            for component in Component::BOTH {
                self.sockets.of_mut(side, component).disconnect();
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_less_than_four_kilobytes() {
        assert!(size_of::<Relayed>() <= 2560, "{}", size_of::<Relayed>());
    }
}
