//! Tasks of the main thread.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// Has `task` run beside all else. A tokio runtime must be there.
///
/// Everything that tokio does for a task it has once for each kind of future; in a
/// box they are all of one kind.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let boxed: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    tokio::spawn(boxed)
}
