//! Who was heard in a call, who was not, and what that most likely comes from.
//!
//! A verdict is one sentence about both parties, then a clause for each thing
//! that somebody who looks for a fault should know. It says nothing of a call
//! in which all is well, and of silence only where sound was to be expected.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Ending;
use super::ending::Length;
use super::figures::LegFigures;
use crate::decimal::{Decimal, Percent};
use crate::media::command::{End, Wish};

/// A party that was not heard for this long, while the other was, has stopped.
const STOPPED: Duration = Duration::from_secs(5);
/// Loss from here on is heard by people, in parts of a thousand.
const LOSSY: u64 = 30;
/// Jitter from here on is more than most telephones make up for, in milliseconds.
const UNEVEN: f64 = 60.0;
/// So many packets that went wrong are no trouble where somebody was heard: before that the
/// description behind a NAT leads nowhere, and the other pass of a call may be faster than
/// its 200; and who hangs up closes the socket before the BYE is here.
const FEW: u64 = 6;
/// As many packets say something of loss.
const ENOUGH: u64 = 50;

/// What is said of a session's media.
pub(super) struct Verdict<'a>(pub(super) &'a Ending);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = self.0;
        if ending.streams.is_empty() {
            return f.write_str("no media was relayed");
        }
        let caller = ending.obituary.caller;
        let parties = [(caller, "caller"), (caller.other(), "callee")].map(|(side, name)| Party {
            name,
            ending,
            leg: LegFigures::of(&ending.streams, side),
            wish: ending.obituary.wishes[side],
        });
        self.call(f)?;
        f.write_str(match parties.each_ref().map(|party| party.leg.packets > 0) {
            [true, true] => "both parties sent media",
            [true, false] => "only the caller sent media",
            [false, true] => "only the callee sent media",
            [false, false] => "neither party sent media",
        })?;
        let [caller, callee] = &parties;
        caller.remarks(callee, f)?;
        callee.remarks(caller, f)
    }
}

impl Verdict<'_> {
    /// What became of the call itself.
    fn call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let obituary = &self.0.obituary;
        match obituary.end {
            _ if obituary.answered => Ok(()),
            End::Silence(_) if obituary.rang => f.write_str("never answered: it rang until nothing came any more; "),
            End::Silence(_) => {
                f.write_str("never answered: no response at all came for the INVITE, nobody is there or it was lost; ")
            }
            End::Failed(401 | 407) => f.write_str("the caller calls again if it has one; "),
            End::Failed(_) | End::NoPorts | End::Bye(_) | End::Shutdown => f.write_str("the call was not answered; "),
        }
    }
}

/// One party, and what was counted of it.
struct Party<'a> {
    name: &'static str,
    ending: &'a Ending,
    leg: LegFigures,
    wish: Wish,
}

impl Party<'_> {
    fn remarks(&self, other: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wished(f)?;
        if self.leg.packets > 0 {
            self.spoke(other, f)?;
        } else {
            self.did_not_speak(other, f)?;
        }
        self.was_not_reached(f)
    }

    fn wished(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wish {
            Wish::Held => write!(f, "; the {} had put the call on hold (sendonly or inactive)", self.name),
            Wish::Closed => write!(f, "; the {} refused or removed all media (port 0)", self.name),
            Wish::Unsaid if self.ending.obituary.answered => {
                write!(f, "; no SDP from the {} came by, unless before this proxy was started", self.name)
            }
            Wish::Unsaid | Wish::Open => Ok(()),
        }
    }

    /// Nothing of its media came: where it is stuck.
    fn did_not_speak(&self, other: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, leg, .. } = self;
        if let Some(from) = leg.last_refused {
            return write!(
                f,
                "; {} packets for the {name}'s port were refused by the latch, the last from {from}, which its \
                 signalling did not show: it sends from another address (NAT), or that is a stranger",
                leg.refused
            );
        }
        let expected = self.ending.obituary.answered && self.wish == Wish::Open && other.wish == Wish::Open;
        match leg.port.filter(|_| expected) {
            Some(port) => {
                write!(f, "; no packets from the {name}: it does not send, or a firewall keeps it from UDP {port}")
            }
            None => Ok(()),
        }
    }

    /// It was heard, but not all was well.
    fn spoke(&self, other: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, leg, .. } = self;
        if leg.rtcp == leg.packets && self.ending.obituary.answered {
            write!(f, "; only RTCP came from the {name}, no RTP: it is mute, or its RTP is filtered")?;
        }
        if let Some(from) = leg.last_refused.filter(|_| leg.refused > FEW) {
            let count = leg.refused;
            write!(f, "; {count} packets to the {name}'s port were refused by the latch, the last from {from}")?;
        }
        let rtp = leg.packets.saturating_sub(leg.rtcp).saturating_add(leg.lost);
        let lost = Percent { part: leg.lost, of: rtp };
        if rtp >= ENOUGH && lost.per_mille() >= LOSSY {
            write!(f, "; {lost} of what the {name} sent was lost on its way here")?;
        }
        if let Some(jitter) = leg.jitter.filter(|&jitter| rtp >= ENOUGH && jitter >= UNEVEN) {
            write!(f, "; what the {name} sent came unevenly (jitter {:.0} ms)", Decimal(jitter))?;
        }
        self.stopped(other, f)
    }

    /// It was heard, and then no more, without a word.
    fn stopped(&self, other: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, leg, ending, .. } = self;
        let Some(heard) = leg.last_heard.filter(|_| ending.obituary.answered) else { return Ok(()) };
        let quiet = ending.at.saturating_sub(heard);
        let wanted = ![self.wish, other.wish].iter().any(|wish| matches!(wish, Wish::Held | Wish::Closed));
        match ending.obituary.end {
            End::Silence(_) if wanted => {
                write!(f, "; the {name} fell silent {} before the end, without BYE: crashed, or cut off", Length(quiet))
            }
            _ if wanted && quiet >= STOPPED => {
                write!(f, "; the {name} stopped sending {} before the end", Length(quiet))
            }
            _ => Ok(()),
        }
    }

    /// What did not get to it.
    fn was_not_reached(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, leg, .. } = self;
        let count = leg.failures.unreachable;
        let no_trouble = |count| self.ending.obituary.answered && leg.packets > 0 && count <= FEW;
        if let Some(place) = leg.failures.last_unreachable.filter(|_| !no_trouble(count)) {
            write!(
                f,
                "; destination unreachable: {count} ICMP errors came back for {place}, where the {name} wants its \
                 media: wrong address, firewall, or gone"
            )?;
        }
        if let Some((place, errno)) = leg.failures.last_unsent.filter(|_| !no_trouble(leg.failures.unsent)) {
            let (count, why) = (leg.failures.unsent, io::Error::from_raw_os_error(errno));
            write!(f, "; {count} packets for the {name} could not be sent from here, the last to {place}: {why}")?;
        }
        if let Some(place) = leg.last_withheld {
            let count = leg.withheld;
            write!(
                f,
                "; {count} packets for the {name} were held back: its SIP does not come from {place}, and nothing \
                 came from there"
            )?;
        }
        if leg.unaddressed > 0 && leg.destination.is_none() {
            let count = leg.unaddressed;
            write!(f, "; {count} packets for the {name} had nowhere to go: it named no address that media may go to")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Family, PerFamily};
    use crate::media::command::{Obituary, StreamId};
    use crate::media::stream::Report;
    use crate::relay::StreamFigures;

    /// A call of the IPv6 side, ten seconds long.
    fn ending(legs: PerFamily<Report>) -> Ending {
        let obituary = Obituary {
            call_id: b"c1".to_vec(),
            end: End::Bye(Family::V4),
            parties: PerFamily::new(None, None),
            caller: Family::V6,
            duration: Duration::from_secs(10),
            answered: true,
            rang: true,
            by_stranger: false,
            wishes: PerFamily::new(Wish::Open, Wish::Open),
        };
        let stream = StreamFigures {
            stream: StreamId(1),
            ports: PerFamily::new(Some("192.0.2.1:16384".parse().unwrap()), None),
            legs,
            failures: PerFamily::default(),
        };
        Ending { obituary, at: Duration::from_secs(100), streams: vec![stream] }
    }

    fn heard() -> Report {
        Report { packets: 500, last_heard: Some(Duration::from_secs(100)), ..Report::default() }
    }

    fn verdict(ending: &Ending) -> String {
        Verdict(ending).to_string()
    }

    #[test]
    fn a_good_call_has_no_remarks() {
        let few_lost = Report { lost: 2, jitter: Some(4.0), ..heard() };
        assert_eq!(verdict(&ending(PerFamily::new(few_lost, heard()))), "both parties sent media");
    }

    /// To a private address, before the latch knows better; from the other pass of a call.
    #[test]
    fn a_few_packets_before_all_is_set_up_are_no_trouble() {
        let early = |count| {
            let refused = Report { refused: count, last_refused: Some("192.0.2.1:20246".parse().unwrap()), ..heard() };
            let mut ending = ending(PerFamily::new(refused, heard()));
            let failures = &mut ending.streams[0].failures[Family::V6];
            (failures.unsent, failures.last_unsent) = (count, Some(("10.0.0.5:4000".parse().unwrap(), 101)));
            verdict(&ending)
        };
        assert_eq!(early(3), "both parties sent media");
        let many = early(30);
        assert!(many.contains("30 packets to") && many.contains("could not be sent"), "{many}");
    }

    #[test]
    fn packets_that_come_when_somebody_has_hung_up_are_no_trouble() {
        let gone = |heard_of, unreachable| {
            let mut ending = ending(PerFamily::new(heard_of, heard()));
            let failures = &mut ending.streams[0].failures[Family::V4];
            failures.unreachable = unreachable;
            failures.last_unreachable = Some("192.0.2.101:30000".parse().unwrap());
            verdict(&ending)
        };
        assert_eq!(gone(heard(), 3), "both parties sent media");
        assert!(gone(heard(), 60).contains("60 ICMP errors"), "{}", gone(heard(), 60));
        assert!(gone(Report::default(), 3).contains("3 ICMP errors"), "{}", gone(Report::default(), 3));
    }

    /// RTCP while it rings tells nothing.
    #[test]
    fn nobody_is_called_mute_before_the_answer() {
        let rtcp = Report { packets: 2, rtcp: 2, ..heard() };
        let mut ending = ending(PerFamily::new(rtcp, Report::default()));
        assert!(verdict(&ending).contains("it is mute"), "{}", verdict(&ending));
        ending.obituary.answered = false;
        assert_eq!(verdict(&ending), "the call was not answered; only the callee sent media");
    }

    #[test]
    fn a_silent_party_and_our_port_are_named() {
        let ending = ending(PerFamily::new(Report::default(), heard()));
        let text = verdict(&ending);
        assert!(text.starts_with("only the caller sent media; no packets from the callee"), "{text}");
        assert!(text.ends_with("UDP 192.0.2.1:16384"), "{text}");
    }

    #[test]
    fn silence_is_no_fault_where_it_is_wished() {
        for wish in [Wish::Held, Wish::Closed, Wish::Unsaid] {
            let mut ending = ending(PerFamily::new(Report::default(), heard()));
            ending.obituary.wishes[Family::V4] = wish;
            assert!(!verdict(&ending).contains("no packets"), "{}", verdict(&ending));
        }
    }

    #[test]
    fn a_description_from_before_the_start_may_be_missing() {
        let mut ending = ending(PerFamily::new(Report::default(), heard()));
        ending.obituary.wishes[Family::V4] = Wish::Unsaid;
        assert!(verdict(&ending).contains("unless before this proxy was started"), "{}", verdict(&ending));
    }

    #[test]
    fn who_stops_in_the_middle_is_told() {
        let stopped = Report { last_heard: Some(Duration::from_secs(93)), ..heard() };
        let text = verdict(&ending(PerFamily::new(stopped, heard())));
        assert_eq!(text, "both parties sent media; the callee stopped sending 7 s before the end");
    }

    #[test]
    fn poor_media_is_called_so() {
        let poor = Report { lost: 125, jitter: Some(80.2), ..heard() };
        let text = verdict(&ending(PerFamily::new(heard(), poor)));
        assert!(text.contains("20.0 % of what the caller sent was lost"), "{text}");
        assert!(text.contains("what the caller sent came unevenly (jitter 80 ms)"), "{text}");
    }

    #[test]
    fn an_invite_without_any_response_is_told_from_one_that_rang() {
        let mut ending = ending(PerFamily::default());
        (ending.obituary.answered, ending.obituary.end) = (false, End::Silence(Duration::from_secs(40)));
        assert!(verdict(&ending).starts_with("never answered: it rang"), "{}", verdict(&ending));
        ending.obituary.rang = false;
        assert!(verdict(&ending).starts_with("never answered: no response"), "{}", verdict(&ending));
    }
}
