//! The options, a row each. What they mean stands in sipproxy64(8), and where they
//! go in `Arguments::set`.

use super::arguments::Opt;
use super::arguments::Takes::{All, Count, Each, Number, One};

/// In the order of `--help`.
pub static OPTIONS: [Opt; 43] = [
    Opt::of("listen4", One("ADDR[:PORT]"), "IPv4 listen address").short('l'),
    Opt::of("listen6", One("ADDR[:PORT]"), "IPv6 listen address").short('L'),
    Opt::of("uplink4", One("HOST[:PORT]"), "Where undirected traffic from the IPv6 side goes").short('u'),
    Opt::of("uplink6", One("HOST[:PORT]"), "Where undirected traffic from the IPv4 side goes").short('U'),
    Opt::of("map", Each("PHONE=FAKE"), "One phone and its stand-in in the other family; repeat").short('m'),
    Opt::of("name", Each("HOST[:PORT]"), "A name under which phones know us as outbound proxy; repeat"),
    Opt::of("rtp-ports", One("LOW-HIGH"), "Media ports [default: 16384-32767]").short('p'),
    Opt::of("rtp-timeout", Number("S"), "Silence that ends an answered call, in seconds [default: 60]"),
    Opt::of("ringing-timeout", Number("S"), "Silence that ends a ringing call, in seconds [default: 180]"),
    Opt::of("hold-timeout", Number("S"), "Silence that ends a call on hold, in seconds [default: 3600]"),
    Opt::of("latch", One("signalled|first|off"), "Whom media may come from [default: signalled]"),
    Opt::of("max-calls", Number("N"), "Calls with media at once [default: as the media ports allow]"),
    Opt::of(
        "max-calls-per-source",
        Number("N"),
        "Of these asked for by one stranger, an IPv4 address or IPv6 /64 [default: 32]",
    ),
    Opt::of("dscp", Number("N"), "DSCP of relayed media, 46 for EF [default: as the system has it]"),
    Opt::of(
        "batch-us",
        Number("N"),
        "Microseconds that media packets may wait for others, to save processor time [default: 0]",
    ),
    Opt::flag("no-foreign-challenges", "Let nobody but uplinks and phones ask phones for their password"),
    Opt::flag("wrapper", "Leave Contact headers to a wrapper").short('w'),
    Opt::flag("lenient", "Repair IPv6 addresses that came without brackets"),
    Opt::of(
        "secret",
        One("FILE"),
        "File of the key for signatures, created if absent [default: a random key for this run]",
    ),
    Opt::flag("freebind", "Bind addresses that are not on an interface yet"),
    Opt::of("takeover", One("SOCKET"), "Take over all calls of the daemon at this control socket")
        .against(&["test", "check"]),
    Opt::of(
        "control",
        One("PATH"),
        "Socket at which `sipproxy64 status` asks, or none [default: /run/sipproxy64/control for root]",
    ),
    Opt::of(
        "metrics",
        One("ADDR:PORT"),
        "Web page and Prometheus metrics at this address; public: before it where others may look",
    ),
    Opt::of("hep", One("HOST[:PORT]"), "Send each SIP message to a collector, by HEP version 3 over UDP"),
    Opt::of("hep-id", Number("N"), "By which number the collector knows this proxy [default: 64]"),
    Opt::of("pcap", One("FILE"), "Write each SIP message to a capture file, as it came and as it left"),
    Opt::flag("pcap-rtp", "Write media to the capture file too"),
    Opt::of("pcap-size", Number("MB"), "At which size a new capture file is begun, in megabytes [default: 100]"),
    Opt::of("record", One("DIR"), "Record each call as a test, in a directory of its own under this one"),
    Opt::flag("anonymise", "Leave out of recordings who calls, and from where"),
    Opt::flag("daemon", "Leave the shell once the start has succeeded").short('d'),
    Opt::of("pid-file", One("FILE"), "File for the number of the process").short('P'),
    Opt::of("user", One("USER[:GROUP]"), "Whom to become once all is bound"),
    Opt::flag("no-sandbox", "Keep what the system lets one do but is not needed after the start"),
    Opt::of("log", One("stderr|syslog"), "Where the log goes [default: stderr, with --daemon syslog]"),
    Opt::of("log-format", One("text|json"), "What a line of the log looks like [default: text]"),
    Opt::of("verbose", Count, "Log more; repeat").short('v'),
    Opt::flag("quiet", "Log warnings and errors alone").short('q').against(&["verbose"]),
    Opt::of("config", One("FILE"), "File with more options, one a line, without dashes").short('c'),
    Opt::flag("check", "Say what would be done, and whether the options are right").against(&["test"]),
    Opt::of("test", All("FILE"), "Print instead of sending; with files, read recorded messages").short('t'),
    Opt::flag("help", "Print help").short('h'),
    Opt::flag("version", "Print version").short('V'),
];
