//! The media sockets as the shell would have them, from the commands alone.

use std::collections::{BTreeMap, BTreeSet};

use sipproxy64::config::PortRange;
use sipproxy64::family::{Family, PerFamily, is_unicast};
use sipproxy64::media::command::{Command, LegDescription, SessionId, StreamId};

/// Which streams are open, on which ports.
#[derive(Debug)]
pub struct Sockets {
    range: PortRange,
    streams: BTreeMap<StreamId, (SessionId, PerFamily<u16>)>,
    /// Ports of theirs, and whether they are open yet.
    bound: PerFamily<BTreeMap<u16, bool>>,
    queries: BTreeSet<SessionId>,
    closed: BTreeSet<SessionId>,
}

impl Sockets {
    /// None open; all will be out of `range`.
    pub fn new(range: PortRange) -> Self {
        Self {
            range,
            streams: BTreeMap::new(),
            bound: PerFamily::default(),
            queries: BTreeSet::new(),
            closed: BTreeSet::new(),
        }
    }

    /// Does what the shell would do, and fails where that cannot be done.
    pub fn carry_out(&mut self, command: &Command) {
        match command {
            Command::Open { session, stream, ports, side, .. } => self.open(*session, *stream, *ports, *side),
            Command::OpenRest { stream, side, port } => self.open_rest(*stream, *side, *port),
            Command::Describe { stream, side, leg } => self.describe(*stream, *side, leg),
            Command::Query { session } => drop(self.queries.insert(*session)),
            Command::CloseStream { stream } => self.close(*stream),
            Command::Close { session, obituary } => {
                assert!(self.closed.insert(*session), "{session:?} closed twice");
                assert!(obituary.call_id.len() <= 65_535);
                let streams: Vec<StreamId> = self.of(*session).collect();
                streams.into_iter().for_each(|stream| self.close(stream));
                self.queries.remove(session);
            }
        }
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// How many sessions have open streams.
    pub fn sessions(&self) -> usize {
        self.streams.values().map(|(session, _)| session).collect::<BTreeSet<_>>().len()
    }

    /// A port in use on `side`: the one at `index`, counted round and round.
    pub fn port(&self, side: Family, index: usize) -> Option<u16> {
        let count = self.streams.len().max(1);
        self.streams.values().nth(index % count).map(|(_, ports)| ports[side])
    }

    /// Whether `port` is open on `side`.
    pub fn is_bound(&self, side: Family, port: u16) -> bool {
        self.bound[side].get(&port).is_some_and(|open| *open)
    }

    /// Whether all ports in use are open.
    pub fn are_all_open(&self) -> bool {
        self.bound.iter().all(|(_, ports)| ports.values().all(|open| *open))
    }

    /// A question when a session was last heard that has no answer yet.
    pub fn next_query(&mut self) -> Option<SessionId> {
        self.queries.pop_first()
    }

    fn of(&self, session: SessionId) -> impl Iterator<Item = StreamId> {
        self.streams.iter().filter(move |(_, (owner, _))| *owner == session).map(|(stream, _)| *stream)
    }

    /// An `Open` for a stream that is open replaces the port that was taken.
    fn open(&mut self, session: SessionId, stream: StreamId, ports: PerFamily<u16>, first: Family) {
        assert!(!self.closed.contains(&session), "{session:?} is closed");
        self.close(stream);
        for (side, &port) in ports.iter() {
            self.bind(side, port, side == first);
        }
        self.streams.insert(stream, (session, ports));
    }

    /// The port may be another one by now, in place of one that was taken.
    fn open_rest(&mut self, stream: StreamId, side: Family, port: u16) {
        let (_, ports) = self.streams.get_mut(&stream).expect("a stream that is open on the other side");
        let before = std::mem::replace(&mut ports[side], port);
        self.bound[side].remove(&before);
        self.bind(side, port, true);
    }

    fn bind(&mut self, side: Family, port: u16, open: bool) {
        let (low, high) = self.range.bounds();
        assert!(port.is_multiple_of(2) && (low..high).contains(&port), "{port} is no RTP port of {low}-{high}");
        assert!(self.bound[side].insert(port, open).is_none(), "{port} is in use already");
    }

    fn close(&mut self, stream: StreamId) {
        let Some((_, ports)) = self.streams.remove(&stream) else { return };
        for (side, port) in ports.iter() {
            self.bound[side].remove(port);
        }
    }

    fn describe(&self, stream: StreamId, side: Family, leg: &LegDescription) {
        assert!(self.streams.contains_key(&stream), "{stream:?} is not open");
        for to in [leg.rtp, leg.rtcp].into_iter().flatten() {
            assert!(to.port() != 0 && is_unicast(to.ip()) && Family::of(to.ip()) == side, "{to} on {side}");
        }
    }
}
