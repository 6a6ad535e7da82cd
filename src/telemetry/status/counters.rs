//! Counters of the status document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counters of all BMP sessions since the start, including those that have ended. They are at most a second
/// old; connections that have not identified themselves as a router are not counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// BMP messages by type.
    pub messages: BTreeMap<String, u64>,
    /// Bytes of these messages.
    pub bytes: u64,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn, explicitly or by treat-as-withdraw.
    pub withdrawn: u64,
    /// Messages and PDUs that could not be decoded, by kind.
    pub errors: BTreeMap<String, u64>,
    /// What was decoded otherwise than negotiated, because the data was evidence for it.
    pub overridden: BTreeMap<String, u64>,
    /// Deviations from the RFCs that lose no route, and limits that were exceeded.
    pub irregularities: BTreeMap<String, u64>,
    /// Routes handed to the log.
    pub routes_logged: u64,
    /// Events handed to the log, by kind.
    pub events_logged: BTreeMap<String, u64>,
    /// Gaps handed to the log, by reason: times in which messages may not have been recorded.
    pub gaps: BTreeMap<String, Gaps>,
}

/// Gaps with the same reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// Number of gaps.
    pub count: u64,
    /// Sum of their lengths in seconds.
    pub seconds: f64,
}

/// Values of [`super::Wal::paused_by`].
pub const PAUSE_REASONS: [&str; 3] = ["size_limit", "free_space", "disk"];

/// Durations of the syncs that ended a group of batches by its age or size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Syncs {
    /// Number of syncs.
    pub count: u64,
    /// Sum of their durations in seconds.
    pub seconds: f64,
    /// Buckets: the upper bound in seconds, and the number of syncs above the bound before and not above this
    /// one.
    pub buckets: Vec<(f64, u64)>,
}

/// Transactions of the delivery since the start, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    /// Committed as a whole.
    pub stored: u64,
    /// Committed without the records that the database rejects.
    pub isolated: u64,
    /// Committed, although the server's reply was lost.
    pub found_committed: u64,
    /// Not committed, and no reply was received either.
    pub found_missing: u64,
    /// Attempts that the server refused.
    pub refused: u64,
}

/// Output of log lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogOutput {
    /// Log lines dropped since the start, because the output did not accept them.
    pub lines_dropped: u64,
    /// Log lines suppressed since the start, because they exceeded LOG_MAX_BYTES_PER_SECOND.
    #[serde(default)]
    pub lines_suppressed: u64,
    /// Error reports to Sentry suppressed since the start, because they exceeded their budget.
    #[serde(default)]
    pub reports_suppressed: u64,
    /// Seconds for which the output has not accepted the lines that are being written; 0 if none are.
    pub blocked_s: f64,
    /// Error of the last write, if it failed.
    pub error: Option<String>,
}
