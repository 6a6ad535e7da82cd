//! The status document, built from the published state of all components.

pub(super) mod clock_watch;
pub(super) mod completeness;
mod connections;
mod counters;
mod delivery;
pub(super) mod health;
pub(super) mod lag;
mod log_output;
pub(super) mod log_use;
pub(super) mod rates;
mod routers;
mod transport;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::committer::accounts::RouterUse;
use crate::committer::fair_share::FairShare;
use crate::committer::{LogState, Progress};
use crate::forwarder::DeliveryStatus;
use crate::listener::{Endpoint, Registry, Slots};
use crate::num::{to_f64, to_millis};
use crate::route::Timestamp;
use crate::state::StateStore;
use crate::telemetry::status::{
    Damage, Delivery, Document, FailedSegment, Listener, LogOutput, LossReason, Reload, Router, Wal,
};
use crate::telemetry::{Telemetry, clock};
use crate::tls::TlsServer;
use crate::wal::{Disk, GapReason, Log, Loss, SeqNo};
use clock_watch::ClockWatch;
use completeness::{Alarm, MissingTables};
use health::Condition;
use lag::LookedUp;
use log_output::{MissingLines, log_output};
use rates::{GrowthRate, LastChange, ratio};

/// Delivery lag above which the daemon is degraded, in seconds.
const MAX_LAG_S: f64 = 60.0;

/// Share of the log in use above which the daemon is degraded.
const MAX_LOG_SHARE: f64 = 0.5;

/// Time for which a refused connection is a condition.
const REFUSAL_REPORTED: Duration = Duration::from_mins(10);

/// The components from which the document is built.
pub(super) struct Snapshot {
    pub(super) collector: String,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) settings: watch::Receiver<ShownSettings>,
    pub(super) wal_dir: PathBuf,
    pub(super) log_id: String,
    /// The log as readers see it.
    pub(super) log: Arc<Log<Disk>>,
    /// Damage that recovery found at the start.
    pub(super) damage_at_start: Vec<String>,
    /// Records that recovery copied into the first segment of this run. They are not counted as records of
    /// this run.
    pub(super) records_copied: u64,
    pub(super) started: Instant,
    pub(super) registry: Arc<Registry>,
    pub(super) state: Arc<StateStore>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) fair_share: Arc<FairShare>,
    /// `None` in store-only mode.
    pub(super) delivered: Option<watch::Receiver<DeliveryStatus>>,
    pub(super) telemetry: Arc<Telemetry>,
    /// TLS of the HTTP server; `None` inside if it is not configured.
    pub(super) http_tls: watch::Receiver<Option<Arc<TlsServer>>>,
    pub(super) observed: Mutex<Observed>,
}

/// Settings on which the status depends, and their reloads.
#[derive(Clone)]
pub(super) struct ShownSettings {
    pub(super) slots: Slots,
    /// Names or addresses of the routers that should be connected; empty for all known ones.
    pub(super) expected_routers: Vec<String>,
    pub(super) reload: Reload,
}

/// What was observed since the start.
pub(super) struct Observed {
    growth: GrowthRate,
    log: lag::Progress,
    refused: LastChange,
    missing_lines: MissingLines,
    /// Refused connections of configured routers.
    configured_refused: LastChange,
    clock: ClockWatch,
    /// The last damage.
    damage: Option<Damage>,
}

impl Observed {
    /// `last_seq` is the sequence number of the last batch of the run before.
    pub(super) fn new(last_seq: u64) -> Self {
        Self {
            growth: GrowthRate::default(),
            log: lag::Progress::new(last_seq),
            refused: LastChange::default(),
            missing_lines: MissingLines::default(),
            configured_refused: LastChange::default(),
            clock: ClockWatch::new(clock::now()),
            damage: None,
        }
    }
}

impl Snapshot {
    /// The current status.
    pub(super) fn document(&self) -> Document {
        let (now, uptime) = (clock::now(), self.started.elapsed());
        self.sample();
        let progress = self.progress.borrow().clone();
        let wal = self.wal(&progress);
        let delivery = self.delivered.as_ref().map(|delivered| self.delivery(&delivered.borrow(), &progress));
        let settings = self.settings.borrow().clone();
        let clocks = (now, self.started);
        let mut routers = routers::routers(&self.registry, &self.state, &settings.expected_routers, clocks);
        let log_use = self.fair_share.routers();
        log_use::add(&mut routers, &log_use);
        let listener = self.listener(&settings.slots);
        let log_output = log_output(self.telemetry.output());
        let parts = Parts {
            settings: &settings,
            progress: &progress,
            listener: &listener,
            wal: &wal,
            routers: &routers,
            log_use: &log_use,
            log_output: &log_output,
        };
        let conditions = self.conditions(&parts, delivery.as_ref(), now);
        Document {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            collector: self.collector.clone(),
            pid: std::process::id(),
            time: clock::iso8601(now),
            uptime_s: uptime.as_secs(),
            uptime_ms: to_millis(uptime),
            state: health::overall(&conditions),
            reasons: conditions.iter().map(Condition::to_string).collect(),
            conditions: conditions.iter().map(Condition::kind).collect(),
            listener,
            routers,
            sessions: counters::sessions(&self.registry),
            wal,
            delivery,
            log_output,
            reload: settings.reload,
        }
    }

    /// The missing tables that were not missing before.
    pub(super) fn missing_tables(&self, known: &mut MissingTables) -> Vec<Alarm> {
        let sessions = self.registry.sessions();
        known.observe(sessions.iter().map(|view| &*view.summary), clock::now())
    }

    /// Samples the progress of the log and the counters. Returns the share of the log in use, and the hours
    /// until it is full.
    pub(super) fn sample(&self) -> (f64, Option<f64>) {
        let now = self.started.elapsed();
        let (usage, durable, records) = {
            let progress = self.progress.borrow();
            (progress.usage, progress.durable.0, self.records(&progress))
        };
        let mut observed = self.observed();
        observed.growth.sample(now, usage.undelivered_bytes);
        observed.log.sample(durable, records, now);
        let refusals = self.registry.refusals();
        observed.refused.observe(refusals.by_reason.values().sum(), now);
        observed.configured_refused.observe(refusals.configured, now);
        observed.missing_lines.observe(&self.telemetry.output(), now);
        let available = usage.available_bytes;
        let share = 1.0 - ratio(available, available.saturating_add(usage.undelivered_bytes));
        (share, observed.growth.hours_until_full(available))
    }

    /// Compares the wall clock with the monotonic clock. Returns the seconds by which the wall clock jumped
    /// since the last call, if it did.
    pub(super) fn observe_clock(&self) -> Option<f64> {
        self.observed().clock.observe(clock::now(), self.started.elapsed())
    }

    /// The losses that readers have reported since the last call. Keeps the last damage among them.
    pub(super) fn new_losses(&self) -> Vec<Loss> {
        let losses = self.log.take_new_losses();
        let is_damage = |loss: &&Loss| loss.reason.is_damage();
        if let Some(loss) = losses.iter().rfind(is_damage) {
            self.observed().damage = Some(Damage {
                reason: loss_reason(loss.reason),
                file: loss.file.clone(),
                from_byte: loss.bytes.map(|(from, _)| from),
                to_byte: loss.bytes.map(|(_, to)| to),
                first_seq: loss.from.0,
                last_seq: loss.to.0,
                batches: loss.batches(),
                time: clock::iso8601(clock::now()),
            });
        }
        losses
    }

    /// Sets the numbers of records of earlier runs: ascending batches, and the number of records up to each.
    pub(super) fn set_earlier_records(&self, earlier: Vec<(u64, u64)>) {
        self.observed().log.set_earlier(earlier);
    }

    /// The delivered positions after which the first record must be looked up in the log.
    pub(super) fn unknown_positions(&self) -> Vec<u64> {
        // The lock is taken last: `delivery` takes it while it holds the published positions.
        let positions = self.positions();
        self.observed().log.unknown(&positions)
    }

    /// Stores the result of looking up the first record after `position`.
    pub(super) fn looked_up(&self, position: u64, found: LookedUp) {
        let positions = self.positions();
        self.observed().log.looked_up(position, found, &positions, self.started.elapsed());
    }

    /// The positions of all lanes; the last known one if there is no lane.
    fn positions(&self) -> Vec<u64> {
        let Some(delivered) = &self.delivered else { return Vec::new() };
        let delivered = delivered.borrow();
        let mut positions: Vec<u64> =
            delivered.lanes.iter().filter_map(|lane| lane.position()).map(|seq| seq.0).collect();
        positions.push(self.last_known(&delivered));
        positions
    }

    /// Last batch that was delivered as far as the log directory records it: that of the fastest lane, or the
    /// last one that the log no longer has.
    fn last_known(&self, delivered: &DeliveryStatus) -> u64 {
        let oldest = self.log.oldest_seq().map_or(0, |oldest| oldest.prev().0);
        delivered.recorded.unwrap_or_default().0.max(oldest)
    }

    /// The first batch that is not delivered by all lanes, as far as that is known.
    pub(super) fn first_undelivered(&self) -> SeqNo {
        let delivered = self.delivered.as_ref().map(|delivered| delivered.borrow().seq());
        let oldest = self.log.oldest_seq().unwrap_or_default();
        delivered.unwrap_or_default().next().max(oldest)
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Durable records of this run.
    const fn records(&self, progress: &Progress) -> u64 {
        progress.records_durable.saturating_sub(self.records_copied)
    }

    fn wal(&self, progress: &Progress) -> Wal {
        let (share, hours_left) = self.sample();
        let lost = self.log.lost_batches().into_iter();
        Wal {
            log_id: self.log_id.clone(),
            dir: self.wal_dir.display().to_string(),
            written: progress.written.0,
            durable: progress.durable.0,
            dropped: progress.usage.dropped,
            records_durable: self.records(progress),
            unsynced_records: progress.unsynced_records,
            unsynced_s: seconds(progress.unsynced_since.map(|since| since.elapsed()).unwrap_or_default()),
            segments: progress.usage.segments,
            bytes: progress.usage.bytes,
            bytes_max: progress.usage.bytes_max,
            free_bytes: progress.usage.disk_free_bytes,
            percent_full: Some((share * 1_000.0).round() / 10.0),
            hours_left,
            paused: match &progress.state {
                LogState::Paused(reason) => Some(reason.clone()),
                LogState::Running | LogState::Failed(_) | LogState::Stopped => None,
            },
            paused_by: progress.paused_by.map(str::to_owned),
            syncs: counters::syncs(&progress.sync_times),
            failed_segment: progress.segment_failure.as_ref().map(|failure| FailedSegment {
                segment: failure.segment,
                file: failure.file.clone(),
                error: failure.error.clone(),
                time: clock::iso8601(Timestamp(failure.time)),
            }),
            lost_batches: lost.map(|(reason, batches)| (loss_reason(reason), batches)).collect(),
            damage: self.observed().damage.clone(),
        }
    }

    /// The conditions that need attention, the worst one first.
    fn conditions(&self, parts: &Parts<'_>, delivery: Option<&Delivery>, now: Timestamp) -> Vec<Condition> {
        let Parts { settings, progress, listener, wal, routers, log_use, log_output } = parts;
        let mut conditions = log_use::conditions(progress, wal, log_use);
        if listener.held_off {
            conditions.push(Condition::HeldOff);
        }
        let (share, _) = self.sample();
        if share > MAX_LOG_SHARE {
            conditions.push(Condition::LogFilling(share * 100.0));
        }
        conditions.extend(self.damage_at_start.iter().cloned().map(Condition::DamageAtStart));
        let trouble = self.observed().clock.trouble(now, self.started.elapsed(), self.state.last_session());
        conditions.extend(trouble.map(Condition::Clock));
        let missing = routers::missing(routers, &settings.expected_routers);
        if !missing.is_empty() {
            conditions.push(Condition::RoutersNotConnected(missing));
        }
        conditions.extend(transport::conditions(&listener.transport));
        let tls_servers = [self.registry.transport().tls(), self.http_tls.borrow().clone()];
        let problems = tls_servers.into_iter().flatten().flat_map(|server| server.problems());
        conditions.extend(problems.map(Condition::TlsFiles));
        conditions.extend(self.connection_conditions(listener));
        conditions.extend(self.registry.conflicts().into_iter().map(Condition::NameConflict));
        let limited = routers.iter().filter(|router| router.untracked_peers > 0);
        conditions.extend(limited.map(|router| Condition::PeerLimit(router.name.clone())));
        let slowed = routers.iter().filter(|router| router.transport.slowed);
        conditions.extend(slowed.map(|router| Condition::RouterSlowed(router.name.clone())));
        if let Some(delivery) = delivery {
            conditions.extend(delivery::conditions(delivery));
        }
        conditions.extend(settings.reload.error.clone().map(Condition::ReloadFailed));
        let now = self.started.elapsed();
        conditions.extend(self.observed().missing_lines.conditions(log_output, now));
        conditions
    }
}

/// Parts of the document on which conditions depend.
struct Parts<'a> {
    settings: &'a ShownSettings,
    progress: &'a Progress,
    listener: &'a Listener,
    wal: &'a Wal,
    routers: &'a [Router],
    log_use: &'a [RouterUse],
    log_output: &'a LogOutput,
}

const fn loss_reason(reason: GapReason) -> LossReason {
    match reason {
        GapReason::Rot => LossReason::Rot,
        GapReason::Unreadable => LossReason::Unreadable,
        GapReason::Torn => LossReason::Torn,
        GapReason::Dropped => LossReason::Dropped,
        GapReason::Missing => LossReason::Missing,
        GapReason::Skipped => LossReason::Skipped,
    }
}

/// A duration in seconds with a resolution of a millisecond.
fn seconds(duration: Duration) -> f64 {
    to_f64(to_millis(duration)) / 1_000.0
}

/// Seconds from `start` to `end` with a resolution of a millisecond; 0 if `end` is earlier.
fn seconds_between(start: Timestamp, end: Timestamp) -> f64 {
    let milliseconds = end.0.saturating_sub(start.0).max(0) / 1_000;
    to_f64(milliseconds.cast_unsigned()) / 1_000.0
}
