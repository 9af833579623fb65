//! SIP messages for a collector such as Homer or sngrep: HEP version 3, also
//! called EEP, over UDP.
//!
//! A packet is `HEP3`, its length, and chunks: vendor, type, length, value, all
//! numbers in network byte order. Each message becomes two packets, as it came
//! and as it left, with the addresses that it had on each leg and its Call-ID to
//! correlate them by, since that is the same in both families. What a collector
//! does not take in, or the network loses, is gone: nobody waits for it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use socket2::{Domain, Socket, Type};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::endpoint::{Endpoint, Host};
use crate::limit::{Bucket, Rate};
use crate::observer::{Change, Crossed, Fate, Sink};
use crate::scan::trim;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message};
use crate::task::{self, lock};

/// The port that collectors listen on, where none is named.
pub const HEP_PORT: u16 = 9060;
/// The largest packet: what UDP over IPv4 carries.
const MAX_PACKET: usize = 65_507;
/// The longest correlation identifier: a Call-ID, cut there.
const MAX_CALL_ID: usize = 256;
/// How long the address of a name is good for.
const LOOKUP_PAUSE: Duration = Duration::from_secs(60);
/// The pause between tries while there never was an answer.
const FIRST_LOOKUP_PAUSE: Duration = Duration::from_secs(5);

/// The chunks of the generic vendor.
mod chunk {
    pub(super) const IP_FAMILY: u16 = 1;
    pub(super) const IP_PROTOCOL: u16 = 2;
    pub(super) const IPV4_SOURCE: u16 = 3;
    pub(super) const IPV4_DESTINATION: u16 = 4;
    pub(super) const IPV6_SOURCE: u16 = 5;
    pub(super) const IPV6_DESTINATION: u16 = 6;
    pub(super) const SOURCE_PORT: u16 = 7;
    pub(super) const DESTINATION_PORT: u16 = 8;
    pub(super) const SECONDS: u16 = 9;
    pub(super) const MICROSECONDS: u16 = 10;
    pub(super) const PROTOCOL: u16 = 11;
    pub(super) const CAPTURE_ID: u16 = 12;
    pub(super) const PAYLOAD: u16 = 15;
    pub(super) const CORRELATION_ID: u16 = 17;
}

/// `AF_INET` and `AF_INET6` as HEP writes them, on every system.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const UDP: u8 = 17;
/// The protocol of the payload.
const SIP: u8 = 1;

/// Where to send what is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its host and port.
    pub endpoint: Endpoint,
    /// By which number it tells this proxy from others.
    pub capture_id: u32,
}

impl Collector {
    fn port(&self) -> u16 {
        self.endpoint.port.unwrap_or(HEP_PORT)
    }

    /// Where it is, if that is numeric.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.endpoint.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port())),
            Host::Name(_) => None,
        }
    }
}

/// Sends each message to a collector.
#[derive(Debug)]
pub struct Hep {
    config: Arc<Config>,
    clock: Clock,
    address: Arc<Mutex<Option<SocketAddr>>>,
    /// The name and port that are still to be looked up.
    wanted: Option<(String, u16)>,
    /// The socket, and the family that it is of.
    socket: Option<(Socket, Domain)>,
    capture_id: u32,
    failures: Failures,
    packet: Vec<u8>,
    fields: Fields,
}

/// Packets that could not be sent.
#[derive(Debug, Default)]
struct Failures {
    /// Since the last line about them.
    count: u64,
    told: Bucket,
}

impl Hep {
    /// Sends to `collector`. A name is looked up by a thread of its own, again and
    /// again, from the beginning on; until it is found, messages are not sent.
    pub fn new(collector: &Collector, config: Arc<Config>, clock: Clock) -> Self {
        let wanted = match &collector.endpoint.host {
            Host::Address(_) => None,
            Host::Name(name) => Some((name.clone(), collector.port())),
        };
        let (failures, packet, fields) = (Failures::default(), Vec::new(), Fields::default());
        let (address, capture_id) = (Arc::new(Mutex::new(collector.address())), collector.capture_id);
        Self { config, clock, address, wanted, socket: None, capture_id, failures, packet, fields }
    }

    fn send(&mut self, at: SystemTime, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        let Some(collector) = *lock(&self.address) else { return };
        let leg = Leg { at, from, to, capture_id: self.capture_id };
        let call_id =
            Message::parse(message, &mut self.fields).ok().and_then(|message| message.value(HeaderName::CALL_ID));
        leg.write(call_id.unwrap_or_default(), message, &mut self.packet);
        if let Err(error) = self.transmit(collector) {
            self.failures.count(self.clock.now(), collector, &error);
        }
    }

    /// Gives the packet to the system. The socket is not connected: that a
    /// collector is not there must not fail the next packet.
    fn transmit(&mut self, collector: SocketAddr) -> io::Result<()> {
        // A name may lead here, too: this would go on for ever.
        if self.config.is_ours(collector) {
            return Err(io::Error::other("an address of this proxy itself"));
        }
        let domain = Domain::for_address(collector);
        let socket = match self.socket.take() {
            Some((socket, is)) if is == domain => socket,
            _ => {
                let socket = Socket::new(domain, Type::DGRAM, None)?;
                socket.set_nonblocking(true)?;
                socket
            }
        };
        let (socket, _) = self.socket.insert((socket, domain));
        socket.send_to(&self.packet, &collector.into()).map(drop)
    }
}

impl Sink for Hep {
    fn begin(&mut self) {
        if let Some((name, port)) = self.wanted.take() {
            let found = Arc::clone(&self.address);
            let started = task::thread("hep".to_owned(), move || keep_looking(&name, port, &found));
            if let Err(error) = started {
                warn!(%error, "--hep: no thread to look names up, so nothing is sent");
            }
        }
    }

    fn message(&mut self, crossed: &Crossed<'_>) {
        // What came from ourselves was sent a moment ago.
        if !self.config.is_ours(crossed.remote) {
            self.send(crossed.at, crossed.remote, crossed.local, crossed.received);
        }
        if let Fate::Sent { from, to, message, .. } = crossed.fate {
            self.send(crossed.at, from, to, message);
        }
    }

    fn change(&mut self, change: &Change) {
        if let Change::Config(config) = change {
            self.config = Arc::clone(config);
        }
    }
}

impl Failures {
    fn count(&mut self, now: Duration, collector: SocketAddr, error: &io::Error) {
        self.count = self.count.saturating_add(1);
        if self.told.take(now, Rate::ONCE_A_MINUTE) {
            warn!(%collector, %error, count = std::mem::take(&mut self.count), "--hep: not sent");
        }
    }
}

/// Looks a name up until the end of the program; the last good answer stays.
fn keep_looking(name: &str, port: u16, found: &Mutex<Option<SocketAddr>>) {
    let mut failing = false;
    loop {
        let known = *lock(found);
        match (name, port).to_socket_addrs().map(|addresses| one_of(addresses, known)) {
            Ok(Some(address)) => {
                failing = false;
                if known != Some(address) {
                    *lock(found) = Some(address);
                    info!(%name, %address, "--hep: collector found");
                }
            }
            answer => {
                let reason = answer.map_or_else(|error| error.to_string(), |_| "it has no address".to_owned());
                if !failing {
                    warn!(%name, %reason, last_answer_kept = known.is_some(), "--hep: collector cannot be looked up; trying again");
                }
                failing = true;
            }
        }
        let found = lock(found).is_some();
        thread::sleep(if found { LOOKUP_PAUSE } else { FIRST_LOOKUP_PAUSE });
    }
}

/// The one that is known, as long as it is among them; else the first.
fn one_of(mut addresses: impl Iterator<Item = SocketAddr>, known: Option<SocketAddr>) -> Option<SocketAddr> {
    let first = addresses.next()?;
    // Name servers turn the order round each time, and a call is to be seen whole.
    Some(known.filter(|known| *known == first || addresses.any(|address| address == *known)).unwrap_or(first))
}

/// One message on one leg.
#[derive(Clone, Copy, Debug)]
struct Leg {
    at: SystemTime,
    from: SocketAddr,
    to: SocketAddr,
    capture_id: u32,
}

impl Leg {
    /// Writes the packet of a message into `out`. A message that is too large
    /// for it is cut.
    fn write(&self, call_id: &[u8], message: &[u8], out: &mut Vec<u8>) {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // HEP counts seconds in 32 bits without sign: until 2106.
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        out.clear();
        out.extend_from_slice(b"HEP3\0\0");
        match (self.from, self.to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => put_ipv4(*from.ip(), *to.ip(), out),
            // A message never changes its family between two ends.
            (from, to) => put_ipv6(ipv6(from), ipv6(to), out),
        }
        put(chunk::IP_PROTOCOL, &[UDP], out);
        put(chunk::SOURCE_PORT, &self.from.port().to_be_bytes(), out);
        put(chunk::DESTINATION_PORT, &self.to.port().to_be_bytes(), out);
        put(chunk::SECONDS, &seconds.to_be_bytes(), out);
        put(chunk::MICROSECONDS, &since.subsec_micros().to_be_bytes(), out);
        put(chunk::PROTOCOL, &[SIP], out);
        put(chunk::CAPTURE_ID, &self.capture_id.to_be_bytes(), out);
        let call_id = trim(call_id);
        put(chunk::CORRELATION_ID, call_id.get(..MAX_CALL_ID).unwrap_or(call_id), out);
        let room = MAX_PACKET.saturating_sub(out.len()).saturating_sub(CHUNK_HEADER);
        put(chunk::PAYLOAD, message.get(..room).unwrap_or(message), out);
        let length = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(place) = out.get_mut(4..6) {
            place.copy_from_slice(&length);
        }
    }
}

fn ipv6(address: SocketAddr) -> Ipv6Addr {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    }
}

fn put_ipv4(from: Ipv4Addr, to: Ipv4Addr, out: &mut Vec<u8>) {
    put(chunk::IP_FAMILY, &[IPV4], out);
    put(chunk::IPV4_SOURCE, &from.octets(), out);
    put(chunk::IPV4_DESTINATION, &to.octets(), out);
}

fn put_ipv6(from: Ipv6Addr, to: Ipv6Addr, out: &mut Vec<u8>) {
    put(chunk::IP_FAMILY, &[IPV6], out);
    put(chunk::IPV6_SOURCE, &from.octets(), out);
    put(chunk::IPV6_DESTINATION, &to.octets(), out);
}

/// Vendor, type and length of a chunk.
const CHUNK_HEADER: usize = 6;

fn put(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(value.len().saturating_add(CHUNK_HEADER)).unwrap_or(u16::MAX);
    out.extend_from_slice(&0_u16.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(from: &str, to: &str, message: &[u8]) -> Vec<u8> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let leg = Leg { at, from: from.parse().unwrap(), to: to.parse().unwrap(), capture_id: 64 };
        let mut out = Vec::new();
        leg.write(b" c1@host ", message, &mut out);
        out
    }

    /// The chunks of a packet, by type.
    fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let number = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        assert_eq!((&packet[..4], number(4)), (&b"HEP3"[..], packet.len()));
        let (mut at, mut chunks) = (6, Vec::new());
        while at < packet.len() {
            assert_eq!(number(at), 0, "the generic vendor");
            let length = number(at + 4);
            chunks.push((u16::try_from(number(at + 2)).unwrap(), packet[at + 6..at + length].to_vec()));
            at += length;
        }
        chunks
    }

    #[test]
    fn a_packet_says_who_sent_what_to_whom_and_when() {
        let of = |packet: &[u8], kind| chunks(packet).into_iter().find(|(of, _)| *of == kind).map(|(_, value)| value);
        let four = packet("192.0.2.9:5062", "192.0.2.1:5060", b"BYE");
        assert_eq!(of(&four, 1), Some(vec![2]));
        assert_eq!(of(&four, 2), Some(vec![17]));
        assert_eq!(of(&four, 3), Some(vec![192, 0, 2, 9]));
        assert_eq!(of(&four, 4), Some(vec![192, 0, 2, 1]));
        assert_eq!(of(&four, 7), Some(5062_u16.to_be_bytes().to_vec()));
        assert_eq!(of(&four, 8), Some(5060_u16.to_be_bytes().to_vec()));
        assert_eq!(of(&four, 9), Some(1_700_000_000_u32.to_be_bytes().to_vec()));
        assert_eq!(of(&four, 10), Some(123_456_u32.to_be_bytes().to_vec()));
        assert_eq!(of(&four, 11), Some(vec![1]));
        assert_eq!(of(&four, 12), Some(vec![0, 0, 0, 64]));
        assert_eq!(of(&four, 15), Some(b"BYE".to_vec()));
        assert_eq!(of(&four, 17), Some(b"c1@host".to_vec()));
        let six = packet("[2001:db8::9]:5060", "[2001:db8::1]:5060", b"BYE");
        assert_eq!(of(&six, 1), Some(vec![10]));
        assert_eq!(of(&six, 5), Some("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets().to_vec()));
        assert_eq!(of(&six, 6), Some("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets().to_vec()));
    }

    #[test]
    fn the_collector_that_is_known_stays_while_the_name_has_its_address() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, other) = (at("192.0.2.1:9060"), at("192.0.2.2:9060"));
        let found = |answer: &[SocketAddr], known| one_of(answer.iter().copied(), known);
        assert_eq!(found(&[other, one], None), Some(other));
        assert_eq!(found(&[other, one], Some(one)), Some(one));
        assert_eq!(found(&[other], Some(one)), Some(other));
        assert_eq!(found(&[], Some(one)), None);
    }

    #[test]
    fn a_message_that_is_too_large_is_cut() {
        let packet = packet("192.0.2.9:5062", "192.0.2.1:5060", &[b'x'; 65_507]);
        assert_eq!(packet.len(), MAX_PACKET);
        assert_eq!(chunks(&packet).last().map(|(kind, _)| *kind), Some(chunk::PAYLOAD));
    }
}
