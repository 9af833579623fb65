use std::sync::atomic::AtomicU16;

use super::*;
use crate::clock::Clock;
use crate::config::{LatchMode, PortRange};
use crate::media::limits::Charge;
use crate::media::signal::Sender;
use crate::relay::{Notice, RelayOptions};
use crate::sip::method::Method;
use crate::streams::{Transport, Wanted};

/// Four ports in a row that nobody has, and that the system gives to nobody who asks
/// for any. No two calls try the same, and two processes begin elsewhere.
fn free_ports() -> PortRange {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    loop {
        let tried = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let first = 20_000 + 4 * u16::try_from((std::process::id().wrapping_mul(101) + tried) % 3000).unwrap();
        let bind = |port| ["127.0.0.1", "::1"].map(|address| std::net::UdpSocket::bind((address, port)));
        if (first..first + 4).flat_map(bind).all(|socket| socket.is_ok()) {
            return PortRange::new(first, first + 3).unwrap();
        }
        assert!(tried < 3000, "no ports are free");
    }
}

/// The sessions of a proxy on loopback with two port pairs.
fn shared() -> (Shared, tokio::sync::mpsc::UnboundedReceiver<Notice>, PortRange) {
    let mut config = Config::new("127.0.0.1:5060".parse().unwrap(), "[::1]:5060".parse().unwrap());
    config.rtp_ports = free_ports();
    config.latch = LatchMode::Signalled;
    let (relay, notices) =
        Relay::start(Clock::start(), &RelayOptions { threads: 1, ..RelayOptions::default() }).unwrap();
    (Shared::new(&config, SocketOptions::default(), relay), notices, config.rtp_ports)
}

/// What the table says to a thread that has no sockets in stock.
fn ask(shared: &Shared, signal: &Signal<'_>, grants: &mut Vec<Grant>) -> Result<(), Refusal> {
    shared.with(&mut Stock::none(SocketOptions::default())).signal(Duration::ZERO, signal, grants)
}

fn wanted() -> Wanted {
    Wanted {
        address: Some("192.0.2.101".parse().unwrap()),
        port: 4000,
        rtcp: None,
        transport: Transport::Rtp,
        held: false,
    }
}

fn invite<'a>(call_id: &'a [u8], wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        call_id,
        method: Method::Invite,
        cseq: 1,
        status: None,
        arrival: Family::V4,
        from_tag: Some(b"a"),
        to_tag: None,
        source: "192.0.2.101:5060".parse().unwrap(),
        destination: "[2001:db8::9]:5060".parse().unwrap(),
        sender: Sender::Known,
        asked_by: Charge::Nobody,
        branch: 1,
        wanted: Some(wanted),
    }
}

/// What is promised in a message is open before it leaves.
#[test]
fn a_taken_port_is_replaced_before_the_message_leaves() {
    let (shared, _notices, ports) = shared();
    let other = std::net::UdpSocket::bind(("::1", ports.first() + 1)).unwrap();
    let (lines, mut grants) = ([wanted()], Vec::new());
    let signal = invite(b"1", &lines);
    assert_eq!(ask(&shared, &signal, &mut grants), Ok(()));
    assert_eq!(grants, [Grant::Relayed { port: ports.first() + 2 }]);
    let streams = || shared.look(|calls| calls.relay.streams());
    assert_eq!(streams(), 1);
    assert_eq!(shared.troubles().into_values().sum::<u64>(), 1, "counted");
    // A retransmission changes nothing.
    assert_eq!(ask(&shared, &signal, &mut grants), Ok(()));
    assert_eq!((grants.as_slice(), streams()), (&[Grant::Relayed { port: ports.first() + 2 }][..], 1));
    // The last pair of IPv6 is gone; a new call is refused.
    drop(other);
    assert_eq!(ask(&shared, &invite(b"2", &lines), &mut grants), Err(Refusal::NoPorts));
}

/// A message that begins a call leaves first; one that changes what others know, last.
#[test]
fn only_what_others_know_of_is_urgent() {
    let (shared, _notices, _) = shared();
    let (lines, mut grants) = ([wanted()], Vec::new());
    let marks = || (shared.urgent.load(Ordering::Acquire), shared.unwoken.load(Ordering::Acquire));
    assert_eq!(ask(&shared, &invite(b"1", &lines), &mut grants), Ok(()));
    assert_eq!(marks(), (false, true));
    let lines = [Wanted { address: Some("2001:db8::9".parse().unwrap()), ..wanted() }];
    assert_eq!(ask(&shared, &answer(&lines), &mut grants), Ok(()));
    assert_eq!(marks(), (true, true));
    shared.wake_urgent_relay();
    assert_eq!(marks(), (false, false));
}

/// Sockets are made behind no lock, and none for a message that begins nothing.
#[test]
fn a_call_takes_its_sockets_out_of_the_stock() {
    let (shared, _notices, ports) = shared();
    let (lines, mut grants) = ([wanted()], Vec::new());
    let mut stock = Stock::new(SocketOptions::default(), 1);
    let mut ask = |stock: &mut Stock, signal| shared.with(stock).signal(Duration::ZERO, signal, &mut grants);
    assert!(stock.is_low());
    let call = invite(b"1", &lines);
    assert_eq!(ask(&mut stock, &call), Ok(()));
    assert!(stock.is_low(), "filled and taken");
    stock.add();
    assert_eq!(ask(&mut stock, &call), Ok(()));
    assert!(!stock.has_room(), "a retransmission takes none");
    assert!(is_open("::1", ports), "the message names it");
    assert!(!is_open("127.0.0.1", ports), "no message names it yet");
}

/// Whether the first port is open there.
fn is_open(address: &str, ports: PortRange) -> bool {
    std::net::UdpSocket::bind((address, ports.first())).is_err()
}

/// The answer of the callee, which names the port for the caller.
fn answer<'a>(wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        status: Some(200),
        arrival: Family::V6,
        to_tag: Some(b"b"),
        source: "[2001:db8::9]:5060".parse().unwrap(),
        destination: "192.0.2.101:5060".parse().unwrap(),
        ..invite(b"1", wanted)
    }
}

/// What another program took meanwhile the answer does not name.
#[test]
fn the_callers_side_is_opened_by_the_answer() {
    let (shared, _notices, ports) = shared();
    let (mut grants, mut stock) = (Vec::new(), Stock::new(SocketOptions::default(), 1));
    let mut ask = |signal: &Signal<'_>| {
        shared.with(&mut stock).signal(Duration::ZERO, signal, &mut grants).map(|()| grants.clone())
    };
    assert_eq!(ask(&invite(b"1", &[wanted()])), Ok(vec![Grant::Relayed { port: ports.first() }]));
    let other = std::net::UdpSocket::bind(("127.0.0.1", ports.first())).unwrap();
    let lines = [Wanted { address: Some("2001:db8::9".parse().unwrap()), ..wanted() }];
    for _ in 0..2 {
        assert_eq!(ask(&answer(&lines)), Ok(vec![Grant::Relayed { port: ports.first() + 2 }]));
    }
    drop(other);
    assert!(!is_open("127.0.0.1", ports) && is_open("::1", ports));
    assert_eq!(shared.troubles().into_values().sum::<u64>(), 1, "counted");
}

/// A 200 that the BYE has overtaken, or that the network repeats.
#[test]
fn what_comes_after_the_end_is_no_trouble() {
    let (shared, _notices, _) = shared();
    let mut grants = Vec::new();
    let lines = [Wanted { address: Some("2001:db8::9".parse().unwrap()), ..wanted() }];
    assert_eq!(ask(&shared, &invite(b"1", &[wanted()]), &mut grants), Ok(()));
    assert_eq!(ask(&shared, &answer(&lines), &mut grants), Ok(()));
    let bye = Signal { method: Method::Bye, cseq: 2, to_tag: Some(b"b"), wanted: None, ..invite(b"1", &[]) };
    assert_eq!(ask(&shared, &bye, &mut grants), Ok(()));
    assert_eq!(ask(&shared, &answer(&lines), &mut grants), Ok(()));
    assert_eq!(grants, [Grant::Refused]);
    assert_eq!(shared.troubles().into_values().sum::<u64>(), 0);
}

#[tokio::test]
async fn the_main_thread_hears_of_a_sooner_deadline() {
    let (shared, _notices, _) = shared();
    assert_eq!(shared.deadline(), None);
    assert_eq!(ask(&shared, &invite(b"1", &[wanted()]), &mut Vec::new()), Ok(()));
    shared.sooner().await;
    assert!(shared.deadline().is_some());
}
