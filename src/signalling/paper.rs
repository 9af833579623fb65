//! Messages on paper: `--test` without files prints what would be sent.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::proxy::Reason;

/// A message that would be sent.
pub(super) fn sent(out: &mut impl Write, from: SocketAddr, to: SocketAddr, message: &[u8]) -> io::Result<()> {
    writeln!(out, "<< udp {from} -> {to}")?;
    out.write_all(message)?;
    // The next line begins a line, also behind a body without a line end.
    if message.last() != Some(&b'\n') {
        writeln!(out)?;
    }
    out.flush()
}

/// A datagram that is dropped.
pub(super) fn dropped(out: &mut impl Write, reason: Reason) -> io::Result<()> {
    writeln!(out, "-- {reason}")?;
    out.flush()
}
