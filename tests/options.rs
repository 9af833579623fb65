//! Wrong options: one clear line each on stderr, nothing on stdout, exit status 2.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may panic

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use sipproxy64::cli::{Mode, Options};
use sipproxy64::config::{Key, LatchMode, PortOrder, UplinkHost};
use sipproxy64::family::Family;
use sipproxy64::logging::Destination;

/// The listen addresses that every right command line has.
const LISTEN: [&str; 4] = ["-l", "192.0.2.1", "-L", "2001:db8::1"];

fn run(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Output {
    let arguments = arguments.into_iter().map(Into::into);
    Command::new(env!("CARGO_BIN_EXE_sipproxy64")).args(arguments).output().unwrap()
}

/// The one line that wrong options get, without the program's name.
fn complaint(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "{stderr}");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains(char::is_control), "{line:?}");
    line.strip_prefix("sipproxy64: ").unwrap().to_owned()
}

/// Each line: the options behind the listen addresses, and what is said.
fn all_said(cases: &[(&str, &str)]) {
    for (options, said) in cases {
        assert_eq!(complaint(LISTEN.into_iter().chain(options.split(' '))), *said, "{options}");
    }
}

fn parsed(options: &str) -> Options {
    let arguments = ["sipproxy64"].into_iter().chain(LISTEN).chain(options.split_whitespace());
    Options::from_arguments(arguments.map(OsString::from)).unwrap()
}

#[test]
fn listen_addresses_are_asked_for_with_an_example() {
    let both = complaint(["-v"]);
    assert!(both.starts_with("missing --listen4 and --listen6; "), "{both}");
    assert!(both.contains("--listen4 192.0.2.1 --listen6 2001:db8::1"), "{both}");
    let one = complaint(["-L", "2001:db8::1"]);
    assert!(one.starts_with("missing --listen4; ") && one.contains("as in --listen4 192.0.2.1 "), "{one}");
    let one = complaint(["-l", "192.0.2.1", "--test", "file"]);
    assert!(one.starts_with("missing --listen6; ") && one.contains("as in --listen6 2001:db8::1 "), "{one}");
}

#[test]
fn wrong_listen_addresses() {
    for (address, said) in [
        ("2001:db8::1", "an IPv6 address; --listen6 is the option for it"),
        ("localhost", "not an IPv4 address; write one of this machine, for example 192.0.2.1"),
        ("192.0.2.1:", "no port behind the ':'; write one from 1 to 65535, or leave the ':' out for 5060"),
        ("192.0.2.1:0", "'0' is no port; write a number from 1 to 65535, or leave it out for 5060"),
        ("192.0.2.1:65536", "'65536' is no port; write a number from 1 to 65535, or leave it out for 5060"),
        ("[192.0.2.1]", "brackets are for IPv6 addresses only"),
        ("::ffff:192.0.2.1", "an IPv4-mapped address; write 192.0.2.1"),
        ("224.0.0.1", "not the address of one host: it is multicast, broadcast, unspecified or reserved"),
        ("0.0.0.0", "not the address of one host: it is multicast, broadcast, unspecified or reserved"),
    ] {
        assert_eq!(complaint(["-l", address, "-L", "::1"]), format!("--listen4 {address}: {said}"));
    }
    for (address, said) in [
        ("192.0.2.1", "an IPv4 address; --listen4 is the option for it"),
        ("2001:db8::g", "not an IPv6 address; write one of this machine, for example 2001:db8::1"),
        ("[2001:db8::1", "missing ']' behind the IPv6 address, as in [2001:db8::1]:5060"),
        ("[2001:db8::1]5060", "behind ']' only a port can stand, as in [2001:db8::1]:5060"),
        (
            "fe80::1%eth0",
            "an address with a zone ('%') reaches one link only and cannot stand in SIP; use a global one",
        ),
        ("fe80::1", "a link-local address has no meaning without its interface; use a global one, or one of fd00::/8"),
        ("::", "not the address of one host: it is multicast, broadcast, unspecified or reserved"),
    ] {
        assert_eq!(complaint(["-l", "127.0.0.1", "-L", address]), format!("--listen6 {address}: {said}"));
    }
}

#[test]
fn wrong_uplinks() {
    all_said(&[
        ("-u 2001:db8::9", "--uplink4 2001:db8::9: an IPv6 address; --uplink6 is the option for it"),
        ("-U 192.0.2.9:5070", "--uplink6 192.0.2.9:5070: an IPv4 address; --uplink4 is the option for it"),
        ("-u pbx_1.example", "--uplink4 pbx_1.example: neither an address nor a valid host name"),
        ("-u 192.0.2.300", "--uplink4 192.0.2.300: neither an address nor a valid host name"),
        (
            "-u pbx.example:0",
            "--uplink4 pbx.example:0: '0' is no port; write a number from 1 to 65535, or leave it out for 5060",
        ),
        (
            "-U 2001:db8::1",
            "--uplink6 2001:db8::1: an address of this proxy itself; name the provider, PBX or registrar",
        ),
        (
            "-U sip:sip.example.net",
            "--uplink6 sip:sip.example.net: more than an address or name; write that, and its port if it has one, \
             without all else",
        ),
        (
            "-U sip.example.net;transport=tcp",
            "--uplink6 sip.example.net;transport=tcp: more than an address or name; write that, and its port if it \
             has one, without all else",
        ),
    ]);
}

#[test]
fn wrong_maps() {
    all_said(&[
        (
            "--map 192.0.2.101",
            "--map 192.0.2.101: missing '='; write PHONE=FAKE, for example 192.0.2.101=2001:db8::101",
        ),
        (
            "-m 2001:db8:6::7",
            "--map 2001:db8:6::7: missing '='; write PHONE=FAKE, for example 2001:db8:6::7=192.0.2.201",
        ),
        ("-m a=b=c", "--map a=b=c: more than one '='; write one PHONE=FAKE here, and a map of its own for each phone"),
        (
            "-m 192.0.2.101=",
            "--map 192.0.2.101=: fake '': nothing is written; an address is wanted, for example 192.0.2.1 or \
             2001:db8::1",
        ),
        (
            "-m phone.example=2001:db8::101",
            "--map phone.example=2001:db8::101: phone 'phone.example': a name; write the IPv4 or IPv6 address, as no \
             name is looked up here",
        ),
        (
            "-m 192.0.2.101=[2001:db8::101]:0",
            "--map 192.0.2.101=[2001:db8::101]:0: fake '[2001:db8::101]:0': '0' is no port; write a number from 1 to \
             65535, or leave it out for 5060",
        ),
        (
            "-m 192.0.2.101=192.0.2.102",
            "--map 192.0.2.101=192.0.2.102: both addresses are of one family; PHONE=FAKE takes an IPv4 and an IPv6 \
             address",
        ),
        (
            "-m 192.0.2.101=2001:db8::1",
            "--map 192.0.2.101=2001:db8::1: the fake is a listen address; it needs an address or port of its own",
        ),
        (
            "-m 192.0.2.101=2001:db8::101 -m 192.0.2.101=2001:db8::101",
            "--map 192.0.2.101=2001:db8::101: it is given twice; keep one",
        ),
        (
            "-m 192.0.2.101=2001:db8::101 -m 192.0.2.102=2001:db8::101",
            "--map 192.0.2.102=2001:db8::101: the fake stands for 192.0.2.101 already; each phone needs one of \
             its own",
        ),
        (
            "-m 192.0.2.101=2001:db8::101 -m 192.0.2.101=2001:db8::102",
            "--map 192.0.2.101=2001:db8::102: the phone has the fake 2001:db8::101 already; keep one of the two maps",
        ),
        (
            "-m 192.0.2.0/24=2001:db8::/64",
            "--map 192.0.2.0/24=2001:db8::/64: phone '192.0.2.0/24': a '/'; one address is wanted, no prefix",
        ),
    ]);
}

#[test]
fn wrong_names() {
    all_said(&[
        (
            "--name 192.0.2.7",
            "--name 192.0.2.7: an address; --name takes a host name, as the addresses of the other options are known \
             anyway",
        ),
        ("--name -", "--name -: no valid host name; write one, for example proxy.example.org"),
        ("--name ", "--name '': no valid host name; write one, for example proxy.example.org"),
    ]);
}

#[test]
fn wrong_port_ranges() {
    let example = "write LOW-HIGH, for example 16384-32767";
    all_said(&[
        ("-p 20000", &format!("--rtp-ports 20000: missing '-'; {example}")),
        ("-p 20000-70000", &format!("--rtp-ports 20000-70000: '70000' is no port; {example}")),
        ("-p 20000-", &format!("--rtp-ports 20000-: '' is no port; {example}")),
        ("-p 80-20000", &format!("--rtp-ports 80-20000: ports below 1024 belong to the system; {example}")),
        ("-p 30000-20000", "--rtp-ports 30000-20000: the first port is above the second; write 20000-30000"),
        (
            "-p 20001-20002",
            "--rtp-ports 20001-20002: no even port with the odd one above it in there; each stream needs such a pair",
        ),
    ]);
}

#[test]
fn wrong_numbers_and_words() {
    let seconds = "write seconds, from 1 to 604800 (a week)";
    let calls = "write a number of calls, 1 or more";
    let code_point = "write a code point from 0 to 63, for example 46 for expedited forwarding";
    all_said(&[
        ("--rtp-timeout 0", &format!("--rtp-timeout 0: {seconds}")),
        ("--ringing-timeout -5", &format!("--ringing-timeout -5: {seconds}")),
        ("--hold-timeout 1h", &format!("--hold-timeout 1h: {seconds}")),
        ("--hold-timeout 99999999999999999999999", &format!("--hold-timeout 99999999999999999999999: {seconds}")),
        ("--max-calls 0", &format!("--max-calls 0: {calls}")),
        ("--max-calls-per-source many", &format!("--max-calls-per-source many: {calls}")),
        ("--dscp 64", &format!("--dscp 64: {code_point}")),
        ("--dscp EF", &format!("--dscp EF: {code_point}")),
        ("--batch-us 5001", "--batch-us 5001: write microseconds, from 0 (off) to 5000"),
        ("--batch-us 1ms", "--batch-us 1ms: write microseconds, from 0 (off) to 5000"),
        ("--latch on", "--latch on: write one of signalled, first, off"),
        ("--log file", "--log file: write one of stderr, syslog"),
    ]);
}

#[test]
fn wrong_ways_of_giving_options() {
    all_said(&[
        ("--uplnk6 2001:db8::9", "--uplnk6: no such option; --uplink6 is one (try --help)"),
        ("--xyzzy", "--xyzzy: no such option (try --help)"),
        ("-x", "-x: no such option (try --help)"),
        ("192.0.2.9", "192.0.2.9: an option must stand before it, as in --listen4 192.0.2.1 (try --help)"),
        ("--map", "--map: its value is missing; write --map <PHONE=FAKE>"),
        ("-l 192.0.2.2", "--listen4 is given more than once; keep one"),
        ("-q -v", "--quiet and --verbose contradict each other; keep one"),
        ("--freebind=no", "--freebind no: it takes no value; it is on where it stands, and off where it does not"),
        ("--lenient off", "--lenient off: it takes no value; it is on where it stands, and off where it does not"),
        ("--verbose=2", "--verbose 2: it takes no value; write it once more for each step"),
        ("--UPLINK6 x", "--UPLINK6: no such option; --uplink6 is one (try --help)"),
        ("--rtp_ports x", "--rtp_ports: no such option; --rtp-ports is one (try --help)"),
        ("restart", "restart: no such command; status is the only one, all else are options (try --help)"),
        ("status", "status: it stands first and has options of its own, see sipproxy64 status --help"),
    ]);
}

#[test]
fn wrong_captures() {
    all_said(&[
        ("--hep-id 3", "--hep-id: it means nothing without --hep HOST; give both or none"),
        ("--pcap-rtp", "--pcap-rtp: it means nothing without --pcap FILE; give both or none"),
        (
            "--hep udp:127.0.0.1:9060",
            "--hep udp:127.0.0.1:9060: more than an address or name; write that, and its port if it has one, without \
             all else",
        ),
        ("--pcap x --pcap-size 0", "--pcap-size 0: write megabytes, from 1 to 1000000"),
        (
            "--hep 224.0.0.1",
            "--hep 224.0.0.1: not the address of one host: it is multicast, broadcast, unspecified or reserved",
        ),
        (
            "--hep 192.0.2.30:0",
            "--hep 192.0.2.30:0: '0' is no port; write a number from 1 to 65535, or leave it out for 9060",
        ),
        ("--hep 192.0.2.1:5060", "--hep 192.0.2.1:5060: an address of this proxy itself; name the collector"),
        ("--hep h --hep-id -1", "--hep-id -1: write a number from 0 to 4294967295"),
    ]);
}

#[test]
fn what_steers_a_terminal_is_escaped() {
    let said = complaint(["-l", "\u{1b}[2J\n", "-L", "::1"]);
    assert!(said.starts_with("--listen4 \\u{1b}[2J\\n: not an IPv4 address"), "{said}");
    let said = complaint([OsString::from("-l"), OsString::from_vec(vec![0xff])]);
    assert!(said.contains("--listen4: its value is not UTF-8"), "{said}");
}

#[test]
fn wrong_secrets() {
    let directory = std::env::temp_dir().join(format!("sipproxy64-options-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("secret");
    let shown = file.display();
    let said = || complaint(LISTEN.into_iter().chain(["--secret", file.to_str().unwrap()]));

    fs::write(&file, "not a key\n").unwrap();
    let content = said();
    fs::write(&file, "000102030405060708090a0b0c0d0e0f\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mode = said();
    fs::remove_dir_all(&directory).unwrap();
    let absent = said();

    assert!(content.starts_with(&format!("--secret {shown}: not a key of 32 hexadecimal digits; ")), "{content}");
    assert!(mode.starts_with(&format!("--secret {shown}: others than its owner may use it (mode 0644); ")), "{mode}");
    assert!(mode.ends_with(&format!("run: chmod 600 {shown}")), "{mode}");
    assert!(absent.starts_with(&format!("--secret {shown}: cannot create it: ")), "{absent}");
}

#[test]
fn help_and_version_are_no_errors() {
    for (option, begins) in [("--version", "sipproxy64 "), ("-V", "sipproxy64 "), ("-h", "A bridge"), ("--help", "A b")]
    {
        let output = run([option]);
        assert_eq!(output.status.code(), Some(0), "{option}");
        assert!(output.stdout.starts_with(begins.as_bytes()) && output.stderr.is_empty(), "{option}");
    }
}

#[test]
fn without_options_there_are_the_documented_defaults() {
    let options = parsed("");
    let config = &options.config;
    assert_eq!(options.mode, Mode::Run);
    assert_eq!((options.freebind, options.dscp, options.verbosity), (false, None, 0));
    assert_eq!(options.batch, Duration::ZERO);
    assert_eq!(options.log, Destination::Stderr);
    assert_eq!(config.rtp_ports.bounds(), (16384, 32767));
    let timeouts = [config.timeouts.rtp, config.timeouts.ringing, config.timeouts.hold];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [60, 180, 3600]);
    assert_eq!((config.latch, config.wrapper, config.lenient), (LatchMode::Signalled, false, false));
    assert_eq!((config.max_calls, config.max_calls_per_source), (None, 32));
    assert_ne!(config.key, parsed("").config.key, "each run has a key of its own");
    assert!(matches!(config.port_order, PortOrder::Random(_)));
}

#[test]
fn every_option_arrives() {
    let options = parsed(
        "-u pbx.example -U [2001:db8:456::12]:5070 -m 192.0.2.101=2001:db8::101 --map 2001:db8:6::7=192.0.2.207 \
         --name Proxy.example -p 20000-20099 --rtp-timeout 1 --ringing-timeout 2 --hold-timeout 3 --latch off \
         --max-calls 4 --max-calls-per-source 5 --dscp 46 --batch-us 500 -w --lenient --freebind --log syslog -vv",
    );
    let config = &options.config;
    let uplink4 = config.uplinks[Family::V4].as_ref().unwrap();
    assert_eq!(uplink4.host, UplinkHost::Name("pbx.example".to_owned()));
    assert_eq!(config.uplinks[Family::V6].as_ref().unwrap().written, "[2001:db8:456::12]:5070");
    let maps: Vec<String> = config.maps.iter().map(ToString::to_string).collect();
    assert_eq!(maps, ["192.0.2.101=2001:db8::101", "2001:db8:6::7=192.0.2.207"]);
    assert_eq!(config.names[0].host, "proxy.example");
    assert_eq!(config.rtp_ports.bounds(), (20000, 20099));
    let timeouts = [config.timeouts.rtp, config.timeouts.ringing, config.timeouts.hold];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [1, 2, 3]);
    assert_eq!((config.latch, config.wrapper, config.lenient), (LatchMode::Off, true, true));
    assert_eq!((config.max_calls, config.max_calls_per_source), (Some(4), 5));
    assert_eq!((options.freebind, options.dscp, options.verbosity), (true, Some(46), 2));
    assert_eq!(options.batch, Duration::from_micros(500));
    assert_eq!(options.log, Destination::Syslog);
    assert_eq!(parsed("-q").verbosity, -1);
}

#[test]
fn test_mode_is_the_same_every_time() {
    for (options, mode) in [
        ("--test", Mode::Print),
        ("-t a - b", Mode::Transcript(["a", "-", "b"].map(Into::into).to_vec())),
        ("-t a --secret /nonexistent/secret", Mode::Transcript(vec!["a".into()])),
    ] {
        let options = parsed(options);
        assert_eq!(options.mode, mode);
        assert_eq!((options.config.key, options.config.port_order), (Key([0; 16]), PortOrder::Ascending));
    }
}
