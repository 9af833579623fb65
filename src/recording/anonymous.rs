//! Messages without who and where: addresses of the documentation ranges, and
//! made-up words in place of names, numbers and identifiers.
//!
//! The form of a message stays byte for byte, whatever is wrong with it: what is
//! no word of the protocol becomes another word of the same length and kind of
//! letters, the same one wherever it stands. So calls, dialogs and phones are
//! told apart as before, and a proxy does with the message what it did with the
//! original. Words of the protocol, parameter names and short numbers stay.

mod addresses;
mod reading;
mod vocabulary;
mod words;

use std::net::{IpAddr, SocketAddr};

use self::addresses::Addresses;
use self::reading::{Reading, run};
use self::vocabulary::{SDP_LEFT, is_left_header, is_listed, is_opaque_header, is_reason, is_word};
use self::words::Words;
use crate::branch::{Branch, MAGIC_COOKIE};
use crate::config::{Config, Key, Map, Name, Uplink, UplinkHost};
use crate::family::PerFamily;
use crate::rewrite::fields::PRODUCT;
use crate::scan::trim;
use crate::sip::header::{HeaderName, Kind};
use crate::text::Text;
use crate::token::{Dashed, Seal, Written};

/// The longest number that is left: ports, counts, codes.
const MAX_NUMBER: usize = 5;
/// No address, token or branch is longer.
const MAX_NUMERIC: usize = 100;

/// Makes the messages of one recording anonymous, all of them consistently.
#[derive(Debug)]
pub struct Anonymiser {
    addresses: Addresses,
    words: Words,
}

/// Which words stay where something is read. Those of the protocol and short numbers do,
/// unless it is said otherwise here; addresses never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// No word stays, however common it is.
    none: bool,
    /// All words stay.
    all: bool,
    /// A value begins with a display name, of which no word stays.
    named: bool,
    /// Words of reason phrases stay, too.
    reason: bool,
}

impl Anonymiser {
    /// One whose words come of this key, which nobody else may know.
    pub fn new(key: Key) -> Self {
        Self { addresses: Addresses::default(), words: Words::new(key) }
    }

    /// What stands for an address.
    pub fn address(&mut self, address: IpAddr) -> IpAddr {
        self.addresses.of(address)
    }

    /// What stands for an endpoint; the port stays.
    pub fn endpoint(&mut self, endpoint: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.address(endpoint.ip()), endpoint.port())
    }

    /// A configuration with everything in it replaced.
    pub fn config(&mut self, config: &Config) -> Config {
        let listen = PerFamily::from_fn(|side| self.endpoint(config.listen[side]));
        let maps = config.maps.iter().map(|map| Map { phone: self.endpoint(map.phone), fake: self.endpoint(map.fake) });
        let maps = maps.collect();
        let uplinks = PerFamily::from_fn(|side| config.uplinks[side].as_ref().map(|uplink| self.uplink(uplink)));
        let names = config.names.iter().map(|name| Name { host: self.host(&name.host), port: name.port }).collect();
        Config { listen, maps, uplinks, names, ..config.clone() }
    }

    fn uplink(&mut self, Uplink { host, port, written }: &Uplink) -> Uplink {
        let host = match host {
            UplinkHost::Address(address) => UplinkHost::Address(self.address(*address)),
            UplinkHost::Name(name) => UplinkHost::Name(self.host(name)),
        };
        Uplink { host, port: *port, written: self.host(written) }
    }

    /// A host, perhaps with a port.
    fn host(&mut self, text: &str) -> String {
        let mut out = Vec::new();
        self.text(text.as_bytes(), Kept::default(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A message with everything in it replaced. Its Content-Length is that of
    /// the original.
    pub fn message(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len());
        let mut lines = message.split_inclusive(|&byte| byte == b'\n').peekable();
        while let Some(blank) = lines.next_if(|line| trim(line).is_empty()) {
            out.extend_from_slice(blank);
        }
        if let Some(line) = lines.next() {
            let reason = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
            // The method, which CSeq names again.
            let method = line.iter().position(|&byte| byte == b' ').filter(|_| !reason).unwrap_or(0);
            let (method, line) = line.split_at_checked(method).unwrap_or_default();
            out.extend_from_slice(method);
            self.text(line, Kept { reason, ..Kept::default() }, &mut out);
        }
        let (mut kept, mut described) = (Kept::default(), false);
        for line in lines.by_ref() {
            if trim(line).is_empty() {
                out.extend_from_slice(line);
                break;
            }
            let value = if line.starts_with(b" ") || line.starts_with(b"\t") {
                line
            } else {
                header(line, &mut kept, &mut described, &mut out)
            };
            self.text(value, kept, &mut out);
        }
        for line in lines {
            self.body_line(line, described, &mut out);
        }
        out
    }

    /// A line of a body, which may be a session description, also as a part of one.
    fn body_line(&mut self, line: &[u8], described: bool, out: &mut Vec<u8>) {
        let none = Kept { none: true, ..Kept::default() };
        match line {
            _ if !described => self.text(line, none, out),
            [b'v' | b't' | b'b' | b'm' | b'z' | b'r' | b'c', b'=', ..] => {
                self.text(line, Kept { all: true, ..Kept::default() }, out);
            }
            [kind @ (b's' | b'i' | b'u' | b'e' | b'p'), b'=', value @ ..] => {
                out.extend_from_slice(&[*kind, b'=']);
                self.text(value, none, out);
            }
            [b'a', b'=', value @ ..] => {
                let name = value.iter().position(|byte| matches!(byte, b':' | b'\r' | b'\n')).unwrap_or(value.len());
                let (name, value) = value.split_at_checked(name).unwrap_or_default();
                out.extend_from_slice(b"a=");
                out.extend_from_slice(name);
                let all = is_listed(SDP_LEFT, name);
                self.text(value, Kept { all, none: !all, ..Kept::default() }, out);
            }
            _ => self.text(line, Kept::default(), out),
        }
    }

    /// Any text.
    fn text(&mut self, text: &[u8], kept: Kept, out: &mut Vec<u8>) {
        let mut reading = Reading::new(text, kept);
        while let Some(&byte) = reading.rest().first() {
            let is_fresh = !reading.before().is_some_and(|before| before.is_ascii_alphanumeric());
            if is_fresh && let Some(length) = self.numeric(reading.rest(), out) {
                reading.take(length);
            } else if is_fresh && let Some(scheme) = reading.uri_scheme() {
                out.extend_from_slice(scheme);
            } else if byte.is_ascii_alphanumeric() {
                self.next_words(&mut reading, out);
            } else {
                self.other_byte(byte, &mut reading, out);
            }
        }
    }

    /// Words up to something else.
    fn next_words(&self, reading: &mut Reading<'_>, out: &mut Vec<u8>) {
        let kept = reading.kept_here();
        let run = reading.take(run(reading.rest()).len());
        match kept {
            Kept { all: true, .. } => out.extend_from_slice(run),
            Kept { none: true, .. } => self.run(run, |_| false, false, out),
            Kept { reason, .. } => self.run(run, |word| is_word(word) || (reason && is_reason(word)), true, out),
        }
    }

    /// A byte that is of no word, with what it escapes.
    fn other_byte(&self, byte: u8, reading: &mut Reading<'_>, out: &mut Vec<u8>) {
        reading.punctuation(byte);
        match (byte, reading.rest()) {
            // An escaped character stays one (RFC 3261 §19.1.2).
            (b'%', &[high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.extend_from_slice(&self.words.escaped([high, low]));
                reading.take(2);
            }
            (b'\\', &[escaped, ..]) if reading.is_quoted() => {
                out.extend_from_slice(&[b'\\', if escaped.is_ascii_alphanumeric() { b'x' } else { escaped }]);
                reading.take(1);
            }
            (0x80.., _) => out.push(b'x'),
            _ => out.push(byte),
        }
    }

    /// An address with colons or dots, or the branch of a sipproxy64, at the start
    /// of `text`; gives its length.
    fn numeric(&mut self, text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let text = text.get(..MAX_NUMERIC).unwrap_or(text);
        let length = |wanted: fn(&u8) -> bool| text.iter().take_while(|byte| wanted(byte)).count();
        let parsed = |length: usize| -> Option<(usize, IpAddr)> {
            let (trimmed, behind) = (text.get(..length)?, text.get(length));
            let ends = !behind.is_some_and(|byte| byte.is_ascii_alphanumeric());
            let address = std::str::from_utf8(trimmed).ok()?.parse().ok()?;
            ends.then_some((length, address))
        };
        let colons = length(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        let dots = length(|byte| byte.is_ascii_digit() || *byte == b'.');
        let tries = [colons, colons.saturating_sub(1), dots, dots.saturating_sub(1)];
        if let Some((length, address)) = tries.into_iter().find_map(parsed) {
            let written = text.get(..length).unwrap_or_default();
            self.addresses.write(address, written, out);
            return Some(length);
        }
        let run = run(text);
        if let Some(branch) = Branch::parse(run) {
            let seal = MAGIC_COOKIE.len().saturating_add(Seal::LENGTH);
            out.extend_from_slice(run.get(..MAGIC_COOKIE.len()).unwrap_or_default());
            out.extend_from_slice(&self.words.word(run.get(MAGIC_COOKIE.len()..seal)?));
            (&[branch.rights.letter()][..], crate::token::Tilde(self.endpoint(branch.arrival))).write(out);
            return Some(run.len());
        }
        // The address of a token, with dashes.
        let written = Written::parse(run)?;
        let (mut host, mut dashed) = (Vec::new(), Vec::new());
        written.bracketed_host().write(&mut host);
        let host = std::str::from_utf8(&host).ok()?.trim_matches(['[', ']']);
        self.addresses.write(host.parse().ok()?, host.as_bytes(), &mut dashed);
        (Dashed(&dashed), written.port.map(|port| ("~", port))).write(out);
        Some(run.len())
    }

    /// Words joined by dots, dashes and the like: none is left where one that is
    /// not `known` stands with it, as a number may then be part of a name.
    fn run(&self, run: &[u8], known: impl Fn(&[u8]) -> bool, numbers: bool, out: &mut Vec<u8>) {
        let is_number = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
        let words = || run.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let plain = numbers && words().all(|word| known(word) || is_number(word));
        let mut rest = run;
        if rest.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE)) {
            let (cookie, behind) = rest.split_at_checked(MAGIC_COOKIE.len()).unwrap_or_default();
            out.extend_from_slice(cookie);
            rest = behind;
        }
        for piece in rest.split_inclusive(|byte| !byte.is_ascii_alphanumeric()) {
            let end = piece.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(piece.len());
            let (word, joiner) = piece.split_at_checked(end).unwrap_or((piece, &[]));
            let digits = word.iter().skip_while(|&&byte| byte == b'0').count();
            let left = known(word) || (plain && is_number(word) && digits <= MAX_NUMBER);
            if left {
                out.extend_from_slice(word)
            } else {
                out.extend_from_slice(&self.words.word(word))
            }
            out.extend_from_slice(joiner);
        }
    }
}

/// Copies the name of a header field, and says what its value may hold.
fn header<'a>(line: &'a [u8], kept: &mut Kept, described: &mut bool, out: &mut Vec<u8>) -> &'a [u8] {
    *kept = Kept::default();
    let Some((name, value)) = line.iter().position(|&byte| byte == b':').and_then(|colon| line.split_at_checked(colon))
    else {
        return line;
    };
    out.extend_from_slice(name);
    let name = trim(name);
    let known = HeaderName::from_name(name);
    *described |=
        known == HeaderName::CONTENT_TYPE && [&b"sdp"[..], b"multipart"].iter().any(|kind| contains(value, kind));
    kept.none = matches!(known, HeaderName::CALL_ID | HeaderName::OTHER) || is_opaque_header(name);
    // What this proxy calls itself says nothing either.
    kept.all = is_left_header(known) || trim(value.get(1..).unwrap_or_default()) == PRODUCT.as_bytes();
    kept.named =
        matches!(known.kind(), Kind::Uris | Kind::Identity | Kind::Contact | Kind::Path) && known != HeaderName::VIA;
    value
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
