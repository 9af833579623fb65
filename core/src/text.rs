//! Writing into a message: addresses, numbers and words as bytes.
//!
//! A message has some dozens of small insertions; each is a few bytes appended
//! to a buffer that is kept. [`Text`] is what can be appended: it does without
//! the machinery of [`std::fmt`], which costs more than all the rest of a
//! rewrite. Tuples are written one part after the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What can be written into a message.
///
/// ```
/// use sipproxy64_core::text::Text;
/// let mut out = Vec::new();
/// let address: std::net::SocketAddr = "[2001:db8::1]:5060".parse()?;
/// ("<sip:", address, ";lr>").write(&mut out);
/// assert_eq!(out, b"<sip:[2001:db8::1]:5060;lr>");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub trait Text {
    /// Appends it to `out`.
    fn write(&self, out: &mut impl Sink);
}

/// What texts are written to.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Whether `bytes` are what `text` writes.
pub fn equals(bytes: &[u8], text: &impl Text) -> bool {
    struct Rest<'a>(Option<&'a [u8]>);
    impl Sink for Rest<'_> {
        fn put(&mut self, bytes: &[u8]) {
            self.0 = self.0.and_then(|rest| rest.strip_prefix(bytes));
        }
    }
    let mut rest = Rest(Some(bytes));
    text.write(&mut rest);
    rest.0 == Some(&[])
}

/// Shows a text where something wants [`fmt::Display`].
///
/// # Errors
/// That of the formatter.
pub fn display(text: &impl Text, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut bytes = Vec::new();
    text.write(&mut bytes);
    f.write_str(&String::from_utf8_lossy(&bytes))
}

impl<T: Text + ?Sized> Text for &T {
    fn write(&self, out: &mut impl Sink) {
        (**self).write(out);
    }
}

impl<T: Text> Text for Option<T> {
    fn write(&self, out: &mut impl Sink) {
        if let Some(text) = self {
            text.write(out);
        }
    }
}

impl Text for str {
    fn write(&self, out: &mut impl Sink) {
        out.put(self.as_bytes());
    }
}

impl Text for [u8] {
    fn write(&self, out: &mut impl Sink) {
        out.put(self);
    }
}

/// Each octet in digits, with a dot behind it.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
const OCTETS: [[u8; 4]; 256] = {
    let mut texts = [[0; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] =
            [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        texts[octet] = match octet {
            0..10 => [ones, b'.', 0, 0],
            10..100 => [tens, ones, b'.', 0],
            _ => [hundreds, tens, ones, b'.'],
        };
        octet += 1;
    }
    texts
};

/// A few bytes put together on the stack: one copy into the message, where its
/// parts would take one each. What finds no room is left out; the last part of an
/// address may take three bytes more than it fills.
struct Piece<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Piece<ROOM> {
    fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push_number(&mut self, number: u16) {
        for place in [10_000, 1000, 100, 10, 1] {
            if number >= place || place == 1 {
                // A remainder of ten is a digit.
                self.push(b'0' | (number / place % 10) as u8);
            }
        }
    }

    /// Takes room for a dot behind it.
    fn push_v4(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            let digits = 1 + usize::from(octet > 9) + usize::from(octet > 99);
            if let Some(places) = self.bytes.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut()) {
                *places = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
                self.length += digits + 1;
            }
        }
        self.length = self.length.saturating_sub(1);
    }

    fn push_v6(&mut self, address: Ipv6Addr, separator: u8) {
        if let Some(v4) = address.to_ipv4_mapped() {
            for byte in [separator, separator, b'f', b'f', b'f', b'f', separator] {
                self.push(byte);
            }
            return self.push_v4(v4);
        }
        let segments = address.segments();
        let (gap, behind) = longest_zeros(&segments);
        self.push_segments(segments.get(..gap).unwrap_or_default(), separator);
        if gap < behind {
            self.push(separator);
            self.push(separator);
            self.push_segments(segments.get(behind..).unwrap_or_default(), separator);
        }
    }

    fn push_segments(&mut self, segments: &[u16], separator: u8) {
        for (index, &segment) in segments.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            self.push_hex(segment);
        }
    }

    /// A number in hex digits, without leading zeros. Takes room for all four.
    fn push_hex(&mut self, number: u16) {
        let skipped = number.leading_zeros().min(15) / 4;
        let [.., a, b, c, d] = (eight_hex_digits(number.into()) << (skipped * 8)).to_be_bytes();
        if let Some(places) = self.bytes.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut()) {
            *places = [a, b, c, d];
            self.length += 4 - skipped as usize;
        }
    }
}

/// Where the first of the longest runs of zero segments begins and ends, one
/// alone being none (RFC 5952 §4.2); 8 and 8: there is none.
fn longest_zeros(segments: &[u16; 8]) -> (usize, usize) {
    let zeros = segments.iter().rev().fold(0u8, |zeros, &segment| zeros << 1 | u8::from(segment == 0));
    // Each step leaves of every run one less: at last the beginnings of the longest.
    let (mut runs, mut begins, mut length) = (zeros, 0, 0);
    while runs != 0 {
        (begins, runs, length) = (runs, runs & runs >> 1, length + 1);
    }
    if length < 2 {
        return (8, 8);
    }
    let begin = begins.trailing_zeros() as usize;
    (begin, begin + length)
}

impl Text for u64 {
    fn write(&self, out: &mut impl Sink) {
        let mut digits = [0; 20];
        let mut rest = *self;
        let mut used = 0;
        for place in digits.iter_mut().rev() {
            // A remainder of ten is a digit.
            *place = b'0' | (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        out.put(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
    }
}

impl Text for u32 {
    fn write(&self, out: &mut impl Sink) {
        match u16::try_from(*self) {
            Ok(small) => small.write(out),
            Err(_) => u64::from(*self).write(out),
        }
    }
}

impl Text for u16 {
    fn write(&self, out: &mut impl Sink) {
        let mut piece = Piece::<5>::new();
        piece.push_number(*self);
        out.put(piece.as_bytes());
    }
}

impl Text for usize {
    fn write(&self, out: &mut impl Sink) {
        (*self as u64).write(out);
    }
}

impl Text for Ipv4Addr {
    fn write(&self, out: &mut impl Sink) {
        let mut piece = Piece::<{ 15 + 3 }>::new();
        piece.push_v4(*self);
        out.put(piece.as_bytes());
    }
}

impl Text for Ipv6Addr {
    /// By RFC 5952.
    fn write(&self, out: &mut impl Sink) {
        let mut piece = Piece::<{ 39 + 3 }>::new();
        piece.push_v6(*self, b':');
        out.put(piece.as_bytes());
    }
}

/// Address and port with other separators than the usual ones: `2001-db8--1~5060`.
pub fn write_endpoint(endpoint: SocketAddr, colon: u8, before_port: u8, out: &mut impl Sink) {
    let mut piece = Piece::<{ 45 + 3 }>::new();
    match endpoint.ip() {
        IpAddr::V4(v4) => piece.push_v4(v4),
        IpAddr::V6(v6) => piece.push_v6(v6, colon),
    }
    piece.push(before_port);
    piece.push_number(endpoint.port());
    out.put(piece.as_bytes());
}

/// Sixteen hex digits.
pub fn hex_digits(number: u64) -> [u8; 16] {
    let [front, back] = [(number >> 32) as u32, number as u32].map(|half| eight_hex_digits(half).to_be_bytes());
    let mut digits = [0; 16];
    let (front_half, back_half) = digits.split_at_mut(8);
    front_half.copy_from_slice(&front);
    back_half.copy_from_slice(&back);
    digits
}

/// Eight hex digits, all at once: a byte for each, the first one highest.
fn eight_hex_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let number = (number << 16 | number) & 0x0000_ffff_0000_ffff;
    let number = (number << 8 | number) & 0x00ff_00ff_00ff_00ff;
    let number = (number << 4 | number) & 0x0f0f_0f0f_0f0f_0f0f;
    // Ten and more, with six added, reach into the next four bits.
    let letters = (number + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    number + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
}

impl Text for IpAddr {
    fn write(&self, out: &mut impl Sink) {
        match self {
            Self::V4(v4) => v4.write(out),
            Self::V6(v6) => v6.write(out),
        }
    }
}

impl Text for SocketAddr {
    fn write(&self, out: &mut impl Sink) {
        AddressAndPort { address: self.ip(), port: Some(self.port()) }.write(out);
    }
}

/// An address as the host of a URI, IPv6 in brackets, and the port behind it, if one
/// stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressAndPort {
    /// The host.
    pub address: IpAddr,
    /// The explicit port.
    pub port: Option<u16>,
}

impl Text for AddressAndPort {
    fn write(&self, out: &mut impl Sink) {
        let mut piece = Piece::<{ 47 + 3 }>::new();
        match self.address {
            IpAddr::V4(v4) => piece.push_v4(v4),
            IpAddr::V6(v6) => {
                piece.push(b'[');
                piece.push_v6(v6, b':');
                piece.push(b']');
            }
        }
        if let Some(port) = self.port {
            piece.push(b':');
            piece.push_number(port);
        }
        out.put(piece.as_bytes());
    }
}

impl fmt::Display for AddressAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// Tuples of so many parts.
macro_rules! tuple {
    ($($part:ident)+) => {
        impl<$($part: Text),+> Text for ($($part,)+) {
            #[allow(non_snake_case)]
            fn write(&self, out: &mut impl Sink) {
                let ($($part,)+) = self;
                $($part.write(out);)+
            }
        }
    };
}

tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

/// What a text writes.
#[cfg(test)]
pub(crate) fn written(text: impl Text) -> String {
    let mut out = Vec::new();
    text.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_at_their_ends() {
        for number in [0, 7, 10, 65_535, 65_536, u64::MAX] {
            assert_eq!(written(number), number.to_string());
            assert_eq!(written(number as u32), (number as u32).to_string());
            assert_eq!(written(number as u16), (number as u16).to_string());
        }
    }

    #[test]
    fn sixteen_hex_digits() {
        for number in [0, 0x9a, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(hex_digits(number), format!("{number:016x}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn addresses_are_written_as_the_standard_library_does(octets: [u8; 16], zeros: u16, port: u16) {
            // Zero segments are what matters in RFC 5952.
            let mut address = Ipv6Addr::from(octets).segments();
            for (index, segment) in address.iter_mut().enumerate() {
                if zeros >> index & 1 == 1 {
                    *segment = zeros >> 8 & 1;
                }
            }
            let v6 = Ipv6Addr::from(address);
            prop_assert_eq!(written(v6), v6.to_string());
            let v4 = Ipv4Addr::from_bits(u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]));
            prop_assert_eq!(written(v4.to_ipv6_mapped()), v4.to_ipv6_mapped().to_string());
            for endpoint in [SocketAddr::new(v6.into(), port), SocketAddr::new(v4.into(), port)] {
                prop_assert_eq!(written(endpoint), endpoint.to_string());
            }
        }
    }
}
