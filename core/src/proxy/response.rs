//! A response, back by the way of its request.

use std::net::{IpAddr, SocketAddr};

use super::media::{MediaMessage, SignalContext, concerns_media};
use super::{Arrival, Datagram, Decider, Outcome, Reason, State, finish, intact};
use crate::address::{Directory, Rights, Source};
use crate::branch::Below;
use crate::family::Family;
use crate::media::limits::Charge;
use crate::rewrite::fields;
use crate::rewrite::response::{OurVia, lay_service_route};
use crate::rewrite::uri::Crossing;
use crate::sip::message::Message;
use crate::sip::via::Vias;

impl Decider {
    /// Forwards a response to where its request came from.
    pub(super) fn response(
        &mut self,
        arrival: &Arrival<'_>,
        code: u16,
        state: &mut dyn State,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.forward_response(arrival, code, state, out).unwrap_or_else(Outcome::Drop)
    }

    fn forward_response(
        &mut self,
        arrival: &Arrival<'_>,
        code: u16,
        state: &mut dyn State,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Reason> {
        let Arrival { now, datagram: &Datagram { local, remote, .. }, message } = *arrival;
        let Self { directory, room, sender: last_sender } = self;
        let via = OurVia::verify(message, local, directory)?;
        let cseq = validate(message)?;
        let from = via.branch.arrival;
        let to = via.below.response_address().filter(|&to| Directory::is_callable(to));
        let to = to.filter(|_| from.is_ipv4() != local.is_ipv4());
        let to = to.ok_or(Reason::ForeignResponse)?;
        let source = directory.source(remote);
        *last_sender = source;
        if is_challenge(code)
            && source == Source::Generic
            && via.branch.rights == Rights::Phone
            && directory.config().no_foreign_challenges
        {
            return Err(Reason::ForeignChallenge);
        }
        let crossing = Crossing {
            directory,
            arrival: Family::at(local),
            source: remote,
            rights: rights(source),
            destination: to,
            redirect: (300..400).contains(&code),
            another_port: false,
        };
        let edits = &mut room.edits;
        edits.clear();
        via.remove(edits);
        lay_service_route(message, from, edits);
        let identities = fields::map(message, &crossing, edits).map_err(Reason::Malformed)?;
        if concerns_media(message.method()) {
            // What a stranger offers in an answer is his, whoever called: he can say it again
            // and again, long after.
            let asked_by = match (via.branch.rights, source) {
                (Rights::Generic, _) => Charge::Stranger(asker(message, to, directory)?),
                (_, Source::Generic) => Charge::Stranger(remote.ip()),
                _ => Charge::Nobody,
            };
            let branch = via.branch.seal.0;
            let context = SignalContext {
                local,
                source: remote,
                destination: to,
                sender: source.into(),
                asked_by,
                branch,
                cseq,
                identities,
            };
            // A response cannot be refused; one with a bad description is its receiver's to judge.
            let _ = MediaMessage { now, message, context, directory, state, room: &mut room.body }.negotiate(edits);
        }
        finish(message, edits, Family::at(from), out)?;
        Ok(Outcome::Send { from, to, refused: None })
    }
}

/// Who sent the request that a response on its way to `to` answers. On the inner
/// pass of a hairpin that is whoever stands below the Via of the outer one.
fn asker(message: &Message<'_>, to: SocketAddr, directory: &Directory) -> Result<IpAddr, Reason> {
    if !directory.is_ours(to) {
        return Ok(to.ip());
    }
    let first = Vias::new(message).nth(2).and_then(Result::ok);
    let first = first.and_then(|via| Below::new(message.bytes, &via).response_address());
    // Without one the outer pass would drop it, when its session is there.
    first.map(|first| first.ip()).ok_or(Reason::ForeignResponse)
}

/// Whether a response asks for a password (RFC 3261 §22).
fn is_challenge(code: u16) -> bool {
    matches!(code, 401 | 407)
}

/// By whose word a response is written. One from ourselves has crossed once
/// already, so that nothing in it needs a new proof.
fn rights(source: Source) -> Rights {
    match source {
        Source::Phone(_) => Rights::Phone,
        Source::Uplink => Rights::Uplink,
        Source::Ourselves | Source::Generic => Rights::Generic,
    }
}

/// Whether a response can be understood as far as a proxy must: its CSeq number.
fn validate(message: &Message<'_>) -> Result<u32, Reason> {
    intact(message)?;
    message.cseq().map(|cseq| cseq.number).map_err(Reason::Malformed)
}
