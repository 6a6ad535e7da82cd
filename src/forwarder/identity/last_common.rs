//! Determines the last batch that a log has in common with the log that was delivered under an id.
//!
//! ```text
//! ledger   ─────────────────┤ 70 ├──────────────────────────────────┤ 90 ├─
//! digest                    equal                                  differs
//! rows                         71 72 73 74 equal │ 75 76 … differ
//!                                                └ last common batch: 74
//! ```
//!
//! The ledger has a digest of each transaction end, which brackets the batch. Between two transaction ends
//! the rows decide: a batch is the same if its rows in the database have its BMP session, its times and its
//! routes. The routes are compared in a few batches only, by bisection: all batches after the first one that
//! differs do so, too. Of a batch of events alone, only session and times are compared. Batches without a
//! row, whose routes all were unchanged or of which retention has dropped the rows, are not compared; if they
//! come last, they are sent again, and store unchanged routes as unchanged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::error::IdentityError;
use crate::codec;
use crate::route::{Batch, Timestamp};
use crate::sink::{self, Checkpoint, Client, StoredBatch};
use crate::wal::{Item, Log, LogId, SeqNo, Storage};

/// Session of a batch, and the times of its first and its last record.
type Times = (Timestamp, Timestamp, Timestamp);

/// A log and its delivery under an id.
pub(super) struct Comparison<'a, S: Storage> {
    pub(super) log: &'a Arc<Log<S>>,
    pub(super) client: &'a Client,
    pub(super) collector: &'a str,
    pub(super) id: LogId,
}

impl<S: Storage> Comparison<'_, S> {
    /// Per lane, the last batch up to `durable` that the log and the delivery have in common: at most the
    /// lane's checkpoint; 0 if there is none.
    pub(super) async fn last_common(
        &self,
        durable: u64,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Checkpoint>, IdentityError> {
        let ledger = sink::digests(self.client, self.collector, self.id, 1, durable).await?;
        let ends: HashSet<u64> = ledger.iter().map(|(_, seq, _)| *seq).collect();
        let from = ends.iter().min().copied().unwrap_or(1);
        let mut own = digests_of(self.log, from, durable, ends).await?;
        let is_same = |seq: &u64, digest: &u64| own.get(seq) == Some(digest);
        let same = ledger.iter().filter(|(_, seq, digest)| is_same(seq, digest)).map(|(_, seq, _)| *seq);
        let end = same.max().unwrap_or(0);
        let differs = |seq: &u64, digest: &u64| *seq > end && own.contains_key(seq) && !is_same(seq, digest);
        let other = ledger.iter().filter(|(_, seq, digest)| differs(seq, digest)).map(|(_, seq, _)| *seq);
        let until = other.min().unwrap_or(durable);
        let common = self.last_with_same_rows(end + 1, until).await?.unwrap_or(end);
        let starts: HashSet<u64> = checkpoints.iter().map(|lane| lane.last_seq.min(common)).collect();
        for seq in starts {
            own.extend(digests_of(self.log, seq, seq, HashSet::from([seq])).await?);
        }
        let start = |lane: &Checkpoint| {
            let last_seq = lane.last_seq.min(common);
            Checkpoint { last_seq, digest: own.get(&last_seq).copied().unwrap_or(0), ..*lane }
        };
        Ok(checkpoints.iter().map(start).collect())
    }

    /// The last batch from `from` to `until` whose rows are those of the log's batch.
    async fn last_with_same_rows(&self, from: u64, until: u64) -> Result<Option<u64>, IdentityError> {
        let own = times_of(self.log, from, until).await?;
        let first = own.values().map(|(_, first, _)| *first).min();
        let last = own.values().map(|(.., last)| *last).max();
        let Some(times) = first.zip(last) else { return Ok(None) };
        let stored = sink::stored_batches(self.client, self.collector, self.id, (from, until), times).await?;
        let is_same = |batch: &&StoredBatch| {
            own.get(&batch.seq).is_some_and(|(session, first, last)| {
                batch.session == *session && batch.first >= *first && batch.last <= *last
            })
        };
        let mut candidates: Vec<u64> = stored.iter().filter(is_same).map(|batch| batch.seq).collect();
        candidates.sort_unstable();
        let (mut same, mut unknown) = (None, candidates.as_slice());
        while let Some((before, [seq, after @ ..])) = unknown.split_at_checked(unknown.len() / 2) {
            if self.has_same_routes(*seq).await? {
                (same, unknown) = (Some(*seq), after);
            } else {
                unknown = before;
            }
        }
        Ok(same)
    }

    /// Whether the stored routes of a batch are those of the log's batch.
    async fn has_same_routes(&self, seq: u64) -> Result<bool, IdentityError> {
        let mut reader = self.log.reader(SeqNo(seq));
        let reading = move || match reader.next(SeqNo(seq)).map_err(IdentityError::Read)? {
            Some(Item::Data { payload, .. }) => Ok(codec::decode(payload).ok()),
            _ => Ok(None),
        };
        let batch: Result<Option<Batch>, IdentityError> =
            tokio::task::spawn_blocking(reading).await.map_err(IdentityError::Panicked)?;
        let Some(batch) = batch? else { return Ok(false) };
        let Some(times) = received(&batch) else { return Ok(false) };
        let stored = sink::stored_routes(self.client, self.collector, self.id, seq, times).await?;
        Ok(stored.iter().all(|route| route.is_of(&batch)))
    }
}

/// Session and times of each batch from `from` to `until` that can be read and has a record.
async fn times_of<S: Storage>(
    log: &Arc<Log<S>>,
    from: u64,
    until: u64,
) -> Result<HashMap<u64, Times>, IdentityError> {
    let mut reader = log.reader(SeqNo(from));
    let reading = move || {
        let mut found = HashMap::new();
        while let Some(item) = reader.next(SeqNo(until)).map_err(IdentityError::Read)? {
            if let Item::Data { seq, payload, .. } = item
                && let Ok(batch) = codec::decode(payload)
                && let Some((first, last)) = received(&batch)
            {
                found.insert(seq.0, (batch.router.session, first, last));
            }
        }
        Ok(found)
    };
    tokio::task::spawn_blocking(reading).await.map_err(IdentityError::Panicked)?
}

/// Times of the first and the last record of a batch.
fn received(batch: &Batch) -> Option<(Timestamp, Timestamp)> {
    let groups = batch.groups.iter().map(|group| group.received);
    let times = || groups.clone().chain(batch.events.iter().map(|event| event.received));
    times().min().zip(times().max())
}

/// The digests of the `wanted` batches within `from` to `to`, as far as they can be read.
pub(super) async fn digests_of<S: Storage>(
    log: &Arc<Log<S>>,
    from: u64,
    to: u64,
    wanted: HashSet<u64>,
) -> Result<HashMap<u64, u64>, IdentityError> {
    if to == 0 {
        return Ok(HashMap::new());
    }
    let mut reader = log.reader(SeqNo(from.max(1)));
    let reading = move || {
        let mut found = HashMap::new();
        while let Some(item) = reader.next(SeqNo(to)).map_err(IdentityError::Read)? {
            if let Item::Data { seq, payload, .. } = item
                && wanted.contains(&seq.0)
            {
                found.insert(seq.0, sink::digest(seq.0, payload));
            }
        }
        Ok(found)
    };
    tokio::task::spawn_blocking(reading).await.map_err(IdentityError::Panicked)?
}
