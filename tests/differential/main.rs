//! Only addresses change: every message of `t/` as it came and as it left, held
//! against each other by a checker that knows nothing of the rewriter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "nothing of a test is reachable from elsewhere")]

mod cases;
mod checker;
mod checks_itself;
mod lenient;
