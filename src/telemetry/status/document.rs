//! The status document. Its field names are stable; new fields may be added.

mod condition;
mod delivery_state;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::counters::{LogOutput, Sessions, Syncs, Transactions};
use super::listener::Listener;
use super::reload::Reload;
use super::routers::Router;

pub use condition::ConditionKind;
pub use delivery_state::{DeliveryState, NOT_REACHED};

/// Status of the daemon.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Document {
    /// Version of the daemon.
    pub version: String,
    /// Identity of the collector (COLLECTOR_ID).
    pub collector: String,
    /// Process id.
    pub pid: u32,
    /// Time of this document, in ISO 8601.
    pub time: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Milliseconds since the start, for rates: the difference of a counter in two documents belongs to the
    /// difference of this field.
    #[serde(default)]
    pub uptime_ms: u64,
    /// Overall health.
    pub state: Health,
    /// Conditions that make the daemon degraded or down, as text; empty if it is healthy.
    pub reasons: Vec<String>,
    /// The kind of each of the `reasons`, in the same order.
    #[serde(default)]
    pub conditions: Vec<ConditionKind>,
    /// BMP listener.
    pub listener: Listener,
    /// Connected routers, and disconnected ones that are expected or have stale peers.
    pub routers: Vec<Router>,
    /// Counters of all BMP sessions.
    #[serde(default)]
    pub sessions: Sessions,
    /// Write-ahead log.
    pub wal: Wal,
    /// Delivery to the database; `None` in store-only mode.
    pub delivery: Option<Delivery>,
    /// Output of log lines.
    #[serde(default)]
    pub log_output: LogOutput,
    /// Reloads of the settings.
    #[serde(default)]
    pub reload: Reload,
}

/// Health of the daemon, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No condition needs attention.
    #[default]
    Healthy,
    /// The daemon works; a condition needs attention.
    Degraded,
    /// The daemon does not collect.
    Down,
}

impl Health {
    /// The exit code of `holdfast status`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Down => 2,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}

/// Write-ahead log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wal {
    /// Identity of the log.
    pub log_id: String,
    /// Directory of the log.
    pub dir: String,
    /// Sequence number of the last batch written.
    pub written: u64,
    /// Sequence number of the last batch synced to disk.
    pub durable: u64,
    /// Undelivered batches dropped since the start (`WAL_FULL=drop-oldest`).
    pub dropped: u64,
    /// Records synced to disk since the start.
    pub records_durable: u64,
    /// Received records that a power loss now would cost: queued or written, and not synced to disk.
    #[serde(default)]
    pub unsynced_records: u64,
    /// Seconds for which the oldest of these records has been waiting; 0 if there is none.
    #[serde(default)]
    pub unsynced_s: f64,
    /// Number of segment files.
    pub segments: u64,
    /// Size of the log in bytes.
    pub bytes: u64,
    /// Maximum size of the log in bytes.
    pub bytes_max: u64,
    /// Free bytes of the file system.
    pub free_bytes: u64,
    /// Percentage of the log that is in use, at which WAL_FULL applies; `None` if unknown.
    #[serde(default)]
    pub percent_full: Option<f64>,
    /// Hours until the log is full at the growth rate of the last minutes; `None` if it does not grow.
    pub hours_left: Option<f64>,
    /// Reason why the log is not writable; `None` if it is.
    pub paused: Option<String>,
    /// The same in one word: `size_limit`, `free_space` or `disk`.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// Durations of syncs.
    #[serde(default)]
    pub syncs: Syncs,
    /// Last segment that was abandoned after an I/O error since the start.
    #[serde(default)]
    pub failed_segment: Option<FailedSegment>,
    /// Number of batches that were found to be missing since the start, by reason.
    #[serde(default)]
    pub lost_batches: BTreeMap<LossReason, u64>,
    /// The last damage that was found since the start.
    #[serde(default)]
    pub damage: Option<Damage>,
}

/// Why batches of the log are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossReason {
    /// They were synced, and their data is corrupt now.
    Rot,
    /// They were synced, and the disk returns an error for them.
    Unreadable,
    /// A crash came before their sync returned.
    Torn,
    /// Their segment was dropped before they were delivered.
    Dropped,
    /// Their segment file is missing.
    Missing,
    /// Sequence numbers that are not assigned again, because the end of the log is lost; an upper bound.
    Skipped,
}

impl LossReason {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Rot, Self::Unreadable, Self::Torn, Self::Dropped, Self::Missing, Self::Skipped];
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rot => "rot",
            Self::Unreadable => "unreadable",
            Self::Torn => "torn",
            Self::Dropped => "dropped",
            Self::Missing => "missing",
            Self::Skipped => "skipped",
        })
    }
}

/// Corrupt or unreadable data of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Whether the data is corrupt or cannot be read.
    pub reason: LossReason,
    /// File name in the log directory; `None` if unknown.
    pub file: Option<String>,
    /// Offset of the first corrupt byte; `None` if unknown.
    pub from_byte: Option<u64>,
    /// Offset of the next intact data; `None` if unknown.
    pub to_byte: Option<u64>,
    /// First missing batch.
    pub first_seq: u64,
    /// Last missing batch.
    pub last_seq: u64,
    /// Number of missing batches.
    pub batches: u64,
    /// Time at which the damage was found (ISO 8601, UTC).
    pub time: String,
}

/// A segment that was abandoned after an I/O error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FailedSegment {
    /// Segment number.
    pub segment: u64,
    /// File name in the log directory.
    pub file: String,
    /// Text of the I/O error.
    pub error: String,
    /// Time of the failure (ISO 8601, UTC).
    pub time: String,
}

/// Delivery to the database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Sequence number of the last batch that all lanes have delivered; `None` until the database was reached
    /// for the first time. The lag is then that of the fastest lane, as the log directory records it.
    pub delivered: Option<u64>,
    /// Durable batches not yet delivered by all lanes.
    pub lag_batches: u64,
    /// Estimated number of route and event records in these batches.
    pub lag_routes: u64,
    /// Age of the oldest undelivered record, in seconds; 0 if there is none. Changes of the wall clock since
    /// the start do not matter. `None` while the record is being looked up, or if it cannot be read.
    pub lag_s: Option<f64>,
    /// Records rejected by the database since the start; they are in the table `rejected_routes`.
    pub rejected: u64,
    /// Rejected records since the start that became a gap, because `rejected_routes` had reached 4 GiB.
    #[serde(default)]
    pub rejected_dropped: u64,
    /// Number of routers and peers whose records go to `rejected_routes` without an attempt to store them.
    #[serde(default)]
    pub quarantined: usize,
    /// The first of them in each lane.
    #[serde(default)]
    pub quarantined_sources: Vec<Quarantined>,
    /// Transactions.
    #[serde(default)]
    pub transactions: Transactions,
    /// Failed attempts to connect, to read or to store since the start, by class: of the SQLSTATE, or
    /// `connection`, `timeout`, `pooler`, `systemic`, `log`, `schema` or `internal`.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// How history is stored; `None` until the database was reached for the first time.
    #[serde(default)]
    pub history: Option<HistoryStorage>,
    /// Lanes; empty until the database was reached for the first time.
    pub lanes: Vec<Lane>,
    /// Last error that concerns all lanes; `None` if there was none.
    pub last_error: Option<String>,
    /// Class of that error, as in `failures`.
    #[serde(default)]
    pub last_error_class: Option<String>,
    /// Whether an operator must remove the cause of that error. It is retried once a minute.
    #[serde(default)]
    pub needs_operator: bool,
}

/// How the lanes store history.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HistoryStorage {
    /// Whether transactions with many rows are written compressed.
    pub compressed: bool,
    /// Why not; `None` if they are.
    pub reason: Option<String>,
    /// Whether HISTORY_DIRECT_COMPRESS is `on`, so that rows need attention.
    pub demanded: bool,
}

impl fmt::Display for HistoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "as rows: {reason}"),
            None => f.write_str("compressed in large transactions, as rows in others"),
        }
    }
}

/// A router or peer whose records go to `rejected_routes`, because the database rejects them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Quarantined {
    /// Name of the router.
    pub router: String,
    /// The peer, with its distinguisher unless that is zero; `None` for the whole router.
    pub peer: Option<String>,
    /// The error of the database.
    pub error: String,
}

/// A lane of the delivery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lane {
    /// Number of the lane, from 0.
    pub lane: u16,
    /// Class of the batches that the lane delivers: `dump` or `live`.
    #[serde(default)]
    pub class: String,
    /// Sequence number of the last batch delivered; `None` until the lane has read its position from the
    /// database.
    pub seq: Option<u64>,
    /// Records delivered since the start, rejected ones included.
    #[serde(default)]
    pub records: u64,
    /// Age of the oldest record that the lane has not delivered, in seconds, like [`Delivery::lag_s`].
    #[serde(default)]
    pub lag_s: Option<f64>,
    /// State of the lane.
    pub state: LaneState,
    /// Last error, also after recovery from it; `None` if there was none.
    pub last_error: Option<String>,
    /// Class of that error, as in [`Delivery::failures`].
    #[serde(default)]
    pub last_error_class: Option<String>,
}

/// State of a lane, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LaneState {
    /// All durable batches are delivered.
    #[serde(rename = "caught up")]
    CaughtUp,
    /// The lane delivers a backlog.
    #[serde(rename = "draining")]
    Draining,
    /// The lane has not attached to the database yet.
    #[default]
    #[serde(rename = "connecting")]
    Connecting,
    /// The last attempt failed; the lane retries by itself.
    #[serde(rename = "retrying")]
    Retrying,
    /// An operator must remove a cause; the lane retries once a minute.
    #[serde(rename = "needs operator action")]
    NeedsOperator,
    /// The lane is stopped until the next start of the daemon.
    #[serde(rename = "halted until restart")]
    Halted,
    /// The daemon has stopped the lane.
    #[serde(rename = "stopped")]
    Stopped,
}

impl LaneState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Connecting,
        Self::Draining,
        Self::CaughtUp,
        Self::Retrying,
        Self::NeedsOperator,
        Self::Halted,
        Self::Stopped,
    ];

    /// Whether the lane delivers, or has nothing to deliver.
    #[must_use]
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Draining | Self::CaughtUp)
    }
}

impl fmt::Display for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Draining => "draining",
            Self::CaughtUp => "caught up",
            Self::Retrying => "retrying",
            Self::NeedsOperator => "needs operator action",
            Self::Halted => "halted until restart",
            Self::Stopped => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_alike_in_text_and_in_json() {
        fn check<T: fmt::Display + Serialize + Copy>(values: &[T]) {
            for value in values {
                assert_eq!(serde_json::to_value(value).unwrap(), value.to_string());
            }
        }
        check(&[Health::Healthy, Health::Degraded, Health::Down]);
        check(&LaneState::ALL);
        check(&LossReason::ALL);
    }
}
