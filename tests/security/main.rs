//! What strangers try: through the whole core, without sockets. `tests/SECURITY.md`
//! says which test shows what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_docs, reason = "nothing of a test is reachable from elsewhere")]

mod answers;
mod bridge;
mod challenges;
mod forms;
mod injection;
mod loops;
mod parsers;
mod ports;
mod reach;
mod registrations;
mod responses;
mod sizes;
mod table;
mod unsent;
