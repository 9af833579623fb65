//! Tasks of the main thread, other threads, and what they share.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use rustix::thread::sched_getaffinity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::debug;

/// The pause after the system could not hand out a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many cores this process may run on. What a control group lets it have of their time
/// is not asked for, which would be a hundredth of the whole program in the standard library.
pub(crate) fn cores() -> usize {
    sched_getaffinity(None).map_or(1, |cores| cores.count() as usize).max(1)
}

/// Has `task` run beside all else. A tokio runtime must be there.
///
/// Everything that tokio does for a task it has once for each kind of future; in a
/// box they are all of one kind.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let boxed: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    tokio::spawn(boxed)
}

/// Takes in the clients of a listener, no more than `places` at a time: the others wait
/// for one of the permits that `each` gets with its client. `name` is for the log.
pub(crate) async fn serve_clients<Client, Served>(
    name: &'static str,
    places: usize,
    accept: impl Fn(&mut Context<'_>) -> Poll<io::Result<Client>>,
    each: impl Fn(Client, OwnedSemaphorePermit) -> Served,
) where
    Served: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    while let Ok(permit) = Arc::clone(&places).acquire_owned().await {
        match poll_fn(&accept).await {
            Ok(client) => drop(spawn(each(client, permit))),
            Err(error) => {
                debug!(%error, "{name}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts a thread of this name; in a box for the same reason.
///
/// # Errors
/// Where the system has no thread left.
pub(crate) fn thread(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let boxed: Box<dyn FnOnce() + Send> = Box::new(run);
    thread::Builder::new().name(name).spawn(boxed)
}

/// Locks what threads share. A lock whose holder panicked is taken as it is: what it
/// guards is changed in small steps, each of which leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
