use super::*;
use crate::config::{LatchMode, PortOrder, PortRange};
use crate::media::command::LegDescription;
use crate::streams::Transport;
use proptest::prelude::*;

const A: Option<&[u8]> = Some(b"a");
const B: Option<&[u8]> = Some(b"b");
const C: Option<&[u8]> = Some(b"c");

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config() -> Config {
    let mut config = Config::new(at("192.0.2.1:5060"), at("[2001:db8::1]:5060"));
    config.rtp_ports = PortRange::new(16384, 16403).unwrap();
    config.maps.push(crate::config::Map { phone: at("192.0.2.101:5060"), fake: at("[2001:db8::101]:5060") });
    config
}

fn audio(rtp: &str) -> Wanted {
    let rtp = at(rtp);
    Wanted {
        address: Some(rtp.ip()),
        port: rtp.port(),
        rtcp: None,
        rtcp_mux: false,
        transport: Transport::Rtp,
        held: false,
    }
}

const P4: &str = "192.0.2.101:4000";
const P6: &str = "[2001:db8:9::55]:6000";

/// A request of the caller, on the IPv4 side.
fn request<'a>(method: Method, cseq: u32, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        call_id: b"c1@192.0.2.101",
        method,
        cseq,
        status: None,
        arrival: Family::V4,
        from_tag: A,
        to_tag: None,
        source: at("192.0.2.101:5060"),
        destination: at("[2001:db8:9::55]:5060"),
        sender: Sender::Known,
        branch: u64::from(cseq),
        wanted: (!wanted.is_empty()).then_some(wanted),
    }
}

fn in_dialog<'a>(method: Method, cseq: u32, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal { to_tag: B, ..request(method, cseq, wanted) }
}

/// The callee's response to it.
fn response<'a>(to: Signal<'_>, status: u16, wanted: &'a [Wanted]) -> Signal<'a> {
    Signal {
        call_id: b"c1@192.0.2.101",
        method: to.method,
        cseq: to.cseq,
        branch: to.branch,
        status: Some(status),
        arrival: to.arrival.other(),
        from_tag: A,
        to_tag: B,
        source: at("[2001:db8:9::55]:5060"),
        destination: at("192.0.2.101:5060"),
        sender: Sender::Known,
        wanted: (!wanted.is_empty()).then_some(wanted),
    }
}

#[derive(Debug)]
struct Bench {
    table: Table,
    now: Duration,
}

impl Bench {
    fn new(config: &Config) -> Self {
        Self { table: Table::new(config), now: Duration::ZERO }
    }

    fn signal(&mut self, signal: &Signal<'_>) -> Vec<Grant> {
        self.try_signal(signal).unwrap()
    }

    fn try_signal(&mut self, signal: &Signal<'_>) -> Result<Vec<Grant>, Refusal> {
        let mut grants = Vec::new();
        self.table.signal(self.now, signal, &mut grants).map(|()| grants)
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.table.next_command()).collect()
    }

    /// The legs that the commands describe, in order.
    fn legs(&mut self) -> Vec<(Family, LegDescription)> {
        let legs = self.commands().into_iter().filter_map(|command| match command {
            Command::Describe { side, leg, .. } => Some((side, leg)),
            _ => None,
        });
        legs.collect()
    }

    /// Where the commands aim RTP, in order.
    fn aims(&mut self) -> Vec<(Family, Option<SocketAddr>)> {
        self.legs().into_iter().map(|(side, leg)| (side, leg.rtp)).collect()
    }

    fn end(&mut self) -> Option<Box<Obituary>> {
        self.commands().into_iter().find_map(|command| match command {
            Command::Close { obituary, .. } => Some(obituary),
            _ => None,
        })
    }

    /// An answered call with one audio stream.
    fn answered() -> Self {
        let mut bench = Self::new(&config());
        bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
        bench.signal(&response(request(Method::Invite, 1, &[]), 180, &[]));
        bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]));
        bench.commands();
        bench
    }

    /// Lets time pass; each question gets this answer. How the session ended.
    fn pass(&mut self, until: Duration, last: Option<Duration>) -> Option<End> {
        while let Some(due) = self.table.poll_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.table.handle_timeout(self.now);
            for command in self.commands() {
                match command {
                    Command::Query { session } => self.table.heard(self.now, session, last),
                    Command::Close { obituary, .. } => return Some(obituary.end),
                    _ => {}
                }
            }
            if let Some(obituary) = self.end() {
                return Some(obituary.end);
            }
        }
        self.now = until;
        None
    }
}

#[test]
fn an_offer_opens_a_stream_and_says_who_may_speak() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Invite, 1, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    let commands = bench.commands();
    let Command::Open { ports, latch: LatchMode::Signalled, .. } = commands[0] else { panic!("{commands:?}") };
    assert_eq!(ports, PerFamily::new(16384, 16384));
    let Command::Describe { side: Family::V4, leg, .. } = commands[1] else { panic!("{commands:?}") };
    assert_eq!((leg.rtp, leg.rtcp), (Some(at(P4)), Some(at("192.0.2.101:4001"))));
    assert_eq!(leg.acceptable, [Some(at(P4).ip()); 2]);
    let Command::Describe { side: Family::V6, leg, .. } = commands[2] else { panic!("{commands:?}") };
    assert_eq!((leg.rtp, leg.acceptable), (None, [Some(at(P6).ip()), None]));
    assert_eq!(commands.len(), 3);
}

#[test]
fn an_answer_sets_the_leg_of_the_callee() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let answer = response(request(Method::Invite, 1, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
}

#[test]
fn retransmissions_change_nothing_and_get_the_same() {
    let mut bench = Bench::new(&config());
    for answer in [false, true] {
        let wanted = [audio(if answer { P6 } else { P4 })];
        let invite = request(Method::Invite, 1, &wanted);
        let message = if answer { response(invite, 200, &wanted) } else { invite };
        let grants = bench.signal(&message);
        bench.commands();
        assert_eq!(bench.signal(&message), grants);
        assert_eq!(bench.commands(), []);
    }
}

#[test]
fn an_old_retransmission_does_not_undo_what_came_after() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4002")]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio("[2001:db8:9::55]:7000")]));
    assert_eq!(bench.aims().iter().filter(|(side, _)| *side == Family::V4).count(), 0);
}

#[test]
fn a_late_offer_is_the_callees() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Invite, 1, &[])), []);
    assert_eq!(bench.table.sessions(), 0);
    let offer = response(request(Method::Invite, 1, &[]), 200, &[]);
    assert_eq!(bench.signal(&Signal { wanted: Some(&[audio(P6)]), ..offer }), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.signal(&in_dialog(Method::Ack, 1, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.table.sessions(), 1);
    let aims = bench.aims();
    assert_eq!(aims.last(), Some(&(Family::V4, Some(at(P4)))));
}

#[test]
fn the_passes_of_a_hairpin_stay_apart() {
    let mut bench = Bench::new(&config());
    let fake = at("[2001:db8::101]:5060");
    let first =
        bench.signal(&Signal { destination: at("[2001:db8::102]:5060"), ..request(Method::Invite, 1, &[audio(P4)]) });
    assert_eq!(first, [Grant::Relayed { port: 16384 }]);
    bench.commands();
    // The second pass comes from ourselves and has our relay socket in it.
    let ours = [audio("[2001:db8::1]:16384")];
    let second = Signal {
        arrival: Family::V6,
        source: fake,
        destination: at("192.0.2.102:5060"),
        branch: 77,
        ..request(Method::Invite, 1, &ours)
    };
    assert_eq!(bench.signal(&second), [Grant::Relayed { port: 16386 }]);
    assert_eq!(bench.table.sessions(), 2);
    assert_eq!(bench.aims()[0], (Family::V6, Some(at("[2001:db8::1]:16384"))));
    // The answer: through the second session, then through the first.
    let answer = [audio("192.0.2.102:4000")];
    let back = Signal { source: at("192.0.2.102:5060"), destination: fake, ..response(second, 200, &answer) };
    assert_eq!(back.arrival, Family::V4);
    assert_eq!(bench.signal(&back), [Grant::Relayed { port: 16386 }]);
    let ours = [audio("[2001:db8::1]:16386")];
    let back = Signal { source: at("[2001:db8::102]:5060"), ..response(request(Method::Invite, 1, &[]), 200, &ours) };
    bench.commands();
    bench.table.destinations.set_local(vec![at("[2001:db8::102]:1").ip()]);
    assert_eq!(bench.signal(&back), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.table.sessions(), 2);
    // BYE ends one after the other.
    bench.commands();
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { arrival: Family::V6, ..in_dialog(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn our_own_sockets_are_nobodys_destination() {
    for no in [
        "192.0.2.1:16384",
        "192.0.2.1:5060",
        "127.0.0.1:4000",
        "224.0.0.1:4000",
        "255.255.255.255:4000",
        "0.0.0.0:4000",
    ] {
        let mut bench = Bench::new(&config());
        bench.signal(&request(Method::Invite, 1, &[audio(no)]));
        assert_eq!(bench.aims()[0], (Family::V4, None), "{no}");
    }
}

#[test]
fn an_address_of_the_outgoing_family_passes_untouched_and_so_does_its_answer() {
    let mut bench = Bench::new(&config());
    let offer = [audio("[2001:db8:5::5]:4000"), audio(P4)];
    assert_eq!(bench.signal(&request(Method::Invite, 1, &offer)), [Grant::Untouched, Grant::Relayed { port: 16384 }]);
    let answer = response(request(Method::Invite, 1, &[]), 200, &[]);
    let grants = bench.signal(&Signal { wanted: Some(&[audio(P6), audio(P6)]), ..answer });
    assert_eq!(grants, [Grant::Untouched, Grant::Relayed { port: 16384 }]);
    // The callee's own offer is relayed.
    let theirs = [audio(P6), audio(P6)];
    let offer = Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Invite, 1, &theirs) };
    assert_eq!(bench.signal(&offer), [Grant::Relayed { port: 16386 }, Grant::Relayed { port: 16384 }]);
}

#[test]
fn port_zero_stays_and_the_stream_keeps_its_ports() {
    let mut bench = Bench::answered();
    let off = [Wanted { port: 0, ..audio(P4) }];
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 2, &off)), [Grant::Refused]);
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)])), [Grant::Relayed { port: 16384 }]);
    assert_eq!(bench.table.ports_in_use(Family::V4), 1);
}

#[test]
fn a_refused_re_offer_is_taken_back() {
    for method in [Method::Invite, Method::Update] {
        let mut bench = Bench::answered();
        bench.signal(&in_dialog(method, 2, &[audio("192.0.2.101:4002")]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
        bench.signal(&response(in_dialog(method, 2, &[]), 488, &[audio("[2001:db8:9::55]:9")]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at(P4)))]);
        assert_eq!(bench.table.sessions(), 1);
        // An accepted one is not, whatever fails later.
        bench.signal(&in_dialog(method, 3, &[audio("192.0.2.101:4002")]));
        bench.signal(&response(in_dialog(method, 3, &[]), 200, &[]));
        bench.signal(&response(in_dialog(method, 3, &[]), 500, &[]));
        assert_eq!(bench.aims(), [(Family::V4, Some(at("192.0.2.101:4002")))]);
    }
}

#[test]
fn the_newest_fork_has_the_leg_until_the_first_answer() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.commands();
    let (one, two) = ([audio(P6)], [audio("[2001:db8:9::66]:6000")]);
    bench.signal(&response(invite, 183, &one));
    bench.signal(&Signal { to_tag: C, ..response(invite, 183, &two) });
    bench.signal(&response(invite, 183, &one));
    assert_eq!(
        bench.aims(),
        [(Family::V6, Some(at(P6))), (Family::V6, Some(two[0].address.map(|ip| SocketAddr::new(ip, 6000)).unwrap()))]
    );
    // The first one answers, without saying it again; then the other.
    bench.signal(&response(invite, 200, &[]));
    assert_eq!(bench.aims(), [(Family::V6, Some(at(P6)))]);
    bench.signal(&Signal { to_tag: C, ..response(invite, 200, &two) });
    assert_eq!(bench.aims(), []);
    // The caller drops the second: nothing ends. Then the first.
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn another_answered_fork_takes_over() {
    let mut bench = Bench::answered();
    let two = [audio("[2001:db8:9::66]:6000")];
    bench.signal(&Signal { to_tag: C, ..response(request(Method::Invite, 1, &[]), 200, &two) });
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert_eq!(bench.aims(), [(Family::V6, Some(at("[2001:db8:9::66]:6000")))]);
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 0);
}

#[test]
fn bye_ends_from_either_side_with_the_right_tags_only() {
    let mut bench = Bench::answered();
    bench.signal(&Signal { to_tag: C, ..request(Method::Bye, 2, &[]) });
    bench.signal(&Signal { to_tag: None, ..request(Method::Bye, 2, &[]) });
    assert_eq!(bench.table.sessions(), 1);
    bench.now = seconds(90);
    bench.signal(&Signal { arrival: Family::V6, from_tag: B, to_tag: A, ..request(Method::Bye, 1, &[]) });
    let obituary = bench.end().unwrap();
    assert_eq!(obituary.end, End::Bye(Family::V6));
    assert_eq!((obituary.answered, obituary.duration, obituary.caller), (true, seconds(90), Family::V4));
    assert_eq!(obituary.parties, PerFamily::new(Some(at("192.0.2.101:5060")), Some(at("[2001:db8:9::55]:5060"))));
    assert_eq!(obituary.call_id, b"c1@192.0.2.101");
    assert_eq!(bench.table.ports_in_use(Family::V4), 0);
    assert_eq!(bench.table.poll_timeout(), None);
}

#[test]
fn failure_ends_when_no_branch_is_left_and_cancel_does_not() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    bench.signal(&request(Method::Cancel, 1, &[]));
    bench.signal(&response(request(Method::Cancel, 1, &[]), 200, &[]));
    bench.signal(&response(invite, 486, &[]));
    bench.signal(&response(invite, 486, &[]));
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&Signal { branch: 2, ..response(invite, 487, &[]) });
    assert_eq!(bench.end().unwrap().end, End::Failed(487));
}

#[test]
fn a_branch_that_fails_after_another_answered_ends_nothing() {
    let mut bench = Bench::new(&config());
    let invite = request(Method::Invite, 1, &[]);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&Signal { branch: 2, ..request(Method::Invite, 1, &[audio(P4)]) });
    bench.signal(&response(invite, 200, &[audio(P6)]));
    bench.signal(&Signal { branch: 2, to_tag: C, ..response(invite, 487, &[]) });
    assert_eq!(bench.table.sessions(), 1);
}

#[test]
fn silence_ends_an_invite_without_any_answer_after_forty_seconds() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(bench.pass(seconds(39), None), None);
    assert_eq!(bench.pass(seconds(41), None), Some(End::Silence(seconds(40))));
}

#[test]
fn ringing_may_last_three_minutes_from_the_last_sign() {
    let mut bench = Bench::new(&config());
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.pass(seconds(30), None);
    bench.signal(&response(request(Method::Invite, 1, &[]), 180, &[]));
    assert_eq!(bench.pass(seconds(209), Some(seconds(100))), None);
    assert_eq!(bench.pass(seconds(230), Some(seconds(35))), Some(End::Silence(seconds(175 + 5))));
}

#[test]
fn an_answered_call_ends_after_a_minute_without_a_packet() {
    let mut bench = Bench::answered();
    assert_eq!(bench.pass(seconds(100), Some(seconds(50))), None);
    assert_eq!(bench.pass(seconds(111), Some(seconds(50))), Some(End::Silence(seconds(60))));
}

#[test]
fn a_call_on_hold_has_its_own_time_and_a_resumed_one_a_new_minute() {
    let mut bench = Bench::answered();
    let held = [Wanted { held: true, ..audio(P4) }];
    bench.signal(&in_dialog(Method::Invite, 2, &held));
    assert_eq!(bench.pass(seconds(3000), Some(seconds(1))), None);
    bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)]));
    assert_eq!(bench.pass(seconds(3050), Some(seconds(1))), None);
    assert_eq!(bench.pass(seconds(3061), Some(seconds(1))), Some(End::Silence(seconds(60))));
    bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &held));
    assert_eq!(bench.pass(seconds(3700), Some(seconds(1))), Some(End::Silence(seconds(3599 + 1))));
}

#[test]
fn a_shell_that_never_says_leaks_nothing_and_haste_kills_nothing() {
    let mut bench = Bench::answered();
    bench.now = seconds(61);
    bench.table.handle_timeout(bench.now);
    for _ in 0..10 {
        bench.signal(&response(request(Method::Invite, 1, &[]), 200, &[audio(P6)]));
        bench.table.handle_timeout(bench.now);
    }
    assert_eq!(bench.table.sessions(), 1);
    while let Some(due) = bench.table.poll_timeout() {
        bench.table.handle_timeout(due);
    }
    assert_eq!(bench.table.sessions(), 0);
}

fn call<'a>(call_id: &'a [u8], wanted: &'a [Wanted]) -> Signal<'a> {
    Signal { call_id, sender: Sender::Generic, ..request(Method::Invite, 1, wanted) }
}

#[test]
fn one_stranger_cannot_take_every_call() {
    let mut config = config();
    config.max_calls_per_source = 2;
    let mut bench = Bench::new(&config);
    let wanted = [audio(P6)];
    let from = |call_id, source| Signal { arrival: Family::V6, source: at(source), ..call(call_id, &wanted) };
    bench.signal(&from(b"1", "[2001:db8:9::55]:5060"));
    bench.signal(&from(b"2", "[2001:db8:9::66]:5061"));
    let third = from(b"3", "[2001:db8:9::77]:5060");
    assert_eq!(bench.try_signal(&third), Err(Refusal::MaxCallsPerSource));
    bench.signal(&from(b"1", "[2001:db8:9::55]:5060"));
    bench.signal(&from(b"4", "[2001:db8:9:1::55]:5060"));
    bench.signal(&Signal { sender: Sender::Known, ..third });
    bench.signal(&Signal { call_id: b"1", ..response(from(b"1", "[::]:1"), 486, &[]) });
    bench.signal(&Signal { call_id: b"5", ..third });
}

#[test]
fn over_a_limit_a_new_call_is_refused_and_an_old_one_goes_on_without() {
    let mut config = config();
    config.rtp_ports = PortRange::new(16384, 16387).unwrap();
    let mut bench = Bench::new(&config);
    let (one, two) = ([audio(P4)], [audio(P4), audio(P4)]);
    bench.signal(&request(Method::Invite, 1, &one));
    assert_eq!(bench.try_signal(&call(b"2", &two)), Err(Refusal::NoPorts));
    assert_eq!(bench.table.sessions(), 1, "nothing half done");
    let more = [audio(P4), audio(P4), audio(P4)];
    let grants = bench.signal(&request(Method::Invite, 2, &more));
    assert_eq!(grants, [Grant::Relayed { port: 16384 }, Grant::Relayed { port: 16386 }, Grant::Refused]);
    assert_eq!(bench.try_signal(&call(b"2", &one)), Err(Refusal::MaxCalls).or(Err(Refusal::NoPorts)));
    let late = Signal { call_id: b"3", ..response(request(Method::Invite, 1, &[]), 200, &one) };
    let late = Signal { wanted: Some(&[audio(P6)]), ..late };
    assert_eq!(bench.signal(&late), [Grant::Refused]);
    assert_eq!(bench.signal(&Signal { call_id: b"4", ..in_dialog(Method::Ack, 1, &one) }), [Grant::Refused]);
}

#[test]
fn max_calls_is_the_limit_of_all() {
    let mut config = config();
    config.max_calls = Some(1);
    let mut bench = Bench::new(&config);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    assert_eq!(bench.try_signal(&call(b"2", &[audio(P4)])), Err(Refusal::MaxCalls));
}

#[test]
fn a_port_that_somebody_else_has_is_replaced() {
    let mut bench = Bench::new(&config());
    let invite = [audio(P4)];
    bench.signal(&request(Method::Invite, 1, &invite));
    bench.commands();
    assert!(bench.table.port_taken(bench.now, Family::V6, 16384));
    let commands = bench.commands();
    let Command::Open { ports, .. } = commands[0] else { panic!("{commands:?}") };
    assert_eq!(ports, PerFamily::new(16384, 16386));
    assert_eq!(commands.len(), 3);
    assert_eq!(bench.signal(&request(Method::Invite, 1, &invite)), [Grant::Relayed { port: 16386 }]);
    // Until there is none left: the call is refused.
    for port in (16386..16402).step_by(2) {
        assert!(bench.table.port_taken(bench.now, Family::V6, port));
    }
    assert!(!bench.table.port_taken(bench.now, Family::V6, 16402));
    assert_eq!(bench.table.sessions(), 0);
    assert_eq!(bench.try_signal(&request(Method::Invite, 1, &invite)), Err(Refusal::NoPorts));
}

#[test]
fn a_strangers_word_for_an_address_has_a_budget() {
    let mut bench = Bench::new(&config());
    let there = [audio(P6)];
    let elsewhere = [audio("[2001:db8:bad::1]:6000"), audio("[2001:db8:bad::1]:6002")];
    let generic = |wanted| Signal { sender: Sender::Generic, ..response(request(Method::Invite, 1, &[]), 200, wanted) };
    bench.signal(&request(Method::Invite, 1, &[audio(P4), audio(P4)]));
    bench.commands();
    bench.signal(&generic(&there));
    bench.signal(&generic(&elsewhere));
    let budgets: Vec<_> = bench.legs().into_iter().map(|(_, leg)| leg.budget).collect();
    assert_eq!(budgets, [None, Some(100), Some(100)]);
}

#[test]
fn rtcp_goes_where_the_description_says() {
    let mut bench = Bench::new(&config());
    let wanted = [Wanted { rtcp: Some(at("192.0.2.101:9001")), ..audio(P4) }];
    bench.signal(&request(Method::Invite, 1, &wanted));
    assert_eq!(bench.legs()[0].1.rtcp, Some(at("192.0.2.101:9001")));
}

#[test]
fn descriptions_elsewhere_do_not_count() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.signal(&request(Method::Options, 1, &[audio(P4)])), []);
    assert_eq!(bench.table.sessions(), 0);
    assert_eq!(bench.commands(), []);
}

#[test]
fn what_strangers_send_stays_bounded() {
    let mut bench = Bench::answered();
    let many = vec![audio(P6); 500];
    for n in 0..500u32 {
        let tag = n.to_be_bytes();
        let fork = Signal {
            to_tag: Some(&tag),
            branch: u64::from(n),
            ..response(request(Method::Invite, 1, &[]), 183, &many)
        };
        bench.signal(&fork);
        bench.signal(&Signal { branch: u64::from(n), ..request(Method::Invite, 1, &[]) });
    }
    let session = bench.table.sessions.values().next().unwrap();
    assert!(session.ends.len() <= 32 && session.lines.len() <= 64);
    assert_eq!(bench.table.sessions(), 1);
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    assert!(bench.table.ends.is_empty());
}

#[test]
fn shutdown_closes_everything() {
    let mut bench = Bench::answered();
    bench.table.shut_down(seconds(5));
    assert_eq!(bench.end().unwrap().end, End::Shutdown);
    assert_eq!(bench.table.sessions(), 0);
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8, u8, u64)>> {
    prop::collection::vec((0..3u8, 0..10u8, 0..4u8, 0..4u8, 0..30u64), 1..200)
}

proptest! {
    /// Whatever comes in whatever order: the ports in use are those of live
    /// sessions, and when these have ended all are free.
    #[test]
    fn ports_are_those_of_live_sessions(steps in steps(), seed: u64) {
        let mut config = config();
        config.port_order = PortOrder::Random(seed);
        let mut bench = Bench::new(&config);
        for (call_id, what, lines, tag, wait) in steps {
            bench.now += seconds(wait);
            let call_id = [call_id];
            let tag = [tag];
            let (v4, v6) = (vec![audio(P4); lines.into()], vec![audio(P6); lines.into()]);
            let cseq = 1 + u32::from(what);
            let to_tag = (tag[0] > 0).then_some(&tag[..]);
            let sent = match what {
                0 | 1 => request(Method::Invite, 1, &v4),
                2 => in_dialog(Method::Invite, cseq, &v4),
                3 => response(request(Method::Invite, 1, &[]), 183, &v6),
                4 => response(request(Method::Invite, 1, &[]), 200, &v6),
                5 => response(request(Method::Invite, 1, &[]), 486, &[]),
                6 => in_dialog(Method::Bye, cseq, &[]),
                7 => in_dialog(Method::Update, cseq, &v4),
                8 => response(in_dialog(Method::Update, 8, &[]), 500, &[]),
                _ => Signal { arrival: Family::V6, ..request(Method::Invite, 1, &v6) },
            };
            let _ = bench.try_signal(&Signal { call_id: &call_id, to_tag, ..sent });
            if what == 9 {
                bench.table.handle_timeout(bench.now);
            }
            let live: usize = bench.table.sessions.values().flat_map(|session| &session.lines).filter(|line| line.relay.is_some()).count();
            for family in Family::BOTH {
                prop_assert_eq!(bench.table.ports_in_use(family), live);
            }
        }
        while let Some(due) = bench.table.poll_timeout() {
            bench.now = bench.now.max(due);
            bench.table.handle_timeout(bench.now);
        }
        prop_assert_eq!(bench.table.sessions(), 0);
        prop_assert!(bench.table.ends.is_empty());
        let rested = bench.now + super::super::ports::REST;
        prop_assert_eq!(bench.table.relays.available(rested), 10);
    }
}
