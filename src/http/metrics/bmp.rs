//! Messages of all sessions since the start, and the records that were handed to the log.

use std::collections::BTreeMap;

use super::{Metric, Samples};
use crate::num::to_f64;

pub(super) const METRICS: &[Metric] = &[
    Metric::counter("bmp_messages", &["type"], "BMP messages received, by type", |scrape, samples| {
        named(samples, &scrape.sessions.messages);
    }),
    Metric::counter("bmp_bytes", &[], "Bytes of these messages", |scrape, samples| {
        samples.count(scrape.sessions.bytes);
    }),
    Metric::counter(
        "bmp_errors",
        &["kind"],
        "Messages and PDUs that could not be decoded, or only in part: framing, message, open, statistics \
         or update",
        |scrape, samples| named(samples, &scrape.sessions.errors),
    ),
    Metric::counter(
        "bmp_overridden",
        &["kind"],
        "Attribute sets and NLRI fields decoded otherwise than negotiated: AS number width, ADD-PATH",
        |scrape, samples| named(samples, &scrape.sessions.overridden),
    ),
    Metric::counter(
        "bmp_irregularities",
        &["kind"],
        "Deviations from the RFCs that lose no route, and limits that were exceeded",
        |scrape, samples| named(samples, &scrape.sessions.irregularities),
    ),
    Metric::counter("routes", &["action"], "Route records decoded, by action", |scrape, samples| {
        samples.with(["announce"], to_f64(scrape.sessions.announced));
        samples.with(["withdraw"], to_f64(scrape.sessions.withdrawn));
    }),
    Metric::counter("logged_routes", &[], "Route records handed to the log", |scrape, samples| {
        samples.count(scrape.sessions.routes_logged);
    }),
    Metric::counter(
        "logged_events",
        &["kind"],
        "Event records handed to the log, by kind; no sample for a kind without one",
        |scrape, samples| named(samples, &scrape.sessions.events_logged),
    ),
    Metric::counter(
        "gaps",
        &["reason"],
        "Gaps recorded: times in which messages may not have been recorded; no sample for a reason without \
         one",
        |scrape, samples| {
            for (reason, gaps) in &scrape.sessions.gaps {
                samples.with([reason], to_f64(gaps.count));
            }
        },
    ),
    Metric::counter("gap_seconds", &["reason"], "Length of these gaps", |scrape, samples| {
        for (reason, gaps) in &scrape.sessions.gaps {
            samples.with([reason], gaps.seconds);
        }
    }),
];

fn named<'a>(samples: &mut Samples<'a>, counts: &'a BTreeMap<String, u64>) {
    counts.iter().for_each(|(name, count)| samples.with([name], to_f64(*count)));
}
