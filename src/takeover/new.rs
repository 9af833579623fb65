//! The new process's part.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::channel::{Channel, garbled};
use super::message::{Belonging, FromNew, FromOld, Offer, State};
use super::{BEGINNING, BELIEVED, FORMAT, PREPARATION, TakeoverError};
use crate::config::{Config, listen_option};
use crate::control;

/// The process that is to be taken over from. Where it is dropped before the end,
/// that process goes on.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    offer: Offer,
}

impl Predecessor {
    /// Asks at a control socket; `None`: nobody is there to take over from.
    ///
    /// # Errors
    /// Where somebody is there, but cannot be taken over from.
    pub fn ask(socket: &Path) -> Result<Option<Self>, TakeoverError> {
        let stream = match control::connect(socket, PREPARATION) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        Self::ask_over(stream).map(Some)
    }

    /// Asks over this connection.
    pub(super) fn ask_over(stream: UnixStream) -> Result<Self, TakeoverError> {
        let mut channel = Channel::new(stream, PREPARATION)?;
        channel.send_line("takeover")?;
        let answer = channel.receive_line()?;
        if let Some(why) = answer.strip_prefix("error: ") {
            return Err(TakeoverError::Refused(why.to_owned()));
        }
        let mut words = answer.split(' ');
        let (Some("takeover"), Some(format), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(garbled("another answer than that to `takeover`"));
        };
        if format != FORMAT.to_string() {
            return Err(TakeoverError::Format(version.to_owned()));
        }
        let offer = channel.receive()?;
        Ok(Self { channel, offer })
    }

    /// What it has.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Whether calls of that process can go on under this configuration.
    ///
    /// # Errors
    /// Where they cannot: their media crosses at the listen addresses.
    pub fn check(&self, config: &Config) -> Result<(), TakeoverError> {
        for (side, &ours) in config.listen.iter() {
            let theirs = self.offer.listen[side];
            if theirs != ours {
                return Err(TakeoverError::Listen { option: listen_option(side), theirs, ours });
            }
        }
        Ok(())
    }

    /// Says why nothing comes of it. That the other process hears it is not needed.
    pub fn refuse(mut self, why: &dyn std::fmt::Display) {
        let _ = self.channel.send(&FromNew::Refuse(why.to_string()));
    }

    /// Takes everything. The old process stands still from now on, but goes on if
    /// [`Estate::accept`] does not come soon.
    ///
    /// # Errors
    /// Where the old process does not give it.
    pub fn take(mut self) -> Result<Estate, TakeoverError> {
        let channel = &mut self.channel;
        channel.within(PREPARATION);
        channel.send(&FromNew::Ready)?;
        let state: State<'static> = channel.receive()?;
        let descriptors = channel.receive_descriptors(state.descriptors())?;
        Ok(Estate { channel: self.channel, state, descriptors })
    }
}

/// What the old process has left, not accepted yet.
#[derive(Debug)]
pub struct Estate {
    channel: Channel,
    /// What it knew.
    pub state: State<'static>,
    /// Its descriptors, see [`State`]; to be taken out before all is accepted.
    pub descriptors: Vec<OwnedFd>,
}

impl Estate {
    /// Says why nothing comes of it.
    pub fn refuse(mut self, why: &dyn std::fmt::Display) {
        let _ = self.channel.send(&FromNew::Refuse(why.to_string()));
    }

    /// Takes over for good. When this returns, it is on this process to read what
    /// comes in.
    ///
    /// # Errors
    /// Where the old process goes on: this one must read nothing, and end.
    pub fn accept(mut self) -> Result<(Inherited, State<'static>), TakeoverError> {
        let channel = &mut self.channel;
        channel.within(BELIEVED);
        let attached = channel.now();
        channel.send(&FromNew::Attached)?;
        match channel.receive()? {
            FromOld::Go => {}
            FromOld::Over | FromOld::Back => return Err(garbled("a message out of turn")),
        }
        // Were this process held up here, the old one would go on.
        if channel.now().saturating_sub(attached) > BELIEVED {
            return Err(TakeoverError::Late);
        }
        Ok((Inherited { channel: self.channel }, self.state))
    }
}

/// A takeover that came about; the old process waits to hear that all is well.
#[derive(Debug)]
pub struct Inherited {
    channel: Channel,
}

impl Inherited {
    /// Tells the old process that this one reads and relays, and hears that it may go
    /// on doing so. The old one ends when what is given back is dropped: when
    /// everybody knows this one who must.
    ///
    /// # Errors
    /// Where the old process has taken all back meanwhile: this one must end.
    pub fn running(mut self, kept: Vec<Belonging>) -> Result<Told, TakeoverError> {
        self.channel.within(BEGINNING);
        // Where it has gone already, all is this one's.
        let _ = self.channel.send(&FromNew::Running { kept });
        match self.channel.receive() {
            Ok(FromOld::Back) => Err(TakeoverError::TakenBack),
            Ok(FromOld::Over | FromOld::Go) | Err(_) => Ok(Told(self.channel)),
        }
    }
}

/// The connection to the old process, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "the old process ends when it is dropped"]
pub struct Told(#[expect(dead_code, reason = "held, not read")] Channel);
