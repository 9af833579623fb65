//! A whole daemon without sockets, driven by a text.
//!
//! The text is what test mode reads, so that the inputs of `t/` are seeds and a
//! finding is nearly a case of `t/`. Each step is a line that begins with `>> `:
//!
//! | step | what |
//! |------|------|
//! | `udp SOURCE -> DESTINATION` | a datagram comes in: what stands below, as in test mode |
//! | `answer CODE` | the one who got the last forwarded request answers it; what stands below is added |
//! | `again` | the last datagram comes in again |
//! | `wait SECONDS` | time passes |
//! | `taken INDEX` | a media port that is to be opened is somebody's |
//! | `heard SECONDS` | a session that was asked after had a packet so long ago, or none |
//! | `uplink ADDRESS` | the resolver found this address for the uplink of its family |
//! | `local ADDRESS` | this is an address of our machine too |
//!
//! A first line that begins with `-` holds options; without it they are those of
//! the figure in the manual.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sipproxy64::cli::values;
use sipproxy64::config::{Config, PortRange};
use sipproxy64::family::Family;
use sipproxy64::proxy::{Datagram, MAX_PASSES, Outcome, Reason, Standalone};
use sipproxy64::sip::header::HeaderName;
use sipproxy64::sip::message::{Fields, Message, StartLine};

use crate::check::assert_sendable;
use crate::sockets::Sockets;

/// The options of the figure, with every kind of map.
pub const FIGURE: &str = "-l 192.0.2.1 -L 2001:db8::1 -U 2001:db8:456::12 -u 198.51.100.12 \
    -m 192.0.2.101=2001:db8::101 -m 192.0.2.102=2001:db8::102 -m 192.0.2.103:5062=[2001:db8::103]:5060 \
    -m 192.0.2.103=[2001:db8::103]:5070 -m 2001:db8:6::7=192.0.2.207 --name proxy.example -p 16384-16399";

/// The configuration that a line of options makes; `None`: none.
pub fn config(options: &str) -> Option<Config> {
    let mut config = Config::new(values::listen4("192.0.2.1").unwrap(), values::listen6("2001:db8::1").unwrap());
    // Few ports: to make a pool of all of them takes longer than most messages.
    config.rtp_ports = PortRange::new(16384, 16415).unwrap();
    let mut words = options.split_whitespace();
    while let Some(option) = words.next() {
        match option {
            "-w" | "--wrapper" => config.wrapper = true,
            "--lenient" => config.lenient = true,
            "--no-foreign-challenges" => config.no_foreign_challenges = true,
            _ => set(&mut config, option, words.next()?)?,
        }
    }
    config.check().ok().map(|()| config)
}

fn set(config: &mut Config, option: &str, value: &str) -> Option<()> {
    match option {
        "-l" | "--listen4" => config.listen[Family::V4] = values::listen4(value).ok()?,
        "-L" | "--listen6" => config.listen[Family::V6] = values::listen6(value).ok()?,
        "-u" | "--uplink4" => config.uplinks[Family::V4] = Some(values::uplink4(value).ok()?),
        "-U" | "--uplink6" => config.uplinks[Family::V6] = Some(values::uplink6(value).ok()?),
        "-m" | "--map" => config.maps.push(values::map(value).ok()?),
        "--name" => config.names.push(values::name(value).ok()?),
        "-p" | "--rtp-ports" => config.rtp_ports = values::port_range(value).ok()?,
        "--latch" => config.latch = values::latch(value).ok()?,
        "--max-calls" => config.max_calls = Some(values::count(value).ok()?),
        "--max-calls-per-source" => config.max_calls_per_source = values::count(value).ok()?,
        "--rtp-timeout" => config.timeouts.rtp = values::seconds(value).ok()?,
        "--ringing-timeout" => config.timeouts.ringing = values::seconds(value).ok()?,
        "--hold-timeout" => config.timeouts.hold = values::seconds(value).ok()?,
        _ => return None,
    }
    Some(())
}

/// Plays `text`; `false`: it is no play. Fails where something that must hold
/// does not.
pub fn play(text: &[u8]) -> bool {
    let (options, steps) = match text.split_first() {
        Some((b'-', _)) => split_line(text),
        _ => (FIGURE.as_bytes(), text),
    };
    let Some(config) = std::str::from_utf8(options).ok().and_then(config) else { return false };
    let mut world = World::new(config);
    let mut rest = steps;
    while let Some((step, below, behind)) = next_step(rest) {
        world.step(step, below);
        rest = behind;
    }
    world.end();
    true
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

/// The next step, what stands below its line, and the rest. What stands before
/// the first step is nobody's.
fn next_step(text: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    const STEP: &[u8] = b">> ";
    let begins = |text: &[u8]| {
        if text.starts_with(STEP) { Some(0) } else { text.windows(4).position(|it| it == b"\n>> ").map(|at| at + 1) }
    };
    let (line, below) = split_line(&text[begins(text)?..]);
    let end = begins(below).unwrap_or(below.len());
    let step = std::str::from_utf8(&line[STEP.len().min(line.len())..]).unwrap_or_default();
    Some((step.trim_end(), &below[..end], &below[end..]))
}

/// A datagram that came in, kept.
#[derive(Clone)]
pub struct Arrived {
    /// The socket of ours that it came in on.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What became of a datagram.
#[derive(Clone)]
pub struct Passed {
    /// The datagram.
    pub arrived: Arrived,
    /// What became of it.
    pub outcome: Outcome,
    /// What was sent.
    pub out: Vec<u8>,
}

impl std::fmt::Debug for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Arrived { local, remote, bytes } = &self.arrived;
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
        write!(f, ">> udp {remote} -> {local}\n{}\n{:?}\n{}", show(bytes), self.outcome, show(&self.out))
    }
}

/// The daemon and all that is around it.
pub struct World {
    proxy: Standalone,
    config: Arc<Config>,
    sockets: Sockets,
    now: Duration,
    arrived: Option<Arrived>,
    /// The last request that left, as its receiver sees it.
    request: Option<Arrived>,
    /// How long it was when it came, if a stranger sent it.
    asked: Option<usize>,
    most_sessions: usize,
}

impl World {
    /// At the beginning of its time.
    pub fn new(config: Config) -> Self {
        let most_sessions = config.max_calls.unwrap_or(usize::from(config.rtp_ports.pairs()));
        let sockets = Sockets::new(config.rtp_ports);
        let config = Arc::new(config);
        let proxy = Standalone::new(Arc::clone(&config));
        Self { proxy, config, sockets, now: Duration::ZERO, arrived: None, request: None, asked: None, most_sessions }
    }

    fn step(&mut self, step: &str, below: &[u8]) {
        let (name, argument) = step.split_once(' ').unwrap_or((step, ""));
        let number = argument.parse::<u32>().unwrap_or(0);
        match name {
            "udp" => {
                let Some((remote, local)) = self.endpoints(argument) else { return };
                drop(self.arrive(Arrived { local, remote, bytes: below.to_vec() }));
            }
            "answer" => {
                let Some(request) = &self.request else { return };
                let bytes = answer(&request.bytes, number.clamp(100, 699), below);
                let (local, remote) = (request.remote, request.local);
                drop(self.arrive(Arrived { local, remote, bytes }));
            }
            "unsent" => self.unsent(),
            "again" => {
                if let Some(arrived) = self.arrived.clone() {
                    drop(self.arrive(arrived));
                }
            }
            "wait" => self.wait(Duration::from_secs(u64::from(number % 1_000_000))),
            "taken" => self.taken(number as usize),
            "heard" => self.heard(argument.parse().ok()),
            "uplink" => {
                let Ok(address) = argument.parse::<IpAddr>() else { return };
                self.proxy.set_uplink(Family::of(address), vec![address]);
            }
            "local" => self.proxy.set_local_addresses(argument.parse::<IpAddr>().into_iter().collect()),
            _ => {}
        }
        assert!(self.proxy.sessions() <= self.most_sessions);
        assert!(self.sockets.sessions() <= self.proxy.sessions());
    }

    /// Source and destination; what is nobody's comes to a listen address.
    fn endpoints(&self, argument: &str) -> Option<(SocketAddr, SocketAddr)> {
        let (remote, local) = argument.split_once(" -> ")?;
        let remote: SocketAddr = remote.parse().ok()?;
        let side = Family::of(remote.ip());
        let local =
            local.parse().ok().filter(|&local| self.config.is_ours(local) && local.is_ipv4() == remote.is_ipv4());
        Some((remote, local.unwrap_or(self.config.listen[side])))
    }

    /// A datagram comes in; what is sent to ourselves comes in again. The answer
    /// is what became of it, pass by pass.
    pub fn arrive(&mut self, arrived: Arrived) -> Vec<Passed> {
        self.arrived = Some(arrived.clone());
        let asked = Some(arrived.bytes.len()).filter(|_| self.is_stranger(arrived.remote));
        let mut passes = Vec::new();
        let mut arrived = arrived;
        for _ in 0..MAX_PASSES {
            let mut out = Vec::new();
            let outcome = self.handle_twice(&arrived, &mut out);
            let passed = Passed { arrived, outcome, out: out.clone() };
            if shows() {
                println!("{passed:?}");
            }
            passes.push(passed);
            let Outcome::Send { from, to, refused } = outcome else { return passes };
            if refused.is_none() && is_request(&out) {
                self.request = Some(Arrived { local: to, remote: from, bytes: out.clone() });
                self.asked = asked;
            }
            if !self.proxy.is_ours(to) {
                return passes;
            }
            arrived = Arrived { local: to, remote: from, bytes: out };
        }
        panic!("a datagram that goes round for ever: {}", arrived.bytes.escape_ascii());
    }

    /// The last request that left did not: there was no way.
    fn unsent(&mut self) {
        let Some(Arrived { local, remote, bytes }) = self.request.clone() else { return };
        let sent = Datagram { local: remote, remote: local, bytes: &bytes };
        let mut answer = Vec::new();
        if !self.proxy.unsent(self.now, &sent, &mut answer) {
            return;
        }
        let asked = self.asked;
        let passes = self.arrive(Arrived { local: remote, remote: local, bytes: answer });
        let out = passes.last().map_or(0, |last| last.out.len());
        assert!(asked.is_none_or(|asked| out <= asked), "whoever forges a source gains: {passes:?}");
    }

    /// A retransmission gives the same bytes and asks for nothing.
    fn handle_twice(&mut self, arrived: &Arrived, out: &mut Vec<u8>) -> Outcome {
        let Self { proxy, now, .. } = self;
        let datagram = Datagram { local: arrived.local, remote: arrived.remote, bytes: &arrived.bytes };
        let outcome = proxy.handle(*now, &datagram, out);
        self.carry_out();
        assert_sendable(&self.config, arrived.local, outcome, out);
        if self.is_stranger(arrived.remote) && matches!(outcome, Outcome::Send { refused: Some(_), .. }) {
            assert!(out.len() <= arrived.bytes.len(), "whoever forges a source gains: {}", out.escape_ascii());
        }
        let mut again = Vec::new();
        let repeated = self.proxy.handle(self.now, &datagram, &mut again);
        assert_eq!(self.proxy.next_command(), None, "a retransmission");
        if matches!((outcome, repeated), (Outcome::Send { refused: Some(_), .. }, Outcome::Drop(Reason::RateLimited))) {
            return outcome;
        }
        assert_eq!((outcome, out.escape_ascii().to_string()), (repeated, again.escape_ascii().to_string()));
        outcome
    }

    /// Whether nothing of the configuration is at this address.
    fn is_stranger(&self, remote: SocketAddr) -> bool {
        // The addresses of an uplink that is a name are the resolver's to know.
        let uplinks = self.config.uplinks.iter().any(|(_, uplink)| uplink.is_some());
        let known = self.config.maps.iter().any(|map| map.phone.ip() == remote.ip()) || self.config.is_ours(remote);
        !known && !uplinks
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.proxy.next_command() {
            self.sockets.carry_out(&command);
        }
    }

    fn taken(&mut self, index: usize) {
        let side = if index.is_multiple_of(2) { Family::V4 } else { Family::V6 };
        let Some(port) = self.sockets.port(side, index / 2) else { return };
        let another = self.proxy.port_taken(self.now, side, port);
        self.carry_out();
        assert!(!self.sockets.is_bound(side, port));
        if another && let Some(arrived) = self.arrived.clone() {
            drop(self.arrive(arrived));
        }
    }

    fn heard(&mut self, ago: Option<u32>) {
        let Some(session) = self.sockets.next_query() else { return };
        let last = ago.map(|ago| self.now.saturating_sub(Duration::from_secs(ago.into())));
        self.proxy.heard(self.now, session, last);
        self.carry_out();
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.proxy.handle_timeout(self.now);
        self.carry_out();
        assert!(self.proxy.poll_timeout().is_none_or(|next| next > self.now), "what was due is done");
    }

    /// Silence ends everything, and nothing is left.
    fn end(&mut self) {
        let most = 16 * (self.proxy.sessions() + 1);
        for _ in 0..most {
            let Some(next) = self.proxy.poll_timeout() else { break };
            self.wait(next.saturating_sub(self.now));
        }
        assert_eq!((self.proxy.poll_timeout(), self.proxy.sessions(), self.sockets.open_streams()), (None, 0, 0));
    }
}

/// Whether to show what passes: with `SHOW=1`, to look at a finding.
fn shows() -> bool {
    static SHOWS: OnceLock<bool> = OnceLock::new();
    *SHOWS.get_or_init(|| std::env::var_os("SHOW").is_some())
}

/// Whether this is a request.
pub fn is_request(bytes: &[u8]) -> bool {
    let mut fields = Fields::default();
    Message::parse(bytes, &mut fields).is_ok_and(|message| matches!(message.start_line, StartLine::Request { .. }))
}

/// The response to `request`; `below` has further header fields and the body.
pub fn answer(request: &[u8], code: u32, below: &[u8]) -> Vec<u8> {
    let mut fields = Fields::default();
    let message = Message::parse(request, &mut fields).expect("a request");
    let mut out = format!("SIP/2.0 {code} x\r\n").into_bytes();
    let kept = [
        HeaderName::VIA,
        HeaderName::RECORD_ROUTE,
        HeaderName::FROM,
        HeaderName::TO,
        HeaderName::CALL_ID,
        HeaderName::CSEQ,
    ];
    for field in message.fields.iter().filter(|field| kept.contains(&field.name)) {
        out.extend_from_slice(field.line.of(request));
        let tagged = sipproxy64::sip::name_addr::tag(field.value.of(request)).is_some();
        if field.name == HeaderName::TO && !tagged && code > 100 {
            out.truncate(out.trim_ascii_end().len());
            out.extend_from_slice(b";tag=callee\r\n");
        }
    }
    let below = if below.is_empty() { b"Content-Length: 0\r\n\r\n" } else { below };
    out.extend_from_slice(below);
    out
}
