//! The golden cases: each directory of `t/` is a test.
//!
//! A case has `options` (the command line), `input` (recorded messages, see
//! `t/README.md`), `expected` (what the program prints for it) and `why` (the
//! rule it shows). `BLESS=1 cargo test --test golden` writes `expected` anew; the
//! difference is then read like code.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands in `expected` for the version of the program.
const VERSION: (&str, &str) = (concat!("SIPproxy64/", env!("CARGO_PKG_VERSION")), "SIPproxy64/<version>");

#[test]
fn every_case_gives_what_it_expects() {
    let bless = std::env::var_os("BLESS").is_some();
    let cases = cases();
    assert!(!cases.is_empty(), "no cases in t/");
    let mut failed = String::new();
    for case in &cases {
        let printed = run(case);
        let path = case.join("expected");
        if bless {
            fs::write(&path, &printed).unwrap();
        }
        let expected = fs::read(&path).unwrap_or_default();
        if printed != expected {
            let _ = write!(failed, "\n{}: {}", name(case), difference(&expected, &printed));
        }
        assert!(case.join("why").metadata().is_ok_and(|why| why.len() > 0), "{}: a line of why is missing", name(case));
    }
    assert!(failed.is_empty(), "{failed}\n\nBLESS=1 cargo test --test golden writes what is printed into expected");
    println!("{} golden cases", cases.len());
}

/// The directories of `t/` that hold a case, at any depth, in order.
fn cases() -> Vec<PathBuf> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("t")];
    let mut cases = Vec::new();
    while let Some(folder) = open.pop() {
        if folder.join("input").exists() {
            cases.push(folder);
        } else {
            let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            open.extend(entries.filter(|path| path.is_dir()));
        }
    }
    cases.sort();
    cases
}

fn name(case: &Path) -> String {
    case.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(case).display().to_string()
}

/// What the program prints for a case, its version left out.
fn run(case: &Path) -> Vec<u8> {
    let options =
        fs::read_to_string(case.join("options")).unwrap_or_else(|error| panic!("{}: options: {error}", name(case)));
    let output = Command::new(env!("CARGO_BIN_EXE_sipproxy64"))
        .args(options.split_whitespace())
        .arg("--test")
        .arg(case.join("input"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}: {complaint}", name(case), output.status);
    replace(&output.stdout, VERSION.0.as_bytes(), VERSION.1.as_bytes())
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The first line in which two texts differ.
fn difference(expected: &[u8], printed: &[u8]) -> String {
    let lines =
        |text: &[u8]| text.split(|&byte| byte == b'\n').map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>();
    let (expected, printed) = (lines(expected), lines(printed));
    let at = (0..).find(|&index| expected.get(index) != printed.get(index)).unwrap_or(0);
    let show = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(end)".to_string());
    format!("line {}\n  expected: {}\n  printed:  {}", at + 1, show(&expected), show(&printed))
}
