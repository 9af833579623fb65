//! On which link a link-local address is.
//!
//! Such an address means somebody on one link only (RFC 4007), and nothing in SIP can
//! say on which. The kernel tells of each datagram; that is kept, so that what goes to
//! its sender leaves by the same interface.

use std::net::{SocketAddr, SocketAddrV6};

/// How many addresses are kept.
const MAX_KEPT: usize = 64;

/// Those that were heard, by all SIP threads.
#[derive(Debug, Default)]
pub(super) struct Links {
    heard: Vec<SocketAddrV6>,
    /// Whose place the next one takes where all are taken.
    oldest: usize,
}

/// `address`, if it is one of a link.
pub(super) fn link_local(address: SocketAddr) -> Option<SocketAddrV6> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => Some(v6),
        _ => None,
    }
}

impl Links {
    /// A datagram came from there. Rare, and so out of the way of all others.
    #[cold]
    pub(super) fn hear(&mut self, from: SocketAddrV6) {
        if let Some(known) = self.heard.iter_mut().find(|known| known.ip() == from.ip()) {
            *known = from;
        } else if self.heard.len() < MAX_KEPT {
            self.heard.push(from);
        } else if let Some(oldest) = self.heard.get_mut(self.oldest) {
            *oldest = from;
            self.oldest = self.oldest.wrapping_add(1) % MAX_KEPT;
        }
    }

    /// Where to send what is for `to`.
    #[cold]
    pub(super) fn reach(&self, mut to: SocketAddrV6) -> SocketAddrV6 {
        let heard = self.heard.iter().find(|known| known.ip() == to.ip());
        to.set_scope_id(heard.map_or(0, SocketAddrV6::scope_id));
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddrV6 {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_where_it_was_heard_last() {
        let mut links = Links::default();
        assert_eq!(links.reach(at("[fe80::2]:5060")), at("[fe80::2]:5060"));
        links.hear(at("[fe80::2%3]:5060"));
        links.hear(at("[fe80::2%5]:5070"));
        links.hear(at("[fe80::3%4]:5060"));
        assert_eq!(links.reach(at("[fe80::2]:5060")), at("[fe80::2%5]:5060"));
        assert_eq!(links.heard.len(), 2);
    }

    #[test]
    fn whoever_makes_addresses_up_takes_no_more_memory() {
        let mut links = Links::default();
        (0..1000).for_each(|host| links.hear(SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, host].into(), 5060, 0, 3)));
        assert_eq!(links.heard.len(), MAX_KEPT);
        assert_eq!(links.reach(at("[fe80::3e7]:5060")), at("[fe80::3e7%3]:5060"));
    }

    #[test]
    fn only_addresses_of_a_link_are_meant() {
        let meant = |text: &str| link_local(text.parse().unwrap()).is_some();
        assert!(meant("[fe80::2%3]:5060") && meant("[fe80::2]:5060"));
        assert!(!meant("[2001:db8::1]:5060") && !meant("169.254.0.1:5060"));
    }
}
