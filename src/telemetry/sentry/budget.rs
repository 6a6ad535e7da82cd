//! The budget of error reports to Sentry: at most [`REPORTS_MAX`] per minute, and [`GROUP_REPORTS_MAX`] of
//! one event, so that a router whose messages cannot be decoded does not use up the quota of the account.

use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of reports per minute.
const REPORTS_MAX: u64 = 30;

/// Maximum number of reports per minute of one event.
const GROUP_REPORTS_MAX: u64 = 5;

/// Time for which reports are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Counts the reports of the current minute. Times are those since the start of the process.
#[derive(Debug, Default)]
pub(super) struct ReportBudget {
    window: Duration,
    /// Reports of this minute, by the name of the event; at most [`REPORTS_MAX`] names.
    sent: BTreeMap<String, u64>,
    /// Reports suppressed since the start.
    suppressed: u64,
    /// Those of them that no report and no log line has counted.
    unreported: u64,
}

impl ReportBudget {
    /// Whether a report of this event may be sent. Returns the number of reports suppressed before it.
    pub(super) fn admit(&mut self, event: &str, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.window) >= WINDOW {
            self.window = now;
            self.sent.clear();
        }
        let sent: u64 = self.sent.values().sum();
        let of_event = self.sent.get(event).copied().unwrap_or_default();
        if sent >= REPORTS_MAX || of_event >= GROUP_REPORTS_MAX {
            self.suppressed += 1;
            self.unreported += 1;
            return None;
        }
        self.sent.insert(event.to_owned(), of_event + 1);
        Some(std::mem::take(&mut self.unreported))
    }

    /// Reports suppressed since the start.
    pub(super) const fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The number of reports suppressed since the last one that was sent, once their minute has ended; `None`
    /// if there are none.
    pub(super) fn take_suppressed(&mut self, now: Duration) -> Option<u64> {
        let has_ended = now.saturating_sub(self.window) >= WINDOW;
        (has_ended && self.unreported > 0).then(|| std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_limited_by_event_and_in_total_and_the_rest_is_counted() {
        let mut budget = ReportBudget::default();
        let mut admitted = 0;
        for number in 0..1_000 {
            admitted += u64::from(budget.admit("bgp_parse_error", Duration::from_millis(number)).is_some());
        }
        assert_eq!(admitted, GROUP_REPORTS_MAX);
        assert_eq!(budget.admit("log_paused", Duration::from_secs(1)), Some(1_000 - GROUP_REPORTS_MAX));
        for number in 0..1_000 {
            let event = format!("event_{number}");
            admitted += u64::from(budget.admit(&event, Duration::from_secs(2)).is_some());
        }
        assert_eq!(admitted + 1, REPORTS_MAX);
        assert!(budget.sent.len() <= 30);
        assert_eq!(budget.take_suppressed(Duration::from_secs(59)), None);
        let suppressed = budget.suppressed();
        assert_eq!(budget.take_suppressed(Duration::from_secs(60)), Some(suppressed - 995));
        assert_eq!(budget.take_suppressed(Duration::from_secs(60)), None);
        assert_eq!(budget.admit("bgp_parse_error", Duration::from_secs(60)), Some(0));
    }
}
