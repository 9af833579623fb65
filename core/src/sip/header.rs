//! The header fields of SIP: their names and what of theirs a bridge touches.
//!
//! [`TABLE`] is data: a header field that carries URIs is supported by giving it
//! a row. The names are those of IANA's registry and of common private ones.

use super::method::Method;
use crate::scan::{find, lowest_bytes, place_in_word};

/// What a bridge does with the values of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They pass as they are.
    Left,
    /// `name-addr` or `addr-spec` values, whose numeric hosts are mapped.
    Uris,
    /// The same, in From and To: mapped so that they stay the same whoever
    /// sends them.
    Identity,
    /// The same, in Contact: what requests of the dialog will be sent to.
    Contact,
    /// A bare URI that has no place for a parameter: only plain addresses of
    /// phones and of ours are mapped.
    Bare,
    /// The path of messages: values of others pass, those of ours are laid and
    /// taken up by the rules of RFC 3261 §16.
    Path,
}

/// A row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name, as its RFC spells it.
    pub name: &'static str,
    /// The compact form (RFC 3261 §7.3.3).
    pub compact: Option<u8>,
    /// Where it is defined.
    pub rfc: &'static str,
    /// What is done with it.
    pub kind: Kind,
    /// Whether its values may stand in a list, separated by commas.
    pub list: bool,
}

const fn row(name: &'static str, compact: Option<u8>, rfc: &'static str, kind: Kind, list: bool) -> Row {
    Row { name, compact, rfc, kind, list }
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
        Self::look_up(name, Words::of(name))
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
                let most = behind.len().min(LONGEST - 16 + 1);
                (Words(front, back), 16 + find(behind.get(..most)?, b':')?)
            }
        };
        let name = Self::look_up(text.get(..length)?, words);
        (name != Self::OTHER).then_some((name, length))
    }

    #[inline]
    fn look_up(name: &[u8], words: Words) -> Self {
        if let [letter] = name {
            let index = usize::from(letter.to_ascii_lowercase().wrapping_sub(b'a'));
            return COMPACT.get(index).copied().unwrap_or(Self::OTHER);
        }
        let mut place = words.place(name.len());
        loop {
            let Some(known) = PLACES.get(place % PLACES.len()).and_then(|&index| KNOWN.get(usize::from(index))) else {
                return Self::OTHER;
            };
            if known.is(name, words) {
                return known.name;
            }
            place += 1;
        }
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

    /// Whether its values may stand in a list.
    pub fn is_list(self) -> bool {
        IS_LIST.get(usize::from(self.0)).copied().unwrap_or(false)
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
    /// Whether the values of each may stand in a list.
    IS_LIST: bool = false, list
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

/// The first sixteen bytes of a name, a shorter one with zeros behind it. Names are
/// compared and hashed by these, not byte by byte: a message has a dozen.
#[derive(Clone, Copy)]
struct Words(u64, u64);

impl Words {
    #[allow(clippy::indexing_slicing)] // const, where there is no get: the index is below the length
    const fn of(name: &[u8]) -> Self {
        let mut words = Self(0, 0);
        let mut index = 0;
        while index < name.len() && index < 16 {
            let byte = (name[index] as u64) << (index % 8 * 8);
            if index < 8 {
                words.0 |= byte;
            } else {
                words.1 |= byte;
            }
            index += 1;
        }
        words
    }

    /// Where in [`PLACES`] to begin to look for a name of that length, in any case.
    const fn place(self, length: usize) -> usize {
        const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
        let mixed = (self.0 | LOWER) ^ (self.1 | LOWER).rotate_left(27) ^ length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
    }

    /// Whether both are the same but for the case of letters, the one that is
    /// known in lower case.
    #[inline]
    fn is(self, known: Self) -> bool {
        let differs = |word: u64, known: u64| {
            // Of the bytes of a name, letters alone have this bit.
            let letters = known & u64::from_ne_bytes([0x40; 8]);
            (word ^ known) & !(letters >> 1)
        };
        differs(self.0, known.0) | differs(self.1, known.1) == 0
    }
}

/// A name of the table, ready to be compared.
struct Known {
    name: HeaderName,
    words: Words,
    length: usize,
}

impl Known {
    #[inline]
    fn is(&self, name: &[u8], words: Words) -> bool {
        self.length == name.len() && words.is(self.words) && (self.length <= 16 || self.is_within(name))
    }

    /// All of a name that is longer than its first sixteen bytes say.
    fn is_within(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name.name().as_bytes())
    }
}

/// The names of the table.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static KNOWN: [Known; TABLE.len()] = {
    let mut known = [const { Known { name: HeaderName::OTHER, words: Words(0, 0), length: 0 } }; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        let name = TABLE[index].name.as_bytes();
        let mut lower = [0; LONGEST];
        let mut at = 0;
        while at < name.len() {
            lower[at] = name[at].to_ascii_lowercase();
            at += 1;
        }
        let words = Words::of(lower.split_at(name.len()).0);
        known[index] = Known { name: HeaderName(index as u8), words, length: name.len() };
        index += 1;
    }
    known
};

/// The longest name in the table is no longer than this.
const LONGEST: usize = 32;

/// A hash table of the rows: each stands at its place, or at the next one that is
/// free. Most are, and hold a number that is no row's.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static PLACES: [u8; 512] = {
    let mut places = [u8::MAX; 512];
    let mut index = 0;
    while index < TABLE.len() {
        let mut place = KNOWN[index].words.place(KNOWN[index].length);
        while places[place % places.len()] != u8::MAX {
            place += 1;
        }
        places[place % places.len()] = index as u8;
        index += 1;
    }
    places
};

/// The rows of the compact forms, by letter.
#[allow(clippy::indexing_slicing)] // const: an index out of bounds does not compile
static COMPACT: [HeaderName; 26] = {
    let mut letters = [HeaderName::OTHER; 26];
    let mut index = 0;
    while index < TABLE.len() {
        if let Some(letter) = TABLE[index].compact {
            letters[(letter - b'a') as usize] = HeaderName(index as u8);
        }
        index += 1;
    }
    letters
};

/// Whether requests of this method are recorded by a proxy that stays in the
/// path (RFC 3261 §16.6 step 4): those that can begin a dialog, and those within
/// one. REGISTER, ACK, CANCEL and PUBLISH cannot.
pub fn is_record_routed(method: Method) -> bool {
    !matches!(method, Method::Register | Method::Ack | Method::Cancel | Method::Publish)
}

/// Every header field with its RFC and what is done with it.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("Accept", None, "RFC 3261", Kind::Left, true),
    row("Accept-Contact", Some(b'a'), "RFC 3841", Kind::Left, true),
    row("Accept-Encoding", None, "RFC 3261", Kind::Left, true),
    row("Accept-Language", None, "RFC 3261", Kind::Left, true),
    row("Accept-Resource-Priority", None, "RFC 4412", Kind::Left, true),
    row("Additional-Identity", None, "3GPP TS 24.229 v16.7.0", Kind::Uris, false),
    row("Alert-Info", None, "RFC 3261, RFC 7462", Kind::Uris, true),
    row("Allow", None, "RFC 3261", Kind::Left, true),
    row("Allow-Events", Some(b'u'), "RFC 6665", Kind::Left, true),
    row("Also", None, "RFC 2543 drafts (not in the IANA registry)", Kind::Uris, true),
    row("Answer-Mode", None, "RFC 5373", Kind::Left, false),
    row("Attestation-Info", None, "3GPP TS 24.229 v15.11.0", Kind::Left, false),
    row("Authentication-Info", None, "RFC 3261", Kind::Left, true),
    row("Authorization", None, "RFC 3261, RFC 3310", Kind::Left, false),
    row("Call-ID", Some(b'i'), "RFC 3261", Kind::Left, false),
    row("Call-Info", None, "RFC 3261, RFC 7852, RFC 9796", Kind::Uris, true),
    row("CC-Diversion", None, "draft-levy-sip-diversion (not in the IANA registry)", Kind::Uris, true),
    row("Cellular-Network-Info", None, "3GPP TS 24.229 v13.9.0", Kind::Left, false),
    row("Contact", Some(b'm'), "RFC 3261, RFC 5627, RFC 8599", Kind::Contact, true),
    row("Content-Disposition", None, "RFC 3261, RFC 3204, RFC 3459, RFC 5621", Kind::Left, false),
    row("Content-Encoding", Some(b'e'), "RFC 3261", Kind::Left, true),
    row("Content-ID", None, "RFC 8262", Kind::Left, false),
    row("Content-Language", None, "RFC 3261", Kind::Left, true),
    row("Content-Length", Some(b'l'), "RFC 3261", Kind::Left, false),
    row("Content-Type", Some(b'c'), "RFC 3261", Kind::Left, false),
    row("CSeq", None, "RFC 3261", Kind::Left, false),
    row("Date", None, "RFC 3261", Kind::Left, false),
    row("DC-Info", None, "3GPP TS 24.229 v19.4.1", Kind::Left, false),
    row("Diversion", None, "RFC 5806 historic (not in the IANA registry)", Kind::Uris, true),
    row("Encryption", None, "RFC 3261 (deprecated)", Kind::Left, false),
    row("EndPoints", None, "Microsoft (not in the IANA registry)", Kind::Uris, true),
    row("Error-Info", None, "RFC 3261", Kind::Uris, true),
    row("Event", Some(b'o'), "RFC 6665, RFC 6446, RFC 4235, RFC 6080", Kind::Left, false),
    row("Expires", None, "RFC 3261", Kind::Left, false),
    row("Feature-Caps", None, "RFC 6809", Kind::Left, true),
    row("Flow-Timer", None, "RFC 5626", Kind::Left, false),
    row("From", Some(b'f'), "RFC 3261, RFC 4916", Kind::Identity, false),
    row("Geolocation", None, "RFC 6442, RFC 8787", Kind::Uris, true),
    row("Geolocation-Error", None, "RFC 6442", Kind::Left, false),
    row("Geolocation-Routing", None, "RFC 6442", Kind::Left, false),
    row("Hide", None, "RFC 3261 (deprecated)", Kind::Left, false),
    row("History-Info", None, "RFC 7044", Kind::Uris, true),
    row("Identity", Some(b'y'), "RFC 8224, RFC 8946", Kind::Left, true),
    row("Identity-Info", None, "RFC 4474 (deprecated by RFC 8224)", Kind::Left, false),
    row("In-Reply-To", None, "RFC 3261", Kind::Left, true),
    row("Info-Package", None, "RFC 6086", Kind::Left, false),
    row("Join", None, "RFC 3911", Kind::Left, false),
    row("Max-Breadth", None, "RFC 5393", Kind::Left, false),
    row("Max-Forwards", None, "RFC 3261", Kind::Left, false),
    row("MIME-Version", None, "RFC 3261", Kind::Left, false),
    row("Min-Expires", None, "RFC 3261", Kind::Left, false),
    row("Min-SE", None, "RFC 4028", Kind::Left, false),
    row("Organization", None, "RFC 3261", Kind::Left, false),
    row("Origination-Id", None, "3GPP TS 24.229 v15.11.0", Kind::Left, false),
    row("P-Access-Network-Info", None, "RFC 7315, RFC 7913, RFC 7976", Kind::Left, true),
    row("P-Answer-State", None, "RFC 4964", Kind::Left, false),
    row("P-Asserted-Identity", None, "RFC 3325, RFC 5876", Kind::Uris, true),
    row("P-Asserted-Service", None, "RFC 6050", Kind::Left, true),
    row("P-Associated-URI", None, "RFC 7315", Kind::Uris, true),
    row("P-Called-Party-ID", None, "RFC 7315", Kind::Uris, false),
    row("P-Charge-Info", None, "RFC 8496", Kind::Uris, false),
    row("P-Charging-Function-Addresses", None, "RFC 7315", Kind::Left, true),
    row("P-Charging-Vector", None, "RFC 7315", Kind::Left, false),
    row("P-DCS-Billing-Info", None, "RFC 5503", Kind::Left, false),
    row("P-DCS-LAES", None, "RFC 5503", Kind::Left, false),
    row("P-DCS-OSPS", None, "RFC 5503", Kind::Left, false),
    row("P-DCS-Redirect", None, "RFC 5503", Kind::Left, false),
    row("P-DCS-Trace-Party-ID", None, "RFC 5503", Kind::Uris, false),
    row("P-Early-Media", None, "RFC 5009", Kind::Left, true),
    row("P-Hint", None, "Kamailio/OpenSIPS (not in the IANA registry)", Kind::Left, false),
    row("P-Media-Authorization", None, "RFC 3313", Kind::Left, true),
    row("P-Preferred-Identity", None, "RFC 3325, RFC 5876", Kind::Uris, true),
    row("P-Preferred-Service", None, "RFC 6050", Kind::Left, true),
    row("P-Private-Network-Indication", None, "RFC 7316", Kind::Left, false),
    row("P-Profile-Key", None, "RFC 5002", Kind::Uris, false),
    row("P-Refused-URI-List", None, "RFC 5318", Kind::Uris, true),
    row("P-RTP-Stat", None, "vendor (not in the IANA registry)", Kind::Left, false),
    row("P-Served-User", None, "RFC 5502, RFC 8498", Kind::Uris, false),
    row("P-User-Database", None, "RFC 4457", Kind::Left, false),
    row("P-Visited-Network-ID", None, "RFC 7315", Kind::Left, true),
    row("Path", None, "RFC 3327", Kind::Path, true),
    row("Permission-Missing", None, "RFC 5360", Kind::Uris, true),
    row("Policy-Contact", None, "RFC 6794", Kind::Uris, true),
    row("Policy-ID", None, "RFC 6794", Kind::Bare, true),
    row("Priority", None, "RFC 3261", Kind::Left, false),
    row("Priority-Share", None, "3GPP TS 24.229 v13.16.0", Kind::Left, false),
    row("Priority-Verstat", None, "3GPP TS 24.229", Kind::Left, true),
    row("Priv-Answer-Mode", None, "RFC 5373", Kind::Left, false),
    row("Privacy", None, "RFC 3323, RFC 3325, RFC 7044", Kind::Left, false),
    row("Proxy-Authenticate", None, "RFC 3261, RFC 3310", Kind::Left, false),
    row("Proxy-Authorization", None, "RFC 3261, RFC 3310", Kind::Left, false),
    row("Proxy-Require", None, "RFC 3261", Kind::Left, true),
    row("RAck", None, "RFC 3262", Kind::Left, false),
    row("Reason", None, "RFC 3326, RFC 8606", Kind::Left, true),
    row("Reason-Phrase", None, "RFC 3261 (reserved name)", Kind::Left, false),
    row("Record-Route", None, "RFC 3261, RFC 5658", Kind::Path, true),
    row("Recv-Info", None, "RFC 6086", Kind::Left, true),
    row("Refer-Events-At", None, "RFC 7614", Kind::Uris, false),
    row("Refer-Sub", None, "RFC 4488", Kind::Left, false),
    row("Refer-To", Some(b'r'), "RFC 3515, RFC 4508", Kind::Uris, false),
    row("Referred-By", Some(b'b'), "RFC 3892, RFC 8217", Kind::Uris, false),
    row("Reject-Contact", Some(b'j'), "RFC 3841", Kind::Left, true),
    row("Relayed-Charge", None, "3GPP TS 24.229 v12.14.0", Kind::Left, false),
    row("Remote-Party-ID", None, "draft-ietf-sip-privacy-04 (not in the IANA registry)", Kind::Uris, true),
    row("Replaces", None, "RFC 3891", Kind::Left, false),
    row("Reply-To", None, "RFC 3261", Kind::Uris, false),
    row("Request-Disposition", Some(b'd'), "RFC 3841", Kind::Left, true),
    row("Requested-By", None, "RFC 2543 drafts (not in the IANA registry)", Kind::Uris, false),
    row("Require", None, "RFC 3261", Kind::Left, true),
    row("Resource-Priority", None, "RFC 4412", Kind::Left, true),
    row("Resource-Share", None, "3GPP TS 24.229 v13.7.0", Kind::Left, false),
    row("Response-Key", None, "RFC 3261 (deprecated)", Kind::Left, false),
    row("Response-Source", None, "3GPP TS 24.229 v15.11.0", Kind::Left, false),
    row("Restoration-Info", None, "3GPP TS 24.229 v12.14.0", Kind::Left, false),
    row("Retry-After", None, "RFC 3261", Kind::Left, false),
    row("Roster-Manager", None, "Microsoft (not in the IANA registry)", Kind::Uris, false),
    row("Route", None, "RFC 3261", Kind::Path, true),
    row("RSeq", None, "RFC 3262", Kind::Left, false),
    row("Security-Client", None, "RFC 3329, 3GPP TS 33.203", Kind::Left, true),
    row("Security-Server", None, "RFC 3329, 3GPP TS 33.203", Kind::Left, true),
    row("Security-Verify", None, "RFC 3329, 3GPP TS 33.203", Kind::Left, true),
    row("Server", None, "RFC 3261", Kind::Left, false),
    row("Service-Interact-Info", None, "3GPP TS 24.229 v13.18.0", Kind::Left, false),
    row("Service-Route", None, "RFC 3608", Kind::Path, true),
    row("Session-Expires", Some(b'x'), "RFC 4028", Kind::Left, false),
    row("Session-ID", None, "RFC 7989", Kind::Left, false),
    row("SIP-ETag", None, "RFC 3903", Kind::Left, false),
    row("SIP-If-Match", None, "RFC 3903", Kind::Left, false),
    row("Subject", Some(b's'), "RFC 3261", Kind::Left, false),
    row("Subscription-State", None, "RFC 6665", Kind::Left, false),
    row("Supported", Some(b'k'), "RFC 3261", Kind::Left, true),
    row("Suppress-If-Match", None, "RFC 5839", Kind::Left, false),
    row("Target-Dialog", None, "RFC 4538", Kind::Left, false),
    row("Timestamp", None, "RFC 3261", Kind::Left, false),
    row("To", Some(b't'), "RFC 3261, RFC 4916", Kind::Identity, false),
    row("Trigger-Consent", None, "RFC 5360", Kind::Bare, true),
    row("Unsupported", None, "RFC 3261", Kind::Left, true),
    row("User-Agent", None, "RFC 3261", Kind::Left, false),
    row("User-to-User", None, "RFC 7433", Kind::Left, true),
    row("Via", Some(b'v'), "RFC 3261, RFC 3581, RFC 7118", Kind::Path, true),
    row("Warning", None, "RFC 3261", Kind::Left, true),
    row("WWW-Authenticate", None, "RFC 3261, RFC 3310, RFC 8760, RFC 8898", Kind::Left, false),
];

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
