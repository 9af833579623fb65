//! Registrations that a registrar refuses. Whoever reads the log sees no messages, and a
//! phone says no more than that it is not registered.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::glance::{call_id, cseq};
use crate::scan::number_at_front;

/// So many challenges are remembered.
const MAX_CHALLENGES: usize = 32;
/// As much of a Call-ID as tells registrations apart.
const MAX_CALL_ID: usize = 128;
/// In a challenge: it is the nonce alone that was wrong.
const STALE: &[u8] = b"stale=true";
/// A phone answers a challenge sooner.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Why a registrar refuses a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It asks for the password again where it was just answered (RFC 3261 §22.1).
    Password,
    /// 403.
    Forbidden,
    /// 404.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "the password is asked for again: it or the user name is most likely wrong",
            Self::Forbidden => "403, this user, its password or the address is not taken",
            Self::Unknown => "404, no such user",
        })
    }
}

/// The last challenges of registrations.
#[derive(Debug, Default)]
pub(super) struct Challenges(VecDeque<Challenge>);

#[derive(Debug)]
struct Challenge {
    call_id: Box<[u8]>,
    status: [u8; 2],
    cseq: u32,
    at: Duration,
}

impl Challenges {
    /// Whether a message refuses a registration.
    #[inline]
    pub(super) fn hear(&mut self, now: Duration, message: &[u8]) -> Option<Refusal> {
        let status = message.strip_prefix(b"SIP/2.0 4").and_then(|rest| rest.first_chunk::<2>())?;
        self.failure(now, message, *status)
    }

    #[cold]
    fn failure(&mut self, now: Duration, message: &[u8], status: [u8; 2]) -> Option<Refusal> {
        let cseq = cseq(message);
        let (number, digits) = number_at_front(cseq)?;
        cseq.get(digits..).filter(|method| method.trim_ascii() == b"REGISTER")?;
        match &status {
            // The password was right, the nonce is old (RFC 7616 §3.3).
            b"01" | b"07" if message.windows(STALE.len()).any(|text| text.eq_ignore_ascii_case(STALE)) => None,
            b"01" | b"07" => self.challenged(now, call_id(message), status, number).then_some(Refusal::Password),
            b"03" => Some(Refusal::Forbidden),
            b"04" => Some(Refusal::Unknown),
            _ => None,
        }
    }

    /// Whether the request before this one was challenged just now, by the same one: a
    /// proxy and the registrar may each ask for a password.
    fn challenged(&mut self, now: Duration, call_id: &[u8], status: [u8; 2], cseq: u32) -> bool {
        let call_id = call_id.get(..MAX_CALL_ID).unwrap_or(call_id);
        self.0.retain(|challenge| now.saturating_sub(challenge.at) < ANSWERED_WITHIN);
        let before = self.0.iter_mut().find(|challenge| *challenge.call_id == *call_id);
        if let Some(challenge) = before {
            let again = challenge.cseq.checked_add(1) == Some(cseq) && challenge.status == status;
            (challenge.status, challenge.cseq, challenge.at) = (status, cseq, now);
            return again;
        }
        if self.0.len() >= MAX_CHALLENGES {
            self.0.pop_front();
        }
        self.0.push_back(Challenge { call_id: call_id.into(), status, cseq, at: now });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_asked_for_again_is_told_from_one_that_is_asked_for() {
        let mut challenges = Challenges::default();
        let mut hear = |second, status: &str, cseq: &str| {
            let message = format!("SIP/2.0 {status} x\r\nCall-ID: c1\r\nCSeq: {cseq}\r\n\r\n");
            challenges.hear(Duration::from_secs(second), message.as_bytes())
        };
        assert_eq!(hear(0, "401", "1 REGISTER"), None);
        assert_eq!(hear(0, "401", "1 REGISTER"), None, "sent again");
        assert_eq!(hear(1, "401", "2 REGISTER"), Some(Refusal::Password));
        // Each registration anew may be challenged, soon or late.
        assert_eq!(hear(3, "401", "4 REGISTER"), None);
        assert_eq!(hear(60, "407", "5 REGISTER"), None);
        assert_eq!(hear(61, "401", "6 REGISTER"), None, "the registrar, behind a proxy");
        assert_eq!(hear(62, "401 Stale=TRUE", "7 REGISTER"), None, "only the nonce was wrong");
        assert_eq!(hear(61, "403", "6 REGISTER"), Some(Refusal::Forbidden));
        assert_eq!(hear(61, "404", "6 REGISTER"), Some(Refusal::Unknown));
        for (status, cseq) in [("423", "7 REGISTER"), ("200", "7 REGISTER"), ("403", "7 INVITE"), ("503", "7 REGISTER")]
        {
            assert_eq!(hear(61, status, cseq), None, "{status} to {cseq}");
        }
    }

    #[test]
    fn no_more_than_a_few_are_remembered() {
        let mut challenges = Challenges::default();
        for number in 0..1000 {
            let message = format!("SIP/2.0 401 x\r\nCall-ID: {number}\r\nCSeq: 1 REGISTER\r\n\r\n");
            assert_eq!(challenges.hear(Duration::ZERO, message.as_bytes()), None);
        }
        assert_eq!(challenges.0.len(), MAX_CHALLENGES);
    }
}
