//! What is known of the delivery, for whoever wants to know.

use crate::route::Timestamp;
use crate::wal::SeqNo;

/// What a lane is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// Not attached yet.
    #[default]
    Connecting,
    /// There is something to deliver.
    Draining,
    /// Everything durable is delivered.
    CaughtUp,
    /// The last attempt failed; it tries again by itself.
    Retrying,
    /// Somebody has to mend something; it looks again once a minute.
    Alarm,
    /// It delivers no more until the next start.
    Halted,
    /// It was stopped in order.
    Stopped,
}

/// One lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Everything up to here is delivered.
    pub delivered: SeqNo,
    /// What it is doing.
    pub state: LaneState,
    /// Rows delivered since the start.
    pub rows: u64,
    /// Records that the database refused since the start; they are in `rejected_routes`.
    pub rejected: u64,
    /// Transactions since the start.
    pub transactions: u64,
    /// When the last record that was delivered had been received; 0 before the first.
    pub received: Timestamp,
    /// The last error, kept after it has passed.
    pub last_error: Option<String>,
}

/// The delivery as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// By number; empty until the database was reached for the first time.
    pub lanes: Vec<LaneStatus>,
    /// Why there are no lanes yet, or what the log's number of lanes overrules.
    pub last_error: Option<String>,
}

impl Delivered {
    /// Everything up to here is delivered by every lane.
    #[must_use]
    pub fn seq(&self) -> SeqNo {
        self.lanes.iter().map(|lane| lane.delivered).min().unwrap_or_default()
    }

    /// Rows delivered since the start.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows).sum()
    }

    /// True when every lane delivers or has nothing to deliver.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let healthy = |lane: &LaneStatus| matches!(lane.state, LaneState::Draining | LaneState::CaughtUp);
        !self.lanes.is_empty() && self.lanes.iter().all(healthy)
    }
}
