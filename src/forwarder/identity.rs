//! Determines the log id to deliver under: the log's own, or a new one if the log is a fork.
//!
//! A copied or restored log directory has the id of the original. The checkpoint of each lane holds the
//! digest of the last batch that was delivered under an id. A log that holds another batch at that sequence
//! number, or ends before it, is not the log that was delivered: it is a fork. Continuing after the
//! checkpoint would skip the batches in which the two logs differ. A fork therefore gets a new id, kept in a
//! marker file beside the segments, and is delivered from the first batch after the last one that both have
//! in common (`last_common`).
//!
//! ```text
//! database   1 … 70 │ 71 72 … 100          checkpoint at 100
//! this log   1 … 70 │ 71'72'… 80'          ends before 100, or 100' ≠ 100
//!                   └ fork: the new id starts after 70
//! ```
//!
//! If the log has dropped the batch at the checkpoint, the marker file `delivered` decides: a batch after the
//! sequence number in that file, which the log no longer has, was delivered from another log.
//!
//! A marker file that was lost or damaged is restored from the database: the log is the one that was
//! delivered under an id if it holds the batches at all checkpoints of that id. Its own id is no proof
//! without the batches at the checkpoints: the database may have them from the original.
//!
//! The check runs before any lane is taken over, so that a copy that is started does not fence out the
//! original.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

mod last_common;

use last_common::{Comparison, digests_of};

use super::error::IdentityError;
use super::marker_files::{FORKED, MarkerFileError, delivered_seq};
use crate::sink::{self, Checkpoint, Client};
use crate::wal::{GapReason, Item, Log, LogId, SeqNo, Storage};

/// Explains a fork in the `log_forked` event.
const FORK_DETAIL: &str = "the log directory was copied or restored: the database has other batches under \
    its id. The log is delivered under a new id from the last common batch on; no batch is skipped. \
    Make sure that only one collector runs on each copy";

/// Explains the event `forked_marker_restored`.
const RESTORED_DETAIL: &str = "the marker file `forked` was missing, damaged or out of date. The log holds \
    the batches that were delivered under this id, and continues under it";

/// Whether a log is the one that was delivered under an id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// The log holds the batches at all checkpoints.
    Proven,
    /// The log no longer holds a batch at a checkpoint, and nothing speaks against it.
    Possible,
    /// The log holds another batch at a checkpoint, or never had one.
    Excluded,
}

/// Compares a log with the checkpoints that the database has of it.
pub(super) struct ForkCheck<'a, S: Storage> {
    /// Directory of the marker files; `None` if there are none. A fork then gets a new id at every start.
    pub(super) directory: Option<&'a Path>,
    /// The collector's id.
    pub(super) collector: &'a str,
    /// The log's own id.
    pub(super) log_id: LogId,
    pub(super) log: &'a Arc<Log<S>>,
    /// Last batch that can be read.
    pub(super) durable: SeqNo,
    /// Last batch that the log had at the start. Later ones cannot be in the database yet, unless they were
    /// delivered from another log.
    pub(super) end: SeqNo,
}

impl<S: Storage> ForkCheck<'_, S> {
    /// Returns the id to deliver under, and the number of lanes that the database has of it (`None` if it has
    /// none). Registers a new id for a fork in the marker file and in the database.
    pub(super) async fn resolve(&self, client: &mut Client) -> Result<(LogId, Option<u32>), IdentityError> {
        let fork = match self.directory.map(|directory| FORKED.read(directory, self.log_id)).transpose() {
            Ok(fork) => fork.flatten(),
            Err(error @ MarkerFileError::Malformed { .. }) => {
                let known = self.restore(client, None).await?;
                return known.ok_or_else(|| error.into());
            }
            Err(error) => return Err(error.into()),
        };
        let id = fork.map_or(self.log_id, |id| LogId(id.to_be_bytes()));
        let checkpoints = sink::checkpoints(client, self.collector, id).await?;
        let count = checkpoints.iter().map(|lane| lane.lanes).max();
        if checkpoints.is_empty() && fork.is_some() {
            // The process ended after it had written the marker file.
            return Ok((id, self.begin(client, id).await?));
        }
        let matching = self.matches(&checkpoints).await?;
        if checkpoints.is_empty() || matching == Match::Proven {
            return Ok((id, count));
        }
        if let Some(known) = self.restore(client, Some(id)).await? {
            return Ok(known);
        }
        if matching == Match::Possible {
            return Ok((id, count));
        }
        let new = LogId::random();
        let starts = self.last_common(client, id, &checkpoints).await?;
        let from_seq = starts.iter().map(|lane| lane.last_seq).min().unwrap_or(0) + 1;
        let database_seq = checkpoints.iter().map(|lane| lane.last_seq).max().unwrap_or(0);
        // The marker file is written first: if the process ends before the new id is in the database, the
        // next start registers it.
        if let Some(directory) = self.directory {
            FORKED.write(directory, self.log_id, u128::from_be_bytes(new.0))?;
        }
        sink::begin_fork(client, self.collector, id, new, &starts).await?;
        tracing::error!(
            previous_log_id = %id,
            log_id = %new,
            from_seq,
            database_seq,
            durable_seq = self.durable.0,
            detail = FORK_DETAIL,
            "log_forked"
        );
        Ok((new, count))
    }

    /// Searches the id under which this log was delivered, other than `mismatch`, and restores the marker
    /// file. `None` if the log matches no id.
    async fn restore(
        &self,
        client: &Client,
        mismatch: Option<LogId>,
    ) -> Result<Option<(LogId, Option<u32>)>, IdentityError> {
        let mut best: Option<(u64, LogId, Option<u32>)> = None;
        for id in sink::log_ids(client, self.collector).await? {
            if Some(id) == mismatch || id == self.log_id {
                continue;
            }
            let checkpoints = sink::checkpoints(client, self.collector, id).await?;
            let delivered = checkpoints.iter().map(|lane| lane.last_seq).min().unwrap_or(0);
            let is_further = best.is_none_or(|(before, ..)| delivered > before);
            if is_further
                && self.holds(client, id).await?
                && self.matches(&checkpoints).await? != Match::Excluded
            {
                best = Some((delivered, id, checkpoints.iter().map(|lane| lane.lanes).max()));
            }
        }
        let Some((delivered_seq, id, count)) = best else { return Ok(None) };
        if let Some(directory) = self.directory {
            FORKED.write(directory, self.log_id, u128::from_be_bytes(id.0))?;
        }
        tracing::warn!(log_id = %id, delivered_seq, detail = RESTORED_DETAIL, "forked_marker_restored");
        Ok(Some((id, count)))
    }

    /// Registers the id of a fork that the marker file has and the database does not. Returns the number of
    /// lanes.
    async fn begin(&self, client: &mut Client, id: LogId) -> Result<Option<u32>, IdentityError> {
        let mut best: Option<(LogId, Vec<Checkpoint>)> = None;
        let first = |lanes: &[Checkpoint]| lanes.iter().map(|lane| lane.last_seq).min().unwrap_or(0);
        for old in sink::log_ids(client, self.collector).await? {
            let checkpoints = sink::checkpoints(client, self.collector, old).await?;
            let starts = self.last_common(client, old, &checkpoints).await?;
            if best.as_ref().is_none_or(|(_, lanes)| first(&starts) > first(lanes)) {
                best = Some((old, starts));
            }
        }
        let Some((old, starts)) = best.filter(|(_, lanes)| first(lanes) > 0) else { return Ok(None) };
        sink::begin_fork(client, self.collector, old, id, &starts).await?;
        Ok(starts.iter().map(|lane| lane.lanes).max())
    }

    /// Per lane, the last batch that the log has in common with the delivery under `id`.
    async fn last_common(
        &self,
        client: &Client,
        id: LogId,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Checkpoint>, IdentityError> {
        let comparison = Comparison { log: self.log, client, collector: self.collector, id };
        comparison.last_common(self.durable.0, checkpoints).await
    }

    /// Returns whether the log holds the last batch that was delivered under `id` itself: not only the batch
    /// after which a fork began.
    async fn holds(&self, client: &Client, id: LogId) -> Result<bool, IdentityError> {
        let ledger = sink::digests(client, self.collector, id, 1, self.end.0).await?;
        let delivered = ledger.into_iter().filter(|(_, _, digest)| *digest != 0);
        let Some((_, seq, digest)) = delivered.max_by_key(|(_, seq, _)| *seq) else { return Ok(false) };
        let found = digests_of(self.log, seq, seq, HashSet::from([seq])).await?;
        Ok(found.get(&seq) == Some(&digest))
    }

    /// Returns whether the log holds the batches at the checkpoints. A batch that cannot be read is not
    /// compared.
    async fn matches(&self, checkpoints: &[Checkpoint]) -> Result<Match, IdentityError> {
        if checkpoints.iter().any(|lane| lane.last_seq > self.end.0) {
            return Ok(Match::Excluded);
        }
        let wanted: HashSet<u64> = checkpoints.iter().map(|lane| lane.last_seq).collect();
        let mut found = HashMap::new();
        for seq in wanted {
            found.extend(digests_of(self.log, seq, seq, HashSet::from([seq])).await?);
        }
        let differs = |lane: &Checkpoint| found.get(&lane.last_seq).is_some_and(|own| *own != lane.digest);
        if checkpoints.iter().any(|lane| lane.digest != 0 && differs(lane)) {
            return Ok(Match::Excluded);
        }
        let is_held = |lane: &Checkpoint| lane.last_seq == 0 || found.contains_key(&lane.last_seq);
        let matching = if checkpoints.iter().all(is_held) { Match::Proven } else { Match::Possible };
        let delivered = self.directory.and_then(|directory| delivered_seq(directory, self.log_id));
        let Some(delivered) = delivered else { return Ok(matching) };
        for lane in checkpoints.iter().filter(|lane| u128::from(lane.last_seq) > delivered) {
            if was_dropped(self.log, lane.last_seq).await? {
                return Ok(Match::Excluded);
            }
        }
        Ok(matching)
    }
}

/// Returns whether the log once held batch `seq` and has retired its segment.
async fn was_dropped<S: Storage>(log: &Arc<Log<S>>, seq: u64) -> Result<bool, IdentityError> {
    let mut reader = log.reader(SeqNo(seq));
    let reading = move || {
        let item = reader.next(SeqNo(seq)).map_err(IdentityError::Read)?;
        Ok(matches!(item, Some(Item::Gap { reason: GapReason::Dropped | GapReason::Missing, .. })))
    };
    tokio::task::spawn_blocking(reading).await.map_err(IdentityError::Panicked)?
}
