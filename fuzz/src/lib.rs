//! What the fuzz targets of sipproxy64 share.
//!
//! | module | what |
//! |--------|------|
//! | [`check`] | what holds for spans and for every message that leaves |
//! | [`sockets`] | the media sockets as the shell would have them, from the commands alone |
//! | [`play`] | a whole daemon without sockets, driven by a text like that of test mode |
//! | [`pieces`] | good messages out of arbitrary pieces |

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a failure is a finding

pub mod check;
pub mod pieces;
pub mod play;
pub mod sockets;
