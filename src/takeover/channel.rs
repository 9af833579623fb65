//! The connection of the two processes: messages with their length, and
//! descriptors. Everything has a deadline; nothing the other side sends makes this
//! one wait longer, or hold more than [`MAX_MESSAGE`].

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TakeoverError;
use crate::clock::Clock;

/// Length of a message, in octets: some thirty times what 8192 calls need.
const MAX_MESSAGE: u32 = 64 << 20;

/// Length of a line.
const MAX_LINE: usize = 256;

/// Descriptors in one message: what the kernel lets one have (unix(7), SCM_MAX_FD).
const BATCH: usize = 253;

/// One side of the connection.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    clock: Clock,
    deadline: Duration,
}

impl Channel {
    /// Uses this connection, if the other side is of this user or root.
    pub(super) fn new(stream: UnixStream, patience: Duration) -> Result<Self, TakeoverError> {
        let other = socket_peercred(&stream).map_err(io::Error::from)?.uid;
        if !other.is_root() && other != geteuid() {
            return Err(TakeoverError::Stranger(other.as_raw()));
        }
        let clock = Clock::start();
        Ok(Self { stream, clock, deadline: patience })
    }

    /// What follows must be over by then.
    pub(super) fn within(&mut self, patience: Duration) {
        self.deadline = self.clock.now().saturating_add(patience);
    }

    /// The time since the connection began.
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Lets the system calls of the stream end at the deadline.
    fn arm(&self) -> Result<(), TakeoverError> {
        let left = self.deadline.saturating_sub(self.clock.now());
        if left.is_zero() {
            return Err(TakeoverError::Late);
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.set_write_timeout(Some(left))?;
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), TakeoverError> {
        while !bytes.is_empty() {
            self.arm()?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(TakeoverError::Gone),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), TakeoverError> {
        while !bytes.is_empty() {
            self.arm()?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(TakeoverError::Gone),
                Ok(count) => bytes = bytes.get_mut(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends a line.
    pub(super) fn send_line(&mut self, line: &str) -> Result<(), TakeoverError> {
        self.write(format!("{line}\n").as_bytes())
    }

    /// The line that comes next, without its end.
    pub(super) fn receive_line(&mut self) -> Result<String, TakeoverError> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            self.read(&mut byte)?;
            match byte {
                [b'\n'] => return String::from_utf8(line).map_err(|_| garbled("no text")),
                _ if line.len() >= MAX_LINE => return Err(garbled("a line without an end")),
                _ => line.extend(byte),
            }
        }
    }

    /// Sends a message.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> Result<(), TakeoverError> {
        // The length comes before it.
        let bytes = postcard::to_extend(message, vec![0; 4]).map_err(|error| garbled(&error.to_string()))?;
        let length = u32::try_from(bytes.len().saturating_sub(4)).ok().filter(|&length| length <= MAX_MESSAGE);
        let length = length.ok_or_else(|| garbled("more than fits in a message"))?;
        let mut bytes = bytes;
        bytes.iter_mut().zip(length.to_be_bytes()).for_each(|(place, byte)| *place = byte);
        self.write(&bytes)
    }

    /// The message that comes next.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> Result<T, TakeoverError> {
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_MESSAGE {
            return Err(garbled("a message that is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.read(&mut bytes)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((message, [])) => Ok(message),
            Ok(_) => Err(garbled("more than the message")),
            Err(error) => Err(garbled(&error.to_string())),
        }
    }

    /// Sends descriptors; both processes have them then.
    pub(super) fn send_descriptors(&mut self, descriptors: &[BorrowedFd<'_>]) -> Result<(), TakeoverError> {
        for batch in descriptors.chunks(BATCH) {
            self.arm()?;
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            // One octet, since descriptors do not travel alone.
            if !control.push(SendAncillaryMessage::ScmRights(batch)) {
                return Err(garbled("too many descriptors at once"));
            }
            let sent = sendmsg(&self.stream, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL);
            sent.map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// So many descriptors that the other side sends.
    pub(super) fn receive_descriptors(&mut self, count: usize) -> Result<Vec<OwnedFd>, TakeoverError> {
        let mut all = Vec::with_capacity(count.min(BATCH * BATCH));
        while all.len() < count {
            self.arm()?;
            let mut octet = [0];
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut octets = [IoSliceMut::new(&mut octet)];
            let received = recvmsg(&self.stream, &mut octets, &mut control, RecvFlags::CMSG_CLOEXEC);
            let received = received.map_err(io::Error::from)?;
            let before = all.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    all.extend(descriptors);
                }
            }
            if received.bytes == 0 {
                return Err(TakeoverError::Gone);
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(TakeoverError::Files);
            }
            if all.len() == before || all.len() > count {
                return Err(garbled("not the descriptors that it announced"));
            }
        }
        Ok(all)
    }
}

pub(super) fn garbled(what: &str) -> TakeoverError {
    TakeoverError::Garbled(what.to_owned())
}
