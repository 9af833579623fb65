//! The two address families, and pairs of things of which each family has one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// An address family, which is also a side of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address. An IPv4-mapped IPv6 address (`::ffff:`) is
    /// IPv6 here; see [`canonical`] for reading it as the IPv4 address it means.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of an endpoint's address.
    pub fn at(endpoint: SocketAddr) -> Self {
        if endpoint.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The other side of the bridge.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The address type of SDP, `IP4` or `IP6` (RFC 8866 §5.7).
    pub fn sdp_name(self) -> &'static str {
        match self {
            Self::V4 => "IP4",
            Self::V6 => "IP6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each family.
///
/// ```
/// use sipproxy64_core::family::{Family, PerFamily};
/// let mut ports = PerFamily::new(16384, 16390);
/// ports[Family::V6] += 2;
/// assert_eq!(ports[Family::V6], 16392);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PerFamily<T> {
    v4: T,
    v6: T,
}

impl<T> PerFamily<T> {
    /// The IPv4 side's value and the IPv6 side's.
    pub const fn new(v4: T, v6: T) -> Self {
        Self { v4, v6 }
    }

    /// What `make` gives for each family.
    pub fn from_fn(mut make: impl FnMut(Family) -> T) -> Self {
        Self { v4: make(Family::V4), v6: make(Family::V6) }
    }

    /// Both values with their families, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = (Family, &T)> {
        [(Family::V4, &self.v4), (Family::V6, &self.v6)].into_iter()
    }
}

impl<T> std::ops::Index<Family> for PerFamily<T> {
    type Output = T;
    fn index(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<T> std::ops::IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// How an endpoint is told to another process with the scope of a link-local
/// address (RFC 4007), which serde's own form of it leaves out.
pub mod scoped {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(endpoint: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        let scope = match endpoint {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        (endpoint, scope).serialize(serializer)
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        let (mut endpoint, scope) = <(SocketAddr, u32)>::deserialize(deserializer)?;
        if let SocketAddr::V6(v6) = &mut endpoint {
            v6.set_scope_id(scope);
        }
        Ok(endpoint)
    }
}

/// An address as the thing that packets go to: an IPv4-mapped IPv6 address
/// (RFC 4291 §2.5.5.2) is the IPv4 address in it.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether packets may be sent to this address at all: not to multicast,
/// broadcast or unspecified addresses, nor IPv4-mapped ones, nor to `0/8`.
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.octets().first() >= Some(&240) || v4.octets().first() == Some(&0)),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified() || v6.to_ipv4_mapped().is_some()),
    }
}

/// Whether an address means something on a private network or one machine only: RFC 1918,
/// RFC 4193, RFC 6598, link-local and loopback ones.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// What one subscriber has, as its lowest address: an IPv4 address, or an IPv6
/// /64. An IPv6 address that stands for an IPv4 host is that host: IPv4-mapped,
/// 6to4 (RFC 3056), NAT64 (RFC 6052), Teredo (RFC 4380).
pub fn subscriber(address: IpAddr) -> IpAddr {
    match canonical(address) {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => match v6.segments() {
            [0x2002, high, low, ..] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
            [0x2001, 0, .., high, low] => embedded(!high, !low),
            [a, b, c, d, ..] => Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into(),
        },
    }
}

fn embedded(high: u16, low: u16) -> IpAddr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
}

/// 100.64/10, the shared address space of RFC 6598.
fn is_shared(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    a == 100 && b & 0xc0 == 64
}

/// An endpoint with the [`canonical`] form of its address.
pub fn canonical_endpoint(endpoint: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical(endpoint.ip()), endpoint.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn unicast_is_what_one_host_can_receive() {
        for good in ["192.0.2.1", "127.0.0.1", "2001:db8::1", "::1", "fe80::1"] {
            assert!(is_unicast(ip(good)), "{good}");
        }
        for bad in
            ["224.0.0.1", "255.255.255.255", "240.0.0.1", "0.0.0.0", "0.1.2.3", "ff02::1", "::", "::ffff:192.0.2.1"]
        {
            assert!(!is_unicast(ip(bad)), "{bad}");
        }
    }

    #[test]
    fn a_subscriber_is_the_same_in_every_form() {
        for (address, expected) in [
            ("192.0.2.45", "192.0.2.45"),
            ("::ffff:192.0.2.45", "192.0.2.45"),
            ("2002:c000:22d::1", "192.0.2.45"),
            ("2002:c000:22d:ffff::1", "192.0.2.45"),
            ("64:ff9b::192.0.2.45", "192.0.2.45"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
            ("2001:db8:9::55", "2001:db8:9::"),
            ("2001:db8:9:0:1::55", "2001:db8:9::"),
            ("2001:db8:9:1::55", "2001:db8:9:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(subscriber(ip(address)), ip(expected), "{address}");
        }
    }

    #[test]
    fn private_ranges_end_where_the_rfcs_say() {
        for private in [
            "10.0.0.5",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "127.0.1.1",
            "::1",
        ] {
            assert!(is_private(ip(private)), "{private}");
        }
        for public in ["172.32.0.1", "100.128.0.1", "100.63.255.255", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_private(ip(public)), "{public}");
        }
    }
}
