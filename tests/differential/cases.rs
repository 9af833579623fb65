//! The cases of `t/`, through the proxy as a library.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::cli::Options;
use sipproxy64::config::Config;
use sipproxy64::proxy::{Datagram, Outcome, Standalone};

use crate::checker::{self, Passage};
use crate::lenient;

#[test]
fn every_change_in_the_golden_cases_belongs_to_a_rule() {
    let mut wrong = Vec::new();
    let mut forwarded = 0;
    for case in cases(Path::new(env!("CARGO_MANIFEST_DIR")).join("t")) {
        let config = Arc::new(config(&case));
        let mut proxy = Standalone::new(Arc::clone(&config));
        for (remote, local, bytes) in records(&fs::read(case.join("input")).unwrap()) {
            for passed in passes(&config, &mut proxy, (remote, local), &bytes) {
                forwarded += 1;
                wrong.extend(passed.err().map(|why| format!("{}: {why}", case.display())));
            }
        }
    }
    println!("{forwarded} messages");
    assert!(forwarded > 0);
    assert!(wrong.is_empty(), "{} messages:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Directories with an `input`, at any depth.
fn cases(folder: PathBuf) -> Vec<PathBuf> {
    if folder.join("input").exists() {
        return vec![folder];
    }
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    inside.flat_map(cases).collect()
}

fn config(case: &Path) -> Config {
    let options = fs::read_to_string(case.join("options")).unwrap();
    let arguments = ["sipproxy64"].into_iter().chain(options.split_whitespace()).map(OsString::from);
    Options::from_arguments(arguments.chain([OsString::from("--test")]))
        .unwrap_or_else(|error| panic!("{}: {error:?}", case.display()))
        .config
}

/// What stands below each line `>> udp SOURCE -> DESTINATION`.
fn records(text: &[u8]) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
    let mut records: Vec<(SocketAddr, SocketAddr, Vec<u8>)> = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if let Some(addresses) = line.strip_prefix(b">> udp ") {
            let addresses = String::from_utf8_lossy(addresses);
            let (remote, local) = addresses.trim().split_once(" -> ").unwrap();
            records.push((remote.parse().unwrap(), local.parse().unwrap(), Vec::new()));
        } else if let Some((_, _, bytes)) = records.last_mut() {
            bytes.extend_from_slice(line);
        }
    }
    records
}

/// One datagram through the proxy, and through it again as long as it goes to
/// ourselves: what the checker says of each pass that forwards it.
fn passes(
    config: &Config,
    proxy: &mut Standalone,
    way: (SocketAddr, SocketAddr),
    bytes: &[u8],
) -> Vec<Result<(), String>> {
    let ((mut remote, mut local), mut input) = (way, bytes.to_vec());
    let mut checked = Vec::new();
    for _ in 0..8 {
        let mut output = Vec::new();
        let outcome = proxy.handle(Duration::ZERO, &Datagram { local, remote, bytes: &input }, &mut output);
        while proxy.next_command().is_some() {}
        let Outcome::Send { from, to, refused } = outcome else { break };
        let input_read = if config.lenient { lenient::repaired(&input, config.wrapper) } else { input.clone() };
        if refused.is_none() {
            let input = &input_read;
            checked.push(checker::check(&Passage {
                config,
                remote,
                local,
                from,
                to,
                input,
                output: &output,
                damaged: false,
            }));
        }
        if !proxy.is_ours(to) {
            break;
        }
        (remote, local, input) = (from, to, output);
    }
    checked
}
