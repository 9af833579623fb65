//! A snapshot as text for Prometheus (exposition format 0.0.4).

use std::fmt::{self, Write};

use crate::decimal::Decimal;
use crate::status::{CallState, Ended, Kind, Leg, Media, Messages, SILENT, Snapshot};

/// All figures. `not_captured` copies of messages were lost to those who look.
pub(super) fn write(snapshot: &Snapshot, not_captured: u64) -> String {
    let mut text = Exposition(String::with_capacity(4096));
    // Writing into memory cannot fail.
    let _ = text.snapshot(snapshot).and_then(|()| text.captures(not_captured));
    text.0
}

#[derive(Clone, Copy)]
enum Type {
    Gauge,
    Counter,
}

struct Exposition(String);

impl Exposition {
    fn snapshot(&mut self, snapshot: &Snapshot) -> fmt::Result {
        self.daemon(snapshot)?;
        self.calls(snapshot)?;
        self.messages(snapshot.messages)?;
        self.family("troubles_total", Type::Counter, "What went wrong, by kind and reason.")?;
        for trouble in &snapshot.troubles {
            self.sample("troubles_total", &[("kind", &trouble.kind), ("reason", &trouble.reason)], trouble.count)?;
        }
        self.media(snapshot)?;
        self.limits(snapshot)?;
        self.parties(snapshot)
    }

    fn daemon(&mut self, snapshot: &Snapshot) -> fmt::Result {
        self.family("build_info", Type::Gauge, "The version of the daemon.")?;
        self.sample("build_info", &[("version", snapshot.version)], 1)?;
        self.family("start_time_seconds", Type::Gauge, "When the daemon started, since 1970.")?;
        self.sample("start_time_seconds", &[], format_args!("{:.3}", Decimal(snapshot.time - snapshot.uptime)))
    }

    fn calls(&mut self, snapshot: &Snapshot) -> fmt::Result {
        self.family("calls", Type::Gauge, "Calls with media, by state.")?;
        for (state, name) in [
            (CallState::Trying, "trying"),
            (CallState::Ringing, "ringing"),
            (CallState::Answered, "answered"),
            (CallState::Held, "held"),
        ] {
            let count = snapshot.calls.iter().filter(|call| call.state == state).count();
            self.sample("calls", &[("state", name)], count)?;
        }
        self.family(
            "silent_parties",
            Type::Gauge,
            "Parties of answered calls that have not been heard for 3 seconds.",
        )?;
        let answered = snapshot.calls.iter().filter(|call| call.state == CallState::Answered);
        let is_silent = |leg: &&Leg| leg.silent.is_none_or(|silent| silent >= SILENT);
        let silent = answered.flat_map(|call| [&call.caller, &call.callee]).filter(is_silent).count();
        self.sample("silent_parties", &[], silent)?;
        self.family("calls_ended_total", Type::Counter, "Calls with media that ended, by how.")?;
        let Ended { hung_up, failed, silent } = snapshot.ended;
        for (how, count) in [("hung_up", hung_up), ("failed", failed), ("silent", silent)] {
            self.sample("calls_ended_total", &[("how", how)], count)?;
        }
        Ok(())
    }

    fn messages(&mut self, messages: Messages) -> fmt::Result {
        let Messages { received: _, forwarded, answered, dropped, keep_alives, shed } = messages;
        self.family("sip_messages_total", Type::Counter, "SIP messages that came, by what became of them.")?;
        for (fate, count) in [
            ("forwarded", forwarded),
            ("answered", answered),
            ("dropped", dropped),
            ("keep_alive", keep_alives),
            ("shed", shed),
        ] {
            self.sample("sip_messages_total", &[("fate", fate)], count)?;
        }
        Ok(())
    }

    fn media(&mut self, snapshot: &Snapshot) -> fmt::Result {
        for (name, help, count) in [
            (
                "media_packets_total",
                "Media packets that came from a side.",
                (|media| media.packets) as fn(&Media) -> u64,
            ),
            ("media_bytes_total", "UDP payload of these packets.", |media| media.bytes),
            ("media_packets_lost_total", "RTP packets that never came, by the sequence numbers.", |media| media.lost),
            ("media_packets_refused_total", "Packets at media ports that the latch refused.", |media| media.refused),
        ] {
            self.family(name, Type::Counter, help)?;
            for media in &snapshot.media {
                self.sample(name, &[("family", media.family)], count(media))?;
            }
        }
        Ok(())
    }

    fn limits(&mut self, snapshot: &Snapshot) -> fmt::Result {
        self.family("limit", Type::Gauge, "How much there may be.")?;
        for limit in &snapshot.limits {
            self.sample("limit", &[("name", limit.name)], limit.most)?;
        }
        self.family("limit_used", Type::Gauge, "How much there is of what is limited.")?;
        for limit in &snapshot.limits {
            self.sample("limit_used", &[("name", limit.name)], limit.now)?;
        }
        Ok(())
    }

    fn parties(&mut self, snapshot: &Snapshot) -> fmt::Result {
        const NAME: &str = "party_last_heard_timestamp_seconds";
        self.family(NAME, Type::Gauge, "When the last SIP message of a phone or uplink came, since 1970; 0: none.")?;
        for party in &snapshot.parties {
            let kind = if party.kind == Kind::Uplink { "uplink" } else { "phone" };
            let labels = [("kind", kind), ("family", party.family), ("address", &party.address)];
            let heard = party.last_heard.map_or(0.0, |ago| snapshot.time - ago);
            self.sample(NAME, &labels, format_args!("{:.3}", Decimal(heard)))?;
        }
        Ok(())
    }

    fn captures(&mut self, lost: u64) -> fmt::Result {
        self.family("messages_not_captured_total", Type::Counter, "Copies that were lost to captures and ladders.")?;
        self.sample("messages_not_captured_total", &[], lost)
    }

    /// The head of a metric family.
    fn family(&mut self, name: &str, of: Type, help: &str) -> fmt::Result {
        let of = match of {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
        };
        writeln!(self.0, "# HELP sipproxy64_{name} {help}\n# TYPE sipproxy64_{name} {of}")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) -> fmt::Result {
        write!(self.0, "sipproxy64_{name}")?;
        for (number, (label, value)) in labels.iter().enumerate() {
            let separator = if number == 0 { '{' } else { ',' };
            write!(self.0, "{separator}{label}=\"{}\"", Quoted(value))?;
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}")
    }
}

/// A label value: backslash, quote and line feed escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}
