//! `walctl drain`: delivers a log to the database without the daemon.

use std::time::{Duration, Instant};

use holdfast::committer;
use holdfast::forwarder::{self, DeliveryStatus, LaneState};
use holdfast::wal::{SeqNo, inspect};
use serde_json::json;

use crate::args;
use crate::database;
use crate::diff::Comparison;
use crate::output::{Failure, Output};
use crate::progress::{Progress, Unit};
use crate::salvage;

/// The command gives up if no transaction was committed for this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval at which the delivery position is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn drain(arguments: &args::Drain, out: &mut Output) -> Result<u8, Failure> {
    let disk = crate::open(&arguments.log.directory)?;
    let overview = inspect::overview(&disk)?;
    let (url, collector) = (&arguments.database.url, arguments.database.collector.as_deref());
    let standing = database::standing(url, collector, &disk, &overview)?;
    let comparison = Comparison::new(&disk, &overview, &standing, url)?;
    if comparison.verdict.has_diverged() && !arguments.fork {
        return report_divergence(&comparison, arguments.log.json, out);
    }
    let (collector, from) = (standing.collector.clone(), standing.delivered());
    let target = database::target(url)?;
    // The log id of a fork is recorded in this directory, so that a second run delivers under the same id.
    let directory = Some(arguments.log.directory.clone());
    let options = forwarder::Options { directory, ..forwarder::Options::default() };
    let (writer, recovered) = salvage::recover(disk)?;
    let (log, last) = (writer.log(), recovered.next.prev());
    let outcome = database::block_on(async {
        let (committer, thread) = committer::spawn(writer, committer::Options::default())?;
        wait_for_durable(&committer, last).await;
        let forwarder =
            forwarder::spawn(options, target, collector.clone(), recovered.log_id, log, committer.clone());
        let outcome = watch(&forwarder, from, last).await;
        forwarder.stop(POLL_INTERVAL).await;
        committer.stop();
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        let closed = matches!(ended, Ok(Ok(committer::Outcome { error: None, .. })));
        if closed { outcome } else { Err(Failure::Other("the log could not be closed cleanly".to_owned())) }
    })?;
    let (delivered, why) = (outcome.delivered.seq(), outcome.why);
    let delivered_as = forwarder::delivered_as(&arguments.log.directory, recovered.log_id)
        .map_err(|error| Failure::Other(error.to_string()))?;
    if arguments.log.json {
        out.json(&json!({
            "collector": collector,
            "log_id": recovered.log_id.to_string(),
            "delivered_as": delivered_as.to_string(),
            "last_seq": last.0,
            "delivered_seq": delivered.0,
            "rows": outcome.delivered.rows(),
            "error": why,
        }))?;
    } else if let Some(why) = &why {
        out.line(&format!("stopped after batch {delivered} of {last}: {why}"))?;
    } else {
        let rows = outcome.delivered.rows();
        out.line(&format!("all batches up to {last} are delivered; {rows} rows were added to the database"))?;
    }
    Ok(u8::from(why.is_some()))
}

/// Reports that log and database have diverged. Which of them is right is the operator's decision.
fn report_divergence(comparison: &Comparison, as_json: bool, out: &mut Output) -> Result<u8, Failure> {
    let (name, common) = (comparison.verdict.name(), comparison.common);
    let what = format!(
        "{name}: the database contains batches that this log does not; last batch known to be the same in \
         both: {common}. Inspect with `walctl diff`; --fork delivers the later batches under a new log id"
    );
    if as_json {
        out.json(&json!({ "verdict": name, "common_seq": common.0, "error": what }))?;
    } else {
        out.line(&what)?;
    }
    Ok(1)
}

/// Waits until the batches that recovery copied are synced by the committer's thread.
async fn wait_for_durable(committer: &committer::Committer, last: SeqNo) {
    let mut progress = committer.progress();
    // An error means that the committer ended; closing the log reports why.
    drop(progress.wait_for(|progress| progress.durable >= last).await);
}

struct Outcome {
    delivered: DeliveryStatus,
    /// Reason why delivery stopped before the end of the log; `None` if it is complete.
    why: Option<String>,
}

/// Waits until all batches after `from` up to `last` are delivered, or delivery stops.
async fn watch(forwarder: &forwarder::Forwarder, from: SeqNo, last: SeqNo) -> Result<Outcome, Failure> {
    let mut progress = Progress::new("drain", last.0 - from.0.min(last.0), Unit::Batches);
    let mut changed = (SeqNo::NONE, Instant::now());
    loop {
        let delivered = forwarder.delivered().borrow().clone();
        progress.set(delivered.seq().0.saturating_sub(from.0));
        if delivered.seq() != changed.0 {
            changed = (delivered.seq(), Instant::now());
        }
        if !delivered.lanes.is_empty() && delivered.seq() >= last {
            return Ok(Outcome { delivered, why: None });
        }
        let lane_error = delivered.lanes.iter().find_map(|lane| match lane.state {
            LaneState::Halted | LaneState::Blocked => lane.last_error.clone(),
            _ => None,
        });
        if let Some(why) = lane_error {
            return Ok(Outcome { delivered, why: Some(why) });
        }
        if changed.1.elapsed() > STALL_TIMEOUT {
            let lanes = delivered.lanes.iter().find_map(|lane| lane.last_error.clone());
            let why = lanes
                .or(delivered.last_error)
                .unwrap_or_else(|| format!("no transaction was committed for {} s", STALL_TIMEOUT.as_secs()));
            return Err(Failure::Other(format!("database: {why}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
