//! A configuration as the options that give it.

use std::fmt::Write;

use crate::config::{Config, LatchMode, Plain, PortRange, Timeouts};
use crate::family::Family;

/// The options of test mode for a configuration, one a line. Defaults, the key
/// and the order of ports are left out.
pub fn command_line(config: &Config) -> String {
    // All of them by name, so that a new one is not forgotten here.
    let Config {
        listen,
        uplinks,
        maps,
        names,
        rtp_ports,
        most_streams: _,
        timeouts,
        latch,
        max_calls,
        max_calls_per_source,
        no_foreign_challenges,
        wrapper,
        lenient,
        key: _,
        port_order: _,
    } = config;
    let plain = Config::new(listen[Family::V4], listen[Family::V6]);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "--listen4 {}\n--listen6 {}", Plain(listen[Family::V4]), Plain(listen[Family::V6]));
    for (side, uplink) in uplinks.iter().filter_map(|(side, uplink)| Some((side, uplink.as_ref()?))) {
        let option = if side == Family::V4 { "--uplink4" } else { "--uplink6" };
        let _ = writeln!(out, "{option} {}", uplink.written);
    }
    for map in maps {
        let _ = writeln!(out, "--map {map}");
    }
    for name in names {
        let _ = writeln!(out, "--name {}:{}", name.host, name.port);
    }
    if *rtp_ports != PortRange::DEFAULT {
        let (low, high) = rtp_ports.bounds();
        let _ = writeln!(out, "--rtp-ports {low}-{high}");
    }
    let Timeouts { rtp, ringing, hold } = *timeouts;
    let usual = plain.timeouts;
    for (option, time, usual) in [
        ("--rtp-timeout", rtp, usual.rtp),
        ("--ringing-timeout", ringing, usual.ringing),
        ("--hold-timeout", hold, usual.hold),
    ] {
        if time != usual {
            let _ = writeln!(out, "{option} {}", time.as_secs());
        }
    }
    match latch {
        LatchMode::Signalled => {}
        LatchMode::First => out += "--latch first\n",
        LatchMode::Off => out += "--latch off\n",
    }
    if let Some(calls) = max_calls {
        let _ = writeln!(out, "--max-calls {calls}");
    }
    if *max_calls_per_source != plain.max_calls_per_source {
        let _ = writeln!(out, "--max-calls-per-source {max_calls_per_source}");
    }
    for (option, is_on) in
        [("--no-foreign-challenges", *no_foreign_challenges), ("--wrapper", *wrapper), ("--lenient", *lenient)]
    {
        if is_on {
            let _ = writeln!(out, "{option}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Map, Name, Uplink, UplinkHost};

    #[test]
    fn what_differs_from_the_defaults_is_said() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5070".parse().unwrap());
        assert_eq!(command_line(&config), "--listen4 192.0.2.1\n--listen6 [2001:db8::1]:5070\n");
        let host = UplinkHost::Name("pbx.example".to_owned());
        config.uplinks[Family::V4] = Some(Uplink { host, port: 5060, written: "pbx.example".to_owned() });
        config.maps.push(Map { phone: "192.0.2.9:5060".parse().unwrap(), fake: "[2001:db8::9]:5060".parse().unwrap() });
        config.names.push(Name { host: "proxy.example".to_owned(), port: 5060 });
        config.latch = LatchMode::First;
        config.lenient = true;
        let said = command_line(&config);
        let behind = said.split_once("5070\n").unwrap().1;
        assert_eq!(
            behind,
            "--uplink4 pbx.example\n--map 192.0.2.9=2001:db8::9\n--name proxy.example:5060\n--latch first\n--lenient\n"
        );
    }
}
