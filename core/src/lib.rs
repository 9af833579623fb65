//! The core of sipproxy64: bytes, configuration and time are arguments; bytes, a
//! destination and commands are the answer.
//!
//! It touches nothing of the system: no socket, clock, thread, file or log. What
//! does is the shell around it, the package `sipproxy64`, where these modules have
//! the same names and the table of the layers stands. Every message and media
//! packet goes through here, so that this package is built for speed.

pub mod address;
pub mod branch;
pub mod config;
pub mod edit;
pub mod family;
pub mod hashing;
pub mod limit;
pub mod media;
pub mod proxy;
pub mod reason;
pub mod rewrite;
pub mod route;
pub mod scan;
pub mod sdp;
pub mod sip;
pub mod siphash;
pub mod streams;
pub mod target;
pub mod text;
pub mod token;
