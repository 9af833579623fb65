//! The differential checker: takes a message as it came and as it left, and
//! proves that every byte that changed belongs to a rule of the manual.
//!
//! It reads both with a reader of its own and works out anew what each rule
//! gives; not one line of the rewriter is used.
#![allow(dead_code, reason = "each test that shares this folder uses a part of it")]

pub(crate) mod body;
pub(crate) mod naive;
pub(crate) mod path;
pub(crate) mod uris;

use std::net::SocketAddr;

use naive::{Field, Message, Piece};
use sipproxy64::config::Config;
use uris::Rules;

/// How a message came and how it left.
pub(crate) struct Passage<'a> {
    pub(crate) config: &'a Config,
    /// Where it came from.
    pub(crate) remote: SocketAddr,
    /// The socket on which it came in.
    pub(crate) local: SocketAddr,
    /// The socket from which it left.
    pub(crate) from: SocketAddr,
    /// Where to.
    pub(crate) to: SocketAddr,
    pub(crate) input: &'a [u8],
    pub(crate) output: &'a [u8],
    /// Somebody damaged the input: any header field value may be one that cannot be
    /// read, and passes as it is with those behind it.
    pub(crate) damaged: bool,
}

/// Header fields whose values are lists of URIs, or one.
const LISTS: [&str; 18] = [
    "alert-info",
    "also",
    "call-info",
    "cc-diversion",
    "contact",
    "diversion",
    "endpoints",
    "error-info",
    "geolocation",
    "history-info",
    "p-asserted-identity",
    "p-associated-uri",
    "p-preferred-identity",
    "p-refused-uri-list",
    "permission-missing",
    "policy-contact",
    "remote-party-id",
    "policy-id",
];
const SINGLES: [&str; 15] = [
    "additional-identity",
    "from",
    "to",
    "p-called-party-id",
    "p-charge-info",
    "p-dcs-trace-party-id",
    "p-profile-key",
    "p-served-user",
    "refer-events-at",
    "refer-to",
    "referred-by",
    "reply-to",
    "requested-by",
    "roster-manager",
    "trigger-consent",
];

/// Checks a message that was forwarded; the error says what changed without a
/// rule.
pub(crate) fn check(passage: &Passage<'_>) -> Result<(), String> {
    let before = naive::parse(passage.input).ok_or("the input has no empty line")?;
    let after = naive::parse(passage.output).ok_or("the output has no empty line")?;
    let checked = Checker { passage, before: &before, after: &after }.check();
    checked.map_err(|why| {
        let show = |bytes: &[u8]| naive::latin1(bytes);
        format!(
            "{why}\n>> udp {} -> {}\n{}\n<< udp {} -> {}\n{}",
            passage.remote,
            passage.local,
            show(passage.input),
            passage.from,
            passage.to,
            show(passage.output)
        )
    })
}

struct Checker<'a> {
    passage: &'a Passage<'a>,
    before: &'a Message,
    after: &'a Message,
}

impl Checker<'_> {
    fn check(&self) -> Result<(), String> {
        self.start_line()?;
        path::check(self.passage, self.before, self.after)?;
        let left = |field: &&Field| !path::is_path(&field.name);
        let before: Vec<&Field> = self.before.fields.iter().filter(left).collect();
        let mut after: Vec<&Field> = self.after.fields.iter().filter(left).collect();
        self.max_forwards(&before, &mut after)?;
        if before.len() != after.len() {
            return Err(format!("{} header fields became {}", before.len(), after.len()));
        }
        before.iter().zip(&after).try_for_each(|(before, after)| self.field(before, after))?;
        body::check(self.before, self.after, self.passage.output)
    }

    fn rules(&self, field: &str) -> Rules<'_> {
        let identity = matches!(field, "from" | "to");
        let passage = self.passage;
        Rules {
            config: passage.config,
            from_v4: passage.local.is_ipv4(),
            identity,
            rest_stays: identity || uris::is_ours(passage.config, passage.to),
            rest_returns: identity || uris::is_ours(passage.config, passage.remote),
            bare: matches!(field, "policy-id" | "trigger-consent"),
        }
    }

    fn start_line(&self) -> Result<(), String> {
        let (before, after) = (&self.before.start, &self.after.start);
        if self.before.is_response() {
            return if before == after { Ok(()) } else { Err(format!("the Status-Line became {after}")) };
        }
        let (old, new) = (self.before.request_uri(), self.after.request_uri());
        let frame = |line: &str| {
            line.split(' ').enumerate().filter(|(at, _)| *at != 1).map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
        };
        if frame(before) != frame(after) {
            return Err(format!("the Request-Line {before} became {after}"));
        }
        let strict = path::strict(self.before, self.after);
        let mut why = "no Request-URI".to_owned();
        for old in strict.unwrap_or_else(|| vec![old.to_owned()]) {
            match self.rules("").check_request_uri(&old, new, self.passage.to) {
                Ok(()) => return Ok(()),
                Err(found) => why = found,
            }
        }
        Err(why)
    }

    /// One less, or 70 where none stood. Takes a field that was put in out of `after`.
    fn max_forwards(&self, before: &[&Field], after: &mut Vec<&Field>) -> Result<(), String> {
        if self.before.is_response() || before.iter().any(|field| field.name == "max-forwards") {
            return Ok(());
        }
        let at =
            after.iter().position(|field| field.raw == "Max-Forwards: 70").ok_or("no Max-Forwards: 70 was put in")?;
        after.remove(at);
        Ok(())
    }

    fn field(&self, before: &Field, after: &Field) -> Result<(), String> {
        let request = !self.before.is_response();
        match before.name.as_str() {
            "max-forwards" if request => {
                let lower = before.value().parse::<u32>().map_err(|_| "Max-Forwards is no number")? - 1;
                replaced(before, after, &lower.to_string())
            }
            "user-agent" => replaced(before, after, concat!("SIPproxy64/", env!("CARGO_PKG_VERSION"))),
            "content-length" => {
                // What it must be is seen with the body.
                if before.raw == after.raw { Ok(()) } else { replaced(before, after, after.value()) }
            }
            "contact" if self.passage.config.wrapper => unchanged(before, after),
            name if LISTS.contains(&name) || SINGLES.contains(&name) => self.uris(before, after),
            _ => unchanged(before, after),
        }
    }

    /// All but URIs stays, and each of them becomes what the rules say. Where a value
    /// cannot be read, it and those behind it pass as they are.
    fn uris(&self, before: &Field, after: &Field) -> Result<(), String> {
        let strict = self.values(before, after);
        if strict.is_ok()
            || matches!(before.name.as_str(), "from" | "to" | "contact")
            || !(self.passage.damaged || is_odd(before))
        {
            return strict;
        }
        let ends = before
            .raw
            .char_indices()
            .map(|(at, _)| at)
            .filter(|&at| before.raw[at..].starts_with(',') || at == before.value_at);
        let passed = ends.into_iter().any(|at| {
            let (front, rest) = before.raw.split_at(at);
            let cut = |field: &Field, end: usize| Field { raw: field.raw[..end].to_owned(), ..field.clone() };
            let Some(end) = after.raw.strip_suffix(rest).map(str::len) else { return false };
            at == before.value_at && front == &after.raw[..end]
                || end >= after.value_at && self.values(&cut(before, at), &cut(after, end)).is_ok()
        });
        if passed { Ok(()) } else { strict }
    }

    fn values(&self, before: &Field, after: &Field) -> Result<(), String> {
        let list = LISTS.contains(&before.name.as_str());
        let inner: &[&str] = match before.name.as_str() {
            "contact" => &["pub-gruu", "temp-gruu", "received"],
            "trigger-consent" => &["target-uri"],
            _ => &[],
        };
        let old = naive::pieces(before, list, inner);
        let mut new = naive::pieces(after, list, inner).into_iter().peekable();
        let rules = self.rules(&before.name);
        for (index, piece) in old.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    let found = new.next();
                    if found != Some(Piece::Text(text.clone())) {
                        return Err(format!("{}: {text:?} became {found:?}", before.raw));
                    }
                }
                Piece::Uri(uri) => {
                    let bracketed = index > 0 && old[index - 1] == Piece::Text("<".into());
                    let added = !bracketed && new.next_if(|piece| *piece == Piece::Text("<".into())).is_some();
                    let Some(Piece::Uri(found)) = new.next() else {
                        return Err(format!("{}: {uri} is gone", before.raw));
                    };
                    rules.check(uri, &found).map_err(|why| format!("{}: {why}", before.name))?;
                    if added && new.next() != Some(Piece::Text(">".into())) {
                        return Err(format!("{}: no end of {found}", after.raw));
                    }
                }
            }
        }
        if new.next().is_some() { Err(format!("{} became {}", before.raw, after.raw)) } else { Ok(()) }
    }
}

/// Whether a value has something in it that a careful reader stumbles over.
fn is_odd(field: &Field) -> bool {
    let quotes = field.raw.matches('"').count() % 2 == 1 || field.raw.contains('\\');
    let brackets = field.raw.matches('<').count() != field.raw.matches('>').count();
    let uris = naive::pieces(field, LISTS.contains(&field.name.as_str()), &[]);
    quotes || brackets || uris.iter().any(|piece| matches!(piece, Piece::Uri(uri) if uris::is_odd(uri)))
}

fn unchanged(before: &Field, after: &Field) -> Result<(), String> {
    if before.raw == after.raw { Ok(()) } else { Err(format!("{:?} became {:?}", before.raw, after.raw)) }
}

/// The value became another, and nothing beside it.
fn replaced(before: &Field, after: &Field, value: &str) -> Result<(), String> {
    let front = &before.raw
        [..before.raw.len() - before.raw[before.value_at..].trim_start_matches([' ', '\t', '\r', '\n']).len()];
    let back = &before.raw[before.raw.trim_end_matches([' ', '\t', '\r', '\n']).len()..];
    let expected = match before.value() {
        "" => after.raw.clone(),
        _ => format!("{front}{value}{back}"),
    };
    if after.raw == expected {
        Ok(())
    } else {
        Err(format!("{:?} became {:?}, not {expected:?}", before.raw, after.raw))
    }
}
