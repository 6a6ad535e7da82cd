//! Reports to Sentry: errors as events, the lines before them as breadcrumbs, database transactions as spans.
//!
//! The number of reports is bounded (`budget`), and so is every text in them. Nothing waits for the
//! server (`transport`). Everything here is without effect until [`start`] has been called.

mod budget;
mod transport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sentry::Hub;
use sentry::integrations::tracing::SpanLayer;
use sentry::protocol::{Breadcrumb, Event};
use serde_json::Value;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{FIELD_MAX_BYTES, bounded};
use super::log_line::{LogLine, SUPPRESSED_FIELD};
use crate::config::Sentry;
use budget::ReportBudget;
use transport::Factory;

/// Name of the spans that are traced. The sink opens one around each transaction.
const TRACED: &str = "db.batch_write";

/// Maximum number of breadcrumbs, which every report contains.
const BREADCRUMBS_MAX: usize = 50;

/// Maximum length of a text in a breadcrumb, in bytes.
const BREADCRUMB_TEXT_MAX_BYTES: usize = 256;

/// Time limit for sending the queued reports at the end of the process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Explains the event `sentry_suppressed`.
const SUPPRESSED_DETAIL: &str = "error reports beyond the budget of reports per minute";

/// The Sentry client. Dropping it sends the queued reports, within [`SHUTDOWN_TIMEOUT`].
pub(super) struct Client {
    budget: Arc<Mutex<ReportBudget>>,
    started: Instant,
    _guard: sentry::ClientInitGuard,
}

impl Client {
    /// Reports suppressed since the start.
    pub(super) fn suppressed(&self) -> u64 {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).suppressed()
    }

    /// Logs the number of reports suppressed in the last minute, if there were any.
    pub(super) fn tick(&self) {
        let count = {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            budget.take_suppressed(self.started.elapsed())
        };
        if let Some(count) = count {
            tracing::warn!(count, detail = SUPPRESSED_DETAIL, "sentry_suppressed");
        }
    }
}

/// Installs the Sentry client.
pub(super) fn start(sentry: &Sentry) -> Client {
    let (budget, started) = (Arc::<Mutex<ReportBudget>>::default(), Instant::now());
    let of_client = Arc::clone(&budget);
    let options = sentry::ClientOptions::new()
        .dsn(sentry.dsn.reveal())
        .release(concat!("holdfast@", env!("CARGO_PKG_VERSION")))
        .environment(sentry.environment.clone())
        .traces_sample_rate(sentry.traces_sample_rate)
        .max_breadcrumbs(BREADCRUMBS_MAX)
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .transport(Factory)
        .before_send(move |event| within_budget(event, &of_client, started.elapsed()))
        .send_default_pii(false);
    Client { budget, started, _guard: sentry::init(options) }
}

/// Returns the event if the budget admits it, with bounded texts and the number of those suppressed before.
fn within_budget(
    mut event: Event<'static>,
    budget: &Mutex<ReportBudget>,
    now: Duration,
) -> Option<Event<'static>> {
    let name = event.message.as_deref().unwrap_or(super::PANICKED);
    let suppressed = budget.lock().unwrap_or_else(PoisonError::into_inner).admit(name, now)?;
    if suppressed > 0 {
        event.extra.insert(format!("reports_{SUPPRESSED_FIELD}"), suppressed.into());
    }
    for text in event.exception.values.iter_mut().filter_map(|exception| exception.value.as_mut()) {
        *text = bounded(text, FIELD_MAX_BYTES);
    }
    Some(event)
}

/// The layer that traces database transactions. It ignores events, which [`report`] handles, so that each
/// error is reported once.
pub(super) fn trace_layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    SpanLayer::new().with_filter(filter_fn(|metadata| metadata.is_span() && metadata.name() == TRACED))
}

/// Reports a log line, whose texts are bounded: level ERROR as an event, WARN and INFO as a breadcrumb.
pub(super) fn report(line: &LogLine) {
    if line.level > Level::INFO || Hub::main().client().is_none() {
        return;
    }
    let level = match line.level {
        Level::ERROR => sentry::Level::Error,
        Level::WARN => sentry::Level::Warning,
        _ => sentry::Level::Info,
    };
    // The client reports panics by itself, with their stack.
    if line.level != Level::ERROR || line.event == super::PANICKED {
        Hub::main().add_breadcrumb(Breadcrumb {
            category: Some(line.logger.to_owned()),
            message: Some(line.event.clone()),
            level,
            data: line.fields.iter().map(|(name, value)| (name.to_owned(), shortened(value))).collect(),
            ..Default::default()
        });
        return;
    }
    let mut tags = BTreeMap::from([("error_type".to_owned(), line.event.clone())]);
    if let Some(peer) = line.fields.get("peer").and_then(Value::as_str) {
        tags.insert("peer_ip".to_owned(), peer.to_owned());
    }
    Hub::main().capture_event(Event {
        message: Some(line.event.clone()),
        logger: Some(line.logger.to_owned()),
        level,
        tags,
        extra: line.fields.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        ..Default::default()
    });
}

/// A value for a breadcrumb.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => bounded(text, BREADCRUMB_TEXT_MAX_BYTES).into(),
        other => other.clone(),
    }
}
