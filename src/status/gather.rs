//! How a snapshot is gathered, without holding up anybody.
//!
//! The signalling is looked at in short pieces; the relay threads are asked for
//! their figures, which come when they come. Whoever asks meanwhile, or a moment
//! later, gets the same snapshot: many who look cost no more than one.

mod past;
mod troubles;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use self::past::Past;
use self::past::Sums;
use self::troubles::troubles;
use super::text::hears;
use super::{Call, Ended, Kind, Leg, Limit, Messages, Party, SCHEMA, Snapshot, Trouble as Told};
use crate::address::Source;
use crate::clock::{Clock, wall_clock};
use crate::config::{Plain, Uplink, UplinkHost};
use crate::escaped::Escaped;
use crate::family::{Family, PerFamily};
use crate::media::command::SessionId;
use crate::media::view::{CallView, Nearness};
use crate::relay::{Ending, LegFigures, SessionFigures, StreamFigures};
use crate::signalling::Signalling;
use crate::task::{self, lock};

/// Calls looked at in one go: some tens of microseconds.
const PIECE: usize = 64;
/// How long the relay threads may take; then the snapshot is without their figures.
const FIGURES_PATIENCE: Duration = Duration::from_secs(2);
/// How long a snapshot is good enough for whoever asks next.
const FRESH: Duration = Duration::from_millis(250);
/// As much of a Call-ID as anybody reads.
const MAX_CALL_ID: usize = 128;

/// Who gets the snapshot when it is there.
pub type Asking = oneshot::Sender<Arc<Snapshot>>;

/// Gathers snapshots of this daemon.
#[derive(Debug)]
pub struct Gatherer {
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    past: Past,
    /// The last snapshot, and when it was made.
    last: Option<(Duration, Arc<Snapshot>)>,
    /// Who waits for the one that is being gathered.
    waiting: Option<Vec<Asking>>,
}

impl Gatherer {
    /// Nothing has ended yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, shared: Arc::default() }
    }

    /// What another process needs to count on.
    pub fn save(&self, signalling: &Signalling) -> Past {
        let mut past = lock(&self.shared).past.clone();
        past.troubles = troubles(signalling, past.troubles);
        past
    }

    /// Counts on where another process stopped.
    pub fn resume(&self, past: Past) {
        lock(&self.shared).past = past;
    }

    /// A call has ended.
    pub fn ended(&self, ending: &Ending) {
        lock(&self.shared).past.count(ending);
    }

    /// Gathers a snapshot for whoever asks. Returns at once; a tokio runtime must
    /// be there.
    pub fn gather(&self, signalling: &Signalling, asking: Asking) {
        let now = self.clock.now();
        {
            let mut shared = lock(&self.shared);
            if let Some((made, snapshot)) = &shared.last
                && now.saturating_sub(*made) < FRESH
            {
                // Who does not wait any more needs none.
                let _ = asking.send(Arc::clone(snapshot));
                return;
            }
            if let Some(waiting) = &mut shared.waiting {
                return waiting.push(asking);
            }
            shared.waiting = Some(vec![asking]);
        }
        let figures = signalling.with_calls(|_, relay| relay.snapshot());
        let views = views(now, signalling);
        let before = lock(&self.shared).past.troubles.clone();
        let snapshot = without_media(now, signalling, before, &views);
        task::spawn(finish(now, snapshot, views, figures, Arc::clone(&self.shared)));
    }
}

/// Adds what the relay threads tell, and hands the snapshot out.
async fn finish(
    now: Duration,
    mut snapshot: Snapshot,
    views: Vec<(CallView, PerFamily<Kind>)>,
    mut parts: UnboundedReceiver<Vec<SessionFigures>>,
    shared: Arc<Mutex<Shared>>,
) {
    let mut figures: HashMap<SessionId, SessionFigures> = HashMap::new();
    let all = async {
        while let Some(part) = parts.recv().await {
            figures.extend(part.into_iter().map(|session| (session.session, session)));
        }
    };
    // What came in time is shown.
    let _ = timeout(FIGURES_PATIENCE, all).await;
    let mut sums = PerFamily::<Sums>::default();
    for session in figures.values() {
        for side in Family::BOTH {
            sums[side].add(&LegFigures::of(streams(session), side));
        }
    }
    snapshot.calls = views.iter().map(|(view, kinds)| call(now, view, *kinds, figures.get(&view.session))).collect();
    let mut shared = lock(&shared);
    (snapshot.media, snapshot.ended) = (shared.past.media(sums), shared.past.ended);
    let snapshot = Arc::new(snapshot);
    shared.last = Some((now, Arc::clone(&snapshot)));
    for asking in shared.waiting.take().into_iter().flatten() {
        let _ = asking.send(Arc::clone(&snapshot));
    }
}

/// All calls, oldest first, and who their parties are.
fn views(now: Duration, signalling: &Signalling) -> Vec<(CallView, PerFamily<Kind>)> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let piece = signalling.look_at_calls(|table, _| table.calls(now, after, PIECE));
        let Some(last) = piece.last() else { return all };
        after = Some(last.session);
        all.extend(piece.into_iter().map(|view| {
            let kinds = PerFamily::from_fn(|side| match view.parties[side].map(|party| signalling.source(party)) {
                Some(Source::Phone(_)) => Kind::Phone,
                Some(Source::Uplink) => Kind::Uplink,
                Some(Source::Ourselves) => Kind::Ourselves,
                Some(Source::Generic) | None => Kind::Generic,
            });
            (view, kinds)
        }));
    }
}

/// What is known without the relay threads.
fn without_media(
    now: Duration,
    signalling: &Signalling,
    before: Vec<Told>,
    views: &[(CallView, PerFamily<Kind>)],
) -> Snapshot {
    // A message is counted before the trouble that it was: in this order, none is shown
    // without its message.
    let troubles = troubles(signalling, before);
    let figures = signalling.figures();
    Snapshot {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        time: wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        uptime: now.as_secs_f64(),
        listen: Family::BOTH.map(|side| signalling.config().listen[side].to_string()),
        calls: Vec::with_capacity(views.len()),
        parties: parties(now, signalling),
        limits: limits(now, signalling),
        messages: Messages {
            received: figures.received,
            forwarded: figures.forwarded,
            answered: figures.answered,
            dropped: figures.dropped,
            keep_alives: figures.keep_alives,
            shed: figures.shed,
        },
        troubles,
        media: Vec::new(),
        ended: Ended::default(),
    }
}

fn parties(now: Duration, signalling: &Signalling) -> Vec<Party> {
    let ago = |heard: Option<Duration>| heard.map(|heard| now.saturating_sub(heard).as_secs_f64());
    let config = signalling.config();
    let uplink = |side: Family| {
        let Uplink { host, port, written } = config.uplinks[side].as_ref()?;
        let known = match host {
            UplinkHost::Address(_) => &[],
            UplinkHost::Name(_) => signalling.uplink_addresses(side),
        };
        Some(Party {
            kind: Kind::Uplink,
            address: written.clone(),
            family: side.name(),
            stands_for: known.iter().map(|&ip| Plain((ip, *port).into()).to_string()).collect(),
            last_heard: ago(signalling.uplink_heard(side)),
        })
    };
    let phones = config.maps.iter().enumerate().map(|(index, map)| Party {
        kind: Kind::Phone,
        address: Plain(map.phone).to_string(),
        family: Family::at(map.phone).name(),
        stands_for: vec![Plain(map.fake).to_string()],
        last_heard: ago(signalling.phone_heard(index)),
    });
    Family::BOTH.into_iter().filter_map(uplink).chain(phones).collect()
}

fn limits(now: Duration, signalling: &Signalling) -> Vec<Limit> {
    let (limits, usage) = signalling.look_at_calls(|table, _| (table.limits(), table.usage(now)));
    let used = [usage.answered, usage.held, usage.ringing, usage.resting, usage.taken, usage.lost];
    let port_pairs = Nearness { now: used.into_iter().sum(), most: usage.pairs };
    let limit = |name, Nearness { now, most }| Limit { name, now: now as u64, most: most as u64 };
    vec![
        limit("calls", limits.calls),
        limit("calls_of_one_source", limits.calls_of_one_source),
        limit("calls_of_strangers", limits.calls_of_strangers),
        limit("streams_of_strangers", limits.streams_of_strangers),
        limit("port_pairs", port_pairs),
    ]
}

fn call(now: Duration, view: &CallView, kinds: PerFamily<Kind>, figures: Option<&SessionFigures>) -> Call {
    let (state, age) = (view.state, view.age.as_secs_f64());
    let (mut caller, mut callee) =
        (leg(now, view, view.caller, kinds, figures), leg(now, view, view.caller.other(), kinds, figures));
    caller.hears = hears(&callee, "callee", state, age);
    callee.hears = hears(&caller, "caller", state, age);
    Call {
        id: view.session.0,
        call_id: Escaped(&view.call_id, MAX_CALL_ID).to_string(),
        state,
        age,
        caller,
        callee,
        streams: view.streams.len(),
    }
}

/// All streams' legs on one side as one.
fn leg(now: Duration, view: &CallView, side: Family, kinds: PerFamily<Kind>, figures: Option<&SessionFigures>) -> Leg {
    let address = view.parties[side].map(|party| party.to_string());
    let counted = figures.map(|session| LegFigures::of(streams(session), side)).unwrap_or_default();
    Leg {
        port: counted.port.map(|port| port.to_string()),
        destination: counted.destination.map(|to| to.to_string()),
        packets: counted.packets,
        bytes: counted.bytes,
        lost: counted.lost,
        jitter_ms: counted.jitter,
        silent: counted.last_heard.map(|heard| now.saturating_sub(heard).as_secs_f64()),
        sent: counted.sent,
        refused: counted.refused,
        failed: counted.failures.unreachable.saturating_add(counted.failures.unsent),
        ..Leg::new(side.name(), address, kinds[side])
    }
}

/// The streams of a session, those that were closed too.
fn streams(session: &SessionFigures) -> impl Iterator<Item = &StreamFigures> {
    session.streams.iter().chain(&session.closed)
}
