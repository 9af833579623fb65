//! What a proxy must do with the messages of RFC 4475 and RFC 5118, the flows of
//! RFC 3261 §24 and RFC 3665, and messages of real phones.
//!
//! `tests/data/torture.csv` says it for each case of `t/`: `forward`, the code of
//! the refusal, or `drop`; several where the RFC leaves a choice. It is held
//! against the `expected` of the case, which the golden test holds against the
//! program. A response stands behind a request that it answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the data.
struct Row {
    case: String,
    /// What is allowed: `forward`, `drop`, or status codes.
    must: Vec<String>,
    /// How many of the RFC's, or phone's, messages the case holds in each direction.
    messages: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("tests/data/torture.csv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.splitn(4, ',');
        let mut next = || cells.next().unwrap().to_string();
        let (case, must, messages) = (next(), next(), next());
        let must = must.split(' ').map(str::to_string).collect();
        Row { case, must, messages: messages.parse().unwrap() }
    };
    text.lines().skip(1).map(row).collect()
}

/// One message of a case, or what is said instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Response(u16),
    Dropped,
}

/// The messages under lines that begin with `mark`, in order.
fn messages(text: &[u8], mark: &[u8]) -> Vec<Kind> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let kind = |index: usize| match lines[index] {
        line if line.starts_with(b"-- ") && mark == b"<< udp " => Some(Kind::Dropped),
        line if line.starts_with(mark) => Some(match lines[index + 1].strip_prefix(b"SIP/2.0 ") {
            Some(rest) => Kind::Response(String::from_utf8_lossy(&rest[..3]).parse().unwrap()),
            None => Kind::Request,
        }),
        _ => None,
    };
    (0..lines.len()).filter_map(kind).collect()
}

struct Case {
    sent: Vec<Kind>,
    came: Vec<Kind>,
}

impl Case {
    fn read(name: &str) -> Self {
        let folder = root().join("t").join(name);
        let file = |file: &str| fs::read(folder.join(file)).unwrap_or_else(|error| panic!("t/{name}/{file}: {error}"));
        Self { sent: messages(&file("input"), b">> udp "), came: messages(&file("expected"), b"<< udp ") }
    }

    fn count(kinds: &[Kind], wanted: impl Fn(&Kind) -> bool) -> usize {
        kinds.iter().filter(|kind| wanted(kind)).count()
    }

    /// Every request and every response went on; none was answered by us.
    fn is_forwarded(&self) -> bool {
        let is_response = |kind: &Kind| matches!(kind, Kind::Response(_));
        let is_request = |kind: &Kind| *kind == Kind::Request;
        let responses = Self::count(&self.sent, is_response);
        !self.came.contains(&Kind::Dropped)
            && Self::count(&self.came, is_request) >= Self::count(&self.sent, is_request)
            && Self::count(&self.came, is_response) >= responses
            && (responses > 0 || Self::count(&self.came, is_response) == 0)
    }

    /// Everything was refused as allowed; requests that are there for the
    /// responses behind them went on.
    fn is_refused(&self, must: &[String]) -> bool {
        let with_responses = self.sent.iter().any(|kind| matches!(kind, Kind::Response(_)));
        let allowed = |kind: &Kind| match kind {
            Kind::Request => with_responses,
            Kind::Response(code) => must.contains(&code.to_string()),
            Kind::Dropped => must.iter().any(|must| must == "drop"),
        };
        self.came.iter().all(allowed) && self.came.len() == self.sent.len()
    }
}

#[test]
fn each_message_is_forwarded_or_refused_as_a_proxy_must() {
    let mut wrong = Vec::new();
    for row in rows() {
        let case = Case::read(&row.case);
        let forwarded = row.must.iter().any(|must| must == "forward") && case.is_forwarded();
        if !forwarded && !case.is_refused(&row.must) {
            wrong.push(format!("t/{}: must {}, came {:?}", row.case, row.must.join(" or "), case.came));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_is_there() {
    for row in rows() {
        let case = Case::read(&row.case);
        assert!(case.sent.len() >= row.messages, "t/{}: {} of {} messages", row.case, case.sent.len(), row.messages);
    }
    // As many as the RFCs have; the flows with the caller on either side.
    let count = |folder: &str| {
        let rows = rows();
        rows.iter().filter(|row| row.case.starts_with(folder)).map(|row| row.messages).sum::<usize>()
    };
    let counts = ["rfc4475/", "rfc5118/", "rfc3261/", "rfc3665/", "phones/"].map(count);
    assert_eq!(counts, [51, 15, 32, 362, 65]);
}

#[test]
fn no_case_is_missing_in_the_data() {
    let known: BTreeSet<PathBuf> = rows().iter().map(|row| root().join("t").join(&row.case)).collect();
    for folder in ["rfc4475", "rfc5118", "rfc3261", "rfc3665", "phones"] {
        for case in cases(&root().join("t").join(folder)) {
            assert!(known.contains(&case), "{} has no row in tests/data/torture.csv", case.display());
        }
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    if folder.join("input").exists() {
        return vec![folder.to_path_buf()];
    }
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).flat_map(|path| cases(&path)).collect()
}

/// What the RFCs ask beyond forwarding, where it shows in the bytes.
#[test]
fn what_must_not_leave_does_not_leave() {
    let expected = |case: &str| fs::read(root().join("t").join(case).join("expected")).unwrap();
    let has = |case: &str, text: &[u8]| expected(case).windows(text.len()).any(|window| window == text);
    // A header in a Request-URI never becomes a header, nor travels on (RFC 4475 §3.1.2.11).
    assert!(!has("rfc4475/escruri", b"INVITE sip:user@example.com?"));
    assert!(!has("rfc4475/escruri", b"\nRoute:"));
    // What stands behind the body is nobody's (RFC 4475 §3.1.1.8).
    assert!(!has("rfc4475/dblreq", b"INVITE"));
    // Escapes are not taken off, and a NUL ends no text (RFC 4475 §3.1.1.2 to §3.1.1.4).
    assert!(has("rfc4475/escnull", b"sip:null-%00-null@example.com"));
    assert!(has("rfc4475/intmeth", b"NUL:\\\0 DEL:"));
    // Only what a proxy would have to support is named (RFC 4475 §3.3.5).
    assert!(has("rfc4475/bext01", b"Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n"));
    assert!(!has("rfc4475/bext01", b"nothingSupportsThis"));
    // Nothing goes to a broadcast or an IPv4-mapped address (RFC 4475 §3.3.10, RFC 5118 §4.9).
    for case in ["rfc4475/bcast", "rfc5118/4.9-ipv4-mapped-ipv6", "torture/ipv4-mapped"] {
        assert!(!has(case, b"-> 255.255.255.255") && !has(case, b"-> [::ffff:"), "{case}");
    }
}
