//! The subscriber layer that writes one log line per event.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::budget::{LogBudget, Part, Report};
use super::fields::Fields;
use super::log_line::{LineFormat, LogLine};
use super::output::{LineQueue, OutputState};
use super::rate_limit::RateLimiter;
use super::{clock, sentry};
use crate::num::to_u64;
use crate::route::Timestamp;

/// Events with one of these fields are rate-limited from level INFO on, because a router whose peers flap, or
/// a database that comes and goes, would flood the log. Others are rate-limited from level WARN on.
const FLAPPING: [&str; 2] = ["bgp_peer", "lane"];

/// Beginning of the module paths of this crate.
const OWN_MODULES: &str = "holdfast";

/// Name of the line with the number of dropped lines.
const DROPPED_EVENT: &str = "log_lines_dropped";

/// Name of the line with the number of lines that the budget of the log output suppressed.
const SUPPRESSED_EVENT: &str = "log_suppressed";

/// Explains the event `log_suppressed`.
const SUPPRESSED_DETAIL: &str = "lines beyond the budget of the log output; LOG_MAX_BYTES_PER_SECOND sets it";

/// Fields that name the router of a line, the first one that is present.
const ROUTER: [&str; 2] = ["peer", "router"];

/// Name of the events of libraries, whose own names are sentences. They are in the field `detail`.
const LIBRARY_EVENT: &str = "library_message";

/// The layer that writes log lines. Clones share their output and their rate limits.
#[derive(Clone)]
pub(super) struct LogLayer {
    shared: Arc<Shared>,
}

struct Shared {
    format: LineFormat,
    limiter: Mutex<RateLimiter>,
    budget: Mutex<LogBudget>,
    /// Start of the times in `budget`.
    started: Instant,
    out: LineQueue,
}

impl LogLayer {
    /// A layer that writes lines to `out` on a thread of its own, about `bytes_per_second` at most.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub(super) fn new(
        format: LineFormat,
        bytes_per_second: u64,
        out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        let out = LineQueue::start(out, Box::new(move |count| dropped_line(format, count)))?;
        let budget = Mutex::new(LogBudget::new(bytes_per_second, Duration::ZERO));
        let (limiter, started) = (Mutex::default(), Instant::now());
        Ok(Self { shared: Arc::new(Shared { format, limiter, budget, started, out }) })
    }

    /// Writes the counts of suppressed lines whose interval has ended.
    pub(super) fn tick(&self) {
        self.write_suppressed(clock::now(), false);
    }

    /// Writes the counts of all suppressed lines.
    pub(super) fn write_all_suppressed(&self) {
        self.write_suppressed(Timestamp(i64::MAX), true);
    }

    /// Writes the counts of all suppressed lines, and waits for the output, at most for this time.
    pub(super) fn finish(&self, timeout: Duration) {
        self.write_all_suppressed();
        self.shared.out.flush(timeout);
    }

    /// Changes the budget of the output to about `bytes_per_second`.
    pub(super) fn set_budget(&self, bytes_per_second: u64) {
        lock(&self.shared.budget).set_rate(bytes_per_second, self.elapsed());
    }

    pub(super) fn output(&self) -> OutputState {
        let lines_suppressed = lock(&self.shared.budget).suppressed();
        OutputState { lines_suppressed, ..self.shared.out.state() }
    }

    fn write_suppressed(&self, now: Timestamp, is_final: bool) {
        let lines = lock(&self.shared.limiter).expired(now);
        for line in &lines {
            self.write(line);
        }
        let report = lock(&self.shared.budget).report(self.elapsed(), is_final);
        if let Some(report) = report {
            // At most one such line in ten seconds, which the budget does not suppress.
            self.push(&suppressed_line(report));
        }
    }

    /// Writes a line if the budget admits it. Returns whether it does.
    fn write(&self, line: &LogLine) -> bool {
        let (part, repetitions) = (part_of(line), line.suppressed());
        if !lock(&self.shared.budget).admit(part, repetitions, self.elapsed()) {
            return false;
        }
        let bytes = self.push(line);
        lock(&self.shared.budget).charge(part, bytes, self.elapsed());
        true
    }

    /// Queues a line. Returns its length in bytes.
    fn push(&self, line: &LogLine) -> u64 {
        let text = self.shared.format.format(line);
        // Errors of routers must not fill the part of the queue that is kept for those of the service.
        let is_important = line.level <= Level::WARN && part_of(line) == Part::Service;
        self.shared.out.push(&text, is_important);
        to_u64(text.len())
    }

    fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }
}

/// The part of the budget to which a line belongs.
fn part_of(line: &LogLine) -> Part<'_> {
    if line.level > Level::INFO {
        return Part::Debug;
    }
    let router = ROUTER.iter().find_map(|name| line.fields.get(name)?.as_str());
    router.map_or(Part::Service, Part::Router)
}

/// The line with the number of lines that the budget has suppressed.
fn suppressed_line(report: Report) -> LogLine {
    let mut fields = Fields::default();
    fields.set("count", report.lines.into());
    if let Some((router, lines)) = report.heaviest {
        fields.set("heaviest", router.into());
        fields.set("heaviest_count", lines.into());
    }
    fields.set("detail", SUPPRESSED_DETAIL.into());
    LogLine {
        event: SUPPRESSED_EVENT.to_owned(),
        logger: module_path!(),
        level: Level::WARN,
        fields,
        time: clock::now(),
    }
}

/// The line with the number of lines that were not written.
fn dropped_line(format: LineFormat, count: u64) -> String {
    let mut fields = Fields::default();
    fields.set("count", count.into());
    fields.set("detail", "lines dropped because the log output did not accept them".into());
    format.format(&LogLine {
        event: DROPPED_EVENT.to_owned(),
        logger: module_path!(),
        level: Level::WARN,
        fields,
        time: clock::now(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
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
            if let Some(of_span) = span.extensions().get::<Fields>() {
                of_span.iter().for_each(|(name, value)| fields.set(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let name = fields.remove("message").map_or_else(String::new, |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        });
        let (level, logger) = (*event.metadata().level(), event.metadata().target());
        let name = if logger.starts_with(OWN_MODULES) {
            name
        } else {
            fields.set("detail", name.into());
            LIBRARY_EVENT.to_owned()
        };
        let is_flapping = || FLAPPING.iter().any(|field| fields.get(field).is_some());
        let is_limited = level <= Level::WARN || level == Level::INFO && is_flapping();
        let line = LogLine { event: name, logger, level, fields, time: clock::now() };
        let admitted = if is_limited { lock(&self.shared.limiter).admit(line) } else { Some(line) };
        if let Some(line) = admitted.filter(|line| self.write(line)) {
            sentry::report(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_line::LINE_MAX_BYTES;
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// Budget of an output, in bytes per second.
    const RATE: u64 = 64 << 10;

    /// An output that a test can read.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, work: impl FnOnce(&LogLayer)) -> Vec<String> {
        written_as(json, false, work)
    }

    fn written_as(json: bool, priorities: bool, work: impl FnOnce(&LogLayer)) -> Vec<String> {
        written_with(json, priorities, 1 << 20, work)
    }

    fn written_with(json: bool, priorities: bool, rate: u64, work: impl FnOnce(&LogLayer)) -> Vec<String> {
        let output = Output::default();
        let format = LineFormat { json, priorities };
        let layer = LogLayer::new(format, rate, Box::new(output.clone())).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.clone());
        tracing::subscriber::with_default(subscriber, || work(&layer));
        layer.shared.out.flush(Duration::MAX);
        let bytes = lock(&output.0).clone();
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
    fn an_error_is_one_line_however_often_it_comes_and_then_the_last_one_with_a_count() {
        let lines = written(true, |layer| {
            (0..50).for_each(|error| tracing::error!(peer = "a", error, "bmp_parse_error"));
            tracing::error!(peer = "b", "bmp_parse_error");
            (0..50).for_each(|_| tracing::info!(peer = "a", "peer_connected"));
            (0..50).for_each(|_| tracing::info!(peer = "a", bgp_peer = "c", "bmp_peer_up"));
            tracing::info!(peer = "a", bgp_peer = "d", "bmp_peer_up");
            layer.finish(Duration::MAX);
        });
        let of = |event: &str, field: (&str, &str)| -> Vec<Value> {
            let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.filter(|line| line["event"] == event && line[field.0] == field.1).collect()
        };
        assert_eq!(of("peer_connected", ("peer", "a")).len(), 50);
        assert_eq!(of("bmp_parse_error", ("peer", "b")).len(), 1);
        assert_eq!(of("bmp_peer_up", ("bgp_peer", "d")).len(), 1);
        // The last one is a line like the first one, and has the number of those between them.
        let errors = of("bmp_parse_error", ("peer", "a"));
        let [first, last] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!((&first["error"], &first["suppressed"]), (&0.into(), &Value::Null));
        assert_eq!((&last["error"], &last["suppressed"]), (&49.into(), &48.into()));
        assert_eq!(last["level"], "ERROR");
        let flaps = of("bmp_peer_up", ("bgp_peer", "c"));
        let [_, last] = flaps.as_slice() else { panic!("{flaps:?}") };
        assert_eq!((&last["level"], &last["suppressed"]), (&"INFO".into(), &48.into()));
    }

    #[test]
    fn made_up_peers_of_a_session_exceed_no_budget_and_hide_no_line_of_the_service() {
        const OFFERED: u64 = 20_000;
        let started = Instant::now();
        let lines = written_with(true, false, RATE, |layer| {
            let session = tracing::info_span!("session", peer = "192.0.2.1", port = 1);
            session.in_scope(|| {
                for number in 0..OFFERED {
                    tracing::error!(bgp_peer = number, error = "x".repeat(300), "bgp_parse_error");
                }
            });
            tracing::error!(error = "disk", "log_failed");
            tracing::info_span!("session", peer = "192.0.2.2").in_scope(|| tracing::info!("peer_connected"));
            layer.finish(Duration::MAX);
        });
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        let budget = RATE * 3 / 4 + RATE * (started.elapsed().as_secs() + 1);
        assert!(to_u64(bytes) < budget, "{bytes} bytes, budget {budget}");
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let named = |name: &str| lines.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
        assert_eq!((named("log_failed").len(), named("peer_connected").len()), (1, 1));
        let [report] = named(SUPPRESSED_EVENT).try_into().unwrap();
        assert_eq!(report["heaviest"], "192.0.2.1");
        assert_eq!(report["count"], report["heaviest_count"]);
        let count = report["count"].as_u64().unwrap();
        assert_eq!(
            count + to_u64(named("bgp_parse_error").len()),
            OFFERED,
            "each line is written or counted"
        );
    }

    #[test]
    fn made_up_routers_exceed_no_budget() {
        let started = Instant::now();
        let lines = written_with(true, false, RATE, |layer| {
            for number in 0..20_000 {
                tracing::warn!(peer = %number, reason = "x".repeat(300), "connection_refused");
            }
            (0..200).for_each(|_| tracing::debug!(peer = "a", data_hex = "x".repeat(3_000), "message"));
            layer.finish(Duration::MAX);
        });
        let of = |name: &str| {
            lines.iter().filter(|line| line.contains(name)).map(|line| to_u64(line.len())).sum::<u64>()
        };
        let seconds = started.elapsed().as_secs() + 1;
        let (refused, debug) = (of("connection_refused"), of("\"message\""));
        assert!(refused < RATE + RATE * seconds / 2 + 1_000, "{refused}");
        assert!(debug < 8 * RATE * (1 + seconds) + 4_000, "{debug}");
        assert!(debug > RATE, "lines of the level DEBUG have their own budget: {debug}");
    }

    #[test]
    fn errors_of_routers_leave_room_for_those_of_the_service_while_the_output_is_blocked() {
        let output = Output::default();
        let format = LineFormat { json: true, priorities: false };
        let layer = LogLayer::new(format, 1 << 30, Box::new(output.clone())).unwrap();
        let blocked = lock(&output.0);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.clone()), || {
            let mut peer = 0;
            while layer.output().lines_dropped == 0 {
                tracing::error!(peer = %peer, detail = "x".repeat(3_000), "bmp_parse_error");
                peer += 1;
            }
            // Longer than the others, so that it does not fit into what they left.
            tracing::error!(error = "x".repeat(4_000), "log_failed");
        });
        drop(blocked);
        layer.finish(Duration::MAX);
        let text = String::from_utf8(lock(&output.0).clone()).unwrap();
        assert!(text.contains("\"event\":\"log_failed\""));
    }

    #[test]
    fn a_megabyte_in_a_field_is_cut() {
        let long = "\u{1b}\"\\".repeat(350_000);
        for json in [true, false] {
            let lines = written(json, |_| {
                let span = tracing::info_span!("session", peer = %long);
                span.in_scope(|| tracing::error!(?long, text = long, detail = %long, more = %long, "event"));
                tracing::warn!(target: "some::library", "{long}");
            });
            assert_eq!(lines.len(), 2);
            for line in lines {
                assert!(line.len() <= LINE_MAX_BYTES, "{} bytes", line.len());
                assert!(line.contains(" octets cut)"), "{line}");
                assert!(!json || serde_json::from_str::<Value>(&line).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn an_event_of_a_library_has_its_text_in_a_field() {
        let lines = written(true, |_| tracing::warn!(target: "some::library", "connection lost: x"));
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["event"], &line["logger"]), (&"library_message".into(), &"some::library".into()));
        assert_eq!(line["detail"], "connection lost: x");
    }

    #[test]
    fn wide_integers_are_json_numbers() {
        let lines = written(true, |_| {
            tracing::info!(wide = 52_u128, negative = -1_i128, huge = u128::MAX, "numbers")
        });
        assert!(lines[0].contains(r#""wide":52,"negative":-1,"huge":"340"#), "{}", lines[0]);
    }

    #[test]
    fn lines_for_the_journal_begin_with_their_priority() {
        let lines = written_as(false, true, |_| {
            tracing::error!("one");
            tracing::warn!("two");
            tracing::info!("three");
            tracing::debug!("four");
        });
        let heads: Vec<&str> = lines.iter().filter_map(|line| line.get(..3)).collect();
        assert_eq!(heads, ["<3>", "<4>", "<6>", "<7>"]);
        assert!(written_as(true, true, |_| tracing::info!("one"))[0].starts_with(r#"<6>{"event":"one""#));
    }

    #[test]
    fn text_is_for_people() {
        let lines = written(false, |_| tracing::warn!(peer = "192.0.2.1", why = "two words", "odd"));
        assert!(lines[0].ends_with(r#"WARNING odd peer=192.0.2.1 why="two words""#), "{}", lines[0]);
    }
}
