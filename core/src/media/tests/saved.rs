//! A table that goes on in another process.

use super::limits::{Step, steps};
use super::*;
use crate::config::{Key, PortOrder};
use crate::media::allocations::Allocation;
use crate::media::command::StreamId;
use crate::media::ports::REST;
use crate::media::session::MediaState;
use proptest::prelude::*;

/// What arrives in the other process: nothing but the bytes.
fn travelled(table: &Table) -> Saved {
    postcard::from_bytes(&postcard::to_allocvec(&table.save()).unwrap()).unwrap()
}

impl Bench {
    /// From now on in another process.
    pub(super) fn hand_over(&mut self, config: &Config) {
        self.open_all();
        self.table = Table::resume(config, travelled(&self.table)).unwrap();
    }

    /// All sockets are open.
    fn open_all(&mut self) {
        self.table.open_all();
        assert!(self.commands().iter().all(|command| matches!(command, Command::OpenRest { .. })));
    }

    /// All commands; each question is answered at once: nothing was heard.
    fn answered_commands(&mut self) -> Vec<Command> {
        let mut all = Vec::new();
        while let Some(command) = self.table.next_command() {
            if let Command::Query { session } = command {
                self.table.heard(self.now, session, None);
            }
            all.push(command);
        }
        all
    }
}

#[test]
fn a_call_goes_on_with_its_ports() {
    let mut bench = Bench::answered();
    let ports = bench.signal(&in_dialog(Method::Invite, 2, &[audio(P4)]));
    // Another key for signatures, other limits: the tags are found, the call stays.
    let mut config = config();
    config.key = Key([7; 16]);
    config.max_calls = Some(1);
    bench.hand_over(&config);
    assert_eq!(bench.signal(&in_dialog(Method::Invite, 3, &[audio(P4)])), ports);
    assert_eq!(
        bench.try_signal(&Signal { call_id: b"another", ..request(Method::Invite, 1, &[audio(P4)]) }),
        Err(Refusal::MaxCalls)
    );
    bench.signal(&in_dialog(Method::Bye, 4, &[]));
    assert!(matches!(bench.end().unwrap().end, End::Bye(Family::V4)));
    assert!(bench.table.tags.is_empty());
}

#[test]
fn strangers_have_no_more_in_the_next_process() {
    let mut bench = Bench::new(&config());
    let (asked_by, two) = (Charge::Stranger(at(P4).ip()), [audio(P4); 2]);
    bench.signal(&Signal { asked_by, sender: Sender::Generic, ..request(Method::Invite, 1, &two) });
    let limits = bench.table.limits();
    assert_eq!((limits.calls_of_one_source.now, limits.streams_of_strangers.now), (1, 2));
    bench.commands();
    bench.hand_over(&config());
    assert_eq!(bench.table.limits(), limits);
}

#[test]
fn what_comes_late_begins_no_call_in_the_next_process() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Bye, 2, &[]));
    bench.commands();
    bench.hand_over(&config());
    let again = [audio(P6)];
    assert_eq!(bench.signal(&response(request(Method::Invite, 1, &[]), 200, &again)), [Grant::Refused]);
}

#[test]
fn a_reoffer_that_fails_afterwards_is_taken_back() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4400")]));
    bench.commands();
    bench.hand_over(&config());
    bench.signal(&response(in_dialog(Method::Invite, 2, &[]), 488, &[]));
    assert_eq!(bench.aims(), [(Family::V4, Some(at(P4)))]);
}

#[test]
fn new_timeouts_hold_for_old_calls() {
    let mut bench = Bench::answered();
    let mut config = config();
    config.timeouts.rtp = seconds(7);
    bench.hand_over(&config);
    assert_eq!(bench.pass(seconds(6), None), None);
    assert_eq!(bench.pass(seconds(8), None), Some(End::Silence(seconds(7))));
}

#[test]
fn ports_rest_in_the_next_process_too() {
    let mut config = config();
    config.rtp_ports = PortRange::new(16384, 16385).unwrap();
    let mut bench = Bench::new(&config);
    bench.signal(&request(Method::Invite, 1, &[audio(P4)]));
    bench.signal(&response(request(Method::Invite, 1, &[]), 486, &[]));
    bench.commands();
    bench.hand_over(&config);
    let wanted = [audio(P4)];
    let next = Signal { call_id: b"next", ..request(Method::Invite, 1, &wanted) };
    assert_eq!(bench.try_signal(&next), Err(Refusal::NoPorts));
    bench.now += REST;
    bench.signal(&next);
}

#[test]
fn a_call_outside_the_new_range_keeps_its_ports_to_the_end() {
    let mut bench = Bench::answered();
    let mut config = config();
    config.rtp_ports = PortRange::new(20000, 20001).unwrap();
    bench.hand_over(&config);
    let again = bench.signal(&in_dialog(Method::Invite, 2, &[audio(P4), audio(P4)]));
    assert!(matches!(again[..], [Grant::Relayed { port: 16384.. }, Grant::Relayed { port: 20000 }]), "{again:?}");
    assert_ne!(again[0], again[1]);
    bench.signal(&in_dialog(Method::Bye, 3, &[]));
    bench.now += REST;
    let wanted = [audio(P4)];
    let next = Signal { call_id: b"next", ..request(Method::Invite, 1, &wanted) };
    assert_eq!(bench.signal(&next), [Grant::Relayed { port: 20000 }]);
}

#[test]
fn what_cannot_be_is_refused() {
    let refuses = |change: fn(&mut Saved)| {
        let mut saved = travelled(&Bench::answered().table);
        change(&mut saved);
        Table::resume(&config(), saved).unwrap_err()
    };
    assert_eq!(refuses(|saved| saved.last_session = 0), Unfit::Session(1));
    assert_eq!(refuses(|saved| saved.last_stream = 0), Unfit::Stream(1));
    assert_eq!(refuses(|saved| saved.sessions.push(saved.sessions[0].clone())), Unfit::Session(1));
    assert_eq!(refuses(|saved| saved.sessions[0].1.media.resize(65, MediaState::default())), Unfit::TooLarge(1));
    let second = |saved: &mut Saved, change: fn(&mut Allocation)| {
        let mut second = saved.sessions[0].clone();
        second.0 = SessionId(2);
        (saved.last_session, saved.last_stream) = (2, 2);
        change(second.1.media[0].allocation.as_mut().unwrap());
        saved.sessions.push(second);
    };
    let mut saved = travelled(&Bench::answered().table);
    second(&mut saved, |_| {});
    assert_eq!(Table::resume(&config(), saved).unwrap_err(), Unfit::Stream(1));
    let mut saved = travelled(&Bench::answered().table);
    second(&mut saved, |allocation| allocation.stream = StreamId(2));
    assert!(matches!(Table::resume(&config(), saved).unwrap_err(), Unfit::Port { .. }));
    let mut saved = travelled(&Bench::answered().table);
    saved.sessions[0].1.media[0].allocation.as_mut().unwrap().ports[Family::V6] += 1;
    assert!(matches!(Table::resume(&config(), saved).unwrap_err(), Unfit::Port { family: Family::V6, .. }));
}

/// Where this fails, another version could not read what this one tells: raise
/// `FORMAT` in src/takeover.rs, and put the new number here.
#[test]
fn the_form_in_which_a_table_is_told() {
    let mut bench = Bench::answered();
    bench.signal(&in_dialog(Method::Invite, 2, &[audio("192.0.2.101:4400"), audio(P4)]));
    let bytes = postcard::to_allocvec(&bench.table.save()).unwrap();
    let print = bytes.iter().fold(0u32, |all, &byte| all.wrapping_mul(16_777_619) ^ u32::from(byte));
    assert_eq!((bytes.len(), print), (596, 2_199_590_337));
}

/// What a peer can tell of ports: whose they are.
fn owner(table: &Table, side: Family, grant: &Grant) -> Option<(SessionId, usize)> {
    let Grant::Relayed { port } = *grant else { return None };
    table.allocations.owner(side, port).map(|owner| (owner.session, owner.media_index))
}

/// Which ports they are is chance.
fn without_ports(commands: Vec<Command>) -> Vec<Command> {
    let same = |command| match command {
        Command::Open { session, stream, side, latch, .. } => {
            Command::Open { session, stream, ports: PerFamily::default(), side, latch }
        }
        Command::OpenRest { stream, side, .. } => Command::OpenRest { stream, side, port: 0 },
        other => other,
    };
    commands.into_iter().map(same).collect()
}

proptest! {
    /// Whatever was said before and is said after: nobody can tell that the calls
    /// are another process's now.
    #[test]
    fn nobody_can_tell(steps in steps(), often in 1..20usize, seeds: (u64, u64)) {
        let with = |seed| Config { port_order: PortOrder::Random(seed), ..config() };
        let (one, other) = (with(seeds.0), with(seeds.1));
        let (mut stays, mut moves) = (Bench::new(&one), Bench::new(&one));
        for (number, step) in steps.iter().enumerate() {
            if number % often == 0 {
                stays.open_all();
                moves.hand_over(&other);
            }
            same_step(step, &mut stays, &mut moves)?;
        }
        for bench in [&mut stays, &mut moves] {
            bench.table.shut_down(bench.now);
        }
        prop_assert_eq!(stays.commands(), moves.commands());
    }

    /// Bytes that nobody wrote are refused, or make a table that ends.
    #[test]
    fn no_bytes_break_it(steps in steps(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bench = Bench::new(&config());
        for step in &steps {
            let _ = step.take(&mut bench);
        }
        let mut bytes = postcard::to_allocvec(&bench.table.save()).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let Ok(saved) = postcard::from_bytes::<Saved>(&bytes) else { return Ok(()) };
        let Ok(table) = Table::resume(&config(), saved) else { return Ok(()) };
        bench.table = table;
        for step in &steps {
            let _ = step.take(&mut bench);
            bench.answered_commands();
        }
        bench.table.shut_down(bench.now);
        prop_assert_eq!(bench.table.sessions(), 0);
        prop_assert!(bench.table.tags.is_empty());
        for family in Family::BOTH {
            prop_assert_eq!(bench.table.ports_in_use(family), 0);
        }
    }
}

fn same_step(step: &Step, stays: &mut Bench, moves: &mut Bench) -> Result<(), TestCaseError> {
    let ((side, said), (_, moved)) = (step.take(stays), step.take(moves));
    prop_assert_eq!(said.as_ref().map(Vec::len), moved.as_ref().map(Vec::len));
    for (one, other) in said.iter().flatten().zip(moved.iter().flatten()) {
        prop_assert_eq!(owner(&stays.table, side, one), owner(&moves.table, side, other));
        prop_assert_eq!(matches!(one, Grant::Refused), matches!(other, Grant::Refused));
    }
    prop_assert_eq!(without_ports(stays.answered_commands()), without_ports(moves.answered_commands()));
    prop_assert_eq!(stays.table.poll_timeout(), moves.table.poll_timeout());
    prop_assert_eq!(stays.table.usage(stays.now), moves.table.usage(moves.now));
    Ok(())
}
