//! What is wrong with a message that cannot be read (RFC 3261 §8.2, §16.3).

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
    /// The body is shorter than its Content-Length (RFC 3261 §18.3).
    #[error("Body Shorter Than Content-Length")]
    ShortBody,
    /// The method in the CSeq is not that of the Request-Line (RFC 3261 §8.1.1.5).
    #[error("CSeq Method Is Not the Request's")]
    CSeqMethod,
}
