//! Secrets, blanked in everything that people are shown.
//!
//! Logs, the status page and its ladder show messages, and a message may carry
//! what nobody else may know: answers to a challenge, from which a short password
//! can be guessed (RFC 7616 §5.8), keys of media (RFC 4568), passwords of ICE
//! (RFC 8839 §5.4) and of URIs (RFC 3261 §19.1.1). It may also be malformed, so
//! whatever could be read as a secret by somebody is taken for one.

use crate::scan::find;

/// What stands where a secret was.
const REDACTED: &[u8] = b"[blanked]";

/// Header fields whose values are secrets.
const FIELDS: [&[u8]; 4] =
    [b"authorization", b"proxy-authorization", b"authentication-info", b"proxy-authentication-info"];

/// Lines of a session description that are secrets from there on (RFC 8866 §5.12,
/// RFC 4568 §4, RFC 8839 §5.4, RFC 4567 §3.1).
const LINES: [&[u8]; 4] = [b"k=", b"a=crypto:", b"a=ice-pwd:", b"a=key-mgmt:"];

/// A message with its secrets blanked.
///
/// ```
/// use sipproxy64::redact::redacted;
/// let shown = redacted(b"Authorization: Digest response=\"0123\"\r\nCSeq: 1 BYE\r\n\r\na=crypto:1 X inline:k\r\n");
/// assert_eq!(shown, b"Authorization: [blanked]\r\nCSeq: 1 BYE\r\n\r\na=crypto:[blanked]\r\n");
/// assert_eq!(redacted(b"INVITE sip:bob:pass@192.0.2.1 SIP/2.0"), b"INVITE sip:bob:[blanked]@192.0.2.1 SIP/2.0");
/// ```
pub fn redacted(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let (line, behind) = line(rest);
        match secret_part(line) {
            Some(kept) => {
                let end = end_of_field(rest);
                out.extend_from_slice(line.get(..kept).unwrap_or_default());
                out.extend_from_slice(REDACTED);
                rest = rest.get(end..).unwrap_or_default();
            }
            None => {
                without_passwords(line, &mut out);
                rest = behind;
            }
        }
    }
    out
}

/// The first line, with its end, and what follows. A bare CR is an end too: it is
/// one to some.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map_or(bytes.len(), |end| end + 1);
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// How much of a line is shown, if the rest is a secret.
fn secret_part(line: &[u8]) -> Option<usize> {
    let indent = line.len().saturating_sub(line.trim_ascii_start().len());
    let text = line.get(indent..)?;
    for secret in LINES {
        if text.get(..secret.len()).is_some_and(|start| start.eq_ignore_ascii_case(secret)) {
            return Some(indent + secret.len());
        }
    }
    let colon = find(text, b':')?;
    let name = text.get(..colon)?.trim_ascii_end();
    let secret = FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field));
    let space = usize::from(text.get(colon + 1) == Some(&b' '));
    secret.then_some(indent + colon + 1 + space)
}

/// Where a field ends, its line end not included: at a line feed behind which no
/// continuation follows (RFC 3261 §7.3.1).
fn end_of_field(bytes: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = bytes.get(from..).and_then(|rest| find(rest, b'\n')) {
        let feed = from + found;
        if !matches!(bytes.get(feed + 1), Some(b' ' | b'\t')) {
            let carriage = feed.checked_sub(1).filter(|&before| bytes.get(before) == Some(&b'\r'));
            return carriage.unwrap_or(feed);
        }
        from = feed + 1;
    }
    bytes.len()
}

/// A line without the passwords of its URIs, and without header fields that a URI
/// asks for (`?Authorization=`).
fn without_passwords(line: &[u8], out: &mut Vec<u8>) {
    let (mut shown, mut at, mut user_end) = (0, 0, 0);
    let from = |at: usize| line.get(at..).unwrap_or_default();
    while let Some(found) = from(at).iter().position(|byte| matches!(byte, b':' | b'=')) {
        at += found + 1;
        let before = line.get(shown..at).unwrap_or_default();
        let secret = if ends_with(before, b"sip:") || ends_with(before, b"sips:") {
            // Where it ends is looked for once, however many schemes stand before it.
            if user_end < at {
                user_end = at + length_up_to(b"@<>[]\" \t\r\n", from(at));
            }
            password(line, at, user_end)
        } else if ends_with(before, b"authorization=") {
            Some((at, at + length_up_to(b"&>\" \t\r\n", from(at))))
        } else {
            None
        };
        if let Some((start, end)) = secret {
            out.extend_from_slice(line.get(shown..start).unwrap_or_default());
            out.extend_from_slice(REDACTED);
            (shown, at) = (end, end);
        }
    }
    out.extend_from_slice(from(shown));
}

fn ends_with(bytes: &[u8], end: &[u8]) -> bool {
    bytes.len().checked_sub(end.len()).and_then(|at| bytes.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn length_up_to(ends: &[u8], text: &[u8]) -> usize {
    text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len())
}

/// Where the password stands in `user:password@host`, from `start` on, if the user
/// ends at `end`.
fn password(line: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    line.get(end).filter(|&&byte| byte == b'@')?;
    let colon = find(line.get(start..end)?, b':')?;
    Some((start + colon + 1, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &str) -> String {
        String::from_utf8(redacted(message.as_bytes())).unwrap()
    }

    #[test]
    fn answers_to_challenges_are_blanked_however_they_are_written() {
        for secret in [
            "Authorization: Digest username=\"a\", response=\"SECRET\"\r\n",
            "AUTHORIZATION : Digest response=SECRET\r\n",
            "Proxy-Authorization:Digest a=b,\r\n\tresponse=\"SECRET\",\r\n SECRET\r\n",
            "Proxy-Authorization: Digest x\rresponse=\"SECRET\"\r\n",
            " authorization: SECRET\n",
            "Subject: x\rAuthorization: SECRET\r\n",
            "Authentication-Info: rspauth=\"SECRET\"\r\n",
            "Refer-To: <sip:a@192.0.2.1?Replaces=1&Authorization=Digest%20SECRET&x=y>\r\n",
            "Authorization: SECRET",
        ] {
            let shown = shown(&format!("INVITE sip:a@192.0.2.1 SIP/2.0\r\n{secret}CSeq: 1 INVITE\r\n\r\n"));
            assert!(!shown.contains("SECRET") && shown.contains("[blanked]"), "{secret:?}: {shown:?}");
        }
    }

    #[test]
    fn keys_and_passwords_in_descriptions_are_blanked() {
        let sdp = "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\r\na=ice-ufrag:abcd\r\na=ice-pwd:SECRET\r\n\
                   k=clear:SECRET\na=KEY-MGMT:mikey SECRET\r\nm=audio 4000 RTP/SAVP 0\r\n";
        let expected = "v=0\r\na=crypto:[blanked]\r\na=ice-ufrag:abcd\r\na=ice-pwd:[blanked]\r\n\
                        k=[blanked]\na=KEY-MGMT:[blanked]\r\nm=audio 4000 RTP/SAVP 0\r\n";
        assert_eq!(shown(sdp), expected);
    }

    #[test]
    fn passwords_of_uris_are_blanked_and_ports_are_not() {
        assert_eq!(shown("Contact: <SIPS:a:SECRET@192.0.2.1:5061>"), "Contact: <SIPS:a:[blanked]@192.0.2.1:5061>");
        assert_eq!(shown("t: sip:sip:sip:SECRET@a, <sip:a:SECRET@b>"), "t: sip:sip:[blanked]@a, <sip:a:[blanked]@b>");
        for plain in ["To: <sip:192.0.2.1:5060>", "To: sip:[2001:db8::1]:5060", "f: \"x:y@z\" <sip:a@b:5060;q=c:d>"] {
            assert_eq!(shown(plain), plain);
        }
    }

    #[test]
    fn what_is_no_secret_stays_byte_for_byte() {
        let message =
            b"\0\xff\r\n\r\nOPTIONS sip:a SIP/2.0\nVia : x\r\n  folded\r\n\r\nWWW-Authenticate: Digest nonce=\"1\"\r\r";
        assert_eq!(redacted(message), message);
        assert_eq!(redacted(b""), b"");
    }
}
