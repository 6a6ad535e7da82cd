//! Metrics: tables of definitions, each with a function that reads its values from the status document.
//!
//! The names follow the conventions of Prometheus: base units, `_total` for counters. A counter begins at 0
//! with each start of the daemon; those of a router begin at 0 with each of its sessions.

mod bmp;
mod daemon;
mod delivery;
mod listener;
mod log;
mod peers;
mod process;
mod routers;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::num::to_f64;
use crate::telemetry::status::Document;

/// Prefix of all names, except those of the process.
const PREFIX: &str = "holdfast_";

/// One metric.
pub(super) struct Metric {
    /// Name without the suffix `_total`.
    name: &'static str,
    kind: Kind,
    /// Meaning, as one phrase.
    help: &'static str,
    /// Names of the labels.
    labels: &'static [&'static str],
    /// Reads the values.
    read: Read,
}

type Read = for<'a> fn(&'a Scrape, &mut Samples<'a>);

/// Type of a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The status from which the values are read.
#[derive(Debug)]
pub(super) struct Scrape {
    document: Arc<Document>,
    /// Number of peers up to which there are series of peers.
    peers_max: usize,
}

impl Deref for Scrape {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

/// Values of one metric.
#[derive(Debug, Default)]
pub(super) struct Samples<'a> {
    /// The values of the labels of all samples, one sample after the other: a scrape of thousands of routers
    /// allocates nothing for a sample.
    labels: Vec<Cow<'a, str>>,
    values: Vec<f64>,
    histogram: Option<Histogram>,
}

/// The value of a histogram.
#[derive(Debug)]
struct Histogram {
    count: u64,
    sum: f64,
    /// Upper bounds, and the number of observations in each bucket.
    buckets: Vec<(f64, u64)>,
}

impl<'a> Samples<'a> {
    /// Adds the only value of a metric without labels.
    fn one(&mut self, value: f64) {
        self.values.push(value);
    }

    /// The same for a whole number.
    fn count(&mut self, value: u64) {
        self.one(to_f64(value));
    }

    /// Adds a value with the values of its labels.
    fn with<const N: usize>(&mut self, labels: [impl Into<Cow<'a, str>>; N], value: f64) {
        self.labels.extend(labels.map(Into::into));
        self.values.push(value);
    }

    /// The samples in the order of their labels. A series that was added twice is there once, with its first
    /// value: Prometheus refuses a page on which a series occurs twice, and routers choose labels.
    fn series(&self) -> Vec<(&[Cow<'a, str>], f64)> {
        if self.labels.is_empty() {
            return self.values.first().map(|value| (self.labels.as_slice(), *value)).into_iter().collect();
        }
        let labels = self.labels.chunks(self.labels.len() / self.values.len().max(1));
        let mut series: Vec<_> = labels.zip(self.values.iter().copied()).collect();
        series.sort_by_key(|(labels, _)| *labels);
        series.dedup_by_key(|(labels, _)| *labels);
        series
    }
}

/// Groups of metrics with their headings, in the order of the documentation.
const GROUPS: [(&str, &[Metric]); 8] = [
    ("Daemon", daemon::METRICS),
    ("Process", process::METRICS),
    ("Listener", listener::METRICS),
    ("BMP messages and records", bmp::METRICS),
    ("Routers", routers::METRICS),
    ("Peers", peers::METRICS),
    ("Write-ahead log", log::METRICS),
    ("Delivery", delivery::METRICS),
];

fn all() -> impl Iterator<Item = &'static Metric> {
    GROUPS.iter().flat_map(|(_, metrics)| *metrics)
}

impl Metric {
    const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: Read,
    ) -> Self {
        Self { name, kind: Kind::Gauge, help, labels, read }
    }

    const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: Read,
    ) -> Self {
        Self { name, kind: Kind::Counter, help, labels, read }
    }

    const fn histogram(name: &'static str, help: &'static str, read: Read) -> Self {
        Self { name, kind: Kind::Histogram, help, labels: &[], read }
    }

    fn full_name(&self) -> String {
        let is_of_process = self.name.starts_with("process_");
        format!("{}{}", if is_of_process { "" } else { PREFIX }, self.name)
    }

    fn encode(&self, scrape: &Scrape, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut samples = Samples::default();
        (self.read)(scrape, &mut samples);
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let name = self.full_name();
        let mut metric = encoder.encode_descriptor(&name, self.help, None, kind)?;
        if let Some(Histogram { count, sum, buckets }) = samples.histogram {
            return metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        let mut labels = Vec::with_capacity(self.labels.len());
        for (values, value) in samples.series() {
            labels.clear();
            labels.extend(self.labels.iter().copied().zip(values.iter().map(Cow::as_ref)));
            let sample = metric.encode_family(&labels)?;
            match self.kind {
                Kind::Counter => ConstCounter::new(value).encode(sample)?,
                Kind::Gauge | Kind::Histogram => ConstGauge::new(value).encode(sample)?,
            }
        }
        Ok(())
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        all().try_for_each(|metric| metric.encode(self, &mut encoder))
    }
}

/// All metrics in the text format of OpenMetrics, or of Prometheus.
pub(super) fn text(
    document: Arc<Document>,
    peers_max: usize,
    is_openmetrics: bool,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { document, peers_max }));
    let mut output = String::new();
    if is_openmetrics {
        text::encode(&mut output, &registry)?;
    } else {
        prometheus_text::encode(&mut output, &registry)?;
    }
    Ok(output)
}

/// The reference of all metrics: docs/METRICS.md.
#[must_use]
pub fn reference() -> String {
    let mut page = include_str!("head.md").to_owned();
    for (title, metrics) in GROUPS {
        let head = format!("\n## {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
        page.push_str(&head);
        for metric in metrics {
            let (kind, suffix) = match metric.kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Gauge => ("gauge", ""),
                Kind::Histogram => ("histogram", ""),
            };
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, labels, help) = (metric.full_name(), labels.join(", "), metric.help);
            page.push_str(&format!("| `{name}{suffix}` | {kind} | {labels} | {help} |\n"));
        }
    }
    page
}

/// 1 for true, 0 for false.
const fn flag(is_true: bool) -> f64 {
    if is_true { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::status::{BgpSession, Delivery, Family, Lane, Peer, PeerState, Router, Syncs};

    fn router(name: &str, peers: usize) -> Router {
        let family = Family { family: "ipv4-unicast".to_owned(), routes: 7, ..Family::default() };
        let peer = |number: usize| Peer {
            address: format!("192.0.2.{number}"),
            peer_type: 0,
            distinguisher: "0:0".to_owned(),
            asn: 65_001,
            bgp_id: "192.0.2.1".to_owned(),
            state: PeerState::Up,
            reason: None,
            downs: 2,
            bgp_session: BgpSession::default(),
            views: [("adj-rib-in-pre".to_owned(), vec![family.clone()])].into(),
        };
        let (name, connected) = (name.to_owned(), true);
        Router { name, connected, peers: (0..peers).map(peer).collect(), ..Router::default() }
    }

    fn scrape(document: Document, peers_max: usize) -> String {
        text(Arc::new(document), peers_max, true).unwrap()
    }

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let names: BTreeSet<&str> = all().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all().count());
        for metric in all() {
            let is_word = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            assert!(metric.name.chars().all(is_word), "{}", metric.name);
            assert!(!metric.name.ends_with("_total"), "{}: the format adds it", metric.name);
            assert!(!metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
        }
    }

    #[test]
    fn a_sample_has_a_value_for_each_label() {
        let delivery = Some(Delivery { lanes: vec![Lane::default()], ..Delivery::default() });
        let document = Document { routers: vec![router("edge1", 1)], delivery, ..Document::default() };
        let scrape = Scrape { document: Arc::new(document), peers_max: 1 };
        for metric in all() {
            let mut samples = Samples::default();
            (metric.read)(&scrape, &mut samples);
            let labels = samples.values.len() * metric.labels.len();
            assert_eq!(samples.labels.len(), labels, "{}", metric.name);
            assert_eq!(samples.histogram.is_some(), metric.kind == Kind::Histogram, "{}", metric.name);
        }
    }

    #[test]
    fn there_are_no_series_of_peers_above_the_limit() {
        let document = || Document { routers: vec![router("edge1", 3)], ..Document::default() };
        let all = scrape(document(), 3);
        assert_eq!(all.matches("holdfast_peer_up{").count(), 3);
        assert!(all.contains("\nholdfast_peer_series_omitted 0"), "{all}");
        let none = scrape(document(), 2);
        assert_eq!(none.matches("holdfast_peer_up{").count(), 0);
        assert!(none.contains("\nholdfast_peer_series_omitted 3"), "{none}");
        assert!(none.contains("holdfast_router_peers{router=\"edge1\",state=\"up\"} 3"), "{none}");
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_infinity() {
        let mut document = Document::default();
        document.wal.syncs = Syncs { count: 6, seconds: 1.5, buckets: vec![(0.001, 3), (0.002, 2)] };
        let text = scrape(document, 0);
        for line in ["bucket{le=\"0.001\"} 3", "bucket{le=\"0.002\"} 5", "bucket{le=\"+Inf\"} 6", "count 6"] {
            assert!(text.contains(&format!("holdfast_wal_sync_duration_seconds_{line}\n")), "{text}");
        }
    }

    #[test]
    fn a_series_occurs_once() {
        let twice = vec![router("edge1", 1), router("edge1", 1)];
        let text = scrape(Document { routers: twice, ..Document::default() }, 9);
        let series: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|line| line.0)
            .collect();
        let unique: BTreeSet<&str> = series.iter().copied().collect();
        assert_eq!(series.len(), unique.len(), "{text}");
    }

    #[test]
    fn what_routers_choose_is_escaped() {
        let text = scrape(Document { routers: vec![router("a\"b\\c\nd", 0)], ..Document::default() }, 0);
        assert!(text.contains(r#"holdfast_router_up{router="a\"b\\c\nd"} 1"#), "{text}");
    }

    #[test]
    fn a_value_that_is_not_known_has_no_sample() {
        let delivery = Some(Delivery { lag_s: None, ..Delivery::default() });
        let text = scrape(Document { delivery, ..Document::default() }, 0);
        assert!(!text.contains("\nholdfast_delivery_lag_seconds "), "{text}");
        assert!(!scrape(Document::default(), 0).contains("\nholdfast_delivery_lag_batches "));
    }
}
