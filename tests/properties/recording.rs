//! What goes into a recording behaves under the key of test mode as it did under
//! the key of the daemon.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use sipproxy64::config::{Config, Key};
use sipproxy64::proxy::{Reason, Standalone};
use sipproxy64::recording::anonymous::Anonymiser;
use sipproxy64::recording::length::corrected;
use sipproxy64::recording::seals::{Party, reseal};

use crate::checker::naive;
use crate::message::{End, Pass, Sent, answer, respelling, scene, send};
use crate::settings::cases;

/// The same configuration with another key.
fn rekeyed(config: &Config) -> Config {
    Config { key: Key([9; 16]), ..config.clone() }
}

/// A message from or to `peer`, sealed anew.
fn resealed(config: &Config, other: &Config, bytes: &[u8], peer: SocketAddr) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let party = |config: &Config| Party { key: config.key, peer: peer.ip() };
    reseal(bytes, &party(config), &mut copy, &party(other));
    copy
}

/// Asserts that both proxies did the same, but for the signatures. What goes to ourselves
/// again nobody sees: of that only where it goes.
fn assert_same(config: &Config, other: &Config, live: &[Pass], replayed: &[Pass]) -> Result<(), TestCaseError> {
    prop_assert_eq!(live.len(), replayed.len());
    for (live, replayed) in live.iter().zip(replayed) {
        prop_assert_eq!((live.from, live.to), (replayed.from, replayed.to));
    }
    let twice = live.len() > 1;
    if let Some((live, replayed)) = live.last().zip(replayed.last()) {
        let sealed = resealed(config, other, &live.output, live.to);
        let (sealed, replayed) = (naive::latin1(&sealed), naive::latin1(&replayed.output));
        // A token that passed twice comes back with its proof, which may be for somebody else.
        let shown = |text: &str| if twice { without_proofs(text) } else { text.to_owned() };
        prop_assert_eq!(shown(&sealed), shown(&replayed));
    }
    Ok(())
}

/// Without the signatures of tokens that have no source.
fn without_proofs(text: &str) -> String {
    let mut pieces = text.split("__");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |shown, piece| {
        let digits = piece.bytes().take(16).take_while(u8::is_ascii_hexdigit).count();
        shown + "__" + if digits == 16 { &piece[16..] } else { piece }
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_request_and_its_answer_are_the_same_under_another_key((config, sent) in scene(), respelling in respelling(), code in prop::sample::select(vec!["200", "302", "180", "404"])) {
        let other = Arc::new(rekeyed(&config));
        let (mut live, mut replay) = (Standalone::new(Arc::clone(&config.0)), Standalone::new(Arc::clone(&other)));
        let (passes, end) = send(&config, &mut live, &sent)?;
        let again = Sent { bytes: resealed(&config, &other, &sent.bytes, sent.remote), ..sent.clone() };
        let (replayed, replay_end) = send(&other, &mut replay, &again)?;
        prop_assert_eq!(&end, &replay_end);
        assert_same(&config, &other, &passes, &replayed)?;
        let Some(last) = passes.last().filter(|_| end == End::Forwarded) else { return Ok(()) };

        let response = answer(&last.output, code, respelling);
        let back = Sent { remote: last.to, local: last.from, bytes: response, damaged: false };
        let again = Sent { bytes: resealed(&config, &other, &back.bytes, back.remote), ..back.clone() };
        let (returned, end) = send(&config, &mut live, &back)?;
        let (replayed, replay_end) = send(&other, &mut replay, &again)?;
        prop_assert_eq!(&end, &replay_end);
        assert_same(&config, &other, &returned, &replayed)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_anonymous_message_meets_the_same_fate((config, sent) in scene(), respelling in respelling(), code in prop::sample::select(vec!["200", "302", "180"])) {
        let mut anonymiser = Anonymiser::new(Key([3; 16]));
        let anonymous = Arc::new(anonymiser.config(&config));
        prop_assert_eq!(anonymous.check(), Ok(()));
        let (mut live, mut replay) = (Standalone::new(Arc::clone(&config.0)), Standalone::new(Arc::clone(&anonymous)));
        let (passes, end) = send(&config, &mut live, &sent)?;
        let again = disguised(&config, &mut anonymiser, &sent);
        let (replayed, replay_end) = send(&anonymous, &mut replay, &again)?;
        let show = || format!("{}\n{}", naive::latin1(&sent.bytes), naive::latin1(&again.bytes));
        // Whether an answer is larger than the request is a matter of how long its addresses are.
        if is_too_large(&end) != is_too_large(&replay_end) {
            return Ok(());
        }
        prop_assert_eq!(&end, &replay_end, "{}", show());
        prop_assert_eq!(endpoints(&passes, |end| anonymiser.endpoint(end)), endpoints(&replayed, |end| end), "{}", show());
        let Some(last) = passes.last().filter(|_| end == End::Forwarded) else { return Ok(()) };

        let back = Sent { remote: last.to, local: last.from, bytes: answer(&last.output, code, respelling), damaged: false };
        let again = disguised(&config, &mut anonymiser, &back);
        let (returned, end) = send(&config, &mut live, &back)?;
        let (replayed, replay_end) = send(&anonymous, &mut replay, &again)?;
        let show = || format!("{}\n{}", naive::latin1(&back.bytes), naive::latin1(&again.bytes));
        prop_assert_eq!(&end, &replay_end, "{}", show());
        prop_assert_eq!(endpoints(&returned, |end| anonymiser.endpoint(end)), endpoints(&replayed, |end| end), "{}", show());
    }
}

fn is_too_large(end: &End) -> bool {
    *end == End::Dropped(Reason::LargerThanRequest)
}

/// The same message, anonymous and signed again.
fn disguised(config: &Config, anonymiser: &mut Anonymiser, sent: &Sent) -> Sent {
    let mut bytes = anonymiser.message(&sent.bytes);
    let party = |peer| Party { key: config.key, peer };
    reseal(&sent.bytes, &party(sent.remote.ip()), &mut bytes, &party(anonymiser.address(sent.remote.ip())));
    let bytes = corrected(&sent.bytes, bytes);
    let [remote, local] = [sent.remote, sent.local].map(|endpoint| anonymiser.endpoint(endpoint));
    Sent { remote, local, bytes, damaged: true }
}

/// From where to where each pass went.
fn endpoints(passes: &[Pass], mut map: impl FnMut(SocketAddr) -> SocketAddr) -> Vec<[SocketAddr; 2]> {
    passes.iter().map(|pass| [map(pass.from), map(pass.to)]).collect()
}
