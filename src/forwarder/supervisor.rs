//! Prepares the database and runs the lanes and the maintenance.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::backoff::{self, Outage};
use super::error::PrepareError;
use super::identity::ForkCheck;
use super::lane::{Positions, Task};
use super::options::Settings;
use super::reporter::Reporter;
use super::status::{LaneState, LaneStatus};
use crate::num::{self, to_millis};
use crate::route::Class;
use crate::sink::{self, ErrorAction, ForgottenPeer, Lane, ServerVersions, SharedPeers, Target};
use crate::wal::{Log, LogId, SeqNo, Storage};

/// Number of lanes of each class, unless it is set.
const LANES: u32 = 2;

/// Interval between two runs of maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);

/// Starts and owns all lanes of one log.
pub(super) struct Supervisor<S: Storage> {
    pub(super) settings: watch::Receiver<Settings>,
    /// The collector's id.
    pub(super) collector: String,
    /// The log's own id.
    pub(super) log_id: LogId,
    pub(super) log: Arc<Log<S>>,
    /// Last batch of the log at the start. This process has delivered nothing yet, so that the database has
    /// no later batch of this log.
    pub(super) end: SeqNo,
    /// Becomes true when the delivery is to stop.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) reporter: Arc<Reporter>,
}

impl<S: Storage> Supervisor<S> {
    /// Runs until every lane has ended.
    pub(super) async fn run(mut self) {
        let Some((log_id, mut count)) = self.prepare().await else { return };
        // The random id under which this process holds its lanes.
        let owner = Uuid::new_v4().into_bytes();
        let configured = self.settings.borrow().options.lanes.unwrap_or(count).max(1);
        if count != configured {
            match self.change_lanes(log_id, (count, configured), owner).await {
                Ok(seq) => {
                    tracing::info!(lanes = configured, before = count, seq, "lanes_changed");
                    count = configured;
                }
                Err(error) => {
                    tracing::warn!(lanes = count, configured, %error, "lanes_not_changed");
                    // Another collector holds the lane, or the log is a fork: it must not be taken back.
                    if self.has_halted_lane() {
                        return;
                    }
                }
            }
        }
        let maintenance = run_maintenance(self.settings.clone(), self.collector.clone());
        tokio::select! {
            () = maintenance => {}
            () = self.run_lanes(log_id, count, owner, None) => {}
        }
    }

    /// Runs `count` lanes of each class until all have ended. With `until`, they deliver the batches up to
    /// that one, and end.
    async fn run_lanes(&self, log_id: LogId, count: u32, owner: [u8; 16], until: Option<u64>) {
        let shards = num::u32_to_usize(count);
        let positions = Arc::new(Positions::new(count * 2));
        let shared_peers = Arc::new(SharedPeers::new(count * 2));
        self.reporter.update(|status| {
            let lane = |class| std::iter::repeat_n(LaneStatus { class, ..LaneStatus::default() }, shards);
            status.lanes = lane(Class::Dump).chain(lane(Class::Live)).collect();
        });
        let mut lanes = JoinSet::new();
        for number in 0..count * 2 {
            let lane = Lane { collector: self.collector.clone(), log_id, number, count };
            lanes.spawn(
                Task {
                    settings: self.settings.clone(),
                    lane,
                    owner,
                    log: Arc::clone(&self.log),
                    progress: self.reporter.committer().progress(),
                    until,
                    stop: self.stop.clone(),
                    reporter: Arc::clone(&self.reporter),
                    positions: Arc::clone(&positions),
                    position_changes: positions.subscribe(),
                    shared_peers: Arc::clone(&shared_peers),
                }
                .run(),
            );
        }
        while lanes.join_next().await.is_some() {}
    }

    fn has_halted_lane(&self) -> bool {
        let mut has_halted = false;
        let is_halted = |lane: &LaneStatus| lane.state == LaneState::Halted;
        self.reporter.update(|status| has_halted = status.lanes.iter().any(is_halted));
        has_halted
    }

    /// Changes the number of lanes of each class: the present ones deliver up to the batch that the first of
    /// them has delivered, and the new ones begin after it. Returns its sequence number.
    async fn change_lanes(
        &self,
        log_id: LogId,
        (from, to): (u32, u32),
        owner: [u8; 16],
    ) -> Result<u64, sink::Error> {
        let target = self.settings.borrow().target.clone();
        let checkpoints = sink::checkpoints(&target.connect().await?, &self.collector, log_id).await?;
        let last = checkpoints.iter().map(|lane| lane.last_seq).max().unwrap_or(0);
        self.run_lanes(log_id, from, owner, Some(last)).await;
        sink::change_lanes(&target.connect().await?, &self.collector, log_id, owner, (from, to), last)
            .await?;
        Ok(last)
    }

    /// Migrates the schema and determines the log id and the number of lanes to deliver under. Retries until
    /// it succeeds; returns `None` if the delivery is stopped first.
    async fn prepare(&mut self) -> Option<(LogId, u32)> {
        let (mut failures, mut outage) = (0, Outage::default());
        loop {
            if *self.stop.borrow_and_update() {
                return None;
            }
            let error = match self.try_prepare().await {
                Ok(prepared) => {
                    outage.end(None);
                    return Some(prepared);
                }
                Err(error) => error,
            };
            failures += 1;
            outage.failed();
            let is_transient = matches!(error.action(), ErrorAction::Retry | ErrorAction::RetrySmaller);
            let delay =
                if is_transient { backoff::delay(failures, backoff::jitter()) } else { backoff::BLOCKED };
            let retry_ms = to_millis(delay);
            match &error {
                _ if is_transient => tracing::warn!(%error, retry_ms, "database_connection_failed"),
                PrepareError::Migrate(_) => tracing::error!(%error, retry_ms, "migration_failed"),
                _ => tracing::error!(%error, retry_ms, "database_blocked"),
            }
            self.reporter.failed(error.class());
            self.reporter.update(|status| {
                status.last_error = Some(error.to_string());
                status.last_error_class = Some(error.class());
                status.needs_operator = !is_transient;
            });
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = self.stop.changed() => {}
                // New credentials may remove the cause.
                Ok(()) = self.settings.changed() => {}
            }
        }
    }

    async fn try_prepare(&self) -> Result<(LogId, u32), PrepareError> {
        let Settings { options, target } = self.settings.borrow().clone();
        let mut client = target.connect().await.map_err(PrepareError::Connect)?;
        let ServerVersions { postgres, timescaledb } =
            sink::server_versions(&client).await.map_err(PrepareError::Connect)?;
        tracing::info!(postgres_version = postgres, timescaledb_version = timescaledb, "database_connected");
        let applied = sink::migrate(&mut client, target.layout(), options.chunk_interval_days).await?;
        if applied.is_empty() {
            tracing::info!("migrations_up_to_date");
        } else {
            tracing::info!(count = applied.versions.len(), versions = %applied, "migrations_complete");
        }
        let durable = self.reporter.committer().progress().borrow().durable;
        let check = ForkCheck {
            directory: options.directory.as_deref(),
            collector: &self.collector,
            log_id: self.log_id,
            log: &self.log,
            durable,
            end: self.end,
        };
        let (log_id, known_lanes) = check.resolve(&mut client).await?;
        let lanes = known_lanes.unwrap_or_else(|| options.lanes.unwrap_or(LANES).max(1));
        Ok((log_id, lanes))
    }
}

/// Runs maintenance at every interval, and when its settings have changed; never returns.
async fn run_maintenance(mut settings: watch::Receiver<Settings>, collector: String) {
    let limits = |settings: &Settings| (settings.options.retention, settings.options.forget_after_days);
    loop {
        let Settings { options, target } = settings.borrow_and_update().clone();
        let used = (options.retention, options.forget_after_days);
        // The pool is closed between two runs.
        match target.pool(options.pool_size_max) {
            Ok(pool) => {
                if let Err(error) = sink::maintain(&pool, options.retention).await {
                    tracing::warn!(%error, "maintenance_failed");
                }
            }
            Err(error) => tracing::error!(%error, "maintenance_disabled"),
        }
        if let Some(days) = options.forget_after_days
            && let Err(error) = forget(&target, &collector, days).await
        {
            tracing::warn!(%error, "maintenance_failed");
        }
        tokio::select! {
            () = tokio::time::sleep(MAINTENANCE_INTERVAL) => {}
            // A channel whose sender is gone returns an error at once.
            Ok(_) = settings.wait_for(|present| limits(present) != used) => {}
        }
    }
}

/// Removes old peers and routers from the current tables.
async fn forget(target: &Target, collector: &str, days: u32) -> Result<(), sink::ForgetError> {
    let mut client = target.connect().await?;
    let (peers, routers) = sink::forget_older(&mut client, collector, days).await?;
    for ForgottenPeer { router, peer, routes, .. } in peers {
        tracing::info!(router, bgp_peer = peer, routes, "peer_forgotten");
    }
    if routers > 0 {
        tracing::info!(count = routers, "routers_forgotten");
    }
    Ok(())
}
