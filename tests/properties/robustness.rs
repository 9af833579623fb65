//! Nothing that arrives can crash the core, and what it forwards it understood.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

use crate::message::{Sent, scene, send};
use crate::settings::{cases, config, ours, senders, side};

/// What a message may be damaged with.
const PIECES: [&str; 34] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\r\n ",
    "\r\n\t",
    "\r\n\r\n",
    ",",
    ";",
    ":",
    "<",
    ">",
    "\"",
    "\\",
    "@",
    "?",
    "=",
    "[",
    "]",
    "%",
    " ",
    "s64=",
    ";s64x=_",
    "Via: ",
    "\r\nv:",
    "Content-Length: 99999999999999999999\r\n",
    "\r\nContent-Length: 3",
    ";lr",
    "sip:",
    ";received=",
    "*",
    "\u{ff}",
    "-",
    "4294967296",
];

#[derive(Clone, Debug)]
enum Damage {
    Insert(Index, &'static str),
    Remove(Index, u8),
    Double(Index, u8),
    Byte(Index, u8),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), select(PIECES.to_vec())).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (any::<Index>(), 1u8..20).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (any::<Index>(), 1u8..60).prop_map(|(at, length)| Damage::Double(at, length)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let end = |at: usize, length: &u8| (at + usize::from(*length)).min(bytes.len());
        if bytes.is_empty() {
            return bytes;
        }
        match damage {
            Damage::Insert(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, piece.chars().map(|letter| letter as u8));
            }
            Damage::Remove(at, length) => {
                let at = at.index(bytes.len());
                let end = end(at, length);
                bytes.drain(at..end);
            }
            Damage::Double(at, length) => {
                let at = at.index(bytes.len());
                let again = bytes[at..end(at, length)].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn arbitrary_bytes_do_no_harm(
        config in config(), side in side(), (remote, local) in any::<(Index, Index)>(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(select([&PIECES[..], &["INVITE ", " SIP/2.0", "SIP/2.0 200", "From:", "CSeq: 1 INVITE", "UDP"]].concat()), 0..40)
                .prop_map(|pieces| pieces.concat().into_bytes()),
        ],
    ) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let remote = *remote.get(&senders(&config, side));
        let local = *local.get(&ours(&config, side));
        let mut out = Vec::new();
        let outcome = proxy.handle(Duration::ZERO, &Datagram { local, remote, bytes: &bytes }, &mut out);
        let quiet = matches!(outcome, Outcome::Drop(_)) || !out.is_empty();
        prop_assert!(quiet);
    }

    /// What is forwarded although it is damaged went by the rules, as a second
    /// reader sees it.
    #[test]
    fn a_damaged_message_is_refused_or_crosses_by_the_rules((config, sent) in scene(), damages in prop::collection::vec(damage(), 1..4)) {
        let mut proxy = Standalone::new(Arc::clone(&config.0));
        let sent = Sent { bytes: damaged(sent.bytes, &damages), damaged: true, ..sent };
        send(&config, &mut proxy, &sent)?;
    }
}
