//! The fields of a log line. Texts in them come from routers, servers and libraries, so that each text, and
//! all texts of a line together, are bounded.
//!
//! A text that exceeds its bound is cut where it is recorded. It ends with "…" and the number of octets cut.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};

use crate::num::to_u64;

/// Maximum length of a text, as JSON writes it, in bytes. The mark of a cut is not included.
pub(super) const FIELD_MAX_BYTES: usize = 4 << 10;

/// Maximum length of all texts of a line together, in bytes, counted in the same way.
const LINE_TEXT_MAX_BYTES: usize = 12 << 10;

/// Fields of a span or an event, in order and with unique names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    values: Vec<(&'static str, Value)>,
    /// Length of all texts as JSON writes them, in bytes.
    text_bytes: usize,
}

impl Fields {
    /// Adds a field, or replaces the one with this name.
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        match value {
            Value::String(text) => self.set_text(name, |out| out.write_str(&text)),
            value => self.put(name, value),
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.values.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.values.remove(index);
        self.text_bytes = self.text_bytes.saturating_sub(text_bytes(&value));
        Some(value)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// Sets a field to the text that `write` writes, which is cut while it is written.
    fn set_text(&mut self, name: &'static str, write: impl FnOnce(&mut BoundedText) -> fmt::Result) {
        let before = self.get(name).map_or(0, text_bytes);
        let room = LINE_TEXT_MAX_BYTES.saturating_sub(self.text_bytes.saturating_sub(before));
        let mut text = BoundedText::new(room.min(FIELD_MAX_BYTES));
        // The text ends where a value fails to write itself.
        write(&mut text).unwrap_or_default();
        self.put(name, Value::from(text.finish()));
    }

    fn put(&mut self, name: &'static str, value: Value) {
        self.text_bytes = self.text_bytes.saturating_add(text_bytes(&value));
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                self.text_bytes = self.text_bytes.saturating_sub(text_bytes(known));
                *known = value;
            }
            None => self.values.push((name, value)),
        }
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
        self.set_text(field.name(), |out| out.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set_text(field.name(), |out| write!(out, "{value:?}"));
    }
}

/// Cuts a text whose JSON form is longer than `max` bytes.
pub(super) fn bounded(text: &str, max: usize) -> String {
    let mut out = BoundedText::new(max);
    out.write_str(text).unwrap_or_default();
    out.finish()
}

/// Length of a text as JSON writes it, without quotes; 0 for another value.
fn text_bytes(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().map(json_bytes).sum())
}

/// Length of a character in a JSON text, as `serde_json` escapes it.
const fn json_bytes(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        _ => letter.len_utf8(),
    }
}

/// A text that takes up to `room` bytes as JSON writes it, and counts the octets beyond.
struct BoundedText {
    text: String,
    room: usize,
    octets_cut: u64,
}

impl BoundedText {
    const fn new(room: usize) -> Self {
        Self { text: String::new(), room, octets_cut: 0 }
    }

    fn finish(mut self) -> String {
        if self.octets_cut > 0 {
            write!(self.text, "… ({} octets cut)", self.octets_cut).unwrap_or_default();
        }
        self.text
    }
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (offset, letter) in text.char_indices() {
            let bytes = json_bytes(letter);
            if self.octets_cut > 0 || bytes > self.room {
                self.octets_cut = self.octets_cut.saturating_add(to_u64(text.len() - offset));
                break;
            }
            self.room -= bytes;
            self.text.push(letter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_bound_and_ends_with_the_number_of_octets_cut() {
        assert_eq!(bounded("edge1", 5), "edge1");
        assert_eq!(bounded("edge12", 5), "edge1… (1 octets cut)");
        assert_eq!(bounded("größe", 3), "gr… (5 octets cut)", "no character is cut in two");
        assert_eq!(bounded("\0\"a", 7), "\0… (2 octets cut)", "control characters have six bytes in JSON");
        assert_eq!(bounded("a", 0), "… (1 octets cut)");
    }

    #[test]
    fn a_value_that_is_written_in_parts_is_cut_once() {
        let mut fields = Fields::default();
        fields.set_text("parts", |out| {
            for _ in 0..1_000 {
                write!(out, "{:08}", 7)?;
            }
            Ok(())
        });
        let text = fields.get("parts").and_then(Value::as_str).unwrap();
        assert!(text.ends_with(&format!("00000007… ({} octets cut)", 8_000 - FIELD_MAX_BYTES)), "{text}");
    }

    #[test]
    fn the_texts_of_a_line_share_a_bound_and_a_field_that_is_replaced_returns_its_part() {
        let mut fields = Fields::default();
        let long = "x".repeat(FIELD_MAX_BYTES);
        for name in ["a", "b", "c", "d"] {
            fields.set(name, long.clone().into());
        }
        assert_eq!(fields.get("c"), Some(&long.clone().into()));
        assert_eq!(fields.get("d"), Some(&format!("… ({FIELD_MAX_BYTES} octets cut)").into()));
        fields.set("a", "short".into());
        fields.set("d", "y".repeat(100).into());
        assert_eq!(fields.get("d"), Some(&"y".repeat(100).into()));
        fields.remove("b");
        fields.set("e", long.clone().into());
        assert_eq!(fields.get("e"), Some(&long.into()));
    }
}
