//! Who is who: which addresses are ours, a phone's, an uplink's, and the
//! counterpart of each in the other family.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::{Config, Key, Map, SIP_PORT, UplinkHost};
use crate::family::{Family, PerFamily, canonical, canonical_endpoint, is_unicast};
use crate::hashing::Hashing;
use crate::text::{AddressAndPort, Sink, Text};

/// Who sent a packet. Those with a number are an index into [`Config::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One of our own sockets, address and port: the second pass of a hairpin.
    Ourselves,
    /// A phone, by its IP address.
    Phone(usize),
    /// An uplink, by its IP address.
    Uplink,
    /// Anybody else.
    Generic,
}

impl Source {
    /// In a word, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ourselves => "this proxy",
            Self::Phone(_) => "phone",
            Self::Uplink => "uplink",
            Self::Generic => "stranger",
        }
    }
}

/// Whom a request may reach. They go with the source; what comes from ourselves
/// keeps those of its first sender, which our Via remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rights {
    /// A phone: any address.
    Phone,
    /// An uplink: ourselves, phones, uplinks, and what a signature proves.
    Uplink,
    /// Anybody else: the same.
    Generic,
}

impl Rights {
    /// The letter that stands for them in our branch.
    pub fn letter(self) -> u8 {
        match self {
            Self::Phone => b'p',
            Self::Uplink => b'u',
            Self::Generic => b'g',
        }
    }

    /// The rights that a letter stands for, in upper or lower case.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter.to_ascii_lowercase() {
            b'p' => Some(Self::Phone),
            b'u' => Some(Self::Uplink),
            b'g' => Some(Self::Generic),
            _ => None,
        }
    }
}

/// The addresses of a configuration, ready to be asked, with what the resolver
/// found for uplinks that are names.
#[derive(Clone, Debug)]
pub struct Directory {
    config: Arc<Config>,
    uplinks: PerFamily<Vec<IpAddr>>,
    /// What the resolver found for these, with addresses that may be ours now.
    found: PerFamily<Vec<IpAddr>>,
    phones: HashMap<IpAddr, Vec<usize>, Hashing>,
    fakes: HashMap<SocketAddr, usize, Hashing>,
    spellings: PerFamily<Spelling>,
    connections: PerFamily<Vec<u8>>,
}

/// A listen address as it is written, which it is several times in most messages.
#[derive(Clone, Debug)]
struct Spelling {
    text: Vec<u8>,
    /// How much of it the host takes.
    host: usize,
}

impl Spelling {
    #[inline(never)] // Once for each side.
    fn of(endpoint: SocketAddr) -> Self {
        let mut text = Vec::new();
        AddressAndPort { address: endpoint.ip(), port: None }.write(&mut text);
        let host = text.len();
        (":", endpoint.port()).write(&mut text);
        Self { text, host }
    }
}

/// The value of a `c=` line: `IN IP4 192.0.2.1`.
pub fn sdp_connection(address: IpAddr) -> Vec<u8> {
    let mut text = Vec::new();
    ("IN ", Family::of(address).sdp_name(), " ", address).write(&mut text);
    text
}

/// Host and port as [`AddressAndPort`] writes them, or as they were written before.
#[derive(Clone, Copy, Debug)]
pub enum Spelled<'a> {
    /// A listen address.
    Listen(&'a [u8]),
    /// Any other.
    Other(AddressAndPort),
}

impl Text for Spelled<'_> {
    fn write(&self, out: &mut impl Sink) {
        match self {
            Self::Listen(text) => out.put(text),
            Self::Other(other) => other.write(out),
        }
    }
}

impl Directory {
    /// The addresses of `config`.
    pub fn new(config: Arc<Config>) -> Self {
        let mut phones: HashMap<IpAddr, Vec<usize>, _> = HashMap::default();
        let mut fakes = HashMap::default();
        for (index, map) in config.maps.iter().enumerate() {
            phones.entry(map.phone.ip()).or_default().push(index);
            fakes.insert(map.fake, index);
        }
        let uplinks = PerFamily::from_fn(|side| match &config.uplinks[side] {
            Some(uplink) => match uplink.host {
                UplinkHost::Address(address) => vec![address],
                UplinkHost::Name(_) => Vec::new(),
            },
            None => Vec::new(),
        });
        let spellings = PerFamily::from_fn(|side| Spelling::of(config.listen[side]));
        let connections = PerFamily::from_fn(|side| sdp_connection(config.listen[side].ip()));
        Self { config, found: uplinks.clone(), uplinks, phones, fakes, spellings, connections }
    }

    /// The value of a `c=` line that names the listen address of a side (RFC 8866
    /// §5.7).
    pub fn sdp_connection(&self, side: Family) -> &[u8] {
        &self.connections[side]
    }

    /// The text of a host and the port behind it, if one stands there.
    pub fn spelled(&self, host_and_port: AddressAndPort) -> Spelled<'_> {
        let side = Family::of(host_and_port.address);
        let (listen, Spelling { text, host }) = (self.listen(side), &self.spellings[side]);
        match host_and_port.port {
            _ if listen.ip() != host_and_port.address => Spelled::Other(host_and_port),
            None => Spelled::Listen(text.get(..*host).unwrap_or_default()),
            Some(port) if port == listen.port() => Spelled::Listen(text),
            Some(_) => Spelled::Other(host_and_port),
        }
    }

    /// The text of an address and port.
    pub fn spelled_endpoint(&self, endpoint: SocketAddr) -> Spelled<'_> {
        self.spelled(AddressAndPort { address: endpoint.ip(), port: Some(endpoint.port()) })
    }

    /// The addresses of another configuration, with what the resolver found for
    /// uplinks that stay.
    pub fn reconfigured(&self, config: Arc<Config>) -> Self {
        let mut new = Self::new(config);
        for side in Family::BOTH {
            if new.config.uplinks[side] == self.config.uplinks[side] {
                new.set_uplink(side, self.found[side].clone());
            }
        }
        new
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The addresses of a side's uplink that are known.
    pub fn uplink_addresses(&self, side: Family) -> &[IpAddr] {
        &self.uplinks[side]
    }

    /// The key of the tokens.
    pub fn key(&self) -> &Key {
        &self.config.key
    }

    /// What a host name of an uplink stands for now. Addresses of ours, of another
    /// family, or of no one host are left out.
    pub fn set_uplink(&mut self, side: Family, mut addresses: Vec<IpAddr>) {
        let Some(uplink) = &self.config.uplinks[side] else { return };
        let port = uplink.port;
        self.found[side].clone_from(&addresses);
        addresses.retain(|&address| {
            Family::of(address) == side && is_unicast(address) && !self.is_ours(SocketAddr::new(address, port))
        });
        self.uplinks[side] = addresses;
    }

    /// Where undirected requests of a side go; `None`: nowhere, or not resolved yet.
    pub fn uplink(&self, side: Family) -> Option<SocketAddr> {
        let uplink = self.config.uplinks[side].as_ref()?;
        self.uplinks[side].first().map(|&address| SocketAddr::new(address, uplink.port))
    }

    /// Whether `address` belongs to an uplink.
    pub fn is_uplink(&self, address: IpAddr) -> bool {
        self.uplinks.iter().any(|(_, addresses)| addresses.contains(&address))
    }

    /// The general listen address of a side.
    pub fn listen(&self, side: Family) -> SocketAddr {
        self.config.listen[side]
    }

    /// Whether `endpoint` is a listen address.
    pub fn is_listen(&self, endpoint: SocketAddr) -> bool {
        self.listen(Family::at(endpoint)) == endpoint
    }

    /// Whether `endpoint` is one of our sockets, address and port.
    pub fn is_ours(&self, endpoint: SocketAddr) -> bool {
        self.is_listen(endpoint) || self.fakes.contains_key(&endpoint)
    }

    /// A map by its index.
    pub fn map(&self, index: usize) -> Option<&Map> {
        self.config.maps.get(index)
    }

    /// The map whose fake is `endpoint`.
    pub fn fake(&self, endpoint: SocketAddr) -> Option<usize> {
        self.fakes.get(&endpoint).copied()
    }

    /// The map of the phone at an address: where several share it the port
    /// decides, else the first counts.
    pub fn phone(&self, endpoint: SocketAddr) -> Option<usize> {
        let maps = self.phones.get(&endpoint.ip())?;
        let named = maps.iter().find(|&&index| self.map(index).is_some_and(|map| map.phone == endpoint));
        named.or_else(|| maps.first()).copied()
    }

    /// Who sent a packet.
    pub fn source(&self, remote: SocketAddr) -> Source {
        if self.is_ours(remote) {
            Source::Ourselves
        } else if let Some(index) = self.phone(remote) {
            Source::Phone(index)
        } else if self.is_uplink(remote.ip()) {
            Source::Uplink
        } else {
            Source::Generic
        }
    }

    /// Whether a request with these rights may be sent to `endpoint`.
    pub fn may_reach(&self, rights: Rights, endpoint: SocketAddr) -> bool {
        rights == Rights::Phone
            || self.is_ours(endpoint)
            || self.is_uplink(endpoint.ip())
            || self.phone(endpoint).and_then(|index| self.map(index)).is_some_and(|map| map.phone == endpoint)
    }

    /// The counterpart of an address of `arrival`, by rule 1 if it has one: a
    /// phone and its fake, a fake and its phone, the listen addresses.
    ///
    /// `port` is what stands behind the host. The counterpart's port is explicit
    /// where that one is, unless just one of the two is 5060: that one is left out.
    pub fn plain_counterpart(&self, arrival: Family, host: IpAddr, port: Option<u16>) -> Option<AddressAndPort> {
        let endpoint = SocketAddr::new(host, port.unwrap_or(SIP_PORT));
        if Family::of(host) != arrival {
            return None;
        }
        let counterpart = if endpoint == self.listen(arrival) {
            self.listen(arrival.other())
        } else if let Some(map) = self.fake(endpoint).and_then(|index| self.map(index)) {
            map.phone
        } else {
            self.phone(endpoint).and_then(|index| self.map(index)).filter(|map| map.phone == endpoint)?.fake
        };
        let one_is_default = (endpoint.port() == SIP_PORT) != (counterpart.port() == SIP_PORT);
        // The plain form of a pair with one 5060 leaves that one out.
        if one_is_default && port == Some(SIP_PORT) {
            return None;
        }
        let port = (port.is_some() != one_is_default).then_some(counterpart.port());
        Some(AddressAndPort { address: counterpart.ip(), port })
    }

    /// Where an address of `arrival` (or of neither kind) stands on the other side
    /// when rule 1 does not do: the fake of its phone, else the listen address.
    pub fn stand_in(&self, arrival: Family, host: IpAddr, port: Option<u16>) -> (SocketAddr, StandIn) {
        let endpoint = SocketAddr::new(canonical(host), port.unwrap_or(SIP_PORT));
        let phone = (Family::at(endpoint) == arrival).then(|| self.phone(endpoint)).flatten();
        match phone.and_then(|index| self.map(index)) {
            Some(map) => (map.fake, StandIn::Fake),
            None => (self.listen(arrival.other()), StandIn::Listen),
        }
    }

    /// Where a request for `target`, an address of `arrival`, goes in the other
    /// family: its counterpart, which is ours.
    pub fn counterpart(&self, arrival: Family, target: SocketAddr) -> SocketAddr {
        self.stand_in(arrival, target.ip(), Some(target.port())).0
    }

    /// Whether a request may go to `endpoint` at all.
    pub fn is_callable(endpoint: SocketAddr) -> bool {
        is_unicast(endpoint.ip()) && endpoint.port() != 0
    }

    /// Where requests for what an `s64=` says go: the source it names; a phone's
    /// go to what was written, unless that means something on its own network only.
    pub fn token_target(&self, written: SocketAddr, source: Option<SocketAddr>) -> SocketAddr {
        let written = canonical_endpoint(written);
        match source {
            Some(source) if self.phone(source).is_some() && !crate::family::is_private(written.ip()) => written,
            Some(source) => source,
            None => written,
        }
    }
}

/// An endpoint in its shortest form: 5060 is left out.
pub fn plain(endpoint: SocketAddr) -> AddressAndPort {
    AddressAndPort { address: endpoint.ip(), port: Some(endpoint.port()).filter(|&port| port != SIP_PORT) }
}

/// What stands in for an address that has no plain counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// The fake of the phone at that address: rule 2.
    Fake,
    /// The listen address: rule 3.
    Listen,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn directory(maps: &[(&str, &str)]) -> Directory {
        let mut config = Config::new(endpoint("192.0.2.1:5060"), endpoint("[2001:db8::1]:5060"));
        config.maps = maps.iter().map(|(phone, fake)| Map { phone: endpoint(phone), fake: endpoint(fake) }).collect();
        config.check().unwrap();
        Directory::new(Arc::new(config))
    }

    fn plain(directory: &Directory, arrival: Family, host: &str, port: Option<u16>) -> Option<String> {
        directory.plain_counterpart(arrival, host.parse().unwrap(), port).map(|counterpart| counterpart.to_string())
    }

    #[test]
    fn an_explicit_port_stays_explicit() {
        let directory = directory(&[("192.0.2.101:5060", "[2001:db8::101]:5060")]);
        assert_eq!(plain(&directory, Family::V4, "192.0.2.101", None).as_deref(), Some("[2001:db8::101]"));
        assert_eq!(plain(&directory, Family::V4, "192.0.2.101", Some(5060)).as_deref(), Some("[2001:db8::101]:5060"));
        assert_eq!(plain(&directory, Family::V4, "192.0.2.101", Some(5062)), None);
        assert_eq!(plain(&directory, Family::V6, "2001:db8::101", Some(5060)).as_deref(), Some("192.0.2.101:5060"));
        assert_eq!(plain(&directory, Family::V4, "192.0.2.1", None).as_deref(), Some("[2001:db8::1]"));
    }

    #[test]
    fn where_one_port_is_the_default_it_is_left_out() {
        let directory = directory(&[("192.0.2.101:5060", "[2001:db8::101]:5070")]);
        assert_eq!(plain(&directory, Family::V4, "192.0.2.101", None).as_deref(), Some("[2001:db8::101]:5070"));
        assert_eq!(plain(&directory, Family::V4, "192.0.2.101", Some(5060)), None);
        assert_eq!(plain(&directory, Family::V6, "2001:db8::101", Some(5070)).as_deref(), Some("192.0.2.101"));
        assert_eq!(plain(&directory, Family::V6, "2001:db8::101", None), None);
    }

    #[test]
    fn of_several_maps_of_a_phone_the_port_decides_else_the_first() {
        let directory =
            directory(&[("192.0.2.101:5060", "[2001:db8::101]:5060"), ("192.0.2.101:5062", "[2001:db8::102]:5060")]);
        assert_eq!(directory.source(endpoint("192.0.2.101:5062")), Source::Phone(1));
        assert_eq!(directory.source(endpoint("192.0.2.101:5099")), Source::Phone(0));
        assert_eq!(directory.source(endpoint("192.0.2.1:5060")), Source::Ourselves);
        assert_eq!(directory.source(endpoint("192.0.2.1:5061")), Source::Generic);
    }

    /// A map that was wrong, and is gone after a reload, leaves nothing behind.
    #[test]
    fn an_uplink_that_is_no_address_of_ours_any_more_is_one_again() {
        let mut config = Config::new(endpoint("192.0.2.1:5060"), endpoint("[2001:db8::1]:5060"));
        let host = UplinkHost::Name("sip.example.net".to_owned());
        config.uplinks[Family::V6] =
            Some(crate::config::Uplink { host, port: SIP_PORT, written: "sip.example.net".to_owned() });
        let without = Arc::new(config.clone());
        config.maps.push(Map { phone: endpoint("192.0.2.101:5060"), fake: endpoint("[2001:db8::12]:5060") });
        let mut directory = Directory::new(Arc::new(config));
        directory.set_uplink(Family::V6, vec!["2001:db8::12".parse().unwrap()]);
        assert_eq!(directory.uplink(Family::V6), None);
        let mut directory = directory.reconfigured(without);
        assert_eq!(directory.uplink(Family::V6), Some(endpoint("[2001:db8::12]:5060")));
        // Nor are what names may stand for, too.
        let found = ["ff02::1", "::", "198.51.100.12", "2001:db8::13"].map(|address| address.parse().unwrap());
        directory.set_uplink(Family::V6, found.to_vec());
        assert_eq!(directory.uplink(Family::V6), Some(endpoint("[2001:db8::13]:5060")));
    }

    #[test]
    fn strangers_reach_phones_where_they_are_mapped_and_no_more() {
        let directory = directory(&[("192.0.2.101:5060", "[2001:db8::101]:5060")]);
        let may = |rights, to: &str| directory.may_reach(rights, endpoint(to));
        assert!(may(Rights::Generic, "192.0.2.101:5060"));
        assert!(may(Rights::Generic, "[2001:db8::1]:5060"));
        assert!(!may(Rights::Generic, "192.0.2.101:22"));
        assert!(!may(Rights::Uplink, "198.51.100.1:5060"));
        assert!(may(Rights::Phone, "198.51.100.1:5060"));
    }
}
