//! What is wrong with the command line, in one line.

use std::fmt::{self, Write};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

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

    /// The line for what clap found; clap itself would use several.
    pub fn from_clap(error: &clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Asked(error.to_string()),
            _ => Self::Wrong(printable(&line(error))),
        }
    }
}

fn line(error: &clap::Error) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    let option = option_name(&argument);
    let value = context(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let value = if value.is_empty() { "''" } else { &value };
            format!("{option} {value}: {why}")
        }
        ErrorKind::InvalidValue => format!("{option}: its value is missing; write {argument}"),
        ErrorKind::UnknownArgument => unknown(error, &argument),
        ErrorKind::ArgumentConflict => conflict(error, option),
        ErrorKind::TooManyValues => format!("{option} {value}: {option} takes no value; leave it out"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8; addresses and names are plain ASCII".to_owned(),
        _ => format!("{} (try --help)", first_line(error)),
    }
}

fn unknown(error: &clap::Error, argument: &str) -> String {
    if !argument.starts_with('-') {
        return format!("{argument}: an option must stand before it, as in --listen4 192.0.2.1 (try --help)");
    }
    match context(error, ContextKind::SuggestedArg).as_str() {
        "" => format!("{argument}: no such option (try --help)"),
        near => format!("{argument}: no such option; {near} is one (try --help)"),
    }
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

fn conflict(error: &clap::Error, option: &str) -> String {
    let prior = context(error, ContextKind::PriorArg);
    let prior = option_name(&prior);
    if prior.is_empty() || prior == option {
        format!("{option} is given more than once; keep one")
    } else {
        format!("{option} and {prior} contradict each other; keep one")
    }
}

/// The part of clap's words that names the fault.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.join(" "),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// `--map` of `--map <PHONE=FAKE>`, `--verbose` of `--verbose...`.
fn option_name(argument: &str) -> &str {
    argument.split_whitespace().next().unwrap_or_default().trim_end_matches("...")
}

/// The same text on one line: what would steer a terminal is escaped.
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
