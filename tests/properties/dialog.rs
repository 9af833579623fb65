//! Requests within a dialog find the way that the first one laid.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use sipproxy64::config::Config;
use sipproxy64::proxy::Standalone;

use crate::checker::naive::{self, Message};
use crate::checker::uris;
use crate::message::{End, Pass, Sent, TargetDraft, send, target};
use crate::settings::{World, cases, config, is_uplink, ours, senders, side};
use crate::uri::draft;

/// Both ends of a dialog: what each of them writes into its Contact.
#[derive(Clone, Debug)]
struct Call {
    caller: Sent,
    callee_contact: String,
}

fn call() -> impl Strategy<Value = (World, Call)> {
    (config(), side(), any::<(Index, Index)>(), target(), draft(), draft(), draft(), draft()).prop_map(
        |(config, side, (remote, local), target, contact, callee, from, to)| {
            let remote = *remote.get(&senders(&config, side));
            let local = *local.get(&ours(&config, side));
            let uri = match target {
                TargetDraft::Us => format!("sip:alice@{local}"),
                other => other.write(&config, local),
            };
            let text = format!(
                "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKx1;rport\r\nFrom: <{}>;tag=a\r\nTo: <{}>\r\nContact: <{}>\r\n\
                 Call-ID: c1\r\nCSeq: 1 INVITE\r\n\r\n",
                from.write(&config),
                to.write(&config),
                contact.write(&config)
            );
            let bytes = text.chars().map(|letter| letter as u8).collect();
            (config.clone(), Call { caller: Sent { remote, local, bytes, damaged: false }, callee_contact: callee.write(&config) })
        },
    )
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

/// Where requests for its own Contact reach a party, if the manual promises that:
/// a stranger where its packets come from, or at the port of that address that it
/// says, a phone or uplink where it says. `calls`: it is the caller.
fn reached(config: &Config, party: SocketAddr, contact: &str, calls: bool) -> Option<SocketAddr> {
    // A Request-URI has no headers (RFC 3261 §19.1.1), nor has this Contact then.
    if contact.contains('?') {
        return None;
    }
    let lower = contact.to_lowercase();
    let written = uris::endpoint(contact).filter(|written| written.is_ipv4() == party.is_ipv4())?;
    // Headers of a URI do not go into a Request-URI (RFC 3261 §12.2.1.1).
    if contact.contains('?') {
        return None;
    }
    // Who is named by a `maddr` sends on to the host behind it, where not everybody may
    // send; a Contact needs none.
    // What looks as our Record-Route does is taken for that (RFC 3261 §16.4).
    let is_route = lower.contains(";lr") && !lower.contains('@');
    let plain =
        lower.contains("s64") || lower.contains("maddr") || is_route || config.is_ours(written) || config.wrapper;
    // An uplink's word for a loopback address is no way into this machine.
    let callable = sipproxy64::address::Directory::is_callable(written) && !written.ip().is_loopback();
    let maps = config.maps.iter().filter(|map| map.phone.ip() == party.ip()).count();
    let others_phone = config.maps.iter().any(|map| map.phone.ip() == written.ip() && written.ip() != party.ip());
    match (plain || !callable || others_phone, maps, is_uplink(config, party.ip())) {
        (true, ..) => None,
        (_, 1, _) => (written.ip() == party.ip()).then_some(written),
        (_, 0, true) => Some(written),
        // Behind no NAT it may listen at another port than it sends from; a caller's
        // place stands in the Record-Route.
        (_, 0, false) if !calls && written.ip() == party.ip() => Some(written),
        (_, 0, false) => Some(party),
        _ => None,
    }
}

/// Whether a Contact came back as it was written; through a hairpin it has no token, and
/// another way to write a phone's address becomes the usual one.
fn is_given_back(uri: &str, contact: &str, passes: usize) -> bool {
    uri == contact || (passes == 2 && uris::endpoint(uri) == uris::endpoint(contact))
}

/// A request of the party that got `got`, along the Record-Routes in it.
fn within(got: &Message, pass: &Pass, routes: &[String], from_to: (&str, &str)) -> Sent {
    let contact = got.value("contact").unwrap();
    let uri = contact.split_once('<').unwrap().1.split_once('>').unwrap().0;
    let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
    let text = format!(
        "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKy1;rport\r\n{routes}From: {}\r\nTo: {}\r\nCall-ID: c1\r\nCSeq: 7 BYE\r\n\r\n",
        pass.to, from_to.0, from_to.1
    );
    Sent { remote: pass.to, local: pass.from, bytes: bytes(&text), damaged: false }
}

fn record_routes(message: &Message) -> Vec<String> {
    message.all("record-route").map(|field| field.value().to_owned()).collect()
}

fn contact(message: &Message) -> &str {
    message.value("contact").unwrap().split_once('<').unwrap().1.split_once('>').unwrap().0
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn each_end_reaches_the_contact_of_the_other((config, call) in call()) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, end) = send(&config, &mut proxy, &call.caller)?;
        let Some(last) = passes.last().filter(|_| end == End::Forwarded) else { return Ok(()) };
        let (sent, got) = (naive::parse(&call.caller.bytes).unwrap(), naive::parse(&last.output).unwrap());
        let from_to = (got.value("to").unwrap().to_owned() + ";tag=b", got.value("from").unwrap().to_owned());

        // On one side of the proxy Contacts arrive as they were written, without a
        // token: a stranger there has none for another port of a phone, nor has a phone
        // one for where a stranger's packets come from.
        let is_phone = |party: SocketAddr| config.maps.iter().any(|map| map.phone.ip() == party.ip());
        let rightless = passes.len() == 2 && !(is_phone(call.caller.remote) && is_phone(last.to));
        let at_another_port =
            |endpoint: &SocketAddr| is_phone(*endpoint) && !config.maps.iter().any(|map| map.phone == *endpoint);

        // The callee ends it.
        let bye = within(&got, last, &record_routes(&got), (&from_to.0, &from_to.1));
        let caller = reached(&config, call.caller.remote, contact(&sent), true);
        if let Some(expected) = caller.filter(|caller| !(rightless && at_another_port(caller))) {
            let (back, end) = send(&config, &mut proxy, &bye)?;
            prop_assert!(end == End::Forwarded, "{end:?} for {bye:?}");
            let there = back.last().unwrap();
            let message = naive::parse(&there.output).unwrap();
            prop_assert_eq!((there.to, there.from), (expected, call.caller.local), "{:?}", bye);
            prop_assert!(is_given_back(message.request_uri(), contact(&sent), passes.len()), "{} for {:?}", message.request_uri(), bye);
            prop_assert!(message.all("route").next().is_none(), "{}", naive::latin1(&there.output));
        }

        // The callee answers, the caller ends it.
        let vias: String = got.all("via").map(|via| via.raw.clone() + "\r\n").collect();
        let routes: String = got.all("record-route").map(|route| route.raw.clone() + "\r\n").collect();
        let text = format!("SIP/2.0 200 OK\r\n{vias}{routes}From: {}\r\nTo: {}\r\nContact: <{}>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\r\n", from_to.1, from_to.0, call.callee_contact);
        let answer = Sent { remote: last.to, local: last.from, bytes: bytes(&text), damaged: false };
        let (answered, end) = send(&config, &mut proxy, &answer)?;
        // A Contact that nobody can read is refused, as it should be.
        let Some(last_answer) = answered.last().filter(|_| end == End::Forwarded) else { return Ok(()) };
        let answer = naive::parse(&last_answer.output).unwrap();
        if let Some(expected) = reached(&config, last.to, &call.callee_contact, false).filter(|_| !rightless) {
            let routes: Vec<String> = record_routes(&answer).into_iter().rev().collect();
            let bye = within(&answer, last_answer, &routes, (answer.value("from").unwrap(), answer.value("to").unwrap()));
            let (forth, end) = send(&config, &mut proxy, &bye)?;
            prop_assert!(end == End::Forwarded, "{end:?} for {bye:?}");
            let there = forth.last().unwrap();
            let message = naive::parse(&there.output).unwrap();
            prop_assert_eq!(there.to, expected, "{:?}", bye);
            prop_assert!(is_given_back(message.request_uri(), &call.callee_contact, passes.len()), "{} for {:?}", message.request_uri(), bye);
            prop_assert!(message.all("route").next().is_none(), "{}", naive::latin1(&there.output));
        }
    }
}
