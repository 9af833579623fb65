//! What holds for every message, every configuration and every sender.
//!
//! `PROPTEST_CASES` says how often each property is tried.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "nothing of a test is reachable from elsewhere")]

#[path = "../differential/checker/mod.rs"]
mod checker;

mod dialog;
mod forwarding;
mod inverse;
mod message;
mod recording;
mod rights;
mod robustness;
mod settings;
mod uri;
