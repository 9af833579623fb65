//! A configuration as the options that give it.

use std::fmt::{Display, Write};

use crate::config::{Config, LatchMode, Name, Plain, Timeouts, uplink_option};
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
    let mut out = Lines::default();
    out.option("listen4", &Plain(listen[Family::V4]));
    out.option("listen6", &Plain(listen[Family::V6]));
    for (side, uplink) in uplinks.iter().filter_map(|(side, uplink)| Some((side, uplink.as_ref()?))) {
        out.option(uplink_option(side).trim_start_matches('-'), &uplink.written);
    }
    maps.iter().for_each(|map| out.option("map", map));
    names.iter().for_each(|Name { host, port }| out.option("name", &format_args!("{host}:{port}")));
    let (low, high) = rtp_ports.bounds();
    out.option_if(*rtp_ports != plain.rtp_ports, "rtp-ports", &format_args!("{low}-{high}"));
    let (Timeouts { rtp, ringing, hold }, usual) = (*timeouts, plain.timeouts);
    out.option_if(rtp != usual.rtp, "rtp-timeout", &rtp.as_secs());
    out.option_if(ringing != usual.ringing, "ringing-timeout", &ringing.as_secs());
    out.option_if(hold != usual.hold, "hold-timeout", &hold.as_secs());
    match latch {
        LatchMode::Signalled => {}
        LatchMode::First => out.option("latch", &"first"),
        LatchMode::Off => out.option("latch", &"off"),
    }
    max_calls.iter().for_each(|calls| out.option("max-calls", calls));
    out.option_if(*max_calls_per_source != plain.max_calls_per_source, "max-calls-per-source", max_calls_per_source);
    out.flag_if(*no_foreign_challenges, "no-foreign-challenges");
    out.flag_if(*wrapper, "wrapper");
    out.flag_if(*lenient, "lenient");
    out.0
}

/// Options, one a line.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn option(&mut self, name: &str, value: &dyn Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "--{name} {value}");
    }

    fn option_if(&mut self, is_said: bool, name: &str, value: &dyn Display) {
        if is_said {
            self.option(name, value);
        }
    }

    fn flag_if(&mut self, is_on: bool, name: &str) {
        if is_on {
            let _ = writeln!(self.0, "--{name}");
        }
    }
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
