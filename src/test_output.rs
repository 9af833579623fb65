//! What test mode prints instead of sending it.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;

/// A message that would be sent.
///
/// # Errors
/// `out` takes nothing.
pub fn sent(out: &mut dyn Write, from: SocketAddr, to: SocketAddr, message: &[u8]) -> io::Result<()> {
    writeln!(out, "<< udp {from} -> {to}")?;
    out.write_all(message)?;
    // The next line begins a line, also behind a body without a line end.
    if message.last() != Some(&b'\n') {
        writeln!(out)?;
    }
    out.flush()
}

/// A datagram that is dropped.
///
/// # Errors
/// `out` takes nothing.
pub fn dropped(out: &mut dyn Write, reason: impl Display) -> io::Result<()> {
    writeln!(out, "-- {reason}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Reason;

    #[test]
    fn each_line_begins_a_line() {
        let (from, to) = ("192.0.2.1:5060".parse().unwrap(), "[2001:db8::5]:5062".parse().unwrap());
        let mut out = Vec::new();
        sent(&mut out, from, to, b"BYE\r\n\r\nbody").unwrap();
        sent(&mut out, to, from, b"ACK\r\n\r\n").unwrap();
        dropped(&mut out, Reason::KeepAlive).unwrap();
        let expected = "<< udp 192.0.2.1:5060 -> [2001:db8::5]:5062\nBYE\r\n\r\nbody\n\
                        << udp [2001:db8::5]:5062 -> 192.0.2.1:5060\nACK\r\n\r\n\
                        -- keep-alive\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
