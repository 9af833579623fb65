//! What holds for every message, every configuration and every sender.
//!
//! `PROPTEST_CASES` says how often each property is tried.

#[path = "../differential/checker/mod.rs"]
mod checker;

mod forwarding;
mod inverse;
mod message;
mod settings;
mod uri;
