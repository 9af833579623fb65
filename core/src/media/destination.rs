//! Where the relay may be aimed.
//!
//! Whoever describes a leg tells a machine in a trusted place where to send
//! packets. So nothing is sent to what is not one host, to this machine itself
//! (unless the party is there), or to a socket of ours, unless it is the other
//! pass of the same call: a hairpin, or a call that an uplink sends back to the
//! side it came from. A stranger does not describe that.

use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::signal::Sender;
use crate::config::Config;
use crate::family::{Family, is_unicast};
use crate::hashing::Hashing;

/// The addresses of this machine, by what the relay may send to them.
#[derive(Debug)]
pub struct Destinations {
    /// Where our SIP sockets are: the ports of listen addresses and fakes.
    sip: HashMap<IpAddr, Vec<u16>, Hashing>,
    local: Vec<IpAddr>,
    prefixes: Vec<Prefix>,
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// One of them.
    pub address: IpAddr,
    /// How many bits.
    pub length: u8,
}

impl Prefix {
    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= u32::from(self.length)
    }
}

/// Whose relay socket an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelaySocket {
    /// Of another session of the same call.
    SameCall,
    /// Of this session or another call.
    Other,
    /// Nobody's now: a telephone on this machine may have it.
    No,
}

impl Destinations {
    /// By the configuration, before anything is known of the interfaces.
    pub fn new(config: &Config) -> Self {
        let mut destinations = Self { sip: HashMap::default(), local: Vec::new(), prefixes: Vec::new() };
        destinations.reconfigure(config);
        destinations
    }

    /// By another configuration with the same listen addresses.
    pub fn reconfigure(&mut self, config: &Config) {
        self.sip.clear();
        for socket in config.sip_addresses() {
            self.sip.entry(socket.ip()).or_default().push(socket.port());
        }
    }

    /// The addresses of this machine, beside those of the configuration, and the
    /// prefixes of which it takes every address for its own.
    pub fn set_local(&mut self, addresses: Vec<IpAddr>, prefixes: Vec<Prefix>) {
        // A heap sorts too, with a tenth of the machine code.
        self.local = BinaryHeap::from(addresses).into_sorted_vec();
        self.prefixes = prefixes;
    }

    /// Whether a party on `side` whose SIP comes from `source` may have packets
    /// sent to `endpoint`.
    #[inline]
    pub fn allows(&self, side: Family, from: (SocketAddr, Sender), endpoint: SocketAddr, relay: RelaySocket) -> bool {
        let (source, sender) = from;
        if endpoint.port() == 0 || !is_unicast(endpoint.ip()) || Family::at(endpoint) != side {
            return false;
        }
        if relay != RelaySocket::No {
            return relay == RelaySocket::SameCall && sender != Sender::Generic;
        }
        match sender {
            // Where our SIP comes from says nothing of whoever sent it to us.
            Sender::Ourselves => !self.is_here(endpoint.ip()),
            Sender::Known | Sender::Generic => self.shares_machine(source.ip(), endpoint),
        }
    }

    /// Whether an endpoint is one of our SIP sockets.
    pub fn is_sip(&self, endpoint: SocketAddr) -> bool {
        self.sip_ports(endpoint.ip()).is_some_and(|ports| ports.contains(&endpoint.port()))
    }

    /// The ports of our SIP sockets at an address that has some.
    #[inline(never)] // In many places it would be as many copies of the search.
    fn sip_ports(&self, address: IpAddr) -> Option<&[u16]> {
        self.sip.get(&address).map(Vec::as_slice)
    }

    fn is_here(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.sip_ports(address).is_some() || self.is_local(address)
    }

    /// An address of this machine is for a party on it: a loopback address or
    /// one of our SIP sockets for whoever is there too, but not the socket itself;
    /// any other for all of them.
    fn shares_machine(&self, source: IpAddr, endpoint: SocketAddr) -> bool {
        let address = endpoint.ip();
        if self.is_sip(endpoint) {
            false
        } else if address.is_loopback() {
            source.is_loopback()
        } else if self.sip_ports(address).is_some() {
            source == address
        } else {
            !self.is_local(address) || self.is_local(source)
        }
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.local.binary_search(&address).is_ok() || self.prefixes.iter().any(|prefix| prefix.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Map;

    fn destinations() -> Destinations {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        config
            .maps
            .push(Map { phone: "192.0.2.101:5060".parse().unwrap(), fake: "[2001:db8::101]:5060".parse().unwrap() });
        let mut destinations = Destinations::new(&config);
        let prefix = |address: &str, length| Prefix { address: address.parse().unwrap(), length };
        let prefixes = vec![prefix("2001:db8:f::", 64), prefix("198.18.0.0", 15)];
        destinations.set_local(vec!["198.51.100.1".parse().unwrap()], prefixes);
        destinations
    }

    fn allows(source: &str, endpoint: &str, relay: RelaySocket) -> bool {
        let endpoint: SocketAddr = endpoint.parse().unwrap();
        allows_from(Sender::Known, source, endpoint, relay)
    }

    fn allows_from(sender: Sender, source: &str, endpoint: SocketAddr, relay: RelaySocket) -> bool {
        destinations().allows(Family::at(endpoint), (source.parse().unwrap(), sender), endpoint, relay)
    }

    #[test]
    fn other_hosts_are_free_and_what_is_no_host_is_not() {
        let phone = "192.0.2.101:5060";
        assert!(allows(phone, "192.0.2.101:4000", RelaySocket::No));
        assert!(allows(phone, "203.0.113.5:4000", RelaySocket::No));
        for no in [
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "0.0.0.0:4000",
            "192.0.2.101:0",
            "[::]:4000",
            "[ff02::1]:4000",
            "[::ffff:192.0.2.5]:4000",
        ] {
            assert!(!allows(phone, no, RelaySocket::No), "{no}");
        }
    }

    #[test]
    fn this_machine_is_for_those_who_are_on_it() {
        for here in
            ["127.0.0.1", "[::1]", "198.51.100.1", "[2001:db8::101]", "192.0.2.1", "[2001:db8:f::77]", "198.19.255.255"]
        {
            assert!(!allows("192.0.2.101:5060", &format!("{here}:4000"), RelaySocket::No), "{here}");
            assert!(allows(&format!("{here}:5070"), &format!("{here}:4000"), RelaySocket::No), "{here}");
        }
        for elsewhere in ["[2001:db8:f:1::77]", "198.20.0.0"] {
            assert!(allows("192.0.2.101:5060", &format!("{elsewhere}:4000"), RelaySocket::No), "{elsewhere}");
        }
    }

    #[test]
    fn our_own_sockets_are_for_the_other_pass_of_a_call() {
        let fake = "[2001:db8::101]:5060";
        assert!(!allows("192.0.2.1:5070", "192.0.2.1:5060", RelaySocket::No));
        assert!(!allows("192.0.2.1:5070", "192.0.2.1:16384", RelaySocket::Other));
        assert!(allows("192.0.2.1:5070", "192.0.2.1:16384", RelaySocket::No), "a telephone on this machine");
        assert!(!allows(fake, "[2001:db8::1]:16384", RelaySocket::Other));
        assert!(allows(fake, "[2001:db8::1]:16384", RelaySocket::SameCall), "a hairpin");
        let (uplink, relay) = ("[2001:db8::7]:5060", "[2001:db8::1]:16384");
        assert!(allows(uplink, relay, RelaySocket::SameCall), "an uplink sends the call back");
        assert!(!allows(uplink, relay, RelaySocket::Other));
        let here = "[2001:db8::101]:4000".parse().unwrap();
        assert!(!allows_from(Sender::Ourselves, fake, here, RelaySocket::No), "whoever sent it to us");
        for here in ["127.0.0.1:4000", "198.51.100.1:4000"] {
            assert!(
                !allows_from(Sender::Ourselves, "192.0.2.1:5060", here.parse().unwrap(), RelaySocket::No),
                "{here}"
            );
        }
        assert!(!allows_from(Sender::Generic, uplink, relay.parse().unwrap(), RelaySocket::SameCall), "a stranger");
    }
}
