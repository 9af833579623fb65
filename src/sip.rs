//! Reading SIP (RFC 3261): borrowed views of one datagram.

pub mod method;
pub mod multipart;
