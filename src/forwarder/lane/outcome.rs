//! Reports failed attempts, and the end of a lane.

use super::Task;
use crate::forwarder::error::LaneError;
use crate::forwarder::machine::End;
use crate::forwarder::status::LaneState;
use crate::sink::ErrorAction;
use crate::wal::Storage;

/// Appended to the error if a transaction cannot be stored without its rejected records either.
const REJECTED_AGAIN: &str = ": a transaction is rejected although its rejected records were left out; \
    compare the database's tables, triggers and constraints with docs/SCHEMA.md and repair them; nothing is \
    lost, and delivery resumes by itself";

impl<S: Storage> Task<S> {
    /// Reports a failed attempt, and the state in which the lane is after it.
    pub(super) fn failed(&self, error: &LaneError, is_isolating: bool) {
        let (lane, action, class) = (self.lane.number, error.action(), error.class());
        let mut error = error.to_string();
        let state = match action {
            ErrorAction::Retry | ErrorAction::RetrySmaller => {
                tracing::warn!(lane, error, "delivery_failed");
                LaneState::Retrying
            }
            ErrorAction::Reject if is_isolating => {
                tracing::warn!(lane, error, "transaction_rejected");
                LaneState::Retrying
            }
            ErrorAction::Reject => {
                error.push_str(REJECTED_AGAIN);
                tracing::error!(lane, error, "delivery_blocked");
                LaneState::Blocked
            }
            ErrorAction::Alarm => {
                tracing::error!(lane, error, "delivery_blocked");
                LaneState::Blocked
            }
            ErrorAction::Halt => {
                tracing::error!(lane, error, "delivery_halted");
                LaneState::Halted
            }
        };
        self.report(|status| {
            status.state = state;
            (status.last_error, status.last_error_class) = (Some(error), Some(class));
        });
    }

    /// Reports the end of the lane.
    pub(super) fn ended(&self, end: End) {
        let lane = self.lane.number;
        self.positions.end(lane);
        match end {
            End::Stopped => self.report(|status| status.state = LaneState::Stopped),
            End::Halted => {}
            End::Fork { database_seq, durable_seq } => {
                let error = format!(
                    "the database has batches of this log up to {database_seq}, but the log ends at \
                     {durable_seq}: the log directory was copied or restored; restart Holdfast to deliver it \
                     under a new log id"
                );
                tracing::error!(lane, error, "delivery_halted");
                self.report(|status| {
                    status.state = LaneState::Halted;
                    (status.last_error, status.last_error_class) = (Some(error), Some("log"));
                });
            }
        }
    }
}
