//! The configuration: built once, checked, then shared and never changed.
//!
//! A [`Config`] is what the core needs to decide; how sockets are made, where
//! logs go and the like belongs to the shell. [`Config::check`] is the one
//! place that says whether addresses fit together.

mod error;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::family::{Family, PerFamily, is_unicast};

pub use self::error::ConfigError;
pub use crate::sip::host::SIP_PORT;

/// Everything the core decides by. Make one with [`Config::new`], change what
/// differs, then [`Config::check`] it.
///
/// ```
/// use sipproxy64_core::config::{Config, Map};
/// let mut config = Config::new("192.0.2.1:5060".parse()?, "[2001:db8::1]:5060".parse()?);
/// config.maps.push(Map { phone: "192.0.2.101:5060".parse()?, fake: "[2001:db8::101]:5060".parse()? });
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The general listen address of each side; all media crosses there too.
    pub listen: PerFamily<SocketAddr>,
    /// Where undirected traffic from the other side goes.
    pub uplinks: PerFamily<Option<Uplink>>,
    /// Phones and their stand-ins; of several with one phone address the first counts.
    pub maps: Vec<Map>,
    /// Names under which phones know us as their outbound proxy.
    pub names: Vec<Name>,
    /// The ports of the media relay.
    pub rtp_ports: PortRange,
    /// As many streams as this machine has sockets for; `None`: as the ports allow.
    pub most_streams: Option<usize>,
    /// When silence ends a session.
    pub timeouts: Timeouts,
    /// Whom media may come from.
    pub latch: LatchMode,
    /// Media sessions at once; `None`: as many as the ports allow.
    pub max_calls: Option<usize>,
    /// Media sessions at once that one stranger, an IPv4 address or IPv6 /64, may have
    /// asked for.
    pub max_calls_per_source: usize,
    /// A 401 or 407 toward a phone is dropped unless it comes from an uplink or a phone.
    pub no_foreign_challenges: bool,
    /// Leave Contact header fields to a wrapper.
    pub wrapper: bool,
    /// Put brackets round IPv6 addresses that came without.
    pub lenient: bool,
    /// The key of all tokens.
    pub key: Key,
    /// In which order media ports are handed out.
    pub port_order: PortOrder,
}

impl Config {
    /// The defaults around two listen addresses.
    pub fn new(listen4: SocketAddr, listen6: SocketAddr) -> Self {
        Self {
            listen: PerFamily::new(listen4, listen6),
            uplinks: PerFamily::new(None, None),
            maps: Vec::new(),
            names: Vec::new(),
            rtp_ports: PortRange::DEFAULT,
            most_streams: None,
            timeouts: Timeouts::default(),
            latch: LatchMode::Signalled,
            max_calls: None,
            max_calls_per_source: 32,
            no_foreign_challenges: false,
            wrapper: false,
            lenient: false,
            key: Key([0; 16]),
            port_order: PortOrder::Ascending,
        }
    }

    /// Where our SIP sockets are: the listen addresses and the fakes.
    pub fn sip_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().map(|(_, &listen)| listen).chain(self.maps.iter().map(|map| map.fake))
    }

    /// Whether everything fits together; each error names the option to change.
    ///
    /// # Errors
    /// Two options that do not go together.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (family, &listen) in self.listen.iter() {
            check_endpoint(listen).map_err(|why| ConfigError::Listen { family, listen, why })?;
            if Family::at(listen) != family {
                return Err(ConfigError::ListenFamily { family, listen });
            }
        }
        for (family, uplink) in self.uplinks.iter() {
            if let Some(Uplink { host: UplinkHost::Address(address), port, .. }) = uplink {
                let endpoint = SocketAddr::new(*address, *port);
                check_endpoint(endpoint).map_err(|why| ConfigError::Uplink { family, endpoint, why })?;
                if Family::of(*address) != family {
                    return Err(ConfigError::UplinkFamily { family, endpoint });
                }
                if self.is_ours(endpoint) {
                    return Err(ConfigError::UplinkOurs { family, endpoint });
                }
            }
        }
        self.maps.iter().enumerate().try_for_each(|(index, map)| self.check_map(index, map))
    }

    /// How many streams there can be at once.
    pub fn streams(&self) -> usize {
        let pairs = usize::from(self.rtp_ports.pairs());
        self.most_streams.map_or(pairs, |most| most.min(pairs))
    }

    /// Whether `endpoint`, address and port, is one of our SIP sockets: a listen
    /// address or a fake.
    pub fn is_ours(&self, endpoint: SocketAddr) -> bool {
        self.listen.iter().any(|(_, &listen)| listen == endpoint) || self.maps.iter().any(|map| map.fake == endpoint)
    }

    fn check_map(&self, index: usize, map: &Map) -> Result<(), ConfigError> {
        for endpoint in [map.phone, map.fake] {
            check_endpoint(endpoint).map_err(|why| ConfigError::Map { map: *map, why })?;
        }
        if map.phone.is_ipv4() == map.fake.is_ipv4() {
            return Err(ConfigError::MapFamily { map: *map });
        }
        if self.listen.iter().any(|(_, &listen)| listen == map.fake) {
            return Err(ConfigError::FakeIsListen { map: *map });
        }
        if self.is_ours(map.phone) {
            return Err(ConfigError::PhoneIsOurs { map: *map });
        }
        let earlier = self.maps.iter().take(index);
        for other in earlier {
            if other == map {
                return Err(ConfigError::MapTwice { map: *map });
            }
            if other.fake == map.fake {
                return Err(ConfigError::FakeTwice { map: *map, phone: other.phone });
            }
            if other.phone == map.phone {
                return Err(ConfigError::PhoneTwice { map: *map, fake: other.fake });
            }
        }
        Ok(())
    }
}

fn check_endpoint(endpoint: SocketAddr) -> Result<(), &'static str> {
    if endpoint.port() == 0 {
        return Err("port 0 cannot be called; leave the port out for 5060");
    }
    if !is_unicast(endpoint.ip()) {
        return Err("it must be the address of one host: not multicast, broadcast, unspecified or IPv4-mapped");
    }
    Ok(())
}

/// Where the undirected traffic of one side goes: a provider, PBX or registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its address or host name.
    pub host: UplinkHost,
    /// Its port.
    pub port: u16,
    /// Host and port as configured, in the form they have in a URI.
    pub written: String,
}

/// The host of an [`Uplink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkHost {
    /// A numeric address.
    Address(IpAddr),
    /// A name, looked up by the shell.
    Name(String),
}

/// A phone and the address of ours that stands for it in the other family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// The phone's own address.
    pub phone: SocketAddr,
    /// Its stand-in, an address of this machine.
    pub fake: SocketAddr,
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Plain(self.phone), Plain(self.fake))
    }
}

/// An endpoint as the options take it: without the port where that is 5060.
#[derive(Clone, Copy, Debug)]
pub struct Plain(pub SocketAddr);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == SIP_PORT { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

/// A name of ours, compared without regard to case and to a dot at the end
/// (`hostname` of RFC 3261 §25.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The host name, in lower case and without a dot at the end.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A range of UDP ports, both ends included. RTP has the even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl PortRange {
    /// 16384-32767.
    pub const DEFAULT: Self = Self { low: 16384, high: 32767 };

    /// A range that holds at least one even port and the odd one above it.
    pub fn new(low: u16, high: u16) -> Option<Self> {
        let range = Self { low, high };
        (low >= 1024 && range.pairs() > 0).then_some(range)
    }

    /// The lowest RTP port.
    pub fn first(self) -> u16 {
        self.low.saturating_add(self.low % 2)
    }

    /// How many pairs of an even port and the odd one above it there are.
    pub fn pairs(self) -> u16 {
        if self.high <= self.low {
            return 0;
        }
        let above = u32::from(self.high) + 1;
        u16::try_from(above.saturating_sub(u32::from(self.low) + u32::from(self.low % 2)) / 2).unwrap_or(u16::MAX)
    }

    /// The RTP port of pair `index`, counted from the bottom.
    pub fn pair(self, index: u16) -> Option<u16> {
        (index < self.pairs()).then(|| self.first().saturating_add(index.saturating_mul(2)))
    }

    /// The lowest and the highest port.
    pub fn bounds(self) -> (u16, u16) {
        (self.low, self.high)
    }
}

/// When silence ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Without a packet from either side, after the answer.
    pub rtp: Duration,
    /// Without a packet or provisional response, before the answer.
    pub ringing: Duration,
    /// Without a packet, on hold.
    pub hold: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { rtp: Duration::from_secs(60), ringing: Duration::from_secs(180), hold: Duration::from_secs(3600) }
    }
}

/// Whom media may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LatchMode {
    /// The address that the signalling showed, at any port.
    Signalled,
    /// Whoever sends first.
    First,
    /// Nobody else: media goes where the description says.
    Off,
}

/// The key of all tokens. Its `Debug` form does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// In which order media ports are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortOrder {
    /// From the bottom of the range: test mode.
    Ascending,
    /// Unpredictably, from this seed.
    Random(u64),
}

/// The option for the listen address of a side.
pub fn listen_option(family: Family) -> &'static str {
    match family {
        Family::V4 => "--listen4",
        Family::V6 => "--listen6",
    }
}

/// The option for the uplink of a side.
pub fn uplink_option(family: Family) -> &'static str {
    match family {
        Family::V4 => "--uplink4",
        Family::V6 => "--uplink6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_an_even_port_and_the_odd_one_above() {
        let pairs = |low, high| PortRange::new(low, high).map(|range| (range.first(), range.pairs()));
        assert_eq!(pairs(16384, 32767), Some((16384, 8192)));
        assert_eq!(pairs(16385, 16388), Some((16386, 1)));
        assert_eq!(pairs(65534, 65535), Some((65534, 1)));
        assert_eq!(pairs(16384, 16384), None);
        assert_eq!(pairs(16385, 16386), None);
        assert_eq!(pairs(65535, 65535), None);
        assert_eq!(pairs(20000, 10000), None);
        assert_eq!(pairs(80, 10000), None);
    }

    #[test]
    fn what_does_not_fit_names_its_option() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        assert_eq!(config.check(), Ok(()));
        config.maps.push(Map { phone: "192.0.2.5:5060".parse().unwrap(), fake: "192.0.2.6:5060".parse().unwrap() });
        let said = config.check().unwrap_err().to_string();
        assert!(said.starts_with("--map 192.0.2.5=192.0.2.6: "), "{said}");
    }
}
