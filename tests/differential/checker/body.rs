//! The body: lines of session descriptions change, and the length tells the truth.

use super::naive::{Message, latin1};

/// Attributes that leave with a stream that is relayed.
const CUT: [&str; 23] = [
    "a=rtcp:",
    "a=candidate",
    "a=remote-candidates",
    "a=ice-",
    "a=end-of-candidates",
    "a=altc",
    "a=source-filter",
    "a=group:bundle",
    "a=group:anat",
    "a=bundle-only",
    "a=x-candidate",
    "a=x-alt",
    "a=alt:",
    "a=ccap",
    "a=acap",
    "a=visited-realm",
    "a=secondary-realm",
    "a=oldmediaip",
    "a=oldoip",
    "a=path",
    "a=multicast-rtcp",
    "a=csup",
    "a=creq",
];

/// Lines of which a part changes.
const REWRITTEN: [&str; 8] = ["o=", "m=", "c=", "a=rtcp:", "a=csup:", "a=creq:", "a=pcfg:", "a=acfg:"];

pub(crate) fn check(before: &Message, after: &Message, output: &[u8]) -> Result<(), String> {
    let behind = latin1(output).split_once("\r\n\r\n").map(|(_, body)| body.chars().count()).unwrap_or_default();
    if let Some(length) = after.value("content-length").filter(|length| length.parse() != Ok(behind)) {
        return Err(format!("Content-Length: {length}, but {behind} bytes of body"));
    }
    if before.body == after.body {
        let spelled = |message: &Message| message.value("content-length").map(str::to_owned);
        let kept = spelled(before) == spelled(after);
        return if kept { Ok(()) } else { Err("Content-Length changed, the body did not".into()) };
    }
    let content_type = before.value("content-type").unwrap_or_default().to_lowercase();
    if !["INVITE", "ACK", "PRACK", "UPDATE"].contains(&before.method())
        || !(content_type.contains("sdp") || content_type.contains("multipart"))
    {
        return Err(format!("the body of a {} of type {content_type:?} changed", before.method()));
    }
    lines(&before.body, &after.body)
}

/// Each line stays, or is one that may go, come or change.
fn lines(before: &str, after: &str) -> Result<(), String> {
    let split = |text: &str| text.split_inclusive(['\r', '\n']).map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (split(before), split(after));
    let mut new = after.iter().peekable();
    // Of several connections of a section the first one stays.
    let mut connections = 0;
    for line in &before {
        let lower = plainly(line);
        match lower.get(..2) {
            Some("m=") => connections = 0,
            Some("c=") => connections += 1,
            _ => {}
        }
        let is_any = |kinds: &[&str]| kinds.iter().any(|kind| lower.starts_with(kind));
        if new.next_if_eq(&line).is_some() {
            continue;
        }
        // A connection of its own for a stream that shared one.
        while !lower.starts_with("c=") && new.next_if(|line| line.starts_with("c=IN IP")).is_some() {
            while new.next_if(|line| line.trim().is_empty()).is_some() {}
        }
        if new.next_if_eq(&line).is_some() {
            continue;
        }
        let rewritten = REWRITTEN.iter().find(|kind| lower.starts_with(**kind));
        if let Some(found) = new.next_if(|found| rewritten.is_some_and(|kind| plainly(found).starts_with(kind))) {
            rewritten_line(line, found)?;
        } else if !(is_any(&CUT) || (lower.starts_with("c=") && connections > 1) || line.trim().is_empty()) {
            return Err(format!("{line:?} became {:?}", new.peek()));
        }
    }
    let more: Vec<_> = new.filter(|line| !line.trim().is_empty() && !line.starts_with("c=IN IP")).collect();
    if more.is_empty() { Ok(()) } else { Err(format!("the body gained {more:?}")) }
}

/// A line in lower case, and without blanks around the name of an attribute.
fn plainly(line: &str) -> String {
    let lower = line.to_lowercase();
    let Some(attribute) = lower.strip_prefix("a=") else { return lower };
    match attribute.split_once(':') {
        Some((name, value)) => format!("a={}:{value}", name.trim()),
        None => format!("a={}", attribute.trim()),
    }
}

/// Only the fields change that hold an address or port.
fn rewritten_line(before: &str, after: &str) -> Result<(), String> {
    let fields = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (fields(before), fields(after));
    let same = match before.get(..2) {
        // The last two, of however many they were: who wrote a type of address that is
        // none gets one in addition, and an address may hold a blank.
        Some("o=") => new.len().checked_sub(2).is_some_and(|front| old.get(..front) == new.get(..front)),
        Some("m=") => {
            old.len() == new.len() && old.iter().zip(&new).enumerate().all(|(at, (old, new))| at == 1 || old == new)
        }
        _ => false,
    };
    if same || matches!(before.get(..2), Some("a=" | "c=")) {
        Ok(())
    } else {
        Err(format!("{before:?} became {after:?}"))
    }
}
