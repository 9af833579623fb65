//! What the tests are made of, from the bottom up.

pub mod namespace;
pub mod picture;

pub mod agent;
pub mod daemon;
pub mod folder;
pub mod kernel;
pub mod message;
pub mod pattern;
pub mod uri;

pub mod call;
pub mod dialog;
pub mod flow;
pub mod media;
pub mod party;
pub mod sipp;
pub mod talk;
pub mod telephones;
pub mod terminal;

use std::time::Duration;

/// How long an event may take that should come at once, on a machine that has far
/// more to do than it can. Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long something may take that has to wait for time itself: ports that rest, silence that ends a call.
pub const LONG_PATIENCE: Duration = Duration::from_secs(120);
