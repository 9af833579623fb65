//! What the user agents of a world say to each other, and hear.

use std::net::SocketAddr;

use sipproxy64::config::LatchMode;

use crate::agent::Port;
use crate::dialog::{Dialog, State, tag};
use crate::network::Packet;
use crate::uri::{next_hop, uri_of};
use crate::world::World;

/// As a packet goes through the relay: twice in a hairpin, or more often with an uplink between.
const MOST_PASSES: usize = 6;

/// A line of a dialog that both sides agree about.
struct Pair {
    sender: (usize, usize),
    receiver: (usize, usize),
}

impl World {
    /// Everybody sends a packet on each line that he may. With `counts`, each must arrive.
    pub(crate) fn speak(&mut self, counts: bool) -> Result<(), String> {
        self.spray()?;
        for pair in self.pairs(counts) {
            let lines = self.agents[pair.sender.0].dialogs[pair.sender.1].lines.len();
            for line in 0..lines {
                self.speak_on(&pair, line, counts)?;
            }
        }
        Ok(())
    }

    /// A stranger sends to a relay socket: nobody hears it (RTP bleed).
    fn spray(&mut self) -> Result<(), String> {
        let sockets = self.bridge.sockets();
        if sockets.is_empty() || self.circumstances.cast.latch == LatchMode::First {
            return Ok(());
        }
        let to = self.random.pick(&sockets);
        let from = if to.is_ipv4() { "198.18.0.66:40000" } else { "[2001:db8:bad::66]:40000" };
        let sprayed = Packet { from: from.parse().unwrap(), to, bytes: packet(false, true, 66, "sprayed 0") };
        match self.bridge.media(self.now, &sprayed) {
            Some(heard) => Err(format!("a stranger is heard at {} by {to}", heard.to)),
            None => Ok(()),
        }
    }

    /// Both sides of each call, as far as they describe media, and with `is_answered`
    /// are both sure of it.
    fn pairs(&self, is_answered: bool) -> Vec<Pair> {
        let mut pairs = Vec::new();
        // Where the first packet counts, early media of a fork that is not taken would.
        let early = !is_answered && self.circumstances.cast.latch != LatchMode::First;
        let speaks = |state: State| state == State::Confirmed || (state == State::Early && early);
        let all = || {
            let agents = self.agents.iter().enumerate();
            let dialogs = agents.flat_map(|(agent, of)| of.dialogs.iter().enumerate().map(move |it| (agent, it)));
            dialogs.filter(|(_, (_, dialog))| speaks(dialog.state))
        };
        for (agent, (index, dialog)) in all() {
            let receiver = all().find(|(_, (_, other))| mirrors(dialog, other));
            pairs.extend(receiver.map(|(other, (of, _))| Pair { sender: (agent, index), receiver: (other, of) }));
        }
        pairs
    }

    /// How many media sessions there are to be: each call that goes on has one for each
    /// time that it goes through the bridge, which its route set tells.
    pub(crate) fn expected_sessions(&self) -> usize {
        let callees = self.pairs(true).into_iter().map(|pair| &self.agents[pair.sender.0].dialogs[pair.sender.1]);
        let routes = callees.filter(|dialog| !dialog.is_caller).flat_map(|dialog| &dialog.routes);
        routes.filter(|route| self.bridge.has_sip(next_hop(uri_of(route)))).count() / 2
    }

    fn speak_on(&mut self, pair: &Pair, index: usize, mut counts: bool) -> Result<(), String> {
        let dialog = &self.agents[pair.sender.0].dialogs[pair.sender.1];
        let other = &self.agents[pair.receiver.0].dialogs[pair.receiver.1];
        let (Some(&line), Some(&told)) = (dialog.lines.get(index), dialog.told.get(index)) else { return Ok(()) };
        let name = format!("{} m={index} of {}", self.agents[pair.sender.0].is.name, dialog.call_id);
        let (there, back) = (other.lines.get(index).copied(), other.told.get(index).copied());
        if counts {
            let open = there.is_some_and(|there| there.port != 0) && back.is_some_and(|back| back.is_open());
            if open != (line.port != 0 && told.is_open()) {
                return Err(format!("{name}: open on one side only: {line:?} {told:?} {there:?} {back:?}"));
            }
        }
        // Behind a NAT one keeps its port open, whatever was agreed upon (RFC 6263).
        let speaks = line.direction.sends() || self.agents[pair.sender.0].is.sip.ip() == self.network.nat.inside;
        if line.port == 0 || !told.is_open() || told.rtp.ip().is_unspecified() || !speaks {
            return Ok(());
        }
        let receives_by_nat = self.agents[pair.receiver.0].is.sip.ip() == self.network.nat.inside;
        if receives_by_nat && self.circumstances.cast.latch == LatchMode::Off {
            counts = false;
        }
        // Who holds by the unspecified address may not be found.
        let found = back.is_some_and(|back| !back.rtp.ip().is_unspecified());
        let expects =
            counts && line.direction.sends() && found && there.is_some_and(|there| there.direction.receives());
        let ip = self.agents[pair.sender.0].is.sip.ip();
        let call_id = dialog.call_id.clone();
        let mut components = vec![(false, line.port, told.rtp)];
        if told.is_rtp() {
            components.push((true, line.rtcp_port(), told.rtcp()));
        }
        for (is_rtcp, port, to) in components {
            let bytes = packet(is_rtcp, told.is_rtp(), port, &format!("{call_id} {index} {is_rtcp}"));
            let sent = Packet { from: SocketAddr::new(ip, port), to, bytes };
            let arrived = self.carry(sent)?;
            self.note(|world| format!("media {call_id} {index} {}", world.path.join(", ")));
            if !expects {
                continue;
            }
            let (Some(there), Some(back)) = (there, back) else { continue };
            let (at, from) = if is_rtcp { (there.rtcp_port(), back.rtcp()) } else { (there.port, back.rtp) };
            let receiver = SocketAddr::new(self.agents[pair.receiver.0].is.sip.ip(), at);
            match arrived {
                None => {
                    return Err(format!(
                        "{name} rtcp={is_rtcp}: nothing arrives from port {port} by {to} at {receiver}: {:?}",
                        self.path
                    ));
                }
                Some(packet) if (packet.to, packet.from) != (receiver, from) => {
                    return Err(format!(
                        "{name} rtcp={is_rtcp}: arrives at {} from {}, not at {receiver} from {from}",
                        packet.to, packet.from
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Carries a media packet to whom it reaches: the right one, or nobody.
    pub(crate) fn carry(&mut self, packet: Packet) -> Result<Option<Packet>, String> {
        let mut packet = self.network.outward(packet);
        let mut passes = 0;
        self.path.clear();
        while self.bridge.is_media_address(packet.to) {
            passes += 1;
            if passes > MOST_PASSES {
                return Err(format!("a media packet goes round at {}", packet.to));
            }
            self.path.push(format!("{} -> {}", packet.from, packet.to));
            let Some(relayed) = self.bridge.media(self.now, &packet) else { return Ok(None) };
            packet = relayed;
        }
        self.path.push(format!("{} -> {}", packet.from, packet.to));
        let Some(packet) = self.network.inward(packet) else { return Ok(None) };
        let text = String::from_utf8_lossy(&packet.bytes[12..]).into_owned();
        let Some(agent) = self.agents.iter().find(|agent| agent.is.sip.ip() == packet.to.ip()) else {
            return Err(format!("media {text} goes to nobody, {}", packet.to));
        };
        let words: Vec<&str> = text.split(' ').collect();
        let expected = Port { call_id: words[0].to_owned(), line: words[1].parse().unwrap() };
        match agent.ports.get(&packet.to.port()) {
            Some(port) if *port == expected => Ok(Some(packet)),
            other => Err(format!("media {text} reaches {} at {}, which is {other:?}", agent.is.name, packet.to)),
        }
    }
}

fn mirrors(one: &Dialog, other: &Dialog) -> bool {
    one.call_id == other.call_id
        && tag(&one.local) == tag(&other.remote)
        && tag(&one.remote) == tag(&other.local)
        && one.is_caller != other.is_caller
}

/// RTP, RTCP or UDPTL of the party at `port`.
fn packet(is_rtcp: bool, is_rtp: bool, port: u16, text: &str) -> Vec<u8> {
    let mut bytes = match (is_rtp, is_rtcp) {
        (false, _) => vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        (_, false) => vec![0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        (_, true) => vec![0x80, 201, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    let ssrc = if is_rtcp { 4..8 } else { 8..12 };
    if is_rtp {
        bytes[ssrc].copy_from_slice(&(u32::from(port & !7) + 1).to_be_bytes());
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
