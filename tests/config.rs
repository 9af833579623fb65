//! The configuration file, as a user meets it, and `--check`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may panic

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder of its own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sipproxy64-config-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sipproxy64")).args(arguments).output().unwrap()
}

/// What `--check` answers to these arguments.
fn checked(arguments: &[&str]) -> String {
    let output = run(&[&["--check"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of it that are no comments.
fn in_force(arguments: &[&str]) -> Vec<String> {
    checked(arguments).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// What is said about a file of this text, with `FILE` for its name.
fn complaint_with(text: impl AsRef<[u8]>, arguments: &[&str]) -> String {
    let folder = Folder::new();
    let file = folder.file("sipproxy64.conf", text);
    let output = run(&[&["--check", "-c", &file], arguments].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let line = stderr.strip_prefix("sipproxy64: ").and_then(|line| line.strip_suffix('\n')).unwrap();
    assert!(!line.contains(char::is_control), "{line:?}");
    line.replace(&file, "FILE")
}

fn complaint(text: impl AsRef<[u8]>) -> String {
    complaint_with(text, &[])
}

const LISTEN: &str = "listen4 192.0.2.1\nlisten6 2001:db8::1\n";

#[test]
fn the_command_line_wins_and_maps_and_names_add_up() {
    let folder = Folder::new();
    let text = "# A comment\n\nlisten4 = 192.0.2.1\nlisten6 2001:db8::1 # another\nrtp-ports 20000-20099\nverbose\n\
                map 192.0.2.101=2001:db8::101\nname=one.example\nfreebind\nmax-calls 4\n";
    let file = folder.file("sipproxy64.conf", text);
    let more = ["-m", "192.0.2.102=2001:db8::102", "--name", "two.example", "-p", "30000-30099", "-q", "--max-calls=5"];
    let mut lines = in_force(&[&["-c", file.as_str()], &more[..]].concat());
    lines.sort();
    assert_eq!(
        lines,
        [
            "freebind",
            "listen4 192.0.2.1",
            "listen6 2001:db8::1",
            "map 192.0.2.101=2001:db8::101",
            "map 192.0.2.102=2001:db8::102",
            "max-calls 5",
            "name one.example",
            "name two.example",
            "quiet",
            "rtp-ports 30000-30099",
        ]
    );
}

#[test]
fn what_check_prints_is_a_configuration_file() {
    let folder = Folder::new();
    let options = ["-l", "192.0.2.1:5070", "-L", "::1", "-vv", "-w", "-U", "sip.example.net", "--latch", "first"];
    let printed = checked(&options);
    let file = folder.file("printed.conf", &printed);
    assert_eq!(checked(&["--config", &file]), printed);
}

#[test]
fn check_says_what_would_be_done_and_leaves_no_trace() {
    let folder = Folder::new();
    let secret = folder.0.join("secret");
    // Addresses that this machine has not: nothing is bound.
    let options = ["-l", "192.0.2.1", "-L", "2001:db8::1", "-m", "192.0.2.101=2001:db8::101"];
    let said = checked(&[&options[..], &["--secret", secret.to_str().unwrap()]].concat());
    for line in [
        "listen4 192.0.2.1",
        "map 192.0.2.101=2001:db8::101",
        "# SIP sockets: 3, at 2 listen addresses and 1 of --map",
        "# media: ports 16384-32767, enough for 8192 streams",
        "# key: a random one, to be kept in the file, which does not exist yet",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is missing in:\n{said}");
    }
    assert!(!secret.exists());
}

#[test]
fn a_wrong_line_is_named_with_file_and_number() {
    let port = "'0' is no port; write a number from 1 to 65535, or leave it out for 5060";
    let no_value = "it takes no value; it is on where it stands, and off where it does not";
    let space = "a space in it; one address or name is wanted";
    let alice = "FILE, line 1: map 192.0.2.9=2001:db8::9 ";
    for (text, said) in [
        ("listen4 192.0.2.1:0", format!("FILE, line 1: listen4 192.0.2.1:0: {port}")),
        ("\n\nuplnk6 2001:db8::9", "FILE, line 3: uplnk6: no such option; uplink6 is one (try --help)".to_owned()),
        ("xyzzy", "FILE, line 1: xyzzy: no such option (try --help)".to_owned()),
        // What looks a little like something else is not meant for it.
        ("transport tcp", "FILE, line 1: transport: no such option (try --help)".to_owned()),
        ("timeout 60", "FILE, line 1: timeout: no such option; hold-timeout is one (try --help)".to_owned()),
        ("m 192.0.2.1=::1", "FILE, line 1: m: write the long name, map".to_owned()),
        ("--map 192.0.2.1=::1", "FILE, line 1: no dashes are written here; write map instead of --map".to_owned()),
        ("rtp-ports", "FILE, line 1: rtp-ports: its value is missing; write --rtp-ports <LOW-HIGH>".to_owned()),
        ("-m 192.0.2.1=::1", "FILE, line 1: m: write the long name, map".to_owned()),
        ("LISTEN4 192.0.2.1", "FILE, line 1: LISTEN4: no such option; listen4 is one (try --help)".to_owned()),
        ("rtp_ports 1-2", "FILE, line 1: rtp_ports: no such option; rtp-ports is one (try --help)".to_owned()),
        ("latch: off", "FILE, line 1: no ':' stands behind the name; write latch instead of latch:".to_owned()),
        ("; phones", "FILE, line 1: ;: no option; a comment begins with #".to_owned()),
        ("map 192.0.2.9=2001:db8::9 ; Alice", format!("{alice}; Alice: fake '2001:db8::9 ; Alice': {space}")),
        ("freebind no", format!("FILE, line 1: freebind no: {no_value}")),
        ("lenient = yes", format!("FILE, line 1: lenient yes: {no_value}")),
        ("quiet\nverbose", "FILE, line 2: verbose contradicts quiet in line 1; keep one".to_owned()),
        ("verbose\nquiet", "FILE, line 2: quiet contradicts verbose in line 1; keep one".to_owned()),
        ("wrapper\nwrapper", "FILE, line 2: wrapper stands in line 1 already; keep one".to_owned()),
        (
            "dscp = EF",
            "FILE, line 1: dscp EF: write a code point from 0 to 63, for example 46 for expedited forwarding"
                .to_owned(),
        ),
        ("log file", "FILE, line 1: log file: write one of stderr, syslog".to_owned()),
        ("secret '/a'", "FILE, line 1: '/a': quotes would be part of the value; leave them out".to_owned()),
        ("\u{1b}[2J", "FILE, line 1: a control character; write plain text, one option a line".to_owned()),
    ] {
        assert_eq!(complaint(text), said, "{text:?}");
    }
    assert_eq!(complaint(b"wrapper\n\xff"), "FILE, line 2: not UTF-8; write plain text");
}

#[test]
fn what_makes_no_sense_in_a_file_is_refused_with_a_reason() {
    for (name, why) in [
        ("config", "a configuration file names no other; put all options into one"),
        ("check", "it is a question to one run; give it on the command line"),
        ("test", "it is for one run; give it on the command line"),
        ("help", "give it on the command line"),
        ("version", "give it on the command line"),
    ] {
        let said = complaint(format!("{name} x"));
        assert_eq!(said, format!("FILE, line 1: {name} cannot stand in a configuration file: {why}"));
    }
}

#[test]
fn a_line_that_does_not_fit_to_others_is_named() {
    let twice = "map 192.0.2.101=2001:db8::101\nmap 192.0.2.102=2001:db8::101\n";
    let said = complaint(format!("{LISTEN}{twice}"));
    let stands = "the fake stands for 192.0.2.101 already; each phone needs one of its own";
    assert_eq!(said, format!("FILE, line 4: map 192.0.2.102=2001:db8::101: {stands}"));
    let said = complaint(format!("{LISTEN}uplink6 2001:db8::1\n"));
    assert!(said.starts_with("FILE, line 3: uplink6 2001:db8::1: an address of this proxy itself; "), "{said}");
    // Where the command line says it, that is named.
    let said = complaint_with(LISTEN, &["-U", "2001:db8::1"]);
    assert!(said.starts_with("--uplink6 2001:db8::1: an address of this proxy itself; "), "{said}");
}

#[test]
fn a_line_that_means_nothing_without_another_is_named() {
    for (line, name, main) in [
        ("hep-id 3", "hep-id", "--hep HOST"),
        ("pcap-rtp", "pcap-rtp", "--pcap FILE"),
        ("pcap-size 5", "pcap-size", "--pcap FILE"),
        ("anonymise", "anonymise", "--record DIR"),
    ] {
        let said = complaint(format!("{LISTEN}{line}\n"));
        assert_eq!(said, format!("FILE, line 3: {name}: it means nothing without {main}; give both or none"));
    }
}

/// Whoever forgets brackets gets an address that nobody meant.
#[test]
fn an_address_that_ends_like_a_port_is_told() {
    let said = checked(&["-l", "192.0.2.1", "-L", "2001:db8::1:5070", "-U", "[2001:db8::5060]", "-m", "192.0.2.9=::9"]);
    let warning = "# warning: 2001:db8::1:5070 is an address whose port is 5060; write [2001:db8::1]:5070 if 5070 is \
                   meant for the port";
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("meant for the port")).collect();
    assert_eq!(warnings, [warning]);
    let said = checked(&["-l", "127.0.0.1", "-L", "::1", "--hep", "::1:9060"]);
    let warning =
        "# warning: ::1:9060 is an address whose port is 9060; write [::1]:9060 if 9060 is meant for the port";
    assert!(said.lines().any(|line| line == warning), "{said}");
}

/// As where somebody names an address of one side only in the file as it ships.
#[test]
fn a_side_that_only_this_machine_reaches_is_told() {
    let is_told = |listen: [&'static str; 2], more: &[&'static str]| {
        let said = checked(&[&["-l", listen[0], "-L", listen[1]], more].concat());
        said.contains("# warning: no other machine reaches the IPv4 listen address 127.0.0.1, or is reached from it\n")
    };
    assert!(is_told(["127.0.0.1", "2001:db8::1"], &["-U", "sip.example.net"]));
    assert!(is_told(["127.0.0.1", "2001:db8::1"], &["-m", "192.0.2.101=2001:db8::101"]));
    for (listen, more) in [
        (["127.0.0.1", "::1"], &["-v"][..]),
        (["192.0.2.1", "2001:db8::1"], &["-v"]),
        // A PBX on this machine.
        (["127.0.0.1", "2001:db8::1"], &["-u", "127.0.0.1:5070"]),
        (["127.0.0.1", "2001:db8::1"], &["-m", "127.0.0.1:5070=2001:db8::101"]),
    ] {
        assert!(!is_told(listen, more), "{listen:?} {more:?}");
    }
}

#[test]
fn a_line_that_the_command_line_outdoes_must_still_be_right() {
    let said = complaint_with("listen4 localhost\n", &["-l", "192.0.2.1", "-L", "::1"]);
    assert!(said.starts_with("FILE, line 1: listen4 localhost: not an IPv4 address; "), "{said}");
}

#[test]
fn what_is_missing_may_be_written_into_the_file() {
    let said = complaint("listen4 192.0.2.1\n");
    assert!(said.starts_with("missing --listen6; ") && said.ends_with(", or without the dashes in FILE"), "{said}");
}

#[test]
fn a_secret_that_cannot_be_used_is_named_with_its_line() {
    let folder = Folder::new();
    let secret = folder.file("secret", "not a key\n");
    let said = complaint(format!("{LISTEN}secret {secret}\n"));
    assert!(said.starts_with(&format!("FILE, line 3: secret {secret}: not a key of 32 ")), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let output = run(&["--check", "--config", "/nonexistent/sipproxy64.conf"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("sipproxy64: --config /nonexistent/sipproxy64.conf: cannot read it: "), "{said}");
    let output = run(&["--check", "--config", "/dev/zero"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("longer than 4 MiB"));
}

/// Recorded messages are read with the options of a file too.
#[test]
fn test_mode_takes_a_file() {
    let folder = Folder::new();
    let file = folder.file("sipproxy64.conf", LISTEN);
    let output = run(&["-c", &file, "--test", "t/error/ack/input"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A recording is a directory, and its name is what one has at hand.
#[test]
fn a_directory_of_messages_is_told_from_its_input() {
    let output = run(&["-l", "192.0.2.1", "-L", "::1", "--test", "t/error/ack"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("sipproxy64: --test t/error/ack: "), "{said}");
    assert!(said.ends_with("; name a file with messages, as its \"input\" if it is a recording\n"), "{said}");
}

#[test]
fn a_file_without_messages_is_noticed() {
    let output = run(&["-l", "192.0.2.1", "-L", "::1", "--test", "/dev/null"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("/dev/null: no message in it; write >> udp SOURCE -> DESTINATION"), "{said}");
}

/// The file that is installed: every option stands in it, and is right as it stands.
#[test]
fn the_file_to_begin_with_has_every_option() {
    let file = fs::read_to_string("etc/sipproxy64.conf").unwrap();
    assert_eq!(in_force(&["-c", "etc/sipproxy64.conf"]), ["listen4 127.0.0.1", "listen6 ::1"]);

    // A '#' without a space: an option.
    let option = |line: &str| {
        line.strip_prefix('#').filter(|option| option.starts_with(|c: char| c.is_ascii_lowercase())).map(str::to_owned)
    };
    let all: Vec<String> = file.lines().map(|line| option(line).unwrap_or_else(|| line.to_owned())).collect();
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let words = help.lines().filter(|line| line.trim_start().starts_with('-')).flat_map(|line| line.split("--").nth(1));
    let names = words.map(|word| word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap());
    let mut count = 0;
    for name in names.filter(|name| !["config", "check", "test", "help", "version", "takeover"].contains(name)) {
        assert!(all.iter().any(|line| line.split(' ').next() == Some(name)), "etc/sipproxy64.conf lacks {name}");
        count += 1;
    }
    assert!(count > 25, "only {count} options found in --help");

    // All at once, but for the two that contradict each other. Test mode opens no file.
    let text = all
        .iter()
        .filter(|line| *line != "quiet")
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace("\nuser sipproxy64\n", "\nuser nobody\n");
    let arguments = ["sipproxy64", "-c", "FILE", "--test"].map(std::ffi::OsString::from);
    sipproxy64::cli::Options::with_file(arguments, text.as_bytes()).unwrap();
}
