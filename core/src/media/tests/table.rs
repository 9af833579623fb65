//! A table in pretended time, and a call through it.

mod bleed;
mod descriptions;
mod endings;
mod limits;
mod passes;
mod saved;
mod view;

use std::net::SocketAddr;

use super::*;
use crate::config::{LatchMode, Map, PortRange};
use crate::media::command::LegDescription;
use crate::media::command::Obituary;
use crate::media::signal::Sender;
use crate::streams::Transport;

const A: Option<&[u8]> = Some(b"a");
const B: Option<&[u8]> = Some(b"b");
const C: Option<&[u8]> = Some(b"c");

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config() -> Config {
    let mut config = Config::new(at("192.0.2.1:5060"), at("[2001:db8::1]:5060"));
    config.rtp_ports = PortRange::new(16384, 16403).unwrap();
    for (phone, fake) in [("192.0.2.101:5060", "[2001:db8::101]:5060"), ("192.0.2.102:5060", "[2001:db8::102]:5060")] {
        config.maps.push(Map { phone: at(phone), fake: at(fake) });
    }
    config
}

fn audio(rtp: &str) -> Wanted {
    let rtp = at(rtp);
    Wanted { address: Some(rtp.ip()), port: rtp.port(), rtcp: None, transport: Transport::Rtp, held: false }
}

const P4: &str = "192.0.2.101:4000";
const P6: &str = "[2001:db8:9::55]:6000";

/// A request of the caller, on the IPv4 side.
fn request<'a>(method: Method, cseq: u32, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        call_id: b"c1@192.0.2.101",
        method,
        cseq,
        status: None,
        arrival: Family::V4,
        from_tag: A,
        to_tag: None,
        source: at("192.0.2.101:5060"),
        destination: at("[2001:db8:9::55]:5060"),
        sender: Sender::Known,
        asked_by: Charge::Nobody,
        branch: u64::from(cseq),
        wanted: (!wanted.is_empty()).then_some(wanted),
    }
}

fn in_dialog<'a>(method: Method, cseq: u32, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal { to_tag: B, ..request(method, cseq, wanted) }
}

/// The callee's response to it.
fn response<'a>(to: Signal<'_>, status: u16, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        call_id: b"c1@192.0.2.101",
        method: to.method,
        cseq: to.cseq,
        branch: to.branch,
        status: Some(status),
        arrival: to.arrival.other(),
        from_tag: A,
        to_tag: B,
        source: at("[2001:db8:9::55]:5060"),
        destination: at("192.0.2.101:5060"),
        sender: Sender::Known,
        asked_by: Charge::Nobody,
        wanted: (!wanted.is_empty()).then_some(wanted),
    }
}

#[derive(Debug)]
struct Bench {
    table: Table,
    now: Duration,
}

impl Bench {
    fn new(config: &Config) -> Self {
        Self { table: Table::new(config), now: Duration::ZERO }
    }

    fn signal(&mut self, signal: &Signal<'_>) -> Vec<Grant> {
        self.try_signal(signal).unwrap()
    }

    fn try_signal(&mut self, signal: &Signal<'_>) -> Result<Vec<Grant>, Refusal> {
        let mut grants = Vec::new();
        self.table.signal(self.now, signal, &mut grants).map(|()| grants)
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.table.next_command()).collect()
    }

    /// The legs that the commands describe, in order.
    fn legs(&mut self) -> Vec<(Family, LegDescription)> {
        let legs = self.commands().into_iter().filter_map(|command| match command {
            Command::Describe { side, leg, .. } => Some((side, leg)),
            _ => None,
        });
        legs.collect()
    }

    /// Where the commands aim RTP, in order.
    fn aims(&mut self) -> Vec<(Family, Option<SocketAddr>)> {
        self.legs().into_iter().map(|(side, leg)| (side, leg.rtp)).collect()
    }

    fn end(&mut self) -> Option<Box<Obituary>> {
        self.commands().into_iter().find_map(|command| match command {
            Command::Close { obituary, .. } => Some(obituary),
            _ => None,
        })
    }

    /// An answered call with one audio stream.
    fn answered() -> Self {
        let mut bench = Self::new(&config());
        bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
        bench.signal(&response(request(Method::Invite, 1, &[]), 180, &[]));
        bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]));
        bench.commands();
        bench
    }

    /// Lets time pass; each question gets this answer. How the session ended.
    fn pass(&mut self, until: Duration, last: Option<Duration>) -> Option<End> {
        while let Some(due) = self.table.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.table.handle_timeout(self.now);
            for command in self.commands() {
                match command {
                    Command::Query { session } => self.table.heard(self.now, session, last),
                    Command::Close { obituary, .. } => return Some(obituary.end),
                    _ => {}
                }
            }
            if let Some(obituary) = self.end() {
                return Some(obituary.end);
            }
        }
        self.now = until;
        None
    }
}
