//! The table of header fields against the registry in `tests/data/sip-headers.csv`
//! (IANA's, with what each RFC says that the values hold), against what the
//! program does with each of them, and against the README.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sipproxy64::cli::Options;
use sipproxy64::proxy::{Datagram, Outcome, Standalone};
use sipproxy64::sip::header::{HeaderName, Kind, Row, TABLE, Values};

//------- The registry -------------------------------------------------------

/// A row of the registry.
struct Registered {
    name: String,
    compact: Option<u8>,
    rfc: String,
    list: bool,
    /// `yes`: URIs that are mapped; `no`: left alone; `special`: a rule of its own.
    map: String,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn registry() -> Vec<Registered> {
    let text = fs::read_to_string(path("tests/data/sip-headers.csv")).unwrap();
    let row = |line: &str| {
        let cells = cells(line);
        let [name, compact, rfc, _, _, list, map] = <[String; 7]>::try_from(cells).unwrap();
        Registered { name, compact: compact.bytes().next(), rfc, list: list == "yes", map }
    };
    text.lines().skip(1).map(row).collect()
}

/// The cells of a line: commas between them, quotes round those that hold one.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut before = ' ';
    for letter in line.chars() {
        match letter {
            '"' => {
                if !quoted && before == '"' {
                    cells.last_mut().unwrap().push('"');
                }
                quoted = !quoted;
            }
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(letter),
        }
        before = letter;
    }
    cells
}

/// What the program shall do with a header field of the registry.
fn kind(registered: &Registered) -> Kind {
    match (registered.map.as_str(), registered.name.as_str()) {
        ("no", _) => Kind::Left,
        ("yes", "From" | "To") => Kind::Identity,
        ("yes", "Contact") => Kind::Contact,
        ("yes", _) => Kind::Uris,
        ("special", "Via" | "Route" | "Record-Route" | "Path" | "Service-Route") => Kind::Path,
        ("special", "Policy-ID" | "Trigger-Consent") => Kind::Bare,
        other => panic!("what is {other:?}?"),
    }
}

#[test]
fn every_registered_header_field_has_its_row() {
    for registered in registry() {
        let row = HeaderName::from_name(registered.name.as_bytes()).row();
        let row = row.unwrap_or_else(|| panic!("{} has no row in core/src/sip/header/table.rs", registered.name));
        assert_eq!(row.name, registered.name);
        assert_eq!(row.compact, registered.compact, "{}: compact form", row.name);
        assert_eq!(row.rfc, registered.rfc, "{}: RFC", row.name);
        assert_eq!(row.values == Values::List, registered.list, "{}: list", row.name);
        assert_eq!(row.kind, kind(&registered), "{}: kind; it is not that of tests/data/sip-headers.csv", row.name);
    }
}

#[test]
fn every_row_is_registered() {
    let registry: BTreeMap<String, Registered> = registry().into_iter().map(|row| (row.name.clone(), row)).collect();
    for row in TABLE {
        assert!(registry.contains_key(row.name), "{} is not in tests/data/sip-headers.csv", row.name);
    }
    assert_eq!(TABLE.len(), registry.len(), "a name stands twice");
}

//------- What is done with each ---------------------------------------------

/// What a request of phone 192.0.2.101 becomes on its way to the IPv6 uplink.
fn forwarded(request: &str) -> String {
    let options = "x -l 192.0.2.1 -L 2001:db8::1 -U 2001:db8:456::12 -m 192.0.2.101=2001:db8::101 -t";
    let config = Options::from_arguments(options.split(' ').map(OsString::from)).unwrap().config;
    let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.101:5060".parse().unwrap());
    let mut out = Vec::new();
    let datagram = Datagram { local, remote, bytes: request.as_bytes() };
    let outcome = Standalone::new(Arc::new(config)).handle(Duration::ZERO, &datagram, &mut out);
    assert!(matches!(outcome, Outcome::Send { refused: None, .. }), "{outcome:?} of\n{request}");
    String::from_utf8(out).unwrap()
}

/// A request whose header field `name` has `value`, in the place of the one that
/// the request has anyhow, if it has one.
fn request(name: &str, value: &str) -> String {
    let needed = [
        ("Via", "SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bKx"),
        ("Max-Forwards", "70"),
        ("From", "<sip:p@example.org>;tag=1"),
        ("To", "<sip:q@example.com>"),
        ("Call-ID", "x"),
        ("CSeq", "1 MESSAGE"),
        ("Content-Length", "0"),
    ];
    let id = HeaderName::from_name(name.as_bytes());
    let mut text = "MESSAGE sip:q@example.com SIP/2.0\r\n".to_string();
    for (needed, value) in needed.iter().filter(|(needed, _)| HeaderName::from_name(needed.as_bytes()) != id) {
        let _ = write!(text, "{needed}: {value}\r\n");
    }
    let _ = write!(text, "{name}: {value}\r\n\r\n");
    text
}

/// The last line of a header field in a message: the first of a Via, Record-Route
/// or Route may be ours.
fn line<'a>(message: &'a str, name: &str) -> &'a str {
    let of_name = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found == name);
    message.split("\r\n").filter(of_name).last().unwrap_or_else(|| panic!("no {name} in\n{message}"))
}

/// The long name and the compact one.
fn names(row: &Row) -> impl Iterator<Item = String> {
    [Some(row.name.to_string()), row.compact.map(|letter| char::from(letter).to_string())].into_iter().flatten()
}

#[test]
fn each_uri_is_mapped_in_each_of_its_values() {
    let mapped = TABLE.iter().filter(|row| matches!(row.kind, Kind::Uris | Kind::Identity | Kind::Contact));
    for (row, name) in mapped.flat_map(|row| names(row).map(move |name| (row, name))) {
        // One value that has a token, one by rule 1, and one without brackets.
        let stranger =
            ("\"S, <x>\" <sip:s@203.0.113.77>;a=\"1,2\"", "\"S, <x>\" <sip:s@[2001:db8::1];s64=203.0.113.77");
        let phone = ("sip:192.0.2.101;b=2", "sip:[2001:db8::101];b=2");
        let bare = ("sips:t@203.0.113.78;c", "<sips:t@[2001:db8::1];s64=203.0.113.78");
        if row.values == Values::List {
            let value = [stranger.0, phone.0, bare.0].join(", ");
            let message = forwarded(&request(&name, &value));
            let line = line(&message, &name);
            for part in [stranger.1, phone.1, bare.1, ">;a=\"1,2\", ", ">;c"] {
                assert!(line.contains(part), "{name}: {part} is not in {line}");
            }
        } else {
            for (value, part) in [stranger, phone, bare] {
                let message = forwarded(&request(&name, value));
                assert!(line(&message, &name).contains(part), "{name}: {part} is not in\n{message}");
            }
        }
    }
}

#[test]
fn a_uri_without_place_for_a_parameter_is_mapped_by_rule_1_alone() {
    for row in TABLE.iter().filter(|row| row.kind == Kind::Bare) {
        let message = forwarded(&request(row.name, "sip:p@192.0.2.101;token=a, sip:s@203.0.113.77"));
        let expected = format!("{}: sip:p@[2001:db8::101];token=a, sip:s@203.0.113.77", row.name);
        assert_eq!(line(&message, row.name), expected);
    }
    let value = |own: &str| format!("{own};target-uri=\"{own}\", sip:s@203.0.113.77;target-uri=\"sip:s@203.0.113.77\"");
    let message = forwarded(&request("Trigger-Consent", &value("sip:p@192.0.2.101")));
    let expected = format!("Trigger-Consent: {}", value("sip:p@[2001:db8::101]"));
    assert_eq!(line(&message, "Trigger-Consent"), expected);
}

#[test]
fn everything_else_passes_byte_for_byte() {
    // Those that a proxy itself writes into, and one that it must refuse.
    let own = ["Max-Forwards", "User-Agent", "Proxy-Require"];
    let left = TABLE.iter().filter(|row| matches!(row.kind, Kind::Left | Kind::Path) && !own.contains(&row.name));
    for (row, name) in left.flat_map(|row| names(row).map(move |name| (row, name))) {
        let value = match row.name {
            "Call-ID" => "192.0.2.101@192.0.2.1",
            "CSeq" => "01   MESSAGE",
            "Content-Length" => "000",
            // The topmost one is completed; the one below is another's.
            "Via" => "SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bKx, SIP/2.0/UDP 203.0.113.77;maddr=192.0.2.101",
            "Route" => "<sip:p@[2001:db8:9::1];lr>, <sip:192.0.2.101;lr>,<sip:192.0.2.1>",
            _ => "sip:p@192.0.2.101, <sip:s@203.0.113.77>;x=\"sip:p@192.0.2.1\" ;  y=192.0.2.101",
        };
        let message = forwarded(&request(&name, value));
        assert_eq!(line(&message, &name), format!("{name}: {value}"));
    }
    let unknown = "X-Unknown: <sip:p@192.0.2.101>";
    assert_eq!(line(&forwarded(&request("X-Unknown", "<sip:p@192.0.2.101>")), "X-Unknown"), unknown);
}

//------- The README ---------------------------------------------------------

const BEGIN: &str = "<!-- Header fields: from core/src/sip/header/table.rs, by BLESS=1 cargo test --test headers -->\n";
const END: &str = "<!-- End of header fields -->\n";

/// What is said of a kind.
fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Left => "as it came",
        Kind::Uris => "URIs mapped",
        Kind::Identity => "URI mapped, the same whoever sends",
        Kind::Contact => "URIs mapped, with a way back to the sender",
        Kind::Bare => "URIs of phones and of ours mapped",
        Kind::Path => "values of others as they came, ours added and taken off",
    }
}

/// The README's section, as the table gives it.
fn section() -> String {
    let mut text = "\n| header field | defined in | what happens |\n| --- | --- | --- |\n".to_string();
    for row in TABLE.iter().filter(|row| row.kind != Kind::Left) {
        let compact = row.compact.map(|letter| format!(" (`{}`)", char::from(letter))).unwrap_or_default();
        let _ = writeln!(text, "| `{}`{compact} | {} | {} |", row.name, row.rfc, words(row.kind));
    }
    let left: Vec<String> =
        TABLE.iter().filter(|row| row.kind == Kind::Left).map(|row| format!("`{}`", row.name)).collect();
    let _ = writeln!(
        text,
        "\nThese hold no URI that SIP follows, or one that is signed or compared, and pass as they came:"
    );
    let mut column = 0;
    for (index, name) in left.iter().enumerate() {
        let end = if index + 1 == left.len() { ".\n" } else { "," };
        let wraps = column + name.len() + 2 > 80 || index == 0;
        text.push(if wraps { '\n' } else { ' ' });
        column = if wraps { 0 } else { column + 1 } + name.len() + end.trim_end().len();
        let _ = write!(text, "{name}{end}");
    }
    text.push('\n');
    text
}

#[test]
fn the_readme_says_what_the_table_says() {
    let path = path("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the line that begins the section");
    let (found, after) = rest.split_once(END).expect("the README has the line that ends the section");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", section())).unwrap();
        return;
    }
    assert!(found == section(), "run BLESS=1 cargo test --test headers");
}
