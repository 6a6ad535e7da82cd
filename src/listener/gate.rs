//! Whether routers may connect.
//!
//! ```text
//!              the log is paused
//!   open ────────────────────────────► held off
//!    ▲                                    │
//!    └────────────────────────────────────┘
//!      it is not, and half of it is free
//! ```
//!
//! Some routers close a connection that is not read from, dial again and send their tables from the start. Let in at once,
//! such a router would fill each bit of room that the drain makes with the beginning of one more dump, and be stopped in
//! the middle of it again: without an end. So it waits outside until there is room for more than a beginning.
//!
//! Held off means that nothing listens: the router finds the connection refused, as with a collector that is not running,
//! and tries again at its own pace. A connection that is accepted and closed would be worse: it takes along what the router
//! has sent by then, which BIRD does not send twice. So would one that is accepted and left unread: when the router gives
//! it up, its FIN stands behind bytes for which there is no room, and a dead connection looks like a live one.
//!
//! Sessions that are there already go on waiting, and are first when there is room.

use crate::committer::{LogState, Progress};

/// The last answer.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held_off: bool,
}

impl Gate {
    /// True when routers may connect.
    pub(super) fn look(&mut self, Progress { state, usage, .. }: &Progress) -> bool {
        match state {
            LogState::Paused(_) => self.held_off = true,
            LogState::Running if usage.available_bytes >= usage.undelivered_bytes => self.held_off = false,
            LogState::Running | LogState::Failed(_) | LogState::Stopped => {}
        }
        !self.held_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::{SeqNo, Usage};

    fn progress(state: &LogState, undelivered_bytes: u64, available_bytes: u64) -> Progress {
        Progress {
            written: SeqNo(9),
            durable: SeqNo(9),
            end: SeqNo(9),
            records_durable: 0,
            state: state.clone(),
            usage: Usage { undelivered_bytes, available_bytes, ..Usage::default() },
            segment_failure: None,
            beat: 0,
        }
    }

    #[test]
    fn routers_wait_outside_from_a_pause_on_until_half_of_the_log_is_free() {
        let paused = LogState::Paused("the log has reached its limit".to_owned());
        let mut gate = Gate::default();
        for (step, state, undelivered, room, open) in [
            ("a log that fills is no reason", &LogState::Running, 9, 1, true),
            ("a pause is", &paused, 10, 0, false),
            ("some room is not enough", &LogState::Running, 9, 1, false),
            ("a pause with room on paper is one all the same: a read-only disk", &paused, 5, 5, false),
            ("nor is a bit less than half", &LogState::Running, 6, 5, false),
            ("half is", &LogState::Running, 5, 5, true),
            ("and it may fill again", &LogState::Running, 9, 1, true),
            ("until the next pause", &paused, 10, 0, false),
            ("what ends is no room", &LogState::Stopped, 0, 10, false),
        ] {
            assert_eq!(gate.look(&progress(state, undelivered, room)), open, "{step}");
        }
    }
}
