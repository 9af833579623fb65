//! A request, from its topmost Via to the next hop or a refusal.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::media::{MediaMessage, SignalContext, concerns_media};
use super::{Arrival, Datagram, Decider, Outcome, Reason, Room, State, finish, intact};
use crate::address::{Directory, Rights, Source};
use crate::branch::Below;
use crate::family::Family;
use crate::limit::Asker;
use crate::media::limits::Charge;
use crate::rewrite::fields;
use crate::rewrite::reply::{self, Answer, Form};
use crate::rewrite::request::{ViaPush, lay_path, max_forwards, take_up_routes};
use crate::rewrite::response::OurVia;
use crate::rewrite::uri::Crossing;
use crate::route::{self, Request};
use crate::scan::Span;
use crate::sip::fault::Fault;
use crate::sip::header::HeaderName;
use crate::sip::message::{Message, StartLine};
use crate::sip::method::Method;
use crate::sip::name_addr::tag;
use crate::sip::via::{NotAVia, Via, Vias, has_empty_value};
use crate::token::Seal;

impl Decider {
    /// Forwards a request, or answers it.
    pub(super) fn request(
        &mut self,
        arrival: &Arrival<'_>,
        method: Method,
        uri: Span,
        state: &mut dyn State,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Arrival { now, datagram: &Datagram { local, remote, bytes }, message } = *arrival;
        let via = match Vias::new(message).next() {
            None => return Outcome::Drop(Reason::NotSip(Fault::Missing("Via"))),
            Some(Err(NotAVia(fault))) => return Outcome::Drop(Reason::NotSip(fault)),
            Some(Ok(via)) if via.is_ambiguous => return Outcome::Drop(Reason::NotSip(Fault::Value("Via"))),
            Some(Ok(via)) => via,
        };
        let source = self.directory.source(remote);
        self.sender = source;
        let Self { directory, room, .. } = self;
        let Some((rights, asker)) = rights(source, message, remote, directory) else {
            return Outcome::Drop(Reason::NotFromOurselves);
        };
        if method == Method::Ack && is_ack_of_ours(message, directory) {
            return Outcome::Drop(Reason::AckOfOurs);
        }
        let below = Below::completed(message.bytes, &via, remote, source != Source::Uplink);
        let request = Request { message, method, uri, local, remote, source, rights };
        let length = bytes.len();
        let mut forwarding = Forwarding { now, length, request, asker, via: &via, below, directory, state, room };
        match forwarding.forward(out) {
            Ok(outcome) => outcome,
            Err(reason) if method == Method::Ack => Outcome::Drop(reason),
            Err(reason) => forwarding.answer(reason, out).unwrap_or_else(Outcome::Drop),
        }
    }

    /// Answers a request of ours that could not leave, in the name of its next hop: the
    /// answer goes the way of all responses, ends the session that began with the request,
    /// and finds back through each pass of a hairpin. See [`super::Proxy::unsent`].
    pub(super) fn unsent(&mut self, sent: &Arrival<'_>, state: &mut dyn State, out: &mut Vec<u8>) -> Option<()> {
        let Arrival { now, datagram: &Datagram { local, remote, bytes }, message } = *sent;
        let StartLine::Request { method, uri, .. } = message.start_line else { return None };
        let Self { directory, room, .. } = self;
        let OurVia { branch, topmost, below, .. } = OurVia::verify(message, local, directory).ok()?;
        let asker = below.response_address()?.ip();
        if method == Method::Ack {
            return None;
        }
        // As the next hop got it: from ourselves.
        let (local, remote, source, rights) = (remote, local, Source::Ourselves, branch.rights);
        let request = Request { message, method, uri, local, remote, source, rights };
        let below = Below::new(message.bytes, &topmost);
        let mut forwarding =
            Forwarding { now, length: bytes.len(), request, asker, via: &topmost, below, directory, state, room };
        forwarding.answer(Reason::Unsent, out).ok().map(|_| ())
    }
}

/// What the sender of a request may do, and to whom an answer goes in the end;
/// `None`: it claims to come from ourselves and does not.
fn rights(
    source: Source,
    message: &Message<'_>,
    remote: SocketAddr,
    directory: &Directory,
) -> Option<(Rights, IpAddr)> {
    match source {
        Source::Ourselves => {
            let via = OurVia::verify(message, remote, directory).ok()?;
            Some((via.branch.rights, via.below.response_address()?.ip()))
        }
        Source::Phone(_) => Some((Rights::Phone, remote.ip())),
        Source::Uplink => Some((Rights::Uplink, remote.ip())),
        Source::Generic => Some((Rights::Generic, remote.ip())),
    }
}

/// The ACK of an answer of ours carries its To-tag (RFC 3261 §8.2.7, §17.1.1.3).
fn is_ack_of_ours(message: &Message<'_>, directory: &Directory) -> bool {
    let Some(to_tag) = message.value(HeaderName::TO).and_then(tag).and_then(Seal::parse) else { return false };
    let (Ok(call_id), Ok(cseq)) = (message.call_id(), message.cseq()) else { return false };
    to_tag == reply::to_tag(directory.key(), call_id, cseq.number)
}

/// One request on its way.
struct Forwarding<'a> {
    now: Duration,
    /// How long it was as it came: `--lenient` may have repaired it since.
    length: usize,
    request: Request<'a>,
    /// Whoever gets an answer in the end.
    asker: IpAddr,
    via: &'a Via,
    below: Below<'a>,
    directory: &'a Directory,
    state: &'a mut dyn State,
    room: &'a mut Room,
}

impl Forwarding<'_> {
    fn forward(&mut self, out: &mut Vec<u8>) -> Result<Outcome, Reason> {
        let Self { now, request, via, below, directory, .. } = *self;
        let (state, room) = (&mut *self.state, &mut *self.room);
        let message = request.message;
        let (call_id, cseq) = validate(&request, via)?;
        let max_forwards = max_forwards(message)?;
        let hop = route::route(&request, directory, &mut room.routes)?;
        let crossing = Crossing {
            directory,
            arrival: Family::at(request.local),
            source: request.remote,
            rights: request.rights,
            destination: hop.to,
            redirect: false,
            another_port: room.routes.has_another_port,
        };
        // In the order in which they stand in the message, so that nothing is sorted.
        let edits = &mut room.edits;
        edits.clear();
        take_up_routes(&request, &room.routes, &hop, &crossing, &mut room.uri, edits);
        let seal = below.seal(directory.key(), request.local, request.rights, call_id, cseq);
        lay_path(&request, &hop, &ViaPush { topmost: via, below, seal }, max_forwards, directory, edits);
        let identities = fields::map(message, &crossing, edits).map_err(Reason::Malformed)?;
        if concerns_media(request.method) {
            let context = SignalContext {
                local: request.local,
                source: request.remote,
                destination: hop.to,
                sender: request.source.into(),
                asked_by: match request.rights {
                    Rights::Phone => Charge::Nobody,
                    Rights::Uplink => Charge::OnTrust,
                    Rights::Generic => Charge::Stranger(self.asker),
                },
                branch: seal.0,
                cseq,
                identities,
            };
            match (MediaMessage { now, message, context, directory, state, room: &mut room.body }.negotiate(edits)) {
                // An ACK cannot be answered; what it says of media is its receiver's to judge.
                Err(_) if request.method == Method::Ack => {}
                negotiated => negotiated?,
            }
        }
        finish(message, edits, crossing.arrival.other(), out)?;
        Ok(Outcome::Send { from: hop.from, to: hop.to, refused: None })
    }

    /// Answers the request ourselves, without keeping anything but the count of
    /// answers to this address. An error: why no answer is given.
    fn answer(&mut self, reason: Reason, out: &mut Vec<u8>) -> Result<Outcome, Reason> {
        let to = self.below.response_address().filter(|&to| Directory::is_callable(to)).ok_or(reason)?;
        let stranger = self.request.rights == Rights::Generic;
        let most = if stranger { self.most_to_stranger() } else { usize::MAX };
        let answer = Answer { request: self.request.message, via: self.via, below: &self.below, reason };
        let (key, edits) = (self.directory.key(), &mut self.room.edits);
        let mut fits = false;
        for form in [Form::Full, Form::Compact, Form::Brief] {
            if !fits {
                answer.write(form, key, edits, out).ok_or(reason)?;
                fits = out.len() <= most;
            }
        }
        if !fits {
            return Err(Reason::LargerThanRequest);
        }
        let asker = if stranger { Asker::Stranger } else { Asker::Known };
        if !self.state.admits_answer(self.now, self.asker, asker) {
            return Err(Reason::RateLimited);
        }
        Ok(Outcome::Send { from: self.request.local, to, refused: Some(reason) })
    }

    /// The most bytes that an answer to a stranger may have: those of its request.
    /// Its address is not proven, and whoever forges one must not gain by us. On
    /// the second pass of a hairpin the first one's additions do not count.
    fn most_to_stranger(&self) -> usize {
        if self.request.source == Source::Ourselves { self.length.saturating_sub(FIRST_PASS) } else { self.length }
    }
}

/// What a pass adds to a request at the most, apart from mapped URIs: a Via, two
/// Record-Routes, Max-Forwards, `received` and `rport`.
const FIRST_PASS: usize = 512;

/// Whether a request can be understood as far as a proxy must (RFC 3261 §16.3):
/// its Call-ID and CSeq number if so.
fn validate<'a>(request: &Request<'a>, via: &Via) -> Result<(&'a [u8], u32), Reason> {
    let message = request.message;
    intact(message)?;
    if via.other_version {
        return Err(Reason::Version);
    }
    if has_empty_value(message, via) {
        return Err(Reason::Malformed(Fault::Value("Via")));
    }
    let call_id = message.call_id().map_err(Reason::Malformed)?;
    let cseq = message.cseq().map_err(Reason::Malformed)?;
    let StartLine::Request { method_name, .. } = message.start_line else {
        return Err(Reason::NotSip(Fault::StartLine));
    };
    if cseq.method != method_name.of(message.bytes) {
        return Err(Reason::Malformed(Fault::CSeqMethod));
    }
    if !matches!(request.method, Method::Ack | Method::Cancel) && message.first(HeaderName::PROXY_REQUIRE).is_some() {
        return Err(Reason::ProxyRequire);
    }
    Ok((call_id, cseq.number))
}
