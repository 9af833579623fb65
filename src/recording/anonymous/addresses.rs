//! Addresses of the documentation ranges (RFC 5737, RFC 3849) for others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The ranges for IPv4 addresses of the world, each with its first address and
/// how many hosts it has: when the three for documentation are used up, the one
/// for benchmarks (RFC 2544).
const WORLD: [(Ipv4Addr, u32); 4] = [
    (Ipv4Addr::new(192, 0, 2, 0), 254),
    (Ipv4Addr::new(198, 51, 100, 0), 254),
    (Ipv4Addr::new(203, 0, 113, 0), 254),
    (Ipv4Addr::new(198, 18, 0, 0), 131_070),
];

/// What addresses became. Two that differ stay apart, private ones private, and
/// IPv6 addresses of one /64 in one.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: HashMap<IpAddr, IpAddr>,
    /// How many there are of each range.
    used: HashMap<&'static str, u32>,
    /// The /64s of IPv6, by their upper half.
    subnets: HashMap<u64, u16>,
}

impl Addresses {
    /// What stands for an address.
    pub(super) fn of(&mut self, address: IpAddr) -> IpAddr {
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let new = match address {
            IpAddr::V4(v4) => self.ipv4(v4).into(),
            IpAddr::V6(v6) => self.ipv6(v6),
        };
        self.known.insert(address, new);
        new
    }

    /// Writes what stands for an address, in a spelling as unusual as `written`.
    pub(super) fn write(&mut self, address: IpAddr, written: &[u8], out: &mut Vec<u8>) {
        let new = self.of(address);
        let text = match new {
            IpAddr::V6(v6) if address.to_string().as_bytes() != written => {
                v6.segments().map(|segment| format!("{segment:04X}")).join(":")
            }
            _ => new.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn count(&mut self, range: &'static str) -> u32 {
        let used = self.used.entry(range).or_default();
        *used = used.saturating_add(1);
        *used
    }

    fn ipv4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        let inside = |this: &mut Self, range, first: Ipv4Addr| {
            Ipv4Addr::from_bits(first.to_bits().saturating_add(this.count(range) & 0xffff))
        };
        match address.octets() {
            _ if address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast() =>
            {
                address
            }
            [10, ..] => inside(self, "10", Ipv4Addr::new(10, 0, 0, 0)),
            [172, 16..32, ..] => inside(self, "172", Ipv4Addr::new(172, 16, 0, 0)),
            [192, 168, ..] => inside(self, "192", Ipv4Addr::new(192, 168, 0, 0)),
            [169, 254, ..] => inside(self, "169", Ipv4Addr::new(169, 254, 0, 0)),
            [100, 64..128, ..] => inside(self, "100", Ipv4Addr::new(100, 64, 0, 0)),
            _ => {
                let mut number = self.count("world");
                for (first, hosts) in WORLD {
                    if number <= hosts {
                        return Ipv4Addr::from_bits(first.to_bits().saturating_add(number));
                    }
                    number = number.saturating_sub(hosts);
                }
                Ipv4Addr::new(198, 19, 255, 254)
            }
        }
    }

    fn ipv6(&mut self, address: Ipv6Addr) -> IpAddr {
        let [a, b, c, d, e, f, high, low] = address.segments();
        let embedded = |this: &mut Self, high: u16, low: u16| {
            let v4 = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            let IpAddr::V4(v4) = this.of(v4.into()) else { return (high, low) };
            let [first, second, third, fourth] = v4.octets();
            (u16::from_be_bytes([first, second]), u16::from_be_bytes([third, fourth]))
        };
        let segments = match [a, b, c, d, e, f] {
            _ if address.is_loopback() || address.is_unspecified() || address.is_multicast() => return address.into(),
            // These stand for an IPv4 host: mapped, NAT64, 6to4.
            [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => {
                let (high, low) = embedded(self, high, low);
                [a, b, c, d, e, f, high, low]
            }
            [0x2002, ..] => {
                let (b, c) = embedded(self, b, c);
                let [.., upper, lower] = halves(self.count("6to4"));
                [0x2002, b, c, 0, 0, 0, upper, lower]
            }
            _ => {
                let first: [u16; 3] = match a {
                    0xfc00..=0xfdff => [0xfd00, 0, 0],
                    0xfe80..=0xfebf => [0xfe80, 0, 0],
                    _ => [0x2001, 0xdb8, 0],
                };
                let upper = u64::from(a) << 48 | u64::from(b) << 32 | u64::from(c) << 16 | u64::from(d);
                let next = u16::try_from(self.subnets.len()).unwrap_or(u16::MAX);
                let subnet = *self.subnets.entry(upper).or_insert(next);
                let subnet = if first.first() == Some(&0xfe80) { 0 } else { subnet };
                let [upper, lower] = halves(self.count("IPv6"));
                let [x, y, z] = first;
                [x, y, z, subnet, 0, 0, upper, lower]
            }
        };
        Ipv6Addr::from(segments).into()
    }
}

/// The upper and the lower half of a number.
fn halves(number: u32) -> [u16; 2] {
    let [a, b, c, d] = number.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{is_private, subscriber};

    #[test]
    fn what_an_address_means_stays() {
        let mut addresses = Addresses::default();
        let mut of = |text: &str| addresses.of(text.parse().unwrap());
        for text in ["8.8.8.8", "10.1.2.3", "100.64.9.9", "2a00::1", "fd12:3456::1", "fe80::1", "64:ff9b::808:808"] {
            let new = of(text);
            assert_ne!(new.to_string(), text);
            assert_eq!(is_private(new), is_private(text.parse().unwrap()), "{text}");
            assert_eq!(new, of(text));
        }
        assert_eq!(subscriber(of("64:ff9b::808:808")), of("8.8.8.8"));
        assert_eq!(subscriber(of("2002:808:808::7")), of("8.8.8.8"));
        assert_eq!(subscriber(of("2a00::1")), subscriber(of("2a00::2")));
        assert_ne!(subscriber(of("2a00::1")), subscriber(of("2a00:0:0:1::2")));
        for text in ["127.0.0.1", "0.0.0.0", "::", "::1", "224.0.1.75"] {
            assert_eq!(of(text).to_string(), text);
        }
    }

    #[test]
    fn many_addresses_stay_apart() {
        let mut addresses = Addresses::default();
        let new: std::collections::HashSet<IpAddr> =
            (0..5000u32).map(|number| addresses.of(Ipv4Addr::from_bits(0x0800_0000 + number).into())).collect();
        assert_eq!(new.len(), 5000);
    }
}
