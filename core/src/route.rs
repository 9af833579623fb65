//! Where a request goes, from which address of ours, and with what Request-URI
//! (RFC 3261 §16.4 to §16.6), or why it goes nowhere.

mod values;

use std::net::SocketAddr;

pub use self::values::{RouteUri, RouteValue, Routes};
use crate::address::{Directory, Rights, Source};
use crate::config::SIP_PORT;
use crate::family::{Family, canonical};
use crate::reason::Reason;
use crate::scan::Span;
use crate::sip::fault::Fault;
use crate::sip::host::HostPort;
use crate::sip::message::Message;
use crate::sip::method::Method;
use crate::sip::uri::{Scheme, Uri};
use crate::target::{Maddr, Numeric, TOKEN_NAME, token};
use crate::token::{Seal, Written, seal_route};

/// A request and who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request.
    pub message: &'a Message<'a>,
    /// Its method.
    pub method: Method,
    /// Its Request-URI.
    pub uri: Span,
    /// The socket of ours on which it arrived.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// Who that is.
    pub source: Source,
    /// What the sender may do.
    pub rights: Rights,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The address it is sent to.
    pub to: SocketAddr,
    /// The socket of ours it is sent from.
    pub from: SocketAddr,
    /// What becomes of the Request-URI.
    pub request_uri: RequestUri,
    /// The URI that decided, as it was read; `None`: it is no SIP URI.
    pub decided: Option<Uri>,
}

/// What becomes of the Request-URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestUri {
    /// Host and port are what its `s64=` holds.
    Restored,
    /// The address of the phone of this map, where it was numeric.
    Phone(usize),
    /// The uplink of the outgoing side, as configured.
    Uplink,
    /// It stays as it is.
    AsItStands,
    /// It is mapped like a header field.
    Mapped,
    /// Host and port are the address of ours it is sent to, its `s64=` stays: the
    /// first pass of a hairpin.
    Hairpin,
}

/// The URI that decides where a request goes.
#[derive(Clone, Copy, Debug)]
struct Target {
    uri: Option<Uri>,
    numeric: Option<Numeric>,
    led: Option<Led>,
    maddr: Maddr,
}

/// Where an `s64=` behind an address of ours leads.
#[derive(Clone, Copy, Debug)]
struct Led {
    to: SocketAddr,
    /// A signature proves that who wrote the token was there; beside the source that it
    /// names, if it does.
    seen_there: bool,
    names_source: bool,
    /// A signature proves it to the sender, or the sender may go anywhere.
    allowed: bool,
}

impl Target {
    /// What stands in `span`, which is this `uri`, if it is a SIP URI.
    fn new(request: &Request<'_>, directory: &Directory, span: Span, uri: Option<Uri>) -> Result<Self, Reason> {
        let text = request.message.bytes;
        let scheme = if uri.is_some() { Scheme::Sip } else { Uri::scheme(span.of(text)) };
        match scheme {
            Scheme::Other => return Err(Reason::UnknownScheme),
            Scheme::Missing => return Err(Reason::Malformed(Fault::Value("Request-URI"))),
            Scheme::Sip if uri.is_none() => return Err(Reason::Malformed(Fault::of_uri(span.of(text), "Request-URI"))),
            Scheme::Sip if uri.is_some_and(|uri| uri.has_headers()) => {
                return Err(Reason::Malformed(Fault::UriHeaders));
            }
            Scheme::Sip | Scheme::Named => {}
        }
        let maddr = uri.map_or(Maddr::Absent, |uri| Maddr::of(text, &uri));
        let numeric = uri.and_then(|uri| Numeric::of(text, &uri));
        let at_ours = numeric.is_some_and(|numeric| directory.is_ours(numeric.endpoint()));
        let token = uri.filter(|_| at_ours).and_then(|uri| token(text, &uri));
        let led = token.map(|(_, token)| {
            let to = directory.token_target(token.written.endpoint, token.source);
            // What the first pass of a spiral sealed for its receiver, which was
            // ourselves, must not prove anything to the second.
            let sender = Some(request.remote.ip()).filter(|_| request.source != Source::Ourselves);
            let seen_there = token.is_proven(directory.key(), None);
            let allowed = seen_there || request.rights == Rights::Phone || token.is_proven(directory.key(), sender);
            Led { to, seen_there, names_source: token.source == Some(to), allowed }
        });
        Ok(Self { uri, numeric, led, maddr })
    }

    /// A numeric address, which is not one of our listen addresses.
    fn endpoint(&self, directory: &Directory) -> Option<SocketAddr> {
        if self.maddr == Maddr::Name {
            return None;
        }
        let endpoint = self.led.map(|led| led.to).or_else(|| self.numeric.map(|numeric| numeric.endpoint()))?;
        (!directory.is_listen(endpoint)).then_some(endpoint)
    }

    fn is_listen(&self, directory: &Directory) -> bool {
        self.maddr != Maddr::Name && self.numeric.is_some_and(|numeric| directory.is_listen(numeric.endpoint()))
    }
}

/// Decides about one request.
struct Router<'a> {
    directory: &'a Directory,
    request: &'a Request<'a>,
    arrival: Family,
    leaving: Family,
    /// The `received=` of the last popped Route, proven by its `sig=`.
    received: Option<SocketAddr>,
    from: SocketAddr,
}

/// Where `request` goes. `routes` says afterwards which Routes are popped.
///
/// # Errors
/// Why it goes nowhere.
pub fn route(request: &Request<'_>, directory: &Directory, routes: &mut Routes) -> Result<Hop, Reason> {
    routes.read(request.message)?;
    let arrival = Family::at(request.local);
    let from = own_address(request, directory, arrival.other());
    let mut router = Router { directory, request, arrival, leaving: arrival.other(), received: None, from };
    let uri = Uri::within(request.message.bytes, request.uri);
    let last = router.take_up_strict(routes, uri);
    router.pop(routes);
    let (span, uri) = last.map_or((request.uri, uri), |last| (last.span, Some(last.uri)));
    let target = Target::new(request, directory, span, uri)?;
    let hop = router.next_hop(routes, &target)?;
    if !Directory::is_callable(hop.to) || Family::at(hop.to) != router.leaving || !router.may_enter(&hop, &target) {
        return Err(Reason::Forbidden);
    }
    if request.source == Source::Ourselves && directory.is_ours(hop.to) {
        return Err(Reason::Loop);
    }
    Ok(hop)
}

/// The fake of the source phone in the outgoing family, else the listen address.
fn own_address(request: &Request<'_>, directory: &Directory, leaving: Family) -> SocketAddr {
    let fake = if let Source::Phone(index) = request.source { directory.map(index) } else { None };
    fake.map_or_else(|| directory.listen(leaving), |map| map.fake)
}

impl Router<'_> {
    /// A strict router put our Record-Route into the Request-URI: the last Route
    /// is the real one (RFC 3261 §16.4). A Contact behind us may have an `lr` of
    /// its own; ours has neither user part nor `s64=`.
    fn take_up_strict(&self, routes: &mut Routes, request_uri: Option<Uri>) -> Option<RouteUri> {
        let last = routes.values.last()?.uri;
        let text = self.request.message.bytes;
        let ours = request_uri.filter(|uri| uri.user.is_none() && uri.last_parameter(text, TOKEN_NAME).is_none())?;
        let ours = RouteUri::new(text, self.request.uri, ours);
        routes.last_is_request_uri = ours.loose && self.names_us(&ours, self.arrival);
        routes.last_is_request_uri.then_some(last)
    }

    /// Pops the Routes that name us in the arriving family, or by a name of ours;
    /// then one that names us in the outgoing one.
    fn pop(&mut self, routes: &mut Routes) {
        while routes.next().is_some_and(|value| self.names_us(&value.uri, self.arrival)) {
            routes.popped = routes.popped.saturating_add(1);
        }
        // What else may name a Contact is rare, or ends the dialog.
        if self.request.source == Source::Generic && matches!(self.request.method, Method::Invite | Method::Update) {
            routes.has_another_port = self.has_another_port(routes);
        }
        let Some(uri) = routes.next().map(|value| value.uri) else { return };
        let Some(endpoint) = uri.endpoint.filter(|_| self.names_us(&uri, self.leaving)) else { return };
        routes.popped = routes.popped.saturating_add(1);
        // A fake of the sender's own it is already.
        if self.directory.is_listen(endpoint) {
            self.from = endpoint;
        }
        self.received = self.received_of(&uri.uri, endpoint);
    }

    /// Whether the `received=` of the last popped Route, whoever wrote it, says that the
    /// sender had another port when the dialog began.
    #[cold]
    fn has_another_port(&self, routes: &Routes) -> bool {
        let last = routes.popped.checked_sub(1).and_then(|last| routes.values.get(last));
        let remote = self.request.remote;
        last.and_then(|route| self.received_in(&route.uri.uri))
            .is_some_and(|before| before.ip() == remote.ip() && before.port() != remote.port())
    }

    fn names_us(&self, uri: &RouteUri, side: Family) -> bool {
        match uri.endpoint {
            Some(endpoint) => Family::at(endpoint) == side && self.directory.is_ours(endpoint),
            None => self.is_own_name(uri),
        }
    }

    fn is_own_name(&self, route: &RouteUri) -> bool {
        let host = route.uri.hostport.host.of(self.request.message.bytes);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let port = route.uri.hostport.port_number.unwrap_or(SIP_PORT);
        let names = &self.directory.config().names;
        names.iter().any(|name| name.port == port && host.eq_ignore_ascii_case(name.host.as_bytes()))
    }

    /// `received=` of a Route of ours, if its `sig=` proves that we wrote it.
    fn received_of(&self, uri: &Uri, route: SocketAddr) -> Option<SocketAddr> {
        let text = self.request.message.bytes;
        let received = self.received_in(uri)?;
        let seal = Seal::parse(uri.last_parameter(text, b"sig")?.value.of(text))?;
        let proven = seal == seal_route(self.directory.key(), route, received);
        proven.then_some(received)
    }

    /// `received=` of a Route, whoever wrote it.
    #[inline(never)] // It is asked for twice.
    fn received_in(&self, uri: &Uri) -> Option<SocketAddr> {
        let text = self.request.message.bytes;
        Some(Written::parse(uri.last_parameter(text, b"received")?.value.of(text))?.endpoint)
    }

    fn next_hop(&self, routes: &mut Routes, target: &Target) -> Result<Hop, Reason> {
        let fake = self.directory.fake(self.request.local);
        if let Some(received) = self.received {
            // Whoever is behind a Route that remains is not to be found here.
            let is_last = routes.next().is_none();
            let moved = self.moved(received, target).filter(|_| is_last);
            if let Some(index) = self.directory.phone(received).filter(|_| is_last && moved.is_none()) {
                return self.to_phone(index, target);
            }
            return Ok(self.hop(moved.unwrap_or(received), self.leaving_uri(target), target));
        }
        if let Some(index) = fake.filter(|_| routes.next().is_none() || self.request.rights != Rights::Phone) {
            return self.to_phone(index, target);
        }
        if let Some(next) = routes.next().map(|value| value.uri) {
            let to = self.by_route(&next)?;
            routes.next_is_strict = !next.loose;
            return Ok(self.hop(to, self.leaving_uri(target), target));
        }
        if self.is_our_options(target) {
            return Err(Reason::Options);
        }
        self.look_behind_maddr(target)?;
        match target.endpoint(self.directory) {
            Some(endpoint) => self.to_numeric(endpoint, target),
            None => self.undirected(target),
        }
    }

    /// Where a party is that has moved: its Record-Route stays as it was when the dialog began,
    /// its Contact is told anew (RFC 3261 §12.2.1.2), with a proof of its own. Of an address
    /// that is the same the `received=` says the port, which a Contact may not know.
    fn moved(&self, received: SocketAddr, target: &Target) -> Option<SocketAddr> {
        let led = target.led.filter(|led| led.seen_there && Family::at(led.to) == self.leaving)?;
        (led.names_source || led.to.ip() != received.ip()).then_some(led.to)
    }

    /// Whether this is no way from the network to a loopback address, where the services of
    /// this machine are. A phone may send anywhere, but where it sends to in a call is what
    /// the other one says in Contact and Record-Route.
    fn may_enter(&self, hop: &Hop, target: &Target) -> bool {
        !hop.to.ip().is_loopback()
            || hop.from.ip().is_loopback()
            || self.directory.may_reach(Rights::Generic, hop.to)
            || self.received == Some(hop.to)
            || target.led.is_some_and(|led| led.to == hop.to && led.seen_there)
    }

    fn hop(&self, to: SocketAddr, request_uri: RequestUri, target: &Target) -> Hop {
        Hop { to, from: self.from, request_uri, decided: target.uri }
    }

    /// What becomes of a Request-URI that did not decide where the request goes.
    fn leaving_uri(&self, target: &Target) -> RequestUri {
        match (target.led, target.numeric) {
            (Some(led), _) if Family::at(led.to) == self.leaving => RequestUri::Restored,
            (_, Some(numeric)) if Family::at(numeric.endpoint()) == self.leaving => RequestUri::AsItStands,
            _ => RequestUri::Mapped,
        }
    }

    /// To the phone of a fake: at the port of an `s64=` that has its address, if
    /// the sender may use that, or a Route proves that it sent from there.
    #[inline(never)] // Three ways lead here.
    fn to_phone(&self, index: usize, target: &Target) -> Result<Hop, Reason> {
        let phone = self.directory.map(index).ok_or(Reason::Forbidden)?.phone;
        match target.led {
            Some(Led { to, allowed, .. }) if to.ip() == phone.ip() && (allowed || self.received == Some(to)) => {
                Ok(self.hop(to, RequestUri::Restored, target))
            }
            _ => Ok(self.hop(phone, RequestUri::Phone(index), target)),
        }
    }

    /// A Route of others: numeric ones directly, names through the uplink.
    fn by_route(&self, next: &RouteUri) -> Result<SocketAddr, Reason> {
        let Some(endpoint) = next.endpoint else { return self.uplink(Reason::NoUplink) };
        if Family::at(endpoint) == self.arrival {
            return Err(Reason::BadRoute);
        }
        if self.directory.may_reach(self.request.rights, endpoint) {
            return Ok(endpoint);
        }
        self.uplink(Reason::Forbidden)
    }

    fn uplink(&self, otherwise: Reason) -> Result<SocketAddr, Reason> {
        match self.directory.uplink(self.leaving) {
            Some(uplink) => Ok(uplink),
            None if self.directory.config().uplinks[self.leaving].is_some() => Err(Reason::UplinkUnresolved),
            None => Err(otherwise),
        }
    }

    /// Whoever is named by a `maddr` takes it off and sends to the host behind it, or
    /// to another `maddr` (RFC 3261 §16.4): a sender does not reach by that whom he
    /// may not.
    fn look_behind_maddr(&self, target: &Target) -> Result<(), Reason> {
        let rights = self.request.rights;
        if rights == Rights::Phone || target.led.is_some_and(|led| led.allowed) {
            return Ok(());
        }
        if target.maddr == Maddr::Several {
            return Err(Reason::Malformed(Fault::Value("maddr in Request-URI")));
        }
        let Some(uri) = target.uri.filter(|_| target.maddr == Maddr::Numeric) else { return Ok(()) };
        let HostPort { address, port_number, .. } = uri.hostport;
        let host = address.map(|host| SocketAddr::new(canonical(host), port_number.unwrap_or(SIP_PORT)));
        if host.is_some_and(|host| !self.directory.may_reach(rights, host)) { Err(Reason::Forbidden) } else { Ok(()) }
    }

    fn is_our_options(&self, target: &Target) -> bool {
        let bare = target.uri.is_some_and(|uri| uri.user.is_none());
        self.request.method == Method::Options && bare && target.led.is_none() && target.is_listen(self.directory)
    }

    /// To a numeric address.
    fn to_numeric(&self, to: SocketAddr, target: &Target) -> Result<Hop, Reason> {
        let allowed = target.led.is_some_and(|led| led.allowed);
        if Family::at(to) == self.leaving {
            if !allowed && !self.directory.may_reach(self.request.rights, to) {
                return Err(Reason::Forbidden);
            }
            return Ok(self.hop(to, self.leaving_uri(target), target));
        }
        if let Some(index) = self.directory.fake(to) {
            return self.to_phone(index, target);
        }
        let phone = self.directory.phone(to).and_then(|index| self.directory.map(index));
        let is_phone = phone.is_some_and(|map| map.phone == to || allowed);
        if !is_phone && self.request.rights != Rights::Phone {
            return Err(Reason::Forbidden);
        }
        let request_uri = if target.led.is_some() { RequestUri::Hairpin } else { RequestUri::Mapped };
        Ok(self.hop(self.directory.counterpart(self.arrival, to), request_uri, target))
    }

    /// A name, a number, or our own listen address: to the uplink.
    fn undirected(&self, target: &Target) -> Result<Hop, Reason> {
        // Where it does not decide it counts for nothing; the uplink might follow it.
        if target.maddr == Maddr::Unreadable {
            return Err(Reason::Malformed(Fault::Value("maddr in Request-URI")));
        }
        let to = self.uplink(Reason::NoUplink)?;
        let ours = target.is_listen(self.directory);
        let request_uri = if ours { RequestUri::Uplink } else { self.leaving_uri(target) };
        Ok(self.hop(to, request_uri, target))
    }
}
