//! Where the log goes, and how much of it.

mod json;

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;

use syslog_tracing::{Facility, Options, Syslog};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{self, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use self::json::JsonFormat;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error, each line with its time; for journald, with its priority instead.
    Stderr,
    /// The system's log, as a daemon.
    Syslog,
}

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
    let builder = tracing_subscriber::fmt()
        .with_max_level(level(verbosity))
        .with_target(false)
        .with_ansi(false)
        // It would be told on stderr, by a call that panics when stderr is gone.
        .log_internal_errors(false);
    // A second start, which only a test can make, leaves the first as it is.
    let _ = match (destination, syslog(destination)) {
        (Destination::Syslog, Some(syslog)) if form == Form::Json => {
            builder.event_format(JsonFormat { prefix: |_| "" }).with_writer(syslog).try_init()
        }
        _ if form == Form::Json && stderr_is_journal() => {
            builder.event_format(JsonFormat { prefix: priority }).with_writer(io::stderr).try_init()
        }
        _ if form == Form::Json => {
            builder.event_format(JsonFormat { prefix: |_| "" }).with_writer(io::stderr).try_init()
        }
        (Destination::Syslog, Some(syslog)) => builder.without_time().with_level(false).with_writer(syslog).try_init(),
        _ if stderr_is_journal() => builder.event_format(JournalFormat::new()).with_writer(io::stderr).try_init(),
        _ => builder.with_writer(io::stderr).try_init(),
    };
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

/// A line for journald: it knows the time, and takes the priority from a number
/// in front (sd-daemon(3)).
struct JournalFormat {
    rest: Format<Full, ()>,
}

impl JournalFormat {
    fn new() -> Self {
        Self { rest: format::format().without_time().with_level(false).with_target(false).with_ansi(false) }
    }
}

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str(priority(event.metadata()))?;
        self.rest.format_event(context, writer, event)
    }
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
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// A writer that keeps what it gets.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn journald_gets_priorities_and_no_times() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level(1))
            .event_format(JournalFormat::new())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("four");
            tracing::warn!(port = 5060, "five");
            tracing::info!("six");
            tracing::debug!("seven");
            tracing::trace!("eight");
        });
        let said = kept.0.lock().unwrap().clone();
        assert_eq!(str::from_utf8(&said), Ok("<3>four\n<4>five port=5060\n<5>six\n<6>seven\n"));
    }

    #[test]
    fn options_raise_and_lower_the_level() {
        let levels = [-2, -1, 0, 1, 2, i8::MAX].map(level);
        assert_eq!(levels, [Level::WARN, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE]);
    }
}
