//! The daemon: identity, health and its own log lines.

use std::collections::BTreeMap;

use super::{Metric, Samples, Scrape, flag};
use crate::num::to_f64;
use crate::telemetry::status::Health;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge(
        "build_info",
        &["version"],
        "Always 1; the version of the daemon is a label",
        |scrape, samples| {
            samples.with([&scrape.version], 1.0);
        },
    ),
    Metric::gauge(
        "collector_info",
        &["collector"],
        "Always 1; the identity of the collector is a label",
        |scrape, samples| samples.with([&scrape.collector], 1.0),
    ),
    Metric::gauge("uptime_seconds", &[], "Time since the start of the daemon", |scrape, samples| {
        samples.count(scrape.uptime_s);
    }),
    Metric::gauge(
        "health",
        &["state"],
        "1 for the current state of health (healthy, degraded or down), 0 for the others",
        |scrape, samples| {
            for state in [Health::Healthy, Health::Degraded, Health::Down] {
                samples.with([state.to_string()], flag(scrape.state == state));
            }
        },
    ),
    Metric::gauge(
        "conditions",
        &["kind"],
        "Conditions that need attention, by kind; no sample for a kind without one",
        conditions,
    ),
    Metric::counter(
        "log_lines_dropped",
        &[],
        "Log lines dropped because the output did not accept them",
        |scrape, samples| samples.count(scrape.log_output.lines_dropped),
    ),
    Metric::counter(
        "log_lines_suppressed",
        &[],
        "Log lines suppressed because they exceeded LOG_MAX_BYTES_PER_SECOND",
        |scrape, samples| samples.count(scrape.log_output.lines_suppressed),
    ),
    Metric::counter(
        "error_reports_suppressed",
        &[],
        "Error reports to Sentry suppressed because they exceeded their budget",
        |scrape, samples| samples.count(scrape.log_output.reports_suppressed),
    ),
    Metric::gauge(
        "log_output_blocked_seconds",
        &[],
        "Time for which the output has not accepted log lines; 0 if none are waiting",
        |scrape, samples| samples.one(scrape.log_output.blocked_s),
    ),
];

fn conditions<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>) {
    let mut kinds = BTreeMap::<String, u64>::new();
    for kind in &scrape.conditions {
        let name = serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned));
        *kinds.entry(name.unwrap_or_default()).or_default() += 1;
    }
    kinds.into_iter().for_each(|(kind, count)| samples.with([kind], to_f64(count)));
}
