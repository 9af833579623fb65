//! Why a message is refused or dropped, and what its sender is told.

use crate::sdp::malformed::Malformed;
use crate::sip::fault::Fault;

/// Why a message is not forwarded. Those with a [`Reason::status`] are answered
/// where that can be done; the others end here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// CRLF, zero bytes or STUN (RFC 5626 §3.5.1): ignored quietly.
    #[error("keep-alive")]
    KeepAlive,
    /// Neither a request nor a response of SIP.
    #[error("not SIP: {0}")]
    NotSip(Fault),
    /// Something in it cannot be read.
    #[error("malformed: {0}")]
    Malformed(Fault),
    /// Its session description cannot be read.
    #[error("malformed: {0}")]
    Description(Malformed),
    /// Another version of SIP (RFC 3261 §21.5.6).
    #[error("version not supported")]
    Version,
    /// A scheme that no proxy of ours knows the way for (RFC 3261 §16.3).
    #[error("unknown scheme in the Request-URI")]
    UnknownScheme,
    /// A Proxy-Require (RFC 3261 §16.3).
    #[error("Proxy-Require names an extension that is not supported")]
    ProxyRequire,
    /// Max-Forwards has reached zero.
    #[error("Max-Forwards used up")]
    MaxForwards,
    /// From ourselves to ourselves again.
    #[error("loop through ourselves")]
    Loop,
    /// A Route that leads back where the request came from.
    #[error("a Route of the side it came from")]
    BadRoute,
    /// The sender may not reach the target: no phone, uplink or proven address.
    #[error("the sender may not call this address")]
    Forbidden,
    /// A name or number, and no uplink on the outgoing side.
    #[error("no uplink to ask for this address; --uplink4 or --uplink6 would name one")]
    NoUplink,
    /// The name of the uplink has not been found yet.
    #[error("the uplink's name is not resolved yet")]
    UplinkUnresolved,
    /// This machine has no way to the next hop.
    #[error("no way to the next hop")]
    Unsent,
    /// No media ports are free.
    #[error("no media ports free")]
    NoPorts,
    /// `--max-calls` is reached.
    #[error("--max-calls reached, or as many calls as the media ports allow")]
    TooManyCalls,
    /// `--max-calls-per-source` is reached.
    #[error("--max-calls-per-source reached")]
    TooManyCallsFromSource,
    /// What would be sent is larger than a datagram.
    #[error("too large for a datagram")]
    TooLarge,
    /// An OPTIONS for ourselves (RFC 3261 §11).
    #[error("OPTIONS for ourselves")]
    Options,
    /// A response that does not answer a request that went through us.
    #[error("response to no request of ours")]
    ForeignResponse,
    /// A response to a request of ours, but its topmost Via is ours with another sent-by:
    /// something on the way, an ALG, changes addresses in messages.
    #[error("our Via was rewritten on the way")]
    ViaRewritten,
    /// A request from one of our own sockets without our own Via.
    #[error("from ourselves, but not sent by us")]
    NotFromOurselves,
    /// The ACK of a response of our own.
    #[error("ACK of our own answer")]
    AckOfOurs,
    /// Too many answers of our own to this address; see [`crate::limit`].
    #[error("too many answers to this address")]
    RateLimited,
    /// Our answer would be larger than the request of a stranger, whose address
    /// may be forged.
    #[error("the answer would be larger than the stranger's request")]
    LargerThanRequest,
    /// A challenge (401 or 407) toward a phone from neither an uplink nor a phone, with
    /// `--no-foreign-challenges`.
    #[error("a phone is asked for its password by a stranger")]
    ForeignChallenge,
}

impl Reason {
    /// The reason without what is of the message alone, so that there are few kinds,
    /// whatever strangers send.
    #[must_use]
    pub fn kind(self) -> Self {
        match self {
            Self::Description(malformed) => Self::Description(malformed.anywhere()),
            other => other,
        }
    }

    /// What becomes of the request that is answered with it.
    pub fn fate(self) -> &'static str {
        if self == Self::Options { "answered" } else { "refused" }
    }

    /// The response that tells the sender, if one does (RFC 3261 §21).
    pub fn status(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Options => (200, "OK"),
            Self::Malformed(_) | Self::Description(_) => (400, "Bad Request"),
            Self::BadRoute => (400, "Bad Route"),
            Self::Forbidden => (403, "Forbidden"),
            Self::NoUplink => (404, "Not Found"),
            Self::UnknownScheme => (416, "Unsupported URI Scheme"),
            Self::ProxyRequire => (420, "Bad Extension"),
            Self::Loop => (482, "Loop Detected"),
            Self::MaxForwards => (483, "Too Many Hops"),
            Self::UplinkUnresolved => (503, "Uplink Not Resolved Yet"),
            Self::Unsent => (503, "Next Hop Unreachable"),
            Self::NoPorts => (503, "No Media Ports Free"),
            Self::TooManyCalls => (503, "Too Many Calls"),
            Self::TooManyCallsFromSource => (503, "Too Many Calls From This Source"),
            Self::Version => (505, "Version Not Supported"),
            Self::TooLarge => (513, "Message Too Large"),
            Self::KeepAlive
            | Self::NotSip(_)
            | Self::ForeignResponse
            | Self::ViaRewritten
            | Self::NotFromOurselves
            | Self::AckOfOurs
            | Self::RateLimited
            | Self::LargerThanRequest
            | Self::ForeignChallenge => return None,
        })
    }

    /// After how many seconds it is worth trying again (RFC 3261 §20.33).
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::UplinkUnresolved | Self::Unsent => Some(10),
            Self::NoPorts | Self::TooManyCalls | Self::TooManyCallsFromSource => Some(30),
            _ => None,
        }
    }
}
