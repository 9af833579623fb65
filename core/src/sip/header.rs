//! The header fields of SIP: their names and what of theirs a bridge touches.
//!
//! [`TABLE`] is data: a header field that carries URIs is supported by giving it
//! a row. The names are those of IANA's registry and of common private ones.

mod lookup;
mod table;

use self::lookup::{MAX_NAME, Words, look_up};
pub use self::table::{Row, TABLE};
use super::method::Method;
use crate::scan::{find, lowest_bytes, place_in_word};

/// What a bridge does with the values of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They pass as they are.
    Left,
    /// `name-addr` or `addr-spec` values, whose numeric hosts are mapped.
    Uris,
    /// Such values in From and To: mapped so that they stay the same whoever sends
    /// them.
    Identity,
    /// Such values in Contact: what requests of the dialog will be sent to.
    Contact,
    /// A bare URI that has no place for a parameter: only plain addresses of
    /// phones and of ours are mapped.
    Bare,
    /// The path of messages: values of others pass, those of ours are laid and
    /// taken up by the rules of RFC 3261 §16.
    Path,
}

/// How many values one header field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One: a comma is part of it.
    One,
    /// A list: commas stand between them (RFC 3261 §7.3.1).
    List,
}

/// A row of [`TABLE`], or no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(u8);

#[allow(missing_docs)] // the names say it
impl HeaderName {
    pub const CALL_ID: Self = Self::known("Call-ID");
    pub const CONTACT: Self = Self::known("Contact");
    pub const CONTENT_ENCODING: Self = Self::known("Content-Encoding");
    pub const CONTENT_LENGTH: Self = Self::known("Content-Length");
    pub const CONTENT_TYPE: Self = Self::known("Content-Type");
    pub const CSEQ: Self = Self::known("CSeq");
    pub const FROM: Self = Self::known("From");
    pub const MAX_FORWARDS: Self = Self::known("Max-Forwards");
    pub const PATH: Self = Self::known("Path");
    pub const PROXY_REQUIRE: Self = Self::known("Proxy-Require");
    pub const RECORD_ROUTE: Self = Self::known("Record-Route");
    pub const REFER_TO: Self = Self::known("Refer-To");
    pub const REFERRED_BY: Self = Self::known("Referred-By");
    pub const REPLY_TO: Self = Self::known("Reply-To");
    pub const ROUTE: Self = Self::known("Route");
    pub const SERVICE_ROUTE: Self = Self::known("Service-Route");
    pub const TO: Self = Self::known("To");
    pub const USER_AGENT: Self = Self::known("User-Agent");
    pub const VIA: Self = Self::known("Via");
    /// A header field that is not in the table.
    pub const OTHER: Self = Self(TABLE.len() as u8);

    /// How many there are, [`HeaderName::OTHER`] included.
    pub const COUNT: usize = TABLE.len() + 1;

    /// Those of which a message may have no more than one, where a second one
    /// would be read by some and not by others.
    pub const SINGLE: [Self; 10] = [
        Self::CALL_ID,
        Self::CONTENT_LENGTH,
        Self::CONTENT_TYPE,
        Self::CSEQ,
        Self::FROM,
        Self::MAX_FORWARDS,
        Self::REFER_TO,
        Self::REFERRED_BY,
        Self::REPLY_TO,
        Self::TO,
    ];

    /// The header field of this name, long or compact, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        look_up(name, Words::of(name))
    }

    /// The header field of the table whose name stands at the front of `text`, with
    /// its colon right behind, and how long the name is. `None` says nothing: there
    /// may be one all the same, at the very end of a text.
    ///
    /// ```
    /// use sipproxy64_core::sip::header::HeaderName;
    /// assert_eq!(HeaderName::at_front(b"via: SIP/2.0/UDP a"), Some((HeaderName::VIA, 3)));
    /// assert_eq!(HeaderName::at_front(b"Via : SIP/2.0/UDP a"), None);
    /// ```
    #[inline]
    pub fn at_front(text: &[u8]) -> Option<(Self, usize)> {
        let [front, back] = text.first_chunk::<16>()?.as_chunks::<8>().0 else { return None };
        let (front, back) = (u64::from_le_bytes(*front), u64::from_le_bytes(*back));
        let (words, length) = match (place_in_word(front, b':'), place_in_word(back, b':')) {
            (Some(length), _) => (Words(front & lowest_bytes(length), 0), length),
            (None, Some(length)) => (Words(front, back & lowest_bytes(length)), 8 + length),
            (None, None) => {
                let behind = text.get(16..).unwrap_or_default();
                let most = behind.len().min(MAX_NAME - 16 + 1);
                (Words(front, back), 16 + find(behind.get(..most)?, b':')?)
            }
        };
        let name = look_up(text.get(..length)?, words);
        (name != Self::OTHER).then_some((name, length))
    }

    /// Whether a message may have no more than one.
    pub fn is_single(self) -> bool {
        IS_SINGLE.get(usize::from(self.0)).copied().unwrap_or(false)
    }

    /// Its place in a table of [`HeaderName::COUNT`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its row.
    pub fn row(self) -> Option<&'static Row> {
        TABLE.get(usize::from(self.0))
    }

    /// What is done with it.
    #[inline]
    pub fn kind(self) -> Kind {
        KINDS.get(usize::from(self.0)).copied().unwrap_or(Kind::Left)
    }

    /// How many values one may hold.
    pub fn values(self) -> Values {
        VALUES.get(usize::from(self.0)).copied().unwrap_or(Values::One)
    }

    /// The name as its RFC spells it.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("header field")
    }

    #[allow(clippy::indexing_slicing, clippy::panic)] // const: a wrong name does not compile
    const fn known(name: &str) -> Self {
        let mut index = 0;
        while index < TABLE.len() {
            if TABLE[index].name.eq_ignore_ascii_case(name) {
                return Self(index as u8);
            }
            index += 1;
        }
        panic!("not in the table");
    }
}

/// One column of the rows, in a table of its own: what is asked for of every field
/// stands close together, and what only documents and tests ask for is not there.
macro_rules! column {
    ($(#[$doc:meta])* $name:ident: $kind:ty = $none:expr, $column:ident) => {
        $(#[$doc])*
        #[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
        static $name: [$kind; TABLE.len()] = {
            let mut column = [$none; TABLE.len()];
            let mut index = 0;
            while index < TABLE.len() {
                column[index] = TABLE[index].$column;
                index += 1;
            }
            column
        };
    };
}

column! {
    /// What is done with each.
    KINDS: Kind = Kind::Left, kind
}
column! {
    /// How many values each may hold.
    VALUES: Values = Values::One, values
}
column! {
    /// How each is spelled.
    NAMES: &str = "", name
}

/// Which of the rows are in [`HeaderName::SINGLE`].
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static IS_SINGLE: [bool; TABLE.len()] = {
    let mut single = [false; TABLE.len()];
    let mut index = 0;
    while index < HeaderName::SINGLE.len() {
        single[HeaderName::SINGLE[index].0 as usize] = true;
        index += 1;
    }
    single
};

/// Whether requests of this method are recorded by a proxy that stays in the
/// path (RFC 3261 §16.6 step 4): those that can begin a dialog, and those within
/// one. REGISTER, ACK, CANCEL and PUBLISH cannot.
pub fn is_record_routed(method: Method) -> bool {
    !matches!(method, Method::Register | Method::Ack | Method::Cancel | Method::Publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_in_compact_form() {
        for (index, row) in TABLE.iter().enumerate() {
            let name = HeaderName(u8::try_from(index).unwrap());
            assert_eq!(HeaderName::from_name(row.name.as_bytes()), name, "{}", row.name);
            assert_eq!(HeaderName::from_name(row.name.to_uppercase().as_bytes()), name, "{}", row.name);
            let line = format!("{}: and a value behind it", row.name.to_uppercase());
            assert_eq!(HeaderName::at_front(line.as_bytes()), Some((name, row.name.len())), "{line}");
            if let Some(letter) = row.compact {
                assert_eq!(HeaderName::from_name(&[letter]), name, "{}", row.name);
                assert_eq!(HeaderName::from_name(&[letter.to_ascii_uppercase()]), name, "{}", row.name);
            }
        }
    }

    #[test]
    fn other_names_are_others() {
        for name in [
            "",
            "z",
            "-",
            "X-Via",
            "Vias",
            "Fro",
            "From\0",
            "Call\rID",
            "P-Asserted-Identitz",
            "P-Charging-Fxnction-Addresses",
            "Content_Length",
            "A-Name-That-Is-Longer-Than-All-Of-Those-In-The-Table",
        ] {
            assert_eq!(HeaderName::from_name(name.as_bytes()), HeaderName::OTHER, "{name}");
            let line = format!("{name}: and a value, Via: behind it");
            assert_eq!(HeaderName::at_front(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn names_are_letters_and_dashes() {
        let other = |byte: u8| !byte.is_ascii_alphabetic() && byte != b'-';
        assert!(TABLE.iter().all(|row| !row.name.bytes().any(other)));
    }

    #[test]
    fn no_row_stands_twice() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].name.to_lowercase() < pair[1].name.to_lowercase(), "{} {}", pair[0].name, pair[1].name);
        }
    }
}
