//! A snapshot in words, for a terminal of 80 columns.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use super::{Call, CallState, Kind, Leg, Limit, Party, SILENT, Snapshot};
use crate::decimal::{Bytes, Decimal, Percent};

/// Columns of a terminal.
const WIDTH: usize = 80;

/// The whole status.
pub fn status(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    // Writing into memory cannot fail.
    let _ = write_status(&mut text, snapshot);
    text
}

fn write_status(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    writeln!(out, "sipproxy64 {}, running for {}", snapshot.version, Length(snapshot.uptime))?;
    calls(out, &snapshot.calls)?;
    parties(out, &snapshot.parties)?;
    limits(out, &snapshot.limits)?;
    totals(out, snapshot)
}

fn calls(out: &mut String, calls: &[Call]) -> fmt::Result {
    match calls.len() {
        0 => writeln!(out, "\nNo calls now")?,
        1 => writeln!(out, "\n1 call now")?,
        count => writeln!(out, "\n{count} calls now")?,
    }
    for call in calls {
        let id = Cut(&call.call_id, WIDTH.saturating_sub(44));
        writeln!(out, "\n  {} for {}, Call-ID {id}", state(call.state), Length(call.age))?;
        for (name, leg) in [("caller", &call.caller), ("callee", &call.callee)] {
            let address = leg.address.as_deref().unwrap_or("not known");
            writeln!(out, "    {name} {address} ({}, {})", leg.family, kind(leg.kind))?;
            writeln!(out, "      {}", leg.hears)?;
        }
    }
    Ok(())
}

fn parties(out: &mut String, parties: &[Party]) -> fmt::Result {
    if parties.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:<62}last heard", "Phones and uplinks")?;
    for party in parties {
        let line = format!("  {:<6}  {}", kind(party.kind), party.address);
        let heard = Heard(party.last_heard).to_string();
        writeln!(out, "{:<61} {heard}", Cut(&line, 61).to_string())?;
        for other in &party.stands_for {
            let as_what = if party.kind == Kind::Phone { "as" } else { "at" };
            writeln!(out, "          {as_what} {other}")?;
        }
        if party.kind == Kind::Uplink && party.stands_for.is_empty() && is_name(&party.address) {
            writeln!(out, "          at no address that is known yet")?;
        }
    }
    Ok(())
}

/// Whether a host with or without a port is a name.
fn is_name(hostport: &str) -> bool {
    let host = hostport.split(':').next().unwrap_or_default();
    !hostport.starts_with('[') && host.parse::<Ipv4Addr>().is_err()
}

fn limits(out: &mut String, limits: &[Limit]) -> fmt::Result {
    writeln!(out, "\n{:<38}{:>10}{:>12}", "Limits", "now", "most")?;
    for limit in limits {
        let Limit { name, now, most } = limit;
        let percent = now.saturating_mul(100) / (*most).max(1);
        let near = match percent {
            0..80 => "",
            80..100 => "  nearly all",
            _ => "  all",
        };
        writeln!(out, "  {:<36}{now:>10}{most:>12}{percent:>5} %{near}", in_words(name))?;
    }
    Ok(())
}

fn totals(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let messages = snapshot.messages;
    let ended = snapshot.ended;
    writeln!(out, "\nSince the start")?;
    writeln!(
        out,
        "  SIP messages: {} came, {} sent on, {} answered by us, {} dropped",
        messages.received, messages.forwarded, messages.answered, messages.dropped
    )?;
    writeln!(out, "  calls ended: {} hung up, {} not accepted, {} silent", ended.hung_up, ended.failed, ended.silent)?;
    for media in &snapshot.media {
        write!(out, "  media from {}: {} packets, {}", media.family, media.packets, Bytes(media.bytes))?;
        writeln!(out, ", {}", Lost { lost: media.lost, of: media.packets.saturating_add(media.lost) })?;
    }
    if !snapshot.troubles.is_empty() {
        writeln!(out, "\nWhat went wrong since the start")?;
    }
    for trouble in &snapshot.troubles {
        let words = format!("{}: {}", trouble_in_words(&trouble.kind), trouble.reason);
        writeln!(out, "{:>10} {}", trouble.count, Cut(&words, WIDTH - 11))?;
    }
    Ok(())
}

/// What a party hears of the other one, whose media is `from`, in a call that is of
/// this age in seconds.
pub fn hears(from: &Leg, other: &str, state: CallState, age: f64) -> String {
    let Some(silent) = from.silent else {
        return match state {
            CallState::Held => "on hold".to_owned(),
            CallState::Trying | CallState::Ringing => format!("nothing from the {other} yet"),
            CallState::Answered => format!("hears nothing from the {other}, for {} now", Length(age)),
        };
    };
    if silent >= SILENT {
        return match state {
            CallState::Held => "on hold".to_owned(),
            _ => format!("hears nothing from the {other} for {}", Length(silent)),
        };
    }
    let of = from.packets.saturating_add(from.lost);
    let jitter = from.jitter_ms.map_or_else(String::new, |jitter| format!(", jitter {:.0} ms", Decimal(jitter)));
    let lost = Lost { lost: from.lost, of };
    format!("hears the {other}: {} packets, {lost}{jitter}", from.packets)
}

fn state(state: CallState) -> &'static str {
    match state {
        CallState::Trying => "calling",
        CallState::Ringing => "ringing",
        CallState::Answered => "talking",
        CallState::Held => "on hold",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Phone => "phone",
        Kind::Uplink => "uplink",
        Kind::Ourselves => "this proxy",
        Kind::Generic => "stranger",
    }
}

/// What a limit is of.
pub fn in_words(limit: &str) -> &str {
    match limit {
        "calls" => "calls",
        "calls_of_one_source" => "calls of one stranger, the busiest",
        "calls_of_strangers" => "calls of all strangers",
        "streams_of_strangers" => "media streams of all strangers",
        "port_pairs" => "media port pairs",
        other => other,
    }
}

fn trouble_in_words(kind: &str) -> &str {
    match kind {
        "unsent" => "could not be sent",
        "unreachable" => "not taken, says ICMP",
        "too_big" => "sent again",
        "ports" => "media port not to be had",
        "streams" => "left out of a call",
        "registration" => "registration refused",
        "circling" | "overload" => "dropped",
        other => other,
    }
}

/// `1 d 2 h`, `1 h 2 min`, `2 min 3 s`, `12 s`: the two units that matter.
pub struct Length(pub f64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0.0) as u64;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days} d {hours} h")
        } else if hours > 0 {
            write!(f, "{hours} h {minutes} min")
        } else if minutes > 0 {
            write!(f, "{minutes} min {} s", seconds % 60)
        } else {
            write!(f, "{seconds} s")
        }
    }
}

/// `never`, `now`, `12 s ago`.
struct Heard(Option<f64>);

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("never"),
            Some(ago) if ago < 1.0 => f.write_str("now"),
            Some(ago) => write!(f, "{} ago", Length(ago)),
        }
    }
}

/// `none lost`, `3 lost (0.2 %)`.
struct Lost {
    lost: u64,
    of: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lost == 0 {
            return f.write_str("none lost");
        }
        write!(f, "{} lost ({})", self.lost, Percent { part: self.lost, of: self.of })
    }
}

/// A text, cut with an ellipsis where it is longer. What comes here is ASCII.
struct Cut<'a>(&'a str, usize);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, width) = *self;
        if text.chars().count() <= width {
            return f.write_str(text);
        }
        text.chars().take(width.saturating_sub(3)).try_for_each(|letter| f.write_char(letter))?;
        f.write_str("...")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ended, Media, Messages, SCHEMA, Trouble};
    use super::*;

    fn leg(family: &'static str, address: &str) -> Leg {
        Leg::new(family, Some(address.to_owned()), Kind::Generic)
    }

    fn snapshot() -> Snapshot {
        let long = "[2001:db8:1234:5678:9abc:def0:1234:5678]:50600";
        let mut caller = Leg { packets: 500, lost: 2, jitter_ms: Some(1.4), silent: Some(0.02), ..leg("IPv6", long) };
        let mut callee = Leg { kind: Kind::Phone, silent: Some(12.3), packets: 9, ..leg("IPv4", "192.0.2.101:5060") };
        caller.hears = hears(&callee, "callee", CallState::Answered, 30.0);
        callee.hears = hears(&caller, "caller", CallState::Answered, 30.0);
        let call_id = "c1@".repeat(50);
        Snapshot {
            schema: SCHEMA,
            version: "1.0.0-alpha.1",
            time: 0.0,
            uptime: 90_061.0,
            listen: ["192.0.2.1:5060".to_owned(), "[2001:db8::1]:5060".to_owned()],
            calls: vec![Call { id: 1, call_id, state: CallState::Answered, age: 7260.0, caller, callee, streams: 1 }],
            parties: vec![
                Party {
                    kind: Kind::Uplink,
                    address: format!("{}.example.net:5060", "provider".repeat(12)),
                    family: "IPv6",
                    stands_for: vec![long.to_owned()],
                    last_heard: Some(4.2),
                },
                Party {
                    kind: Kind::Phone,
                    address: "192.0.2.101".to_owned(),
                    family: "IPv4",
                    stands_for: vec!["2001:db8::101".to_owned()],
                    last_heard: None,
                },
            ],
            limits: vec![
                Limit { name: "calls", now: 1, most: 8192 },
                Limit { name: "streams_of_strangers", now: u64::from(u32::MAX), most: u64::from(u32::MAX) },
            ],
            messages: Messages {
                received: 10_000_000_000,
                forwarded: 5,
                answered: 6,
                dropped: 7,
                ..Messages::default()
            },
            troubles: vec![Trouble {
                kind: "dropped".into(),
                reason: "not SIP: ".repeat(20),
                count: u64::from(u32::MAX),
            }],
            media: vec![Media { family: "IPv4", packets: 1000, bytes: 172_000, lost: 3, refused: 0 }],
            ended: Ended::default(),
        }
    }

    #[test]
    fn it_is_readable_in_80_columns() {
        let text = status(&snapshot());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
    }

    #[test]
    fn it_tells_in_plain_words_who_hears_whom() {
        let text = status(&snapshot());
        for words in [
            "running for 1 d 1 h",
            "1 call now",
            "talking for 2 h 1 min, Call-ID c1@",
            "caller [2001:db8:1234:5678:9abc:def0:1234:5678]:50600 (IPv6, stranger)",
            "hears nothing from the callee for 12 s",
            "hears the caller: 500 packets, 2 lost (0.3 %), jitter 1 ms",
            "4 s ago",
            "never",
            "100 %  all",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
    }

    #[test]
    fn an_uplink_that_was_not_found_is_told() {
        let mut snapshot = snapshot();
        for (address, told) in [
            ("sip.example.net", true),
            ("sip.example.net:5070", true),
            ("192.0.2.12:5070", false),
            ("[2001:db8::12]:5070", false),
        ] {
            let uplink = &mut snapshot.parties[0];
            (uplink.address, uplink.stands_for) = (address.to_owned(), Vec::new());
            assert_eq!(status(&snapshot).contains("at no address that is known yet"), told, "{address}");
        }
    }

    #[test]
    fn silence_is_no_fault_on_hold_or_before_the_answer() {
        let mute = leg("IPv4", "192.0.2.9:5060");
        assert_eq!(hears(&mute, "callee", CallState::Held, 9.0), "on hold");
        assert_eq!(hears(&mute, "callee", CallState::Ringing, 9.0), "nothing from the callee yet");
        assert_eq!(hears(&mute, "callee", CallState::Answered, 9.0), "hears nothing from the callee, for 9 s now");
        let quiet = Leg { silent: Some(40.0), packets: 5, ..mute };
        assert_eq!(hears(&quiet, "caller", CallState::Held, 90.0), "on hold");
    }

    #[test]
    fn lengths_have_the_two_units_that_matter() {
        let lengths = [0.4, 59.9, 61.0, 3725.0, 90_061.0].map(|seconds| Length(seconds).to_string());
        assert_eq!(lengths, ["0 s", "59 s", "1 min 1 s", "1 h 2 min", "1 d 1 h"]);
    }
}
