//! One URI: its numeric host becomes the counterpart, or what it was before.
//!
//! The mapping is exactly invertible: a URI comes back to the side that wrote it
//! byte for byte (added brackets may stay). Of its three rules the first that applies:
//!
//! 1. A phone and its fake change places, and so do the listen addresses, where written
//!    plainly (RFC 5952).
//! 2. A phone with another port, or in another spelling, becomes its fake with an `s64=`
//!    that holds host and port as they stood.
//! 3. Any other address becomes our listen address with such an `s64=`.

use std::net::SocketAddr;

use crate::address::{Directory, Rights, StandIn, plain};
use crate::edit::Edits;
use crate::family::{Family, canonical};
use crate::scan::Span;
use crate::sip::host::SIP_PORT;
use crate::sip::name_addr::UriForm;
use crate::sip::uri::{Parameter, Uri};
use crate::target::{Numeric, TOKEN_NAME, token};
use crate::text::{AddressAndPort, Sink, Text};
use crate::token::{Dashed, Seal, Tilde, Token, seal_everybody, seal_recipient, seal_source};

/// The name of the parameter that keeps what else was in a token that was restored: in
/// From and To, and on the first pass of a hairpin.
const REST_NAME: &[u8] = b"s64x";

/// One message that crosses: from where to where, and by whose word.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    /// Who is who.
    pub directory: &'a Directory,
    /// The side it came from.
    pub arrival: Family,
    /// Where the packet came from.
    pub source: SocketAddr,
    /// What its sender may do.
    pub rights: Rights,
    /// Where it is sent to.
    pub destination: SocketAddr,
    /// It is a 3xx response.
    pub redirect: bool,
    /// It comes from another port than the dialog began with.
    pub another_port: bool,
}

/// Where in a message a URI stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From or To: WRITTEN alone, the same whoever sends.
    Identity,
    /// A Contact, to which requests of the dialog will be sent.
    Contact,
    /// Any other header field, or the Request-URI.
    Elsewhere,
    /// A header field that has no place for a parameter: rule 1 alone.
    Bare,
}

impl Crossing<'_> {
    /// Maps the URI that stands in `span` of `text`. One in brackets may gain parameters
    /// as it stands, and so may the Request-URI.
    pub fn map(&self, text: &[u8], span: Span, place: Place, form: UriForm, edits: &mut Edits) {
        if let Some(uri) = Uri::within(text, span) {
            self.map_uri(text, &uri, place, form, edits);
        }
    }

    /// Maps a URI that was read from `text`, as [`Crossing::map`] does.
    pub fn map_uri(&self, text: &[u8], uri: &Uri, place: Place, form: UriForm, edits: &mut Edits) {
        let Some(target) = Numeric::of(text, uri) else { return };
        let endpoint = SocketAddr::new(target.address, target.port.unwrap_or(SIP_PORT));
        let ours = Family::at(endpoint) == self.arrival && self.directory.is_ours(endpoint);
        if ours
            && place != Place::Bare
            && let Some((parameter, token)) = token(text, uri)
        {
            let stays = place == Place::Identity || self.directory.is_ours(self.destination);
            let proof = if stays { Proof::Stays } else { Proof::Goes };
            restore(text, uri, &target, (parameter, &token), proof, edits);
        } else if let Some(counterpart) = self.plain_counterpart(text, uri, &target) {
            self.by_rule_1(text, uri, &target, counterpart, edits);
        } else if place != Place::Bare {
            self.by_token(text, uri, &target, place, form, edits);
        }
    }

    /// The counterpart by rule 1.
    fn plain_counterpart(&self, text: &[u8], uri: &Uri, target: &Numeric) -> Option<AddressAndPort> {
        let counterpart = self.directory.plain_counterpart(self.arrival, target.address, target.port)?;
        target.is_plain(text, uri).then_some(counterpart)
    }

    fn by_rule_1(&self, text: &[u8], uri: &Uri, target: &Numeric, counterpart: AddressAndPort, edits: &mut Edits) {
        let endpoint = SocketAddr::new(target.address, target.port.unwrap_or(SIP_PORT));
        put_host(uri, target, counterpart, self.directory, edits);
        if self.directory.fake(endpoint).is_some() {
            rename_down(text, uri, None, edits);
        } else if !self.directory.is_listen(endpoint) {
            rename_up(text, uri, edits);
        }
    }

    /// Rules 2 and 3: an address of ours, with `s64=`.
    fn by_token(&self, text: &[u8], uri: &Uri, target: &Numeric, place: Place, form: UriForm, edits: &mut Edits) {
        let (stand_in, rule) = self.directory.stand_in(self.arrival, target.address, target.port);
        put_host(uri, target, plain(stand_in), self.directory, edits);
        let returns = || place == Place::Identity || self.directory.is_ours(self.source);
        let rest = rest(text, uri).filter(|_| returns());
        rename_up(text, uri, edits);
        let beyond = match rest {
            Some(rest) => self.returned(rest.value.of(text), target, rule, place),
            None => self.beyond(target, rule, place),
        };
        let port = uri.hostport.port.map(|port| port.of(text));
        let shown = Shown { host: target.host.of(text), port, beyond };
        match rest {
            Some(rest) => edits.replace(rest.whole.range(), (";s64=", &shown)),
            None => edits.insert(uri.parameters.end, (";s64=", &shown)),
        }
        if form == UriForm::Bare {
            edits.insert(uri.start, "<");
            edits.insert(uri.end, ">");
        }
    }

    /// What stands behind WRITTEN in a token that was restored before. A proof for somebody
    /// else gives way to one for whom it goes to now.
    fn returned<'a>(&self, rest: &'a [u8], target: &Numeric, rule: StandIn, place: Place) -> Beyond<'a> {
        if place == Place::Identity || Token::lets_everybody(self.directory.key(), target.endpoint(), rest) {
            return Beyond::Kept(rest);
        }
        match self.beyond(target, rule, place) {
            Beyond::Nothing => Beyond::Kept(rest),
            anew => anew,
        }
    }

    /// What stands behind WRITTEN: who may use the token, and what proves it.
    fn beyond(&self, target: &Numeric, rule: StandIn, place: Place) -> Beyond<'static> {
        let key = self.directory.key();
        let written = target.endpoint();
        let roams =
            place == Place::Contact && rule == StandIn::Listen && self.rights != Rights::Uplink && !self.redirect;
        if place == Place::Identity {
            Beyond::Nothing
        } else if written.ip() == canonical(self.source.ip())
            && !self.directory.is_ours(self.source)
            && !(self.another_port && roams)
        {
            Beyond::Seal(seal_everybody(key, written))
        } else if roams {
            Beyond::Source(self.source, seal_source(key, written, self.source))
        } else if self.rights != Rights::Generic {
            Beyond::Seal(seal_recipient(key, written, self.destination.ip()))
        } else {
            Beyond::Nothing
        }
    }
}

/// Puts `new` in the place of host and port.
pub fn put_host(uri: &Uri, target: &Numeric, new: AddressAndPort, directory: &Directory, edits: &mut Edits) {
    edits.replace(target.host.range(), directory.spelled(AddressAndPort { port: None, ..new }));
    put_port(uri, new.port, edits);
}

/// Puts `port` behind the host of a URI.
pub fn put_port(uri: &Uri, port: Option<impl Text>, edits: &mut Edits) {
    // With the colon before it; where there is none, right behind the host.
    let behind = uri.hostport.port.map_or(uri.hostport.host.end, |port| port.end);
    let at = uri.hostport.host.end..behind;
    match port {
        Some(port) => edits.replace(at, (":", port)),
        None if at.is_empty() => {}
        None => edits.remove(at),
    }
}

/// What becomes of the proof in a token, all that it has behind WRITTEN, when its URI is
/// restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It stays, as `s64x=`.
    Stays,
    /// It goes.
    Goes,
}

/// Gives a URI back the host and port that its token holds.
pub fn restore(
    text: &[u8],
    uri: &Uri,
    target: &Numeric,
    (parameter, token): (Parameter, &Token<'_>),
    proof: Proof,
    edits: &mut Edits,
) {
    edits.replace(target.host.range(), token.written.bracketed_host());
    put_port(uri, token.written.port, edits);
    if proof == Proof::Stays && !token.beyond.is_empty() {
        edits.replace(parameter.whole.range(), (";s64x=", token.beyond));
    } else {
        edits.remove(parameter.whole.range());
    }
    rename_down(text, uri, Some(parameter), edits);
}

/// What stayed behind of a token that was restored: the first `s64x=`, as another
/// sipproxy64 before us has put its own behind. One that cannot be that belongs to
/// whoever wrote it.
fn rest(text: &[u8], uri: &Uri) -> Option<Parameter> {
    uri.parameters(text).find(|parameter| {
        parameter.name.of(text).eq_ignore_ascii_case(REST_NAME) && Token::is_beyond(parameter.value.of(text))
    })
}

/// Whether a name is `s64` with any number of `-` behind.
fn is_token_name(name: &[u8]) -> bool {
    name.split_at_checked(TOKEN_NAME.len())
        .is_some_and(|(stem, dashes)| stem.eq_ignore_ascii_case(TOKEN_NAME) && dashes.iter().all(|&byte| byte == b'-'))
}

/// `s64=` of another sipproxy64 becomes `s64-=`, and so on.
fn rename_up(text: &[u8], uri: &Uri, edits: &mut Edits) {
    if uri.parameters.is_empty() {
        return;
    }
    for parameter in uri.parameters(text).filter(|parameter| is_token_name(parameter.name.of(text))) {
        edits.insert(parameter.name.end, "-");
    }
}

/// And back again. An `s64=` as such stays.
pub fn rename_down(text: &[u8], uri: &Uri, except: Option<Parameter>, edits: &mut Edits) {
    if uri.parameters.is_empty() {
        return;
    }
    let others = uri.parameters(text).filter(|parameter| Some(*parameter) != except);
    for parameter in others.filter(|parameter| is_token_name(parameter.name.of(text))) {
        if parameter.name.len() > TOKEN_NAME.len() {
            edits.remove(parameter.name.end.saturating_sub(1)..parameter.name.end);
        }
    }
}

/// What a token has behind WRITTEN.
#[derive(Clone, Copy, Debug)]
enum Beyond<'a> {
    Nothing,
    Seal(Seal),
    Source(SocketAddr, Seal),
    Kept(&'a [u8]),
}

/// The text of a token.
struct Shown<'a> {
    host: &'a [u8],
    port: Option<&'a [u8]>,
    beyond: Beyond<'a>,
}

impl Text for Shown<'_> {
    fn write(&self, out: &mut impl Sink) {
        (Dashed(self.host), self.port.map(|port| ("~", port))).write(out);
        match self.beyond {
            Beyond::Nothing => {}
            Beyond::Seal(seal) => ("__", seal).write(out),
            Beyond::Source(source, seal) => ("_", Tilde(source), "_", seal).write(out),
            Beyond::Kept(rest) => rest.write(out),
        }
    }
}
