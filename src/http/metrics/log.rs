//! The write-ahead log.

use super::{Histogram, Metric, Samples, Scrape, flag};
use crate::num::to_f64;
use crate::telemetry::status::{LossReason, PAUSE_REASONS};

/// Seconds of an hour.
const HOUR: f64 = 3_600.0;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("wal_written_seq", &[], "Sequence number of the last batch written", |scrape, samples| {
        samples.count(scrape.wal.written);
    }),
    Metric::gauge(
        "wal_durable_seq",
        &[],
        "Sequence number of the last batch synced to disk",
        |scrape, samples| samples.count(scrape.wal.durable),
    ),
    Metric::counter("wal_durable_records", &[], "Records synced to disk", |scrape, samples| {
        samples.count(scrape.wal.records_durable);
    }),
    Metric::gauge(
        "wal_unsynced_records",
        &[],
        "Received records that a power loss now would cost",
        |scrape, samples| samples.count(scrape.wal.unsynced_records),
    ),
    Metric::gauge(
        "wal_unsynced_seconds",
        &[],
        "Time for which the oldest of these records has been waiting",
        |scrape, samples| samples.one(scrape.wal.unsynced_s),
    ),
    Metric::histogram(
        "wal_sync_duration_seconds",
        "Durations of the syncs that ended a group of batches by its age or size",
        sync_duration,
    ),
    Metric::gauge("wal_segments", &[], "Segment files", |scrape, samples| samples.count(scrape.wal.segments)),
    Metric::gauge("wal_bytes", &[], "Size of the log", |scrape, samples| samples.count(scrape.wal.bytes)),
    Metric::gauge("wal_bytes_max", &[], "Maximum size of the log", |scrape, samples| {
        samples.count(scrape.wal.bytes_max);
    }),
    Metric::gauge(
        "wal_filesystem_free_bytes",
        &[],
        "Free bytes of the log's file system",
        |scrape, samples| samples.count(scrape.wal.free_bytes),
    ),
    Metric::gauge(
        "wal_full_in_seconds",
        &[],
        "Time until the log is full at the growth rate of the last minutes; no sample if it does not grow",
        |scrape, samples| scrape.wal.hours_left.into_iter().for_each(|hours| samples.one(hours * HOUR)),
    ),
    Metric::gauge(
        "wal_paused",
        &["reason"],
        "1 while the log is not writable for the reason, else 0",
        |scrape, samples| {
            for reason in PAUSE_REASONS {
                samples.with([reason], flag(scrape.wal.paused_by.as_deref() == Some(reason)));
            }
        },
    ),
    Metric::counter(
        "wal_lost_batches",
        &["reason"],
        "Batches found to be missing, by reason: rot (corrupt), unreadable, torn, dropped, missing, skipped",
        |scrape, samples| {
            for reason in LossReason::ALL {
                let lost = scrape.wal.lost_batches.get(&reason).copied().unwrap_or_default();
                samples.with([reason.to_string()], to_f64(lost));
            }
        },
    ),
    Metric::counter(
        "wal_dropped_batches",
        &[],
        "Undelivered batches dropped (WAL_FULL=drop-oldest)",
        |scrape, samples| samples.count(scrape.wal.dropped),
    ),
];

fn sync_duration<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>) {
    let syncs = &scrape.wal.syncs;
    let mut buckets = syncs.buckets.clone();
    let longer = syncs.count.saturating_sub(buckets.iter().map(|(_, count)| count).sum());
    buckets.push((f64::INFINITY, longer));
    samples.histogram = Some(Histogram { count: syncs.count, sum: syncs.seconds, buckets });
}
