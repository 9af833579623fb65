//! Where the log goes, and how much of it.

mod json;
mod queue;
mod text;

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::panic;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use syslog_tracing::{Facility, Options, Syslog};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use self::queue::{Line, Queue};
use crate::task;

/// The log of this process.
static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error, each line with its time; for journald, with its priority instead.
    Stderr,
    /// The system's log, as a daemon.
    Syslog,
}

/// Where the system's log takes lines (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs: an object of JSON.
    Json,
}

/// Starts logging, once for the process. `verbosity` is -1 for warnings and
/// errors, 0 for what an administrator wants to know, 1 for every datagram, 2
/// for what is in it.
pub fn start(destination: Destination, form: Form, verbosity: i8) {
    if destination == Destination::Syslog && !Path::new(SYSLOG).exists() {
        // It is no error: somebody may come there later.
        let _ = writeln!(
            io::stderr(),
            "sipproxy64: --log syslog: nobody listens at {SYSLOG}; what is said is lost until somebody does, --log \
             stderr shows it"
        );
    }
    let (front, sink) = match syslog(destination) {
        Some(syslog) => (Front::Nothing, to_syslog(syslog)),
        None if stderr_is_journal() => (Front::Priority, to_stderr()),
        None => (Front::Time, to_stderr()),
    };
    let log = Log { most: level(verbosity), form, front, sink, queue: Queue::default() };
    // A second start, which only a test can make, leaves the first as it is.
    let _ = tracing::subscriber::set_global_default(Arc::clone(LOG.get_or_init(|| Arc::new(log))));
}

/// From now on nobody waits for whoever reads the log: what is said is written once there
/// is a thread for that, see [`in_background`], or by [`flush`].
pub fn keep() {
    let Some(log) = LOG.get() else { return };
    log.queue.keep();
    // The process ends with it, and lines that wait would be gone.
    panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", panic.to_string().replace('\n', " "));
        flush();
    }));
}

/// Starts the thread that writes the log.
///
/// # Errors
/// Where the system has no thread left.
pub fn in_background() -> io::Result<()> {
    let Some(log) = LOG.get().cloned() else { return Ok(()) };
    let writer = Arc::clone(&log);
    task::thread("log".to_owned(), move || writer.queue.serve(|line| drop((writer.sink)(line))))?;
    log.queue.open();
    Ok(())
}

/// Waits until all that was said is written; not for a reader who takes nothing.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(|line| drop((log.sink)(line)));
    }
}

/// Makes a line of each event. There are no spans in this program.
struct Log {
    most: Level,
    form: Form,
    front: Front,
    sink: Sink,
    queue: Queue,
}

/// Takes lines. Where one cannot be written, there is nowhere left to tell that.
type Sink = Box<dyn Fn(Line) -> io::Result<()> + Send + Sync>;

fn to_stderr() -> Sink {
    Box::new(|(_, line)| io::stderr().write_all(line.as_bytes()))
}

fn to_syslog(syslog: Syslog) -> Sink {
    Box::new(move |(metadata, line)| syslog.make_writer_for(metadata).write_all(line.as_bytes()))
}

/// What the reader of a line cannot know from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// All of it.
    Time,
    /// The priority, as journald reads it: a number in front (sd-daemon(3)).
    Priority,
    /// Nothing: syslog has time and priority beside the line.
    Nothing,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = String::with_capacity(256);
        if self.front == Front::Priority {
            line += priority(event.metadata());
        }
        let made = match self.form {
            Form::Text => text::write(event, self.front == Front::Time, &mut line),
            Form::Json => json::write(event, &mut line),
        };
        if let Some(line) = made.ok().and_then(|()| self.queue.put((event.metadata(), line))) {
            let _ = (self.sink)(line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level(verbosity: i8) -> Level {
    match verbosity {
        ..=-1 => Level::WARN,
        0 => Level::INFO,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    }
}

fn syslog(destination: Destination) -> Option<Syslog> {
    match destination {
        Destination::Stderr => None,
        Destination::Syslog => Syslog::new(c"sipproxy64", Options::LOG_PID, Facility::Daemon),
    }
}

/// Whether journald reads our stderr: it names the device and inode of the
/// stream that it gave us (systemd.exec(5), `JOURNAL_STREAM`), and we may have
/// inherited the variable with another stderr.
fn stderr_is_journal() -> bool {
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// The priorities of syslog(3), the same as `--log syslog` has.
fn priority(metadata: &Metadata<'_>) -> &'static str {
    match *metadata.level() {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<5>",
        Level::DEBUG => "<6>",
        Level::TRACE => "<7>",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    fn kept_in(kept: &Arc<Mutex<Vec<u8>>>) -> Sink {
        let kept = Arc::clone(kept);
        Box::new(move |(_, line)| kept.lock().unwrap().write_all(line.as_bytes()))
    }

    /// What is logged by `act`, in this form.
    fn logged(form: Form, front: Front, verbosity: i8, act: impl FnOnce()) -> String {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = kept_in(&kept);
        let log = Log { most: level(verbosity), form, front, sink, queue: Queue::default() };
        tracing::subscriber::with_default(log, act);
        let said = kept.lock().unwrap().clone();
        String::from_utf8(said).unwrap()
    }

    /// What is logged by `act`, as objects for a program.
    pub(crate) fn logged_as_json(act: impl FnOnce()) -> String {
        logged(Form::Json, Front::Nothing, 0, act)
    }

    /// While the reader takes nothing, nobody who says something waits.
    #[test]
    fn a_slow_reader_gets_all_that_there_is_room_for_and_how_much_that_was_not() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = kept_in(&kept);
        let log = Log { most: Level::INFO, form: Form::Text, front: Front::Nothing, sink, queue: Queue::default() };
        let log = Arc::new(log);
        let (here, writer) = (tracing::Dispatch::new(Arc::clone(&log)), Arc::clone(&log));
        let there = here.clone();
        log.queue.open();
        thread::spawn(move || {
            tracing::dispatcher::with_default(&there, || writer.queue.serve(|line| drop((writer.sink)(line))));
        });
        tracing::dispatcher::with_default(&here, || {
            let reader = kept.lock().unwrap();
            (0..10_000).for_each(|number| tracing::info!("{number}"));
            drop(reader);
            log.queue.flush(|line| drop((log.sink)(line)));
            tracing::info!("10000");
            log.queue.flush(|line| drop((log.sink)(line)));
        });
        let said = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        let mut next = 0;
        for line in said.lines() {
            match line.rsplit_once(" lost=") {
                Some((_, lost)) => next += lost.parse::<usize>().unwrap(),
                None => {
                    assert_eq!(line, next.to_string(), "what is lost is told where it would stand");
                    next += 1;
                }
            }
        }
        assert_eq!(next, 10_001);
        assert!(said.contains("\nlines of the log lost: whoever reads it was too slow lost="), "{said}");
    }

    fn one_of_each_level() {
        tracing::error!("four");
        tracing::warn!(port = 5060, "five");
        tracing::info!("six");
        tracing::debug!("seven");
        tracing::trace!("eight");
    }

    #[test]
    fn journald_gets_priorities_and_no_times() {
        let said = logged(Form::Text, Front::Priority, 1, one_of_each_level);
        assert_eq!(said, "<3>four\n<4>five port=5060\n<5>six\n<6>seven\n");
        let said = logged(Form::Json, Front::Priority, -1, one_of_each_level);
        assert!(said.starts_with("<3>{\"time\":") && said.lines().count() == 2, "{said}");
    }

    #[test]
    fn a_line_for_people_has_time_and_level() {
        let said = logged(Form::Text, Front::Time, 0, one_of_each_level);
        let levels: Vec<&str> = said.lines().map(|line| line.split_at(28).1).collect();
        assert_eq!(levels, ["ERROR four", " WARN five port=5060", " INFO six"]);
        let (date, time) = said.split_at(10);
        assert!(date.starts_with("20") && time.starts_with('T') && time.get(16..18) == Some("Z "), "{said}");
    }

    #[test]
    fn values_are_written_as_they_show_themselves() {
        let said = logged(Form::Text, Front::Nothing, 0, || {
            let (text, none) = ("a \"b\"", None::<u8>);
            tracing::info!(text, shown = %text, count = -1, none, yes = true, "{}\u{1b}[2J\u{9b}", "made up");
            tracing::info!(alone = 1);
        });
        assert_eq!(said, "made up\\x1b[2J\\u{9b} text=\"a \\\"b\\\"\" shown=a \"b\" count=-1 yes=true\nalone=1\n");
    }

    #[test]
    fn options_raise_and_lower_the_level() {
        let levels = [-2, -1, 0, 1, 2, i8::MAX].map(level);
        assert_eq!(levels, [Level::WARN, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE]);
    }
}
