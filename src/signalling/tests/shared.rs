use super::*;
use crate::clock::Clock;
use crate::config::{LatchMode, PortRange};
use crate::media::table::Sender;
use crate::relay::{Notice, RelayOptions};
use crate::sip::method::Method;
use crate::streams::{Transport, Wanted};

/// The sessions of a proxy on loopback with two port pairs.
fn shared() -> (Shared, tokio::sync::mpsc::UnboundedReceiver<Notice>, PortRange) {
    let mut config = Config::new("127.0.0.1:5060".parse().unwrap(), "[::1]:5060".parse().unwrap());
    config.rtp_ports = PortRange::new(41_350, 41_353).unwrap();
    config.latch = LatchMode::Signalled;
    let (relay, notices) =
        Relay::start(Clock::start(), &RelayOptions { threads: 1, ..RelayOptions::default() }).unwrap();
    (Shared::new(&config, SocketOptions::default(), relay), notices, config.rtp_ports)
}

fn wanted() -> Wanted {
    Wanted {
        address: Some("192.0.2.101".parse().unwrap()),
        port: 4000,
        rtcp: None,
        rtcp_mux: false,
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
        asked_by: None,
        branch: 1,
        wanted: Some(wanted),
    }
}

/// Spec section 5: what is promised in a message is open before it leaves.
#[test]
fn a_taken_port_is_replaced_before_the_message_leaves() {
    let (shared, _notices, ports) = shared();
    #[allow(clippy::disallowed_types, reason = "tests own sockets")]
    let other = std::net::UdpSocket::bind(("::1", ports.first() + 1)).unwrap();
    let (lines, mut grants) = ([wanted()], Vec::new());
    let signal = invite(b"1", &lines);
    assert_eq!((&shared).signal(Duration::ZERO, &signal, &mut grants), Ok(()));
    assert_eq!(grants, [Grant::Relayed { port: ports.first() + 2 }]);
    let streams = || shared.look(|calls| calls.relay.streams());
    assert_eq!(streams(), 1);
    assert_eq!(shared.troubles().into_values().sum::<u64>(), 1, "counted");
    // A retransmission changes nothing.
    assert_eq!((&shared).signal(Duration::ZERO, &signal, &mut grants), Ok(()));
    assert_eq!((grants.as_slice(), streams()), (&[Grant::Relayed { port: ports.first() + 2 }][..], 1));
    // The last pair of IPv6 is gone; a new call is refused.
    drop(other);
    assert_eq!((&shared).signal(Duration::ZERO, &invite(b"2", &lines), &mut grants), Err(Refusal::NoPorts));
}

#[tokio::test]
async fn the_main_thread_hears_of_a_sooner_deadline() {
    let (shared, _notices, _) = shared();
    assert_eq!(shared.deadline(), None);
    assert_eq!((&shared).signal(Duration::ZERO, &invite(b"1", &[wanted()]), &mut Vec::new()), Ok(()));
    shared.sooner().await;
    assert!(shared.deadline().is_some());
}
