//! Reads two figures about batches of earlier runs from the log, for the status: their number of records, and
//! the age of the first undelivered record.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::Snapshot;
use super::snapshot::lag::LookedUp;
use crate::codec;
use crate::route::{Batch, Timestamp};
use crate::telemetry::clock;
use crate::wal::{Disk, Item, ReadError, Reader, SeqNo, inspect};

/// Interval at which the delivered positions are compared with those that were looked up. Looking one up
/// reads at most a segment, unless everything behind it is damaged.
const INTERVAL: Duration = Duration::from_secs(2);

/// Looks up batches of earlier runs.
pub(super) struct Backlog {
    snapshot: Arc<Snapshot>,
    /// Last batch of the run before.
    last_seq_before: SeqNo,
    /// Number of the first segment of this run.
    first_segment: u64,
}

impl Backlog {
    pub(super) const fn new(snapshot: Arc<Snapshot>, last_seq_before: SeqNo, first_segment: u64) -> Self {
        Self { snapshot, last_seq_before, first_segment }
    }

    /// Never returns.
    pub(super) async fn run(self) {
        let Self { snapshot, last_seq_before, first_segment } = self;
        let dir = snapshot.wal_dir.clone();
        let counting = move || record_counts(&Disk::open(&dir)?, last_seq_before, first_segment);
        if let Some(counts) = blocking(counting).await {
            snapshot.set_earlier_records(counts);
        }
        let mut clock = tokio::time::interval(INTERVAL);
        loop {
            clock.tick().await;
            for position in snapshot.unknown_positions() {
                let mut reader = snapshot.log.reader(SeqNo(position).next());
                let looking = move || first_received(&mut reader, last_seq_before);
                let Some(received) = blocking(looking).await else { continue };
                let now = clock::now();
                snapshot.looked_up(
                    position,
                    match received {
                        None => LookedUp::Unreadable,
                        Some(received) if received > now => LookedUp::ClockBehind,
                        Some(received) => {
                            let micros = now.0.saturating_sub(received.0).cast_unsigned();
                            LookedUp::Age(Duration::from_micros(micros))
                        }
                    },
                );
            }
        }
    }
}

/// Runs `reading` on a thread for blocking work. Logs an error and returns `None` if it fails.
async fn blocking<T: Send + 'static>(
    reading: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Option<T> {
    let result = tokio::task::spawn_blocking(reading).await;
    match result.map_err(|error| ReadError::Io(error.into())).flatten() {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, "backlog_not_read");
            None
        }
    }
}

/// Batches of earlier runs, and the number of records up to each: one for each segment, from its totals.
fn record_counts(
    disk: &Disk,
    last_seq_before: SeqNo,
    first_segment: u64,
) -> Result<Vec<(u64, u64)>, ReadError> {
    let (mut counts, mut records) = (Vec::new(), 0_u64);
    for segment in inspect::overview(disk)?.segments {
        let Some(header) = segment.header.filter(|header| header.number < first_segment) else { continue };
        counts.push((header.first_seq.prev().0, records));
        let totals = inspect::totals(disk, &segment)?.unwrap_or_default();
        records = records.saturating_add(totals.records);
    }
    counts.push((last_seq_before.0, records));
    Ok(counts)
}

/// Time at which the first record that `reader` finds up to `last` was received.
fn first_received(reader: &mut Reader<Disk>, last: SeqNo) -> Result<Option<Timestamp>, ReadError> {
    while let Some(item) = reader.next(last)? {
        let Item::Data { payload, .. } = item else { continue };
        if let Some(received) = codec::decode(payload).ok().as_ref().and_then(received) {
            return Ok(Some(received));
        }
    }
    Ok(None)
}

/// Time at which the first record of a batch was received.
fn received(batch: &Batch) -> Option<Timestamp> {
    let routes = batch.groups.iter().map(|group| group.received);
    routes.chain(batch.events.iter().map(|event| event.received)).min()
}
