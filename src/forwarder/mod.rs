//! The drain: read the log, store, advance.
//!
//! ```text
//!            ┌─ lane 0: Reader ─► TransactionBuilder ─► Connection ─┐
//!   Log ─────┤                                         ├──► Delivered ─► status; min over lanes ─► Committer::retire
//!            └─ lane n: Reader ─► TransactionBuilder ─► Connection ─┘
//! ```
//!
//! Each lane reads the whole log and stores what is its own, on a connection of its own; [`machine`] decides, [`lane`]
//! does. The database may be away for as long as it likes: nothing here is seen by the routers.

mod backoff;
mod identity;
mod lane;
pub mod machine;
mod marker_files;
mod reading;
mod status;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use status::{Delivered, LaneState, LaneStatus};

use crate::committer::Committer;
use crate::sink::{self, ErrorAction, Lane, MigrateError, Retention, Target};
use crate::wal::{Log, LogId, ReadError, SeqNo, Storage};
use identity::Question;
use lane::Task;

/// Between two rounds of maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);

/// How the log is drained.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lanes of a log that the database has not seen yet (DRAIN_LANES).
    pub lanes: u32,
    /// Rows of a transaction (DRAIN_MAX_ROWS).
    pub rows_max: u64,
    /// How long a record waits for others (DRAIN_MAX_DELAY_MS).
    pub delay: Duration,
    /// Re-sent tables add history only for what they change (HISTORY_DEDUP).
    pub dedup: bool,
    /// TransactionBuilder interval of tables that are yet to be made (CHUNK_INTERVAL_DAYS).
    pub chunk_interval_days: u32,
    /// What maintenance drops.
    pub retention: Retention,
    /// Connections of the pool (DB_POOL_MAX_SIZE).
    pub pool_size_max: usize,
    /// Where to remember that the log is a fork: the directory of its segments.
    pub directory: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: 2,
            rows_max: 10_000,
            delay: Duration::from_millis(500),
            dedup: true,
            chunk_interval_days: 7,
            retention: Retention::default(),
            pool_size_max: 4,
            directory: None,
        }
    }
}

/// Names of the files beside the segments that say under which id the log is delivered, and how far: a copy needs them too.
pub const NOTE_FILES: [&str; 2] = [marker_files::FORKED.name, marker_files::DELIVERED.name];

/// The id under which the log in this directory is delivered: its own, or the one that it was given when it was found to be
/// a fork.
///
/// # Errors
/// The file that says so is there and cannot be read.
pub fn delivered_as(directory: &Path, log_id: LogId) -> io::Result<LogId> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", directory.join(marker_files::FORKED.name).display()),
        )
    };
    let noted = marker_files::FORKED.read(directory, log_id).map_err(named)?;
    Ok(noted.map_or(log_id, |id| LogId(id.to_be_bytes())))
}

/// What all lanes report to.
struct Shared {
    delivered: watch::Sender<Delivered>,
    committer: Committer,
    /// The log, and the directory of its segments.
    log_id: LogId,
    directory: Option<PathBuf>,
}

impl Shared {
    /// Changes the status of a lane, and lets the log reuse what every lane has passed.
    fn report(&self, lane: u32, change: impl FnOnce(&mut LaneStatus)) {
        let (mut before, mut after) = (Reached::default(), Reached::default());
        self.delivered.send_modify(|delivered| {
            before = Reached::of(delivered);
            if let Some(status) = usize::try_from(lane).ok().and_then(|lane| delivered.lanes.get_mut(lane)) {
                change(status);
            }
            after = Reached::of(delivered);
        });
        if after.by_some > before.by_some
            && let Some(directory) = &self.directory
            && let Err(error) =
                marker_files::DELIVERED.write(directory, self.log_id, u128::from(after.by_some.0))
        {
            tracing::warn!(error = %error, dir = %directory.display(), "delivery_not_noted");
        }
        if after.by_all > before.by_all {
            self.committer.retire(after.by_all);
        }
    }
}

/// How far the lanes are.
#[derive(Default)]
struct Reached {
    by_all: SeqNo,
    by_some: SeqNo,
}

impl Reached {
    fn of(delivered: &Delivered) -> Self {
        let by_some = delivered.lanes.iter().map(|lane| lane.delivered).max().unwrap_or_default();
        Self { by_all: delivered.seq(), by_some }
    }
}

/// The running drain.
pub struct Forwarder {
    delivered: watch::Receiver<Delivered>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// How far it is, now and at each change.
    #[must_use]
    pub fn delivered(&self) -> watch::Receiver<Delivered> {
        self.delivered.clone()
    }

    /// Delivers what is durable, for at most so long, and ends. What is left stays in the log. Returns whether all of it
    /// was delivered.
    pub async fn stop(mut self, within: Duration) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(within, &mut self.task).await.is_ok();
        if !ended {
            self.task.abort();
        }
        let all_stopped =
            |delivered: &Delivered| delivered.lanes.iter().all(|lane| lane.state == LaneState::Stopped);
        ended && all_stopped(&self.delivered.borrow())
    }
}

/// Starts draining. Returns at once: the database need not be there.
pub fn spawn<S: Storage>(
    options: Options,
    target: Target,
    collector: String,
    log_id: LogId,
    log: Arc<Log<S>>,
    committer: Committer,
) -> Forwarder {
    let (sender, delivered) = watch::channel(Delivered::default());
    let (stop, stopped) = watch::channel(false);
    let directory = options.directory.clone();
    let shared = Arc::new(Shared { delivered: sender, committer, log_id, directory });
    let supervisor = Supervisor { options, target, collector, log_id, log, stop: stopped, shared };
    Forwarder { delivered, stop, task: tokio::spawn(supervisor.run()) }
}

struct Supervisor<S: Storage> {
    options: Options,
    target: Target,
    collector: String,
    log_id: LogId,
    log: Arc<Log<S>>,
    stop: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

impl<S: Storage> Supervisor<S> {
    async fn run(mut self) {
        let Some((log_id, count)) = self.prepare().await else { return };
        self.shared.delivered.send_modify(|delivered| {
            delivered.lanes = (0..count).map(|_| LaneStatus::default()).collect();
        });
        let owner = random_token();
        let mut lanes = JoinSet::new();
        for number in 0..count {
            let lane = Lane { collector: self.collector.clone(), log_id: log_id.0, number, count };
            lanes.spawn(
                Task {
                    options: self.options.clone(),
                    target: self.target.clone(),
                    lane,
                    owner,
                    log: Arc::clone(&self.log),
                    progress: self.shared.committer.progress(),
                    stop: self.stop.clone(),
                    shared: Arc::clone(&self.shared),
                }
                .run(),
            );
        }
        let maintenance = maintain_for_ever(self.target.clone(), self.options.clone());
        tokio::select! {
            () = maintenance => {}
            () = async { while lanes.join_next().await.is_some() {} } => {}
        }
    }

    /// Brings the schema up to date and learns under which id and in how many lanes the log is delivered; tries until it
    /// succeeds. `None` when told to stop.
    async fn prepare(&mut self) -> Option<(LogId, u32)> {
        let mut failures = 0;
        loop {
            if *self.stop.borrow_and_update() {
                return None;
            }
            let error = match self.try_prepare().await {
                Ok(found) => return Some(found),
                Err(error) => error,
            };
            failures += 1;
            let is_passing = matches!(error.action(), ErrorAction::Retry | ErrorAction::RetrySmaller);
            let delay = if is_passing { backoff::delay(failures, chance()) } else { backoff::ALARM };
            if is_passing {
                tracing::warn!(error = %error, retry_ms = delay.as_millis(), "database_connection_failed");
            } else {
                tracing::error!(error = %error, "database_needs_help");
            }
            self.shared.delivered.send_modify(|delivered| delivered.last_error = Some(error.to_string()));
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    async fn try_prepare(&self) -> Result<(LogId, u32), Unprepared> {
        let mut client = self.target.connect().await.map_err(|error| Unprepared::Connect(error.into()))?;
        let applied = sink::migrate(&mut client, self.options.chunk_interval_days).await?;
        if applied.is_empty() {
            tracing::info!("migrations_up_to_date");
        } else {
            tracing::info!(count = applied.len(), versions = ?applied, "migrations_complete");
        }
        let progress = self.shared.committer.progress().borrow().clone();
        let question = Question {
            directory: self.options.directory.as_deref(),
            collector: &self.collector,
            log_id: self.log_id,
            log: &self.log,
            durable: progress.durable,
            end: progress.end,
        };
        let (log_id, known) = identity::find(&mut client, &question).await?;
        let lanes = known.unwrap_or_else(|| self.options.lanes.max(1));
        if lanes != self.options.lanes {
            tracing::warn!(lanes, configured = self.options.lanes, "lanes_fixed_by_log");
        }
        Ok((log_id, lanes))
    }
}

/// Why no lane could be started yet.
#[derive(Debug)]
enum Unprepared {
    Connect(sink::Error),
    Migrate(MigrateError),
    Identity(identity::Error),
}

impl Unprepared {
    fn action(&self) -> ErrorAction {
        match self {
            Self::Connect(error) => error.action(),
            Self::Migrate(error) => error.action(),
            Self::Identity(identity::Error::Sink(error)) => error.action(),
            Self::Identity(identity::Error::Read(ReadError::Io(_))) => ErrorAction::Retry,
            Self::Identity(_) => ErrorAction::Alarm,
        }
    }
}

impl fmt::Display for Unprepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Migrate(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
        }
    }
}

impl From<MigrateError> for Unprepared {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(error)
    }
}

impl From<identity::Error> for Unprepared {
    fn from(error: identity::Error) -> Self {
        Self::Identity(error)
    }
}

async fn maintain_for_ever(target: Target, options: Options) {
    let pool = match target.pool(options.pool_size_max) {
        Ok(pool) => pool,
        Err(error) => {
            tracing::error!(error = %error, "maintenance_impossible");
            return std::future::pending().await;
        }
    };
    loop {
        if let Err(error) = sink::maintain(&pool, options.retention).await {
            tracing::warn!(error = %error, "maintenance_failed");
        }
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
    }
}

/// Any number: std seeds its hash maps from the system's random source.
fn chance() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Who this process is to the database.
fn random_token() -> [u8; 16] {
    (u128::from(chance()) << 64 | u128::from(chance())).to_be_bytes()
}
