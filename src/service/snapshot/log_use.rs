//! The use of the log by each router, and the conditions of the log. Pure.

use std::collections::HashMap;

use super::health::Condition;
use crate::committer::accounts::RouterUse;
use crate::committer::{LogState, Progress};
use crate::num::to_f64;
use crate::telemetry::status::{LossReason, Router, Wal};

/// Age of records that are not synced above which the daemon is degraded, in seconds.
const MAX_UNSYNCED_S: f64 = 10.0;

/// Number of routers that [`heaviest`] names.
const HEAVIEST: usize = 3;

/// Adds the use of the log to the routers of the status.
pub(super) fn add(routers: &mut [Router], log_use: &[RouterUse]) {
    let by_name: HashMap<&str, &RouterUse> = log_use.iter().map(|one| (&*one.router, one)).collect();
    for router in routers {
        if let Some(one) = by_name.get(router.name.as_str()) {
            router.log_bytes = one.bytes;
            router.log_bytes_per_s = one.bytes_per_s;
            router.log_paused_s = one.paused.map(super::seconds);
        }
    }
}

/// The routers that hold most of the log, with the bytes of each. `log_use` has the heaviest first.
pub(in crate::service) fn heaviest(log_use: &[RouterUse]) -> Vec<String> {
    log_use.iter().filter(|one| one.bytes > 0).take(HEAVIEST).map(named).collect()
}

fn named(RouterUse { router, bytes, bytes_per_s, .. }: &RouterUse) -> String {
    let mib = |bytes: u64| to_f64(bytes) / to_f64(1 << 20);
    format!("{router} ({:.1} MiB, {:.1} MiB/s)", mib(*bytes), mib(*bytes_per_s))
}

/// The conditions of the log.
pub(super) fn conditions(progress: &Progress, wal: &Wal, log_use: &[RouterUse]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    match &progress.state {
        LogState::Failed(reason) => conditions.push(Condition::LogFailed(reason.clone())),
        LogState::Stopped => conditions.push(Condition::Stopping),
        LogState::Paused(reason) => {
            let heaviest = heaviest(log_use);
            conditions.push(Condition::IngestPaused { reason: reason.clone(), heaviest });
        }
        LogState::Running => {}
    }
    let paused: Vec<String> = log_use.iter().filter(|one| one.paused.is_some()).map(named).collect();
    if !paused.is_empty() {
        conditions.push(Condition::RoutersPaused(paused));
    }
    if wal.unsynced_s > MAX_UNSYNCED_S {
        conditions.push(Condition::NotSynced { records: wal.unsynced_records, seconds: wal.unsynced_s });
    }
    let lost = |reason| wal.lost_batches.get(&reason).copied().unwrap_or_default();
    if let Some(damage) = &wal.damage {
        let known = [LossReason::Rot, LossReason::Unreadable, LossReason::Missing].map(lost);
        let batches = known.into_iter().fold(0, u64::saturating_add);
        let skipped = lost(LossReason::Skipped);
        conditions.push(Condition::LogDamage { batches, skipped, last: damage.clone() });
    }
    let (torn, dropped) = (lost(LossReason::Torn), lost(LossReason::Dropped).max(wal.dropped));
    if torn > 0 || dropped > 0 {
        conditions.push(Condition::BatchesLost { torn, dropped });
    }
    if let Some(failed) = &wal.failed_segment {
        conditions
            .push(Condition::SegmentAbandoned { file: failed.file.clone(), error: failed.error.clone() });
    }
    conditions
}
