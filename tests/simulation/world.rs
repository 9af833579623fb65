//! Everybody, the network between them, and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::config::{Config, LatchMode};
use sipproxy64::proxy::MAX_PASSES;

use crate::agent::Agent;
use crate::bridge::Bridge;
use crate::cast::{self, Cast};
use crate::dialog::State;
use crate::message::Message;
use crate::network::{Network, Packet, Weather};
use crate::random::Random;
use crate::registrar::Registrar;

/// How long a call is talked in at a stretch, at least every so often.
const TALK: Duration = Duration::from_secs(3);

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) weather: Weather,
    pub(crate) is_strict: bool,
    pub(crate) asks: bool,
    pub(crate) cast: Cast,
}

impl Circumstances {
    pub(crate) fn of(random: &mut Random) -> Self {
        let weather = Weather {
            loss: random.pick(&[0, 0, 3, 8]),
            twice: random.pick(&[0, 0, 10, 30]),
            slow: random.pick(&[20, 200, 1_000, 3_000]),
        };
        let latch = random.pick(&[LatchMode::Signalled, LatchMode::Signalled, LatchMode::First, LatchMode::Off]);
        let cast = Cast { is_mirrored: random.percent(40), latch };
        Self { weather, is_strict: random.percent(20), asks: random.percent(30), cast }
    }
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) random: Random,
    pub(crate) bridge: Bridge,
    pub(crate) agents: Vec<Agent>,
    pub(crate) registrar: Registrar,
    pub(crate) network: Network,
    pub(crate) circumstances: Circumstances,
    /// Who is called as one.
    hunted: Vec<&'static str>,
    /// What happened, for whoever looks at a finding.
    pub(crate) trace: Vec<String>,
    is_watched: bool,
    spoken: Duration,
    /// The way of the last media packet.
    pub(crate) path: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, is_watched: bool) -> Self {
        let mut random = Random::new(seed);
        let circumstances = Circumstances::of(&mut random);
        let cast = circumstances.cast;
        let registrar = Registrar::new(cast.uplink(), circumstances.is_strict, circumstances.asks);
        Self {
            now: Duration::from_secs(1000),
            bridge: Bridge::new(Arc::new(cast.config())),
            agents: cast.agents(&mut random),
            registrar,
            network: Network::new(Weather { loss: 0, twice: 0, slow: 20 }, cast.nat()),
            circumstances,
            trace: vec![format!("seed {seed}: {circumstances:?}")],
            hunted: Vec::new(),
            spoken: Duration::ZERO,
            path: Vec::new(),
            is_watched,
            random,
        }
    }

    /// Keeps what happens, for who looks at a finding.
    pub(crate) fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.is_watched {
            let line = format!("{:?} {}", self.now, what(self));
            self.trace.push(line.replace('\r', ""));
        }
    }

    fn note_packet(&mut self, what: &str, packet: &Packet) {
        self.note(|_| format!("{what} {} -> {}\n{}", packet.from, packet.to, String::from_utf8_lossy(&packet.bytes)));
    }

    /// All that somebody wants to send is under way.
    pub(crate) fn collect(&mut self) -> Result<(), String> {
        for agent in &mut self.agents {
            if let Some(complaint) = agent.complaints.first() {
                return Err(complaint.clone());
            }
            for packet in agent.out.drain(..) {
                self.network.send(self.now, packet, &mut self.random);
            }
        }
        if let Some(complaint) = self.registrar.complaints.first() {
            return Err(complaint.clone());
        }
        for packet in self.registrar.out.drain(..) {
            self.network.send(self.now, packet, &mut self.random);
        }
        Ok(())
    }

    /// Lets time pass until `until`, or nothing is left to happen before that.
    pub(crate) fn run(&mut self, until: Duration) -> Result<(), String> {
        loop {
            self.collect()?;
            let agents = self.agents.iter().filter_map(Agent::deadline);
            let others = [self.network.deadline(), self.registrar.deadline(), self.bridge.deadline()];
            let speech = Some(self.spoken + TALK);
            let next = agents.chain(others.into_iter().flatten()).chain(speech).min().unwrap_or(until);
            if next > until {
                self.now = until;
                return Ok(());
            }
            self.now = self.now.max(next);
            if self.spoken + TALK <= self.now {
                self.spoken = self.now;
                self.speak(false)?;
            }
            self.bridge.tick(self.now);
            while let Some(packet) = self.network.arrive(self.now) {
                self.deliver(packet)?;
            }
            self.registrar.tick(self.now);
            let now = self.now;
            self.agents.iter_mut().for_each(|agent| agent.tick(now));
        }
    }

    /// A SIP message reaches whoever is at its destination.
    fn deliver(&mut self, packet: Packet) -> Result<(), String> {
        let mut packet = packet;
        for _ in 0..MAX_PASSES {
            if !self.bridge.has_sip(packet.to) {
                return self.hand_over(packet);
            }
            self.note_packet(">>", &packet);
            let again = self.random.percent(50);
            packet = match self.bridge.sip(self.now, &packet, again) {
                Ok(packet) => packet,
                Err(why) => return Err(format!("{why}\n{}", String::from_utf8_lossy(&packet.bytes))),
            };
            self.note_packet("<<", &packet);
        }
        Err(format!("it goes round: {}", String::from_utf8_lossy(&packet.bytes)))
    }

    fn hand_over(&mut self, packet: Packet) -> Result<(), String> {
        let Some(packet) = self.network.inward(packet) else { return Ok(()) };
        if packet.to == self.registrar.address {
            self.note_packet("->", &packet);
            self.registrar.receive(self.now, &packet);
        } else if let Some(index) = self.agent_at(packet.to) {
            self.note_packet("->", &packet);
            let now = self.now;
            self.agents[index].receive(now, &packet);
        } else {
            return Err(format!("nobody is at {}: {}", packet.to, String::from_utf8_lossy(&packet.bytes)));
        }
        self.collect()
    }

    fn agent_at(&self, endpoint: SocketAddr) -> Option<usize> {
        self.agents.iter().position(|agent| agent.is.sip == endpoint)
    }

    /// Everybody registers who has an account.
    pub(crate) fn register(&mut self) -> Result<(), String> {
        for index in 0..self.agents.len() {
            let agent = &mut self.agents[index];
            let Some(outbound) = agent.is.outbound.filter(|_| agent.is.address.ends_with("provider.example")) else {
                continue;
            };
            let request = Message::request("REGISTER", "sip:provider.example")
                .with("Max-Forwards", "70")
                .with("From", format!("<{}>;tag=r", agent.is.address))
                .with("To", format!("<{}>", agent.is.address))
                .with("Call-ID", format!("register-{}", agent.is.name))
                .with("CSeq", "1 REGISTER")
                .with("Contact", format!("<{}>", agent.is.contact))
                .without_body();
            let now = self.now;
            agent.start(now, request, outbound);
        }
        self.run(self.now + Duration::from_secs(40))?;
        for agent in &self.agents {
            if let Some(client) = agent.clients.first().filter(|client| client.status != 200) {
                return Err(format!("{} is not registered: {}", agent.is.name, client.status));
            }
        }
        self.network.weather = self.circumstances.weather;
        self.hunted = cast::hunt(&mut self.random);
        let hunt = self.hunted.iter().flat_map(|user| self.registrar.location(user)).collect();
        self.registrar.locate("hunt", hunt);
        Ok(())
    }

    /// Something happens that a user wants.
    pub(crate) fn act(&mut self) -> Result<(), String> {
        let now = self.now;
        for index in 0..self.agents.len() {
            // A stranger behind us may not follow everybody's word to strangers.
            let is_stranger = matches!(self.agents[index].is.name, "nat" | "roam");
            let uri = self.agents[index].referred.pop().filter(|_| !is_stranger);
            if let Some(uri) = uri {
                self.agents[index].call(now, &uri, false);
            }
        }
        match self.random.below(10) {
            0..2 => {
                let (caller, uri) = self.circumstances.cast.call(&mut self.random, &self.hunted);
                // Behind a NAT the port of a late answer may be heard before it is told.
                // What a caller answers in one of several early dialogs is not kept apart.
                let is_late = self.random.percent(15) && caller != "nat" && !uri.contains("hunt@");
                let agent = self.agents.iter_mut().find(|agent| agent.is.name == caller).expect("somebody");
                agent.call(now, &uri, is_late);
            }
            2 => self.reload(),
            _ => {
                let index = self.random.below(self.agents.len());
                let agent = &mut self.agents[index];
                let targets = agent.dialogs.iter().filter(|dialog| dialog.state == State::Confirmed);
                let others: Vec<String> = targets.map(|dialog| dialog.target.clone()).collect();
                if !agent.attempts.is_empty() && self.random.percent(10) {
                    let attempt = self.random.below(agent.attempts.len());
                    agent.cancel(now, attempt);
                } else if !agent.dialogs.is_empty() {
                    let dialog = self.random.below(agent.dialogs.len());
                    agent.act(now, dialog, &others);
                }
            }
        }
        self.collect()
    }

    /// A map of somebody else comes or goes.
    fn reload(&mut self) {
        let mut config: Config = self.bridge.config().clone();
        let cast = self.circumstances.cast;
        if config.maps.len() == cast.config().maps.len() {
            config.maps.insert(0, cast.another_map());
        } else {
            config.maps.remove(0);
        }
        self.bridge.reconfigure(config);
    }
}
