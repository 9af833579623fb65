//! What is not wrong, but worth a thought before the first call.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::limits;
use crate::config::{Config, Plain, SIP_PORT, UplinkHost};
use crate::family::Family;
use crate::hep::{Collector, HEP_PORT};

/// What is most often a port for SIP.
const PORTS_OF_SIP: RangeInclusive<u16> = 5060..=5099;

/// What this configuration on this machine lets one expect.
pub(crate) fn all(config: &Config, collector: Option<&Collector>) -> Vec<String> {
    let mut warnings: Vec<String> = config.listen.iter().filter_map(|(_, &listen)| of_listen(listen.ip())).collect();
    let fakes = config.maps.iter().filter(|map| embedded(map.fake.ip()).is_some());
    warnings.extend(fakes.take(1).map(|map| {
        let kind = embedded(map.fake.ip()).unwrap_or_default();
        format!("the fake of {} is {kind}, which IPv6 hosts reach badly or not at all", Plain(map.phone))
    }));
    warnings.extend(loopback_alone(config));
    warnings.extend(ports_in_addresses(config, collector.and_then(Collector::address)));
    warnings.extend(sip_among_media(config));
    warnings.extend(limits::files_advice(config));
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let helper = read("/proc/sys/net/netfilter/nf_conntrack_helper");
    warnings.extend(of_conntrack(&helper, &read("/proc/modules")));
    warnings
}

fn of_listen(address: IpAddr) -> Option<String> {
    let kind = embedded(address)?;
    Some(format!(
        "the listen address {address} is {kind}, which IPv6 hosts reach badly or not at all; take a native one"
    ))
}

/// A SIP socket that lies among the media ports: no call can have that pair.
fn sip_among_media(config: &Config) -> Option<String> {
    let (low, high) = config.rtp_ports.bounds();
    let (_, listen) = config.listen.iter().find(|(_, listen)| (low..=high).contains(&listen.port()))?;
    Some(format!(
        "--rtp-ports {low}-{high} has the port of SIP at {} in it; take others for one of the two",
        Plain(*listen)
    ))
}

/// A side that has nobody but this machine, which nothing tells to be meant so.
fn loopback_alone(config: &Config) -> Option<String> {
    let is_loopback = |side: Family| config.listen[side].ip().is_loopback();
    let side = Family::BOTH.into_iter().find(|&side| is_loopback(side) && !is_loopback(side.other()))?;
    let uplink = config.uplinks[side].iter().filter_map(|uplink| match uplink.host {
        UplinkHost::Address(address) => Some(address),
        UplinkHost::Name(_) => None,
    });
    let mut parties = config.maps.iter().map(|map| map.phone.ip()).filter(|ip| Family::of(*ip) == side).chain(uplink);
    (!parties.any(|ip| ip.is_loopback())).then(|| {
        let address = config.listen[side].ip();
        format!("no other machine reaches the {side} listen address {address}, or is reached from it")
    })
}

/// Addresses that somebody may have meant for one and a port, without brackets.
fn ports_in_addresses(config: &Config, collector: Option<SocketAddr>) -> Vec<String> {
    let uplinks = config.uplinks.iter().filter_map(|(_, uplink)| match uplink.as_ref()?.host {
        UplinkHost::Address(address) => Some(SocketAddr::new(address, uplink.as_ref()?.port)),
        UplinkHost::Name(_) => None,
    });
    let maps = config.maps.iter().flat_map(|map| [map.phone, map.fake]);
    let all = config.listen.iter().map(|(_, &listen)| listen).chain(uplinks).chain(maps);
    let all = all.map(|endpoint| (endpoint, SIP_PORT)).chain(collector.map(|endpoint| (endpoint, HEP_PORT)));
    all.filter(|(endpoint, usual)| endpoint.is_ipv6() && endpoint.port() == *usual)
        .filter_map(|(endpoint, usual)| {
            let written = endpoint.ip().to_string();
            let (address, port) = written.rsplit_once(':')?;
            let is_port = port.parse().is_ok_and(|port| PORTS_OF_SIP.contains(&port) || port == usual);
            (is_port && address.parse::<Ipv6Addr>().is_ok()).then(|| {
                format!(
                    "{written} is an address whose port is {usual}; write [{address}]:{port} if {port} is meant for \
                     the port"
                )
            })
        })
        .collect()
}

/// What an IPv6 address is that is made out of an IPv4 address.
fn embedded(address: IpAddr) -> Option<&'static str> {
    let IpAddr::V6(address) = address else { return None };
    match address.segments() {
        [0x2001, 0, ..] => Some("a Teredo address (RFC 4380)"),
        [0x2002, ..] => Some("a 6to4 address (RFC 3056, given up by RFC 7526)"),
        [0x64, 0xff9b, ..] if is_nat64(address) => Some("a NAT64 address (RFC 6052, RFC 8215)"),
        _ => None,
    }
}

/// 64:ff9b::/96 or 64:ff9b:1::/48.
fn is_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, 1, ..] | [_, _, 0, 0, 0, 0, ..])
}

/// The kernel's SIP helper rewrites messages that cross a NAT of this machine, and
/// does not know what this proxy does with addresses.
fn of_conntrack(helper: &str, modules: &str) -> Option<String> {
    let loaded = modules.lines().any(|line| line.split(' ').next() == Some("nf_conntrack_sip"));
    let automatic = helper.trim() == "1";
    loaded.then(|| {
        let advice = if automatic {
            "sysctl net.netfilter.nf_conntrack_helper=0"
        } else {
            "modprobe -r nf_nat_sip nf_conntrack_sip"
        };
        let how = if automatic { "and is used for port 5060 by itself" } else { "and is used where a rule says so" };
        format!("the kernel's SIP helper is loaded, {how}; it may rewrite messages: {advice}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_made_out_of_ipv4_ones_are_named() {
        for (address, kind) in [
            ("2001:0:53aa:64c::1", Some("Teredo")),
            ("2002:c000:201::1", Some("6to4")),
            ("64:ff9b::192.0.2.1", Some("NAT64")),
            ("64:ff9b:1:2::1", Some("NAT64")),
            ("64:ff9b:2::1", None),
            ("2001:db8::1", None),
            ("192.0.2.1", None),
        ] {
            let said = of_listen(address.parse().unwrap());
            assert_eq!(said.is_some(), kind.is_some(), "{address}: {said:?}");
            assert!(said.unwrap_or_default().contains(kind.unwrap_or_default()), "{address}");
        }
    }

    #[test]
    fn the_sip_helper_is_noticed_where_it_is_loaded() {
        let modules = "nf_conntrack_sip 49152 1 nf_nat_sip, Live 0x0\nnf_conntrack 188416 2 - Live 0x0\n";
        assert!(of_conntrack("1\n", modules).unwrap().contains("nf_conntrack_helper=0"));
        assert!(of_conntrack("0\n", modules).unwrap().contains("modprobe -r"));
        assert_eq!(of_conntrack("1\n", "nf_conntrack 188416 2 - Live 0x0\n"), None);
        assert_eq!(of_conntrack("", ""), None);
    }
}
