//! Sentry: errors as events, what led to them as breadcrumbs, database writes as spans. All of it does nothing until
//! [`start`] has been called.

use std::collections::BTreeMap;

use sentry::Hub;
use sentry::integrations::tracing::SpanLayer;
use sentry::protocol::{Breadcrumb, Event};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::line::Line;
use crate::config::Sentry;

/// Spans that are traced, by name. The sink opens one around each transaction.
const TRACED: &str = "db.batch_write";

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

/// The layer that turns database writes into traces. Events are left to the layer for lines, so that one error is one report.
pub(super) fn spans<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    SpanLayer::new().with_filter(filter_fn(|metadata| metadata.is_span() && metadata.name() == TRACED))
}

/// Reports a line that was written: an error as an event, the rest from INFO on as a breadcrumb.
pub(super) fn line(line: &Line<'_>) {
    if line.level > Level::INFO || Hub::main().client().is_none() {
        return;
    }
    let data: BTreeMap<String, serde_json::Value> =
        line.fields.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let level = match line.level {
        Level::ERROR => sentry::Level::Error,
        Level::WARN => sentry::Level::Warning,
        _ => sentry::Level::Info,
    };
    if line.level != Level::ERROR {
        Hub::main().add_breadcrumb(Breadcrumb {
            category: Some(line.logger.to_owned()),
            message: Some(line.event.to_owned()),
            level,
            data,
            ..Default::default()
        });
        return;
    }
    let mut tags = BTreeMap::from([("error_type".to_owned(), line.event.to_owned())]);
    if let Some(peer) = line.fields.get("peer").and_then(serde_json::Value::as_str) {
        tags.insert("peer_ip".to_owned(), peer.to_owned());
    }
    Hub::main().capture_event(Event {
        message: Some(line.event.to_owned()),
        logger: Some(line.logger.to_owned()),
        level,
        tags,
        extra: data,
        ..Default::default()
    });
}
