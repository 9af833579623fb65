//! The old process's part.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use super::channel::{Channel, garbled};
use super::message::{Belonging, FromNew, FromOld, Offer, State};
use super::{BEGINNING, EACH, FORMAT, LEAVING, PAUSE, PREPARATION, TakeoverError};

/// A new process that is ready to take over.
#[derive(Debug)]
pub struct Successor {
    channel: Channel,
}

impl Successor {
    /// Offers everything to the process that asked over this connection, and waits
    /// until it is ready. Calls go on meanwhile; this blocks.
    ///
    /// # Errors
    /// Where the other process does not come to that, or says why it will not.
    pub fn prepare(stream: UnixStream, offer: &Offer) -> Result<Self, TakeoverError> {
        let mut channel = Channel::new(stream, PREPARATION)?;
        channel.send_line(&format!("takeover {FORMAT} {}", env!("CARGO_PKG_VERSION")))?;
        channel.send(offer)?;
        match channel.receive()? {
            FromNew::Ready => Ok(Self { channel }),
            other => Err(unexpected(other)),
        }
    }

    /// Gives everything to the new process, whose work it is when this returns; what
    /// it keeps of the belongings is the first part of the answer. To be called when
    /// nothing changes any more; it blocks for no longer than [`PAUSE`] with [`EACH`],
    /// and [`BEGINNING`].
    ///
    /// # Errors
    /// Where the new process does not take over: this one is to go on.
    pub fn hand_over(
        mut self,
        state: &State<'_>,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Vec<Belonging>, Leaving), TakeoverError> {
        let channel = &mut self.channel;
        let count = u32::try_from(descriptors.len()).unwrap_or(u32::MAX);
        channel.within(PAUSE.saturating_add(EACH.saturating_mul(count)));
        channel.send(state)?;
        channel.send_descriptors(descriptors)?;
        match channel.receive()? {
            FromNew::Attached => {}
            other => return Err(unexpected(other)),
        }
        channel.send(&FromOld::Go)?;
        channel.within(BEGINNING);
        let why = match channel.receive() {
            Ok(FromNew::Running { kept }) => {
                self.channel.send(&FromOld::Over)?;
                return Ok((kept, Leaving { channel: self.channel }));
            }
            Ok(other) => unexpected(other),
            Err(error) => error,
        };
        // Perhaps it only sleeps: it shall not read when it wakes.
        channel.within(BEGINNING);
        let _ = channel.send(&FromOld::Back);
        Err(why)
    }

    /// The connection, for a test that goes on by hand.
    #[cfg(test)]
    pub(super) fn into_channel(self) -> Channel {
        self.channel
    }
}

/// A takeover that came about; the new process has not told everybody yet.
#[derive(Debug)]
#[must_use = "the new process is not known yet to whom it may concern"]
pub struct Leaving {
    channel: Channel,
}

impl Leaving {
    /// Waits until this process may end; for no longer than [`LEAVING`].
    pub fn wait(mut self) {
        self.channel.within(LEAVING);
        // It says nothing more, and closes the connection.
        let _ = self.channel.receive::<FromNew>();
    }
}

fn unexpected(said: FromNew) -> TakeoverError {
    match said {
        FromNew::Refuse(why) => TakeoverError::Refused(why.chars().filter(|c| !c.is_control()).take(500).collect()),
        FromNew::Ready | FromNew::Attached | FromNew::Running { .. } => garbled("a message out of turn"),
    }
}
