//! What is done once a second: the state's mark, the watchdog, alarms of the log, counts of repeated lines.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::notify::Notifier;
use super::snapshot::Snapshot;
use crate::committer::{Committer, LogState, Progress};
use crate::route::Timestamp;
use crate::telemetry::{Telemetry, clock};
use crate::wal::SeqNo;

const SECOND: Duration = Duration::from_secs(1);

/// Seconds between two STATUS lines to the service manager.
const STATUS_EVERY: u64 = 10;

/// About 20,000 peers; a quarter of the smallest payload limit that the configuration allows.
const CONTEXT_BYTES_MAX: usize = 2 << 20;

/// Shares of the log at which an alarm is raised.
const ALARMS: [f64; 3] = [0.5, 0.8, 0.95];

pub(super) struct Housekeeping {
    snapshot: Arc<Snapshot>,
    notifier: Arc<Notifier>,
    telemetry: Arc<Telemetry>,
    committer: Committer,
    /// Sequence number of the last batch before this run.
    before: u64,
    handed_over: Option<HandedOver>,
    logged_until: Timestamp,
    beat: u64,
    paused: bool,
    /// Batches that the log has given up undelivered, as far as they were told.
    dropped: u64,
    alarms: usize,
    seconds: u64,
    context: Vec<u8>,
}

/// A time, and how many batches must be durable so that everything received before it is.
struct HandedOver {
    batches: u64,
    until: Timestamp,
}

impl Housekeeping {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        notifier: Arc<Notifier>,
        telemetry: Arc<Telemetry>,
        committer: Committer,
        before: u64,
    ) -> Self {
        Self {
            logged_until: snapshot.state.logged_until(),
            snapshot,
            notifier,
            telemetry,
            committer,
            before,
            handed_over: None,
            beat: 0,
            paused: false,
            dropped: 0,
            alarms: 0,
            seconds: 0,
            context: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut clock = tokio::time::interval(SECOND);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            self.second();
        }
    }

    fn second(&mut self) {
        let progress = self.snapshot.progress.borrow().clone();
        self.telemetry.tick();
        self.mark(&progress);
        self.say(&progress);
        // A pause at the cap still beats; a disk that hangs, or a thread that is gone, does not.
        if std::mem::replace(&mut self.beat, progress.beat) != progress.beat {
            self.notifier.alive();
        }
        if self.seconds.is_multiple_of(STATUS_EVERY) {
            let routers = self.snapshot.registry.connections();
            self.notifier.send(&format!(
                "STATUS={routers} connections, batch {} durable{}",
                progress.durable,
                if self.paused { ", PAUSED: the log takes nothing" } else { "" }
            ));
        }
        self.seconds += 1;
    }

    /// Notes how far the state has seen the log, and until when nothing can be missing from it.
    fn mark(&mut self, progress: &Progress) {
        let durable = progress.durable.0.saturating_sub(self.before);
        if let Some(HandedOver { until, .. }) = self.handed_over.take_if(|handed| handed.batches <= durable) {
            self.logged_until = until;
        }
        if self.handed_over.is_none() {
            // In this order: what was handed over until then is among the batches counted after.
            let until = self.snapshot.registry.handed_over_until(clock::now());
            self.handed_over = Some(HandedOver { batches: self.snapshot.registry.batches_appended(), until });
        }
        let SeqNo(written) = progress.written;
        match self.snapshot.state.mark_observed(written, self.logged_until) {
            // While the log is paused its queue must not fill with contexts.
            Ok(context) if context.len() > CONTEXT_BYTES_MAX => {
                // The last one that fitted stays, with the number from which the log must be read to make up for it.
                tracing::warn!(bytes = context.len(), "context_too_large");
            }
            Ok(context) if progress.state == LogState::Running && context != self.context => {
                self.committer.set_snapshot(context.clone());
                self.context = context;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "state_error"),
        }
    }

    fn say(&mut self, progress: &Progress) {
        match &progress.state {
            LogState::Paused(reason) if !self.paused => {
                tracing::error!(reason, "log_paused");
                self.paused = true;
            }
            LogState::Running if self.paused => {
                tracing::info!("log_resumed");
                self.paused = false;
            }
            _ => {}
        }
        if progress.usage.dropped > self.dropped {
            let (batches, oldest_seq) = (progress.usage.dropped - self.dropped, progress.usage.oldest.0);
            tracing::error!(batches, oldest_seq, "log_dropped_oldest");
            self.dropped = progress.usage.dropped;
        }
        let (share, hours_left) = self.snapshot.sample();
        let alarms = ALARMS.iter().filter(|alarm| share >= **alarm).count();
        if alarms > self.alarms {
            let percent_full = (share * 1_000.0).round() / 10.0;
            tracing::error!(percent_full, hours_left, "log_filling");
        }
        self.alarms = alarms;
    }
}
