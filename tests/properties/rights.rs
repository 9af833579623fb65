//! Nobody is led by a stranger: we are no open relay.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sipproxy64::config::Config;
use sipproxy64::family::Family;
use sipproxy64::proxy::Standalone;
use sipproxy64::token::{seal_recipient, seal_route, seal_source};

use crate::checker::path::tilde;
use crate::message::{Sent, send};
use crate::settings::{World, cases, config, is_uplink, known, ours, side, strangers};
use crate::uri::draft;

/// Whom a stranger wants to reach, and what it writes to get there.
#[derive(Clone, Debug)]
enum Trick {
    Any(crate::uri::Draft),
    Token { ours: Index, victim: Index, beyond: u8 },
    Plain { victim: Index },
    Received { ours: Index, victim: Index, seal: u8 },
}

fn trick() -> impl Strategy<Value = Trick> {
    let indices = any::<(Index, Index)>();
    prop_oneof![
        draft().prop_map(Trick::Any),
        (indices.clone(), 0u8..6).prop_map(|((ours, victim), beyond)| Trick::Token { ours, victim, beyond }),
        any::<Index>().prop_map(|victim| Trick::Plain { victim }),
        (indices, 0u8..3).prop_map(|((ours, victim), seal)| Trick::Received { ours, victim, seal }),
    ]
}

fn victims() -> Vec<SocketAddr> {
    ["198.51.100.66:5060", "[2001:db8:66::66]:5060", "127.0.0.1:5060", "[::1]:53", "10.0.0.7:22"]
        .map(|text| text.parse().unwrap())
        .to_vec()
}

impl Trick {
    fn write(&self, config: &Config, remote: SocketAddr) -> String {
        let all: Vec<SocketAddr> = Family::BOTH.iter().flat_map(|&side| ours(config, side)).collect();
        let victim = |index: &Index| *index.get(&victims());
        match self {
            Self::Any(draft) => draft.write(config),
            Self::Plain { victim: index } => format!("sip:x@{};lr", victim(index)),
            Self::Token { ours, victim: index, beyond } => {
                let written = victim(index);
                let other: SocketAddr = "[2001:db8:77::1]:5060".parse().unwrap();
                let beyond = match beyond {
                    0 => String::new(),
                    1 => "__0123456789abcdef".to_owned(),
                    // Given to somebody else.
                    2 => format!("__{}", seal_recipient(&config.key, written, other.ip())),
                    // Given to this sender, for itself.
                    3 => format!("__{}", seal_recipient(&config.key, remote, remote.ip())),
                    4 => format!("_{}_{}", tilde(written), seal_source(&config.key, written, remote)),
                    _ => format!("_{}_{}", tilde(written), seal_route(&config.key, written, written)),
                };
                format!("sip:x@{};lr;s64={}{beyond}", ours.get(&all), tilde(written))
            }
            Self::Received { ours, victim: index, seal } => {
                let (ours, written) = (*ours.get(&all), victim(index));
                let seal = match seal {
                    0 => "0123456789abcdef".to_owned(),
                    1 => seal_route(&config.key, ours, remote).to_string(),
                    _ => seal_recipient(&config.key, written, remote.ip()).to_string(),
                };
                format!("sip:{ours};lr;received={};sig={seal}", tilde(written))
            }
        }
    }
}

fn attack() -> impl Strategy<Value = (World, Sent)> {
    let method = select(vec!["INVITE", "OPTIONS", "REGISTER", "ACK", "BYE", "CANCEL"]);
    let routes = prop::collection::vec((trick(), any::<bool>()), 0..4);
    (config(), side(), any::<(Index, Index)>(), any::<bool>(), method, trick(), routes).prop_map(
        |(config, side, (remote, local), as_uplink, method, target, routes)| {
            let mut attackers = strangers(side);
            attackers.retain(|&one| !config.is_ours(one));
            // The customers of an uplink are strangers too.
            let phones: Vec<_> = config.maps.iter().map(|map| map.phone.ip()).collect();
            attackers.extend(known(&config, side).into_iter().filter(|one| as_uplink && !phones.contains(&one.ip())));
            let remote = *remote.get(&attackers);
            let local = *local.get(&ours(&config, side));
            let routes: String = routes
                .iter()
                .map(|(route, ours)| format!("Route: <{}>\r\n", if *ours { format!("sip:{local};lr") } else { route.write(&config, remote) }))
                .collect();
            let text = format!(
                "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bKx1\r\n{routes}From: <sip:a@b.example>;tag=1\r\nTo: <sip:c@d.example>\r\n\
                 Call-ID: c1\r\nCSeq: 1 {method}\r\n\r\n",
                target.write(&config, remote)
            );
            (config, Sent { remote, local, bytes: text.chars().map(|letter| letter as u8).collect(), damaged: false })
        },
    )
}

proptest! {
    #![proptest_config(cases(900))]

    #[test]
    fn a_stranger_reaches_ourselves_phones_and_uplinks_only((config, sent) in attack()) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let (passes, _) = send(&config, &mut proxy, &sent)?;
        for pass in &passes {
            let is_uplink = is_uplink(&config, pass.to.ip());
            let is_phone = config.maps.iter().any(|map| map.phone == pass.to);
            // Its own address is proven by its packets.
            let is_back = pass.to.ip() == sent.remote.ip();
            prop_assert!(proxy.is_ours(pass.to) || is_phone || is_uplink || is_back, "to {}", pass.to);
        }
    }
}
