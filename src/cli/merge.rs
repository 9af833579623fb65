//! The configuration file and the command line, put together: what the command
//! line says wins; what may be repeated adds up.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::arguments::{self, Opt, Said, Takes, alike};
use super::complaint::Complaint;
use super::file::{self, Setting};
use super::given::Arguments;
use super::table::OPTIONS;
use super::values;
use crate::config::ConfigError;

/// Why an option cannot stand in a file. By its long name.
const NOT_IN_A_FILE: [(&str, &str); 6] = [
    ("config", "a configuration file names no other; put all options into one"),
    ("check", "it is a question to one run; give it on the command line"),
    ("test", "it is for one run; give it on the command line"),
    ("takeover", "it is for one start; give it on the command line"),
    ("help", "give it on the command line"),
    ("version", "give it on the command line"),
];

/// Of these two one on the command line outdoes both in the file.
const ONE_OF: [&str; 2] = ["verbose", "quiet"];

/// What a configuration file adds to the command line.
#[derive(Debug, Default)]
pub(super) struct FromFile {
    path: PathBuf,
    kept: Vec<Kept>,
}

/// A line that is in force.
#[derive(Debug)]
struct Kept {
    line: usize,
    name: String,
    value: Option<String>,
}

/// All of the file of `--config`, up to what is certainly none.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Complaint> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(file::MAX_LENGTH + 1).read_to_end(&mut text));
    let length = read.map_err(|error| {
        let advice = if error.kind() == io::ErrorKind::NotFound { "; name a file that exists" } else { "" };
        Complaint::line(&format!("--config {}: cannot read it: {error}{advice}", path.display()))
    })?;
    if u64::try_from(length).is_ok_and(|length| length > file::MAX_LENGTH) {
        let text = format!("--config {}: longer than 4 MiB, so it is no configuration file", path.display());
        return Err(Complaint::line(&text));
    }
    Ok(text)
}

/// As [`read`], while a daemon runs, which must not wait for anybody: a pipe, as a shell
/// makes it of `<(...)`, may never have anything more to read.
pub(super) fn read_again(path: &Path) -> Result<Vec<u8>, Complaint> {
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        let text = format!("--config {}: no regular file, so it is read at the start only", path.display());
        return Err(Complaint::line(&text));
    }
    read(path)
}

impl FromFile {
    /// What of `text`, the file at `path`, is in force beside what is `given` on
    /// the command line. Each line is checked, also one that is not in force.
    pub(super) fn of(path: &Path, text: &[u8], given: &[Said]) -> Result<Self, Complaint> {
        let mut from_file = Self { path: path.to_owned(), kept: Vec::new() };
        let settings = file::settings(text).map_err(|error| from_file.complaint(error.line, &error.why.to_string()))?;
        for setting in settings {
            let wrong = |why: &str| from_file.complaint(setting.line, why);
            let option = find(setting.name).map_err(|why| wrong(&why))?;
            if let Some(earlier) = from_file.kept.iter().find(|kept| kept.name == setting.name && !option.adds_up()) {
                let why = format!("{} stands in line {} already; keep one", setting.name, earlier.line);
                return Err(wrong(&why));
            }
            let contradicts = |kept: &&Kept| {
                let other = arguments::find(&OPTIONS, &kept.name);
                option.against.contains(&kept.name.as_str())
                    || other.is_some_and(|other| other.against.contains(&option.long))
            };
            if let Some(earlier) = from_file.kept.iter().find(contradicts) {
                let Kept { line, name, .. } = earlier;
                return Err(wrong(&format!("{} contradicts {name} in line {line}; keep one", setting.name)));
            }
            let alone = [as_argument(setting.name, setting.value)];
            if let Err(error) = arguments::read(&mut Arguments::default(), &alone) {
                return Err(wrong(&Complaint::of_arguments(&error).to_string()));
            }
            from_file.keep(&setting);
        }
        // Only now, so that a name that stands twice is found in any case.
        from_file.kept.retain(|kept| find(&kept.name).is_ok_and(|option| is_in_force(option, given)));
        Ok(from_file)
    }

    fn keep(&mut self, setting: &Setting<'_>) {
        let value = setting.value.map(str::to_owned);
        self.kept.push(Kept { line: setting.line, name: setting.name.to_owned(), value });
    }

    /// As arguments, to stand in front of those of the command line.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.kept.iter().map(|kept| as_argument(&kept.name, kept.value.as_deref()))
    }

    /// The file, if there is one: for what is missing in it.
    pub(super) fn path(&self) -> Option<&Path> {
        Some(self.path.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    /// The complaint about what does not fit together, with the line that says it.
    pub(super) fn unfit(&self, error: &ConfigError) -> Complaint {
        let says = |kept: &&Kept| match error.map() {
            Some(map) => {
                kept.name == "map" && kept.value.as_deref().and_then(|text| values::map(text).ok()) == Some(*map)
            }
            None => kept.name == error.option(),
        };
        self.at(self.kept.iter().rfind(says), &error.to_string())
    }

    /// The complaint about the value of `option`, with the line that says it.
    pub(super) fn wrong(&self, option: &str, error: &dyn std::error::Error) -> Complaint {
        self.said(option, &error.to_string())
    }

    /// The complaint about `option` in these words, with the line that says it.
    pub(super) fn said(&self, option: &str, why: &str) -> Complaint {
        self.at(self.kept.iter().find(|kept| kept.name == option), why)
    }

    fn at(&self, kept: Option<&Kept>, why: &str) -> Complaint {
        kept.map_or_else(|| Complaint::line(why), |kept| self.complaint(kept.line, why))
    }

    fn complaint(&self, line: usize, why: &str) -> Complaint {
        // No dashes in front: there are none in the file.
        Complaint::line(&format!("{}, line {line}: {}", self.path.display(), why.trim_start_matches("--")))
    }
}

/// The option of that long name, or why it cannot stand in a file.
fn find(name: &str) -> Result<&'static Opt, String> {
    if let Some((_, why)) = NOT_IN_A_FILE.iter().find(|(not, _)| *not == name) {
        return Err(format!("{name} cannot stand in a configuration file: {why}"));
    }
    if let Some(option) = arguments::find(&OPTIONS, name) {
        return Ok(option);
    }
    let of_letter = |option: &&Opt| option.short.is_some_and(|short| name.chars().eq([short]));
    Err(match (OPTIONS.iter().find(of_letter), alike(&OPTIONS, name)) {
        (Some(option), _) => format!("{name}: write the long name, {}", option.long),
        (None, Some(near)) => format!("{name}: no such option; {near} is one (try --help)"),
        (None, None) => format!("{name}: no such option (try --help)"),
    })
}

fn as_argument(name: &str, value: Option<&str>) -> OsString {
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

/// Whether the file is heard about an option, by what stands on the command line.
fn is_in_force(option: &Opt, given: &[Said]) -> bool {
    let is_given = |long: &str| given.iter().any(|said| said.option.long == long);
    matches!(option.takes, Takes::Each(_) | Takes::All(_))
        || !(is_given(option.long) || (ONE_OF.contains(&option.long) && ONE_OF.into_iter().any(is_given)))
}
