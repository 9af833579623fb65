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
/// use sipproxy64::text::Text;
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
        u64::from(*self).write(out);
    }
}

impl Text for u16 {
    fn write(&self, out: &mut impl Sink) {
        u64::from(*self).write(out);
    }
}

impl Text for u8 {
    fn write(&self, out: &mut impl Sink) {
        u64::from(*self).write(out);
    }
}

impl Text for usize {
    fn write(&self, out: &mut impl Sink) {
        (*self as u64).write(out);
    }
}

impl Text for Ipv4Addr {
    fn write(&self, out: &mut impl Sink) {
        let [a, b, c, d] = self.octets();
        (a, ".", b, ".", c, ".", d).write(out);
    }
}

impl Text for Ipv6Addr {
    /// By RFC 5952.
    fn write(&self, out: &mut impl Sink) {
        write_ipv6(*self, b':', out);
    }
}

/// An IPv6 address by RFC 5952, with `separator` for its colons.
pub fn write_ipv6(address: Ipv6Addr, separator: u8, out: &mut impl Sink) {
    let segments = address.segments();
    if let Some(v4) = address.to_ipv4_mapped() {
        let between = [separator];
        return (&[separator, separator][..], "ffff", &between[..], v4).write(out);
    }
    let (zeros, length) = longest_zeros(&segments);
    let mut index = 0;
    let mut after_gap = true;
    while let Some(segment) = segments.get(index) {
        if length > 1 && index == zeros {
            out.put(&[separator, separator]);
            (index, after_gap) = (index.saturating_add(length), true);
            continue;
        }
        if !after_gap {
            out.put(&[separator]);
        }
        write_hex(*segment, out);
        (index, after_gap) = (index.saturating_add(1), false);
    }
}

/// Where the first of the longest runs of zero segments begins, and its length.
fn longest_zeros(segments: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (index, &segment) in segments.iter().enumerate() {
        run = match (segment, run.1) {
            (0, 0) => (index, 1),
            (0, length) => (run.0, length + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

/// A number in hex digits, without leading zeros.
fn write_hex(number: u16, out: &mut impl Sink) {
    let skipped = (number.leading_zeros() / 4).min(3);
    for place in (0..4 - skipped).rev() {
        out.put(&[hex_digit(u64::from(number) >> (place * 4))]);
    }
}

/// The digit of the lowest four bits.
pub fn hex_digit(bits: u64) -> u8 {
    let value = (bits & 15) as u8;
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
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
        match self.ip() {
            IpAddr::V4(v4) => (v4, ":", self.port()).write(out),
            IpAddr::V6(v6) => ("[", v6, "]:", self.port()).write(out),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: impl Text) -> String {
        let mut out = Vec::new();
        text.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_at_their_ends() {
        for number in [0, 7, 10, 65_535, u64::MAX] {
            assert_eq!(written(number), number.to_string());
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
