//! Transactions over UDP: what is sent again, and when (RFC 3261 §17).

use std::net::SocketAddr;
use std::time::Duration;

use crate::message::Message;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Something that is sent again and again until somebody reacts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    pub(crate) next: Duration,
    interval: Duration,
    pub(crate) until: Duration,
    most: Duration,
}

impl Resend {
    /// `caps`: at the interval T2.
    pub(crate) fn new(now: Duration, caps: bool) -> Self {
        Self { next: now + T1, interval: T1, until: now + 64 * T1, most: if caps { T2 } else { 64 * T1 } }
    }

    pub(crate) fn step(&mut self) {
        self.interval = (self.interval * 2).min(self.most);
        self.next += self.interval;
    }

    /// Waits, no less than the longest interval.
    pub(crate) fn calm(&mut self) {
        self.interval = self.most;
    }
}

/// What is due at a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Again,
    GiveUp,
}

fn due(resend: &mut Option<Resend>, now: Duration) -> Option<Due> {
    let pending = resend.as_mut().filter(|resend| resend.next <= now)?;
    if pending.next >= pending.until {
        *resend = None;
        return Some(Due::GiveUp);
    }
    pending.step();
    Some(Due::Again)
}

/// A request of one's own.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) branch: String,
    pub(crate) request: Message,
    pub(crate) to: SocketAddr,
    pub(crate) resend: Option<Resend>,
    /// The last status; 0: none.
    pub(crate) status: u16,
    /// It is to be cancelled once a provisional response is there.
    pub(crate) cancel: Option<Cancel>,
}

/// How far a CANCEL has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    Wanted,
    Sent,
}

impl Client {
    pub(crate) fn new(now: Duration, branch: String, request: Message, to: SocketAddr) -> Self {
        let resend = Some(Resend::new(now, request.method() != Some("INVITE")));
        Self { branch, request, to, resend, status: 0, cancel: None }
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.request.method() == Some("INVITE")
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.status < 200
    }

    pub(crate) fn due(&mut self, now: Duration) -> Option<Due> {
        due(&mut self.resend, now)
    }

    /// Takes in a status; whether it is the first final one.
    pub(crate) fn progress(&mut self, status: u16) -> bool {
        let first = self.is_pending() && status >= 200;
        if first || (self.is_pending() && self.is_invite()) {
            self.resend = None;
        } else if let Some(resend) = &mut self.resend {
            resend.calm();
        }
        if self.is_pending() {
            self.status = status;
        }
        first
    }
}

/// A request of somebody else.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) branch: String,
    pub(crate) request: Message,
    pub(crate) from: SocketAddr,
    pub(crate) last: Option<Message>,
    pub(crate) resend: Option<Resend>,
}

impl Server {
    pub(crate) fn status(&self) -> u16 {
        self.last.as_ref().and_then(Message::status).unwrap_or(0)
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.request.method() == Some("INVITE")
    }

    pub(crate) fn due(&mut self, now: Duration) -> Option<Due> {
        due(&mut self.resend, now)
    }
}

/// The branch of the topmost Via.
pub(crate) fn branch(message: &Message) -> &str {
    crate::uri::parameter(message.value("Via"), "branch").unwrap_or_default()
}
