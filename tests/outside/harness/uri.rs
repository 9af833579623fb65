//! As much of URIs and name-addr as a user agent needs to find its next hop.

use std::net::{IpAddr, SocketAddr};

/// The URI in a name-addr or addr-spec.
pub fn uri_of(name_addr: &str) -> &str {
    match name_addr.split_once('<') {
        Some((_, rest)) => rest.split_once('>').expect("a `<` has its `>`").0,
        None => name_addr.split(';').next().unwrap().trim(),
    }
}

/// Host and port of a URI as they stand: `[2001:db8::1]:5062`.
pub fn hostport_of(uri: &str) -> &str {
    let rest = uri.split_once(':').expect("a URI has a scheme").1;
    let rest = rest.split(['?', ';']).next().unwrap();
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// A numeric hostport as an address; 5060 where no port stands.
pub fn address_of(hostport: &str) -> SocketAddr {
    if let Ok(address) = hostport.parse() {
        return address;
    }
    let host = hostport.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = host.parse().unwrap_or_else(|_| panic!("{hostport} is no numeric address"));
    SocketAddr::new(ip, 5060)
}

/// Where a request to `uri` goes.
pub fn next_hop(uri: &str) -> SocketAddr {
    address_of(hostport_of(uri))
}

/// A host as it stands in a URI.
pub fn host(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// The value of a parameter behind the URI, or behind the `>`.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let parameters = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    parameters.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A list of name-addrs at its commas: not those in quotes or in `<>`.
pub fn split_list(value: &str) -> Vec<String> {
    let (mut items, mut quoted, mut angled) = (vec![String::new()], false, false);
    for character in value.chars() {
        match character {
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            ',' if !quoted && !angled => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().unwrap().push(character);
    }
    items.iter().map(|item| item.trim().to_owned()).collect()
}
