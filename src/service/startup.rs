//! The first half of a start: the log, and what it and the local state say of the last run.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use super::Error;
use crate::codec;
use crate::committer::{AppendError, Committer};
use crate::config::Config;
use crate::listener::Registry;
use crate::route::Batch;
use crate::state::{OpenOutcome, StateStore};
use crate::telemetry::clock;
use crate::wal::{self, Disk, Item, Log, LogId, Recovered, SeqNo, Writer};

/// The log as it was found.
pub(super) struct Found {
    pub(super) recovered: Recovered,
    /// For readers.
    pub(super) log: Arc<Log<Disk>>,
    /// Records that the start copied into the new segment: made durable in this run, but not news.
    pub(super) records_copied: u64,
    /// What the last run wrote and no reader is shown before there is room for its copy.
    pub(super) held_back: Vec<Vec<u8>>,
}

/// Opens the log, and says what was found.
pub(super) fn open_log(config: &Config) -> Result<(Writer<Disk>, Found), Error> {
    let (id, seed) = random().map_err(|error| Error::new("the kernel's random numbers", &error))?;
    let mut options = wal::Options::new(LogId(id), seed, clock::now().0);
    options.segment_bytes = config.wal.segment_bytes;
    options.bytes_max = config.wal.max_bytes;
    options.free_percent_min = config.wal.min_free_percent;
    options.drop_oldest = config.wal.drop_oldest;
    options.compress = config.wal.compress;
    let at = || format!("the log in {}", config.wal.dir.display());
    let disk = Disk::create(&config.wal.dir).map_err(|error| Error::new(at(), &error))?;
    let (writer, recovered) = wal::recover(disk, options).map_err(|error| Error::new(at(), &error))?;
    tracing::info!(
        log_id = %recovered.log_id,
        next_seq = recovered.next.0,
        oldest_seq = recovered.oldest.0,
        is_new = recovered.is_new,
        closed_in_order = recovered.was_closed,
        batches_copied = recovered.copied,
        "log_opened"
    );
    for damage in &recovered.damage {
        tracing::error!(%damage, "log_damage");
    }
    let (log, records_copied, held_back) = (writer.log(), writer.records_durable(), writer.held_back());
    Ok((writer, Found { recovered, log, records_copied, held_back }))
}

fn random() -> io::Result<([u8; 16], u64)> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let [id @ .., a, b, c, d, e, f, g, h] = bytes;
    Ok((id, u64::from_le_bytes([a, b, c, d, e, f, g, h])))
}

/// Opens the local state and brings it up to the end of the log.
pub(super) fn open_state(config: &Config, found: &Found) -> Result<StateStore, Error> {
    let Found { recovered, log, held_back, .. } = found;
    let dir = config.state_dir.join("sled");
    let (state, opened) = StateStore::open(&dir);
    match &opened {
        OpenOutcome::Intact => {}
        OpenOutcome::Recreated { reason, moved_to } => {
            tracing::error!(error = %reason, moved_to = %moved_to.display(), "state_moved_aside");
        }
        OpenOutcome::InMemory { reason } => tracing::error!(error = %reason, "state_in_memory"),
    }
    // A run with its state in memory leaves a sled that is older than what the log still has.
    let has_holes = state.observed() < recovered.oldest.prev().0;
    if !matches!(opened, OpenOutcome::Intact) || (!recovered.is_new && (state.observed() == 0 || has_holes)) {
        restore(&state, recovered);
    }
    // A log that was deleted, or restored from a copy, is behind what the state has seen of it.
    if state.observed() >= recovered.next.0 {
        tracing::warn!(observed_seq = state.observed(), next_seq = recovered.next.0, "state_ahead_of_log");
        if let Err(error) = state.rewind(recovered.next.prev().0) {
            tracing::error!(%error, "state_in_memory");
        }
    }
    let batches = replay(&state, log)?;
    // Otherwise what they end would be ended once more.
    for batch in held_back.iter().filter_map(|payload| codec::decode(payload).ok()) {
        observe(&state, &batch);
    }
    // The next mark is past all of that: a start behind it sees none of it again.
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
        _ => tracing::warn!("state_begins_anew"),
    }
}

/// A full disk stops no start: what is learned holds in memory, and the next start reads it from the log again.
fn observe(state: &StateStore, batch: &Batch) {
    if let Err(error) = state.observe(batch) {
        tracing::error!(%error, "state_in_memory");
    }
}

/// Observes the batches that the state has not seen, or perhaps not kept.
fn replay(state: &StateStore, log: &Arc<Log<Disk>>) -> Result<u64, Error> {
    let mut reader = log.reader(SeqNo(state.observed()).next());
    let mut batches = 0;
    let failed = |error: &dyn std::fmt::Display| Error::new("reading the log behind the state", error);
    while let Some(item) = reader.next(SeqNo::MAX).map_err(|error| failed(&error))? {
        match item {
            Item::Data { seq, payload, .. } => match codec::decode(payload) {
                Ok(batch) => {
                    batches += 1;
                    observe(state, &batch);
                }
                Err(error) => tracing::error!(seq = seq.0, %error, "batch_decode_failed"),
            },
            Item::Gap { from, to, reason } => {
                tracing::error!(from = from.0, to = to.0, reason = ?reason, "log_gap");
            }
        }
    }
    Ok(batches)
}

/// Logs what the end of the last run left open, and only then lets the state forget it.
pub(super) async fn log_records(
    state: &StateStore,
    committer: &Committer,
    registry: &Registry,
) -> Result<(), AppendError> {
    for batch in state.startup_batches(clock::now()) {
        let mut payload = Vec::new();
        if let Err(error) = codec::encode(&batch, &mut payload) {
            tracing::error!(%error, "batch_encode_failed");
            continue;
        }
        let ticket = state.begin_end(batch.clone());
        let seq = committer.append(payload, u32::try_from(batch.records()).unwrap_or(u32::MAX)).await;
        state.end_logged(ticket, seq.ok().map(|seq| seq.0));
        seq?;
        registry.appended();
        say(&batch);
    }
    Ok(())
}

fn say(batch: &Batch) {
    let events = batch.events.iter();
    let gap = events.clone().find_map(|event| match &event.kind {
        crate::route::EventKind::Gap { reason, from, until } => Some((reason, from, until)),
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
