//! What goes into a recording behaves under the key of test mode as it did under
//! the key of the daemon.

use std::sync::Arc;

use proptest::prelude::*;
use sipproxy64::config::{Config, Key};
use sipproxy64::proxy::Standalone;
use sipproxy64::recording::seals::{Party, reseal};

use crate::checker::naive;
use crate::message::{End, Pass, Sent, answer, respelling, scene, send};
use crate::settings::cases;

/// The same configuration with another key.
fn rekeyed(config: &Config) -> Config {
    Config { key: Key([9; 16]), ..config.clone() }
}

/// A message from or to `peer`, sealed anew.
fn resealed(config: &Config, other: &Config, bytes: &[u8], peer: std::net::SocketAddr) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let party = |config: &Config| Party { key: config.key, peer: peer.ip() };
    reseal(bytes, &party(config), &mut copy, &party(other));
    copy
}

/// Asserts that both proxies did the same, but for the signatures.
fn assert_same(config: &Config, other: &Config, live: &[Pass], replayed: &[Pass]) -> Result<(), TestCaseError> {
    prop_assert_eq!(live.len(), replayed.len());
    for (live, replayed) in live.iter().zip(replayed) {
        prop_assert_eq!((live.from, live.to), (replayed.from, replayed.to));
        let sealed = resealed(config, other, &live.output, live.to);
        prop_assert_eq!(naive::latin1(&sealed), naive::latin1(&replayed.output));
    }
    Ok(())
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
