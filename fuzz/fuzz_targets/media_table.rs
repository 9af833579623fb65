//! The media table: any messages in any order, ports that cannot be bound, and
//! time. The sockets that its commands open are those that it says are in use,
//! and silence ends everything.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sipproxy64::config::{Config, LatchMode, PortOrder, PortRange};
use sipproxy64::family::Family;
use sipproxy64::media::limits::Charge;
use sipproxy64::media::signal::{Refusal, Sender, Signal};
use sipproxy64::media::table::Table;
use sipproxy64::sip::method::Method;
use sipproxy64::streams::{Grant, Transport, Wanted};
use sipproxy64_fuzz::sockets::Sockets;

/// What happens, from the beginning on.
#[derive(Arbitrary, Debug)]
struct Run {
    pairs: u8,
    random: Option<u64>,
    max_calls: Option<u8>,
    max_calls_per_source: u8,
    latch_first: bool,
    events: Vec<Event>,
}

#[derive(Arbitrary, Debug)]
enum Event {
    Said(Said),
    /// The response to the last request that was said.
    Answered {
        status: Status,
        to_tag: Option<u8>,
        lines: Option<Vec<Line>>,
    },
    /// The last message once more.
    Again,
    Taken {
        v6: bool,
        index: u8,
    },
    Waited {
        milliseconds: u32,
    },
    Heard {
        seconds_ago: Option<u8>,
    },
    Local {
        hosts: Vec<u8>,
    },
    /// Another process goes on.
    HandedOver,
}

#[derive(Arbitrary, Clone, Debug)]
struct Said {
    call: bool,
    method: Verb,
    cseq: u8,
    status: Option<Status>,
    from_v6: bool,
    from_tag: Option<u8>,
    to_tag: Option<u8>,
    source: u8,
    destination: u8,
    generic: bool,
    asked_by: Option<u8>,
    branch: u8,
    lines: Option<Vec<Line>>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Verb {
    Invite,
    Ack,
    Bye,
    Cancel,
    Prack,
    Update,
    Options,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Status {
    Trying,
    Ringing,
    Ok,
    Moved,
    Busy,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Line {
    host: Option<u8>,
    other_family: bool,
    port: u16,
    rtcp: Option<(u8, u16)>,
    kind: u8,
    held: bool,
}

fuzz_target!(|run: Run| {
    let mut world = World::new(&run);
    run.events.iter().for_each(|event| world.handle(event));
    world.end();
});

struct World {
    config: Config,
    table: Table,
    sockets: Sockets,
    now: Duration,
    last: Option<Said>,
    limit: usize,
    grants: Vec<Grant>,
}

impl World {
    fn new(run: &Run) -> Self {
        let mut config = Config::new(endpoint(false, 1, 5060), endpoint(true, 1, 5060));
        config.rtp_ports = PortRange::new(16384, 16385 + 2 * u16::from(run.pairs % 12)).expect("a range");
        config.port_order = run.random.map_or(PortOrder::Ascending, PortOrder::Random);
        config.max_calls = run.max_calls.map(|calls| usize::from(calls) + 1);
        config.max_calls_per_source = usize::from(run.max_calls_per_source) + 1;
        config.latch = if run.latch_first { LatchMode::First } else { LatchMode::Signalled };
        let limit = config.max_calls.unwrap_or(usize::from(config.rtp_ports.pairs()));
        let sockets = Sockets::new(config.rtp_ports);
        Self { table: Table::new(&config), config, sockets, now: Duration::ZERO, last: None, limit, grants: Vec::new() }
    }

    fn handle(&mut self, event: &Event) {
        match event {
            Event::Said(said) => {
                self.last = Some(said.clone());
                self.signal(said);
            }
            Event::Answered { status, to_tag, lines } => {
                let Some(last) = &self.last else { return };
                let (from_v6, source, destination) = (!last.from_v6, last.destination, last.source);
                let to_tag = last.to_tag.or(*to_tag);
                let status = Some(*status);
                let lines = lines.clone();
                self.signal(&Said { status, to_tag, from_v6, source, destination, lines, ..last.clone() });
            }
            Event::Again => {
                if let Some(said) = self.last.clone() {
                    self.signal(&said);
                }
            }
            Event::Taken { v6, index } => self.taken(family(*v6), usize::from(*index)),
            Event::Waited { milliseconds } => self.wait(Duration::from_millis(u64::from(*milliseconds))),
            Event::Heard { seconds_ago } => {
                let last = seconds_ago.map(|ago| self.now.saturating_sub(Duration::from_secs(ago.into())));
                if let Some(session) = self.sockets.next_query() {
                    self.table.heard(self.now, session, last);
                }
            }
            Event::Local { hosts } => {
                let both = hosts.iter().flat_map(|&host| [endpoint(false, host, 1).ip(), endpoint(true, host, 1).ip()]);
                self.table.set_local_addresses(both.collect(), Vec::new());
            }
            Event::HandedOver => self.hand_over(),
        }
        self.look();
    }

    fn hand_over(&mut self) {
        self.table.open_all();
        self.carry_out();
        assert!(self.sockets.are_all_open());
        let bytes = postcard::to_allocvec(&self.table.save()).expect("it can be written");
        let saved = postcard::from_bytes(&bytes).expect("it can be read");
        self.table = Table::resume(&self.config, saved).expect("it fits");
        // What has expired meanwhile is looked after at once.
        self.wait(Duration::ZERO);
    }

    /// A message, and at once the same again, which changes nothing.
    fn signal(&mut self, said: &Said) {
        let before = self.table.sessions();
        let first = self.said_once(said);
        let grants = self.grants.clone();
        self.look();
        let sessions = self.table.sessions();
        // Of two sessions that nobody confirmed, each of which has one end of a
        // dialog, a refusal ends the one and, when it comes again, the other.
        if sessions < before && said.signal(&None).status.is_some_and(|status| status >= 300) {
            return;
        }
        let again = self.table.signal(self.now, &said.signal(&said.wanted()), &mut self.grants);
        assert_eq!((first, &grants, sessions), (again, &self.grants, self.table.sessions()), "{said:?}");
        // Who is at our own address may name a port of it that a later line draws: when
        // that comes again, it is one of ours.
        if !said.is_from_our_address() {
            assert_eq!(self.table.next_command(), None, "a retransmission: {said:?}");
        }
    }

    fn said_once(&mut self, said: &Said) -> Result<(), Refusal> {
        let wanted = said.wanted();
        let result = self.table.signal(self.now, &said.signal(&wanted), &mut self.grants);
        self.carry_out();
        let out = family(said.from_v6).other();
        let asked = if result.is_ok() { wanted.unwrap_or_default() } else { Vec::new() };
        if said.describes() {
            assert_eq!(self.grants.len(), asked.len());
        }
        for (grant, wanted) in self.grants.iter().zip(&asked) {
            match *grant {
                Grant::Relayed { port } => assert!(self.sockets.is_bound(out, port) && wanted.port != 0),
                Grant::Untouched => assert_ne!(wanted.port, 0),
                Grant::Refused => {}
            }
        }
        result
    }

    fn taken(&mut self, side: Family, index: usize) {
        let Some(port) = self.sockets.port(side, index) else { return };
        let open = self.sockets.open_streams();
        let replaced = self.table.port_taken(self.now, side, port);
        self.carry_out();
        assert!(!self.sockets.is_bound(side, port));
        assert_eq!(self.sockets.open_streams() == open, replaced);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.table.handle_timeout(self.now);
        self.carry_out();
        assert!(self.table.poll_timeout().is_none_or(|next| next > self.now), "what was due is done");
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.table.next_command() {
            self.sockets.carry_out(&command);
        }
    }

    fn look(&mut self) {
        self.carry_out();
        for side in Family::BOTH {
            assert_eq!(self.table.ports_in_use(side), self.sockets.open_streams());
        }
        assert!(self.table.sessions() <= self.limit && self.sockets.sessions() <= self.table.sessions());
        assert_eq!(self.table.poll_timeout().is_some(), self.table.sessions() > 0, "each session has a deadline");
    }

    /// Nobody says anything any more.
    fn end(&mut self) {
        let mut rounds = 0;
        let most = 16 * (self.table.sessions() + 1);
        while let Some(next) = self.table.poll_timeout() {
            self.wait(next.saturating_sub(self.now));
            rounds += 1;
            assert!(rounds <= most, "silence ends a call");
        }
        self.look();
        assert_eq!((self.table.sessions(), self.sockets.open_streams()), (0, 0));
    }
}

impl Said {
    fn method(&self) -> Method {
        match self.method {
            Verb::Invite => Method::Invite,
            Verb::Ack => Method::Ack,
            Verb::Bye => Method::Bye,
            Verb::Cancel => Method::Cancel,
            Verb::Prack => Method::Prack,
            Verb::Update => Method::Update,
            Verb::Options => Method::Options,
        }
    }

    /// That of the listen address, see [`World::new`].
    fn is_from_our_address(&self) -> bool {
        self.source % 8 == 1
    }

    fn describes(&self) -> bool {
        matches!(self.method(), Method::Invite | Method::Ack | Method::Prack | Method::Update)
    }

    fn wanted(&self) -> Option<Vec<Wanted>> {
        let lines = self.lines.as_ref().filter(|_| self.describes())?;
        Some(lines.iter().take(70).map(|line| line.wanted(self.from_v6)).collect())
    }

    /// Like the seal in ours, the same in a request and its responses, and another
    /// for each transaction.
    fn branch(&self) -> u64 {
        let requested_by_v6 = self.from_v6 != self.status.is_some();
        let tag = self.from_tag.map_or(4, |tag| tag % 4);
        [tag, self.cseq % 8, u8::from(requested_by_v6), self.branch % 3]
            .iter()
            .fold(0, |all, &it| all << 8 | u64::from(it))
    }

    fn signal<'a>(&self, wanted: &'a Option<Vec<Wanted>>) -> Signal<'a> {
        const TAGS: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let tag = |tag: Option<u8>| tag.map(|tag| TAGS[usize::from(tag % 4)]);
        Signal {
            call_id: if self.call { b"one" } else { b"two" },
            method: self.method(),
            cseq: u32::from(self.cseq % 8),
            status: self.status.map(Status::code),
            arrival: family(self.from_v6),
            from_tag: tag(self.from_tag),
            to_tag: tag(self.to_tag),
            source: endpoint(self.from_v6, self.source % 8, 5060),
            destination: endpoint(!self.from_v6, self.destination % 8, 5060),
            sender: match self.source % 4 {
                _ if self.generic => Sender::Generic,
                3 => Sender::Ourselves,
                _ => Sender::Known,
            },
            asked_by: match self.asked_by {
                None => Charge::Nobody,
                Some(0..64) => Charge::OnTrust,
                Some(host) => Charge::Stranger(endpoint(host % 2 == 0, host % 8, 5060).ip()),
            },
            branch: self.branch(),
            wanted: wanted.as_deref(),
        }
    }
}

impl Status {
    fn code(self) -> u16 {
        match self {
            Self::Trying => 100,
            Self::Ringing => 180,
            Self::Ok => 200,
            Self::Moved => 302,
            Self::Busy => 486,
        }
    }
}

impl Line {
    fn wanted(self, from_v6: bool) -> Wanted {
        let v6 = from_v6 != self.other_family;
        let rtcp = self.rtcp.map(|(host, port)| endpoint(v6, host, port));
        let transport = match self.kind % 6 {
            0..3 => Transport::Rtp,
            3 => Transport::Udptl,
            4 => Transport::Udp,
            _ => Transport::NotRelayable,
        };
        let address = self.host.map(|host| endpoint(v6, host, 1).ip());
        Wanted { address, port: self.port, rtcp, transport, held: self.held }
    }
}

fn family(v6: bool) -> Family {
    if v6 { Family::V6 } else { Family::V4 }
}

/// Host 1 is ourselves; the highest ones are nobody that packets go to.
fn endpoint(v6: bool, host: u8, port: u16) -> SocketAddr {
    let ip: IpAddr = match (v6, host) {
        (false, 255) => [255; 4].into(),
        (false, 254) => [127, 0, 0, 1].into(),
        (false, 253) => [0; 4].into(),
        (false, _) => [192, 0, 2, host].into(),
        (true, 255) => [0xff02, 0, 0, 0, 0, 0, 0, 1].into(),
        (true, 254) => [0, 0, 0, 0, 0, 0, 0, 1].into(),
        (true, 253) => [0; 8].into(),
        (true, _) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()].into(),
    };
    SocketAddr::new(ip, port)
}
