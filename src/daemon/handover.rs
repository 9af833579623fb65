//! Takeover, as far as it concerns the parts of a daemon: what of them is told,
//! given out and taken back by the old process, and what the new one makes of it.
//! The steps between the two stand in [`crate::takeover`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Receiver;
use tracing::{info, warn};

use super::belongings::{Belongings, Places};
use super::{Daemon, DaemonError, Incoming};
use crate::config::{Config, Uplink, UplinkHost};
use crate::control::Request;
use crate::decimal::Decimal;
use crate::family::{Family, PerFamily};
use crate::media::table::Table;
use crate::observer::{Change, Observer};
use crate::relay::{DetachedSession, Notice, StreamSockets};
use crate::signalling::{BoundSockets, Signalling, SipSocket};
use crate::socket::{BindError, SocketOptions};
use crate::status::gather::Past;
use crate::takeover::TakeoverError;
use crate::takeover::message::{Belonging, Counts, Offer, State};
use crate::takeover::new::{Inherited, Predecessor, Told};
use crate::takeover::old::Successor;

//------- The old process --------------------------------------------------

impl Daemon {
    /// What this process has to offer.
    pub(super) fn offer(&self) -> Offer {
        let config = self.signalling.config();
        Offer {
            clock: self.clock.now(),
            key: config.key,
            listen: config.listen,
            sip: config.sip_addresses().collect(),
            belongings: self.belongings.list().into_iter().map(|(belonging, _)| belonging).collect(),
        }
    }

    /// Gives everything to the process that is ready for it; whether it has it. Else
    /// this one goes on as if nothing had been.
    pub(super) async fn hand_over(&mut self, successor: Successor, incoming: &mut Incoming) -> bool {
        let since = self.clock.now();
        let sockets = self.signalling.release_sockets();
        let sessions = self.detach().await;
        let unheard = self.notices(incoming);
        let result = successor.hand_over(&self.state(&sockets, &sessions), &self.descriptors(&sockets, &sessions));
        let pause = self.clock.now().saturating_sub(since).as_secs_f64() * 1000.0;
        let pause = format!("{:.1} ms", Decimal(pause));
        match result {
            Ok((kept, leaving)) => {
                info!(calls = self.signalling.sessions(), %pause, "another process goes on with all calls");
                self.belongings.disown(&kept);
                leaving.wait();
                true
            }
            Err(error) => {
                warn!(%error, %pause, "no takeover; this process goes on");
                self.signalling.with_calls(|_, relay| sessions.into_iter().for_each(|session| relay.attach(session)));
                self.signalling.serve(sockets);
                unheard.into_iter().for_each(|notice| self.signalling.notice(notice));
                self.stay();
                false
            }
        }
    }

    /// Takes all sessions off the relay threads.
    async fn detach(&self) -> Vec<DetachedSession> {
        self.signalling.with_calls(|table, _| table.open_all());
        let mut parts = self.signalling.with_calls(|_, relay| relay.detach());
        let mut sessions = Vec::new();
        while let Some(part) = parts.recv().await {
            sessions.extend(part);
        }
        sessions
    }

    /// What the relay threads told before they gave their sessions out: calls that
    /// ended are logged here. The rest would change calls, and is for afterwards.
    fn notices(&self, incoming: &mut Incoming) -> Vec<Notice> {
        let mut unheard = Vec::new();
        while let Ok(notice) = incoming.notices.try_recv() {
            match notice {
                Notice::Ended(_) => self.signalling.notice(notice),
                Notice::Heard { .. } | Notice::Early { .. } => unheard.push(notice),
            }
        }
        unheard
    }

    fn state<'a>(&self, BoundSockets(sets): &BoundSockets, sessions: &'a [DetachedSession]) -> State<'a> {
        State {
            sip: sets.iter().flatten().map(|socket| socket.address).collect(),
            belongings: self.belongings.list().into_iter().map(|(belonging, _)| belonging).collect(),
            table: self.signalling.look_at_calls(|table, _| table.save()),
            relay: sessions.iter().map(|session| Cow::Borrowed(&session.state)).collect(),
            answers: self.signalling.save_answers(),
            counts: Counts {
                figures: self.signalling.figures(),
                heard: self.signalling.save_heard(),
                past: self.gatherer.save(&self.signalling),
            },
            uplinks: PerFamily::from_fn(|side| self.uplink(side)),
        }
    }

    fn uplink(&self, side: Family) -> Option<(String, Vec<std::net::IpAddr>)> {
        let name = uplink_name(self.signalling.config(), side)?;
        Some((name.to_owned(), self.signalling.uplink_addresses(side).to_vec()))
    }

    fn descriptors<'a>(
        &'a self,
        BoundSockets(sets): &'a BoundSockets,
        sessions: &'a [DetachedSession],
    ) -> Vec<BorrowedFd<'a>> {
        let sip = sets.iter().flatten().map(|socket| socket.socket.as_fd());
        let belongings = self.belongings.list().into_iter().map(|(_, descriptor)| descriptor);
        let streams = sessions.iter().flat_map(|session| &session.sockets).filter_map(StreamSockets::descriptors);
        let streams = streams.flatten();
        sip.chain(belongings).chain(streams).collect()
    }
}

fn uplink_name(config: &Config, side: Family) -> Option<&str> {
    match &config.uplinks[side] {
        Some(Uplink { host: UplinkHost::Name(name), .. }) => Some(name),
        _ => None,
    }
}

//------- The new process --------------------------------------------------

/// Asks the daemon at this control socket for everything it has, if there is one.
///
/// # Errors
/// Where there is one whose calls cannot go on here.
pub(super) fn ask(socket: &Path, config: &Config) -> Result<Option<Predecessor>, DaemonError> {
    let refused = |error| DaemonError::Takeover { socket: socket.to_owned(), error };
    let Some(old) = Predecessor::ask(socket).map_err(refused)? else {
        warn!(socket = %socket.display(), "no daemon is there to take over from; starting anew");
        return Ok(None);
    };
    match old.check(config) {
        Ok(()) => Ok(Some(old)),
        Err(error) => {
            old.refuse(&error);
            Err(refused(error))
        }
    }
}

/// Binds the SIP addresses that the old process has not: fakes.
///
/// # Errors
/// The address that cannot be had.
pub(super) fn bind_rest(
    old: &Predecessor,
    config: &Config,
    options: SocketOptions,
    threads: usize,
) -> Result<BoundSockets, BindError> {
    let new = config.maps.iter().filter(|map| !old.offer().sip.contains(&map.fake));
    BoundSockets::bind_fakes(new, options, threads)
}

/// Who gets what the old process has, if there is one.
#[derive(Debug)]
pub(super) struct Heir<'a> {
    /// The threads, without sockets yet.
    pub(super) signalling: &'a mut Signalling,
    /// Who looks at messages.
    pub(super) observer: Option<&'a Observer>,
    /// SIP sockets that the old process has not.
    pub(super) sockets: BoundSockets,
    /// Which of its files are wanted.
    pub(super) places: Places,
    /// Those that are there already.
    pub(super) belongings: &'a mut Belongings,
    /// The control socket of the old process.
    pub(super) socket: PathBuf,
}

/// A takeover of which the old process has not heard yet that it came about.
#[derive(Debug)]
pub(super) struct Succession {
    inherited: Inherited,
    socket: PathBuf,
    /// What ended calls have counted.
    pub(super) past: Past,
}

impl Succession {
    /// Takes in who asks at the control socket, and lets the old process end: as soon as
    /// what is given back is dropped.
    ///
    /// # Errors
    /// Where the old process goes on, with the files that are its.
    pub(super) fn complete(
        self,
        belongings: &mut Belongings,
    ) -> Result<(Option<Receiver<Request>>, Told), DaemonError> {
        let Self { inherited, socket, .. } = self;
        let kept = belongings.list().into_iter().map(|(belonging, _)| belonging).collect();
        let running = || inherited.running(kept).map_err(|error| DaemonError::Takeover { socket, error });
        let completed = belongings.serve().and_then(|requests| Ok((requests, running()?)));
        let completed = completed.inspect_err(|_| belongings.disown_all())?;
        if let Some(file) = &mut belongings.pid_file
            && let Err(error) = file.write()
        {
            warn!(path = %file.path().display(), %error, "the pid file still has the number of the old process");
        }
        Ok(completed)
    }
}

impl Heir<'_> {
    /// Takes over from the old process, if there is one: when this returns, this process
    /// serves its own sockets and every one of the old one, and relays every stream of it.
    ///
    /// # Errors
    /// Where the old one goes on; nothing was read then.
    pub(super) fn serve(self, old: Option<Predecessor>) -> Result<Option<Succession>, DaemonError> {
        let Some(old) = old else {
            self.signalling.serve(self.sockets);
            return Ok(None);
        };
        let socket = self.socket.clone();
        let taken = self.take_over(old);
        let (inherited, past) = taken.map_err(|error| DaemonError::Takeover { socket: socket.clone(), error })?;
        Ok(Some(Succession { inherited, socket, past }))
    }

    fn take_over(mut self, old: Predecessor) -> Result<(Inherited, Past), TakeoverError> {
        let mut estate = old.take()?;
        let descriptors = std::mem::take(&mut estate.descriptors);
        let parts = match self.divide(&estate.state, descriptors) {
            Ok(parts) => parts,
            Err(error) => {
                estate.refuse(&error);
                return Err(error);
            }
        };
        let (inherited, state) = estate.accept()?;
        let Parts { table, sessions, belongings } = parts;
        let calls = table.sessions();
        self.signalling.resume_counts(state.counts.figures, &state.counts.heard);
        self.signalling.resume(table, sessions, &state.answers);
        for side in Family::BOTH {
            if let Some((name, addresses)) = &state.uplinks[side]
                && !addresses.is_empty()
                && uplink_name(self.signalling.config(), side) == Some(name)
            {
                if let Some(observer) = self.observer {
                    observer.change(Change::Uplink(side, addresses.clone()));
                }
                self.signalling.set_uplink(side, addresses.clone());
            }
        }
        self.signalling.serve(self.sockets);
        for (belonging, descriptor) in belongings {
            if let Err(error) = self.belongings.adopt(&self.places, &belonging, descriptor) {
                warn!(?belonging, %error, "cannot be kept");
            }
        }
        info!(calls, "took over all calls");
        Ok((inherited, state.counts.past))
    }

    /// What is what of the descriptors, and whether everything fits.
    fn divide(&mut self, state: &State<'_>, descriptors: Vec<OwnedFd>) -> Result<Parts, TakeoverError> {
        let mut descriptors = descriptors.into_iter();
        self.deal(&state.sip, descriptors.by_ref())?;
        // Not ours yet: they would be removed if nothing comes of it.
        let mut belongings = Vec::with_capacity(state.belongings.len());
        for belonging in &state.belongings {
            let descriptor = descriptors.next().ok_or_else(|| garbled("descriptors are missing"))?;
            belongings.push((belonging.clone(), descriptor));
        }
        let config = self.signalling.config();
        let table = Table::resume(config, state.table.clone()).map_err(|error| garbled(&error.to_string()))?;
        let mut sessions = Vec::with_capacity(state.relay.len());
        for session in &state.relay {
            let mut sockets = Vec::with_capacity(session.streams.len());
            for _ in &session.streams {
                let four = std::array::from_fn(|_| descriptors.next());
                let [Some(rtp4), Some(rtcp4), Some(rtp6), Some(rtcp6)] = four else {
                    return Err(garbled("descriptors are missing"));
                };
                sockets.push(StreamSockets::adopt([rtp4, rtcp4, rtp6, rtcp6])?);
            }
            sessions.push(DetachedSession { state: session.clone().into_owned(), sockets });
        }
        Ok(Parts { table, sessions, belongings })
    }

    /// Deals the old process's SIP sockets out to the threads; those of one address
    /// in turn, as each gets what some peers send. Those at addresses that are no
    /// longer ours close.
    fn deal(
        &mut self,
        sip: &[SocketAddr],
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<(), TakeoverError> {
        let wanted: Vec<SocketAddr> = self.signalling.config().sip_addresses().collect();
        let BoundSockets(sets) = &mut self.sockets;
        let mut dealt: HashMap<SocketAddr, usize> = HashMap::new();
        for &address in sip {
            let descriptor = descriptors.next().ok_or_else(|| garbled("descriptors are missing"))?;
            let socket = SipSocket::adopt(address, descriptor)?;
            if wanted.contains(&address) {
                let turn = dealt.entry(address).or_default();
                let thread = turn.checked_rem(sets.len()).unwrap_or(0);
                *turn = turn.saturating_add(1);
                if let Some(set) = sets.get_mut(thread) {
                    set.push(socket);
                }
            }
        }
        // A thread that had some of the addresses alone could not send from the others.
        let has = |set: &[SipSocket], address| set.iter().any(|socket| socket.address == address);
        let listen = self.signalling.config().listen;
        let serving = sets.iter().take_while(|set| listen.iter().all(|(_, &address)| has(set, address))).count();
        if serving < sets.len() {
            info!(threads = serving, "SIP goes on with the sockets, and threads, of the process before");
        }
        sets.iter_mut().skip(serving).for_each(Vec::clear);
        let bound = |address: &SocketAddr| sets.iter().flatten().any(|socket| socket.address == *address);
        match wanted.iter().find(|address| !bound(address)) {
            Some(address) => Err(garbled(&format!("it has given up {address}"))),
            None => Ok(()),
        }
    }
}

/// What the descriptors were.
#[derive(Debug)]
struct Parts {
    table: Table,
    sessions: Vec<DetachedSession>,
    belongings: Vec<(Belonging, OwnedFd)>,
}

fn garbled(what: &str) -> TakeoverError {
    TakeoverError::Garbled(what.to_owned())
}
