//! Delivery: reads the log and stores it in the database, one transaction after another.
//!
//! ```text
//!          ┌─ lane 0: Reader ─► TransactionBuilder ─► Connection ─┐
//!   Log ───┤                        ▲ Positions ▼                 ├─► Reporter ─► status, Committer::retire
//!          └─ lane n: Reader ─► TransactionBuilder ─► Connection ─┘
//! ```
//!
//! [`supervisor`] prepares the database and starts the lanes. Each lane reads the whole log, stores the peers
//! that are its own, and has a connection of its own: [`machine`] decides the next step, [`lane`] carries it
//! out. `lane::positions` keeps the order between the two lanes that store the same peers. The database may
//! be unavailable for any length of time without an effect on the routers.

mod backoff;
mod error;
mod identity;
mod lane;
pub mod machine;
mod marker_files;
mod options;
mod reading;
mod reporter;
mod status;
mod supervisor;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::committer::Committer;
use crate::sink::Target;
use crate::wal::{Log, LogId, SeqNo, Storage};
use reporter::Reporter;
use supervisor::Supervisor;

pub use marker_files::{MARKER_FILES, MarkerFileError, delivered_as};
pub use options::{Options, Settings};
pub use status::{DeliveryStatus, LaneState, LaneStatus, QUARANTINED_MAX, QuarantinedSource, Transactions};

/// A running delivery.
pub struct Forwarder {
    status: watch::Receiver<DeliveryStatus>,
    stop: watch::Sender<bool>,
    settings: watch::Sender<Settings>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// Subscribes to the status of the delivery; the receiver starts with the current value.
    #[must_use]
    pub fn delivered(&self) -> watch::Receiver<DeliveryStatus> {
        self.status.clone()
    }

    /// Access to the settings, which may be replaced at any time.
    #[must_use]
    pub fn settings(&self) -> watch::Sender<Settings> {
        self.settings.clone()
    }

    /// Delivers what is durable, for at most `within`, and stops all lanes. Undelivered batches stay in the
    /// log.
    ///
    /// Returns true if every lane delivered all durable batches and stopped in time; false if no lane has
    /// started, because the database was never reached.
    pub async fn stop(mut self, within: Duration) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(within, &mut self.task).await.is_ok();
        if !ended {
            self.task.abort();
        }
        let all_stopped =
            |status: &DeliveryStatus| status.lanes.iter().all(|lane| lane.state == LaneState::Stopped);
        let status = self.status.borrow();
        ended && !status.lanes.is_empty() && all_stopped(&status)
    }
}

/// Starts the delivery of `log` to `target` and returns at once. The database need not be reachable yet.
///
/// `log_id` is the log's own id; a fork is delivered under the id in its marker file.
pub fn spawn<S: Storage>(
    options: Options,
    target: Target,
    collector: String,
    log_id: LogId,
    log: Arc<Log<S>>,
    committer: Committer,
) -> Forwarder {
    // An error is reported by the check that compares the log with the database.
    let recorded = options.directory.as_deref().map(|directory| delivered_up_to(directory, log_id));
    let recorded = recorded.and_then(Result::ok).flatten();
    let (sender, status) = watch::channel(DeliveryStatus { recorded, ..DeliveryStatus::default() });
    let (stop, stopped) = watch::channel(false);
    let end = committer.progress().borrow().end;
    let reporter = Arc::new(Reporter::new(sender, committer, log_id, options.directory.clone()));
    let (settings, current) = watch::channel(Settings { options, target });
    let supervisor = Supervisor { settings: current, collector, log_id, log, end, stop: stopped, reporter };
    Forwarder { status, stop, settings, task: tokio::spawn(supervisor.run()) }
}

/// Last batch of the log in `directory` that the fastest lane has delivered, as its marker file says. The
/// database can have later ones: the file is not synced, and written after the commit.
///
/// # Errors
/// The marker file exists, but cannot be read or is malformed.
pub fn delivered_up_to(directory: &Path, log_id: LogId) -> Result<Option<SeqNo>, MarkerFileError> {
    let number = marker_files::DELIVERED.read(directory, log_id)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).map(SeqNo))
}
