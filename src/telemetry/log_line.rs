//! A log line and its formats: JSON as in pybmpmon (`event`, `logger`, `level`, `timestamp`, then the
//! fields), or text.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

use super::{clock, printable};
use crate::route::Timestamp;

/// Fields of a span or an event, in order and with unique names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

/// Format of log lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFormat {
    /// JSON, else text.
    pub(super) json: bool,
    /// Lines begin with `<N>`, where N is the priority of syslog(3), as the journal of systemd expects it
    /// (sd-daemon(3)).
    pub(super) priorities: bool,
}

impl LineFormat {
    /// The line, with a line break.
    pub(super) fn format(self, line: &LogLine) -> String {
        let timestamp = clock::iso8601(line.time);
        let text = if self.json { line.to_json(&timestamp) } else { line.to_text(&timestamp) };
        if self.priorities { format!("<{}>{text}", priority(line.level)) } else { text }
    }
}

/// Priority of a level in syslog(3).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// One log line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogLine {
    /// Name of the event.
    pub(super) event: String,
    /// Module that logged the event.
    pub(super) logger: &'static str,
    pub(super) level: Level,
    pub(super) fields: Fields,
    /// Time of the event.
    pub(super) time: Timestamp,
}

impl Fields {
    /// Adds a field, or replaces the one with this name.
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(index).1)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Value::from(value));
    }

    // Such as `Duration::as_millis`. JSON numbers have 64 bits here, so that larger ones become text.
    fn record_u128(&mut self, field: &Field, value: u128) {
        let value = u64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from);
        self.set(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let value = i64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from);
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), Value::from(format!("{value:?}")));
    }
}

impl LogLine {
    /// The line as one JSON object, with a line break. Fields with the name of a leading key are omitted.
    fn to_json(&self, timestamp: &str) -> String {
        let head = [
            ("event", self.event.as_str()),
            ("logger", self.logger),
            ("level", level_name(self.level)),
            ("timestamp", timestamp),
        ];
        let head = head.map(|(name, text)| (name, Value::from(text)));
        let fields = self.fields.iter().filter(|(name, _)| !head.iter().any(|(known, _)| known == name));
        let mut out = String::from("{");
        for (index, (name, value)) in
            head.iter().map(|(name, value)| (*name, value)).chain(fields).enumerate()
        {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            write!(out, "{comma}{}:{value}", Value::from(name)).unwrap_or_default();
        }
        out.push_str("}\n");
        out
    }

    /// The line as text, with a line break.
    fn to_text(&self, timestamp: &str) -> String {
        let mut out = format!("{timestamp} {:<7} {}", level_name(self.level), self.event);
        for (name, value) in self.fields.iter() {
            let quoted = value.to_string();
            let bare = value.as_str().filter(|text| {
                !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic() && letter != '"')
            });
            write!(out, " {name}={}", bare.unwrap_or(&quoted)).unwrap_or_default();
        }
        printable(&out) + "\n"
    }
}

/// Name of a level as in Python's logging module, which pybmpmon uses.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "TRACE",
        Level::DEBUG => "DEBUG",
        Level::INFO => "INFO",
        Level::WARN => "WARNING",
        Level::ERROR => "ERROR",
    }
}
