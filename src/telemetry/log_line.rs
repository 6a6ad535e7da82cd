//! A log line and its formats: JSON as in pybmpmon (`event`, `logger`, `level`, `timestamp`, then the
//! fields), or text. A line has at most [`LINE_MAX_BYTES`].

use std::fmt::Write as _;

use serde_json::Value;
use tracing::Level;

use super::fields::Fields;
use super::{clock, printable};
use crate::route::Timestamp;

/// Maximum length of a line in bytes: the event and the texts of its fields, whose lengths `fields` bounds,
/// and the names and numbers of at most 64 fields (32 of the event, 32 of its spans).
pub(super) const LINE_MAX_BYTES: usize = 24 << 10;

/// Name of the field with the number of suppressed lines for which a line stands.
pub(super) const SUPPRESSED_FIELD: &str = "suppressed";

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
        debug_assert!(text.len() <= LINE_MAX_BYTES, "a line of {} bytes", text.len());
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

impl LogLine {
    /// Number of suppressed lines for which this one stands.
    pub(super) fn suppressed(&self) -> u64 {
        self.fields.get(SUPPRESSED_FIELD).and_then(Value::as_u64).unwrap_or_default()
    }

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names of fields, more than an event has.
    const NAMES: [&str; 12] =
        ["peer", "port", "router", "detail", "error", "data_hex", "reason", "level", "a", "b", "c", "d"];

    /// Texts with any characters, and long ones of few.
    fn text() -> impl Strategy<Value = String> {
        let any = proptest::collection::vec(any::<char>(), 0..200).prop_map(String::from_iter);
        let letters =
            proptest::sample::select(vec!['\0', '"', '\\', '\n', '\u{9b}', 'x', 'é', '…', '\u{10ffff}']);
        let long = (letters, 0..1_000_000_usize)
            .prop_map(|(letter, count)| String::from_iter(std::iter::repeat_n(letter, count)));
        prop_oneof![3 => any, 1 => long]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_text_in_any_field_gives_one_line_of_bounded_length(
            event in text(),
            texts in proptest::collection::vec(text(), 0..NAMES.len()),
            json: bool,
        ) {
            let mut fields = Fields::default();
            fields.set("message", event.into());
            let event = fields.remove("message").and_then(|value| value.as_str().map(str::to_owned)).unwrap();
            for (name, text) in NAMES.into_iter().zip(&texts) {
                fields.set(name, text.clone().into());
            }
            let line = LogLine { event, logger: "test", level: Level::ERROR, fields, time: Timestamp(0) };
            let text = LineFormat { json, priorities: false }.format(&line);
            prop_assert!(text.len() <= LINE_MAX_BYTES, "{} bytes", text.len());
            prop_assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
            if json {
                let value: Value = serde_json::from_str(&text).unwrap();
                for (name, text) in NAMES.into_iter().zip(texts).filter(|(name, _)| *name != "level") {
                    let written = value[name].as_str().unwrap();
                    let kept = written.rsplit_once("… (").map_or(written, |(kept, _)| kept);
                    prop_assert!(text == written || text.starts_with(kept), "{}", name);
                }
            } else {
                prop_assert!(!text.trim_end().chars().any(char::is_control));
            }
        }
    }
}
