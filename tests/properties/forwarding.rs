//! What holds for every message that is forwarded, and for the answer to it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::prelude::*;
use sipproxy64::config::Config;
use sipproxy64::proxy::Standalone;

use crate::checker::naive::{self, Field, Message};
use crate::message::{End, Sent, answer, respelling, scene, send, unbracketed};
use crate::settings::{cases, is_uplink};

/// Where a response to a request goes, by RFC 3261 §18.2.2 and RFC 3581 §4.
fn way_back(config: &Config, sent: &Sent, request: &Message) -> SocketAddr {
    let via = request.value("via").unwrap().split(',').next().unwrap().to_owned();
    let (sent_by, parameters) = via.split_once(';').unwrap_or((&via, ""));
    let host: String = sent_by.split_whitespace().skip(1).collect();
    let numeric: Option<SocketAddr> = host.parse().or_else(|_| format!("{host}:5060").parse()).ok();
    let port = numeric.map(|numeric| numeric.port()).or_else(|| host.split_once(':')?.1.parse().ok()).unwrap_or(5060);
    let asked =
        parameters.split(';').any(|one| one.trim().split('=').next().unwrap().trim().eq_ignore_ascii_case("rport"));
    let is_uplink = is_uplink(config, sent.remote.ip());
    let is_phone = config.maps.iter().any(|map| map.phone.ip() == sent.remote.ip());
    let elsewhere = numeric.is_some_and(|numeric| numeric.ip() != sent.remote.ip());
    if asked || (elsewhere && (is_phone || !is_uplink)) { sent.remote } else { SocketAddr::new(sent.remote.ip(), port) }
}

fn mapped(field: &&Field) -> bool {
    ![
        "via",
        "record-route",
        "path",
        "max-forwards",
        "user-agent",
        "content-length",
        "content-type",
        "route",
        "service-route",
    ]
    .contains(&field.name.as_str())
}

/// Whether a header field has a token that its writer made up: those of ours only
/// come back.
fn is_made_up(config: &Config, field: &Field) -> bool {
    let text = field.raw.to_lowercase();
    let ours: Vec<IpAddr> = config
        .listen
        .iter()
        .map(|(_, listen)| listen.ip())
        .chain(config.maps.iter().map(|map| map.fake.ip()))
        .collect();
    let at_ours = ours.into_iter().any(|ours| crate::uri::spellings(ours).any(|ours| text.contains(&ours)));
    text.contains("s64x=_") || (at_ours && text.contains("s64"))
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_answer_comes_back_with_what_was_written((config, sent) in scene(), respelling in respelling(), code in prop::sample::select(vec!["200", "302", "180", "404"])) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, end) = send(&config, &mut proxy, &sent)?;
        let Some(last) = passes.last().filter(|_| end == End::Forwarded) else { return Ok(()) };
        let response = answer(&last.output, code, respelling);
        let back = Sent { remote: last.to, local: last.from, bytes: response.clone(), damaged: false };
        let (returned, end) = send(&config, &mut proxy, &back)?;
        let show = || format!("{end:?}\n{}\n{}", naive::latin1(&last.output), naive::latin1(&response));
        prop_assert!(end == End::Forwarded && returned.len() == passes.len(), "{}", show());
        let there = returned.last().unwrap();
        let request = naive::parse(&sent.bytes).unwrap();
        prop_assert_eq!((there.from, there.to), (sent.local, way_back(&config, &sent, &request)), "{}", show());
        let got = naive::parse(&there.output).unwrap();
        for written in request.fields.iter().filter(mapped).filter(|field| !is_made_up(&config, field)) {
            let found = got.fields.iter().any(|got| got.name == written.name && unbracketed(got) == unbracketed(written));
            prop_assert!(found, "{} did not come back in\n{}\nfrom\n{}", written.raw, naive::latin1(&there.output), naive::latin1(&response));
        }
    }

    #[test]
    fn a_hairpin_gives_its_peer_what_was_written((config, sent) in scene()) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, end) = send(&config, &mut proxy, &sent)?;
        if end != End::Forwarded || passes.len() != 2 {
            return Ok(());
        }
        let request = naive::parse(&sent.bytes).unwrap();
        let got = naive::parse(&passes[1].output).unwrap();
        for written in request.fields.iter().filter(mapped).filter(|field| !is_made_up(&config, field)) {
            let found = got.fields.iter().any(|got| got.name == written.name && unbracketed(got) == unbracketed(written));
            prop_assert!(found, "{} is not in\n{}\nby\n{}", written.raw, naive::latin1(&passes[1].output), naive::latin1(&passes[0].output));
        }
    }

    #[test]
    fn a_retransmission_gives_the_same((config, sent) in scene()) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (first, end) = send(&config, &mut proxy, &sent)?;
        let (second, again) = send(&config, &mut proxy, &sent)?;
        prop_assert_eq!(&end, &again);
        // After a refusal the call is over; one that comes once more is another.
        if end == End::Forwarded {
            prop_assert!(first == second);
        }
    }

    #[test]
    fn cancel_and_ack_have_the_branch_of_their_invite((config, sent) in scene()) {
        let text = naive::latin1(&sent.bytes);
        let method = text.split(' ').next().unwrap().to_owned();
        let as_method = |other: &str| {
            let text = text.replacen(&method, other, 1).replace(&format!("CSeq: 1 {method}"), &format!("CSeq: 1 {other}"));
            Sent { bytes: text.chars().map(|letter| letter as u8).collect(), ..sent.clone() }
        };
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (invite, end) = send(&config, &mut proxy, &as_method("INVITE"))?;
        for other in ["CANCEL", "ACK"] {
            let (passes, other_end) = send(&config, &mut proxy, &as_method(other))?;
            if end != End::Forwarded {
                continue;
            }
            prop_assert_eq!(&other_end, &end, "{}", other);
            for (one, two) in invite.iter().zip(&passes) {
                let via = |bytes: &[u8]| naive::parse(bytes).unwrap().value("via").unwrap().to_owned();
                prop_assert_eq!((one.from, one.to, via(&one.output)), (two.from, two.to, via(&two.output)), "{}", other);
            }
        }
    }

    /// Via, two Record-Routes, Max-Forwards; each URI may become an address of ours
    /// with a token, each line of a description another address.
    #[test]
    fn no_message_grows_by_more_than_the_rules_add((config, sent) in scene()) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, _) = send(&config, &mut proxy, &sent)?;
        for pass in passes {
            let text = naive::latin1(&pass.input).to_lowercase();
            let uris = text.matches("sip:").count() + text.matches("sips:").count();
            let agents = text.matches("user-agent").count();
            let lines = text.split(['\r', '\n']).filter(|line| line.starts_with(['m', 'c', 'o', 'a'])).count();
            let most = pass.input.len() + 600 + 190 * uris + 40 * agents + 80 * lines;
            prop_assert!(pass.output.len() <= most, "{} from {}", pass.output.len(), pass.input.len());
        }
    }

    /// With nothing to map the output is the input, but for what a proxy must add.
    #[test]
    fn nothing_to_map_changes_nothing((config, sent) in scene()) {
        let text = named(&config, &naive::latin1(&sent.bytes));
        let sent = Sent { bytes: text.chars().map(|letter| letter as u8).collect(), ..sent };
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, end) = send(&config, &mut proxy, &sent)?;
        if end == End::Forwarded {
            prop_assert_eq!(without_ours(&naive::latin1(&passes[0].output)), without_path(&text));
        }
    }
}

/// The request with names in the place of all addresses, and without a description.
fn named(config: &Config, text: &str) -> String {
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let line = |line: &str| {
        let untouched = ["via", "user-agent", "max-forwards"].iter().any(|name| line.to_lowercase().starts_with(name))
            || line.starts_with([' ', '\t']);
        if untouched { line.to_owned() } else { without_addresses(config, line) }
    };
    let head: Vec<String> = head.split("\r\n").map(line).collect();
    format!("{}\r\n\r\n", head.join("\r\n")).replace("\r\nl: ", "\r\nX-l: ").replace("application/sdp", "text/plain")
}

/// Every address as a name of the same place.
fn without_addresses(_config: &Config, line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|letter: char| letter == '[' || letter.is_ascii_digit()) {
        let (before, address) = rest.split_at(at);
        out += before;
        let length = if address.starts_with('[') {
            address.find(']').map(|end| end + 1)
        } else {
            address.find(|letter: char| letter != '.' && !letter.is_ascii_digit())
        };
        let (address, behind) = address.split_at(length.unwrap_or(address.len()));
        out += if address.contains(['.', '[']) { "h.example" } else { address };
        rest = behind;
    }
    out + rest
}

/// What leaves without the Vias, Record-Routes and the Max-Forwards.
fn without_path(text: &str) -> String {
    let path = ["via", "max-forwards", "user-agent"];
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    lines.retain(|line| !path.iter().any(|name| line.to_lowercase().starts_with(name)));
    lines.join("\r\n")
}

/// The same, and without what we laid.
fn without_ours(text: &str) -> String {
    let mut laid = 0;
    let is_laid = |line: &str| {
        let ours = ["Record-Route: <sip:", "Path: <sip:"].iter().any(|front| line.starts_with(front)) && laid < 2;
        laid += usize::from(ours);
        ours
    };
    let register = text.starts_with("REGISTER") && !text.contains("\r\nPath:");
    if register || text.starts_with("PUBLISH") {
        return without_path(text);
    }
    let mut is_laid = is_laid;
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !is_laid(line)).collect();
    without_path(&lines.join("\r\n"))
}
