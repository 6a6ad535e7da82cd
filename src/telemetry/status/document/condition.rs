//! The kinds of conditions in the status document. Their names are stable; new kinds may be added.

use serde::{Deserialize, Serialize};

/// Kind of a condition that needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// The log has failed; the daemon ends.
    LogFailed,
    /// The daemon is stopping.
    Stopping,
    /// The log is not writable.
    IngestPaused,
    /// Received records have been waiting for an fsync for seconds.
    NotSynced,
    /// New connections of unknown routers wait until log usage is below 50 %.
    HeldOff,
    /// Routers wait at their share of the log.
    RoutersPaused,
    /// More than half of the log is in use.
    LogFilling,
    /// Data of the log is corrupt or unreadable.
    LogDamage,
    /// Batches were lost: dropped undelivered, or never synced before a crash.
    BatchesLost,
    /// A segment was abandoned after an I/O error.
    SegmentAbandoned,
    /// The wall clock jumped, or is behind the times that are stored.
    ClockTrouble,
    /// Routers that are known or expected are not connected.
    RoutersNotConnected,
    /// Routers that the collector connects to are not connected.
    RemotesNotConnected,
    /// The TLS files of the listener or the HTTP server cannot be loaded, so that the previous ones stay in
    /// use, or a certificate has expired.
    TlsFiles,
    /// The number of connections has reached BMP_MAX_CONNECTIONS.
    ConnectionsFull,
    /// Connections were refused within the last minutes.
    ConnectionsRefused,
    /// Connections of configured routers were refused within the last minutes.
    ConfiguredRefused,
    /// A router claims a name that belongs to another address.
    NameReserved,
    /// A router claims the name of one that was last recorded from another address.
    RouterMoved,
    /// Two routers have the same name.
    NameConflict,
    /// A router exceeds the tracked peer/family limit.
    PeerLimit,
    /// A router reports new peers too fast, so that it is read slowly.
    RouterSlowed,
    /// The oldest undelivered record is older than a minute.
    DeliveryLag,
    /// A lane does not deliver.
    Lane,
    /// The database has rejected records.
    Rejected,
    /// Records of a router or peer are set aside, because the database rejects them.
    Quarantine,
    /// History is stored as rows, although HISTORY_DIRECT_COMPRESS is `on`.
    HistoryAsRows,
    /// The database was not reached since the start.
    DatabaseNotReached,
    /// The database was reached since the start, and the delivery cannot begin.
    DeliveryNotStarted,
    /// Log lines were dropped within the last minutes, or their output is blocked.
    LogOutput,
    /// Log lines were suppressed within the last minutes, because they exceeded the budget of the output.
    LogSuppressed,
    /// The last reload of the settings failed.
    ReloadFailed,
}
