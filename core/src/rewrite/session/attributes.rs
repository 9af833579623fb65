//! Which attributes must not leave with a stream that is relayed.
//!
//! | attribute | why it goes |
//! |-----------|-------------|
//! | `candidate`, `remote-candidates`, `ice-*`, `end-of-candidates`, `x-candidate-*`, `x-alt`, `alt` | ICE (RFC 8839) and its forerunners: a candidate leads past the relay or names the wrong family |
//! | `altc` | an address of either family to choose from (RFC 6947) |
//! | `source-filter` | the source that the receiver sees is the relay (RFC 4570) |
//! | `ccap`, `ccap-v0` in `csup` and `creq`, `c=` in `pcfg` and `acfg` | other addresses on offer (RFC 7006) |
//! | `acap` of one of these or of `rtcp` | the same as a capability (RFC 5939) |
//! | `visited-realm`, `secondary-realm` | earlier addresses, to bypass relays (3GPP TS 29.079) |
//! | `oldmediaip`, `oldoip` | notes of other relays with an address |
//! | `path` (RFC 4975), `multicast-rtcp` (RFC 6128) | an address or port of what is never relayed |
//! | `group:BUNDLE`, `bundle-only` | all streams on one port (RFC 9143); each has its own here |
//! | `group:ANAT` | the same stream in both families to choose from (RFC 4091) |
//!
//! All others stay.

use crate::edit::Edits;
use crate::scan::Span;
use crate::sdp::attribute::{Attribute, Name};
use crate::sdp::line::{is_blank, separated};

/// What becomes of an attribute of a stream that does not pass untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It stays.
    Stay,
    /// Its line goes: it is part of ICE.
    Ice,
    /// Its line goes.
    Cut,
    /// It is rewritten (RFC 3605).
    Rtcp,
    /// The `ccap-v0` in its list goes.
    Options,
    /// The `c=` in its list goes.
    Configuration,
}

/// What becomes of `attribute`.
pub fn disposition(message: &[u8], attribute: &Attribute) -> Disposition {
    let value = || attribute.value.of(message);
    match attribute.name {
        Name::Rtcp => Disposition::Rtcp,
        Name::Ice | Name::IceCredential => Disposition::Ice,
        Name::OtherAddress | Name::BundleOnly => Disposition::Cut,
        Name::Group if is_group_to_cut(value()) => Disposition::Cut,
        Name::Capability if is_capability_to_cut(value()) => Disposition::Cut,
        Name::Extensions => Disposition::Options,
        Name::Configuration => Disposition::Configuration,
        Name::Direction(_) | Name::RtcpMux | Name::Group | Name::Capability => Disposition::Stay,
    }
}

/// `group:<semantics> <mid> ...` (RFC 5888 §5).
fn is_group_to_cut(value: &[u8]) -> bool {
    let semantics = value.split(|&byte| is_blank(byte)).next().unwrap_or_default();
    ["BUNDLE", "ANAT"].iter().any(|name| semantics.eq_ignore_ascii_case(name.as_bytes()))
}

/// `acap:<number> <attribute>[:<value>]` (RFC 5939 §3.4.1).
fn is_capability_to_cut(value: &[u8]) -> bool {
    let mut fields = value.split(|&byte| is_blank(byte)).filter(|field| !field.is_empty());
    let capability = fields.nth(1).unwrap_or_default();
    let name = capability.split(|&byte| byte == b':').next().unwrap_or_default();
    matches!(Name::of(name), Some(Name::Rtcp | Name::Ice | Name::IceCredential | Name::OtherAddress | Name::BundleOnly))
}

/// Cuts `ccap-v0` out of a list of option tags (RFC 5939 §3.3, RFC 7006).
pub(super) fn cut_option(message: &[u8], attribute: &Attribute, edits: &mut Edits) {
    let is_one = |item: Span| item.of(message).eq_ignore_ascii_case(b"ccap-v0");
    cut_items(message, attribute, |byte| byte == b',' || is_blank(byte), is_one, edits);
}

/// Cuts `c=` and `+c=` out of a configuration (RFC 5939 §3.5, RFC 7006).
pub(super) fn cut_connection_capability(message: &[u8], attribute: &Attribute, edits: &mut Edits) {
    let is_one = |item: Span| {
        let item = item.of(message);
        let item = item.strip_prefix(b"+").unwrap_or(item);
        item.starts_with(b"c=") || item.starts_with(b"C=")
    };
    cut_items(message, attribute, is_blank, is_one, edits);
}

/// Cuts items out of a list with the separators that they leave behind, or the
/// whole line if no item is left.
fn cut_items(
    message: &[u8],
    attribute: &Attribute,
    separates: impl Fn(u8) -> bool,
    is_to_go: impl Fn(Span) -> bool,
    edits: &mut Edits,
) {
    let list = attribute.value;
    let mut kept: Option<Span> = None;
    let mut cut: Option<Span> = None;
    for item in separated(message, list, separates) {
        if is_to_go(item) {
            cut = Some(item);
            continue;
        }
        match (cut.take(), kept) {
            (Some(cut), Some(kept)) => edits.remove(kept.end..cut.end),
            (Some(_), None) => edits.remove(list.start..item.start),
            (None, _) => {}
        }
        kept = Some(item);
    }
    match (cut, kept) {
        (Some(cut), Some(kept)) => edits.remove(kept.end..cut.end),
        (Some(_), None) => edits.remove(attribute.line.whole().range()),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::line::Lines;

    fn attribute(text: &str) -> Option<Attribute> {
        let line = Lines::new(text.as_bytes(), Span::new(0, text.len())).next().unwrap().unwrap();
        line.attribute(text.as_bytes())
    }

    #[test]
    fn what_leads_past_the_relay_goes() {
        for (text, expected) in [
            ("a=candidate:1 1 UDP 1 192.0.2.1 5000 typ host", Disposition::Ice),
            ("a=Candidate:1 1 UDP 1 192.0.2.1 5000 typ host", Disposition::Ice),
            ("a=ice-lite", Disposition::Ice),
            ("a=x-candidate-ipv6:3 1 UDP 1 2001:db8::1 2936 typ host", Disposition::Ice),
            ("a=altc:1 IP4 192.0.2.1 5000", Disposition::Cut),
            ("a=group:BUNDLE a b", Disposition::Cut),
            ("a=group:LS 1 2", Disposition::Stay),
            ("a=acap:1 candidate:1 1 UDP 1 192.0.2.1 5000 typ host", Disposition::Cut),
            ("a=acap:2 rtcp:5001", Disposition::Cut),
            ("a=acap:3 crypto:1 x", Disposition::Stay),
            ("a=path:msrp://192.0.2.1:7777/x;tcp", Disposition::Cut),
            ("a=rtcp-mux", Disposition::Stay),
            ("a=rtcp-fb:* nack", Disposition::Stay),
            ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", Disposition::Stay),
            ("a=fingerprint:sha-256 AB:CD", Disposition::Stay),
            ("a=setup:actpass", Disposition::Stay),
            ("a=10.0.65.0:yes", Disposition::Stay),
            ("a=alternative:x", Disposition::Stay),
            ("a=", Disposition::Stay),
        ] {
            let found = attribute(text).map(|attribute| disposition(text.as_bytes(), &attribute));
            assert_eq!(found.unwrap_or(Disposition::Stay), expected, "{text}");
        }
    }

    fn cut(text: &str, cut: impl Fn(&[u8], &Attribute, &mut Edits)) -> String {
        let mut edits = Edits::default();
        cut(text.as_bytes(), &attribute(text).unwrap(), &mut edits);
        let mut out = Vec::new();
        edits.apply(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn option_tags_are_cut_out_of_their_list() {
        for (before, after) in [
            ("a=csup:cap-v0,ccap-v0\r\n", "a=csup:cap-v0\r\n"),
            ("a=csup:ccap-v0,ccap-v0,cap-v0\r\n", "a=csup:cap-v0\r\n"),
            ("a=csup:a,ccap-v0,CCAP-V0,b\r\n", "a=csup:a,b\r\n"),
            ("a=creq:ccap-v0\r\n", ""),
            ("a=creq:cap-v0\r\n", "a=creq:cap-v0\r\n"),
            ("a=creq\r\n", "a=creq\r\n"),
        ] {
            assert_eq!(cut(before, cut_option), after, "{before}");
        }
    }

    #[test]
    fn connections_are_cut_out_of_configurations() {
        assert_eq!(cut("a=pcfg:1 c=1 t=1\r\n", cut_connection_capability), "a=pcfg:1 t=1\r\n");
        assert_eq!(cut("a=pcfg:1 t=1 +c=1|2\r\n", cut_connection_capability), "a=pcfg:1 t=1\r\n");
        assert_eq!(cut("a=acfg:1 t=1\r\n", cut_connection_capability), "a=acfg:1 t=1\r\n");
    }
}
