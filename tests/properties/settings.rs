//! Arbitrary configurations, and who can be met under one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::prelude::*;
use sipproxy64::config::{Config, Key, Map, Name, Uplink, UplinkHost};
use sipproxy64::family::Family;

pub(crate) fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// How often a property is tried: `PROPTEST_CASES`, else as often as time allows.
pub(crate) fn cases(otherwise: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(otherwise)) }
}

fn port() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![5060, 5060, 5060, 5062, 5070])
}

/// Phones with their stand-ins, either family left; a few addresses, so that maps
/// share them.
fn map() -> impl Strategy<Value = Map> {
    let v4 = (vec!["192.0.2.101", "192.0.2.102", "10.0.0.7"], vec!["2001:db8::101", "2001:db8::102", "2001:db8::1"]);
    let v6 = (vec!["2001:db8:6::7", "2001:db8:6::8", "fd00::7"], vec!["192.0.2.207", "192.0.2.208", "192.0.2.1"]);
    any::<bool>().prop_flat_map(move |is_v4| {
        let (phones, fakes) = if is_v4 { v4.clone() } else { v6.clone() };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        (prop::sample::select(phones), port(), prop::sample::select(fakes), port()).prop_map(
            move |(phone, phone_port, fake, fake_port)| Map {
                phone: SocketAddr::new(address(phone), phone_port),
                fake: SocketAddr::new(address(fake), fake_port),
            },
        )
    })
}

fn uplink(address: &'static str) -> impl Strategy<Value = Option<Uplink>> {
    let address: IpAddr = address.parse().unwrap();
    prop::option::weighted(
        0.8,
        port().prop_map(move |port| {
            let endpoint = SocketAddr::new(address, port);
            let host = if address.is_ipv4() { address.to_string() } else { format!("[{address}]") };
            let written = if port == 5060 { host } else { endpoint.to_string() };
            Uplink { host: UplinkHost::Address(address), port, written }
        }),
    )
}

/// A configuration; its `Debug` form is the command line for it.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Arc<Config>);

impl std::ops::Deref for World {
    type Target = Config;
    fn deref(&self) -> &Config {
        &self.0
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-l {} -L {}", self.listen[Family::V4], self.listen[Family::V6])?;
        for (side, uplink) in self.uplinks.iter().filter_map(|(side, uplink)| Some((side, uplink.as_ref()?))) {
            write!(f, " {} {}", if side == Family::V4 { "-u" } else { "-U" }, uplink.written)?;
        }
        self.maps.iter().try_for_each(|map| write!(f, " -m {}={}", map.phone, map.fake))?;
        self.names.iter().try_for_each(|name| write!(f, " --name {}", name.host))?;
        if self.wrapper { write!(f, " -w") } else { Ok(()) }
    }
}

/// A configuration that passes its own check.
pub(crate) fn config() -> impl Strategy<Value = World> {
    let listen = (port(), port());
    let uplinks = (uplink("192.0.2.250"), uplink("2001:db8:456::12"));
    let wrapper = prop::bool::weighted(0.05);
    (listen, uplinks, prop::collection::vec(map(), 0..6), wrapper).prop_map(|(listen, uplinks, maps, wrapper)| {
        let listen4 = SocketAddr::new("192.0.2.1".parse().unwrap(), listen.0);
        let listen6 = SocketAddr::new("2001:db8::1".parse().unwrap(), listen.1);
        let mut config = Config::new(listen4, listen6);
        config.uplinks[Family::V4] = uplinks.0;
        config.uplinks[Family::V6] = uplinks.1;
        config.names = vec![Name { host: "proxy.example".into(), port: 5060 }];
        config.wrapper = wrapper;
        config.key = Key([7; 16]);
        for map in maps {
            config.maps.push(map);
            if config.check().is_err() {
                config.maps.pop();
            }
        }
        World(Arc::new(config))
    })
}

/// Our sockets of a side.
pub(crate) fn ours(config: &Config, side: Family) -> Vec<SocketAddr> {
    let fakes = config.maps.iter().map(|map| map.fake);
    [config.listen[side]].into_iter().chain(fakes.filter(|fake| Family::of(fake.ip()) == side)).collect()
}

/// Whether an address is that of an uplink.
pub(crate) fn is_uplink(config: &Config, address: IpAddr) -> bool {
    let is_it = |uplink: &Uplink| uplink.host == UplinkHost::Address(address);
    config.uplinks.iter().any(|(_, uplink)| uplink.as_ref().is_some_and(is_it))
}

/// Those who are known on a side: phones and uplinks.
pub(crate) fn known(config: &Config, side: Family) -> Vec<SocketAddr> {
    let mut known: Vec<SocketAddr> = config.maps.iter().map(|map| map.phone).collect();
    for (_, uplink) in config.uplinks.iter() {
        if let Some(Uplink { host: UplinkHost::Address(address), port, .. }) = uplink {
            known.push(SocketAddr::new(*address, *port));
        }
    }
    known.retain(|endpoint| Family::of(endpoint.ip()) == side);
    known
}

/// Strangers of a side.
pub(crate) fn strangers(side: Family) -> Vec<SocketAddr> {
    match side {
        Family::V4 => ["203.0.113.9:5060", "203.0.113.9:40123", "198.51.100.4:5060"].map(endpoint).to_vec(),
        Family::V6 => {
            ["[2001:db8:9::55]:5062", "[2001:db8:9::55]:5060", "[2001:db8:a::1]:40123"].map(endpoint).to_vec()
        }
    }
}

/// All who may send on a side, from their ports and from others.
pub(crate) fn senders(config: &Config, side: Family) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = known(config, side);
    all.extend(known(config, side).iter().map(|known| SocketAddr::new(known.ip(), 40_000)));
    all.extend(strangers(side));
    all.retain(|&endpoint| !config.is_ours(endpoint));
    all
}

pub(crate) fn side() -> impl Strategy<Value = Family> {
    any::<bool>().prop_map(|v4| if v4 { Family::V4 } else { Family::V6 })
}
