//! The files that ship around the program: service files, scripts, packages.

#![allow(clippy::unwrap_used)] // a test may panic

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// A folder of the test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("sipproxy64-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs it where it is installed; in CI that is everywhere.
fn run(test: &str, command: &mut Command) -> Option<Output> {
    match command.current_dir(root()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let program = command.get_program();
            assert!(env::var("CI").as_deref() != Ok("true"), "{test} would be skipped in CI: {program:?}: {error}");
            println!("skipped: {test} needs {}", program.display());
            None
        }
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[test]
fn scripts_are_sound() {
    for script in ["etc/sipproxy64.init", "etc/sipproxy64-addresses", "etc/anyip.sh", "openwrt/files/sipproxy64.init"] {
        let output = run("scripts_are_sound", Command::new("sh").args(["-n", script])).unwrap();
        assert!(output.status.success(), "{script}: {}", said(&output));
    }
}

/// In a root of its own, where the program is what the unit calls.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = Folder::new("units");
    for program in ["usr/sbin/sipproxy64", "usr/lib/sipproxy64/sipproxy64-addresses"] {
        let path = folder.file(program, "#!/bin/sh\n");
        Command::new("chmod").arg("755").arg(path).status().unwrap();
    }
    for unit in ["etc/sipproxy64.service", "etc/sipproxy64-addresses@.service"] {
        // "verify" wants the programs where the units say they are.
        let name = Path::new(unit).file_name().unwrap().to_str().unwrap();
        let text = read(unit).replace("/usr/sbin/sipproxy64", folder.0.join("usr/sbin/sipproxy64").to_str().unwrap());
        let text = text.replace("/usr/lib/sipproxy64/", &format!("{}/usr/lib/sipproxy64/", folder.0.display()));
        // Whether the manual page is installed here is not its matter.
        let path = folder.file(name, &text.replace("Documentation=man:sipproxy64(8)\n", ""));
        let verify =
            run("systemd_finds_nothing_wrong_with_the_units", Command::new("systemd-analyze").arg("verify").arg(path));
        let Some(output) = verify else { return };
        assert!(output.status.success() && said(&output).trim().is_empty(), "{unit}: {}", said(&output));
    }
}

/// `systemd-analyze security` gives 0 (nothing can be done from within) to 10.
#[test]
fn the_unit_leaves_little_to_an_intruder() {
    let arguments = ["security", "--offline=true", "--threshold=19", "etc/sipproxy64.service"];
    let Some(output) = run("the_unit_leaves_little_to_an_intruder", Command::new("systemd-analyze").args(arguments))
    else {
        return;
    };
    assert!(output.status.success(), "exposure of 2.0 or more: {}", said(&output));
}

#[test]
fn nft_takes_the_firewall_lines() {
    let check = "nft --check --file etc/sipproxy64.nft";
    let output = run("nft_takes_the_firewall_lines", Command::new("unshare").args(["-rn", "sh", "-c", check]));
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", said(&output));
}

/// A router passes on packets of others to ports that are ours here: those need NAT.
#[test]
fn the_firewall_lines_leave_what_is_for_others_tracked() {
    for line in read("etc/sipproxy64.nft").lines().filter(|line| line.ends_with("notrack")) {
        let line = line.trim_start();
        let is_ours = ["ip daddr $ours4 ", "ip6 daddr $ours6 ", "ip saddr $ours4 ", "ip6 saddr $ours6 "]
            .iter()
            .any(|ours| line.starts_with(ours));
        assert!(is_ours, "{line}");
    }
}

/// What comes from outside with a source of this machine is dropped, and nothing else.
#[test]
fn the_firewall_lines_know_who_is_on_this_machine() {
    assert_dropped_from_outside("etc/sipproxy64.nft", "sipproxy64", 2);
}

/// The same in the chain that OpenWrt's firewall makes, where it puts what packages bring.
#[test]
fn the_firewall_of_openwrt_knows_who_is_on_the_router() {
    let line = root().join("openwrt/files/sipproxy64.nft");
    let ruleset = format!(
        "table inet fw4 {{
        chain input {{
            type filter hook input priority filter; policy drop;
            iif lo accept
            include \"{}\"
            ct state vmap {{ established : accept, related : accept }}
            udp dport {{ 5060, 16384-32767 }} accept
            icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        }}
        }}",
        line.display()
    );
    let folder = Folder::new("fw4");
    assert_dropped_from_outside(folder.file("fw4.nft", &ruleset).to_str().unwrap(), "fw4", 1);
}

/// So many rules of the table's chain "input" drop SIP and media from an address of ours.
fn assert_dropped_from_outside(ruleset: &str, table: &str, rules: usize) {
    let script = "set -e; ip link set lo up; unshare -n sleep 60 & other=$!
        until [ \"$(readlink /proc/$other/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ]; do :; done
        ip link add in address 02:00:00:00:00:01 type veth peer name out netns $other
        for ours in 1 101; do ip address add 2001:db8::$ours/128 dev in nodad; done; ip link set in up
        outside() { nsenter -n -t $other \"$@\"; }
        outside ip link set out up
        for source in :1 9::55; do outside ip address add 2001:db8:$source/128 dev out nodad; done
        outside ip neighbour replace 2001:db8::101 lladdr 02:00:00:00:00:01 dev out
        nft --file \"$0\"
        send() { \"$@\" bash -c 'for port in 5060 16384; do echo > /dev/udp/2001:db8::101/$port; done'; }
        rules_that_dropped() { nft list chain inet $1 input | grep -c 'packets [1-9].* drop' || :; }
        send env; rules_that_dropped $1
        outside ip route replace 2001:db8::101 dev out src 2001:db8:9::55; send outside; rules_that_dropped $1
        outside ip route replace 2001:db8::101 dev out src 2001:db8::1
        until [ $(rules_that_dropped $1) = $2 ]; do send outside; done; rules_that_dropped $1; kill $other";
    let mut command = Command::new("unshare");
    command.args(["-rn", "timeout", "20", "sh", "-c", script, ruleset, table, &rules.to_string()]);
    let Some(output) = run("the firewall lines", &mut command) else { return };
    assert_eq!(said(&output), format!("0\n0\n{rules}\n"));
}

/// "add" puts each fake on the interface, once, and "remove" takes off those alone.
#[test]
fn addresses_of_the_maps_come_and_go() {
    let folder = Folder::new("addresses");
    let config = "listen4 192.0.2.1\n# map 192.0.2.9=2001:db8::9\nmap 192.0.2.101=2001:db8::101\n\
                  map = 192.0.2.102:5062=[2001:db8::102]:5070 # with ports\nmap [2001:db8:6::7]:5060=192.0.2.207\n\
                  map 2001:db8:6::8=192.0.2.208:5062\nmap 192.0.2.103=2001:db8::1\n";
    let config = folder.file("sipproxy64.conf", config);
    let script = "set -e; ip link set lo up; ip address add 2001:db8::1/64 dev lo
        show() { ip -o address show dev lo scope global | awk '{ print $4 }' | sort | tr '\\n' ' '; echo; }
        etc/sipproxy64-addresses add lo \"$0\"; show
        etc/sipproxy64-addresses add lo \"$0\"; show
        etc/sipproxy64-addresses remove lo \"$0\"; show";
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script]).arg(config).env("SIPPROXY64_STATE", &folder.0);
    let Some(output) = run("addresses_of_the_maps_come_and_go", &mut command) else { return };
    let there = "192.0.2.207/32 192.0.2.208/32 2001:db8::1/64 2001:db8::101/128 2001:db8::102/128 ";
    assert_eq!(said(&output), format!("{there}\n{there}\n2001:db8::1/64 \n"));
}

/// One route, and each address of a prefix is this machine's own, and can be bound.
#[test]
fn a_whole_prefix_can_be_local() {
    let script = "set -e; ip link set lo up
        for prefix in 2001:db8:64::/64 198.51.100.0/24; do etc/anyip.sh add $prefix; done
        for address in 2001:db8:64::5 198.51.100.7; do ip route get $address; done | grep -c ^local
        \"$0\" -l 127.0.0.1 -L ::1 -m 192.0.2.9=2001:db8:64::5 -m 2001:db8::9=198.51.100.7 --freebind \\
            --control none 2> \"$1\" & daemon=$!
        until grep ' ready$\\|cannot' \"$1\" | grep -o 'ready\\|cannot .*'; do :; done; kill $daemon || true; wait
        for prefix in 2001:db8:64::/64 198.51.100.0/24; do etc/anyip.sh remove $prefix; done
        ip route show table local to root 198.51.100.0/24; ip -6 route show table local to root 2001:db8:64::/64";
    let folder = Folder::new("anyip");
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script, env!("CARGO_BIN_EXE_sipproxy64")]).arg(folder.file("log", ""));
    let Some(output) = run("a_whole_prefix_can_be_local", &mut command) else { return };
    assert_eq!(said(&output), "2\nready\n");
}

/// Each option that a file may have stands in etc/sipproxy64.conf, and is right
/// where its `#` is taken off.
#[test]
fn the_configuration_shows_every_option() {
    let folder = Folder::new("conf");
    let text = read("etc/sipproxy64.conf");
    let shown = |line: &&str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    let base = "listen4 127.0.0.1\nlisten6 ::1\nmap 192.0.2.9=2001:db8::9\n";
    let mut names: Vec<&str> = vec!["listen4", "listen6"];
    for line in text.lines().filter(shown).map(|line| &line[1..]) {
        names.push(line.split(' ').next().unwrap());
        // A key would have to be there already, with the rights of its owner; a user too.
        let line =
            line.replace("/var/lib/sipproxy64", folder.0.to_str().unwrap()).replace("user sipproxy64", "user nobody");
        let with = match line.as_str() {
            line if line.starts_with("pcap-") => "pcap /tmp/sip.pcap\n",
            line if line.starts_with("hep-") => "hep 192.0.2.30:9060\n",
            "anonymise" => "record /tmp/record\n",
            _ => "",
        };
        let file = folder.file("sipproxy64.conf", &format!("{base}{with}{line}\n"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_sipproxy64"));
        let output = command.arg("--config").arg(file).arg("--check").output().unwrap();
        assert!(output.status.success(), "{line}: {}", said(&output));
    }
    let only_on_the_command_line = ["config", "check", "test", "help", "version", "takeover"];
    for name in sipproxy64::cli::table::OPTIONS.iter().map(|option| option.long) {
        assert!(names.contains(&name) || only_on_the_command_line.contains(&name), "etc/sipproxy64.conf lacks {name}");
    }
    let file = root().join("etc/sipproxy64.conf");
    let output =
        Command::new(env!("CARGO_BIN_EXE_sipproxy64")).arg("--config").arg(file).arg("--check").output().unwrap();
    assert!(output.status.success(), "as it ships: {}", said(&output));
}

/// A mistake in the file ends no calls: what runs goes on.
#[test]
fn init_restarts_nothing_with_a_mistake_in_the_file() {
    let script = r#"ip link set lo up
        "$0" -l 127.0.0.1 -L ::1 --control none 2> "$1/log" & daemon=$!
        until grep -q ' ready$' "$1/log"; do :; done
        echo $daemon > "$1/pid"; echo 'lisen4 127.0.0.1' > "$1/conf"
        export DAEMON="$0" CONFIG="$1/conf" RUN="$1"
        for how in restart try-restart; do
            etc/sipproxy64.init $how; echo "$how: $?"; kill -0 $daemon
        done 2>&1
        kill $daemon; wait"#;
    let folder = Folder::new("init");
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script, env!("CARGO_BIN_EXE_sipproxy64")]).arg(&folder.0);
    let Some(output) = run("init_restarts_nothing_with_a_mistake_in_the_file", &mut command) else { return };
    let why =
        format!("sipproxy64: {}/conf, line 1: lisen4: no such option; listen4 is one (try --help)", folder.0.display());
    assert_eq!(said(&output), format!("{why}\nrestart: 2\n{why}\ntry-restart: 2\n"));
}

/// OpenWrt's own functions, as far as the script calls them, and a file of UCI.
const OPENWRT: &str = r#"
reset_cb() { option_cb() { :; }; list_cb() { :; }; }
config_load() {
    CONFIG_SECTION=main
    for option in $uci_options; do option_cb "$option"; done
    list_cb map
}
logger() { echo "logger: $*"; }
config_get() { eval "$1=\${uci_$3:-}"; }
config_get_bool() { eval "$1=\${uci_$3:-$4}"; }
config_list_foreach() { eval "list=\${uci_list_$2:-}"; for item in $list; do $3 "$item" $4; done; }
procd_open_instance() { :; }
procd_set_param() { echo "procd: $*"; }
procd_close_instance() { :; }
procd_send_signal() { echo "procd: signal $*"; }
procd_running() { [ "$running" = 1 ]; }
stop() { echo "rc: stop"; }
start() { echo "rc: start"; }
chown() { echo "chown: $*"; }
addresses() { echo "addresses: $*"; }
uci_enabled=1 uci_listen4=192.0.2.1 uci_listen6=2001:db8::1 uci_uplink6=2001:db8:456::12 uci_rtp_ports=20000-20999
uci_no_foreign_challenges=1 uci_lenient=0 uci_interface=br-lan uci_name=sip.example.net uci_verbose=2
uci_options="enabled listen4 max_calls no_sandbox max_call secret"
uci_list_map="192.0.2.101=2001:db8::101 192.0.2.102=2001:db8::102"
. openwrt/files/sipproxy64.init
CONFIG="$0/sipproxy64.conf" STATE="$0/state" RUN="$0/run" PROG="$1" ADDRESSES=addresses
start_service
running=1 uci_list_map="$uci_list_map 192.0.2.103=2001:db8::103"
reload_service
stop_service
running=0
echo "it does not run"; reload_service
running=1 uci_rtp_ports=30000-30999
echo "other ports"; reload_service
uci_enabled=0
echo "disabled"; reload_service
"#;

/// By the shell that OpenWrt has, too.
#[test]
fn openwrt_makes_a_configuration_of_uci() {
    let program = env!("CARGO_BIN_EXE_sipproxy64");
    for shell in [&["sh"][..], &["busybox", "ash"]] {
        let folder = Folder::new("openwrt");
        let (first, more) = shell.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(more).args(["-euc", OPENWRT]).arg(&folder.0).arg(program);
        let Some(output) = run("openwrt_makes_a_configuration_of_uci", &mut command) else { return };
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        let (complaints, said): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.starts_with("logger: "));
        let said = said.join("\n");
        let path = folder.0.display();
        let lines = [
            format!("addresses: add br-lan {path}/sipproxy64.conf\nchown: sipproxy64:sipproxy64 {path}/state"),
            format!("chown: sipproxy64:sipproxy64 {path}/run"),
            format!("procd: command {program} --config {path}/sipproxy64.conf --control {path}/run/control"),
            // A new stand-in is there before it is bound.
            format!("addresses: add br-lan {path}/sipproxy64.conf\nprocd: signal sipproxy64 * USR2"),
            format!("addresses: remove br-lan {path}/sipproxy64.conf"),
            "it does not run\nrc: stop\nrc: start\nother ports\nrc: stop\nrc: start\ndisabled\nrc: stop".to_owned(),
        ];
        for line in lines {
            assert!(said.contains(&line), "{line} in {said}");
        }
        let complaint = |what| format!("logger: -s -t sipproxy64 -p daemon.warn /etc/config/sipproxy64: {what}");
        let unknown =
            ["max_call", "secret"].map(|name| complaint(format!("{name} is no option here, and is left out")));
        let [max_call, secret] = unknown;
        assert_eq!(
            complaints.into_iter().take(3).collect::<Vec<_>>(),
            [max_call, secret, complaint("verbose is '2'; write 1 or 0".to_owned())]
        );
        let wanted = format!(
            "listen4 192.0.2.1\nlisten6 2001:db8::1\nuplink6 2001:db8:456::12\nrtp-ports 30000-30999\n\
             no-foreign-challenges\nmap 192.0.2.101=2001:db8::101\nmap 192.0.2.102=2001:db8::102\n\
             map 192.0.2.103=2001:db8::103\nname sip.example.net\nsecret {path}/state/secret\n"
        );
        assert_eq!(fs::read_to_string(folder.0.join("sipproxy64.conf")).unwrap(), wanted);
    }
}

/// What the service does not say itself can be said in UCI.
#[test]
fn openwrt_knows_every_option_of_a_file() {
    let script = read("openwrt/files/sipproxy64.init");
    let names: Vec<&str> = script.split(['"', ' ', '\t', '\n', '\\']).collect();
    let of_the_service = ["secret", "control", "user", "daemon", "pid-file", "log"];
    let of_one_run = ["config", "check", "test", "takeover", "help", "version"];
    for option in &sipproxy64::cli::table::OPTIONS {
        let known = names.contains(&option.long.replace('-', "_").as_str());
        let not_for_uci = of_the_service.contains(&option.long) || of_one_run.contains(&option.long);
        assert!(known || not_for_uci, "openwrt/files/sipproxy64.init does not know {}", option.long);
    }
}

/// What alerts ask for is there, and an uplink of which nothing has come yet is none
/// that has been silent since 1970.
#[test]
fn alerts_go_by_what_the_manual_names() {
    let (alerts, manual) = (read("etc/prometheus.yml"), read("sipproxy64.8"));
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let names = alerts.split(|letter| !is_of_name(letter)).filter_map(|word| word.strip_prefix("sipproxy64_"));
    for name in names {
        assert!(manual.contains(name), "{name}");
    }
    assert!(alerts.contains("and sipproxy64_party_last_heard_timestamp_seconds > 0"));
}

/// A version is written in three ways: 1.0.0-alpha.1, 1.0.0~alpha.1, 1.0.0_alpha1.
#[test]
fn all_packages_have_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let debian = version.replace('-', "~");
    assert!(read("debian/changelog").starts_with(&format!("sipproxy64 ({debian}) ")), "debian/changelog: {debian}");
    let openwrt = version.replace("-alpha.", "_alpha").replace("-beta.", "_beta").replace("-rc.", "_rc");
    assert!(read("openwrt/Makefile").contains(&format!("PKG_VERSION:={openwrt}\n")), "openwrt/Makefile: {openwrt}");
}

/// What the Makefile of OpenWrt and the Dockerfile take from here is here.
#[test]
fn packages_name_files_that_are_there() {
    let makefile = read("openwrt/Makefile");
    let copied = makefile.lines().find(|line| line.contains("$(CP)")).unwrap();
    for file in copied.split_whitespace().filter(|word| word.starts_with("../")) {
        assert!(root().join("openwrt").join(file).exists(), "openwrt/Makefile: {file}");
    }
    for file in makefile.split_whitespace().filter(|word| word.starts_with("./files/")) {
        assert!(root().join("openwrt").join(file).exists(), "openwrt/Makefile: {file}");
    }
    assert!(read("Dockerfile").contains("RUN mkdir -p image/state && etc/build-static image/sipproxy64"));
}
