//! Both parts, each on a thread, over one connection.

use std::borrow::Cow;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{Belonging, Counts, FromNew, FromOld, Offer, State};
use super::new::Predecessor;
use super::old::Successor;
use super::*;
use crate::config::{Config, Key, LatchMode};
use crate::family::{Family, PerFamily};
use crate::file_id::FileId;
use crate::limit::{AnswerLimit, SavedLimit};
use crate::media::command::{SessionId, StreamId};
use crate::media::stream::Stream;
use crate::media::table::Table;
use crate::relay::{Failures, SessionState, StreamFigures};
use crate::signalling::Figures;
use crate::status::{Ended, Trouble};

fn config() -> Config {
    Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap())
}

fn offer() -> Offer {
    let Config { listen, .. } = config();
    Offer {
        clock: Duration::from_secs(7),
        key: Key([7; 16]),
        listen,
        sip: listen.iter().map(|(_, &address)| address).collect(),
        belongings: vec![control()],
    }
}

fn control() -> Belonging {
    Belonging::Control { path: "/run/sipproxy64/control".into(), id: FileId::NONE }
}

fn state(sockets: &[UdpSocket]) -> State<'static> {
    State {
        sip: sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
        belongings: Vec::new(),
        table: Table::new(&config()).save(),
        relay: Vec::new(),
        answers: AnswerLimit::new(&Key([7; 16])).save(Duration::ZERO),
        counts: Counts::default(),
        uplinks: PerFamily::new(None, Some(("sip.example".to_owned(), vec!["2001:db8::9".parse().unwrap()]))),
    }
}

fn sockets(count: usize) -> Vec<UdpSocket> {
    (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect()
}

/// The old process's part, with these sockets.
fn old(stream: UnixStream, sockets: &[UdpSocket]) -> Result<Vec<Belonging>, TakeoverError> {
    let mut stream = stream;
    let mut line = [0; "takeover\n".len()];
    std::io::Read::read_exact(&mut stream, &mut line).unwrap();
    assert_eq!(&line, b"takeover\n");
    let successor = Successor::prepare(stream, &offer())?;
    let descriptors: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
    let (kept, leaving) = successor.hand_over(&state(sockets), &descriptors)?;
    leaving.wait();
    Ok(kept)
}

/// Both parts; what the old one says in the end.
fn between(sockets: &[UdpSocket], new: impl FnOnce(UnixStream) + Send) -> Result<Vec<Belonging>, TakeoverError> {
    let (one, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| new(other));
        old(one, sockets)
    })
}

#[test]
fn everything_arrives() {
    // More than one batch, and one that is not full.
    let sockets = sockets(600);
    let new = |stream| {
        let old = Predecessor::ask_over(stream)?;
        assert_eq!(old.offer(), &offer());
        old.check(&config())?;
        let mut estate = old.take()?;
        let descriptors = std::mem::take(&mut estate.descriptors);
        let (inherited, state) = estate.accept()?;
        let arrived: Vec<SocketAddr> =
            descriptors.into_iter().map(|socket| UdpSocket::from(socket).local_addr().unwrap()).collect();
        assert_eq!(arrived, state.sip);
        assert_eq!(state.uplinks[Family::V6].as_ref().unwrap().0, "sip.example");
        inherited.running(vec![control()]).map(drop)
    };
    // A machine with more to do than it can may hold up either part for too long.
    for _ in 0..20 {
        let mut done = Ok(());
        let kept = between(&sockets, |stream| done = new(stream));
        match done.and(kept) {
            Err(TakeoverError::Late | TakeoverError::Gone | TakeoverError::TakenBack) => {}
            kept => return assert_eq!(kept.unwrap(), [control()]),
        }
    }
    panic!("never in time");
}

#[test]
fn other_listen_addresses_are_refused_with_words() {
    let said = between(&[], |stream| {
        let old = Predecessor::ask_over(stream).unwrap();
        let other = Config::new("192.0.2.9:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        let why = old.check(&other).unwrap_err();
        old.refuse(&why);
    });
    let said = said.unwrap_err().to_string();
    assert!(said.contains("refuses") && said.contains("--listen4 address 192.0.2.1:5060"), "{said}");
    assert!(said.contains("192.0.2.9:5060 takes a restart"), "{said}");
}

#[test]
fn another_format_is_left_alone() {
    let (one, other) = UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut &one, b"takeover 999 9.9.9\n").unwrap();
    let said = Predecessor::ask_over(other).unwrap_err().to_string();
    assert!(said.contains("version 9.9.9") && said.contains("SIGHUP"), "{said}");
    let (one, other) = UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut &one, b"error: not now\n").unwrap();
    assert!(Predecessor::ask_over(other).unwrap_err().to_string().ends_with("refuses: not now"));
}

/// Wherever the new process ends, the old one hears of it at once.
#[test]
fn a_new_process_that_ends_is_noticed() {
    let sockets = sockets(3);
    let steps: [fn(UnixStream); 3] = [
        |stream| drop(Predecessor::ask_over(stream).unwrap()),
        |stream| drop(Predecessor::ask_over(stream).unwrap().take().unwrap()),
        |stream| drop(Predecessor::ask_over(stream).unwrap().take().unwrap().accept().unwrap()),
    ];
    for step in steps {
        let ended = between(&sockets, step);
        assert!(matches!(ended, Err(TakeoverError::Gone)), "{ended:?}");
    }
}

/// One that keeps silent does not hold up calls, and reads nothing when it wakes.
#[test]
fn a_new_process_that_sleeps_is_left() {
    let sockets = sockets(3);
    let (given_up, wake) = std::sync::mpsc::channel::<()>();
    let (one, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let estate = Predecessor::ask_over(other).unwrap().take().unwrap();
            let _ = wake.recv();
            assert!(estate.accept().is_err(), "the old one goes on");
        });
        assert!(matches!(old(one, &sockets), Err(TakeoverError::Late)));
        drop(given_up);
    });
}

/// One that falls asleep when it may begin, and wakes after the old one has taken all
/// back, hears so and ends; else both would read.
#[test]
fn a_new_process_that_begins_too_late_hears_so() {
    let sockets = sockets(3);
    let (given_up, wake) = std::sync::mpsc::channel::<()>();
    let (one, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (inherited, _) = Predecessor::ask_over(other).unwrap().take().unwrap().accept().unwrap();
            let _ = wake.recv();
            assert!(matches!(inherited.running(Vec::new()), Err(TakeoverError::TakenBack)));
        });
        assert!(matches!(old(one, &sockets), Err(TakeoverError::Late)));
        drop(given_up);
    });
}

/// The old one may die at the very end: then nothing is taken back.
#[test]
fn an_old_process_that_dies_takes_nothing_back() {
    let (one, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (inherited, _) = Predecessor::ask_over(other).unwrap().take().unwrap().accept().unwrap();
            assert!(inherited.running(Vec::new()).is_ok());
        });
        let mut stream = one;
        std::io::Read::read_exact(&mut stream, &mut [0; "takeover\n".len()]).unwrap();
        let mut channel = Successor::prepare(stream, &offer()).unwrap().into_channel();
        channel.send(&state(&[])).unwrap();
        assert_eq!(channel.receive::<FromNew>().unwrap(), FromNew::Attached);
        channel.send(&FromOld::Go).unwrap();
    });
}

#[test]
fn what_cannot_be_is_no_state() {
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x04\xff\xff\xff\xff", b"\0\0\0\0"] {
        let (one, other) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &one, format!("takeover {FORMAT} 1\n").as_bytes()).unwrap();
        std::io::Write::write_all(&mut &one, garbage).unwrap();
        assert!(matches!(Predecessor::ask_over(other), Err(TakeoverError::Garbled(_))));
    }
}

/// What is told of these fields by a type that keeps them to itself.
fn made_of<T: DeserializeOwned>(fields: &impl Serialize) -> T {
    let bytes = postcard::to_allocvec(fields).unwrap();
    let (value, rest) = postcard::take_from_bytes(&bytes).unwrap();
    assert!(rest.is_empty(), "the type has other fields than these");
    value
}

fn session() -> SessionState {
    let failures =
        Failures { unreachable: 3, last_unsent: Some((config().listen[Family::V4], 105)), ..Failures::default() };
    let closed = StreamFigures {
        stream: StreamId(300),
        ports: PerFamily::new(Some(config().listen[Family::V4]), None),
        legs: PerFamily::default(),
        failures: PerFamily::new(failures, Failures::default()),
    };
    let stream = (StreamId(301), Stream::new(LatchMode::First), PerFamily::new(failures, failures));
    made_of(&(SessionId(200), vec![stream], vec![closed], Some(Duration::from_millis(1500))))
}

fn counts() -> Counts {
    let ended = Ended { hung_up: 1, failed: 2, silent: 3 };
    let trouble = Trouble { kind: "dropped".into(), reason: "loop".to_owned(), count: 4 };
    let sums = |first: u64| (first, first + 1, first + 2, first + 3);
    let (media, told) = (PerFamily::new(sums(10), sums(20)), PerFamily::new(sums(30), sums(40)));
    let phones = vec![(config().listen[Family::V6], Duration::from_secs(5))];
    Counts {
        figures: Figures { received: 21, forwarded: 6, answered: 5, dropped: 4, keep_alives: 3, shed: 2 },
        heard: made_of(&(phones, PerFamily::new(None, Some(Duration::from_secs(6))))),
        past: made_of(&(ended, media, told, vec![trouble])),
    }
}

/// Where this fails, another version could not read what this one tells: raise
/// `FORMAT` in src/takeover.rs, and put the new numbers here. That of a table with calls
/// is looked at in the core, and so is that of a stream with packets.
#[test]
fn the_form_in_which_all_is_told() {
    let print = |bytes: Vec<u8>| {
        let print = bytes.iter().fold(0u32, |all, &byte| all.wrapping_mul(16_777_619) ^ u32::from(byte));
        (bytes.len(), print)
    };
    let pid_file = Belonging::PidFile { path: "/run/sipproxy64/pid".into() };
    let offer = Offer { belongings: vec![control(), pid_file], ..offer() };
    let state = State { relay: vec![Cow::Owned(session())], counts: counts(), ..state(&[]) };
    let prints = [print(postcard::to_allocvec(&offer).unwrap()), print(postcard::to_allocvec(&state).unwrap())];
    assert_eq!(prints, [(120, 1_482_039_350), (316, 729_448_147)]);
}

/// The messages by which one process ends another's turn may never change.
#[test]
fn the_steps_are_told_as_ever() {
    assert_eq!(postcard::to_allocvec(&FromNew::Ready).unwrap(), [0]);
    assert_eq!(postcard::to_allocvec(&FromNew::Attached).unwrap(), [1]);
    assert_eq!(postcard::to_allocvec(&FromNew::Running { kept: Vec::new() }).unwrap(), [2, 0]);
    assert_eq!(postcard::to_allocvec(&FromNew::Refuse("x".to_owned())).unwrap(), [3, 1, b'x']);
    assert_eq!(postcard::to_allocvec(&FromOld::Go).unwrap(), [0]);
    assert_eq!(postcard::to_allocvec(&FromOld::Over).unwrap(), [1]);
    assert_eq!(postcard::to_allocvec(&FromOld::Back).unwrap(), [2]);
    assert_eq!(postcard::to_allocvec(&SavedLimit::default()).unwrap(), [0, 0]);
}
