//! Reports to Sentry: errors as events, the lines before them as breadcrumbs, database transactions as spans.
//!
//! Everything here is without effect until [`start`] has been called.

use std::collections::BTreeMap;

use sentry::Hub;
use sentry::integrations::tracing::SpanLayer;
use sentry::protocol::{Breadcrumb, Event};
use serde_json::Value;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::log_line::LogLine;
use crate::config::Sentry;

/// Name of the spans that are traced. The sink opens one around each transaction.
const TRACED: &str = "db.batch_write";

/// Installs the Sentry client. Dropping the guard sends the pending reports.
pub(super) fn start(sentry: &Sentry) -> sentry::ClientInitGuard {
    sentry::init(
        sentry::ClientOptions::new()
            .dsn(sentry.dsn.reveal())
            .release(concat!("holdfast@", env!("CARGO_PKG_VERSION")))
            .environment(sentry.environment.clone())
            .traces_sample_rate(sentry.traces_sample_rate)
            .max_breadcrumbs(100)
            .send_default_pii(false),
    )
}

/// The layer that traces database transactions. It ignores events, which [`report`] handles, so that each
/// error is reported once.
pub(super) fn trace_layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    SpanLayer::new().with_filter(filter_fn(|metadata| metadata.is_span() && metadata.name() == TRACED))
}

/// Reports a log line: level ERROR as an event, WARN and INFO as a breadcrumb.
pub(super) fn report(line: &LogLine) {
    if line.level > Level::INFO || Hub::main().client().is_none() {
        return;
    }
    let data: BTreeMap<String, Value> =
        line.fields.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
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
            data,
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
        extra: data,
        ..Default::default()
    });
}
