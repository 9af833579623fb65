//! What this machine takes for itself: the addresses of its interfaces, and whole
//! prefixes where a route says so (AnyIP, `ip route add local`).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::interfaces;
use crate::media::destination::Prefix;

/// RTF_LOCAL of <linux/ipv6_route.h>.
const LOCAL: u32 = 0x8000_0000;
/// IFA_F_TENTATIVE and IFA_F_DADFAILED of <linux/if_addr.h>, and IFA_F_OPTIMISTIC, with
/// which the first of them does not matter.
const NOT_READY: u8 = 0x40 | 0x08;
const OPTIMISTIC: u8 = 0x04;

/// What this machine takes for itself at the moment.
#[derive(Debug)]
pub(super) struct LocalAddresses {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) prefixes: Vec<Prefix>,
    /// Those of the addresses that another host may have, or has (RFC 4862 §5.4).
    unready: Vec<Ipv6Addr>,
}

impl LocalAddresses {
    /// As the system tells it.
    ///
    /// # Errors
    /// Where it does not tell.
    pub(super) fn read() -> io::Result<Self> {
        let addresses = interfaces::addresses()?.map(|(_, address)| address).collect();
        let unready = of_if_inet6(&read("/proc/net/if_inet6")).collect();
        Ok(Self { addresses, prefixes: prefixes(), unready })
    }

    /// Whether what is sent to an address comes here.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self.addresses.contains(&address)
            || self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// Whether it comes here already.
    pub(super) fn hears(&self, address: IpAddr) -> bool {
        self.has(address) && self.unready.iter().all(|unready| *unready != address)
    }
}

/// What the system tells in a file, if it does.
fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Its prefixes. Where the system does not tell, none are known.
fn prefixes() -> Vec<Prefix> {
    let (v4, v6) = (read("/proc/net/fib_trie"), read("/proc/net/ipv6_route"));
    let mut prefixes: Vec<Prefix> = of_fib_trie(&v4).chain(of_ipv6_route(&v6)).collect();
    // Each table of the kernel may have it.
    prefixes.dedup();
    prefixes
}

/// `|-- 198.51.100.0`, and below it `/24 host LOCAL`.
fn of_fib_trie(text: &str) -> impl Iterator<Item = Prefix> {
    let mut leaf = None;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
            return None;
        }
        let (length, kind) = line.strip_prefix('/')?.split_once(' ')?;
        let length: u8 = length.parse().ok().filter(|&length| length < 32)?;
        let address = leaf.filter(|_| kind.ends_with("LOCAL"))?;
        (!address.is_loopback()).then_some(Prefix { address: address.into(), length })
    })
}

/// Destination, length, six more columns, flags, interface (ipv6(7)).
fn of_ipv6_route(text: &str) -> impl Iterator<Item = Prefix> {
    text.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let address = Ipv6Addr::from_bits(u128::from_str_radix(columns.next()?, 16).ok()?);
        let length = u8::from_str_radix(columns.next()?, 16).ok().filter(|&length| length < 128)?;
        let flags = u32::from_str_radix(columns.nth(6)?, 16).ok()?;
        (flags & LOCAL != 0).then_some(Prefix { address: address.into(), length })
    })
}

/// Address, number of the interface, length, scope, flags, name of the interface.
fn of_if_inet6(text: &str) -> impl Iterator<Item = Ipv6Addr> {
    text.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let address = Ipv6Addr::from_bits(u128::from_str_radix(columns.next()?, 16).ok()?);
        let flags = u8::from_str_radix(columns.nth(3)?, 16).ok()?;
        (flags & NOT_READY != 0 && flags & OPTIMISTIC == 0).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix { address: address.parse().unwrap(), length }
    }

    /// As Linux 6.1 writes them, with `ip route add local` in both families.
    #[test]
    fn local_routes_are_found_among_others() {
        let trie = "Main:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
                    +-- 127.0.0.0/31 1 0 0\n        |-- 127.0.0.0\n           /8 host LOCAL\n        |-- 127.0.0.1\n           \
                    /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 198.51.100.0\n        \
                    /24 host LOCAL\n";
        assert_eq!(of_fib_trie(trie).collect::<Vec<_>>(), [prefix("198.51.100.0", 24)]);
        let zeros = "00000000000000000000000000000000";
        let route = |destination: &str, length: &str, flags: &str| {
            format!("{destination} {length} {zeros} 00 {zeros} 00000400 00000001 00000000 {flags}       lo\n")
        };
        let routes = [
            route("20010db8000000000000000000000001", "80", "80200001"),
            route("20010db8000f00000000000000000000", "40", "80000001"),
            route("20010db8000e00000000000000000000", "40", "00000001"),
            route(zeros, "00", "00200200"),
        ];
        assert_eq!(of_ipv6_route(&routes.concat()).collect::<Vec<_>>(), [prefix("2001:db8:f::", 64)]);
    }

    /// As Linux 6.1 writes them: usable, tentative, and found at another host.
    #[test]
    fn addresses_that_are_not_ready_are_found_among_others() {
        let lines = ["1 02 40 00 80", "2 02 40 00 c0", "3 02 40 00 c8", "4 02 40 00 44"]
            .map(|line| format!("20010db800000000000000000000000{line}       v0\n"));
        let unready: Vec<String> = of_if_inet6(&lines.concat()).map(|address| address.to_string()).collect();
        assert_eq!(unready, ["2001:db8::2", "2001:db8::3"]);
    }
}
