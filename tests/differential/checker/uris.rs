//! What may become of one URI (section "Addresses" of the manual), worked out
//! anew from the configuration as a list of texts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sipproxy64::config::Config;

/// What may become of a URI in one place.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a Config,
    /// The side that the message came from: of IPv4, or of IPv6.
    pub from_v4: bool,
    /// It stands in From or To.
    pub(crate) identity: bool,
    /// What a token has beyond WRITTEN stays behind: there, and on the first pass of a
    /// hairpin.
    pub(crate) rest_stays: bool,
    /// And returns into it: there, and on the second one.
    pub(crate) rest_returns: bool,
    /// Only rule 1 counts.
    pub(crate) bare: bool,
}

/// A URI taken apart.
#[derive(Clone, Debug)]
struct Parts {
    /// Scheme, user, `@`.
    front: String,
    host: String,
    port: Option<String>,
    parameters: Vec<String>,
    /// From the question mark on.
    headers: String,
}

impl Parts {
    fn read(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        if !["sip", "sips"].contains(&scheme.to_lowercase().as_str()) || uri.contains([' ', '\t', '\r', '\n']) {
            return None;
        }
        let user = match (rest.find('@'), rest.find('?')) {
            (Some(at), Some(mark)) if mark < at => {
                let alone = rest[..mark].split(';').next().unwrap();
                if host_and_port(alone).is_some_and(|(host, _)| address(host).is_some()) { 0 } else { at + 1 }
            }
            (Some(at), _) => at + 1,
            (None, _) => 0,
        };
        let (address_part, behind) = rest[user..].split_at(rest[user..].find([';', '?']).unwrap_or(rest.len() - user));
        let (parameters, headers) = behind.split_at(behind.find('?').unwrap_or(behind.len()));
        let (host, port) = host_and_port(address_part)?;
        Some(Self {
            front: uri[..scheme.len() + 1 + user].to_owned(),
            host: host.to_owned(),
            port: port.map(str::to_owned),
            parameters: parameters.split(';').skip(1).map(str::to_owned).collect(),
            headers: headers.to_owned(),
        })
    }

    fn write(&self) -> String {
        let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        let parameters: String = self.parameters.iter().map(|parameter| format!(";{parameter}")).collect();
        format!("{}{}{port}{parameters}{}", self.front, self.host, self.headers)
    }

    /// The index of the numeric `maddr` that takes the place of the host.
    fn maddr(&self) -> Option<usize> {
        let last = self.parameters.iter().rposition(|parameter| name_of(parameter) == "maddr")?;
        address(value_of(&self.parameters[last])).map(|_| last)
    }

    /// The host that counts.
    fn target(&self) -> &str {
        self.maddr().map_or(&self.host, |index| value_of(&self.parameters[index]))
    }

    fn set_target(&mut self, host: &str, port: Option<String>) {
        match self.maddr() {
            Some(index) => {
                let name = self.parameters[index].split('=').next().unwrap().to_owned();
                self.parameters[index] = format!("{name}={host}");
            }
            None => self.host = host.to_owned(),
        }
        self.port = port;
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        let port = match &self.port {
            Some(port) => port.parse().ok()?,
            None => 5060,
        };
        Some(SocketAddr::new(address(self.target())?, port))
    }
}

/// The numeric address and port that requests for a URI go to.
pub(crate) fn endpoint(uri: &str) -> Option<SocketAddr> {
    let endpoint = Parts::read(uri)?.endpoint()?;
    Some(SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port()))
}

/// Whether a careful reader would not take this for a URI.
pub(crate) fn is_odd(uri: &str) -> bool {
    let strange = |letter: char| letter <= ' ' || letter == '\u{7f}' || "<>\"".contains(letter);
    let name = |host: &str| {
        !host.is_empty()
            && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter))
            && !host.starts_with(['.', '-'])
    };
    let sip = uri.split_once(':').is_some_and(|(scheme, _)| ["sip", "sips"].contains(&scheme.to_lowercase().as_str()));
    let port = |port: &str| port.parse::<u64>().is_ok_and(|port| port > 0 && port < 65_536) && !port.starts_with('+');
    let good = Parts::read(uri).is_some_and(|parts| {
        parts.front.split_once(':').is_some_and(|(_, user)| user != "@")
            && (address(&parts.host).is_some() || name(&parts.host))
            && parts.port.as_deref().is_none_or(port)
    });
    uri.is_empty() || uri.contains(strange) || (sip && !good)
}

fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    let host_end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, port) = text.split_at(host_end);
    match port.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => port.is_empty().then_some((host, None)),
    }
}

/// The address that a host is, IPv6 in brackets.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(inside) => {
            let inside = inside.strip_suffix(']')?;
            let repaired = if inside.contains('.') { inside.replace(":::", "::") } else { inside.to_owned() };
            inside.parse().or_else(|_| repaired.parse()).ok().map(IpAddr::V6)
        }
        None => host.parse().ok().map(IpAddr::V4),
    }
}

fn name_of(parameter: &str) -> String {
    parameter.split('=').next().unwrap().to_lowercase()
}

fn value_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or("", |(_, value)| value)
}

fn shown(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// What stands in a token for a host: no brackets, no colons.
fn dashed(text: &str) -> String {
    text.replace(['[', ']'], "").replace(':', "-")
}

impl Rules<'_> {
    /// Whether `after` is what `before` may become in a header field, or why not.
    pub(crate) fn check(&self, before: &str, after: &str) -> Result<(), String> {
        let Some(old) = Parts::read(before).filter(|old| old.endpoint().is_some() && !is_odd(before)) else {
            return same(before, after, "it holds no numeric address");
        };
        let Some(new) = Parts::read(after) else { return Err(format!("{before} became {after}, which is no URI")) };
        if let Some(restored) = self.restored(&old).filter(|_| !self.bare) {
            return if restored.write() == after {
                Ok(())
            } else {
                Err(format!("{before} became {after}; its token says {}", restored.write()))
            };
        }
        if let Some(plain) = self.by_rule_1(&old) {
            return same(&plain.write(), after, "rule 1");
        }
        if self.bare { same(before, after, "it has no place for a token") } else { self.by_token(&old, &new) }
    }

    fn is_here(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.from_v4
    }

    /// What a token behind an address of ours gives back.
    fn restored(&self, old: &Parts) -> Option<Parts> {
        let endpoint = old.endpoint().filter(|endpoint| self.is_here(endpoint.ip()) && is_ours(self.config, *endpoint));
        endpoint.and_then(|_| self.take_token(old, self.rest_stays))
    }

    /// The same, wherever it stands.
    fn take_token(&self, old: &Parts, rest_stays: bool) -> Option<Parts> {
        let at = old.parameters.iter().rposition(|parameter| name_of(parameter) == "s64")?;
        let value = value_of(&old.parameters[at]).to_owned();
        let (written, beyond) = value.split_at(value.find('_').unwrap_or(value.len()));
        if !is_beyond(beyond) {
            return None;
        }
        let (host, port) = read_written(written)?;
        let mut new = old.clone();
        rename(&mut new.parameters, Some(at), -1);
        if rest_stays && !beyond.is_empty() {
            new.parameters[at] = format!("s64x={beyond}");
            new.set_target(&host, port);
        } else {
            new.set_target(&host, port);
            new.parameters.remove(at);
        }
        Some(new)
    }

    /// Phones, fakes, listen addresses: those written in the one plain way.
    fn by_rule_1(&self, old: &Parts) -> Option<Parts> {
        let (v4, v6) =
            (self.config.listen[sipproxy64::family::Family::V4], self.config.listen[sipproxy64::family::Family::V6]);
        let (here, there) = if self.from_v4 { (v4, v6) } else { (v6, v4) };
        let mut pairs = vec![(here, there, 0)];
        pairs.extend(self.config.maps.iter().map(|map| (map.fake, map.phone, -1)));
        pairs.extend(self.config.maps.iter().map(|map| (map.phone, map.fake, 1)));
        let pairs = pairs.into_iter().filter(|(one, _, _)| self.is_here(one.ip()));
        let found = pairs.flat_map(|(one, other, step)| plain_pairs(one, other).map(move |pair| (pair, step)));
        let ((other, port), step) = found
            .filter(|(((host, port), _), _)| *host == old.target() && *port == old.port)
            .map(|((_, other), step)| (other, step))
            .next()?;
        let mut new = old.clone();
        rename(&mut new.parameters, None, step);
        new.set_target(&other, port);
        Some(new)
    }

    /// Rules 2 and 3.
    fn by_token(&self, old: &Parts, new: &Parts) -> Result<(), String> {
        let canonical = old.endpoint().unwrap().ip().to_canonical();
        let endpoint = SocketAddr::new(canonical, old.endpoint().unwrap().port());
        let family = if self.from_v4 { sipproxy64::family::Family::V6 } else { sipproxy64::family::Family::V4 };
        let phones = || self.config.maps.iter().filter(|map| map.phone.ip() == canonical && self.is_here(canonical));
        let map = phones().find(|map| map.phone == endpoint).or_else(|| phones().next());
        let stand_in = map.map_or(self.config.listen[family], |map| map.fake);
        let written = dashed(old.target()) + &old.port.as_ref().map(|port| format!("~{port}")).unwrap_or_default();
        let mut expected = old.clone();
        let is_rest = |parameter: &String| {
            let value = value_of(parameter);
            name_of(parameter) == "s64x" && value.starts_with('_') && is_beyond(value)
        };
        let kept = expected.parameters.iter().position(is_rest).filter(|_| self.rest_returns);
        rename(&mut expected.parameters, kept, 1);
        expected.set_target(&shown(stand_in.ip()), (stand_in.port() != 5060).then(|| stand_in.port().to_string()));
        if let Some(at) = kept {
            // On the second pass of a hairpin the proof may be made out anew.
            let found = new.parameters.get(at).and_then(|last| last.strip_prefix(&format!("s64={written}")[..]));
            let anew = found.filter(|found| !self.identity && !found.is_empty() && is_made_by_us(found));
            let beyond = anew.unwrap_or(value_of(&old.parameters[at]));
            expected.parameters[at] = format!("s64={written}{beyond}");
            return same(&expected.write(), &new.write(), "rules 2 and 3, with what was beyond WRITTEN");
        }
        let beyond = new.parameters.last().and_then(|last| last.strip_prefix(&format!("s64={written}")[..]));
        let beyond = beyond
            .ok_or_else(|| format!("{} became {}, without s64={written} at its end", old.write(), new.write()))?;
        if !is_made_by_us(beyond) || (self.identity && !beyond.is_empty()) {
            return Err(format!("{} became {}: {beyond:?} has no place there", old.write(), new.write()));
        }
        expected.parameters.push(format!("s64={written}{beyond}"));
        same(&expected.write(), &new.write(), "rules 2 and 3")
    }

    /// What may become of a Request-URI besides: the phone, the uplink, what a
    /// token restores, itself, or the first pass of a hairpin.
    pub(crate) fn check_request_uri(&self, before: &str, after: &str, to: SocketAddr) -> Result<(), String> {
        let first = match self.check(before, after) {
            Err(first) if before != after => first,
            _ => return Ok(()),
        };
        let Some(old) = Parts::read(before).filter(|old| old.endpoint().is_some() && !is_odd(before)) else {
            return Err(first);
        };
        let mut may: Vec<String> = self.take_token(&old, false).iter().map(Parts::write).collect();
        let mut without = old.clone();
        let last = without.parameters.iter().rposition(|parameter| name_of(parameter) == "s64");
        let token = last.filter(|&at| is_token(value_of(&old.parameters[at])));
        rename(&mut without.parameters, token, -1);
        token.map(|at| without.parameters.remove(at));
        for (host, port) in [(to, Some(to.port())), (to, None)] {
            let mut stands = old.clone();
            let port = port.map(|port| port.to_string());
            without.set_target(&shown(host.ip()), port.clone());
            stands.set_target(&shown(host.ip()), port);
            may.extend([without.write(), stands.write()]);
        }
        for (_, uplink) in self.config.uplinks.iter() {
            let Some(uplink) = uplink else { continue };
            let mut new = old.clone();
            new.set_target(&uplink.written, None);
            may.push(new.write());
            let mut new = old.clone();
            new.set_target(&uplink.written, old.port.clone());
            may.push(new.write());
        }
        if may.iter().any(|may| may == after) { Ok(()) } else { Err(format!("{first}; nor is it any of {may:?}")) }
    }
}

/// Whether one of our sockets is there.
pub(crate) fn is_ours(config: &Config, endpoint: SocketAddr) -> bool {
    config.listen.iter().any(|(_, &listen)| listen == endpoint) || config.maps.iter().any(|map| map.fake == endpoint)
}

fn same(expected: &str, after: &str, why: &str) -> Result<(), String> {
    if expected == after { Ok(()) } else { Err(format!("expected {expected} ({why}), found {after}")) }
}

/// Both ways to write a pair of rule 1: where just one of the two is 5060, that
/// one stands without port.
fn plain_pairs(
    one: SocketAddr,
    other: SocketAddr,
) -> impl Iterator<Item = ((String, Option<String>), (String, Option<String>))> {
    let write =
        |endpoint: SocketAddr, explicit: bool| (shown(endpoint.ip()), explicit.then(|| endpoint.port().to_string()));
    let ways = match (one.port() == 5060, other.port() == 5060) {
        (true, true) => vec![(true, true), (false, false)],
        (true, false) => vec![(false, true)],
        (false, true) => vec![(true, false)],
        (false, false) => vec![(true, true)],
    };
    ways.into_iter().map(move |(here, there)| (write(one, here), write(other, there)))
}

/// One `-` more, or one less, behind each `s64` but one.
fn rename(parameters: &mut [String], except: Option<usize>, step: i32) {
    for (index, parameter) in parameters.iter_mut().enumerate() {
        let name = name_of(parameter);
        let Some(dashes) = name.strip_prefix("s64").filter(|dashes| dashes.chars().all(|letter| letter == '-')) else {
            continue;
        };
        if Some(index) == except || step == 0 || (step < 0 && dashes.is_empty()) {
            continue;
        }
        if step > 0 {
            parameter.insert(name.len(), '-');
        } else {
            parameter.remove(name.len() - 1);
        }
    }
}

fn is_token(value: &str) -> bool {
    let (written, beyond) = value.split_at(value.find('_').unwrap_or(value.len()));
    read_written(written).is_some() && is_beyond(beyond)
}

/// `[_SOURCE][_SIG]`, whatever SIG is.
fn is_beyond(beyond: &str) -> bool {
    let mut parts = beyond.split('_').skip(1);
    let source = parts.next().is_none_or(|source| source.is_empty() || read_written(source).is_some());
    source && parts.nth(1).is_none() && beyond.is_ascii()
}

/// The same, with a SIG as we write it.
fn is_made_by_us(beyond: &str) -> bool {
    beyond.is_empty() || (is_beyond(beyond) && beyond.split('_').nth(2).is_some_and(super::path::is_seal))
}

fn read_written(text: &str) -> Option<(String, Option<String>)> {
    let (host, port) = match text.split_once('~') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if port.is_some_and(|port| {
        !port.chars().all(|digit| digit.is_ascii_digit())
            || port.parse::<u16>().is_ok_and(|port| port == 0)
            || port.parse::<u16>().is_err()
    }) {
        return None;
    }
    // Brackets have no place in it.
    let host = if host.parse::<Ipv4Addr>().is_ok() {
        host.to_owned()
    } else {
        format!("[{}]", host.replace(':', "?").replace('-', ":"))
    };
    address(&host)?;
    Some((host, port.map(str::to_owned)))
}
