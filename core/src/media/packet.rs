//! What a UDP payload is, by its first octets (RFC 7983, RFC 5761 §4).
//!
//! The relay never reads more of a packet than tells whom it is from. Lengths
//! are checked first: a packet too short for what it claims to be is
//! [`Packet::Other`], which no latch believes.

use crate::streams::Transport;

/// The kinds of payload that a media port sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// RTP (RFC 3550 §5.1).
    Rtp(Rtp),
    /// RTCP (RFC 3550 §6.1), sent by this source.
    Rtcp {
        /// The SSRC of its first report.
        ssrc: u32,
    },
    /// STUN (RFC 8489) or DTLS (RFC 9147): what comes before media in ICE and DTLS-SRTP.
    Setup,
    /// T.38 on a stream that was described as such; nothing in it can be checked.
    Udptl,
    /// Anything else, and what is too short.
    Other,
}

/// What the relay reads of an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp {
    /// The source.
    pub ssrc: u32,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the payload type's clock.
    pub timestamp: u32,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
}

impl Packet {
    /// Reads the first octets of `bytes`, which came on a stream of this transport.
    ///
    /// ```
    /// use sipproxy64_core::media::packet::Packet;
    /// use sipproxy64_core::streams::Transport;
    /// // A receiver report without blocks; four octets of one are not believed.
    /// let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    /// assert_eq!(Packet::read(&report, Transport::Rtp), Packet::Rtcp { ssrc: 7 });
    /// assert_eq!(Packet::read(&report[..4], Transport::Rtp), Packet::Other);
    /// ```
    pub fn read(bytes: &[u8], transport: Transport) -> Self {
        match transport {
            Transport::Rtp => Self::read_multiplexed(bytes),
            Transport::Udptl if !bytes.is_empty() => Self::Udptl,
            // No media can be told by its looks, but what comes before it can.
            Transport::Udp if Self::read_multiplexed(bytes) == Self::Setup => Self::Setup,
            Transport::Udptl | Transport::Udp | Transport::NotRelayable => Self::Other,
        }
    }

    /// By the ranges of RFC 7983 §7: STUN 0..=3, DTLS 20..=63, RTP and RTCP 128..=191.
    fn read_multiplexed(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(0..=3) if is_stun(bytes) => Self::Setup,
            Some(20..=63) if is_dtls(bytes) => Self::Setup,
            Some(128..=191) => Self::read_rtp(bytes).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    /// RTCP has 192 to 223 where RTP has marker and payload type (RFC 5761 §4).
    fn read_rtp(bytes: &[u8]) -> Option<Self> {
        let &[first, second, s1, s2, t1, t2, t3, t4, ref rest @ ..] = bytes else { return None };
        if matches!(second, 192..=223) {
            // The length counts 32-bit words less one; a report holds at least its sender.
            let length = (usize::from(u16::from_be_bytes([s1, s2])) + 1) * 4;
            let whole = length >= 8 && length <= bytes.len();
            return whole.then_some(Self::Rtcp { ssrc: u32::from_be_bytes([t1, t2, t3, t4]) });
        }
        let &[c1, c2, c3, c4, ..] = rest else { return None };
        let header = 12 + usize::from(first & 0x0f) * 4;
        (bytes.len() >= header).then_some(Self::Rtp(Rtp {
            ssrc: u32::from_be_bytes([c1, c2, c3, c4]),
            sequence: u16::from_be_bytes([s1, s2]),
            timestamp: u32::from_be_bytes([t1, t2, t3, t4]),
            payload_type: second & 0x7f,
        }))
    }

    /// The source of RTP and RTCP.
    pub fn ssrc(self) -> Option<u32> {
        match self {
            Self::Rtp(rtp) => Some(rtp.ssrc),
            Self::Rtcp { ssrc } => Some(ssrc),
            Self::Setup | Self::Udptl | Self::Other => None,
        }
    }
}

/// A STUN header: 20 octets, the magic cookie, a length in whole words (RFC 8489 §5).
fn is_stun(bytes: &[u8]) -> bool {
    let Some(&[_, _, l1, l2, 0x21, 0x12, 0xa4, 0x42]) = bytes.first_chunk::<8>() else { return false };
    let length = usize::from(u16::from_be_bytes([l1, l2]));
    length % 4 == 0 && bytes.len() >= 20 + length
}

/// A DTLS record: 13 octets of header with a version 254.x (RFC 6347 §4.1), or
/// the unified header of DTLS 1.3, whose first three bits are 001 (RFC 9147 §4).
fn is_dtls(bytes: &[u8]) -> bool {
    match bytes {
        [32..=63, ..] => bytes.len() >= 18,
        [_, 254, ..] => bytes.len() >= 13,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: [u8; 12] = [0x80, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0, 0, 0, 9];

    #[test]
    fn rtp_is_read_and_short_rtp_is_not_believed() {
        let rtp = Rtp { ssrc: 9, sequence: 0x1234, timestamp: 160, payload_type: 0 };
        assert_eq!(Packet::read(&RTP, Transport::Rtp), Packet::Rtp(rtp));
        for length in 0..12 {
            assert_eq!(Packet::read(&RTP[..length], Transport::Rtp), Packet::Other);
        }
        let mut contributors = RTP;
        contributors[0] |= 3;
        assert_eq!(Packet::read(&contributors, Transport::Rtp), Packet::Other);
    }

    #[test]
    fn truncated_rtcp_is_not_believed() {
        let report = [0x81, 200, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Packet::read(&report, Transport::Rtp), Packet::Rtcp { ssrc: 9 });
        for length in 0..report.len() {
            assert_eq!(Packet::read(&report[..length], Transport::Rtp), Packet::Other);
        }
        let empty = [0x80, 201, 0, 0, 0, 0, 0, 9];
        assert_eq!(Packet::read(&empty, Transport::Rtp), Packet::Other);
    }

    #[test]
    fn stun_and_dtls_are_set_up() {
        let mut stun = [0u8; 20];
        stun[1] = 1;
        stun[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(Packet::read(&stun, Transport::Rtp), Packet::Setup);
        assert_eq!(Packet::read(&stun[..19], Transport::Rtp), Packet::Other);
        let hello = [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(Packet::read(&hello, Transport::Rtp), Packet::Setup);
        assert_eq!(Packet::read(&hello[..12], Transport::Rtp), Packet::Other);
        // Of a data channel (RFC 8841) nothing else can be told.
        assert_eq!(Packet::read(&hello, Transport::Udp), Packet::Setup);
        assert_eq!(Packet::read(&hello, Transport::Udptl), Packet::Udptl);
    }

    #[test]
    fn other_transports_have_no_rtp() {
        assert_eq!(Packet::read(&RTP, Transport::Udptl), Packet::Udptl);
        assert_eq!(Packet::read(&[], Transport::Udptl), Packet::Other);
        assert_eq!(Packet::read(&RTP, Transport::Udp), Packet::Other);
    }
}
