//! Attributes (RFC 8866 §5.13): which one an `a=` line is, and what it says.

use super::line::Line;
use crate::scan::{Span, find, is_lws, trim, trim_span};

/// An `a=` line: `a=<name>` or `a=<name>:<value>` (RFC 8866 §5.13).
///
/// ```
/// use sipproxy64_core::scan::Span;
/// use sipproxy64_core::sdp::attribute::Name;
/// use sipproxy64_core::sdp::line::Lines;
/// let text = b"a=RTCP: 53020";
/// let line = Lines::new(text, Span::new(0, text.len())).next().unwrap()?;
/// let attribute = line.attribute(text).unwrap();
/// assert_eq!(attribute.name, Name::Rtcp);
/// assert_eq!(attribute.value.of(text), b"53020");
/// # Ok::<(), sipproxy64_core::sdp::malformed::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Which one it is.
    pub name: Name,
    /// What stands behind the colon, without blanks around it; empty where there is
    /// no colon.
    pub value: Span,
    /// Its line.
    pub line: Line,
}

impl Attribute {
    /// Reads an `a=` line; `None`: its name is none that is known here.
    pub(super) fn read(message: &[u8], line: Line) -> Option<Self> {
        let text = line.value.of(message);
        let colon = find(text, b':').unwrap_or(text.len());
        let name = Name::of(text.get(..colon).unwrap_or_default())?;
        let behind = (line.value.start + colon + 1).min(line.value.end);
        let value = trim_span(message, Span::new(behind, line.value.end));
        Some(Self { name, value, line })
    }
}

/// In which direction media flows, seen from who wrote the description (RFC
/// 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways, which is the default.
    SendReceive,
    /// The writer sends only: the other party is on hold.
    SendOnly,
    /// The writer listens only.
    ReceiveOnly,
    /// Neither way.
    Inactive,
}

/// The attributes that a relay must know, by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `sendrecv`, `sendonly`, `recvonly`, `inactive`.
    Direction(Direction),
    /// `rtcp` (RFC 3605).
    Rtcp,
    /// `rtcp-mux`, `rtcp-mux-only` (RFC 5761, RFC 8858).
    RtcpMux,
    /// `ice-ufrag`, `ice-pwd`: without them no stream can use ICE (RFC 8839).
    IceCredential,
    /// The others of ICE and its forerunners: `candidate`, `remote-candidates`,
    /// `end-of-candidates`, `alt`, `x-alt`, all that begins with `ice-` or
    /// `x-candidate`.
    Ice,
    /// `group` (RFC 5888).
    Group,
    /// `bundle-only` (RFC 9143).
    BundleOnly,
    /// An address beside that of the `c=` line: `altc` (RFC 6947), `ccap` (RFC
    /// 7006), `source-filter` (RFC 4570), `visited-realm`, `secondary-realm`
    /// (3GPP TS 29.079), `oldmediaip`, `oldoip`, `path` (RFC 4975); or a port beside that
    /// of the `m=` line: `multicast-rtcp` (RFC 6128).
    OtherAddress,
    /// `acap`: an attribute as a capability (RFC 5939).
    Capability,
    /// `csup`, `creq`: the extensions in use (RFC 5939).
    Extensions,
    /// `pcfg`, `acfg`: a choice of capabilities (RFC 5939).
    Configuration,
}

impl Name {
    /// Whether a known name may stand at the front of `text`. Nearly all attributes
    /// are others (`rtpmap`, `fmtp`), and two of their letters tell.
    #[inline]
    pub(super) fn may_begin(text: &[u8]) -> bool {
        let &[first, _, third, ..] = text else { return false };
        let thirds = THIRD_LETTERS.get(usize::from(first & 31)).copied().unwrap_or_default();
        thirds & bit_of(third) != 0 || is_lws(first)
    }

    /// The attribute of that name, with blanks around it or not. Names are
    /// case-sensitive, but not all senders know (`a=SendRecv` occurs).
    pub fn of(name: &[u8]) -> Option<Self> {
        let name = if is_lws(*name.first()?) || is_lws(*name.last()?) { trim(name) } else { name };
        let first = name.first()?.to_ascii_lowercase();
        let is = |known: &str| {
            let known = known.as_bytes();
            known.first() == Some(&first) && (name == known || name.eq_ignore_ascii_case(known))
        };
        match of_length(name.len()).iter().find(|(known, _)| is(known)) {
            Some(&(_, name)) => Some(name),
            None => (matches!(first, b'i' | b'x') && is_of_ice(name)).then_some(Self::Ice),
        }
    }
}

/// A bit for each letter, in upper or lower case. Other bytes share them.
const fn bit_of(letter: u8) -> u32 {
    1 << (letter & 31)
}

/// By the first letter of known names, the letters that stand third in them.
const THIRD_LETTERS: [u32; 32] = {
    let mut letters = note_third_letter(note_third_letter([0; 32], ICE), X_CANDIDATE);
    let mut length = 0;
    while length < 32 {
        let mut names = of_length(length);
        while let [(name, _), rest @ ..] = names {
            letters = note_third_letter(letters, name);
            names = rest;
        }
        length += 1;
    }
    letters
};

#[allow(clippy::indexing_slicing)] // const: an index out of bounds would not compile
const fn note_third_letter(mut letters: [u32; 32], name: &str) -> [u32; 32] {
    letters[(name.as_bytes()[0] & 31) as usize] |= bit_of(name.as_bytes()[2]);
    letters
}

/// How the names of families begin that ICE has.
const ICE: &str = "ice-";
const X_CANDIDATE: &str = "x-candidate";

/// The known names of so many letters.
const fn of_length(length: usize) -> &'static [(&'static str, Name)] {
    match length {
        3 => &[("alt", Name::Ice)],
        4 => &[
            ("rtcp", Name::Rtcp),
            ("path", Name::OtherAddress),
            ("acap", Name::Capability),
            ("acfg", Name::Configuration),
            ("pcfg", Name::Configuration),
            ("creq", Name::Extensions),
            ("csup", Name::Extensions),
            ("altc", Name::OtherAddress),
            ("ccap", Name::OtherAddress),
        ],
        5 => &[("group", Name::Group), ("x-alt", Name::Ice)],
        6 => &[("oldoip", Name::OtherAddress)],
        7 => &[("ice-pwd", Name::IceCredential)],
        8 => &[
            ("sendrecv", Name::Direction(Direction::SendReceive)),
            ("sendonly", Name::Direction(Direction::SendOnly)),
            ("recvonly", Name::Direction(Direction::ReceiveOnly)),
            ("inactive", Name::Direction(Direction::Inactive)),
            ("rtcp-mux", Name::RtcpMux),
        ],
        9 => &[("candidate", Name::Ice), ("ice-ufrag", Name::IceCredential)],
        10 => &[("oldmediaip", Name::OtherAddress)],
        11 => &[("bundle-only", Name::BundleOnly)],
        13 => &[
            ("rtcp-mux-only", Name::RtcpMux),
            ("source-filter", Name::OtherAddress),
            ("visited-realm", Name::OtherAddress),
        ],
        14 => &[("multicast-rtcp", Name::OtherAddress)],
        15 => &[("secondary-realm", Name::OtherAddress)],
        17 => &[("end-of-candidates", Name::Ice), ("remote-candidates", Name::Ice)],
        _ => &[],
    }
}

/// Whether a name is one of the families of names that ICE has.
fn is_of_ice(name: &[u8]) -> bool {
    [ICE, X_CANDIDATE]
        .iter()
        .any(|front| name.get(..front.len()).is_some_and(|name| name.eq_ignore_ascii_case(front.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::line::Lines;

    #[test]
    fn attributes_have_a_name_and_perhaps_a_value() {
        let text = b"a=rtcp: 53020 IN\r\na= SendRecv \r\nb=AS:1\r\n";
        let found: Vec<_> = Lines::new(text, Span::new(0, text.len()))
            .flatten()
            .filter_map(|line| line.attribute(text))
            .map(|attribute| (attribute.name, attribute.value.of(text)))
            .collect();
        assert_eq!(found, [(Name::Rtcp, &b"53020 IN"[..]), (Name::Direction(Direction::SendReceive), b"")]);
    }

    #[test]
    fn every_known_name_stands_under_its_length() {
        for length in 0..32 {
            for (name, known) in of_length(length) {
                assert_eq!(name.len(), length, "{name}");
                for written in [name.to_string(), name.to_uppercase(), format!(" {name}\t")] {
                    assert_eq!(Name::of(written.as_bytes()), Some(*known), "{written}");
                    assert!(Name::may_begin(written.as_bytes()), "{written}");
                }
            }
        }
    }

    #[test]
    fn names_of_ice_are_known_by_how_they_begin() {
        for (name, expected) in [
            ("ice-", Some(Name::Ice)),
            ("ICE-lite", Some(Name::Ice)),
            ("x-candidate", Some(Name::Ice)),
            ("X-Candidate-info", Some(Name::Ice)),
            (" ice-lite\t", Some(Name::Ice)),
            ("ice", None),
            ("x-cand", None),
            ("candidates", None),
            ("rtpmap", None),
            (" ", None),
            ("", None),
        ] {
            assert_eq!(Name::of(name.as_bytes()), expected, "{name}");
            assert!(expected.is_none() || Name::may_begin(name.as_bytes()), "{name}");
        }
    }
}
