//! The whole core: options, datagrams from anywhere, answers, and time. See
//! [`sipproxy64_fuzz::play`] for how they are written down.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use sipproxy64_fuzz::play::play;

fuzz_target!(|text: &[u8]| -> Corpus { if play(text) { Corpus::Keep } else { Corpus::Reject } });
