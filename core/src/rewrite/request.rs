//! What a proxy does to a request that it forwards (RFC 3261 §16.6).

use std::net::SocketAddr;

use super::uri::{Crossing, Place, Proof, put_host, put_port, rename_down, restore};
use crate::address::{Directory, Source, plain};
use crate::branch::{Below, Branch};
use crate::config::{SIP_PORT, UplinkHost};
use crate::edit::Edits;
use crate::family::Family;
use crate::reason::Reason;
use crate::route::{Hop, Request, RequestUri, Routes};
use crate::scan::number;
use crate::sip::fault::Fault;
use crate::sip::header::{HeaderName, Values, is_record_routed};
use crate::sip::message::Message;
use crate::sip::method::Method;
use crate::sip::name_addr::{NameAddr, NameAddrs, UriForm};
use crate::sip::uri::Uri;
use crate::sip::via::Via;
use crate::target::{Numeric, token};
use crate::text::AddressAndPort;
use crate::token::{Seal, Tilde, seal_route};

/// The Max-Forwards of a request that came without (RFC 3261 §16.6 step 3).
const DEFAULT_MAX_FORWARDS: u32 = 70;

/// What Max-Forwards becomes.
///
/// # Errors
/// It is used up, or no number up to 255.
pub fn max_forwards(message: &Message<'_>) -> Result<u32, Reason> {
    let Some(value) = message.value(HeaderName::MAX_FORWARDS) else { return Ok(DEFAULT_MAX_FORWARDS) };
    let before = number(value).filter(|&hops| hops <= 255);
    let before = before.ok_or(Reason::Malformed(Fault::Value("Max-Forwards")))?;
    before.checked_sub(1).filter(|&hops| hops > 0).ok_or(Reason::MaxForwards)
}

/// Our Via, and the one on which it is put.
#[derive(Clone, Copy, Debug)]
pub struct ViaPush<'a> {
    /// The received topmost Via.
    pub topmost: &'a Via,
    /// That Via as completed by us.
    pub below: Below<'a>,
    /// The seal of our branch.
    pub seal: Seal,
}

/// Writes `received` and `rport` into the topmost Via of a request (RFC 3261
/// §18.2.1, RFC 3581 §4).
pub fn complete_via(via: &Via, below: &Below<'_>, edits: &mut Edits) {
    match (via.rport, below.rport) {
        (Some(rport), Some(port)) => edits.replace(rport.parameter.whole.range(), (";rport=", port)),
        (None, Some(port)) => edits.insert(via.whole.end, (";rport=", port)),
        (_, None) => {}
    }
    if let Some(received) = via.received {
        edits.remove(received.parameter.whole.range());
    }
    if let Some(address) = below.received {
        edits.insert(via.whole.end, (";received=", address));
    }
}

/// All that a proxy adds, apart from the mapping of header fields: Via,
/// Record-Route or Path, Max-Forwards.
pub fn lay_path(
    request: &Request<'_>,
    hop: &Hop,
    push: &ViaPush<'_>,
    max_forwards: u32,
    directory: &Directory,
    edits: &mut Edits,
) {
    let branch = Branch { arrival: request.local, rights: request.rights, seal: push.seal };
    let top = push.topmost.field.line.start;
    edits.insert(top, ("Via: SIP/2.0/UDP ", directory.spelled_endpoint(hop.from), ";branch=", branch, "\r\n"));
    complete_via(push.topmost, &push.below, edits);
    let message = request.message;
    let at = behind_vias(message, push.topmost);
    let record_route = message.first(HeaderName::RECORD_ROUTE).map_or(at, |field| field.line.start.min(at));
    if is_record_routed(request.method) {
        lay_routes("Record-Route", record_route, request, hop, directory, edits);
    } else if request.method == Method::Register
        && let Some(path) = message.first(HeaderName::PATH)
    {
        lay_routes("Path", path.line.start, request, hop, directory, edits);
    }
    match message.first(HeaderName::MAX_FORWARDS) {
        Some(field) => edits.replace(field.value.range(), max_forwards),
        None => edits.insert(record_route, ("Max-Forwards: ", max_forwards, "\r\n")),
    }
}

/// Where the Via fields that begin with the topmost one end.
fn behind_vias(message: &Message<'_>, topmost: &Via) -> usize {
    let from_topmost = message.fields.iter().skip_while(|field| field.line != topmost.field.line);
    let block = from_topmost.take_while(|field| field.name == HeaderName::VIA);
    block.last().map_or(topmost.field.line.end, |field| field.line.end)
}

/// Two entries (RFC 5658): our socket of the outgoing side, and below it that of the
/// incoming one. The lower one says where a generic sender's request came from, or that of
/// a phone at another port than its map says, whose Contact proves nothing to somebody of
/// its own side; the upper one where it went, if nothing else in the message leads there.
fn lay_routes(name: &str, at: usize, request: &Request<'_>, hop: &Hop, directory: &Directory, edits: &mut Edits) {
    let to = Some(hop.to).filter(|_| is_out_of_reach(request, hop, directory));
    let from = Some(request.remote).filter(|&remote| needs_proof(request.source, remote, directory));
    for (ours, received) in [(hop.from, to), (request.local, from)] {
        edits.insert(at, (name, ": <sip:", directory.spelled_endpoint(ours), ";lr"));
        match received.map(|received| (received, seal_route(directory.key(), ours, received))) {
            Some((received, seal)) => edits.insert(at, (";received=", Tilde(received), ";sig=", seal, ">\r\n")),
            None => edits.insert(at, ">\r\n"),
        }
    }
}

/// Whether nobody is sent to `party` without a proof: it is generic, or a phone at another
/// port than its map says.
#[inline(never)] // It is asked for twice.
fn needs_proof(source: Source, party: SocketAddr, directory: &Directory) -> bool {
    match source {
        Source::Generic => true,
        Source::Phone(index) => directory.map(index).is_some_and(|map| map.phone != party),
        Source::Uplink | Source::Ourselves => false,
    }
}

/// Whether a generic party, or a phone at another port than its map says, is called by
/// what a token proved, through others, from its own side. The Contact of its answer is on
/// that side again what the party wrote: it proves nothing, and behind a NAT it leads
/// nowhere. So the way back to it stands in the Record-Route, as it does for a generic
/// sender.
fn is_out_of_reach(request: &Request<'_>, hop: &Hop, directory: &Directory) -> bool {
    let text = request.message.bytes;
    let is_of_that_side = |value: NameAddr| {
        let at = Uri::within(text, value.uri).and_then(|uri| Numeric::of(text, &uri)).map(|at| at.endpoint());
        at.is_some_and(|at| at.is_ipv4() == hop.from.is_ipv4() && directory.is_ours(at))
    };
    let mut routes = request.message.all(HeaderName::RECORD_ROUTE);
    hop.request_uri == RequestUri::Restored
        && request.source != Source::Ourselves
        && needs_proof(directory.source(hop.to), hop.to, directory)
        && routes.any(|field| NameAddrs::new(text, field.value, Values::List).flatten().any(is_of_that_side))
}

/// The room that a Request-URI takes while it is changed apart from its message.
#[derive(Debug, Default)]
pub struct UriRoom {
    edits: Edits,
    text: Vec<u8>,
}

/// Changes the Request-URI, takes out the Routes that are used up, and does what
/// strict routers need (RFC 3261 §16.4, §16.6 step 6).
pub fn take_up_routes(
    request: &Request<'_>,
    routes: &Routes,
    hop: &Hop,
    crossing: &Crossing<'_>,
    room: &mut UriRoom,
    edits: &mut Edits,
) {
    let text = request.message.bytes;
    let strict = routes.next().filter(|_| routes.next_is_strict);
    if strict.is_none() && !routes.last_is_request_uri {
        request_uri(text, hop.decided.as_ref(), hop, crossing, edits);
    } else {
        // The URI that decided changes its place.
        let last = routes.values.last().filter(|_| routes.last_is_request_uri);
        let uri = last.map_or(request.uri, |value| value.uri.span).of(text);
        room.edits.clear();
        room.text.clear();
        request_uri(uri, Uri::parse(uri).as_ref(), hop, crossing, &mut room.edits);
        room.edits.apply(uri, &mut room.text);
        match strict {
            None => edits.replace(request.uri.range(), room.text.as_slice()),
            Some(next) => {
                let last_line = routes.values.last().map_or(next.field.line, |value| value.field.line);
                edits.insert(last_line.end, ("Route: <", room.text.as_slice(), ">\r\n"));
                edits.replace(request.uri.range(), next.uri.span.of(text));
            }
        }
    }
    remove_values(routes, routes.popped.saturating_add(usize::from(strict.is_some())), edits);
}

/// Removes the first `used` Routes, and the last one if it became the Request-URI:
/// whole lines where all values of one go.
fn remove_values(routes: &Routes, used: usize, edits: &mut Edits) {
    let count = routes.values.len();
    let goes = |index: usize| index < used || (routes.last_is_request_uri && index + 1 == count);
    let mut index = 0;
    while let Some(first) = routes.values.get(index) {
        let line = first.field.line;
        let in_line = routes.values.iter().skip(index).take_while(|value| value.field.line == line).count();
        let end = index.saturating_add(in_line);
        let mut kept = (index..end).filter(|&index| !goes(index));
        let first_kept = kept.next();
        let last_kept = kept.next_back().or(first_kept);
        match first_kept.zip(last_kept).and_then(|(first, last)| routes.values.get(first).zip(routes.values.get(last)))
        {
            None => edits.remove(line.range()),
            Some((first_kept, last_kept)) => {
                edits.remove(first.whole.start..first_kept.whole.start);
                let last = routes.values.get(end.saturating_sub(1)).unwrap_or(last_kept);
                edits.remove(last_kept.whole.end..last.whole.end);
            }
        }
        index = end;
    }
}

/// Makes a URI that was read from `text` the Request-URI with which a request
/// leaves. It is the one that decided: that of the Request-Line, or a strict
/// router's last Route. One that is no SIP URI stays as it is.
fn request_uri(text: &[u8], uri: Option<&Uri>, hop: &Hop, crossing: &Crossing<'_>, edits: &mut Edits) {
    let Some(uri) = uri else { return };
    if hop.request_uri == RequestUri::Mapped {
        return crossing.map_uri(text, uri, Place::Elsewhere, UriForm::Bracketed, edits);
    }
    let Some(numeric) = Numeric::of(text, uri) else { return };
    match hop.request_uri {
        RequestUri::AsItStands | RequestUri::Mapped => {}
        RequestUri::Restored => {
            if let Some((parameter, token)) = token(text, uri) {
                restore(text, uri, &numeric, (parameter, &token), Proof::Goes, edits);
            }
        }
        RequestUri::Phone(index) => to_phone(text, uri, &numeric, index, crossing, edits),
        RequestUri::Uplink => to_uplink(uri, &numeric, crossing, edits),
        RequestUri::Hairpin => put_host(uri, &numeric, plain(hop.to), crossing.directory, edits),
    }
}

/// The phone's address, where the Request-URI is numeric. Without a way to use it
/// an `s64=` of ours goes.
fn to_phone(text: &[u8], uri: &Uri, numeric: &Numeric, index: usize, crossing: &Crossing<'_>, edits: &mut Edits) {
    let Some(map) = crossing.directory.map(index) else { return };
    let counterpart = (numeric.endpoint() == map.fake)
        .then(|| crossing.directory.plain_counterpart(Family::at(map.fake), numeric.address, numeric.port));
    let new = counterpart.flatten().unwrap_or(plain(map.phone));
    put_host(uri, numeric, new, crossing.directory, edits);
    let token = token(text, uri).map(|(parameter, _)| parameter);
    if let Some(parameter) = token {
        edits.remove(parameter.whole.range());
    }
    rename_down(text, uri, token, edits);
}

/// The uplink as configured, in the place of our listen address.
fn to_uplink(uri: &Uri, numeric: &Numeric, crossing: &Crossing<'_>, edits: &mut Edits) {
    let Some(uplink) = &crossing.directory.config().uplinks[crossing.arrival.other()] else { return };
    if numeric.host == uri.hostport.host {
        edits.replace(uri.hostport.span().range(), uplink.written.as_str());
        return;
    }
    // A maddr has no port of its own: that of the URI is.
    match &uplink.host {
        UplinkHost::Address(address) => {
            edits.replace(numeric.host.range(), AddressAndPort { address: *address, port: None });
        }
        UplinkHost::Name(name) => edits.replace(numeric.host.range(), name.as_str()),
    }
    put_port(uri, Some(uplink.port).filter(|&port| port != SIP_PORT), edits);
}
