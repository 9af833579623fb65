//! The configuration file: one long option a line.
//!
//! ```text
//! # The name is that of the option, without its dashes.
//! listen4 192.0.2.1
//! map = 192.0.2.101=2001:db8::101   # '=' behind the name may stand or not
//! freebind
//! ```
//!
//! Here lines become names and values; which names there are, and which values
//! are right, the command line knows.

/// The most that is read of a configuration file, in bytes: room for a map of
/// every port there is, and an end to a file that has none.
pub const MAX_LENGTH: u64 = 4 << 20;

/// A line that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its number in the file, from 1.
    pub line: usize,
    /// The long name of an option: letters, digits, '-' and '_'.
    pub name: &'a str,
    /// What stands behind the name, without space around it.
    pub value: Option<&'a str>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct FileError {
    /// Its number in the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub why: FileErrorKind,
}

/// What can be wrong with a line. Each text says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileErrorKind {
    /// Bytes that are no UTF-8.
    #[error("not UTF-8; write plain text")]
    NotText,
    /// A control character that is no tab.
    #[error("a control character; write plain text, one option a line")]
    Control,
    /// `= 192.0.2.1`
    #[error("nothing stands in front of the '='; write name value, as in listen4 192.0.2.1")]
    NoName,
    /// `--listen4 192.0.2.1`
    #[error("no dashes are written here; write {1} instead of {0}")]
    Dashes(String, String),
    /// `listen4: 192.0.2.1`
    #[error("no ':' stands behind the name; write {1} instead of {0}")]
    Colon(String, String),
    /// `; Alice`, `// Alice`
    #[error("{0}: no option; a comment begins with #")]
    Comment(String),
    /// `[global]`
    #[error("{0}: no option; write the long name of one, a space and its value, as in listen4 192.0.2.1")]
    Name(String),
    /// `secret "/var/lib/sipproxy64/secret"`
    #[error("{0}: quotes would be part of the value; leave them out")]
    Quotes(String),
}

/// The lines of a configuration file that say something, in their order.
///
/// # Errors
/// The first line that cannot be read.
///
/// ```
/// use sipproxy64::cli::file::settings;
/// let lines = settings(b"# phones\nmap = 192.0.2.101=2001:db8::101\n").unwrap();
/// assert_eq!((lines[0].line, lines[0].name, lines[0].value), (2, "map", Some("192.0.2.101=2001:db8::101")));
/// ```
pub fn settings(file: &[u8]) -> Result<Vec<Setting<'_>>, FileError> {
    // What some editors put in front of a text.
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let mut settings = Vec::new();
    for (line, bytes) in (1..).zip(file.split(|&byte| byte == b'\n')) {
        let error = |why| FileError { line, why };
        let text = str::from_utf8(bytes).map_err(|_| error(FileErrorKind::NotText))?;
        let said = uncommented(text.strip_suffix('\r').unwrap_or(text)).trim();
        if !said.is_empty() {
            let (name, value) = setting(said).map_err(error)?;
            settings.push(Setting { line, name, value });
        }
    }
    Ok(settings)
}

/// The line in front of its comment: a '#' at its start or behind a space.
fn uncommented(line: &str) -> &str {
    let starts_comment =
        |&(at, _): &(usize, &str)| line.get(..at).is_none_or(|front| !front.ends_with(|c| !is_space(c)));
    line.match_indices('#').find(starts_comment).and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

fn is_space(character: char) -> bool {
    character == ' ' || character == '\t'
}

fn setting(said: &str) -> Result<(&str, Option<&str>), FileErrorKind> {
    if said.contains(|character: char| character.is_control() && character != '\t') {
        return Err(FileErrorKind::Control);
    }
    let end = said.find(|character| is_space(character) || character == '=').unwrap_or(said.len());
    let (name, behind) = said.split_at_checked(end).unwrap_or((said, ""));
    let behind = behind.trim_start_matches(is_space);
    if name.is_empty() {
        return Err(FileErrorKind::NoName);
    }
    let bare = name.trim_start_matches('-');
    // Of a letter it is said which long name to write.
    let name = if bare.len() == 1 && is_name(bare) { bare } else { name };
    if bare.len() < name.len() && is_name(bare) {
        return Err(FileErrorKind::Dashes(name.to_owned(), bare.to_owned()));
    }
    if let Some(meant) = name.strip_suffix(':').filter(|meant| is_name(meant)) {
        return Err(FileErrorKind::Colon(name.to_owned(), meant.to_owned()));
    }
    if name.starts_with(';') || name.starts_with("//") {
        return Err(FileErrorKind::Comment(name.to_owned()));
    }
    if !is_name(name) {
        return Err(FileErrorKind::Name(name.to_owned()));
    }
    let value = match behind.strip_prefix('=') {
        Some(value) => Some(value.trim_start_matches(is_space)),
        None => Some(behind).filter(|value| !value.is_empty()),
    };
    match value {
        Some(value) if ['"', '\''].iter().any(|&quote| value.starts_with(quote) && value.ends_with(quote)) => {
            Err(FileErrorKind::Quotes(value.to_owned()))
        }
        value => Ok((name, value)),
    }
}

/// What could be the name of an option; `_` is a slip that is told where names are known.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<(&str, Option<&str>), FileErrorKind> {
        let read = settings(line.as_bytes()).map_err(|error| error.why)?;
        assert_eq!(read.len(), 1, "{line}");
        Ok((read[0].name, read[0].value))
    }

    #[test]
    fn a_value_may_stand_behind_a_space_or_an_equals_sign() {
        let right = Ok(("map", Some("192.0.2.1=2001:db8::1")));
        for line in [
            "map 192.0.2.1=2001:db8::1",
            "map=192.0.2.1=2001:db8::1",
            "map = 192.0.2.1=2001:db8::1",
            "\tmap\t=\t192.0.2.1=2001:db8::1 \t\r",
            "map 192.0.2.1=2001:db8::1 # Alice",
            "map 192.0.2.1=2001:db8::1\t#",
        ] {
            assert_eq!(one(line), right, "{line:?}");
        }
        assert_eq!(one("freebind"), Ok(("freebind", None)));
        assert_eq!(one("name ="), Ok(("name", Some(""))));
        assert_eq!(one("secret /var/lib/my key#1"), Ok(("secret", Some("/var/lib/my key#1"))));
    }

    #[test]
    fn lines_are_counted_from_one_with_empty_ones_and_comments() {
        let read = settings(b"\xef\xbb\xbf# first\r\n\r\n  # third\r\nlisten4 192.0.2.1\r\n\nwrapper").unwrap();
        let lines: Vec<_> = read.iter().map(|setting| (setting.line, setting.name)).collect();
        assert_eq!(lines, [(4, "listen4"), (6, "wrapper")]);
        assert_eq!(settings(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_setting_is_named_with_its_line() {
        let error = settings(b"wrapper\n[global]\n").unwrap_err();
        assert_eq!((error.line, &error.why), (2, &FileErrorKind::Name("[global]".to_owned())));
        assert!(error.to_string().starts_with("line 2: [global]: no option; "), "{error}");
        assert_eq!(one("--map x"), Err(FileErrorKind::Dashes("--map".to_owned(), "map".to_owned())));
        assert_eq!(one("-m x"), Ok(("m", Some("x"))));
        assert_eq!(one("listen4: 192.0.2.1"), Err(FileErrorKind::Colon("listen4:".to_owned(), "listen4".to_owned())));
        assert_eq!(one("; Alice"), Err(FileErrorKind::Comment(";".to_owned())));
        assert_eq!(one("//Alice"), Err(FileErrorKind::Comment("//Alice".to_owned())));
        assert_eq!(one("= 192.0.2.1"), Err(FileErrorKind::NoName));
        assert_eq!(one("secret \"/a b\""), Err(FileErrorKind::Quotes("\"/a b\"".to_owned())));
        assert_eq!(one("secret a\0b"), Err(FileErrorKind::Control));
        assert_eq!(settings(b"a\nb\n\xff").unwrap_err(), FileError { line: 3, why: FileErrorKind::NotText });
    }
}
