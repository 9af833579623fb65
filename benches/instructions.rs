//! The core in a plain loop, for counting instructions, which is repeatable:
//! `benches/count` runs each case twice under callgrind with different counts,
//! and takes the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod messages;

use messages::Case;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (Some(name), Some(count)) = (arguments.next(), arguments.next()) else { return };
    let mut case = Case::new(&name);
    for _ in 0..count.parse().unwrap() {
        case.run();
    }
}
