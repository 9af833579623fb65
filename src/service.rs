//! What a service manager such as systemd is told, see sd_notify(3): when the
//! daemon is ready, when it ends, and in between that its main thread is alive.
//!
//! Without `NOTIFY_SOCKET` in the environment all of this does nothing.

use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

/// The service manager that started this process, if one did.
#[derive(Debug)]
pub struct ServiceManager {
    /// When it wants to hear from us again; `None` where it does not.
    watchdog: Option<Interval>,
}

impl ServiceManager {
    /// As the environment says. To be called within the runtime.
    pub fn of_environment() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()).map(|period| {
            // Twice in the time that it waits, as sd_watchdog_enabled(3) advises.
            let mut interval = interval((period / 2).max(Duration::from_millis(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { watchdog }
    }

    /// Packets are taken from now on, by this very process: also where it took
    /// over from another one that the manager knew, or left the shell.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Status(status), NotifyState::Ready]);
    }

    /// The configuration is read again; [`ServiceManager::ready`] says when that is done.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "the service manager cannot be told of the reload"),
        }
    }

    /// What goes on, in words.
    pub fn status(&self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// The end has begun. Not to be said by a process that hands over to another:
    /// the service goes on.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Waits until it is time to be heard, and is heard. Never returns where
    /// nobody listens. Nothing is lost if it is dropped half way.
    pub async fn beat(&mut self) {
        match &mut self.watchdog {
            Some(watchdog) => watchdog.tick().await,
            None => return pending().await,
        };
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // A manager that is gone for the moment is no reason to end calls.
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told of our state");
    }
}
