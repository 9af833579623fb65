//! What the log tells of each message, if it is asked for that much.
//!
//! At `debug` one event a message. At `trace` also what was changed in it: the
//! lines that came and did not leave, and those that left instead; of a message
//! that ends here, all of it. Secrets are in neither.

use tracing::field::display;
use tracing::{Level, debug, enabled, trace};

use super::trouble::Decision;
use crate::diff::Changes;
use crate::escaped::Escaped;
use crate::glance::{call_id, start_line};
use crate::proxy::{Datagram, Outcome};
use crate::redact::redacted;

/// As much of a start-line or Call-ID as anybody reads.
const MAX_TEXT: usize = 120;
/// As much of a method.
const MAX_METHOD: usize = 32;

/// Tells what became of a message; `sent` is what left, if anything did.
pub(super) fn tell(datagram: &Datagram<'_>, outcome: Outcome, sent: &[u8]) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    let start = redacted(start_line(datagram.bytes));
    let mut words = start.split(|&byte| byte == b' ');
    let first = words.next().unwrap_or_default();
    let response = first == b"SIP/2.0";
    let code = words.next().filter(|_| response);
    // A keep-alive has none of all that.
    let method = Some(first).filter(|_| !response && !first.is_empty());
    let start_line = Some(&*start).filter(|start| !start.is_empty());
    let call_id = Some(call_id(datagram.bytes)).filter(|id| !id.is_empty()).map(|id| display(Escaped(id, MAX_TEXT)));
    debug!(
        method = method.map(|method| display(Escaped(method, MAX_METHOD))),
        code = code.map(|code| display(Escaped(code, MAX_METHOD))),
        from = %datagram.remote,
        to = %datagram.local,
        decision = %Decision(outcome),
        start_line = start_line.map(|start| display(Escaped(start, MAX_TEXT))),
        call_id,
        "message"
    );
    if enabled!(Level::TRACE) {
        changes(datagram.bytes, outcome, sent);
    }
}

fn changes(received: &[u8], outcome: Outcome, sent: &[u8]) {
    let (came, left) = (redacted(received), redacted(sent));
    let call_id = match call_id(received) {
        [] => Escaped(b"what has no Call-ID", MAX_TEXT),
        call_id => Escaped(call_id, MAX_TEXT),
    };
    match outcome {
        Outcome::Send { refused: None, .. } => {
            trace!("changed in {call_id}:{}", Changes { before: &came, after: &left });
        }
        Outcome::Send { refused: Some(_), .. } => {
            trace!(
                "answered in {call_id}:{}{}",
                Changes { before: &came, after: b"" },
                Changes { before: b"", after: &left }
            );
        }
        Outcome::Drop(_) => trace!("dropped in {call_id}:{}", Changes { before: &came, after: b"" }),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::reason::Reason;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(received: &[u8], outcome: Outcome, sent: &[u8], level: Level) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone());
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.101:5060".parse().unwrap());
        tracing::subscriber::with_default(log.finish(), || {
            tell(&Datagram { local, remote, bytes: received }, outcome, sent);
        });
        let said = kept.0.lock().unwrap().clone();
        String::from_utf8(said).unwrap()
    }

    fn forwarded() -> Outcome {
        let (from, to) = ("[2001:db8::101]:5060".parse().unwrap(), "[2001:db8:9::55]:5062".parse().unwrap());
        Outcome::Send { from, to, refused: None }
    }

    const CAME: &[u8] = b"BYE sip:b@192.0.2.1 SIP/2.0\r\nCall-ID: c1\r\nMax-Forwards: 70\r\n\r\n";
    const LEFT: &[u8] = b"BYE sip:b@[2001:db8:9::55] SIP/2.0\r\nCall-ID: c1\r\nMax-Forwards: 69\r\n\r\n";

    #[test]
    fn a_message_is_one_event() {
        let said = told(CAME, forwarded(), LEFT, Level::DEBUG);
        let expected = "DEBUG message method=BYE from=192.0.2.101:5060 to=192.0.2.1:5060 \
                        decision=[2001:db8::101]:5060 -> [2001:db8:9::55]:5062 \
                        start_line=BYE sip:b@192.0.2.1 SIP/2.0 call_id=c1\n";
        assert_eq!(said, expected);
        let response = b"SIP/2.0 180 Ringing\r\nCall-ID: c1\r\n\r\n";
        let said = told(response, Outcome::Drop(Reason::ForeignResponse), b"", Level::DEBUG);
        assert!(said.starts_with("DEBUG message code=180 from=") && said.contains("decision=dropped: "), "{said}");
    }

    #[test]
    fn options_are_answered_and_all_else_is_refused() {
        for (reason, fate) in [(Reason::Options, "answered: OPTIONS "), (Reason::Loop, "refused: loop ")] {
            let Outcome::Send { from, to, .. } = forwarded() else { return };
            let said = told(CAME, Outcome::Send { from, to, refused: Some(reason) }, LEFT, Level::DEBUG);
            assert!(said.contains(&format!("decision={from} -> {to}, {fate}")), "{said}");
        }
    }

    #[test]
    fn what_was_changed_is_told_line_by_line() {
        let said = told(CAME, forwarded(), LEFT, Level::TRACE);
        let changes = "TRACE changed in c1:\n  - BYE sip:b@192.0.2.1 SIP/2.0\n  + BYE sip:b@[2001:db8:9::55] SIP/2.0\
                       \n  - Max-Forwards: 70\n  + Max-Forwards: 69\n";
        assert!(said.ends_with(changes), "{said}");
        let said = told(CAME, Outcome::Drop(Reason::Loop), b"", Level::TRACE);
        assert!(said.contains("TRACE dropped in c1:\n  - BYE ") && !said.contains("\n  + "), "{said}");
    }

    #[test]
    fn no_level_tells_secrets() {
        let secret = b"INVITE sip:b:SECRET@192.0.2.1 SIP/2.0\r\nCall-ID: c1\r\nAuthorization: Digest a=\"b\",\r\n \
                       response=\"SECRET\"\r\nProxy-Authorization: Digest response=\"SECRET\"\r\n\r\nv=0\r\n\
                       k=clear:SECRET\r\na=crypto:1 X inline:SECRET\r\na=ice-pwd:SECRET\r\n";
        for outcome in [forwarded(), Outcome::Drop(Reason::Loop)] {
            let said = told(secret, outcome, &[secret, &b"a=ice-pwd:SECRET2\r\n"[..]].concat(), Level::TRACE);
            assert!(said.contains("TRACE") && !said.contains("SECRET"), "{said}");
        }
    }

    #[test]
    fn without_verbosity_nothing_is_told() {
        assert_eq!(told(CAME, forwarded(), LEFT, Level::INFO), "");
    }
}
