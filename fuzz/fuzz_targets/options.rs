//! A command line, one argument a line: either options that fit together or one
//! clear line. No option that names a file or reads one is tried.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use sipproxy64::cli::complaint::Complaint;
use sipproxy64::cli::{Options, values};
use sipproxy64::endpoint::Endpoint;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        each_value(text);
    }
    let arguments = bytes.split(|&byte| byte == b'\n').filter(|argument| !argument.starts_with(b"--secret"));
    let arguments = arguments.take(64).map(|argument| OsString::from_vec(argument.to_vec()));
    match Options::from_arguments(std::iter::once("sipproxy64".into()).chain(arguments)) {
        Ok(options) => options.config.check().expect("a configuration that was checked"),
        Err(Complaint::Asked(text)) => assert!(text.ends_with('\n')),
        Err(Complaint::Wrong(line)) => {
            assert!(!line.is_empty() && !line.contains(|letter: char| letter.is_control()), "{line:?}");
        }
    }
});

fn each_value(text: &str) {
    if let Ok(address) = values::listen4(text) {
        assert!(address.is_ipv4() && address.port() != 0);
    }
    if let Ok(address) = values::listen6(text) {
        assert!(address.is_ipv6() && address.port() != 0);
    }
    if let Ok(map) = values::map(text) {
        assert_eq!(values::map(&map.to_string()), Ok(map));
    }
    if let Ok(range) = values::port_range(text) {
        let (low, high) = range.bounds();
        assert!(low <= range.first() && range.pair(range.pairs() - 1).is_some_and(|port| port < high));
    }
    let _ = (values::uplink4(text), values::uplink6(text), values::name(text), values::dscp(text));
    let _ = (values::seconds(text), values::count(text), values::latch(text), Endpoint::parse(text));
}
