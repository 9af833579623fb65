//! Via, Route, Record-Route, Path and Service-Route: those of others stay, ours
//! come and go.

use std::net::SocketAddr;

use super::Passage;
use super::naive::{self, Field, Message};
use super::uris;

/// Header fields that this file judges.
pub(crate) fn is_path(name: &str) -> bool {
    matches!(name, "via" | "route" | "record-route" | "path" | "service-route")
}

pub(crate) fn check(passage: &Passage<'_>, before: &Message, after: &Message) -> Result<(), String> {
    if before.is_response() {
        response_vias(before, after)?;
        service_route(passage, before, after)?;
        return ["record-route", "path", "route"].iter().try_for_each(|name| same(before, after, name));
    }
    request_vias(passage, before, after)?;
    record_routes(passage, before, after)?;
    same(before, after, "service-route")?;
    routes(before, after)
}

/// A MAC: 16 hex digits.
pub(super) fn is_seal(text: &str) -> bool {
    text.len() == 16 && text.chars().all(|digit| digit.is_ascii_hexdigit())
}

/// An endpoint as it stands in a token.
pub(crate) fn tilde(endpoint: SocketAddr) -> String {
    format!("{}~{}", endpoint.ip().to_string().replace(':', "-"), endpoint.port())
}

fn raws(message: &Message, name: &str) -> Vec<String> {
    message.all(name).map(|field| field.raw.clone()).collect()
}

fn same(before: &Message, after: &Message, name: &str) -> Result<(), String> {
    let (before, after) = (raws(before, name), raws(after, name));
    if before == after { Ok(()) } else { Err(format!("{name}: {before:?} became {after:?}")) }
}

/// Ours went, which was the topmost; all others stand as they stood.
fn response_vias(before: &Message, after: &Message) -> Result<(), String> {
    let mut expected = raws(before, "via");
    let Some(first) = before.all("via").next() else { return Err("a response without Via".into()) };
    let values = naive::values(&first.raw[first.value_at..], true);
    if values.len() == 1 {
        expected.remove(0);
    } else {
        let rest = values[1..].join(",");
        let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let front = blank(&first.raw[first.value_at..]);
        expected[0] = format!("{}{}", &first.raw[..first.value_at + front], &rest[blank(&rest)..]);
    }
    let found = raws(after, "via");
    if found == expected { Ok(()) } else { Err(format!("Vias: expected {expected:?}, found {found:?}")) }
}

/// Ours on top; the one below completed.
fn request_vias(passage: &Passage<'_>, before: &Message, after: &Message) -> Result<(), String> {
    let (old, new) = (raws(before, "via"), raws(after, "via"));
    if new.len() != old.len() + 1 {
        return Err(format!("{} Vias became {}", old.len(), new.len()));
    }
    let branch = new[0].strip_prefix(&format!("Via: SIP/2.0/UDP {};branch=z9hG4bK", passage.from)[..]);
    let arrival = tilde(passage.local);
    let seal =
        branch.and_then(|branch| branch.strip_suffix(&arrival[..])).and_then(|seal| seal.strip_suffix(['p', 'u', 'g']));
    if !seal.is_some_and(is_seal) {
        return Err(format!("{} is no Via of {}", new[0], passage.from));
    }
    if old[1..] != new[2..] {
        return Err(format!("Vias of others: {old:?} became {new:?}"));
    }
    let (old, new) = (before.all("via").next().unwrap(), after.all("via").nth(1).unwrap());
    completed(passage, old, new)
}

fn completed(passage: &Passage<'_>, before: &Field, after: &Field) -> Result<(), String> {
    let split = |field: &Field| {
        let values = naive::values(&field.raw[field.value_at..], true);
        (field.raw[..field.value_at].to_owned(), values[0].clone(), values[1..].to_vec())
    };
    let ((front, old, rest), (new_front, new, new_rest)) = (split(before), split(after));
    if front != new_front || rest != new_rest {
        return Err(format!("{:?} became {:?}", before.raw, after.raw));
    }
    let is_ours = |parameter: &str| {
        ["received", "rport"].contains(&parameter.split('=').next().unwrap().trim().to_lowercase().as_str())
    };
    // White space behind a parameter stays where it goes.
    let solid = |value: &str| {
        let kept = value.split(';').filter(|parameter| !is_ours(parameter));
        kept.map(|parameter| parameter.trim_end_matches([' ', '\t', '\r', '\n'])).collect::<Vec<_>>().join(";")
    };
    if solid(&old) != solid(&new) {
        return Err(format!("{:?} became {:?}", before.raw, after.raw));
    }
    for parameter in new.split(';').map(str::trim).filter(|parameter| is_ours(parameter)) {
        let good = match parameter.split_once('=') {
            Some(("received", address)) => address.parse() == Ok(passage.remote.ip().to_canonical()),
            Some(("rport", port)) => port.parse() == Ok(passage.remote.port()),
            _ => false,
        };
        if !good {
            return Err(format!("{parameter} is not where {} is", passage.remote));
        }
    }
    Ok(())
}

/// Two of ours on top of those of others; in a REGISTER with a Path as Path.
fn record_routes(passage: &Passage<'_>, before: &Message, after: &Message) -> Result<(), String> {
    let laid = match before.method() {
        "REGISTER" if before.all("path").next().is_some() => Some(("path", "Path")),
        "REGISTER" | "ACK" | "CANCEL" | "PUBLISH" => None,
        _ => Some(("record-route", "Record-Route")),
    };
    for name in ["path", "record-route"] {
        let (old, mut new) = (raws(before, name), raws(after, name));
        if let Some((_, spelled)) = laid.filter(|(laid, _)| *laid == name) {
            let ours: Vec<String> = new.drain(..2.min(new.len())).collect();
            let outgoing = format!("{spelled}: <sip:{};lr", passage.from);
            let incoming = format!("{spelled}: <sip:{};lr", passage.local);
            // Who is called from his own side has his place there too.
            let called = Some(passage.to).filter(|_| old.iter().any(|raw| names_us(passage, raw)));
            let good = ours.len() == 2
                && ours[0].strip_prefix(&outgoing[..]).is_some_and(|rest| is_end(rest, called))
                && ours[1].strip_prefix(&incoming[..]).is_some_and(|rest| is_end(rest, Some(passage.remote)));
            if !good {
                return Err(format!("{ours:?} are not {outgoing} and {incoming}"));
            }
        }
        if old != new {
            return Err(format!("{name} of others: {old:?} became {new:?}"));
        }
    }
    Ok(())
}

/// Whether a Record-Route of ours ends so, perhaps with the place of a stranger.
fn is_end(rest: &str, received: Option<SocketAddr>) -> bool {
    let proven = received.map(|received| format!(";received={};sig=", tilde(received)));
    let seal = proven.and_then(|proven| rest.strip_prefix(&proven[..])?.strip_suffix('>'));
    rest == ">" || seal.is_some_and(is_seal)
}

/// Whether a Record-Route is ours, of the side on which the request leaves.
fn names_us(passage: &Passage<'_>, raw: &str) -> bool {
    let uris = raw.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    let mut ours = uris.filter_map(uris::endpoint).filter(|&endpoint| passage.config.is_ours(endpoint));
    ours.any(|endpoint| endpoint.is_ipv4() == passage.from.is_ipv4())
}

fn service_route(passage: &Passage<'_>, before: &Message, after: &Message) -> Result<(), String> {
    let old = raws(before, "service-route");
    let mut new = raws(after, "service-route");
    let success = before.start.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
    if before.method() == "REGISTER" && success && !old.is_empty() {
        let ours = format!("Service-Route: <sip:{};lr>", passage.from);
        if new.is_empty() || new.remove(0) != ours {
            return Err(format!("no {ours} on top"));
        }
    }
    if old == new { Ok(()) } else { Err(format!("Service-Route: {old:?} became {new:?}")) }
}

/// The values of all Routes.
fn route_values(message: &Message) -> Vec<String> {
    let values = message.all("route").flat_map(|field| naive::values(&field.raw[field.value_at..], true));
    values.map(|value| value.trim_matches([' ', '\t', '\r', '\n']).to_owned()).collect()
}

fn uri(route: &str) -> &str {
    let inside = route.rfind('<').and_then(|start| Some(&route[start + 1..start + route[start..].find('>')?]));
    inside.unwrap_or(route.split(';').next().unwrap().trim())
}

/// The Request-URIs that this may have been about, if a strict router had a hand
/// in it (RFC 3261 §16.4, §16.6 step 6): the last Route became it, or the next
/// Route took its place.
pub(crate) fn strict(before: &Message, after: &Message) -> Option<Vec<String>> {
    let (old, new) = (route_values(before), route_values(after));
    let mut may = vec![before.request_uri().to_owned()];
    may.extend(old.last().map(|last| uri(last).to_owned()));
    let next_took_it = old.iter().any(|route| uri(route) == after.request_uri()) && new.len() <= old.len();
    if next_took_it {
        may.push(after.request_uri().to_owned());
    }
    (!old.is_empty()).then_some(may)
}

/// Values on top went, perhaps the last one too; a strict router next put the
/// Request-URI behind them.
fn routes(before: &Message, after: &Message) -> Result<(), String> {
    let (old, new) = (route_values(before), route_values(after));
    let fails = || Err(format!("Routes {old:?} became {new:?}"));
    let kept = (0..=old.len()).any(|used| {
        let rest = &old[used..];
        let shorter = rest.split_last().map_or(rest, |(_, rest)| rest);
        let without = new.split_last().map_or(&new[..], |(_, rest)| rest);
        let strict = used > 0 && uri(&old[used - 1]) == after.request_uri();
        rest == new || shorter == new || (strict && (rest == without || shorter == without))
    });
    if kept { Ok(()) } else { fails() }
}
