//! The sockets of all sessions: who has which ports, and what the shell is to do.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Command, LegDescription, SessionId, StreamId};
use super::destination::RelaySocket;
use super::ports::PortPool;
use super::saved::{SetAside, Unfit};
use super::tags::CallHash;
use super::usage::Usage;
use crate::config::{Config, LatchMode};
use crate::family::{Family, PerFamily};
use crate::hashing::Hashing;

/// The sockets of one stream: what TURN calls an allocation (RFC 8656 §3.2), on two sides.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Allocation {
    /// Their stream.
    pub stream: StreamId,
    /// The RTP port of each side.
    pub ports: PerFamily<u16>,
    /// The side whose ports nobody was told of: they are reserved, not open. Before
    /// streams are told to another process all are opened.
    #[serde(skip)]
    pub unnamed: Option<Family>,
}

/// Whose a port is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The Call-ID of the session.
    pub call: CallHash,
    /// The session.
    pub session: SessionId,
    /// The side that called there.
    pub caller: Family,
    /// Which of its `m=` lines.
    pub media_index: usize,
}

/// After how many ports in a row that another program has no more are tried, as each
/// costs time in which other calls wait. Where nine of ten are another's, one call in
/// a thousand finds none of the tenth.
const MAX_FAILURES: u8 = 64;

/// For how long no port is asked for then.
const SHUT_PERIOD: Duration = Duration::from_secs(1);

/// The ports of both families, and the commands that are not carried out yet.
#[derive(Debug)]
pub struct Allocations {
    listen: PerFamily<IpAddr>,
    pools: PerFamily<PortPool>,
    /// By the even port of a pair.
    owners: PerFamily<HashMap<u16, Owner, Hashing>>,
    commands: VecDeque<Command>,
    latch: LatchMode,
    /// How many streams there may be, whatever the ports.
    most: usize,
    last_stream: u64,
    /// Ports in a row that could not be opened.
    failures: u8,
    /// Until when none is asked for.
    shut_until: Duration,
}

impl Allocations {
    /// All ports free.
    pub fn new(config: &Config) -> Self {
        Self {
            listen: PerFamily::from_fn(|family| config.listen[family].ip()),
            pools: PerFamily::from_fn(|family| PortPool::new(config.rtp_ports, config.port_order, family)),
            owners: PerFamily::default(),
            commands: VecDeque::new(),
            latch: config.latch,
            most: config.most_streams.unwrap_or(usize::MAX),
            last_stream: 0,
            failures: 0,
            shut_until: Duration::ZERO,
        }
    }

    /// The ports that may not be taken, by side, and the newest stream.
    pub fn save(&self) -> (PerFamily<SetAside>, u64) {
        (PerFamily::from_fn(|family| self.pools[family].save()), self.last_stream)
    }

    /// A stream of the process before goes on. All of them are to be told before
    /// [`Allocations::resume`].
    ///
    /// # Errors
    /// A port is odd, or another stream has it.
    pub fn adopt(&mut self, owner: Owner, allocation: Allocation) -> Result<(), Unfit> {
        for (family, &port) in allocation.ports.iter() {
            if port % 2 != 0 || self.owners[family].insert(port, owner).is_some() {
                return Err(Unfit::Port { family, port });
            }
        }
        Ok(())
    }

    /// Goes on where the process before stopped; a port outside the range, which
    /// may be another one now, is not handed out again.
    pub fn resume(&mut self, set_aside: &PerFamily<SetAside>, last_stream: u64) {
        self.last_stream = last_stream;
        for family in Family::BOTH {
            self.pools[family].resume(self.owners[family].keys().copied(), &set_aside[family]);
        }
    }

    /// How many streams could be opened.
    pub fn available(&mut self, now: Duration) -> usize {
        if now < self.shut_until {
            return 0;
        }
        let free = Family::BOTH.into_iter().map(|family| self.pools[family].available(now)).min().unwrap_or(0);
        free.min(self.room())
    }

    /// How many more of them.
    fn room(&self) -> usize {
        self.most.saturating_sub(self.owners[Family::V4].len())
    }

    /// Reserves ports for a stream, if there are some, and opens those of the side
    /// that is told of them.
    pub fn open(&mut self, now: Duration, owner: Owner, told: Family) -> Option<Allocation> {
        if self.available(now) == 0 {
            return None;
        }
        self.failures = 0;
        let (v4, v6) = (self.pools[Family::V4].take(now)?, self.pools[Family::V6].take(now)?);
        self.last_stream = self.last_stream.saturating_add(1);
        let unnamed = Some(told.other());
        let allocation = Allocation { stream: StreamId(self.last_stream), ports: PerFamily::new(v4, v6), unnamed };
        for family in Family::BOTH {
            self.owners[family].insert(allocation.ports[family], owner);
        }
        self.push_open(owner.session, allocation, told);
        Some(allocation)
    }

    /// Opens what of a stream is not open yet.
    pub fn open_rest(&mut self, allocation: &mut Allocation) {
        if let Some(side) = allocation.unnamed.take() {
            self.push_rest(*allocation, side);
        }
    }

    /// A port of this stream cannot be opened: it gets another one, or loses all
    /// where there is none, or where opening fails again and again.
    pub fn replace(
        &mut self,
        now: Duration,
        owner: Owner,
        allocation: Allocation,
        family: Family,
    ) -> Option<Allocation> {
        let mut allocation = allocation;
        let port = allocation.ports[family];
        self.owners[family].remove(&port);
        self.pools[family].taken(now, port);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            self.shut_until = now.saturating_add(SHUT_PERIOD);
        }
        let another = if now < self.shut_until { None } else { self.pools[family].take(now) };
        let Some(another) = another else {
            self.close(now, allocation);
            return None;
        };
        allocation.ports[family] = another;
        self.owners[family].insert(another, owner);
        if allocation.unnamed == Some(family.other()) {
            self.push_open(owner.session, allocation, family);
        } else {
            self.push_rest(allocation, family);
        }
        Some(allocation)
    }

    /// No port can be opened at all: this stream loses its own, and none is asked for
    /// a while.
    pub fn withdraw(&mut self, now: Duration, allocation: Allocation) {
        self.shut_until = now.saturating_add(SHUT_PERIOD);
        self.close(now, allocation);
    }

    fn close(&mut self, now: Duration, allocation: Allocation) {
        self.give_back(now, allocation);
        self.commands.push_back(Command::CloseStream { stream: allocation.stream });
    }

    /// The ports of an ended stream begin their rest.
    pub fn give_back(&mut self, now: Duration, allocation: Allocation) {
        for (family, port) in allocation.ports.iter() {
            if self.owners[family].remove(port).is_some() {
                self.pools[family].free(now, *port);
            }
        }
    }

    /// Whose the RTP or RTCP port is.
    pub fn owner(&self, family: Family, port: u16) -> Option<Owner> {
        self.owners[family].get(&(port & !1)).copied()
    }

    /// Tells a stream of a leg.
    pub fn describe(&mut self, allocation: Allocation, side: Family, leg: LegDescription) {
        self.commands.push_back(Command::Describe { stream: allocation.stream, side, leg });
    }

    /// Asks for something else.
    pub fn push(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// The oldest command.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// How many port pairs are in use on a side.
    pub fn in_use(&self, family: Family) -> usize {
        self.owners[family].len()
    }

    /// The pairs of the side that has the fewest left: as many are in use on both, but
    /// other programs may have more of one. All that are in use count as lost until a
    /// session is found that has them.
    pub fn usage(&self) -> Usage {
        let [v4, v6] = Family::BOTH.map(|family| &self.pools[family]);
        let pool = if v4.set_aside().1 >= v6.set_aside().1 { v4 } else { v6 };
        let (resting, taken) = pool.set_aside();
        Usage { pairs: pool.pairs().min(self.most), resting, taken, lost: pool.in_use(), ..Usage::default() }
    }

    /// Whose relay socket an endpoint would be at our listen address, seen from
    /// this session of `call`.
    #[inline]
    pub fn socket_at(&self, endpoint: SocketAddr, call: CallHash, session: SessionId) -> RelaySocket {
        let side = Family::at(endpoint);
        if endpoint.ip() != self.listen[side] {
            return RelaySocket::No;
        }
        match self.owner(side, endpoint.port()) {
            Some(owner) if owner.call == call && owner.session != session => RelaySocket::SameCall,
            Some(_) => RelaySocket::Other,
            None => RelaySocket::No,
        }
    }

    /// Whether the two legs of a stream lead to other streams of ours, and could be part of a
    /// ring, in which a packet goes round for ever. A pass between two others of its call is
    /// not: toward the callee the sessions become newer, toward the caller older.
    #[inline(never)] // Within the setting of a leg it would be larger.
    pub fn may_close_ring(&self, own: Option<Allocation>, legs: [(Family, Option<&LegDescription>); 2]) -> bool {
        let is_here = |side, to: Option<SocketAddr>| to.is_some_and(|to| to.ip() == self.listen[side]);
        let mut legs_here = legs.iter();
        legs_here.all(|&(side, leg)| leg.is_some_and(|leg| is_here(side, leg.rtp) || is_here(side, leg.rtcp)))
            && self.closes_ring(own, legs)
    }

    #[cold]
    fn closes_ring(&self, own: Option<Allocation>, legs: [(Family, Option<&LegDescription>); 2]) -> bool {
        let own = own.and_then(|own| self.owner(Family::V4, own.ports[Family::V4]));
        let mut leads_on = true;
        for (side, leg) in legs {
            let Some(leg) = leg else { return false };
            let next = [self.relay_at(side, leg.rtp), self.relay_at(side, leg.rtcp)];
            if next.iter().all(Option::is_none) {
                return false;
            }
            leads_on &= own.is_some_and(|own| next.iter().flatten().all(|next| is_next(own, side, next)));
        }
        !leads_on
    }

    #[inline(never)] // It is seldom that a leg has such an address.
    fn relay_at(&self, side: Family, to: Option<SocketAddr>) -> Option<Owner> {
        to.filter(|to| to.ip() == self.listen[side]).and_then(|to| self.owner(side, to.port()))
    }

    fn push_open(&mut self, session: SessionId, allocation: Allocation, side: Family) {
        let Allocation { stream, ports, .. } = allocation;
        self.commands.push_back(Command::Open { session, stream, ports, side, latch: self.latch });
    }

    fn push_rest(&mut self, allocation: Allocation, side: Family) {
        self.commands.push_back(Command::OpenRest { stream: allocation.stream, side, port: allocation.ports[side] });
    }
}

/// Whether `own`, where it leads to `next` on `side`, leads on: toward the callee to a newer
/// session that was called from there, toward the caller to an older one that called there.
fn is_next(own: Owner, side: Family, next: &Owner) -> bool {
    let order = if side == own.caller { Ordering::Less } else { Ordering::Greater };
    next.session.cmp(&own.session) == order && (next.caller == side) == (own.caller != side)
}
