//! What holds for every good message: it leaves grown by no more than the rules
//! add, what nobody maps leaves as it came, an echo of it comes back as it was
//! written, and so does an echo of the answer. That lengths are true, that the
//! output can be read again and that a retransmission changes nothing is looked
//! at for whatever passes, see [`sipproxy64_fuzz::play`].
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sipproxy64::config::Config;
use sipproxy64::family::Family;
use sipproxy64::proxy::Outcome;
use sipproxy64::sip::header::{HeaderName, Kind, Values};
use sipproxy64::sip::message::{Fields, Message};
use sipproxy64::sip::name_addr::NameAddrs;
use sipproxy64::sip::uri::Uri;
use sipproxy64::sip::via::Vias;
use sipproxy64::target::{Maddr, Numeric, TOKEN_NAME};
use sipproxy64_fuzz::pieces::{Address, Body, Field, Request, kept, lines};
use sipproxy64_fuzz::play::{Arrived, FIGURE, Passed, World, config, is_request};

#[derive(Arbitrary, Debug)]
struct Case {
    wrapper: bool,
    without_uplinks: bool,
    request: Request,
    code: u8,
    answer: Vec<Field>,
    body: Body,
}

fuzz_target!(|case: Case| {
    let mut options = FIGURE.to_owned() + if case.wrapper { " -w" } else { "" };
    if case.without_uplinks {
        options = options.replace("-U 2001:db8:456::12 -u 198.51.100.12", "");
    }
    let config = config(&options).expect("good options");
    let mut world = World::new(config.clone());
    let request = &case.request;
    let (remote, local) = request.endpoints();
    let bytes = request.bytes(&request.lines());
    let passes = world.arrive(Arrived { local, remote, bytes });
    // The second pass of a hairpin may be refused; that answer is not what this is about.
    let Some(last) = forwarded(&passes).filter(|last| is_request(&last.out)) else { return };
    for passed in &passes {
        grown_by_the_rules(passed, &request.body);
        left_alone(passed, request.body.is_left());
    }
    let code = [180, 200, 302, 404, 600][usize::from(case.code) % 5];
    let echo = answer(&last, code, &case.answer, &case.body);
    let back = world.arrive(Arrived { local: last.from, remote: last.to, bytes: echo });
    let Some(end) = forwarded(&back) else { panic!("an answer is lost: {back:?}") };
    back.iter().for_each(|passed| left_alone(passed, case.body.is_left()));
    assert_eq!((end.from, end.to.ip()), (local, remote.ip()));
    came_back(&config, request, &end.out);
    to_the_answerer(&mut world, &config, &case, &end.out);
    within_the_dialog(&mut world, &config, request, &last);
});

/// The last pass of a message, if it went all the way.
struct Last {
    from: SocketAddr,
    to: SocketAddr,
    out: Vec<u8>,
}

fn forwarded(passes: &[Passed]) -> Option<Last> {
    let passed = passes.last()?;
    match passed.outcome {
        Outcome::Send { from, to, refused: None } => Some(Last { from, to, out: passed.out.clone() }),
        _ => None,
    }
}

fn is_left(name: HeaderName) -> bool {
    let written = [HeaderName::CONTENT_LENGTH, HeaderName::MAX_FORWARDS, HeaderName::USER_AGENT];
    name.kind() == Kind::Left && !written.contains(&name)
}

fn left_alone(passed: &Passed, and_the_body: bool) {
    let Outcome::Send { refused: None, .. } = passed.outcome else { return };
    let (mut fields, mut fields_out) = (Fields::default(), Fields::default());
    let before = Message::parse(&passed.arrived.bytes, &mut fields).expect("a message");
    let after = Message::parse(&passed.out, &mut fields_out).expect("a message");
    let left = |message: &Message<'_>| {
        let left = message.fields.iter().filter(|field| is_left(field.name));
        left.map(|field| field.line.of(message.bytes).escape_ascii().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(left(&before), left(&after));
    if and_the_body {
        assert_eq!(before.body.of(before.bytes), after.body.of(after.bytes));
    }
}

fn grown_by_the_rules(passed: &Passed, body: &Body) {
    let Outcome::Send { refused: None, .. } = passed.outcome else { return };
    let mut fields = Fields::default();
    let message = Message::parse(&passed.arrived.bytes, &mut fields).expect("a message");
    let values = |field: &sipproxy64::sip::message::Field| {
        NameAddrs::new(message.bytes, field.value, field.name.values()).count()
    };
    let mapped = message.fields.iter().filter(|field| !matches!(field.name.kind(), Kind::Left | Kind::Path));
    let uris = 1 + mapped.map(values).sum::<usize>();
    let most = passed.arrived.bytes.len() + 500 + uris * 200 + body.lines() * 64;
    assert!(passed.out.len() <= most, "{} > {most}: {}", passed.out.len(), passed.out.escape_ascii());
}

/// The answer: all that was mapped in the request, echoed, and fields of its own.
fn answer(last: &Last, code: u16, own: &[Field], body: &Body) -> Vec<u8> {
    let mut fields = Fields::default();
    let message = Message::parse(&last.out, &mut fields).expect("a message");
    let mut echo = Vec::new();
    for field in message.fields.iter().filter(|field| is_echoed(field.name)) {
        echo.extend_from_slice(field.line.of(message.bytes));
    }
    let (kind, body) = body.text();
    let own = lines(own);
    // What may stand but once was echoed already.
    let own: String = own.split_inclusive("\r\n").filter(|_| !has_single(&own)).collect();
    let rest = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    sipproxy64_fuzz::play::answer(&last.out, code.into(), &[&echo, own.as_bytes(), rest.as_bytes(), &body].concat())
}

fn has_single(lines: &str) -> bool {
    let mut fields = Fields::default();
    let text = format!("SIP/2.0 200 x\r\n{lines}\r\n");
    let message = Message::parse(text.as_bytes(), &mut fields).expect("a message");
    HeaderName::SINGLE.iter().any(|&name| message.first(name).is_some())
}

fn is_echoed(name: HeaderName) -> bool {
    matches!(name.kind(), Kind::Uris | Kind::Contact | Kind::Bare)
}

/// Whoever wrote the request reads in the answer what it wrote.
fn came_back(config: &Config, request: &Request, out: &[u8]) {
    let (_, local) = request.endpoints();
    let side = Family::of(local.ip());
    let mut fields = Fields::default();
    let message = Message::parse(out, &mut fields).expect("a message");
    let names = [HeaderName::FROM, HeaderName::TO];
    for ((name, party), tag) in names.into_iter().zip(request.parties()).zip([";tag=caller", ";tag=callee"]) {
        let value = String::from_utf8_lossy(message.value(name).expect("From and To")).into_owned();
        let party_back = value.strip_suffix(tag).unwrap_or(&value);
        assert_written(config, side, party, party_back);
    }
    let via = Vias::new(&message).next().expect("a Via").expect("a good one");
    assert!(via.branch.is_none_or(|branch| branch.of(message.bytes) == b"z9hG4bKx"));
    let echoed: Vec<&Field> = kept(&request.fields).filter(|field| field.name().is_some()).collect();
    same_values(config, side, &echoed, &message);
}

/// What the answer said of its own comes back to its writer too.
fn to_the_answerer(world: &mut World, config: &Config, case: &Case, out: &[u8]) {
    let own = lines(&case.answer);
    if has_single(&own) || own.is_empty() {
        return;
    }
    let mut fields = Fields::default();
    let message = Message::parse(out, &mut fields).expect("a message");
    let before = kept(&case.request.fields).filter(|field| field.name().is_some()).count();
    let mapped = message.fields.iter().filter(|field| is_echoed(field.name)).skip(before);
    let echo: String = mapped.map(|field| String::from_utf8_lossy(field.line.of(out)).into_owned()).collect();
    let (remote, local) = case.request.endpoints();
    let bytes = case.request.bytes(&echo);
    let passes = world.arrive(Arrived { local, remote, bytes });
    let Some(last) = forwarded(&passes).filter(|last| is_request(&last.out)) else { return };
    let mut fields = Fields::default();
    let message = Message::parse(&last.out, &mut fields).expect("a message");
    let written: Vec<&Field> = kept(&case.answer).filter(|field| field.name().is_some()).collect();
    same_values(config, Family::of(last.from.ip()), &written, &message);
}

/// The BYE of whoever was called goes to what the caller wrote into its Contact.
fn within_the_dialog(world: &mut World, config: &Config, request: &Request, last: &Last) {
    let mut fields = Fields::default();
    let message = Message::parse(&last.out, &mut fields).expect("a message");
    let Some(field) = message.first(HeaderName::CONTACT) else { return };
    let Some(Ok(contact)) = NameAddrs::new(message.bytes, field.value, Values::List).next() else { return };
    let uri = String::from_utf8_lossy(contact.uri.of(message.bytes)).into_owned();
    let mut bye = format!("BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKb\r\n", last.to);
    for field in message.all(HeaderName::RECORD_ROUTE) {
        bye += &format!("Route: {}\r\n", String::from_utf8_lossy(field.value.of(message.bytes)));
    }
    bye += "From: <sip:a@x>;tag=callee\r\nTo: <sip:b@x>;tag=caller\r\nCall-ID: c1@192.0.2.101\r\nCSeq: 9 BYE\r\n\r\n";
    let passes = world.arrive(Arrived { local: last.from, remote: last.to, bytes: bye.into_bytes() });
    let Some(end) = forwarded(&passes).filter(|end| is_request(&end.out)) else { return };
    let (remote, _) = request.endpoints();
    let written = kept(&request.fields).find(|field| field.name() == Some("Contact")).expect("a Contact");
    let written = written.values()[0].uri();
    let phones = config.maps.iter().filter(|map| map.phone.ip() == remote.ip()).count();
    let at_home = numeric(&written).is_some_and(|to| to.ip() == remote.ip());
    // What reaches a phone's fake goes to the phone, whatever its Contact says (even if
    // that is another phone at its address); what names ourselves is for the uplink.
    let is_elsewhere = phones > 1 || (phones == 1 && !at_home);
    let ours = numeric(&written).is_some_and(|to| config.is_ours(to));
    // An address of the other side stands as it is on the first pass of a spiral.
    let elsewhere = numeric(&written).is_some_and(|to| to.is_ipv4() != remote.is_ipv4());
    // Through a hairpin a stranger reads the Contact of a phone as it was written, without
    // the proof that would let it choose the phone's port: it gets the mapped one.
    let unproven = passes.len() > 1 && config.maps.iter().all(|map| map.phone.ip() != last.to.ip());
    // A maddr that is a name is for the uplink to find: in a hairpin that of the other side.
    let hairpin = last.to.is_ipv4() == remote.is_ipv4();
    let by_name = Uri::parse(written.as_bytes()).map(|uri| Maddr::of(written.as_bytes(), &uri)) == Some(Maddr::Name);
    if is_elsewhere || ours || elsewhere || unproven || (hairpin && by_name) || config.wrapper {
        return;
    }
    let start = format!("BYE {written} SIP/2.0\r\n");
    assert!(end.out.starts_with(start.as_bytes()), "{written} became {}", end.out.escape_ascii());
    assert!(!at_home || end.to.ip() == remote.ip(), "{written} at {}", end.to);
}

fn same_values(config: &Config, side: Family, written: &[&Field], message: &Message<'_>) {
    let back: Vec<_> = message.fields.iter().filter(|field| is_echoed(field.name)).collect();
    for (written, back) in written.iter().zip(&back) {
        assert_eq!(written.name(), Some(back.name.name()));
        let values = NameAddrs::new(message.bytes, back.value, back.name.values());
        let values: Vec<_> = values.flatten().map(|value| value.whole.of(message.bytes)).collect();
        if values.len() != written.values().len() {
            // One that cannot be read hides those behind it; it left as it came.
            continue;
        }
        let bare = back.name.kind() == Kind::Bare;
        for (written, back) in written.values().iter().zip(values) {
            // Where there is no place for a token, only addresses of the side itself are mapped.
            if bare && numeric(&written.uri()).is_some_and(|to| Family::of(to.ip()) != side) {
                continue;
            }
            assert_written(config, side, written, &String::from_utf8_lossy(back));
        }
    }
}

fn assert_written(config: &Config, side: Family, written: &Address, back: &str) {
    let uri = written.uri();
    if is_made_up(config, side, &uri) {
        return;
    }
    let texts = written.texts();
    assert!(texts.iter().any(|text| text == back), "{:?} came back as {back:?}", texts[0]);
}

/// An `s64=` at an address of ours that we did not write.
fn is_made_up(config: &Config, side: Family, text: &str) -> bool {
    let ours = numeric(text).is_some_and(|to| config.is_ours(to) && Family::of(to.ip()) == side);
    ours && Uri::parse(text.as_bytes()).is_some_and(|uri| uri.last_parameter(text.as_bytes(), TOKEN_NAME).is_some())
}

fn numeric(text: &str) -> Option<SocketAddr> {
    let uri = Uri::parse(text.as_bytes())?;
    Numeric::of(text.as_bytes(), &uri).map(|numeric| numeric.endpoint())
}
