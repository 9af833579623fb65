//! sipproxy64: a bridge for telephony between IPv4 and IPv6.
//!
//! The crate is a core without IO and a shell around it. In the core, bytes,
//! configuration and time are arguments; bytes, a destination and commands are
//! the answer. Every `use` points down this list:
//!
//! | layer  | modules | what |
//! |--------|---------|------|
//! | shell  | `main` [`cli`] [`logging`] [`clock`] [`escaped`] [`socket`] [`resolver`] [`signalling`] [`relay`] [`daemon`] [`transcript`] | sockets, clocks, threads, logs |
//! | proxy  | [`proxy`] | the daemon without sockets |
//! | decide | [`route`] [`rewrite`], beside them [`media`] | where a message goes and how it leaves; who may speak on a stream |
//! | ground | [`family`] [`config`] [`address`] [`token`] [`streams`] [`edit`] | values and bytes |
//! | read   | [`sip`] [`sdp`] | borrowed views of one datagram |
//! | text   | [`scan`] | character classes and a cursor |

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod edit;
pub mod escaped;
pub mod family;
pub mod media;
pub mod proxy;
pub mod relay;
pub mod resolver;
pub mod scan;
pub mod signalling;
pub mod sip;
pub mod socket;
pub mod streams;
