//! One event, one line: JSON in the shape of pybmpmon (`event`, `logger`, `level` in capitals, `timestamp`, then the
//! fields), or text.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::clock;
use super::printable;
use super::rate_limit::{Kind, Limiter, Verdict};
use super::sentry;

/// Fields that say whom a line is about, and so take part in folding.
const ABOUT: [&str; 5] = ["peer", "router", "bgp_peer", "distinguisher", "lane"];

/// A line with this field is folded from INFO on: a router whose peers flap must not flood the log.
const FOLDED: &str = "bgp_peer";

/// The layer that writes lines.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    json: bool,
    limiter: Mutex<Limiter>,
    out: Mutex<Box<dyn Write + Send>>,
}

/// The fields of a span or event, in order.
#[derive(Clone, Default)]
pub(super) struct Fields(pub(super) Vec<(&'static str, Value)>);

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) event: &'a str,
    pub(super) logger: &'a str,
    pub(super) level: Level,
    pub(super) fields: &'a Fields,
}

impl Lines {
    pub(super) fn new(json: bool, out: Box<dyn Write + Send>) -> Self {
        Self { shared: Arc::new(Shared { json, limiter: Mutex::default(), out: Mutex::new(out) }) }
    }

    /// Writes the counts of the lines that were held back and whose time is over.
    pub(super) fn tick(&self) {
        let expired = lock(&self.shared.limiter).expired(clock::now());
        self.counts(expired);
    }

    /// Writes all counts.
    pub(super) fn finish(&self) {
        let rest = lock(&self.shared.limiter).expired(crate::route::Timestamp(i64::MAX));
        self.counts(rest);
    }

    fn counts(&self, counts: Vec<(Kind, u64)>) {
        for (kind, count) in counts {
            let mut fields = Fields::default();
            fields.set("of", Value::from(kind.event));
            if !kind.about.is_empty() {
                fields.set("about", Value::from(kind.about));
            }
            fields.set("count", Value::from(count));
            let line =
                Line { event: "repeated", logger: module_path!(), level: Level::WARN, fields: &fields };
            self.write(&line);
        }
    }

    fn write(&self, line: &Line<'_>) {
        let timestamp = clock::iso8601(clock::now());
        let text = if self.shared.json { json(line, &timestamp) } else { text(line, &timestamp) };
        let mut out = lock(&self.shared.out);
        // A log that cannot be written must not stop the collector, and there is nowhere left to say so.
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
    }
}

/// A value without the quotes that JSON puts around a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(known) = span.extensions().get::<Fields>() {
                known.0.iter().for_each(|(name, value)| fields.set(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let name = fields.take("message").map_or_else(String::new, |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        });
        let level = *event.metadata().level();
        if level <= Level::WARN || level == Level::INFO && fields.get(FOLDED).is_some() {
            let about: Vec<String> = ABOUT.iter().filter_map(|name| fields.get(name)).map(plain).collect();
            let about = about.join(" ");
            let kind = Kind { event: name.clone(), about };
            match lock(&self.shared.limiter).admit(&kind, clock::now()) {
                Verdict::HoldBack => return,
                Verdict::Write { held_back: 0 } => {}
                Verdict::Write { held_back } => fields.set("repeated", Value::from(held_back)),
            }
        }
        let line = Line { event: &name, logger: event.metadata().target(), level, fields: &fields };
        self.write(&line);
        sentry::line(&line);
    }
}

impl Fields {
    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(place).1)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
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

/// The level's name as Python's logging has it.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "TRACE",
        Level::DEBUG => "DEBUG",
        Level::INFO => "INFO",
        Level::WARN => "WARNING",
        Level::ERROR => "ERROR",
    }
}

fn json(line: &Line<'_>, timestamp: &str) -> String {
    let head = [
        ("event", line.event),
        ("logger", line.logger),
        ("level", level_name(line.level)),
        ("timestamp", timestamp),
    ];
    let head = head.map(|(name, text)| (name, Value::from(text)));
    let fields = line.fields.0.iter().filter(|(name, _)| !head.iter().any(|(known, _)| known == name));
    let mut out = String::from("{");
    for (place, (name, value)) in head.iter().chain(fields).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a String has no way to fail.
        write!(out, "{comma}{}:{value}", Value::from(*name)).unwrap_or_default();
    }
    out.push_str("}\n");
    out
}

fn text(line: &Line<'_>, timestamp: &str) -> String {
    let mut out = format!("{timestamp} {:<7} {}", level_name(line.level), line.event);
    for (name, value) in &line.fields.0 {
        let quoted = value.to_string();
        let bare = value.as_str().filter(|text| {
            !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic() && letter != '"')
        });
        write!(out, " {name}={}", bare.unwrap_or(&quoted)).unwrap_or_default();
    }
    printable(&out) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// Where a test reads what was written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, work: impl FnOnce(&Lines)) -> Vec<String> {
        let page = Page::default();
        let lines = Lines::new(json, Box::new(page.clone()));
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || work(&lines));
        let bytes = lock(&page.0).clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_has_the_shape_of_pybmpmon() {
        let lines =
            written(true, |_| tracing::info!(peer = "192.0.2.1", count = 3_u64, "peer \"x\"\nconnected"));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["event"], "peer \"x\"\nconnected");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["logger"], module_path!());
        assert_eq!(line["peer"], "192.0.2.1");
        assert_eq!(line["count"], 3);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_field_cannot_pass_for_the_head_of_the_line() {
        let lines = written(true, |_| tracing::info!(level = "FORGED", "named"));
        assert_eq!(lines[0].matches("\"level\"").count(), 1);
        assert!(!lines[0].contains("FORGED"));
    }

    #[test]
    fn the_fields_of_the_span_are_in_its_lines() {
        let lines = written(true, |_| {
            let span = tracing::info_span!("session", peer = "192.0.2.1");
            span.in_scope(|| tracing::info!("inside"));
            tracing::info!("outside");
        });
        assert!(lines[0].contains(r#""peer":"192.0.2.1""#));
        assert!(!lines[1].contains("peer"));
    }

    #[test]
    fn an_error_is_one_line_however_often_it_comes_and_then_a_count() {
        let lines = written(true, |lines| {
            (0..50).for_each(|_| tracing::error!(peer = "a", "bmp_parse_error"));
            tracing::error!(peer = "b", "bmp_parse_error");
            (0..50).for_each(|_| tracing::info!(peer = "a", "peer_connected"));
            (0..50).for_each(|_| tracing::info!(peer = "a", bgp_peer = "c", "bmp_peer_up"));
            tracing::info!(peer = "a", bgp_peer = "d", "bmp_peer_up");
            lines.finish();
        });
        let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(count(r#""event":"bmp_parse_error""#), 2);
        assert_eq!(count("peer_connected"), 50);
        assert_eq!(count(r#""event":"bmp_peer_up""#), 2);
        assert_eq!(count(r#""of":"bmp_peer_up","about":"a c","count":49"#), 1);
        assert_eq!(count(r#""of":"bmp_parse_error","about":"a","count":49"#), 1);
    }

    #[test]
    fn text_is_for_people() {
        let lines = written(false, |_| tracing::warn!(peer = "192.0.2.1", why = "two words", "odd"));
        assert!(lines[0].ends_with(r#"WARNING odd peer=192.0.2.1 why="two words""#), "{}", lines[0]);
    }
}
