//! Decides whether new connections of routers that are not known are read.
//!
//! ```text
//!              the log is paused
//!   open ────────────────────────────► closed
//!    ▲                                    │
//!    └────────────────────────────────────┘
//!      the log is not paused, and its usage is below 50 %
//! ```
//!
//! A full log has no space for another initial dump. While the gate is closed, new connections of such
//! routers are held ([`super::hold`]) until there is space for more than the beginning of one. Existing
//! sessions, and known routers that connect again, wait at the log itself; they are the first to continue.

use crate::committer::{LogState, Progress};

/// Whether new connections of unknown routers are read, with hysteresis.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_closed: bool,
}

impl Gate {
    /// Updates the gate from the progress of the log. Returns true if it is open.
    pub(super) fn update(&mut self, Progress { state, usage, .. }: &Progress) -> bool {
        match state {
            LogState::Paused(_) => self.is_closed = true,
            LogState::Running if usage.available_bytes >= usage.undelivered_bytes => self.is_closed = false,
            LogState::Running | LogState::Failed(_) | LogState::Stopped => {}
        }
        !self.is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committer::SyncTimes;
    use crate::wal::{SeqNo, Usage};

    fn progress(state: &LogState, undelivered_bytes: u64, available_bytes: u64) -> Progress {
        Progress {
            written: SeqNo(9),
            durable: SeqNo(9),
            end: SeqNo(9),
            records_durable: 0,
            unsynced_records: 0,
            unsynced_since: None,
            state: state.clone(),
            paused_by: None,
            sync_times: SyncTimes::default(),
            usage: Usage { undelivered_bytes, available_bytes, ..Usage::default() },
            segment_failure: None,
            beat: 0,
        }
    }

    #[test]
    fn the_gate_is_closed_from_a_pause_until_usage_is_below_half() {
        let paused = LogState::Paused("the log has reached its limit".to_owned());
        let mut gate = Gate::default();
        for (step, state, undelivered, available, open) in [
            ("a log that fills up is not paused", &LogState::Running, 9, 1, true),
            ("the log is paused", &paused, 10, 0, false),
            ("10 % available is not enough", &LogState::Running, 9, 1, false),
            ("paused with space available, as on a read-only disk", &paused, 5, 5, false),
            ("slightly more than half is used", &LogState::Running, 6, 5, false),
            ("half is available", &LogState::Running, 5, 5, true),
            ("the log may fill up again", &LogState::Running, 9, 1, true),
            ("the next pause", &paused, 10, 0, false),
            ("a stopped log does not open the gate", &LogState::Stopped, 0, 10, false),
        ] {
            assert_eq!(gate.update(&progress(state, undelivered, available)), open, "{step}");
        }
    }
}
