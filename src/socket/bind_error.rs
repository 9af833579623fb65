//! A socket that cannot be bound: which one, what for, why, and what helps.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use crate::config::{Config, Plain};
use crate::family::Family;
use crate::interfaces::Absence;

/// What a socket is for; the words of the error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// SIP at a listen address.
    Listen(Family),
    /// SIP at the stand-in of this phone.
    Fake(SocketAddr),
    /// RTP or RTCP.
    Media,
}

impl Role {
    /// The addresses where SIP is served, each with what it is for.
    pub fn of_sip(config: &Config) -> impl Iterator<Item = (SocketAddr, Self)> {
        let listen = config.listen.iter().map(|(side, &address)| (address, Self::Listen(side)));
        listen.chain(config.maps.iter().map(|map| (map.fake, Self::Fake(map.phone))))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(family) => write!(f, "{family} listen address"),
            Self::Fake(phone) => write!(f, "fake of {}", Plain(*phone)),
            Self::Media => f.write_str("media port"),
        }
    }
}

/// A socket that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {address} ({role}): {cause}{}", Advice { address: *address, cause })]
pub struct BindError {
    /// Where it was to be.
    pub address: SocketAddr,
    /// What for.
    pub role: Role,
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

/// What the user can do about a [`BindError`].
struct Advice<'a> {
    address: SocketAddr,
    cause: &'a io::Error,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        match self.cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRNOTAVAIL) => write!(f, "; {}; or use --freebind", Absence(ip)),
            Some(Errno::EADDRINUSE) => {
                write!(f, "; another program has it: ss -lunp 'sport = :{port}' tells which")
            }
            Some(Errno::EACCES) if port < 1024 => {
                write!(f, "; ports below 1024 need root or CAP_NET_BIND_SERVICE, or take a higher port")
            }
            Some(Errno::EMFILE | Errno::ENFILE) => {
                write!(f, "; raise the limit: ulimit -n, or LimitNOFILE= in systemd")
            }
            Some(Errno::EAFNOSUPPORT) => write!(f, "; this system has no {}", Family::of(ip)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn said(address: SocketAddr, role: Role, errno: Errno) -> String {
        BindError { address, role, cause: errno.into() }.to_string()
    }

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let fake = Role::Fake(address("192.0.2.101:5060"));
        let text = said(address("[2001:db8::101]:5060"), fake, Errno::EADDRNOTAVAIL);
        assert!(text.contains("[2001:db8::101]:5060 (fake of 192.0.2.101)"), "{text}");
        assert!(text.contains("ip addr add 2001:db8::101/128 dev ") && text.contains("--freebind"), "{text}");
        let text = said(address("192.0.2.1:5060"), Role::Listen(Family::V4), Errno::EADDRINUSE);
        assert!(text.contains("(IPv4 listen address)") && text.contains("ss -lunp 'sport = :5060'"), "{text}");
        let text = said(address("192.0.2.1:80"), Role::Media, Errno::EACCES);
        assert!(text.contains("(media port)") && text.contains("below 1024"), "{text}");
    }
}
