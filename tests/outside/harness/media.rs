//! RTP and RTCP endpoints that send numbered packets and miss none.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::PATIENCE;
use super::message::{Message, unique};

/// What a description says: where RTP and RTCP of its first stream go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Where RTP goes.
    pub rtp: SocketAddr,
    /// Where RTCP goes, the port above where nothing else is said (RFC 3605).
    pub rtcp: SocketAddr,
}

impl Described {
    /// Reads the first stream of a message's body.
    pub fn of(message: &Message) -> Self {
        *Self::all(message).first().unwrap_or_else(|| panic!("no m= in\n{message}"))
    }

    /// Reads all streams of a message's body.
    pub fn all(message: &Message) -> Vec<Self> {
        let mut sections = message.body.split("\r\nm=");
        let session = sections.next().unwrap_or_default();
        sections.map(|section| Self::read(session, section, message)).collect()
    }

    fn read(session: &str, section: &str, message: &Message) -> Self {
        let find = |text: &str, start: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(start));
            found.map(|value| value.trim().to_owned())
        };
        let connection =
            [section, session].into_iter().find_map(|text| find(text, "c=IN IP4 ").or(find(text, "c=IN IP6 ")));
        let ip: IpAddr = connection.unwrap_or_else(|| panic!("no c= in\n{message}")).parse().unwrap();
        let port: u16 = section.split(' ').nth(1).unwrap().parse().unwrap();
        let rtcp = find(section, "a=rtcp:").map_or(port + 1, |value| value.split(' ').next().unwrap().parse().unwrap());
        Self { rtp: SocketAddr::new(ip, port), rtcp: SocketAddr::new(ip, rtcp) }
    }
}

/// An RTP socket and its RTCP socket on the port above.
#[derive(Debug)]
pub struct Media {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    ssrc: u32,
    /// The address in its descriptions: behind NAT not that of the socket.
    pub described: IpAddr,
}

impl Media {
    /// At this even port.
    pub fn bind(ip: IpAddr, port: u16) -> Self {
        let bind = |port| UdpSocket::bind((ip, port)).unwrap_or_else(|error| panic!("media at {ip} {port}: {error}"));
        let ssrc = u32::from(port) << 16 | 0x5364;
        Self { rtp: bind(port), rtcp: bind(port + 1), ssrc, described: ip }
    }

    /// The same source of sound at another port: SSRC and all.
    pub fn moved_to(&self, ip: IpAddr, port: u16) -> Self {
        Self { ssrc: self.ssrc, ..Self::bind(ip, port) }
    }

    /// Its RTP address.
    pub fn address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    /// Its RTP socket and its SSRC.
    pub fn rtp_socket(&self) -> (UdpSocket, u32) {
        (self.rtp.try_clone().unwrap(), self.ssrc)
    }

    /// Its description; the origin's version grows with every call.
    pub fn description(&self) -> String {
        let (ip, port) = (self.described, self.address().port());
        let family = if ip.is_ipv6() { "IP6" } else { "IP4" };
        let version = unique("");
        format!(
            "v=0\r\no=phone 7 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
    }

    /// Sends RTP packet `number` of `track`.
    pub fn send_rtp(&self, track: &str, number: u16, to: Described) {
        self.rtp.send_to(&rtp_packet(self.ssrc, track, number), to.rtp).unwrap();
    }

    /// Sends RTCP packet `number` of `track`.
    pub fn send_rtcp(&self, track: &str, number: u16, to: Described) {
        self.rtcp.send_to(&rtcp_packet(self.ssrc, track, number), to.rtcp).unwrap();
    }

    /// Asserts that the next RTP packet is number `number` of `track` from
    /// `sender`, unchanged, and comes from where `relay` says.
    pub fn expect_rtp(&self, sender: &Self, track: &str, number: u16, relay: Described) {
        expect(&self.rtp, &rtp_packet(sender.ssrc, track, number), relay.rtp, "RTP", track, number);
    }

    /// The same for RTCP.
    pub fn expect_rtcp(&self, sender: &Self, track: &str, number: u16, relay: Described) {
        expect(&self.rtcp, &rtcp_packet(sender.ssrc, track, number), relay.rtcp, "RTCP", track, number);
    }

    /// The next RTP packet and its source, if one comes in time.
    pub fn receive_rtp_within(&self, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        receive(&self.rtp, time)
    }

    /// How many RTP and RTCP packets have come and were not received yet.
    pub fn waiting(&self) -> usize {
        let count = |socket| std::iter::from_fn(|| receive(socket, Duration::from_millis(1))).count();
        count(&self.rtp) + count(&self.rtcp)
    }

    /// Sends any bytes from the RTP socket.
    pub fn send_bytes(&self, bytes: &[u8], to: SocketAddr) {
        self.rtp.send_to(bytes, to).unwrap();
    }
}

/// Two endpoints, and where each was told to send. What one is told is also
/// where the other's packets come from.
#[derive(Clone, Copy, Debug)]
pub struct Bridge<'a> {
    /// One endpoint, and what it was told.
    pub one: (&'a Media, Described),
    /// The other endpoint, and what it was told.
    pub other: (&'a Media, Described),
}

impl Bridge<'_> {
    /// Sends `count` RTP and as many RTCP packets each way, all at once, and
    /// asserts that each arrives, in order and unchanged, from the relay.
    pub fn assert_carries(&self, count: u16) {
        let (there, back) = (unique("there "), unique("back "));
        let (one, told_one) = self.one;
        let (other, told_other) = self.other;
        for number in 0..count {
            one.send_rtp(&there, number, told_one);
            other.send_rtp(&back, number, told_other);
            one.send_rtcp(&there, number, told_one);
            other.send_rtcp(&back, number, told_other);
        }
        for number in 0..count {
            other.expect_rtp(one, &there, number, told_other);
            one.expect_rtp(other, &back, number, told_one);
            other.expect_rtcp(one, &there, number, told_other);
            one.expect_rtcp(other, &back, number, told_one);
        }
    }
}

fn expect(socket: &UdpSocket, wanted: &[u8], relay: SocketAddr, kind: &str, track: &str, number: u16) {
    let here = socket.local_addr().unwrap();
    let Some((found, source)) = receive(socket, PATIENCE) else {
        panic!("{kind} packet {number} of `{track}` never came to {here}");
    };
    let text = String::from_utf8_lossy(&found);
    assert_eq!(found, wanted, "{here} waits for {kind} packet {number} of `{track}`, but gets `{text}` from {source}");
    assert_eq!(source, relay, "source of {kind} packet {number} of `{track}` at {here}");
}

fn receive(socket: &UdpSocket, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    socket.set_read_timeout(Some(time)).unwrap();
    let mut buffer = [0; 2048];
    let (length, source) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..length].to_vec(), source))
}

/// An RTP packet (RFC 3550 §5.1) of 20 ms PCMU, whose payload tells who it is.
pub fn rtp_packet(ssrc: u32, track: &str, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(format!("RTP packet {number} of {track}").bytes());
    packet.resize(12 + 160, 0xff);
    packet
}

/// An RTCP packet (RFC 3550 §6.7): an APP, since only that can be numbered.
pub fn rtcp_packet(ssrc: u32, track: &str, number: u16) -> Vec<u8> {
    const WORDS: u16 = 15;
    let mut packet = vec![0x80, 204];
    packet.extend((WORDS - 1).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(b"TEST");
    packet.extend(format!("RTCP packet {number} of {track}").bytes());
    packet.resize(usize::from(WORDS) * 4, 0);
    packet
}
