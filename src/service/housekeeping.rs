//! Periodic work, once per second: the position of the state in the log, the watchdog, alarms about the log,
//! the clock and missing tables, and the counts of suppressed log lines. Beside it, the undelivered part of
//! the log is verified.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::backlog::Backlog;
use super::notify::Notifier;
use super::scrub::Scrub;
use super::snapshot::Snapshot;
use super::snapshot::completeness::{Alarm, MissingTables};
use super::snapshot::log_use;
use crate::committer::{Committer, LogState, Progress};
use crate::route::Timestamp;
use crate::telemetry::{Telemetry, clock, status};
use crate::wal::{GapReason, Loss, Recovered, SeqNo};

const INTERVAL: Duration = Duration::from_secs(1);

/// Seconds between two STATUS messages to the service manager, and between two searches for missing tables.
const STATUS_INTERVAL_S: u64 = 10;

/// Maximum size of a snapshot of the state, in bytes: about 20,000 peers, and a quarter of the smallest
/// payload limit that the configuration allows.
const SNAPSHOT_MAX_BYTES: usize = 2 << 20;

/// Shares of the log in use at which `log_filling` is logged.
const ALARM_LEVELS: [f64; 3] = [0.5, 0.8, 0.95];

/// Explains the event `log_damage`.
const DAMAGE_DETAIL: &str = "the log has lost these batches, which the delivery records in collector_gaps. \
    Reset the BMP sessions of the routers to have their tables sent again, and check the disk";

/// Explains the event `log_damage` if the number of lost batches is unknown.
const SKIPPED_DETAIL: &str = "the end of the log was lost, and with it the number of lost batches. These \
    sequence numbers are not assigned again, because lost batches may have been delivered under some of \
    them. Reset the BMP sessions of the routers to have their tables sent again, and check the disk";

pub(super) struct Housekeeping {
    snapshot: Arc<Snapshot>,
    notifier: Arc<Notifier>,
    telemetry: Arc<Telemetry>,
    committer: Committer,
    /// Sequence number of the last batch of the run before.
    last_seq_before: SeqNo,
    /// Number of the first segment of this run.
    first_segment: u64,
    pending: Option<PendingPosition>,
    /// Everything received before this time is durable.
    logged_until: Timestamp,
    /// Last [`Progress::beat`].
    beat: u64,
    /// Whether `log_paused` was logged and `log_resumed` was not.
    paused: bool,
    /// Dropped undelivered batches for which `log_dropped_oldest` was logged.
    dropped: u64,
    /// Number of [`ALARM_LEVELS`] that log usage exceeds.
    alarms: usize,
    /// Tables for which `table_missing` was logged.
    missing_tables: MissingTables,
    /// Seconds since the start.
    seconds: u64,
    /// Last snapshot passed to the log.
    state_snapshot: Vec<u8>,
}

/// A position of the log that is not durable yet.
struct PendingPosition {
    /// Number of batches of this run that must be durable.
    batches: u64,
    /// Everything received before this time is in these batches.
    until: Timestamp,
}

impl Housekeeping {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        notifier: Arc<Notifier>,
        telemetry: Arc<Telemetry>,
        committer: Committer,
        recovered: &Recovered,
    ) -> Self {
        Self {
            logged_until: snapshot.state.logged_until(),
            snapshot,
            notifier,
            telemetry,
            committer,
            last_seq_before: recovered.next.prev(),
            first_segment: recovered.run,
            pending: None,
            beat: 0,
            paused: false,
            dropped: 0,
            alarms: 0,
            missing_tables: MissingTables::default(),
            seconds: 0,
            state_snapshot: Vec::new(),
        }
    }

    /// Never returns.
    pub(super) async fn run(self) {
        let backlog = Backlog::new(Arc::clone(&self.snapshot), self.last_seq_before, self.first_segment);
        let scrub = Scrub::new(&self.snapshot);
        tokio::join!(self.run_every_second(), backlog.run(), scrub.run());
    }

    async fn run_every_second(mut self) {
        let mut clock = tokio::time::interval(INTERVAL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            self.run_once();
        }
    }

    fn run_once(&mut self) {
        let progress = self.snapshot.progress.borrow().clone();
        // The beat goes on while the log is paused. It stops if the disk hangs or the log's thread has ended.
        if std::mem::replace(&mut self.beat, progress.beat) != progress.beat {
            self.notifier.reset_watchdog();
        }
        self.telemetry.tick();
        self.update_state(&progress);
        self.log_alarms(&progress);
        if self.seconds.is_multiple_of(STATUS_INTERVAL_S) {
            self.notifier.send(&format!("STATUS={}", status::summary(&self.snapshot.document())));
            for Alarm { router, peer, tables } in self.snapshot.missing_tables(&mut self.missing_tables) {
                let (bgp_peer, distinguisher) = (peer.key.address, peer.key.distinguisher);
                tracing::warn!(router, %bgp_peer, distinguisher, asn = peer.asn, tables, "table_missing");
            }
        }
        self.seconds += 1;
    }

    /// Records in the state up to which batch it has observed the log, and up to which time everything
    /// received is durable.
    fn update_state(&mut self, progress: &Progress) {
        let durable = progress.durable.0.saturating_sub(self.last_seq_before.0);
        if let Some(PendingPosition { until, .. }) =
            self.pending.take_if(|pending| pending.batches <= durable)
        {
            self.logged_until = until;
        }
        if self.pending.is_none() {
            // The time is read first, so that the batches counted afterwards include everything received
            // before it.
            let until = self.snapshot.registry.handed_over_until(clock::now());
            self.pending =
                Some(PendingPosition { batches: self.snapshot.registry.batches_appended(), until });
        }
        let SeqNo(written) = progress.written;
        match self.snapshot.state.mark_observed(written, self.logged_until) {
            // The log keeps the last snapshot that fitted, with the sequence number from which batches must
            // be replayed.
            Ok(snapshot) if snapshot.len() > SNAPSHOT_MAX_BYTES => {
                tracing::warn!(
                    bytes = snapshot.len(),
                    max_bytes = SNAPSHOT_MAX_BYTES,
                    "state_snapshot_too_large"
                );
            }
            // While the log is paused, snapshots would fill its queue.
            Ok(snapshot) if progress.state == LogState::Running && snapshot != self.state_snapshot => {
                self.committer.set_snapshot(snapshot.clone());
                self.state_snapshot = snapshot;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "state_error"),
        }
    }

    /// Logs changes of the state of the log and of the clock: paused, resumed, batches dropped or damaged,
    /// nearly full, a jump of the clock.
    fn log_alarms(&mut self, progress: &Progress) {
        match &progress.state {
            LogState::Paused(reason) if !self.paused => {
                let heaviest = log_use::heaviest(&self.snapshot.fair_share.routers()).join(", ");
                tracing::error!(reason, heaviest, "log_paused");
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
        self.snapshot.new_losses().iter().for_each(log_loss);
        if let Some(seconds) = self.snapshot.observe_clock() {
            tracing::warn!(seconds, "clock_jumped");
        }
        let (share, hours_left) = self.snapshot.sample();
        let alarms = ALARM_LEVELS.iter().filter(|level| share >= **level).count();
        if alarms > self.alarms {
            let percent_full = (share * 1_000.0).round() / 10.0;
            tracing::error!(percent_full, hours_left, "log_filling");
        }
        self.alarms = alarms;
    }
}

/// Logs batches that cannot be delivered.
fn log_loss(loss: &Loss) {
    let (first_seq, last_seq, batches, reason) = (loss.from.0, loss.to.0, loss.batches(), loss.reason.name());
    let file = loss.file.as_deref();
    let (from_byte, to_byte) = loss.bytes.unzip();
    match loss.reason {
        GapReason::Rot | GapReason::Unreadable | GapReason::Missing => tracing::error!(
            file,
            from_byte,
            to_byte,
            first_seq,
            last_seq,
            batches,
            reason,
            detail = DAMAGE_DETAIL,
            "log_damage"
        ),
        GapReason::Skipped => tracing::error!(
            first_seq,
            last_seq,
            batches_max = batches,
            reason,
            detail = SKIPPED_DETAIL,
            "log_damage"
        ),
        GapReason::Torn | GapReason::Dropped => {
            tracing::warn!(first_seq, last_seq, batches, reason, "log_gap");
        }
    }
}
