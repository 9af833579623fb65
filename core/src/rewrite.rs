//! What changes in a message that crosses: edits over the untouched original.
//!
//! Everything here is a function of bytes, configuration, next hop and granted
//! ports. [`uri`] has the one rule by which a numeric host becomes its
//! counterpart and comes back; [`fields`] applies it to the header fields of the
//! table; [`request`] and [`response`] do what RFC 3261 §16 asks of a proxy;
//! [`session`] rewrites the session description; [`reply`] writes our own answers;
//! [`lenient`] repairs what `--lenient` allows to.

pub mod body;
pub mod fields;
pub mod lenient;
pub mod reply;
pub mod request;
pub mod response;
pub mod session;
pub mod uri;
