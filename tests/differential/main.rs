//! Only addresses change: every message of `t/` as it came and as it left, held
//! against each other by a checker that knows nothing of the rewriter.

mod cases;
mod checker;
mod checks_itself;
mod lenient;
