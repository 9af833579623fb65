//! Log lines for people: the message, then `name=value` for each field.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::decimal::Decimal;

/// The event as a line, with its time (UTC) and level in front where they are wanted.
pub(super) fn write(event: &Event<'_>, with_time: bool, line: &mut String) -> fmt::Result {
    if with_time {
        SystemTime.format_time(&mut Writer::new(line))?;
        write!(line, " {} ", level(*event.metadata().level()))?;
    }
    let mut fields = Fields { start: line.len(), line, result: Ok(()) };
    event.record(&mut fields);
    let Fields { line, result, .. } = fields;
    line.push('\n');
    result
}

/// All are of one width.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => " WARN",
        Level::INFO => " INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

struct Fields<'a> {
    line: &'a mut String,
    /// Where they begin.
    start: usize,
    result: fmt::Result,
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record_debug(field, &format_args!("{}", Decimal(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.line.len() > self.start {
            self.line.push(' ');
        }
        let written = match field.name() {
            "message" => write!(Harmless(self.line), "{value:?}"),
            name => write!(self.line, "{name}={value:?}"),
        };
        self.result = self.result.and(written);
    }
}

/// Escapes what would steer a terminal.
struct Harmless<'a>(&'a mut String);

impl Write for Harmless<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '\x07' | '\x08' | '\x0c' | '\x1b' | '\x7f' => write!(self.0, "\\x{:02x}", u32::from(letter)),
            '\u{80}'..='\u{9f}' => write!(self.0, "\\u{{{:x}}}", u32::from(letter)),
            letter => self.0.write_char(letter),
        })
    }
}
