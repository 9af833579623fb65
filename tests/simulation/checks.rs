//! What a user agent looks at in every message.

use std::net::IpAddr;

use crate::dialog::tag;
use crate::message::Message;
use crate::uri::{hostport_of, uri_of};

/// The numeric host of a URI.
fn host(uri: &str) -> Option<IpAddr> {
    let at = hostport_of(uri);
    match at.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?.parse().ok(),
        None => at.split(':').next()?.parse().ok(),
    }
}

/// The user part of a URI.
pub(crate) fn user(uri: &str) -> &str {
    uri.trim_start_matches("sip:").split('@').next().unwrap_or_default()
}

/// Addresses that an agent of one family acts on and that are of the other one.
pub(crate) fn foreign_addresses(message: &Message, is_ipv4: bool) -> Vec<String> {
    let mut uris = Vec::new();
    if message.method().is_some() {
        uris.push(message.request_uri().to_owned());
        uris.extend(message.list("Record-Route").first().cloned());
    } else {
        uris.extend(message.list("Record-Route").last().cloned());
    }
    // From and To of other messages are compared with what this agent wrote, or saw first.
    let begins = message.method().is_some() && tag(message.value("To")).is_none();
    for name in ["From", "To"].into_iter().filter(|_| begins) {
        uris.extend(message.list(name));
    }
    for name in ["Contact", "Refer-To", "Referred-By"] {
        uris.extend(message.list(name));
    }
    let uris = uris.iter().map(|value| if value.contains('<') { uri_of(value).to_owned() } else { value.clone() });
    let foreign = uris.filter(|uri| host(uri).is_some_and(|host| host.is_ipv4() != is_ipv4));
    let words = message.body.split([' ', '\r', '\n']);
    let described = words.filter(|word| word.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() != is_ipv4));
    foreign.chain(described.map(str::to_owned)).collect()
}

/// What in a response is not as the request that it answers has it.
pub(crate) fn differs(sent: &Message, response: &Message) -> Option<String> {
    let vias = response.list("Via");
    let own = sent.value("Via").trim_end_matches(";rport");
    if vias.len() != 1 || !vias[0].starts_with(own) {
        return Some(format!("sees the Vias {vias:?} where its own is {own}"));
    }
    for name in ["From", "Call-ID", "CSeq"] {
        if sent.value(name) != response.value(name) {
            return Some(format!("sees another {name} than {}", sent.value(name)));
        }
    }
    let (to, answered) = (sent.value("To"), response.value("To"));
    let grown = answered.strip_prefix(to).is_some_and(|rest| rest.is_empty() || rest.starts_with(";tag="));
    (!grown).then(|| format!("sees another To than {to}"))
}
