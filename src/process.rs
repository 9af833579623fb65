//! What a daemon does with its process: leave the shell, write down its number,
//! give up rights.
//!
//! At the start, in this order: options, then [`leave_shell`], so that no thread and
//! no socket exists twice; then sockets and the [`PidFile`], as these may need
//! root; then [`Account::become_it`]; then all else. Only when nothing can fail
//! any more [`Detached::tell`] lets go of the shell.

mod detach;
mod pid_file;
mod user;

pub use self::detach::{Detached, Side, leave_shell};
pub use self::pid_file::{PidFile, PidFileError};
pub use self::user::{Account, AccountError, UserError};
