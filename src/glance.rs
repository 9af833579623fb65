//! A glance at a message: what a log shows of it, without reading all of it.
//!
//! A value is as it stands in its header field: not folded, before the body.

/// The first line of a datagram.
pub fn start_line(datagram: &[u8]) -> &[u8] {
    datagram.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default()
}

/// The Call-ID of a datagram.
pub fn call_id(datagram: &[u8]) -> &[u8] {
    value(datagram, b"call-id", b"i")
}

/// The CSeq of a datagram.
pub fn cseq(datagram: &[u8]) -> &[u8] {
    value(datagram, b"cseq", b"cseq")
}

/// The topmost Via of a datagram without its parameters.
pub fn topmost_via(datagram: &[u8]) -> &[u8] {
    value(datagram, b"via", b"v").split(|&byte| byte == b';').next().unwrap_or_default()
}

/// The value of the topmost header field of this name, which is in lower case, or of this compact form.
fn value<'a>(datagram: &'a [u8], name: &[u8], compact: &[u8]) -> &'a [u8] {
    let lines = datagram.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut values = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (found, value) = line.split_at_checked(colon)?;
        let found = found.trim_ascii_end();
        let found = found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(compact);
        found.then(|| value.get(1..).unwrap_or_default().trim_ascii_start())
    });
    values.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_shows_of_a_message() {
        let message = b"BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: x\r\ni : c1@2001:db8::1\r\n\r\nCall-ID: no\r\n";
        assert_eq!(start_line(message), b"BYE sip:a@192.0.2.1 SIP/2.0");
        assert_eq!(call_id(message), b"c1@2001:db8::1");
        assert_eq!(call_id(b"\r\n\r\n"), b"");
        assert_eq!(start_line(b""), b"");
    }
}
