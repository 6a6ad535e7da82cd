//! The first part of a start: opening the log, and bringing the local state up to date with it.

mod directories;

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::codec;
use crate::committer::fair_share::Source;
use crate::committer::{AppendError, Committer};
use crate::config::Config;
use crate::forwarder;
use crate::listener::Registry;
use crate::log_id::{LogId, random_seed};
use crate::num::to_u32_saturating;
use crate::route::{Batch, EventKind};
use crate::state::{OpenOutcome, StateStore};
use crate::telemetry::clock;
use crate::wal::{self, Damage, Disk, Item, Log, Recovered, SeqNo, Writer, inspect};
pub use directories::DirectoryError;

/// The log after recovery.
pub(super) struct OpenedLog {
    pub(super) recovered: Recovered,
    /// The log as readers see it.
    pub(super) log: Arc<Log<Disk>>,
    /// Records that recovery copied into the first segment of this run. They are not counted as records of
    /// this run.
    pub(super) records_copied: u64,
    /// Payloads of the last run that readers do not see until there is space for their copies.
    pub(super) held_back: Vec<Vec<u8>>,
}

impl OpenedLog {
    /// The damage that recovery found, without writes that a crash interrupted.
    pub(super) fn damage(&self) -> Vec<String> {
        let damage = self.recovered.damage.iter();
        damage.filter(|one| !matches!(one, Damage::Torn { .. })).map(Damage::to_string).collect()
    }
}

/// Checks who can replace the files of the daemon, opens the log, and logs the result of recovery.
pub(super) fn open_log(config: &Config) -> Result<(Writer<Disk>, OpenedLog), Error> {
    directories::check(config)?;
    let dir = &config.wal.dir;
    let mut options = wal::Options::new(LogId::random(), random_seed(), clock::now().0);
    options.segment_bytes = config.wal.segment_bytes;
    options.bytes_max = config.wal.max_bytes;
    options.free_percent_min = config.wal.min_free_percent;
    options.drop_oldest = config.wal.drop_oldest;
    options.compress = config.wal.compress;
    let disk = Disk::create(dir).map_err(|source| Error::CreateLog { dir: dir.clone(), source })?;
    options.external_high_water = high_water(dir, &disk);
    let (writer, recovered) =
        wal::recover(disk, options).map_err(|source| Error::OpenLog { dir: dir.clone(), source })?;
    tracing::info!(
        log_id = %recovered.log_id,
        next_seq = recovered.next.0,
        oldest_seq = recovered.oldest.0,
        is_new = recovered.is_new,
        closed_cleanly = recovered.was_closed,
        batches_copied = recovered.copied,
        "log_opened"
    );
    for damage in &recovered.damage {
        tracing::error!(%damage, "log_damage");
    }
    let (log, records_copied, held_back) = (writer.log(), writer.records_durable(), writer.held_back());
    Ok((writer, OpenedLog { recovered, log, records_copied, held_back }))
}

/// The log id, and the highest sequence number that the database is known to have of it. If the disk has lost
/// the end of the log, numbers up to it are not assigned again.
fn high_water(dir: &Path, disk: &Disk) -> Option<(LogId, SeqNo)> {
    // Recovery reports an error of reading the segments.
    let log_id = inspect::overview(disk).ok()?.log_id?;
    match forwarder::delivered_up_to(dir, log_id) {
        Ok(seq) => Some((log_id, seq?)),
        Err(error) => {
            tracing::error!(%error, "delivered_marker_not_read");
            None
        }
    }
}

/// Opens the local state, and brings it up to date with the end of the log.
pub(super) fn open_state(config: &Config, opened_log: &OpenedLog) -> Result<StateStore, Error> {
    let OpenedLog { recovered, log, held_back, .. } = opened_log;
    let dir = config.state_dir.join("sled");
    let (state, opened) = StateStore::open(&dir);
    match &opened {
        OpenOutcome::Intact => {}
        OpenOutcome::Recreated { reason, moved_to } => {
            tracing::error!(error = %reason, moved_to = %moved_to.display(), "state_moved_aside");
        }
        OpenOutcome::InMemory { reason } => tracing::error!(error = %reason, "state_in_memory"),
    }
    // If the state of an earlier run was in memory only, sled may have missed batches that the log no longer
    // has.
    let has_holes = state.observed() < recovered.oldest.prev().0;
    if !matches!(opened, OpenOutcome::Intact) || (!recovered.is_new && (state.observed() == 0 || has_holes)) {
        restore(&state, recovered);
    }
    // The state is ahead of the log if the log was deleted, or restored from a copy.
    if state.observed() >= recovered.next.0 {
        tracing::warn!(observed_seq = state.observed(), next_seq = recovered.next.0, "state_ahead_of_log");
        if let Err(error) = state.rewind(recovered.next.prev().0) {
            tracing::error!(%error, "state_in_memory");
        }
    }
    let batches = replay(&state, log)?;
    // Held back batches may end sessions. Without them the state would end these sessions again.
    for batch in held_back.iter().filter_map(|payload| codec::decode(payload).ok()) {
        observe(&state, &batch);
    }
    // From the next durable position on, a start does not replay these batches.
    if let Err(error) = state.store_sessions() {
        tracing::error!(%error, "state_error");
    }
    tracing::info!(batches, "state_opened");
    Ok(state)
}

fn restore(state: &StateStore, recovered: &Recovered) {
    match &recovered.snapshot {
        Some(snapshot) if !snapshot.bytes.is_empty() => match state.restore(&snapshot.bytes) {
            Ok(()) => tracing::info!(observed_seq = state.observed(), "state_restored"),
            Err(error) => tracing::error!(%error, "state_not_restored"),
        },
        _ => tracing::warn!("state_starts_empty"),
    }
}

/// Applies a batch to the state. An error, such as a full disk, is not fatal: the state remains in memory,
/// and the next start replays the batch from the log.
fn observe(state: &StateStore, batch: &Batch) {
    if let Err(error) = state.observe(batch) {
        tracing::error!(%error, "state_in_memory");
    }
}

/// Applies the batches that the state has not observed, or may not have stored. Returns their number.
fn replay(state: &StateStore, log: &Arc<Log<Disk>>) -> Result<u64, Error> {
    let mut reader = log.reader(SeqNo(state.observed()).next());
    let mut batches = 0;
    while let Some(item) = reader.next(SeqNo::MAX).map_err(Error::Replay)? {
        match item {
            Item::Data { seq, payload, .. } => match codec::decode(payload) {
                Ok(batch) => {
                    batches += 1;
                    observe(state, &batch);
                }
                Err(error) => tracing::error!(seq = seq.0, %error, "batch_decode_failed"),
            },
            Item::Gap { from, to, reason } => {
                tracing::error!(first_seq = from.0, last_seq = to.0, reason = reason.name(), "log_gap");
            }
        }
    }
    Ok(batches)
}

/// Appends records that end the sessions left open by the last run. The state forgets a session when its
/// records are queued.
pub(super) async fn log_records(
    state: &StateStore,
    committer: &Committer,
    registry: &Registry,
) -> Result<(), AppendError> {
    // The routes of these sessions that were logged in bulk are stored before.
    let after = committer.progress().borrow().end.0;
    for batch in state.startup_batches(clock::now()) {
        let batch = Batch { after, ..batch };
        let mut payload = Vec::new();
        if let Err(error) = codec::encode(&batch, &mut payload) {
            tracing::error!(%error, "batch_encode_failed");
            continue;
        }
        let ticket = state.begin_end(batch.clone());
        let source = Source { router: &batch.router.name, address: batch.router.address, is_exempt: true };
        let seq = committer.append_from(source, payload, to_u32_saturating(batch.records())).await;
        state.end_logged(ticket, seq.ok().map(|seq| seq.0));
        seq?;
        registry.appended(&batch);
        log_gap(&batch);
    }
    Ok(())
}

/// Logs the gap that a batch records, if it records one.
fn log_gap(batch: &Batch) {
    let gap = batch.events.iter().find_map(|event| match &event.kind {
        EventKind::Gap { reason, from, until } => Some((reason, from, until)),
        _ => None,
    });
    let Some((reason, from, until)) = gap else { return };
    tracing::warn!(
        router = batch.router.name,
        reason,
        from = clock::iso8601(*from),
        until = clock::iso8601(*until),
        stale_peers = batch.peers.len(),
        "gap_logged"
    );
}
