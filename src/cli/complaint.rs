//! What is wrong with the command line, in one line.

use std::fmt::{self, Write};
use std::path::Path;

use super::arguments::{ArgumentError, Opt, Takes};

/// Why there are no options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// `--help` or `--version`: this text is wanted on stdout.
    Asked(String),
    /// An option is wrong: one line that says which, and what would be right.
    Wrong(String),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Asked(text) | Self::Wrong(text)) = self;
        f.write_str(text)
    }
}

impl Complaint {
    /// The line of an error whose text is one.
    pub fn wrong(error: &dyn std::error::Error) -> Self {
        Self::line(&error.to_string())
    }

    /// This text, as one line.
    pub fn line(text: &str) -> Self {
        Self::Wrong(printable(text))
    }

    /// The line for arguments that cannot be read.
    pub fn of_arguments(error: &ArgumentError) -> Self {
        Self::line(&line(error))
    }
}

fn line(error: &ArgumentError) -> String {
    match error {
        ArgumentError::Asked(option) => format!("--{}: it stands alone", option.long),
        ArgumentError::Unknown(name, None) => format!("{name}: no such option (try --help)"),
        ArgumentError::Unknown(name, Some(near)) => format!("{name}: no such option; --{near} is one (try --help)"),
        ArgumentError::Stray(argument) => stray(&argument.to_string_lossy()),
        ArgumentError::NoValue(option) => {
            let Opt { long, .. } = option;
            format!("--{long}: its value is missing; write --{long}{}", option.shown_value())
        }
        ArgumentError::Surplus(option, value) => {
            // Whoever wrote "no" must not be told to leave out the word alone.
            let advice = match option.takes {
                Takes::Count => "write it once more for each step",
                _ => "it is on where it stands, and off where it does not",
            };
            let Opt { long, .. } = option;
            format!("--{long} {}: it takes no value; {advice}", value.to_string_lossy())
        }
        ArgumentError::Twice(option) => format!("--{} is given more than once; keep one", option.long),
        ArgumentError::Both(one, other) => {
            format!("--{} and --{} contradict each other; keep one", one.long, other.long)
        }
        ArgumentError::NotText(option) => format!("--{}: its value is not UTF-8; write plain ASCII", option.long),
        ArgumentError::Value(Opt { long, .. }, value, why) => {
            let value = if value.is_empty() { "''".into() } else { value.to_string_lossy() };
            format!("--{long} {value}: {why}")
        }
    }
}

/// What stands behind no option: a slip, or a command that there is not.
fn stray(argument: &str) -> String {
    if argument == "status" {
        return "status: it stands first and has options of its own, see sipproxy64 status --help".to_owned();
    }
    let is_word = argument.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_word && argument.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        return format!("{argument}: no such command; status is the only one, all else are options (try --help)");
    }
    format!("{argument}: an option must stand before it, as in --listen4 192.0.2.1 (try --help)")
}

/// One line for the listen addresses that neither the command line nor the
/// configuration file names, each with an example.
pub(super) fn missing(names: &[&str], file: Option<&Path>) -> Complaint {
    let mut line = format!("missing {}; name an address of this machine for each side, as in", names.join(" and "));
    for name in names {
        let example = if *name == "--listen4" { "192.0.2.1" } else { "2001:db8::1" };
        // Writing to a String cannot fail.
        let _ = write!(line, " {name} {example}");
    }
    match file {
        Some(file) => {
            let _ = write!(line, ", or without the dashes in {}", file.display());
        }
        None => line += " (try --help)",
    }
    Complaint::line(&line)
}

/// A text on one line: what would steer a terminal is escaped.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
