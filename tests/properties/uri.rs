//! Arbitrary URIs.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sipproxy64::config::Config;
use sipproxy64::family::Family;

use crate::settings::{known, ours, strangers};

/// A URI to be: which host it has is known once there is a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    front: String,
    host: HostDraft,
    parameters: Vec<ParameterDraft>,
    headers: &'static str,
}

/// Which address, in which spelling, with which port behind it.
#[derive(Clone, Debug)]
struct HostDraft {
    address: Index,
    spelling: u8,
    port: u8,
}

#[derive(Clone, Debug)]
enum ParameterDraft {
    Text(&'static str),
    Maddr(HostDraft),
}

fn host_draft() -> impl Strategy<Value = HostDraft> {
    (any::<Index>(), 0u8..12, 0u8..16).prop_map(|(address, spelling, port)| HostDraft { address, spelling, port })
}

fn front() -> impl Strategy<Value = String> {
    let scheme = select(vec!["sip:", "sip:", "sip:", "sips:", "SIP:"]);
    let user = select(vec![
        "",
        "alice@",
        "alice@",
        "a%40b@",
        "+1555;phone-context=x@",
        "a;s64=10.0.0.1@",
        "a?b@",
        "a,b@",
        "a:pw@",
        "%22@",
        "*21#@",
        "j\u{fc}rg@",
        "192.0.2.101@",
        "a;s64-=2@",
    ]);
    (scheme, user).prop_map(|(scheme, user)| format!("{scheme}{user}"))
}

fn parameter() -> impl Strategy<Value = ParameterDraft> {
    let text = select(vec![
        "lr",
        "transport=udp",
        "user=phone",
        "x=%3b%40",
        "",
        "maddr=host.example",
        "ttl=5",
        "s64-=9",
        "s64--=10.0.0.1",
        "s64x",
        "s64x=",
        "s64x=_",
        "s64x=__0123456789abcdef",
        "s64x=foo",
        "S64X=foo",
        "s64x=_10.0.0.1~5_0123456789abcdef",
        "s64x=_x_0",
        "s64y=1",
        "s64-",
        "S64-=a",
        "s64.=1",
        "xs64=1",
        "maddr=",
        "maddr=[2001:db8::zz]",
        "maddr=2001:db8:9::55",
        "maddr=2001:db8::101",
        "s64x=~7",
    ]);
    let token = select(vec![
        "s64=10.0.0.1",
        "s64=2001-db8-9--55~5062",
        "s64=bad",
        "s64",
        "S64=192.0.2.101~5062",
        "s64=",
        "s64=10.0.0.9__0123456789abcdef",
    ]);
    prop_oneof![
        6 => text.prop_map(ParameterDraft::Text),
        1 => token.prop_map(ParameterDraft::Text),
        1 => host_draft().prop_map(ParameterDraft::Maddr),
    ]
}

/// A URI with anything in it.
pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    let headers = select(vec!["", "", "", "?Subject=a", "?Replaces=x%40192.0.2.101%3Bto-tag%3D1", "?a=b@c", "?"]);
    (front(), host_draft(), prop::collection::vec(parameter(), 0..4), headers)
        .prop_map(|(front, host, parameters, headers)| Draft { front, host, parameters, headers })
}

/// Every address that has a meaning, and some that have none.
fn addresses(config: &Config) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for side in Family::BOTH {
        all.extend([ours(config, side), known(config, side), strangers(side)].concat().iter().map(|one| one.ip()));
    }
    all.extend(
        ["10.0.0.5", "127.0.0.1", "fe80::1", "::1", "224.0.0.1", "0.0.0.0", "::"]
            .map(|text| text.parse::<IpAddr>().unwrap()),
    );
    all
}

/// Every port that has a meaning.
fn ports(config: &Config) -> Vec<u16> {
    let mut all: Vec<u16> = config.maps.iter().flat_map(|map| [map.phone.port(), map.fake.port()]).collect();
    all.extend(config.listen.iter().map(|(_, listen)| listen.port()));
    all
}

fn spelled(address: IpAddr, spelling: u8) -> String {
    match (address, spelling) {
        (IpAddr::V4(v4), 8) => format!("[::ffff:{v4}]"),
        (IpAddr::V4(v4), 9) => format!("[::FFFF:{v4}]"),
        (IpAddr::V4(v4), _) => v4.to_string(),
        (IpAddr::V6(v6), 8) => {
            format!("[{}]", v6.segments().map(|segment| format!("{segment:04x}")).join(":"))
        }
        (IpAddr::V6(v6), 9) => format!("[{}]", v6.to_string().to_uppercase()),
        (IpAddr::V6(v6), 10) => {
            let segments = v6.segments();
            let front = segments[..6].iter().map(|segment| format!("{segment:x}")).collect::<Vec<_>>().join(":");
            let [.., a, b, c, d] = v6.octets();
            format!("[{front}:{a}.{b}.{c}.{d}]")
        }
        (IpAddr::V6(v6), _) => format!("[{v6}]"),
    }
}

/// All ways in which a host can stand, in lower case.
pub(crate) fn spellings(address: IpAddr) -> impl Iterator<Item = String> {
    (7..11).map(move |spelling| spelled(address, spelling).to_lowercase())
}

impl HostDraft {
    fn host(&self, config: &Config) -> String {
        if self.spelling == 11 {
            let names =
                ["example.com", "EXAMPLE.com.", "192.0.2.01", "1.2.3", "p_1.example", "proxy.example", "256.1.1.1"];
            return (*self.address.get(&names)).to_owned();
        }
        spelled(*self.address.get(&addresses(config)), self.spelling)
    }

    fn port(&self, config: &Config) -> String {
        match self.port {
            0..4 => ":5060".to_owned(),
            4 => ":05060".to_owned(),
            5 => ":5062".to_owned(),
            6 => ":65535".to_owned(),
            7 => ":00000005070".to_owned(),
            8..11 => format!(":{}", self.address.get(&ports(config))),
            _ => String::new(),
        }
    }
}

impl Draft {
    /// The URI under a configuration.
    pub(crate) fn write(&self, config: &Config) -> String {
        let parameters: String = self
            .parameters
            .iter()
            .map(|parameter| match parameter {
                ParameterDraft::Text(text) => format!(";{text}"),
                ParameterDraft::Maddr(host) => format!(";maddr={}", host.host(config)),
            })
            .collect();
        format!("{}{}{}{parameters}{}", self.front, self.host.host(config), self.host.port(config), self.headers)
    }
}
