//! What is wrong with a session description.

/// A session description that cannot be read, and where it went wrong.
///
/// Its text names the fault and what would be right, never the peer's bytes, and
/// holds only what a reason phrase may (RFC 3261 §25.1), so it can stand in that
/// of a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault}{}", Place(*offset))]
pub struct Malformed {
    /// Where in the message: the first byte of the line or field at fault.
    /// [`usize::MAX`] says nothing of the place.
    pub offset: usize,
    /// What is wrong.
    pub fault: SdpFault,
}

impl Malformed {
    /// `fault` at `offset`.
    pub(super) fn new(offset: usize, fault: SdpFault) -> Self {
        Self { offset, fault }
    }

    /// Its fault, wherever that is.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Self { offset: usize::MAX, ..self }
    }
}

struct Place(usize);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == usize::MAX { Ok(()) } else { write!(f, " (byte {})", self.0) }
    }
}

/// What can be wrong with a session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SdpFault {
    /// The first line is another one (RFC 8866 §5.1).
    #[error("SDP must begin with v=")]
    NoVersion,
    /// A line is not `<type>=<value>` (RFC 8866 §5).
    #[error("SDP line is not type=value")]
    NotALine,
    /// `m=` lacks its fields (RFC 8866 §5.14).
    #[error("SDP m= line needs media, port and proto")]
    MediaLine,
    /// The port of `m=` is no number up to 65535, or its count none from 1 up.
    #[error("SDP m= port must be 0 to 65535")]
    MediaPort,
    /// `c=` lacks its fields (RFC 8866 §5.7).
    #[error("SDP c= line needs nettype, addrtype and address")]
    ConnectionLine,
    /// The address of `c=` is neither an IP address nor a host name.
    #[error("SDP c= address is neither an IP address nor a name")]
    ConnectionAddress,
    /// A stream with a port has no `c=` line at either level (RFC 8866 §5.7).
    #[error("SDP m= line without a c= line")]
    NoConnection,
}
