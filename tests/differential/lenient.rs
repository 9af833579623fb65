//! What `--lenient` may do before anything else: brackets round IPv6 addresses
//! that came without, where the text can be read in one way only.

#![allow(clippy::indexing_slicing)]

use std::net::Ipv6Addr;

/// A message as it is read with `--lenient`; a `wrapper` has the Contact to itself.
pub(crate) fn repaired(message: &[u8], wrapper: bool) -> Vec<u8> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(message.len());
    let Ok(head) = std::str::from_utf8(&message[..end]) else { return message.to_vec() };
    let mut vias = 0;
    let lines = head.split("\r\n").enumerate().map(|(index, line)| {
        let name = line.split(':').next().unwrap_or_default();
        vias += usize::from(name == "Via");
        let looked_at = index == 0 || matches!(name, "From" | "To" | "Contact") || (name == "Via" && vias == 1);
        if looked_at && !(wrapper && name == "Contact") { line_repaired(line) } else { line.to_string() }
    });
    let head = lines.collect::<Vec<_>>().join("\r\n");
    [head.as_bytes(), &message[end..]].concat()
}

/// Each word of a line, whatever stands between.
fn line_repaired(line: &str) -> String {
    line.split_inclusive([' ', '<', '>', ';', ',', '?', '@'])
        .map(|piece| {
            let word = piece.trim_end_matches([' ', '<', '>', ';', ',', '?', '@']);
            format!("{}{}", word_repaired(word), &piece[word.len()..])
        })
        .collect()
}

fn word_repaired(word: &str) -> String {
    let scheme = ["sips:", "sip:"].into_iter().find(|scheme| word.starts_with(scheme)).unwrap_or("");
    let host = &word[scheme.len()..];
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let with_port = host
        .rsplit_once(':')
        .filter(|(address, port)| is_address(address) && port.parse::<u16>().is_ok_and(|port| port > 0));
    match with_port {
        None if is_address(host) => format!("{scheme}[{host}]"),
        Some((address, port)) if !is_address(host) => format!("{scheme}[{address}]:{port}"),
        _ => word.to_string(),
    }
}
