//! Uplinks that are host names, looked up again and again.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use std::vec::IntoIter;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::{Config, Uplink, UplinkHost};
use crate::family::{Family, PerFamily};
use crate::task;

/// How long an answer is good for.
const LOOKUP_PAUSE: Duration = Duration::from_secs(60);
/// The pause between tries while there never was an answer.
const FIRST_LOOKUP_PAUSE: Duration = Duration::from_secs(5);

/// The addresses of an uplink, all of its side's family, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The side.
    pub side: Family,
    /// What was looked up: by now another uplink may be in its place.
    pub name: String,
    /// Those that were known before, in their order, in front of those that are new:
    /// requests go to the first one, and a request, its CANCEL and its ACK to the same.
    pub addresses: Vec<IpAddr>,
}

/// The tasks that look, one for each uplink that is a name. They end when this
/// is dropped.
#[derive(Debug)]
pub struct Resolver {
    tasks: PerFamily<Option<JoinHandle<()>>>,
    answers: UnboundedSender<Answer>,
}

impl Resolver {
    /// Starts to look; each change of what is `known` is told. A tokio runtime must
    /// be there.
    pub fn start(config: &Config, known: &PerFamily<Vec<IpAddr>>, answers: UnboundedSender<Answer>) -> Self {
        let task = |side| start(side, config, known[side].clone(), &answers);
        Self { tasks: PerFamily::from_fn(task), answers }
    }

    /// Looks for the uplinks of `new` from now on, where they are others than those of `old`.
    pub fn follow(&mut self, old: &Config, new: &Config) {
        for side in Family::BOTH {
            if old.uplinks[side] != new.uplinks[side] {
                let next = start(side, new, Vec::new(), &self.answers);
                if let Some(task) = std::mem::replace(&mut self.tasks[side], next) {
                    task.abort();
                }
            }
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.tasks.iter().filter_map(|(_, task)| task.as_ref()).for_each(JoinHandle::abort);
    }
}

fn start(
    side: Family,
    config: &Config,
    known: Vec<IpAddr>,
    answers: &UnboundedSender<Answer>,
) -> Option<JoinHandle<()>> {
    let known = Known { addresses: known, failing: false };
    match &config.uplinks[side] {
        Some(Uplink { host: UplinkHost::Name(name), port, .. }) => {
            Some(task::spawn(keep_looking(side, name.clone(), *port, known, answers.clone())))
        }
        _ => None,
    }
}

async fn keep_looking(side: Family, name: String, port: u16, mut known: Known, answers: UnboundedSender<Answer>) {
    loop {
        match look_up(side, &name, port).await {
            Ok(addresses) => {
                if let Some(addresses) = known.found(addresses) {
                    info!(%name, %side, ?addresses, "uplink found");
                    if answers.send(Answer { side, name: name.clone(), addresses }).is_err() {
                        return;
                    }
                }
            }
            Err(reason) => {
                if known.failed() {
                    let kept = known.is_any();
                    warn!(%name, %side, %reason, last_answer_kept = kept, "uplink cannot be looked up; trying again");
                }
            }
        }
        sleep(if known.is_any() { LOOKUP_PAUSE } else { FIRST_LOOKUP_PAUSE }).await;
    }
}

/// The addresses of a name in the family of its side.
async fn look_up(side: Family, name: &str, port: u16) -> Result<Vec<IpAddr>, String> {
    let all = ask_system(name.to_owned(), port).await.map_err(|error| error.to_string())?;
    let mut addresses = Vec::new();
    for address in all.map(|endpoint| endpoint.ip()) {
        if Family::of(address) == side && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("it has no {side} address"));
    }
    Ok(addresses)
}

/// Waits for the system's answer in a thread of its own. Those of tokio end the program where
/// the system has no thread left.
async fn ask_system(name: String, port: u16) -> io::Result<IntoIter<SocketAddr>> {
    let (found, answer) = oneshot::channel();
    task::thread("resolver".to_owned(), move || _ = found.send((name, port).to_socket_addrs()))?;
    answer.await.map_err(io::Error::other)?
}

/// What is known of a name. The last good answer stays in use.
#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    failing: bool,
}

impl Known {
    /// Takes in an answer; gives it back if it is another one. The order says
    /// nothing: name servers turn it round each time. So what was there before stays
    /// in front.
    fn found(&mut self, addresses: Vec<IpAddr>) -> Option<Vec<IpAddr>> {
        self.failing = false;
        let stay = self.addresses.iter().filter(|known| addresses.contains(known));
        let come = addresses.iter().filter(|address| !self.addresses.contains(address));
        let addresses: Vec<IpAddr> = stay.chain(come).copied().collect();
        if addresses == self.addresses {
            return None;
        }
        self.addresses.clone_from(&addresses);
        Some(addresses)
    }

    /// Takes in a failure; whether it is the first one in a row.
    fn failed(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    fn is_any(&self) -> bool {
        !self.addresses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_changes_are_told_and_the_last_answer_stays() {
        let mut known = Known::default();
        assert!(known.failed());
        assert!(!known.failed());
        assert!(!known.is_any());
        let first = ips(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(known.found(first.clone()), Some(first));
        assert_eq!(known.found(ips(&["192.0.2.2", "192.0.2.1"])), None);
        assert!(known.failed());
        assert!(known.is_any());
        assert_eq!(known.found(ips(&["192.0.2.3", "192.0.2.1"])), Some(ips(&["192.0.2.1", "192.0.2.3"])));
    }

    /// A request, its CANCEL and its ACK must go to one address (RFC 3261 §16.11).
    #[test]
    fn who_is_the_uplink_stays_it_as_long_as_the_name_has_its_address() {
        let mut known = Known::default();
        known.found(ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]));
        let answer = known.found(ips(&["192.0.2.4", "192.0.2.3", "192.0.2.1"]));
        assert_eq!(answer, Some(ips(&["192.0.2.1", "192.0.2.3", "192.0.2.4"])));
        let answer = known.found(ips(&["192.0.2.5", "192.0.2.4", "192.0.2.3"]));
        assert_eq!(answer, Some(ips(&["192.0.2.3", "192.0.2.4", "192.0.2.5"])));
    }

    /// What a process before this one has found is an answer like one of our own.
    #[tokio::test]
    async fn what_is_known_from_before_stays() {
        let mut config = Config::new("192.0.2.1:5060".parse().unwrap(), "[2001:db8::1]:5060".parse().unwrap());
        let (host, port) = (UplinkHost::Name("127.0.0.1".to_owned()), 5060);
        config.uplinks[Family::V4] = Some(Uplink { host, port, written: "127.0.0.1".to_owned() });
        let (answers, mut told) = tokio::sync::mpsc::unbounded_channel();
        let known = PerFamily::new(ips(&["127.0.0.2", "127.0.0.1"]), Vec::new());
        let _resolver = Resolver::start(&config, &known, answers);
        assert_eq!(told.recv().await.unwrap().addresses, ips(&["127.0.0.1"]), "one has gone");
    }

    #[tokio::test]
    async fn a_side_takes_addresses_of_its_family_only() {
        assert_eq!(look_up(Family::V4, "127.0.0.1", 5060).await, Ok(ips(&["127.0.0.1"])));
        assert_eq!(look_up(Family::V6, "127.0.0.1", 5060).await, Err("it has no IPv6 address".to_owned()));
    }
}
