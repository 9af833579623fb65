//! Lines that wait for the thread that writes them.
//!
//! Whoever reads the log may be slow, or stop: a pager, a terminal that is held, a
//! logging daemon with a full disk. So who has something to say leaves it here. What
//! finds no room is counted, and the log says how many lines that were where they
//! would have stood.

use std::cell::Cell;
use std::mem;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing::{Metadata, warn};

use crate::task::lock;

/// How many bytes may wait.
const MAX_BYTES: usize = 1 << 19;
/// How long the end waits for a reader that takes nothing.
const READER_PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether this is the thread that writes: what it says itself is written at once.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// A line, and what it is of.
pub(super) type Line = (&'static Metadata<'static>, String);

/// The queue. Before it keeps lines, it takes nothing.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Something waits.
    more: Condvar,
    /// Nothing does any more, and all is written.
    done: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Lines are taken.
    kept: bool,
    /// There is a thread that writes.
    served: bool,
    lines: Vec<Line>,
    bytes: usize,
    /// Behind the last line.
    lost: usize,
    /// The thread is at work.
    writing: bool,
    /// How many lines it has written.
    written: usize,
}

impl Queue {
    /// From now on lines wait, for a thread to come.
    pub(super) fn keep(&self) {
        lock(&self.waiting).kept = true;
    }

    /// From now on a thread calls [`Queue::serve`].
    pub(super) fn open(&self) {
        let mut waiting = lock(&self.waiting);
        (waiting.kept, waiting.served) = (true, true);
    }

    /// Takes a line, or counts it; gives it back where it is to be written at once.
    pub(super) fn put(&self, line: Line) -> Option<Line> {
        let mut waiting = lock(&self.waiting);
        if !waiting.kept || WRITES.get() {
            return Some(line);
        }
        let (first, bytes) = (waiting.lines.is_empty(), waiting.bytes.saturating_add(line.1.capacity()));
        // One that is lost is followed by none until that is told.
        if waiting.lost > 0 || bytes > MAX_BYTES && !first {
            waiting.lost = waiting.lost.saturating_add(1);
            return None;
        }
        waiting.bytes = bytes;
        waiting.lines.push(line);
        drop(waiting);
        if first {
            self.more.notify_one();
        }
        None
    }

    /// Has all lines written, for ever.
    pub(super) fn serve(&self, mut write: impl FnMut(Line)) {
        WRITES.set(true);
        loop {
            let (lines, lost) = self.next();
            for line in lines {
                write(line);
                let mut waiting = lock(&self.waiting);
                waiting.written = waiting.written.wrapping_add(1);
            }
            if lost > 0 {
                warn!(lost, "lines of the log lost: whoever reads it was too slow");
            }
        }
    }

    /// What waits, and how many lines were lost behind it; waits for something.
    fn next(&self) -> (Vec<Line>, usize) {
        let mut waiting = lock(&self.waiting);
        while waiting.lines.is_empty() {
            waiting.writing = false;
            self.done.notify_all();
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.writing = true;
        waiting.bytes = 0;
        (mem::take(&mut waiting.lines), mem::take(&mut waiting.lost))
    }

    /// Waits until all is written, or the reader takes nothing for a second; where the
    /// thread has not come, writes it.
    pub(super) fn flush(&self, write: impl FnMut(Line)) {
        let mut waiting = lock(&self.waiting);
        if !waiting.served {
            let lines = mem::take(&mut waiting.lines);
            drop(waiting);
            return lines.into_iter().for_each(write);
        }
        while waiting.writing || !waiting.lines.is_empty() {
            let written = waiting.written;
            let (after, waited) =
                self.done.wait_timeout(waiting, READER_PATIENCE).unwrap_or_else(PoisonError::into_inner);
            waiting = after;
            if waited.timed_out() && waiting.written == written {
                return;
            }
        }
    }
}
