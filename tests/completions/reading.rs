//! Command lines, read by us and by clap.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use proptest::prelude::*;
use sipproxy64::cli::arguments::{self, ArgumentError, Opt, Takes, Target, Unfit};
use sipproxy64::cli::table::OPTIONS;

/// Takes every value that is one.
struct Anything;

impl Target for Anything {
    fn options(&self) -> &'static [Opt] {
        &OPTIONS
    }

    fn set(&mut self, option: &Opt, value: Option<&OsStr>) -> Result<(), Unfit> {
        let is_path = matches!(option.takes, Takes::One("FILE" | "DIR" | "SOCKET") | Takes::All("FILE"));
        if is_path && value.is_some_and(OsStr::is_empty) { Err(Unfit::Empty) } else { Ok(()) }
    }
}

/// What was read: each option that was said, with its values in order.
#[derive(Debug, PartialEq)]
enum Read {
    Said(BTreeMap<&'static str, Vec<OsString>>),
    Asked,
    Wrong,
}

fn by_us(line: &[&str]) -> Read {
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    match arguments::read(&mut Anything, &line) {
        Ok(said) => {
            let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for one in said {
                all.entry(one.option.long).or_default().extend(one.value.or(match one.option.takes {
                    Takes::Count => Some("counted".into()),
                    _ => None,
                }));
            }
            Read::Said(all)
        }
        Err(ArgumentError::Asked(_)) => Read::Asked,
        Err(_) => Read::Wrong,
    }
}

fn by_clap(line: &[&str]) -> Read {
    let command = super::command("sipproxy64", &OPTIONS);
    let matches = match command.try_get_matches_from(["sipproxy64"].iter().chain(line)) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => return Read::Asked,
        Err(_) => return Read::Wrong,
    };
    let said = |option: &&Opt| {
        let is_own = !["help", "version"].contains(&option.long);
        is_own && matches.value_source(option.long) == Some(clap::parser::ValueSource::CommandLine)
    };
    let values = |option: &'static Opt| {
        let values = match option.takes {
            Takes::Nothing => Vec::new(),
            Takes::Count => vec!["counted".into(); matches.get_count(option.long).into()],
            _ => matches.get_raw(option.long).into_iter().flatten().map(OsStr::to_owned).collect(),
        };
        (option.long, values)
    };
    Read::Said(OPTIONS.iter().filter(said).map(values).collect())
}

/// What command lines are made of here.
const PIECES: [&str; 44] = [
    "-l",
    "-l192.0.2.1",
    "-l=192.0.2.1",
    "--listen4",
    "--listen4=192.0.2.1",
    "--listen4=",
    "192.0.2.1",
    "-",
    "--",
    "",
    "-m",
    "-ma=b",
    "--map",
    "--map=a=b",
    "a=b",
    "-v",
    "-vv",
    "-vvd",
    "-vl",
    "-q",
    "-d",
    "-dq",
    "--daemon",
    "--daemon=x",
    "--verbose",
    "--quiet",
    "-t",
    "--test",
    "--test=a",
    "-ta",
    "--dscp",
    "-5",
    "--dscp=-5",
    "--secret",
    "--secret=",
    "-P",
    "-P=",
    "--takeover",
    "--takeover=s",
    "--check",
    "--xyzzy",
    "-x",
    "--control=",
    "-c",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn clap_reads_the_same(line in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..6)) {
        prop_assert_eq!(by_us(&line), by_clap(&line));
    }
}

/// `--help` and `--version` end the reading, in whatever place they stand.
#[test]
fn what_is_asked_is_answered_before_later_faults() {
    for line in [["--help", "--xyzzy"], ["-vh", "x"], ["-V", "--"], ["-m=a", "--version"], ["--test", "-h"]] {
        assert_eq!(by_us(&line), Read::Asked, "{line:?}");
        assert_eq!(by_clap(&line), Read::Asked, "{line:?}");
    }
}
