//! Who may speak on one component of a leg, and where packets for it go.
//!
//! Signalling says where a party *wants* its media ([`Latch::describe`]); behind
//! a NAT it *sends* from elsewhere (RFC 4961, RFC 7362). A latch learns that
//! place from the packets ([`Latch::hear`]) without letting strangers in:
//!
//! An address is *acceptable* if the signalling showed exactly it (in IPv6 too:
//! a neighbour in the same /64 is a stranger), at any port.
//!
//! * Each description that moves the leg opens a *race*. The first acceptable
//!   packet wins it and becomes the destination; until then the destination is
//!   the described address.
//! * A packet from exactly the described address wins at any time.
//! * The winner of the race before is still let in while the new one is open,
//!   but cannot win it: its packets in flight must not pull the leg back.
//! * A leg that returns to the address of the race before, while nobody has won
//!   the new one, has that race's winner back: its re-offer was refused.
//! * What was learned before the first description stays, if that accepts it.
//! * A winner whom a later description of the same address does not accept (another
//!   telephone with the same private address, another NAT) yields to the first
//!   acceptable media.
//! * A winner that has been silent for [`SILENCE`] is followed to another
//!   acceptable address by its SSRC. Another SSRC is believed there if a description
//!   *recalled* the party and the winner soon fell silent: it goes on after a hold, behind a
//!   NAT that has given its port away, or a fork that lost had spoken first.
//! * STUN and DTLS are easily made by anybody. They can win a race that nobody
//!   has won, but yield to the first acceptable media, and move nothing else.
//! * What is neither of these never latches, and is let in from whoever spoke
//!   or was described.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet::Packet;
use crate::config::LatchMode;

/// How long a winner must be silent before its SSRC is believed from elsewhere.
pub const SILENCE: Duration = Duration::from_secs(2);

/// The latch of one component (RTP or RTCP) of one leg.
///
/// ```
/// use std::time::Duration;
/// use sipproxy64_core::{config::LatchMode, media::{latch::Latch, packet::Packet}};
/// let (described, behind_nat) = ("10.0.0.5:4000".parse()?, "203.0.113.9:40123".parse()?);
/// let mut latch = Latch::new(LatchMode::Signalled);
/// latch.describe(Some(described), [Some(described.ip()), Some("203.0.113.9".parse()?)]);
/// assert_eq!(latch.destination(), Some(described));
/// assert!(latch.hear(Duration::ZERO, behind_nat, Packet::Rtcp { ssrc: 7 }));
/// assert_eq!(latch.destination(), Some(behind_nat));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub struct Latch {
    /// Who won the race. All that most packets need, in a cache line of its own.
    winner: Option<Speaker>,
    mode: LatchMode,
    /// Where the party wants its packets, if it says.
    described: Option<SocketAddr>,
    /// The last address that it did say: coming back to it is no move.
    last_described: Option<SocketAddr>,
    acceptable: [Option<IpAddr>; 2],
    /// Who won the race before, and the address described then.
    former: Option<(Option<SocketAddr>, Speaker)>,
    /// The description says nothing of the address any more (the unspecified
    /// one of RFC 2543's hold, a host name), or does not accept the winner: that
    /// stays until another acceptable packet comes, or the old address returns.
    reopened: bool,
    recall: Recall,
}

/// Whether the party was described again, to go on from wherever it speaks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Recall {
    No,
    /// It was, and nobody but the winner spoke since.
    Yes,
    /// Somebody else who is acceptable spoke at this time first.
    Since(Duration),
}

/// Somebody who won a race.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Speaker {
    // Packets for a link-local address need its scope.
    #[serde(with = "crate::family::scoped")]
    address: SocketAddr,
    ssrc: Option<u32>,
    /// By media; `false`: by STUN or DTLS so far.
    by_media: bool,
    heard: Duration,
}

impl Latch {
    /// A latch before any description: only [`LatchMode::First`] lets somebody in.
    pub fn new(mode: LatchMode) -> Self {
        Self {
            winner: None,
            mode,
            described: None,
            last_described: None,
            acceptable: [None; 2],
            former: None,
            reopened: false,
            recall: Recall::No,
        }
    }

    /// Takes in a description. One that repeats the address opens no race, but lets
    /// go of a winner whom it does not accept.
    pub fn describe(&mut self, address: Option<SocketAddr>, acceptable: [Option<IpAddr>; 2]) {
        self.acceptable = acceptable;
        self.recall = Recall::Yes;
        // Said again, that nothing is known reopens nothing.
        self.reopened = address.is_none() && (self.reopened || self.described.is_some());
        self.move_to(address, acceptable);
        let is_described = |winner: SocketAddr| is(self.described, winner);
        self.reopened |= self.learned().is_some_and(|winner| !self.is_acceptable(winner) && !is_described(winner));
    }

    fn move_to(&mut self, address: Option<SocketAddr>, acceptable: [Option<IpAddr>; 2]) {
        self.described = address;
        let Some(address) = address.filter(|&address| !is(self.last_described, address)) else { return };
        let before = self.last_described.replace(address);
        let loser = self.winner.take_if(|winner| before.is_some() || !accepts(self.mode, acceptable, winner.address));
        match loser {
            Some(winner) => self.former = Some((before, winner)),
            None if self.winner.is_none() => self.return_to(address),
            None => {}
        }
    }

    /// Ends a race that nobody has won, if the race before was about this address.
    fn return_to(&mut self, address: SocketAddr) {
        self.winner = self.former.take_if(|(described, _)| is(*described, address)).map(|(_, winner)| winner);
    }

    /// A packet came from `from`: whether it is let in.
    pub fn hear(&mut self, now: Duration, from: SocketAddr, packet: Packet) -> bool {
        if let Some(winner) = self.winner.as_mut().filter(|winner| same(winner.address, from)) {
            winner.heard = now;
            winner.ssrc = packet.ssrc().or(winner.ssrc);
            winner.by_media |= is_media(packet);
            return true;
        }
        self.hear_another(now, from, packet)
    }

    /// The same, where it is not from the winner.
    #[cold]
    fn hear_another(&mut self, now: Duration, from: SocketAddr, packet: Packet) -> bool {
        let from_described = is(self.described, from);
        if self.recall == Recall::Yes && self.is_signalled(from) {
            self.recall = Recall::Since(now);
        }
        if self.mode == LatchMode::Off {
            return from_described || self.is_acceptable(from);
        }
        if self.wins(now, from, from_described, packet) {
            let by_media = is_media(packet);
            self.winner = Some(Speaker { address: from, ssrc: packet.ssrc(), by_media, heard: now });
            self.former = None;
            self.reopened = false;
            self.recall = Recall::No;
            return true;
        }
        if let Some((_, former)) = self.former.as_mut().filter(|(_, former)| same(former.address, from)) {
            former.heard = now;
            return true;
        }
        from_described || (self.winner.is_none() && self.is_acceptable(from))
    }

    /// Who has won the race by media, and is not displaced by the first that comes.
    pub fn speaker(&self) -> Option<SocketAddr> {
        self.winner.filter(|winner| winner.by_media).map(|winner| winner.address)
    }

    /// Where packets for this party go.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.learned().or(self.described)
    }

    /// Where the party was found to send from; `None`: not heard since it moved.
    pub fn learned(&self) -> Option<SocketAddr> {
        self.winner.map(|winner| winner.address)
    }

    /// Whether a packet from an address that is not the winner makes that the winner.
    fn wins(&self, now: Duration, from: SocketAddr, from_described: bool, packet: Packet) -> bool {
        if packet == Packet::Other || from.port() == 0 {
            return false;
        }
        let media = is_media(packet);
        match self.winner {
            Some(winner) if from_described => media || !winner.by_media,
            None if from_described => true,
            _ if !self.is_acceptable(from) => false,
            None => !self.is_former(from),
            Some(winner) if !winner.by_media || self.reopened => media,
            Some(winner) => {
                let silent = now.saturating_sub(winner.heard) >= SILENCE;
                let is_itself = winner.ssrc.is_some() && winner.ssrc == packet.ssrc();
                silent && (is_itself || (media && self.is_signalled(from) && self.is_gone(&winner)))
            }
        }
    }

    /// Whether the party was recalled, and its old place was given up by then, or soon after.
    fn is_gone(&self, winner: &Speaker) -> bool {
        matches!(self.recall, Recall::Since(since) if winner.heard <= since.saturating_add(SILENCE))
    }

    fn is_former(&self, from: SocketAddr) -> bool {
        self.former.is_some_and(|(_, former)| same(former.address, from))
    }

    /// Whether the signalling showed the address, whatever else is taken.
    fn is_signalled(&self, from: SocketAddr) -> bool {
        self.acceptable.contains(&Some(from.ip()))
    }

    fn is_acceptable(&self, from: SocketAddr) -> bool {
        accepts(self.mode, self.acceptable, from)
    }
}

fn accepts(mode: LatchMode, acceptable: [Option<IpAddr>; 2], from: SocketAddr) -> bool {
    mode == LatchMode::First || acceptable.contains(&Some(from.ip()))
}

fn is_media(packet: Packet) -> bool {
    matches!(packet, Packet::Rtp(_) | Packet::Rtcp { .. } | Packet::Udptl)
}

/// Address and port; the scope of a link-local address (RFC 4007) is known of
/// packets but not of descriptions.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip() && one.port() == other.port()
}

fn is(one: Option<SocketAddr>, other: SocketAddr) -> bool {
    one.is_some_and(|one| same(one, other))
}

#[cfg(test)]
#[path = "tests/latch.rs"]
mod tests;
