//! What a message lost and gained on its way through, line by line.

use std::fmt::{self, Write};

/// Lines of a message beyond which lines are not compared one by one any more.
const MAX_LINES: usize = 400;
/// As much of a line as a log shows.
const MAX_LINE: usize = 400;

/// One line of a message as it came, as it left, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// It came, and left as it came.
    Same(&'a [u8]),
    /// It came, and did not leave.
    Gone(&'a [u8]),
    /// It left, and did not come.
    New(&'a [u8]),
}

/// The lines of two messages: a longest common part stays, and of what differs
/// the old lines stand before the new ones.
///
/// ```
/// use sipproxy64::diff::{Line, lines};
/// let changes = lines(b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\r\n");
/// assert_eq!(changes, [Line::Same(b"a"), Line::Gone(b"b"), Line::New(b"B"), Line::Same(b"c")]);
/// ```
pub fn lines<'a>(before: &'a [u8], after: &'a [u8]) -> Vec<Line<'a>> {
    let (before, after) = (split(before), split(after));
    let same = |(one, other): &(&&[u8], &&[u8])| one == other;
    let head = before.iter().zip(&after).take_while(same).count();
    let room = before.len().min(after.len()).saturating_sub(head);
    let tail = before.iter().rev().zip(after.iter().rev()).take(room).take_while(same).count();
    let part = |of: &[&'a [u8]]| of.get(head..of.len().saturating_sub(tail)).unwrap_or_default().to_vec();
    let mut all: Vec<Line<'a>> = before.iter().take(head).copied().map(Line::Same).collect();
    middle(&part(&before), &part(&after), &mut all);
    all.extend(before.iter().skip(before.len().saturating_sub(tail)).copied().map(Line::Same));
    all
}

/// The lines of a message without their ends.
fn split(message: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> =
        message.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    // Behind the last line end is no line.
    lines.pop_if(|last| last.is_empty());
    lines
}

/// Longest common subsequence by the table of its lengths.
fn middle<'a>(before: &[&'a [u8]], after: &[&'a [u8]], out: &mut Vec<Line<'a>>) {
    if before.len() > MAX_LINES || after.len() > MAX_LINES {
        out.extend(before.iter().copied().map(Line::Gone));
        out.extend(after.iter().copied().map(Line::New));
        return;
    }
    let width = after.len() + 1;
    let mut lengths = vec![0u16; (before.len() + 1) * width];
    let at = |lengths: &[u16], row: usize, column: usize| lengths.get(row * width + column).copied().unwrap_or(0);
    for (row, old) in before.iter().enumerate().rev() {
        for (column, new) in after.iter().enumerate().rev() {
            let length = if old == new {
                at(&lengths, row + 1, column + 1) + 1
            } else {
                at(&lengths, row + 1, column).max(at(&lengths, row, column + 1))
            };
            if let Some(slot) = lengths.get_mut(row * width + column) {
                *slot = length;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    loop {
        match (before.get(row), after.get(column)) {
            (Some(old), Some(new)) if old == new => {
                out.push(Line::Same(old));
                (row, column) = (row + 1, column + 1);
            }
            (Some(old), new) if new.is_none() || at(&lengths, row + 1, column) >= at(&lengths, row, column + 1) => {
                out.push(Line::Gone(old));
                row += 1;
            }
            (_, Some(new)) => {
                out.push(Line::New(new));
                column += 1;
            }
            (_, None) => return,
        }
    }
}

/// The changed lines alone, one below the other, for a log: a `-` or `+` and the
/// line, what is not printable escaped.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// The message as it came.
    pub before: &'a [u8],
    /// As it left.
    pub after: &'a [u8],
}

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in lines(self.before, self.after) {
            match line {
                Line::Same(_) => {}
                Line::Gone(line) => write!(f, "\n  - {}", Printable(line))?,
                Line::New(line) => write!(f, "\n  + {}", Printable(line))?,
            }
        }
        Ok(())
    }
}

/// A line as it is, but for what no terminal should get.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = self.0.split_at_checked(MAX_LINE).unwrap_or((self.0, &[]));
        for &byte in shown {
            match byte {
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        if rest.is_empty() { Ok(()) } else { f.write_str("...") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let before = b"INVITE sip:a SIP/2.0\r\nVia: x\r\nMax-Forwards: 70\r\n\r\nv=0\r\n";
        let after = b"INVITE sip:b SIP/2.0\r\nVia: us\r\nVia: x;received=1\r\nMax-Forwards: 69\r\n\r\nv=0\r\n";
        let told = Changes { before, after }.to_string();
        let expected = "\n  - INVITE sip:a SIP/2.0\n  - Via: x\n  - Max-Forwards: 70\n  + INVITE sip:b SIP/2.0\
                        \n  + Via: us\n  + Via: x;received=1\n  + Max-Forwards: 69";
        assert_eq!(told, expected);
        assert_eq!(Changes { before, after: before }.to_string(), "");
    }

    #[test]
    fn lines_that_moved_apart_are_still_the_same() {
        let told = Changes { before: b"a\nb\nc\nd\n", after: b"a\nx\nb\nd\ny\n" }.to_string();
        assert_eq!(told, "\n  + x\n  - c\n  + y");
    }

    #[test]
    fn both_messages_can_be_read_off_it() {
        let texts: [&[u8]; 6] = [b"", b"a", b"a\r\n\r\n", b"a\nb\na\nb\n", b"b\na\nb", b"c\nc\na\nb\n"];
        for before in texts {
            for after in texts {
                let lines = lines(before, after);
                let old = lines.iter().filter_map(|line| match line {
                    Line::Same(line) | Line::Gone(line) => Some(*line),
                    Line::New(_) => None,
                });
                let new = lines.iter().filter_map(|line| match line {
                    Line::Same(line) | Line::New(line) => Some(*line),
                    Line::Gone(_) => None,
                });
                assert_eq!((old.collect::<Vec<_>>(), new.collect::<Vec<_>>()), (split(before), split(after)));
            }
        }
    }

    #[test]
    fn very_long_messages_are_not_compared_line_by_line() {
        let (before, after) = ("a\n".repeat(5000) + "x\n", "b\n".repeat(5000));
        assert_eq!(lines(before.as_bytes(), after.as_bytes()).len(), 10_001);
    }

    #[test]
    fn a_line_of_a_stranger_cannot_steer_a_terminal() {
        let told = Changes { before: b"", after: b"x\x1b[2J\rINFO forged" }.to_string();
        assert_eq!(told, "\n  + x\\x1b[2J\\rINFO forged");
    }
}
