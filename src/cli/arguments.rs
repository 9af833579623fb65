//! Arguments, taken apart by a table of the options.
//!
//! An option is written as people are used to: `--name value`, `--name=value`,
//! `-n value`, `-nvalue`, `-n=value`, and letters without a value together, `-vvd`.
//! What an option means, and which values are right, its [`Target`] knows.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// How alike an option must be to be proposed, from 0 to 1.
const ALIKE: f64 = 0.74;

/// An option, as the command line, `--help` and the completions of shells know it.
#[derive(Debug, PartialEq, Eq)]
pub struct Opt {
    /// The letter behind one dash.
    pub short: Option<char>,
    /// The name behind two dashes.
    pub long: &'static str,
    /// What stands behind it.
    pub takes: Takes,
    /// The text of `--help`.
    pub help: &'static str,
    /// The long names of options that it cannot stand beside.
    pub against: &'static [&'static str],
}

/// What stands behind an option, by the name that `--help` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// No value.
    Nothing,
    /// No value; each time counts.
    Count,
    /// One value.
    One(&'static str),
    /// A number, so that `-5` is a value and not an option.
    Number(&'static str),
    /// One value each time.
    Each(&'static str),
    /// As many values as there are up to the next option.
    All(&'static str),
}

impl Opt {
    /// `--long`
    pub const fn flag(long: &'static str, help: &'static str) -> Self {
        Self { short: None, long, takes: Takes::Nothing, help, against: &[] }
    }

    /// An option with a value.
    pub const fn of(long: &'static str, takes: Takes, help: &'static str) -> Self {
        Self { short: None, long, takes, help, against: &[] }
    }

    /// This option, also by this letter.
    #[must_use]
    pub const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    /// This option, which cannot stand beside these.
    #[must_use]
    pub const fn against(self, others: &'static [&'static str]) -> Self {
        Self { against: others, ..self }
    }

    /// Whether it may stand more than once.
    pub fn adds_up(&self) -> bool {
        matches!(self.takes, Takes::Count | Takes::Each(_) | Takes::All(_))
    }

    /// What `--help` shows behind the name.
    pub fn shown_value(&self) -> String {
        match self.takes {
            Takes::Nothing => String::new(),
            Takes::Count => "...".to_owned(),
            Takes::One(name) | Takes::Number(name) | Takes::Each(name) => format!(" <{name}>"),
            Takes::All(name) => format!(" [<{name}>...]"),
        }
    }
}

/// What options are read into.
pub trait Target {
    /// The options there are.
    fn options(&self) -> &'static [Opt];

    /// Takes in that `option` stands on the command line. The value is empty where
    /// there is none.
    ///
    /// # Errors
    /// Where the value does not do.
    fn set(&mut self, option: &Opt, value: Option<&OsStr>) -> Result<(), Unfit>;
}

/// Why a value does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing is written where something must be.
    Empty,
    /// No UTF-8.
    NotText,
    /// What would be right.
    Why(String),
}

/// An option that was said, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which.
    pub option: &'static Opt,
    /// None where it takes none, or is given none.
    pub value: Option<OsString>,
}

/// Why arguments cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentError {
    /// `--help` or `--version` is no error, but ends the reading.
    Asked(&'static Opt),
    /// No option, as it was written, and one that looks alike.
    Unknown(String, Option<&'static str>),
    /// What stands behind no option.
    Stray(OsString),
    /// An option without the value it takes.
    NoValue(&'static Opt),
    /// An option with a value, though it takes none.
    Surplus(&'static Opt, OsString),
    /// An option that stands twice, and may not.
    Twice(&'static Opt),
    /// Two that contradict each other.
    Both(&'static Opt, &'static Opt),
    /// A value that is no text.
    NotText(&'static Opt),
    /// A value that does not do, and why.
    Value(&'static Opt, OsString, String),
}

/// Reads `arguments`, without the name of the program, into `target`.
///
/// # Errors
/// The first error from the left; that two contradict each other comes last.
pub fn read(target: &mut dyn Target, arguments: &[OsString]) -> Result<Vec<Said>, ArgumentError> {
    let mut reader = Reader { options: target.options(), target, rest: arguments, said: Vec::new() };
    while let Some(argument) = reader.next() {
        reader.argument(argument.as_bytes())?;
    }
    contradiction(&reader.said).map_or(Ok(reader.said), Err)
}

/// The option of that long name.
pub fn find(options: &'static [Opt], long: &str) -> Option<&'static Opt> {
    options.iter().find(|option| option.long == long)
}

/// The long name that looks most like this one, if any does; capitals and `_` for `-`
/// are slips, too.
pub fn alike(options: &[Opt], name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let likeness = options.iter().map(|option| (strsim::jaro(&name, option.long), option.long));
    let near = likeness.filter(|(likeness, _)| *likeness > ALIKE);
    near.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, long)| long)
}

struct Reader<'a> {
    options: &'static [Opt],
    target: &'a mut dyn Target,
    rest: &'a [OsString],
    said: Vec<Said>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a OsString> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn argument(&mut self, argument: &'a [u8]) -> Result<(), ArgumentError> {
        match argument {
            // What is behind would be no option any more, and there is nothing else.
            b"--" => self.next().map_or(Ok(()), |stray| Err(ArgumentError::Stray(stray.clone()))),
            [b'-', b'-', long @ ..] => self.long(long),
            [b'-', letters @ ..] if !letters.is_empty() => self.letters(letters),
            stray => Err(self.stray(OsStr::from_bytes(stray))),
        }
    }

    /// Behind an option without a value it was most likely meant for one.
    fn stray(&self, argument: &OsStr) -> ArgumentError {
        let before = self.said.last().map(|said| said.option);
        match before.filter(|before| matches!(before.takes, Takes::Nothing | Takes::Count) && argument != "status") {
            Some(before) => ArgumentError::Surplus(before, argument.to_owned()),
            None => ArgumentError::Stray(argument.to_owned()),
        }
    }

    fn long(&mut self, written: &'a [u8]) -> Result<(), ArgumentError> {
        let mut parts = written.splitn(2, |&byte| byte == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let option = find(self.options, &name)
            .ok_or_else(|| ArgumentError::Unknown(format!("--{name}"), alike(self.options, &name)))?;
        self.option(option, parts.next().map(OsStr::from_bytes))
    }

    /// Letters up to one that takes a value, which is the rest.
    fn letters(&mut self, mut letters: &'a [u8]) -> Result<(), ArgumentError> {
        while let Some((&letter, behind)) = letters.split_first() {
            let option = self.options.iter().find(|option| option.short == Some(char::from(letter)));
            let Some(option) = option.filter(|_| letter.is_ascii()) else {
                let unknown = String::from_utf8_lossy(letters).chars().take(1).collect::<String>();
                return Err(ArgumentError::Unknown(format!("-{unknown}"), None));
            };
            if !matches!(option.takes, Takes::Nothing | Takes::Count) {
                let attached = behind.strip_prefix(b"=").or(Some(behind).filter(|behind| !behind.is_empty()));
                return self.option(option, attached.map(OsStr::from_bytes));
            }
            self.option(option, None)?;
            letters = behind;
        }
        Ok(())
    }

    fn option(&mut self, option: &'static Opt, attached: Option<&OsStr>) -> Result<(), ArgumentError> {
        match (option.takes, attached) {
            (Takes::Nothing | Takes::Count, Some(value)) => Err(ArgumentError::Surplus(option, value.to_owned())),
            (Takes::Nothing | Takes::Count, None) => self.say(option, None),
            (_, Some(value)) => self.say(option, Some(value)),
            (Takes::All(_), None) => {
                let mut values = 0_usize;
                while let Some(value) = self.value(option) {
                    self.say(option, Some(value))?;
                    values = values.saturating_add(1);
                }
                if values == 0 { self.say(option, None) } else { Ok(()) }
            }
            (_, None) => {
                let value = self.value(option).ok_or(ArgumentError::NoValue(option))?;
                self.say(option, Some(value))
            }
        }
    }

    /// The next argument, if it is no option.
    fn value(&mut self, option: &Opt) -> Option<&'a OsStr> {
        let is_value = match self.rest.first()?.as_bytes() {
            [b'-', digit, ..] if matches!(option.takes, Takes::Number(_)) => digit.is_ascii_digit(),
            [b'-', _, ..] => false,
            _ => true,
        };
        if is_value { self.next().map(OsString::as_os_str) } else { None }
    }

    fn say(&mut self, option: &'static Opt, value: Option<&OsStr>) -> Result<(), ArgumentError> {
        if matches!(option.long, "help" | "version") {
            return Err(ArgumentError::Asked(option));
        }
        if !option.adds_up() && self.said.iter().any(|said| said.option == option) {
            return Err(ArgumentError::Twice(option));
        }
        self.target.set(option, value).map_err(|unfit| match unfit {
            Unfit::Empty => ArgumentError::NoValue(option),
            Unfit::NotText => ArgumentError::NotText(option),
            Unfit::Why(why) => ArgumentError::Value(option, value.unwrap_or_default().to_owned(), why),
        })?;
        self.said.push(Said { option, value: value.map(OsStr::to_owned) });
        Ok(())
    }
}

/// Two options that contradict each other, in the order they were said.
fn contradiction(said: &[Said]) -> Option<ArgumentError> {
    said.iter().enumerate().filter(|(_, one)| !one.option.against.is_empty()).find_map(|(place, one)| {
        let against = one.option.against;
        let (other_place, other) = said.iter().enumerate().find(|(_, other)| against.contains(&other.option.long))?;
        let (first, second) = if other_place < place { (other, one) } else { (one, other) };
        Some(ArgumentError::Both(first.option, second.option))
    })
}
