//! Tasks of the main thread, other threads, and what they share.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::task::JoinHandle;

/// Has `task` run beside all else. A tokio runtime must be there.
///
/// Everything that tokio does for a task it has once for each kind of future; in a
/// box they are all of one kind.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let boxed: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    tokio::spawn(boxed)
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
