//! Tests from outside: the real binary on real sockets.
//!
//! Each test runs in a network namespace of its own, which holds the addresses
//! of [`harness::picture`], so neither root nor any set-up is needed.
//! The peers are user agents of UDP sockets and text; nothing of the crate
//! itself is used, so that its mistakes cannot hide behind themselves.
#![allow(clippy::disallowed_methods, reason = "deadlines of the peers are real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_docs, reason = "nothing of a test is reachable from elsewhere")]

mod harness;

mod bleed;
mod cancel;
mod captures;
mod changes;
mod endings;
mod fates;
mod flood;
mod forks;
mod garbage;
mod generic;
mod hairpin;
mod harness_itself;
mod latching;
mod links;
mod log;
mod metrics;
mod offers;
mod overload;
mod ports;
mod process;
mod recordings;
mod refusals;
mod reload;
mod restart;
mod service;
mod setups;
mod sipp;
mod sizes;
mod start;
mod status;
mod strangers;
mod syslog;
mod takeover;
mod telephones;
mod threads;
mod uplink;
mod verdict;
