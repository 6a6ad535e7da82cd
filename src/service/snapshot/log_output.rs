//! The part of the status about the output of log lines.

use std::time::Duration;

use super::health::Condition;
use super::rates::LastChange;
use super::seconds;
use crate::telemetry::OutputState;
use crate::telemetry::status::LogOutput;

/// Time for which the output is blocked, in seconds, above which that is a condition.
const BLOCKED_S: f64 = 10.0;

/// Time for which a missing log line is a condition.
const MISSING_REPORTED: Duration = Duration::from_mins(10);

/// The times at which log lines were missing.
#[derive(Default)]
pub(super) struct MissingLines {
    dropped: LastChange,
    suppressed: LastChange,
}

impl MissingLines {
    /// Observes the output at the time `now` since the start of the daemon.
    pub(super) fn observe(&mut self, output: &OutputState, now: Duration) {
        self.dropped.observe(output.lines_dropped, now);
        self.suppressed.observe(output.lines_suppressed, now);
    }

    /// The conditions of the output that need attention.
    pub(super) fn conditions(&self, output: &LogOutput, now: Duration) -> Vec<Condition> {
        let is_recent = |change: &LastChange| change.age(now).is_some_and(|age| age < MISSING_REPORTED);
        let mut conditions = Vec::new();
        if output.blocked_s > BLOCKED_S || is_recent(&self.dropped) {
            conditions.push(Condition::LogOutput(output.clone()));
        }
        if is_recent(&self.suppressed) {
            conditions.push(Condition::LogSuppressed(output.lines_suppressed));
        }
        conditions
    }
}

/// The state of the output for the status document.
pub(super) fn log_output(output: OutputState) -> LogOutput {
    LogOutput {
        lines_dropped: output.lines_dropped,
        lines_suppressed: output.lines_suppressed,
        reports_suppressed: output.reports_suppressed,
        blocked_s: seconds(output.blocked),
        error: output.error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_lines_are_a_condition_for_ten_minutes() {
        let mut missing = MissingLines::default();
        let mut conditions = |lines_dropped, lines_suppressed, minute| {
            let state = OutputState { lines_dropped, lines_suppressed, ..Default::default() };
            missing.observe(&state, Duration::from_mins(minute));
            let conditions = missing.conditions(&log_output(state), Duration::from_mins(minute));
            conditions.iter().map(Condition::to_string).collect::<Vec<_>>()
        };
        assert!(conditions(0, 0, 0).is_empty());
        let [suppressed] = conditions(0, 7, 1).try_into().unwrap();
        assert!(suppressed.starts_with("7 log lines suppressed"), "{suppressed}");
        assert_eq!(conditions(3, 7, 10).len(), 2);
        let [dropped] = conditions(3, 7, 11).try_into().unwrap();
        assert!(dropped.contains("3 lines dropped"), "{dropped}");
        assert!(conditions(3, 7, 20).is_empty());
    }
}
