//! A configuration file: either options that fit together or one clear line with
//! a line of the file. Written again, what it says is the same.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use sipproxy64::cli::complaint::Complaint;
use sipproxy64::cli::file::settings;
use sipproxy64::cli::{Mode, Options};

const ARGUMENTS: [&str; 7] = ["sipproxy64", "-c", "FILE", "-l", "192.0.2.1", "-L", "2001:db8::1"];

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|&byte| byte == b'\n').count();
    match settings(bytes) {
        Ok(said) => {
            let mut again = String::new();
            for setting in &said {
                assert!((1..=lines).contains(&setting.line) && !setting.name.is_empty());
                match setting.value {
                    // No blank: a '#' behind one would begin a comment.
                    Some(value) => again += &format!("{}={value}\n", setting.name),
                    None => again += &format!("{}\n", setting.name),
                }
            }
            let said = said.iter().map(|setting| (setting.name, setting.value));
            let read = settings(again.as_bytes()).expect("what was read once");
            assert!(said.eq(read.iter().map(|setting| (setting.name, setting.value))), "{again:?}");
        }
        Err(fault) => assert!((1..=lines).contains(&fault.line), "{fault}"),
    }
    // Test mode touches no file but that of the options, which is this one.
    let arguments = ARGUMENTS.into_iter().chain(["--test"]).map(OsString::from);
    match Options::with_file(arguments, bytes) {
        Ok(options) => {
            assert_eq!(options.mode, Mode::Print);
            options.config.check().expect("a configuration that was checked");
        }
        Err(Complaint::Asked(text)) => panic!("nobody asked for {text:?}"),
        Err(Complaint::Wrong(line)) => {
            assert!(!line.is_empty() && !line.contains(|letter: char| letter.is_control()), "{line:?}");
        }
    }
});
