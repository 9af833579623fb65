//! What is wrong with a message that cannot be read (RFC 3261 §8.2, §16.3).

use super::brackets::{Wrong, hostport, wrong};

/// A malformed part of a message. The text becomes the reason phrase of a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// Neither a Request-Line nor a Status-Line (RFC 3261 §7.1, §7.2).
    #[error("Bad Start-Line")]
    StartLine,
    /// A line break that is not CRLF, or a NUL.
    #[error("Bad Line End or NUL in Header")]
    LineEnd,
    /// A line without a colon, or with something else than a token before it.
    #[error("Bad Header Field Name")]
    FieldName,
    /// The empty line behind the header fields is missing.
    #[error("Header Not Ended by Empty Line")]
    NoEmptyLine,
    /// A header field that every message has is missing (RFC 3261 §8.1.1).
    #[error("Missing {0}")]
    Missing(&'static str),
    /// A header field that may occur once occurs twice.
    #[error("More Than One {0}")]
    Twice(&'static str),
    /// The value of a header field cannot be read.
    #[error("Bad {0}")]
    Value(&'static str),
    /// An IPv6 address without its brackets (RFC 5118 §4.2).
    #[error("IPv6 Address Without Brackets in {0}")]
    NoBrackets(&'static str),
    /// A link-local address with the name of an interface, which means something
    /// on one machine only (RFC 4007 §11); SIP has no place for one.
    #[error("IPv6 Zone ID in {0}")]
    ZoneId(&'static str),
    /// Headers in the Request-URI, where they would be read as such by some
    /// (RFC 3261 §19.1.1).
    #[error("Headers in Request-URI")]
    UriHeaders,
    /// The body is shorter than its Content-Length (RFC 3261 §18.3).
    #[error("Body Shorter Than Content-Length")]
    ShortBody,
    /// The method in the CSeq is not that of the Request-Line (RFC 3261 §8.1.1.5).
    #[error("CSeq Method Is Not the Request's")]
    CSeqMethod,
}

impl Fault {
    /// What is wrong with a `sip:` URI that cannot be read; `place` says where it
    /// stands.
    pub fn of_uri(uri: &[u8], place: &'static str) -> Self {
        hostport(uri).map_or(Self::Value(place), |span| Self::of_host(span.of(uri), place))
    }

    /// What is wrong with a host and port that cannot be read.
    pub fn of_host(text: &[u8], place: &'static str) -> Self {
        match wrong(text) {
            Wrong::NoBrackets => Self::NoBrackets(place),
            Wrong::ZoneId => Self::ZoneId(place),
            Wrong::Other => Self::Value(place),
        }
    }
}
