//! Reading SIP (RFC 3261): borrowed views of one datagram.
//!
//! [`message`] splits a datagram into start-line, header fields and body;
//! [`header`] knows the names of header fields and what is done with each. What
//! a field holds is read by [`via`], [`name_addr`], [`uri`] and [`host`];
//! [`brackets`] tells what an IPv6 address without them can mean.
//! Nothing here allocates, and nothing here decides.

pub mod brackets;
pub mod fault;
pub mod header;
pub mod host;
pub mod message;
pub mod method;
pub mod multipart;
pub mod name_addr;
pub mod uri;
pub mod via;
