//! Status of the delivery, as published to the status socket and to metrics.

use std::collections::BTreeMap;

use crate::route::Class;
use crate::sink::HistoryStorage;
use crate::wal::SeqNo;

/// State of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// Not attached to the database yet.
    #[default]
    Connecting,
    /// Attached, with undelivered batches.
    Draining,
    /// Attached, with every durable batch delivered.
    CaughtUp,
    /// The last attempt failed; the next one follows within seconds.
    Retrying,
    /// The last attempt failed for a reason that an operator has to remove; the next one follows after a
    /// minute.
    Blocked,
    /// Ended after an error; delivers nothing until the next start.
    Halted,
    /// Ended by an orderly stop.
    Stopped,
}

/// Maximum length of [`LaneStatus::quarantined_sources`].
pub const QUARANTINED_MAX: usize = 16;

/// A quarantined source of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantinedSource {
    /// Name of the router.
    pub router: String,
    /// The peer, with its distinguisher unless that is zero; `None` for the whole router.
    pub peer: Option<String>,
    /// The error of the server that its records cause.
    pub error: String,
}

/// Transactions since the start, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// Status of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// The class of the batches that the lane stores.
    pub class: Class,
    /// Last delivered batch; all batches before it are delivered too. 0 before the first attachment.
    pub delivered: SeqNo,
    /// Whether `delivered` was read from the database.
    pub was_attached: bool,
    /// State of the lane.
    pub state: LaneState,
    /// Rows delivered since the start.
    pub rows: u64,
    /// Records that the database rejected since the start. They are in `rejected_routes`.
    pub rejected: u64,
    /// Rejected records since the start that are not in `rejected_routes`, because it had reached its maximum
    /// size. They are in `collector_gaps` by number.
    pub dropped: u64,
    /// Number of quarantined sources: their records go to `rejected_routes` without an attempt to store them.
    pub quarantined: usize,
    /// The first [`QUARANTINED_MAX`] of them.
    pub quarantined_sources: Vec<QuarantinedSource>,
    /// Transactions since the start.
    pub transactions: Transactions,
    /// How the lane stores history; `None` before the first attachment.
    pub history: Option<HistoryStorage>,
    /// The last error, kept after a later success.
    pub last_error: Option<String>,
    /// Class of the last error, as in [`DeliveryStatus::failures`]; `None` if there was none.
    pub last_error_class: Option<&'static str>,
}

impl LaneStatus {
    /// Last delivered batch; `None` until the lane has read it from the database.
    #[must_use]
    pub fn position(&self) -> Option<SeqNo> {
        self.was_attached.then_some(self.delivered)
    }
}

/// Status of the delivery as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The lanes by number. Empty until the database has been prepared for the first time.
    pub lanes: Vec<LaneStatus>,
    /// Last batch that the fastest lane had delivered according to the log directory, as read at the start.
    pub recorded: Option<SeqNo>,
    /// Failed attempts to connect, to attach, to read or to store since the start, by class of the error.
    pub failures: BTreeMap<&'static str, u64>,
    /// The last error before the lanes were started.
    pub last_error: Option<String>,
    /// Class of the last error, as in `failures`; `None` if there was none.
    pub last_error_class: Option<&'static str>,
    /// Whether that error needs operator action. It is retried all the same.
    pub needs_operator: bool,
}

impl DeliveryStatus {
    /// Last batch that every lane has delivered; zero if there are no lanes yet.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.lanes.iter().map(|lane| lane.delivered).min().unwrap_or_default()
    }

    /// Rows delivered since the start, over all lanes.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows).sum()
    }

    /// True if there are lanes and each of them is draining or caught up.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let healthy = |lane: &LaneStatus| matches!(lane.state, LaneState::Draining | LaneState::CaughtUp);
        !self.lanes.is_empty() && self.lanes.iter().all(healthy)
    }
}
