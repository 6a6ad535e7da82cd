//! `drain`: delivers a log by hand, as the daemon does.

use std::time::{Duration, Instant};

use holdfast::committer;
use holdfast::forwarder::{self, Delivered, LaneState};
use holdfast::wal::{SeqNo, inspect};
use serde_json::json;

use crate::args;
use crate::database;
use crate::diff::Comparison;
use crate::output::{Failure, Output};
use crate::progress::{Progress, Unit};
use crate::salvage;

/// A database that gives no sign for so long has to be looked at by a person.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn drain(arguments: &args::Drain, out: &mut Output) -> Result<u8, Failure> {
    let disk = crate::open(&arguments.log.directory)?;
    let overview = inspect::overview(&disk)?;
    let (url, collector) = (&arguments.database.url, arguments.database.collector.as_deref());
    let standing = database::standing(url, collector, &disk, &overview)?;
    let comparison = Comparison::new(&disk, &overview, &standing, url)?;
    if comparison.verdict.is_apart() && !arguments.fork {
        return refuse(&comparison, arguments.log.json, out);
    }
    let (collector, from) = (standing.collector.clone(), standing.delivered());
    let target = database::target(url)?;
    // Where a fork has its id written down, so that a second time delivers it under the same one.
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
        forwarder.stop(LOOK).await;
        committer.stop();
        let ended = tokio::task::spawn_blocking(|| thread.join()).await;
        let closed = matches!(ended, Ok(Ok(committer::Outcome { error: None, .. })));
        if closed { outcome } else { Err(Failure::Other("the log could not be closed".to_owned())) }
    })?;
    let (delivered, why) = (outcome.delivered.seq(), outcome.why);
    let delivered_as = forwarder::delivered_as(&arguments.log.directory, recovered.log_id)?;
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
        out.line(&format!("stopped at {delivered} of {last}: {why}"))?;
    } else {
        let rows = outcome.delivered.rows();
        out.line(&format!(
            "all of the log is delivered, up to {last}; {rows} rows were new to the database"
        ))?;
    }
    Ok(u8::from(why.is_some()))
}

/// The database has had something else under these numbers, or more of them: which of both is right only a person knows.
fn refuse(comparison: &Comparison, as_json: bool, out: &mut Output) -> Result<u8, Failure> {
    let (name, common) = (comparison.verdict.name(), comparison.common);
    let what = format!(
        "{name}: the database has had what is not in this log; both are known to have the same up to {common}. Look with \
         `walctl diff`; --fork delivers what is behind that under an id of its own"
    );
    if as_json {
        out.json(&json!({ "verdict": name, "common_seq": common.0, "error": what }))?;
    } else {
        out.line(&what)?;
    }
    Ok(1)
}

/// What recovery moved is synced by the log's own thread.
async fn wait_for_durable(committer: &committer::Committer, last: SeqNo) {
    let mut progress = committer.progress();
    // An error means that the thread has gone, and that shows in what follows.
    drop(progress.wait_for(|progress| progress.durable >= last).await);
}

struct Outcome {
    delivered: Delivered,
    /// Why it went no further.
    why: Option<String>,
}

/// Waits until everything behind `from` up to `last` is delivered, or nothing moves any more.
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
            LaneState::Halted | LaneState::Alarm => lane.last_error.clone(),
            _ => None,
        });
        if let Some(why) = lane_error {
            return Ok(Outcome { delivered, why: Some(why) });
        }
        if changed.1.elapsed() > PATIENCE {
            let lanes = delivered.lanes.iter().find_map(|lane| lane.last_error.clone());
            let why = lanes.or(delivered.last_error).unwrap_or_else(|| "it does not move".to_owned());
            return Err(Failure::Other(format!("the database: {why}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}
