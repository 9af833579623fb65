//! The method of a request (RFC 3261 §7.1).

use serde::{Deserialize, Serialize};

/// The methods that a bridge treats in a way of their own; all others are one.
/// Names are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// RFC 3261 §13.
    Invite,
    /// RFC 3261 §13, §17.
    Ack,
    /// RFC 3261 §15.
    Bye,
    /// RFC 3261 §9.
    Cancel,
    /// RFC 3261 §10.
    Register,
    /// RFC 3261 §11.
    Options,
    /// RFC 3262.
    Prack,
    /// RFC 3311.
    Update,
    /// RFC 3903.
    Publish,
    /// Any other, known to us or not.
    Other,
}

impl Method {
    /// Whether requests of this method, or responses to them, can hold a description
    /// that counts (RFC 3264, RFC 3262, RFC 3311). Elsewhere they are left alone.
    pub fn describes_media(self) -> bool {
        matches!(self, Self::Invite | Self::Ack | Self::Prack | Self::Update)
    }

    /// The method of that name.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"REGISTER" => Self::Register,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }
}
