//! The manual page, sipproxy64.8, says what `--help` says.

#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::BTreeMap;
use std::process::Command;

const MANUAL: &str = include_str!("../sipproxy64.8");

/// An option and what it stands with: `-l ADDR[:PORT] --listen4 ADDR[:PORT]`,
/// each with the text behind it.
fn options_of_help() -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sipproxy64")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut options = BTreeMap::new();
    for line in unfolded(&help).iter().map(|line| line.trim_start()).filter(|line| line.starts_with('-')) {
        let (option, text) = line.split_once("  ").unwrap();
        // "-t, --test [<FILE>...]", "-v, --verbose...": repetition is told in words.
        let plain: String = option.replace("...", "").replace("[<", "<").replace(">]", ">").replace(['<', '>'], "");
        let (names, value) = match plain.rsplit_once(' ') {
            Some((names, value)) if !value.starts_with('-') => (names, format!(" {value}")),
            _ => (plain.as_str(), String::new()),
        };
        let names: Vec<String> = names.split(", ").map(|name| format!("{name}{value}")).collect();
        options.insert(names.join(" "), text.trim().to_owned());
    }
    options
}

/// The lines of a help text; one that is too long goes on below, far to the right.
fn unfolded(help: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in help.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with("          ") => *last = format!("{last} {}", line.trim_start()),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn options_of_manual() -> BTreeMap<String, String> {
    let (_, section) = MANUAL.split_once(".Sh OPTIONS\n").unwrap();
    let (section, _) = section.split_once(".Sh ").unwrap();
    let mut options = BTreeMap::new();
    for item in section.split("\n.It Fl ").skip(1) {
        let (option, text) = item.split_once('\n').unwrap();
        let option = format!("-{option}").replace(" , Fl ", " -").replace(" Ar ", " ").replace("Fl ", "-");
        options.insert(option, text.replace('\n', " "));
    }
    options
}

#[test]
fn every_option_of_help_is_in_the_manual_and_the_reverse() {
    let help: Vec<String> = options_of_help().into_keys().collect();
    let manual: Vec<String> = options_of_manual().into_keys().collect();
    assert!(help.contains(&"-l ADDR[:PORT] --listen4 ADDR[:PORT]".to_owned()), "{help:?}");
    assert_eq!(help, manual);
}

#[test]
fn both_name_the_same_defaults() {
    let manual = options_of_manual();
    let mut defaults = 0;
    for (option, text) in options_of_help() {
        let said = manual.get(&option).unwrap();
        match text.split_once("[default: ") {
            Some((_, default)) => {
                let default = format!("Default: {}.", default.trim_end_matches(']'));
                assert!(said.contains(&default), "{option}: the manual lacks {default:?}");
                defaults += 1;
            }
            None => assert!(!said.contains("Default: "), "{option}: --help lacks the default"),
        }
    }
    assert!(defaults > 5, "only {defaults} defaults found");
}

/// The examples of the manual and of the README are right command lines.
#[test]
fn examples_are_right_command_lines() {
    let mut examples = 0;
    let documents = [MANUAL.replace("\\e\n", " "), include_str!("../README.md").replace("\\\n", " ")];
    for line in documents.iter().flat_map(|document| document.lines()) {
        let line = line.trim().trim_start_matches(".Dl ").replace('\'', "");
        let arguments = match (line.strip_prefix("sipproxy64 -"), line.split_once("cargo run --release -- ")) {
            (Some(arguments), _) => format!("-{arguments}"),
            (None, Some((_, arguments))) => arguments.to_owned(),
            (None, None) => continue,
        };
        // Nothing is to be created here.
        let arguments = arguments.replace("--secret", "--test -- --secret");
        // These come with a package.
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/sipproxy64.conf");
        let arguments = arguments.replace("/etc/sipproxy64.conf", config).replace("--user sipproxy64", "--user nobody");
        let arguments = arguments.split_whitespace().take_while(|argument| *argument != "--");
        let parsed = sipproxy64::cli::Options::from_arguments(
            ["sipproxy64"].into_iter().chain(arguments).map(std::ffi::OsString::from),
        );
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
        examples += 1;
    }
    assert!(examples > 4, "only {examples} examples found");
}

#[test]
fn the_manual_is_sound_mdoc() {
    let mandoc = Command::new("mandoc").args(["-Tlint", "-Wstyle", "sipproxy64.8"]).output();
    let Ok(output) = mandoc else {
        println!("skipped (1): mandoc is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // Whether other pages are installed is not the matter of this one.
    let faults: Vec<&str> = said.lines().filter(|line| line.starts_with("mandoc: sipproxy64.8:")).collect();
    let faults: Vec<&&str> = faults.iter().filter(|line| !line.contains("referenced manual not found")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
