//! Log lines for programs: each one object of JSON.
//!
//! `time` (UTC), `level`, `message`, then the fields of the event. Numbers and
//! booleans are such, all else is text.

use std::fmt::{self, Debug, Display, Write};

use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::decimal::Decimal;

/// The event as an object on a line.
pub(super) fn write(event: &Event<'_>, line: &mut String) -> fmt::Result {
    line.push_str("{\"time\":\"");
    SystemTime.format_time(&mut Writer::new(line))?;
    write!(line, "\",\"level\":\"{}\"", event.metadata().level())?;
    let mut fields = Fields { line, result: Ok(()) };
    event.record(&mut fields);
    let Fields { line, result } = fields;
    line.push_str("}\n");
    result
}

/// Writes fields as members of an object.
struct Fields<'a> {
    line: &'a mut String,
    result: fmt::Result,
}

impl Fields<'_> {
    fn member(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let result = self.result.and_then(|()| write!(self.line, ",\"{}\":{value}", field.name()));
        self.result = result;
    }
}

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, format_args!("{}", Decimal(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, format_args!("{}", Quoted(&value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, format_args!("{}", Quoted(&format_args!("{value:?}"))));
    }
}

/// A string of JSON (RFC 8259 §7).
struct Quoted<'a>(&'a dyn Display);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        write!(Escaping(f), "{}", self.0)?;
        f.write_str("\"")
    }
}

/// Escapes what goes through it.
struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '"' | '\\' => write!(self.0, "\\{letter}"),
            '\n' => self.0.write_str("\\n"),
            letter if letter.is_control() => write!(self.0, "\\u{:04x}", u32::from(letter)),
            letter => self.0.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::logging::tests::logged_as_json;

    #[test]
    fn each_event_is_one_object_on_one_line() {
        let said = logged_as_json(|| {
            tracing::warn!(count = 3, held = true, reason = %"a \"b\"\\\n\u{1b}[2J", from = ?"x", "dropped");
            tracing::info!("{}", "two\nlines");
        });
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second] = &lines[..] else { panic!("{said}") };
        assert!(first["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!((&first["level"], &first["message"]), (&json!("WARN"), &json!("dropped")));
        assert_eq!((&first["count"], &first["held"]), (&json!(3), &json!(true)));
        assert_eq!((&first["reason"], &first["from"]), (&json!("a \"b\"\\\n\u{1b}[2J"), &json!("\"x\"")));
        assert_eq!(second["message"], "two\nlines");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}
