//! How a message leaves: the edits that carry it to the other side.

pub mod session;
