//! Takeover: a new process goes on with every call of the running one.
//!
//! The new process (`--takeover SOCKET`) asks the old one at its control socket
//! ([`crate::control`]) for its sockets and its memory. Packets and messages that
//! come while neither reads wait in the sockets, which both processes hold: the
//! kernel keeps about 160 small packets for each, three seconds of a telephone
//! call; the pause is one of milliseconds.
//!
//! ```text
//!       old process                                new process (new::Predecessor)
//!
//!  1.                            <- takeover       options are read, nothing is bound
//!  2.   takeover FORMAT VERSION  ->                ends here if the format is another
//!       Offer: clock, key, addresses ->            ends here if listen addresses differ
//!  3.   calls go on                                binds what the old one has not, drops
//!                                                  rights, starts its threads
//!                                <- Ready
//!  4.   SIP threads stop reading, relay
//!       threads give their streams out
//!       State, then the descriptors  ->            checks everything
//!                                <- Attached
//!  5.   Go                       ->                reads from now on
//!                                <- Running
//!  6.   Over, or Back             ->               after Back: ends
//!       leaves the control socket's file           writes its pid file, lets the shell go,
//!       and the pid file                           tells systemd MAINPID and READY=1
//!                                                  closes the connection
//!  7.   exits with status 0
//! ```
//!
//! Until step 5 the old process can take everything back, and does so whatever the
//! new one does: refuses ([`message::FromNew::Refuse`]), ends (the connection does),
//! or keeps silent ([`PAUSE`]). The new process reads no packet before `Go`, and not
//! after that if `Go` came too late to be meant ([`BELIEVED`]). If the new one dies
//! after `Go` and before `Running`, the old one goes on with what it knows. If it only
//! sleeps there for longer than [`BEGINNING`], the old one goes on as well, and `Back`
//! is the first that the new one hears when it wakes: it ends then.
//!
//! The old one stays until the connection is closed ([`LEAVING`]): the service manager
//! would take its end for that of the service, did it not know the new one by then.
//!
//! The key travels, so that both sides must be sure of each other: each lets only
//! its own user and root be the other. It stands in no log.
//!
//! What [`message::State`] holds must be told in the same way by both programs:
//! whoever changes a type in it raises [`FORMAT`] (tests notice).

mod channel;
pub mod message;
pub mod new;
pub mod old;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

/// The format of [`message`]s. Processes with different ones leave each other alone.
pub const FORMAT: u32 = 10;

/// How long the new process may take to make itself ready, while calls go on.
pub const PREPARATION: Duration = Duration::from_secs(20);

/// How long calls may stand still until the new process has everything, beside
/// [`EACH`]: less than the sockets can keep.
pub const PAUSE: Duration = Duration::from_millis(600);

/// How much longer for each descriptor, of which a stream has four. A thousand
/// streams take some 90 ms on a busy machine and 200 ms on one with far more to do
/// than it can.
pub const EACH: Duration = Duration::from_micros(50);

/// How long after its `Attached` the new process takes a `Go` for good: less than
/// [`BEGINNING`], so that the old one has not given up meanwhile.
pub const BELIEVED: Duration = Duration::from_millis(400);

/// How long the new process may take to begin after `Go`.
pub const BEGINNING: Duration = Duration::from_secs(2);

/// How long the old process may stay after `Over`.
pub const LEAVING: Duration = Duration::from_secs(20);

/// Why a takeover does not come about. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The other process ended, or closed the connection.
    #[error("the other process has gone")]
    Gone,
    /// It did not do its part in time.
    #[error("the other process does not answer")]
    Late,
    /// It waited too long for this one to begin.
    #[error("the running daemon goes on, as this one took too long to begin")]
    TakenBack,
    /// It says no.
    #[error("the other process refuses: {0}")]
    Refused(String),
    /// It says what cannot be.
    #[error("the other process says what cannot be: {0}")]
    Garbled(String),
    /// It is somebody else's.
    #[error("the other process belongs to user {0}; it must be of this one's user, or root's")]
    Stranger(u32),
    /// Its program is another version.
    #[error(
        "the running daemon is version {0}, whose calls this version cannot take; send it SIGHUP and start this one \
         without --takeover, then it relays its calls to their end"
    )]
    Format(String),
    /// A listen address is another one.
    #[error(
        "the running daemon has the {option} address {theirs}, where its calls have their media; {ours} takes a \
         restart"
    )]
    Listen {
        /// The option.
        option: &'static str,
        /// What the running daemon has.
        theirs: std::net::SocketAddr,
        /// What this one should have.
        ours: std::net::SocketAddr,
    },
    /// Descriptors were cut off.
    #[error("this process may not have so many files open; raise the limit (ulimit -n, LimitNOFILE= in systemd)")]
    Files,
    /// The system refuses.
    #[error("the connection to the other process fails: {0}")]
    System(io::Error),
}

impl From<io::Error> for TakeoverError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => Self::Gone,
            _ => Self::System(error),
        }
    }
}
