//! Content-Length, where a body became longer or shorter.

use crate::scan::number;
use crate::sip::header::HeaderName;
use crate::sip::message::{Fields, Message};

/// `changed` with a Content-Length that is as right, or as wrong by the same
/// count, as that of `original`. Both are one message, but for what stands in it.
pub fn corrected(original: &[u8], changed: Vec<u8>) -> Vec<u8> {
    let edit = || {
        let (mut fields, mut changed_fields) = (Fields::default(), Fields::default());
        let before = body_length(&Message::parse(original, &mut fields).ok()?);
        let message = Message::parse(&changed, &mut changed_fields).ok()?;
        let after = body_length(&message);
        let field = message.first(HeaderName::CONTENT_LENGTH)?;
        let length = usize::try_from(number(field.value.of(message.bytes))?).ok()?;
        let length = length.checked_add(after)?.checked_sub(before)?;
        let blank = changed.len().checked_sub(message.bytes.len())?;
        Some((field.value.shifted(blank), length, before != after))
    };
    let Some((at, length, true)) = edit() else { return changed };
    let mut out = changed.get(..at.start).unwrap_or_default().to_vec();
    out.extend_from_slice(length.to_string().as_bytes());
    out.extend_from_slice(changed.get(at.end..).unwrap_or_default());
    out
}

/// All that stands behind the header.
fn body_length(message: &Message<'_>) -> usize {
    message.bytes.len().saturating_sub(message.body.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_stays_right_or_wrong() {
        let message =
            |length: &str, body: &str| format!("INFO sip:a SIP/2.0\r\nl: {length}\r\n\r\n{body}").into_bytes();
        assert_eq!(corrected(&message("4", "abcd"), message("4", "abcdef")), message("6", "abcdef"));
        assert_eq!(corrected(&message("3", "abcd"), message("3", "ab")), message("1", "ab"));
        assert_eq!(corrected(&message("4", "abcd"), message("4", "wxyz")), message("4", "wxyz"));
        assert_eq!(corrected(&message("x", "abcd"), message("x", "ab")), message("x", "ab"));
    }
}
