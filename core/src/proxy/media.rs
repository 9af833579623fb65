//! What a message says of media: told to the media sessions, and written anew with what
//! they grant.

use std::net::SocketAddr;
use std::time::Duration;

use super::State;
use crate::address::Directory;
use crate::edit::Edits;
use crate::family::Family;
use crate::media::limits::Charge;
use crate::media::signal::{Refusal, Sender, Signal};
use crate::reason::Reason;
use crate::rewrite::fields::Identities;
use crate::rewrite::{body, session};
use crate::scan::Span;
use crate::sdp::description::{self, Description};
use crate::sdp::malformed::Malformed;
use crate::sip::header::HeaderName;
use crate::sip::message::Message;
use crate::sip::method::Method;
use crate::streams::{Grant, Wanted};

/// What is filled anew by each message, kept for the room it takes.
#[derive(Debug, Default)]
pub(super) struct Room {
    parts: Vec<Span>,
    description: description::Room,
    alternative: description::Room,
    wanted: Vec<Wanted>,
    grants: Vec<Grant>,
}

/// What a [`Signal`] has beside what stands in its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignalContext {
    pub(super) local: SocketAddr,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) sender: Sender,
    pub(super) asked_by: Charge,
    pub(super) branch: u64,
    pub(super) cseq: u32,
    pub(super) identities: Identities,
}

/// Why a description keeps a message from being forwarded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hindrance {
    Malformed(Malformed),
    Refused(Refusal),
}

impl From<Hindrance> for Reason {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Malformed(malformed) => Self::Description(malformed),
            Hindrance::Refused(Refusal::NoPorts) => Self::NoPorts,
            Hindrance::Refused(Refusal::MaxCalls) => Self::TooManyCalls,
            Hindrance::Refused(Refusal::MaxCallsPerSource) => Self::TooManyCallsFromSource,
        }
    }
}

/// Whether the media sessions want to know of them.
pub(super) fn concerns_media(method: Method) -> bool {
    method.describes_media() || matches!(method, Method::Bye | Method::Cancel)
}

/// A message that concerns media, on its way across.
pub(super) struct MediaMessage<'a, 'm> {
    pub(super) now: Duration,
    pub(super) message: &'a Message<'m>,
    pub(super) context: SignalContext,
    pub(super) directory: &'a Directory,
    pub(super) state: &'a mut dyn State,
    pub(super) room: &'a mut Room,
}

impl MediaMessage<'_, '_> {
    /// Tells the media sessions about it, and writes what they grant into its session
    /// descriptions.
    pub(super) fn negotiate(self, edits: &mut Edits) -> Result<(), Hindrance> {
        let Self { now, message, context, directory, state, room } = self;
        let method = message.method();
        room.parts.clear();
        if method.describes_media() {
            body::descriptions(message, &mut room.parts);
        }
        // Of alternatives the last one is the best (RFC 2046 §5.1.4).
        let (last, others) = room.parts.split_last().unzip();
        let others = others.unwrap_or_default();
        // Before anything is done: all of them change, or none.
        let readable = others
            .iter()
            .try_for_each(|&part| Description::parse(message.bytes, part, &mut room.alternative).map(drop));
        let described = last.map(|&part| Description::parse(message.bytes, part, &mut room.description)).transpose();
        let described = match readable.and(described) {
            Ok(described) => described,
            Err(malformed) => {
                // What else a response says of the call counts all the same.
                if message.status().is_some() {
                    let signal = signal(message, &context, method, None);
                    state.signal(now, &signal, &mut room.grants).map_err(Hindrance::Refused)?;
                }
                return Err(Hindrance::Malformed(malformed));
            }
        };
        if let Some(description) = &described {
            session::wanted(description, &mut room.wanted);
        }
        let signal = signal(message, &context, method, described.is_some().then_some(room.wanted.as_slice()));
        state.signal(now, &signal, &mut room.grants).map_err(Hindrance::Refused)?;
        let arrival = Family::at(context.local);
        let ours = directory.sdp_connection(arrival.other());
        for &part in others {
            let other = Description::parse(message.bytes, part, &mut room.alternative).map_err(Hindrance::Malformed)?;
            session::edits(&other, &room.grants, arrival, ours, edits);
        }
        if let Some(description) = &described {
            session::edits(description, &room.grants, arrival, ours, edits);
        }
        Ok(())
    }
}

#[inline]
fn signal<'a>(
    message: &Message<'a>,
    context: &SignalContext,
    method: Method,
    wanted: Option<&'a [Wanted]>,
) -> Signal<'a> {
    Signal {
        call_id: message.value(HeaderName::CALL_ID).unwrap_or_default(),
        method,
        cseq: context.cseq,
        status: message.status(),
        arrival: Family::at(context.local),
        from_tag: context.identities.from_tag(message),
        to_tag: context.identities.to_tag(message),
        source: context.source,
        destination: context.destination,
        sender: context.sender,
        asked_by: context.asked_by,
        branch: context.branch,
        wanted,
    }
}
