//! The signatures of ours that a message holds, and the same under another key.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::branch::{Below, Branch, MAGIC_COOKIE};
use crate::config::Key;
use crate::family::{canonical, canonical_endpoint};
use crate::rewrite::reply::to_tag;
use crate::scan::Span;
use crate::sip::header::{HeaderName, Values};
use crate::sip::message::{Fields, Message};
use crate::sip::name_addr::NameAddrs;
use crate::sip::uri::Uri;
use crate::sip::via::{Via, Vias};
use crate::target::Numeric;
use crate::text::Text;
use crate::token::{Seal, Token, Written, seal_everybody, seal_recipient, seal_route, seal_source};

/// By which key signatures are made, and for whom: who sent the message, or who
/// it is sent to.
#[derive(Clone, Copy, Debug)]
pub struct Party {
    /// The key.
    pub key: Key,
    /// The address of the other one.
    pub peer: IpAddr,
}

/// In a URI that is longer no signature is looked for.
const MAX_URI: usize = 2000;

/// Signs `copy` under the key of `to` wherever `original` is signed under that
/// of `from`. The two are one message, but the copy may have other addresses and
/// names. What nobody signed stays as it is.
pub fn reseal(original: &[u8], from: &Party, copy: &mut [u8], to: &Party) {
    let (mut fields, mut copied) = (Fields::default(), Fields::default());
    let (Ok(message), Ok(copy_message)) = (Message::parse(original, &mut fields), Message::parse(copy, &mut copied))
    else {
        return;
    };
    let proofs: Vec<Option<Proof>> = sites(&message).iter().map(|site| site.proof(&message, from)).collect();
    let sites = sites(&copy_message);
    let blank = copy.len().saturating_sub(copy_message.bytes.len());
    let Some(copy) = copy.get_mut(blank..) else { return };
    // From the last Via up, as each branch is signed with the one below it.
    for (site, proof) in sites.iter().zip(&proofs).rev() {
        let Some(proof) = *proof else { continue };
        let seal = match site.claim {
            Claim::Branch(..) | Claim::ToTag => {
                Message::parse(copy, &mut copied).ok().and_then(|message| site.claim.seal(Some(&message), proof, to))
            }
            Claim::Written(_) | Claim::Source(..) | Claim::Route(..) => site.claim.seal(None, proof, to),
        };
        if let (Some(seal), Some(place)) = (seal, copy.get_mut(site.at.clone())) {
            put(place, seal);
        }
    }
}

/// Writes a signature in the case that the one before it has.
fn put(place: &mut [u8], seal: Seal) {
    let mut digits = Vec::with_capacity(Seal::LENGTH);
    seal.write(&mut digits);
    if place.iter().any(u8::is_ascii_uppercase) {
        digits.make_ascii_uppercase();
    }
    if place.len() == digits.len() {
        place.copy_from_slice(&digits);
    }
}

/// Why a signature is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Everybody may use it.
    Everybody,
    /// The other party may.
    Recipient,
    /// There is but one way to sign this.
    Only,
}

/// A place for a signature.
#[derive(Clone, Debug)]
struct Site {
    /// Its digits.
    at: Range<usize>,
    claim: Claim,
}

/// What a signature would prove.
#[derive(Clone, Debug)]
enum Claim {
    /// A branch of ours, above this Via.
    Branch(Branch, Box<Via>),
    /// `s64=WRITTEN__SIG`
    Written(SocketAddr),
    /// `s64=WRITTEN_SOURCE_SIG`
    Source(SocketAddr, SocketAddr),
    /// `received=` of a Route of ours.
    Route(SocketAddr, SocketAddr),
    /// The To-tag of an answer of ours.
    ToTag,
}

impl Site {
    fn proof(&self, message: &Message<'_>, party: &Party) -> Option<Proof> {
        let found = Span::new(self.at.start, self.at.end).of(message.bytes);
        let found = Seal::parse(found)?;
        [Proof::Only, Proof::Everybody, Proof::Recipient]
            .into_iter()
            .find(|&proof| self.claim.seal(Some(message), proof, party) == Some(found))
    }
}

impl Claim {
    /// The signature that would prove it; branches and tags need the message.
    fn seal(&self, message: Option<&Message<'_>>, proof: Proof, Party { key, peer }: &Party) -> Option<Seal> {
        match (self, proof) {
            (Self::Branch(branch, below), Proof::Only) => {
                let message = message?;
                let cseq = message.cseq().ok()?.number;
                let below = Below::new(message.bytes, below);
                Some(below.seal(key, branch.arrival, branch.rights, message.call_id().ok()?, cseq))
            }
            (Self::Written(written), Proof::Everybody) => Some(seal_everybody(key, *written)),
            (Self::Written(written), Proof::Recipient) => Some(seal_recipient(key, *written, canonical(*peer))),
            (Self::Source(written, source), Proof::Only) => Some(seal_source(key, *written, *source)),
            (Self::Route(route, received), Proof::Only) => Some(seal_route(key, *route, *received)),
            (Self::ToTag, Proof::Only) => {
                let cseq = message?.cseq().map_or(0, |cseq| cseq.number);
                Some(to_tag(key, message?.call_id().ok()?, cseq))
            }
            _ => None,
        }
    }
}

/// The places for signatures, those of the Vias first, from the topmost on.
fn sites(message: &Message<'_>) -> Vec<Site> {
    let mut sites = branches(message);
    sites.extend(tag(message));
    let text = message.bytes;
    let semicolons = text.iter().enumerate().filter(|(_, byte)| **byte == b';');
    sites.extend(semicolons.filter_map(|(start, _)| parameter(text, start)));
    sites
}

/// The branches of ours, each with the Via below.
fn branches(message: &Message<'_>) -> Vec<Site> {
    let vias: Vec<Via> = Vias::new(message).map_while(Result::ok).collect();
    let pairs = vias.iter().zip(vias.iter().skip(1));
    let site = |(via, below): (&Via, &Via)| {
        let value = via.branch?;
        let branch = Branch::parse(value.of(message.bytes))?;
        let start = value.start.saturating_add(MAGIC_COOKIE.len());
        Some(Site { at: digits_at(start), claim: Claim::Branch(branch, Box::new(*below)) })
    };
    pairs.filter_map(site).collect()
}

/// The To-tag.
fn tag(message: &Message<'_>) -> Option<Site> {
    let to = message.first(HeaderName::TO)?;
    let value = NameAddrs::new(message.bytes, to.value, Values::One).next()?.ok()?;
    let tag = value.first_parameter(message.bytes, b"tag")?.value;
    (tag.len() == Seal::LENGTH).then(|| Site { at: tag.range(), claim: Claim::ToTag })
}

/// The URI parameter whose semicolon stands at `start`, if it is one of ours.
fn parameter(text: &[u8], start: usize) -> Option<Site> {
    let behind = text.get(start.saturating_add(1)..)?;
    let equals = behind.iter().take(8).position(|&byte| byte == b'=')?;
    let (name, value) = (behind.get(..equals)?, behind.get(equals.saturating_add(1)..)?);
    let is = |ours: &[u8]| name.eq_ignore_ascii_case(ours);
    let length = value.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b".-~_".contains(byte)).count();
    let value = value.get(..length)?;
    let claim = if is(b"s64") {
        let token = Token::parse(value)?;
        token.seal?;
        of_token(token.written.endpoint, token.source)
    } else if is(b"s64x") && Token::is_beyond(value) {
        // What a token had, behind what it says: put together they are one again.
        let written = uri_before(text, start)?.endpoint;
        let source = value.split(|&byte| byte == b'_').nth(1).and_then(Written::parse);
        of_token(written, source.map(|source| source.endpoint))
    } else if is(b"sig") {
        let uri = uri_before(text, start)?;
        Claim::Route(uri.endpoint, Written::parse(&uri.received?)?.endpoint)
    } else {
        return None;
    };
    let end = start.saturating_add(equals).saturating_add(length).saturating_add(2);
    let digits = end.checked_sub(Seal::LENGTH)?..end;
    Seal::parse(text.get(digits.clone())?)?;
    Some(Site { at: digits, claim })
}

fn of_token(written: SocketAddr, source: Option<SocketAddr>) -> Claim {
    let written = canonical_endpoint(written);
    source.map_or(Claim::Written(written), |source| Claim::Source(written, source))
}

fn digits_at(start: usize) -> Range<usize> {
    start..start.saturating_add(Seal::LENGTH)
}

/// What a signature in a parameter of a URI is about.
struct Target {
    endpoint: SocketAddr,
    received: Option<Vec<u8>>,
}

/// The URI, one of whose parameters begins at `start`.
fn uri_before(text: &[u8], start: usize) -> Option<Target> {
    let nearest = start.saturating_sub(MAX_URI);
    let line = text.get(nearest..start)?.iter().rposition(|&byte| matches!(byte, b'<' | b'\n' | b' ' | b','))?;
    let rest = text.get(nearest.saturating_add(line).saturating_add(1)..)?;
    // Up to the end of the brackets, or of the value where there are none.
    let length = rest.iter().take(MAX_URI).position(|&byte| matches!(byte, b'>' | b'\r' | b'\n' | b' ' | b','))?;
    let text = rest.get(..length)?;
    let uri = Uri::parse(text)?;
    let received = uri.last_parameter(text, b"received").map(|received| received.value.of(text).to_vec());
    Some(Target { endpoint: Numeric::of(text, &uri)?.endpoint(), received })
}
