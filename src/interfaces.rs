//! The addresses of this machine, and what to do where one of ours is missing.

use std::fmt;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The addresses of this machine, with the names of their interfaces.
///
/// # Errors
/// Where the system does not tell.
pub fn addresses() -> io::Result<impl Iterator<Item = (String, IpAddr)>> {
    let named = |interface: InterfaceAddress| Some((interface.interface_name, ip_of(interface.address?)?));
    Ok(getifaddrs()?.filter_map(named))
}

fn ip_of(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// Why this machine does not have an address, and what would give it to it.
#[derive(Clone, Copy, Debug)]
pub struct Absence(pub IpAddr);

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ip) = *self;
        if let Some(interface) = interface_of(ip) {
            // An IPv6 address is not to be had before it is known to be no other host's.
            return write!(
                f,
                "{interface} has it, but it is not ready: ip addr show dev {interface} says tentative where its link \
                 is down or only just came up, dadfailed where another host has it"
            );
        }
        let interface = interface_for(ip);
        if ip.is_ipv6() && is_ipv6_off(&interface) {
            return write!(
                f,
                "IPv6 is switched off at {interface}: sysctl net.ipv6.conf.all.disable_ipv6=0 switches it on everywhere"
            );
        }
        let length = if ip.is_ipv4() { 32 } else { 128 };
        write!(f, "no interface has it: ip addr add {ip}/{length} dev {interface}")
    }
}

/// The interface that has an address.
fn interface_of(ip: IpAddr) -> Option<String> {
    let found = addresses().ok()?.find(|(_, address)| *address == ip)?;
    Some(found.0)
}

/// The interface that an address belongs to which none has: that of its network, else
/// the first one to other machines that can have it. At the loopback, nobody on a link would
/// find it: who asks the link for an address is answered where that interface has it.
fn interface_for(ip: IpAddr) -> String {
    let is_off = |name: &str| ip.is_ipv6() && is_ipv6_off(name);
    let rank = |interface: &InterfaceAddress| {
        let is_loopback = interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        (!is_in_network(ip, interface), is_loopback, is_off(&interface.interface_name))
    };
    let best = getifaddrs().into_iter().flatten().min_by_key(rank);
    best.map_or_else(|| "lo".to_owned(), |interface| interface.interface_name)
}

fn is_in_network(wanted: IpAddr, interface: &InterfaceAddress) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let (Some(address), Some(mask)) = (interface.address.and_then(ip_of), interface.netmask.and_then(ip_of)) else {
        return false;
    };
    wanted.is_ipv4() == address.is_ipv4() && (bits(wanted) ^ bits(address)) & bits(mask) == 0
}

/// Whether an interface can have no IPv6 address.
fn is_ipv6_off(interface: &str) -> bool {
    let switch = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    std::fs::read(switch).is_ok_and(|said| said.starts_with(b"1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_interface_of_its_network() {
        assert_eq!(interface_for("127.9.9.9".parse().unwrap()), "lo");
        let loopback = getifaddrs().unwrap().find(|found| found.address.and_then(ip_of) == Some([127, 0, 0, 1].into()));
        let loopback = loopback.unwrap();
        for (address, is_in) in [("127.255.0.1", true), ("128.0.0.1", false), ("::7f00:1", false)] {
            assert_eq!(is_in_network(address.parse().unwrap(), &loopback), is_in, "{address}");
        }
    }
}
