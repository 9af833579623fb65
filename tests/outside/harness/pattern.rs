//! Messages compared with what the specification prints, where it prints
//! `<TOKEN>` and the like for what no test can know.

use super::message::Message;

/// Asserts that `message` reads line by line as `pattern` does. Lines of the
/// pattern are trimmed; of its placeholders `<TOKEN>` and `<VERSION>`
/// stand for letters, digits and a few marks, `<SIG>` for hexadecimal digits,
/// `<PORT>` and `<LENGTH>` for a number.
pub fn assert_reads(message: &Message, pattern: &str) {
    let text = message.to_string();
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    while lines.last() == Some(&"") {
        lines.pop();
    }
    let wanted: Vec<&str> = pattern.trim().lines().map(str::trim).collect();
    for (index, line) in wanted.iter().enumerate() {
        let found = lines.get(index).copied().unwrap_or("(nothing)");
        assert!(is_match(line, found), "line {}\n wanted: {line}\n  found: {found}\nin\n{text}", index + 1);
    }
    assert_eq!(wanted.len(), lines.len(), "more lines than wanted:\n{text}");
}

/// Asserts that one value reads as `pattern` does.
pub fn assert_matches(found: &str, pattern: &str) {
    assert!(is_match(pattern, found), "\n wanted: {pattern}\n  found: {found}");
}

/// Asserts that a list header field has just these entries, in this order.
pub fn assert_list(message: &Message, name: &str, patterns: &[&str]) {
    let found = message.list(name);
    let same =
        found.len() == patterns.len() && patterns.iter().zip(&found).all(|(wanted, found)| is_match(wanted, found));
    assert!(same, "{name}\n wanted: {patterns:#?}\n  found: {found:#?}\nin\n{message}");
}

/// Whether `text` is what `pattern` says.
pub fn is_match(pattern: &str, text: &str) -> bool {
    let found = PLACEHOLDERS.into_iter().filter_map(|placeholder| Some((pattern.find(placeholder)?, placeholder)));
    let Some((at, placeholder)) = found.min() else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(&pattern[..at]) else {
        return false;
    };
    let length = rest.find(|character| !stands_for(placeholder, character)).unwrap_or(rest.len());
    length > 0 && is_match(&pattern[at + placeholder.len()..], &rest[length..])
}

const PLACEHOLDERS: [&str; 5] = ["<TOKEN>", "<SIG>", "<PORT>", "<LENGTH>", "<VERSION>"];

/// Whether a placeholder stands for this character among others.
fn stands_for(placeholder: &str, character: char) -> bool {
    match placeholder {
        "<SIG>" => character.is_ascii_hexdigit(),
        "<PORT>" | "<LENGTH>" => character.is_ascii_digit(),
        _ => character.is_ascii_alphanumeric() || "-._~+".contains(character),
    }
}
