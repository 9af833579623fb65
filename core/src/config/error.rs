//! What is wrong with a configuration.

use std::net::SocketAddr;

use super::{Map, Plain, listen_option, uplink_option};
use crate::family::Family;

/// Why a configuration cannot be used. Each text says what would be right.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A listen address of the wrong family.
    #[error("{} {listen}: not an {family} address; write one of this machine", listen_option(*family))]
    ListenFamily {
        /// The side.
        family: Family,
        /// The address.
        listen: SocketAddr,
    },
    /// A listen address nobody can call.
    #[error("{} {listen}: {why}", listen_option(*family))]
    Listen {
        /// The side.
        family: Family,
        /// The address.
        listen: SocketAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An uplink of the wrong family.
    #[error(
        "{} {endpoint}: not an {family} address; {} is the option for it",
        uplink_option(*family), uplink_option(family.other())
    )]
    UplinkFamily {
        /// The side.
        family: Family,
        /// The address.
        endpoint: SocketAddr,
    },
    /// An uplink nobody can call.
    #[error("{} {endpoint}: {why}", uplink_option(*family))]
    Uplink {
        /// The side.
        family: Family,
        /// The address.
        endpoint: SocketAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An uplink that is one of our own sockets.
    #[error(
        "{} {}: an address of this proxy itself; name the provider, PBX or registrar",
        uplink_option(*family), Plain(*endpoint)
    )]
    UplinkOurs {
        /// The side.
        family: Family,
        /// The address.
        endpoint: SocketAddr,
    },
    /// A map with an address that does not do.
    #[error("--map {map}: {why}")]
    Map {
        /// The map.
        map: Map,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A map within one family.
    #[error("--map {map}: both addresses are of one family; PHONE=FAKE takes an IPv4 and an IPv6 address")]
    MapFamily {
        /// The map.
        map: Map,
    },
    /// A fake that is a listen address.
    #[error("--map {map}: the fake is a listen address; it needs an address or port of its own")]
    FakeIsListen {
        /// The map.
        map: Map,
    },
    /// A phone that is one of our own sockets.
    #[error("--map {map}: the phone is an address of this proxy itself; PHONE comes first, its FAKE second")]
    PhoneIsOurs {
        /// The map.
        map: Map,
    },
    /// The same map again.
    #[error("--map {map}: it is given twice; keep one")]
    MapTwice {
        /// The map.
        map: Map,
    },
    /// A fake that stands for two phones.
    #[error("--map {map}: the fake stands for {} already; each phone needs one of its own", Plain(*phone))]
    FakeTwice {
        /// The map.
        map: Map,
        /// The phone of the earlier map.
        phone: SocketAddr,
    },
    /// A phone with two fakes.
    #[error("--map {map}: the phone has the fake {} already; keep one of the two maps", Plain(*fake))]
    PhoneTwice {
        /// The map.
        map: Map,
        /// The fake of the earlier map.
        fake: SocketAddr,
    },
}

impl ConfigError {
    /// The long name of the option to change, without dashes.
    pub fn option(&self) -> &'static str {
        let option = match self {
            Self::ListenFamily { family, .. } | Self::Listen { family, .. } => listen_option(*family),
            Self::UplinkFamily { family, .. } | Self::Uplink { family, .. } | Self::UplinkOurs { family, .. } => {
                uplink_option(*family)
            }
            Self::Map { .. } | Self::MapFamily { .. } | Self::FakeIsListen { .. } => "map",
            Self::PhoneIsOurs { .. } | Self::MapTwice { .. } => "map",
            Self::FakeTwice { .. } | Self::PhoneTwice { .. } => "map",
        };
        option.trim_start_matches('-')
    }

    /// The map to change, if it is one.
    pub fn map(&self) -> Option<&Map> {
        match self {
            Self::ListenFamily { .. } | Self::Listen { .. } => None,
            Self::UplinkFamily { .. } | Self::Uplink { .. } | Self::UplinkOurs { .. } => None,
            Self::Map { map, .. } | Self::MapFamily { map } | Self::FakeIsListen { map } => Some(map),
            Self::PhoneIsOurs { map } | Self::MapTwice { map } => Some(map),
            Self::FakeTwice { map, .. } | Self::PhoneTwice { map, .. } => Some(map),
        }
    }
}
