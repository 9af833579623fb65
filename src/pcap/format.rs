//! The pcapng format (draft-ietf-opsawg-pcapng): a section, one interface, packets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The blocks of pcapng, in little-endian order.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Packets begin with their IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;
/// Options of blocks.
const COMMENT: u16 = 1;
const EPB_FLAGS: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const END_OF_OPTIONS: [u8; 4] = [0; 4];
/// The direction in [`EPB_FLAGS`].
pub(super) const INBOUND: u32 = 1;
pub(super) const OUTBOUND: u32 = 2;

/// What is said about a packet beside what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note<'a> {
    pub(super) direction: u32,
    pub(super) comment: Option<&'a str>,
}

/// The section header, and the one interface. The resolution of times is the
/// default, microseconds.
pub(super) fn put_head(out: &mut Vec<u8>) {
    put_block(SECTION_HEADER, out, |out| {
        out.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        // Version 1.0, and a length that nobody knows yet.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        put_option(SHB_USERAPPL, concat!("sipproxy64 ", env!("CARGO_PKG_VERSION")).as_bytes(), out);
        out.extend_from_slice(&END_OF_OPTIONS);
    });
    put_block(INTERFACE_DESCRIPTION, out, |out| {
        out.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        // Reserved, and no limit to the length of packets.
        out.extend_from_slice(&[0; 6]);
        put_option(IF_NAME, b"sipproxy64", out);
        out.extend_from_slice(&END_OF_OPTIONS);
    });
}

pub(super) fn put_packet(
    since: Duration,
    ends: (SocketAddr, SocketAddr),
    note: Note<'_>,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    put_block(ENHANCED_PACKET, out, |out| {
        let [a, b, c, d, e, f, g, h] = micros.to_le_bytes();
        // The only interface; the upper half of the time stands first.
        out.extend_from_slice(&[0, 0, 0, 0, e, f, g, h, a, b, c, d]);
        let lengths = out.len();
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        put_datagram(ends, payload, out);
        let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = out.get_mut(lengths..start) {
            place.copy_from_slice(&[length, length].concat());
        }
        pad(out);
        put_option(EPB_FLAGS, &note.direction.to_le_bytes(), out);
        if let Some(comment) = note.comment {
            put_option(COMMENT, comment.as_bytes(), out);
        }
        out.extend_from_slice(&END_OF_OPTIONS);
    });
}

/// A block: type, total length, what `body` writes, total length.
fn put_block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    // Blocks are written whole, so that this is a multiple of four.
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len().saturating_sub(start).saturating_add(4)).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(place) = out.get_mut(start.saturating_add(4)..start.saturating_add(8)) {
        place.copy_from_slice(&length);
    }
}

fn put_option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// Fills up to 32 bits.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The IP protocol number of UDP.
const UDP: u8 = 17;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// An IP packet with a UDP datagram (RFC 791, RFC 8200, RFC 768).
fn put_datagram((from, to): (SocketAddr, SocketAddr), payload: &[u8], out: &mut Vec<u8>) {
    let length = payload.len().saturating_add(UDP_HEADER);
    let udp_length = u16::try_from(length).unwrap_or(u16::MAX);
    let sum = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(length.saturating_add(IPV4_HEADER)).unwrap_or(u16::MAX).to_be_bytes();
            let mut header = [0; IPV4_HEADER];
            // Version and length of the header, total length, Don't Fragment, TTL 64.
            let fields =
                [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, UDP, 0, 0], &from.octets(), &to.octets()].concat();
            header.copy_from_slice(&fields);
            let [high, low] = (!sum(0, &header)).to_be_bytes();
            (header[10], header[11]) = (high, low);
            out.extend_from_slice(&header);
            sum(sum(0, &from.octets()), &to.octets())
        }
        (from, to) => {
            let (from, to) = (ipv6(from), ipv6(to));
            // Version, no flow label; payload length, next header, hop limit 64.
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&udp_length.to_be_bytes());
            out.extend_from_slice(&[UDP, 64]);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            sum(sum(0, &from), &to)
        }
    };
    let head = [from.port().to_be_bytes(), to.port().to_be_bytes(), udp_length.to_be_bytes()].concat();
    // The pseudo header: addresses, protocol and length (RFC 8200 §8.1).
    let sum = self::sum(self::sum(self::sum(sum, &[0, UDP]), &udp_length.to_be_bytes()), &head);
    // Zero would say that there is none.
    let checksum = match !self::sum(sum, payload) {
        0 => u16::MAX,
        checksum => checksum,
    };
    out.extend_from_slice(&head);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(payload);
}

fn ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The ones' complement sum of RFC 1071, going on from `sum`. All but the last
/// piece must have an even length.
fn sum(sum: u16, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| {
        let byte = |at| u32::from(word.get(at).copied().unwrap_or(0));
        byte(0) << 8 | byte(1)
    });
    // A datagram has less than 2^15 words, so that this fits.
    let total = words.fold(u32::from(sum), u32::wrapping_add);
    let folded = (total & 0xffff) + (total >> 16);
    u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as the kernel sends it sums up to all ones over header and
    /// pseudo header (RFC 1071 §1).
    fn checked(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_datagram((from.parse().unwrap(), to.parse().unwrap()), payload, &mut out);
        let (header, addresses) = if out[0] == 0x45 { (20, 12..20) } else { (40, 8..40) };
        let udp = &out[header..];
        let length = u16::try_from(udp.len()).unwrap().to_be_bytes();
        assert_eq!(sum(sum(sum(sum(0, &out[addresses]), &[0, UDP]), &length), udp), 0xffff, "checksum of UDP");
        assert_eq!(&udp[4..6], &length);
        if header == 20 {
            assert_eq!(sum(0, &out[..20]), 0xffff, "checksum of IPv4");
            assert_eq!(usize::from(u16::from_be_bytes([out[2], out[3]])), out.len());
        } else {
            assert_eq!(&out[4..6], &length);
        }
        out
    }

    #[test]
    fn headers_are_right_at_every_length() {
        let payload = vec![0xe7; 65_527];
        for length in [0, 1, 2, 3, 172, 1472, 65_506, 65_507] {
            assert_eq!(checked("192.0.2.9:5062", "192.0.2.1:5060", &payload[..length]).len(), 28 + length);
        }
        for length in [0, 1, 1452, 65_526, 65_527] {
            assert_eq!(checked("[2001:db8::9]:5062", "[2001:db8::1]:5060", &payload[..length]).len(), 48 + length);
        }
    }

    #[test]
    fn blocks_are_whole_and_aligned() {
        let mut out = Vec::new();
        put_head(&mut out);
        let ends = ("192.0.2.9:5062".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        let note = Note { direction: INBOUND, comment: Some("dropped: loop") };
        put_packet(Duration::from_micros(0x0001_0002_0003_0004), ends, note, b"BYE", &mut out);
        let number = |at: usize| u32::from_le_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]);
        let (mut at, mut kinds) = (0, Vec::new());
        while at < out.len() {
            let length = number(at + 4) as usize;
            assert_eq!((length % 4, number(at + length - 4) as usize), (0, length));
            kinds.push(number(at));
            if number(at) == ENHANCED_PACKET {
                assert_eq!((number(at + 12), number(at + 16)), (0x0001_0002, 0x0003_0004));
                assert_eq!((number(at + 20), number(at + 24)), (31, 31));
            }
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET]);
    }
}
