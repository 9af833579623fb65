//! Messages that go into a recording: signed again, and without who and where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipproxy64::config::Key;
use sipproxy64::recording::anonymous::Anonymiser;
use sipproxy64::recording::length::corrected;
use sipproxy64::recording::seals::{Party, reseal};

fuzz_target!(|bytes: &[u8]| {
    let peer = "203.0.113.9".parse().unwrap();
    // That of test mode, under which the seeds are signed, and another.
    let (test, other) = (Party { key: Key([0; 16]), peer }, Party { key: Key([1; 16]), peer });
    let sealed = |original: &[u8], from: &Party, to: &Party| {
        let mut copy = original.to_vec();
        reseal(original, from, &mut copy, to);
        copy
    };
    let there = sealed(bytes, &test, &other);
    let back = sealed(&there, &other, &test);
    assert!(back.eq_ignore_ascii_case(bytes), "signed again, and back");

    let mut anonymiser = Anonymiser::new(Key([2; 16]));
    let anonymous = anonymiser.message(bytes);
    assert_eq!(anonymiser.message(bytes), anonymous, "the same again");
    for mark in b"\r\n;,<>\"=@[]" {
        let count = |text: &[u8]| text.iter().filter(|byte| *byte == mark).count();
        assert_eq!(count(bytes), count(&anonymous), "{}", char::from(*mark));
    }
    let _ = corrected(bytes, anonymous);
});
