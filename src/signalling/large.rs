//! Messages that may have been too large for their path.
//!
//! A datagram leaves in fragments of what its first link carries. Where a later
//! link carries less, an IPv6 router drops it and says so by ICMP (RFC 8201); from
//! then on the kernel makes smaller fragments, but that datagram is lost. So the
//! last large messages are kept until they are as good as there, and one that was
//! too big is sent again, once. In IPv4 routers cut datagrams up themselves, as
//! they leave without "don't fragment".

use std::collections::VecDeque;
use std::net::SocketAddr;

/// What fits through every IPv6 path: its least MTU without the headers of IPv6
/// and UDP (RFC 8200 §5).
const ALWAYS_FITS: usize = 1280 - 40 - 8;

/// How many messages are kept.
const MAX_KEPT: usize = 8;

/// A message as it was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// The last large messages of all SIP threads. The kernel may give an error to
/// another thread than the one that sent the message.
#[derive(Debug, Default)]
pub(super) struct LargeMessages {
    sent: VecDeque<Sent>,
}

/// Whether a message may be too large for its path.
pub(super) fn is_large(from: SocketAddr, message: &[u8]) -> bool {
    from.is_ipv6() && message.len() > ALWAYS_FITS
}

impl LargeMessages {
    /// Keeps a message that may be too large for its path.
    pub(super) fn keep(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        let full = self.sent.len() >= MAX_KEPT;
        let mut bytes = if full { self.sent.pop_front().map(|old| old.bytes).unwrap_or_default() } else { Vec::new() };
        bytes.clear();
        bytes.extend_from_slice(message);
        self.sent.push_back(Sent { from, to, bytes });
    }

    /// The oldest message from `from` to `to` that is kept; then it is no longer.
    pub(super) fn take(&mut self, from: SocketAddr, to: SocketAddr) -> Option<Sent> {
        let at = self.sent.iter().position(|sent| sent.from == from && sent.to == to)?;
        self.sent.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_kept_until_they_are_taken_once() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (us, them) = (at("[2001:db8::1]:5060"), at("[2001:db8::9]:5060"));
        assert!(is_large(us, &[0; ALWAYS_FITS + 1]) && !is_large(us, &[0; ALWAYS_FITS]));
        assert!(!is_large(at("192.0.2.1:5060"), &[0; 9000]), "IPv4 routers cut it up");
        let mut large = LargeMessages::default();
        assert!(large.take(us, them).is_none());
        for length in 2000..2000 + MAX_KEPT + 2 {
            large.keep(us, them, &vec![0; length]);
        }
        assert!(large.take(them, us).is_none());
        let lengths: Vec<_> = std::iter::from_fn(|| large.take(us, them)).map(|sent| sent.bytes.len()).collect();
        assert_eq!(lengths, (2002..2000 + MAX_KEPT + 2).collect::<Vec<_>>());
    }
}
