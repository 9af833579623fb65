//! sipproxy64 itself: the proxy as a function, and its relay sockets without a kernel.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::config::Config;
use sipproxy64::family::{Family, PerFamily};
use sipproxy64::media::command::{Command, SessionId, StreamId};
use sipproxy64::media::stream::{Component, Stream};
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

use crate::network::Packet;

struct Relayed {
    /// The message that asked for it.
    asked_by: String,
    session: SessionId,
    ports: PerFamily<u16>,
    is_open: PerFamily<bool>,
    stream: Stream,
}

pub(crate) struct Bridge {
    proxy: Standalone,
    config: Arc<Config>,
    streams: BTreeMap<StreamId, Relayed>,
}

impl Bridge {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { proxy: Standalone::new(Arc::clone(&config)), config, streams: BTreeMap::new() }
    }

    pub(crate) fn reconfigure(&mut self, config: Config) {
        self.config = Arc::new(config);
        self.proxy.reconfigure(Arc::clone(&self.config));
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn has_sip(&self, endpoint: SocketAddr) -> bool {
        self.proxy.is_ours(endpoint)
    }

    pub(crate) fn is_media_address(&self, endpoint: SocketAddr) -> bool {
        !self.has_sip(endpoint) && self.config.listen.iter().any(|(_, listen)| listen.ip() == endpoint.ip())
    }

    pub(crate) fn sessions(&self) -> usize {
        self.proxy.sessions()
    }

    /// The RTP sockets that are open.
    pub(crate) fn sockets(&self) -> Vec<SocketAddr> {
        let at = |side: Family, relayed: &Relayed| SocketAddr::new(self.config.listen[side].ip(), relayed.ports[side]);
        let open =
            |side| self.streams.values().filter(move |relayed| relayed.is_open[side]).map(move |it| at(side, it));
        Family::BOTH.into_iter().flat_map(open).collect()
    }

    /// What the open streams were opened for.
    pub(crate) fn streams(&self) -> Vec<&str> {
        self.streams.values().map(|relayed| &relayed.asked_by[..]).collect()
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.proxy.poll_timeout()
    }

    /// Handles a datagram, and `again` says whether once more at once: that must give
    /// the same. The error is what the bridge did that it should not.
    pub(crate) fn sip(&mut self, now: Duration, packet: &Packet, again: bool) -> Result<Packet, String> {
        let datagram = Datagram { local: packet.to, remote: packet.from, bytes: &packet.bytes };
        let mut out = Vec::new();
        let outcome = self.proxy.handle(now, &datagram, &mut out);
        let commands = self.carry_out(now, &packet.bytes);
        if again {
            let mut repeated = Vec::new();
            let second = self.proxy.handle(now, &datagram, &mut repeated);
            let asked = self.carry_out(now, &packet.bytes);
            if (second, &repeated) != (outcome, &out) || asked > 0 {
                let text = String::from_utf8_lossy(&repeated);
                return Err(format!(
                    "the same datagram again gives {second:?}, {asked} commands, not {outcome:?} and {commands}:\n{text}"
                ));
            }
        }
        match outcome {
            Outcome::Send { refused: Some(reason), .. } | Outcome::Drop(reason) => Err(format!("refused: {reason:?}")),
            Outcome::Send { from, to, refused: None } => Ok(Packet { from, to, bytes: out }),
        }
    }

    /// Relays a media packet, if it goes anywhere.
    pub(crate) fn media(&mut self, now: Duration, packet: &Packet) -> Option<Packet> {
        let side = Family::of(packet.to.ip());
        let (port, component) =
            (packet.to.port() & !1, [Component::Rtp, Component::Rtcp][usize::from(packet.to.port() & 1)]);
        let is_at = |relayed: &Relayed| relayed.ports[side] == port && relayed.is_open[side];
        let (&id, relayed) = self.streams.iter().find(|(_, relayed)| is_at(relayed))?;
        if !relayed.is_open[side.other()] {
            // The packet waits until it can leave.
            self.proxy.open_rest(relayed.session);
            self.carry_out(now, &packet.bytes);
        }
        let relayed = self.streams.get_mut(&id)?;
        let (out, stream) = (side.other(), &mut relayed.stream);
        // As the relay does it, which has a socket of its own to whoever was found.
        let line = stream.speaker(out).filter(|_| component == Component::Rtp);
        let to = match line {
            Some(party) => stream.packet_to_speaker(now, side, component, packet.from, &packet.bytes).then_some(party),
            None => stream.packet(now, side, component, packet.from, &packet.bytes),
        }?;
        let from = SocketAddr::new(self.config.listen[out].ip(), relayed.ports[out] + (packet.to.port() & 1));
        Some(Packet { from, to, bytes: packet.bytes.clone() })
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        self.proxy.handle_timeout(now);
        self.carry_out(now, b"");
    }

    /// The answer is how many commands there were.
    fn carry_out(&mut self, now: Duration, asked_by: &[u8]) -> usize {
        let mut count = 0;
        while let Some(command) = self.proxy.next_command() {
            count += 1;
            match command {
                Command::Open { session, stream, ports, side, latch } => {
                    let asked_by = String::from_utf8_lossy(asked_by).into_owned();
                    let is_open = PerFamily::from_fn(|other| other == side);
                    let relayed = Relayed { asked_by, session, ports, is_open, stream: Stream::new(latch) };
                    self.streams.insert(stream, relayed);
                }
                Command::OpenRest { stream, side, port } => {
                    let relayed = self.streams.get_mut(&stream).expect("an open stream");
                    (relayed.ports[side], relayed.is_open[side]) = (port, true);
                }
                Command::Describe { stream, side, leg } => {
                    self.streams.get_mut(&stream).expect("an open stream").stream.describe(side, leg);
                }
                Command::Query { session } => {
                    let streams = self.streams.values().filter(|relayed| relayed.session == session);
                    let last = streams.filter_map(|relayed| relayed.stream.last_heard()).max();
                    self.proxy.heard(now, session, last);
                }
                Command::CloseStream { stream } => drop(self.streams.remove(&stream)),
                Command::Close { session, .. } => self.streams.retain(|_, relayed| relayed.session != session),
            }
        }
        count
    }
}
