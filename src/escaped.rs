//! What strangers sent, made harmless for a log.

use std::fmt;

/// Bytes as printable ASCII, everything else escaped, cut after so many of them.
///
/// ```
/// use sipproxy64::escaped::Escaped;
/// assert_eq!(Escaped(b"a\x1b[2J\n", 20).to_string(), r"a\x1b[2J\n");
/// assert_eq!(Escaped(b"INVITE sip:alice", 6).to_string(), "INVITE...");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8], pub usize);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = self.0.split_at_checked(self.1).unwrap_or((self.0, &[]));
        write!(f, "{}", shown.escape_ascii())?;
        if rest.is_empty() { Ok(()) } else { f.write_str("...") }
    }
}
