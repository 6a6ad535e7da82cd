//! Estimates from samples over time: hours until the log is full, and the time since a counter last changed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::num::{floor_to_u64, to_f64};

/// Minimum time between two samples.
const INTERVAL: Duration = Duration::from_secs(10);

/// Number of samples kept. With [`INTERVAL`] they cover the last five minutes.
const SAMPLES: usize = 31;

/// Growth rate of the undelivered part of the log.
#[derive(Debug, Default)]
pub(in crate::service) struct GrowthRate {
    /// Time since the start, and undelivered bytes at that time.
    samples: VecDeque<(Duration, u64)>,
}

impl GrowthRate {
    /// Adds a sample of the undelivered bytes. `time` is the time since the start of the daemon.
    pub(super) fn sample(&mut self, time: Duration, bytes: u64) {
        if self.samples.back().is_some_and(|(last, _)| time < *last + INTERVAL) {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((time, bytes));
    }

    /// Hours until `available` more bytes are used. `None` if the log does not grow, or with fewer than two
    /// samples.
    pub(super) fn hours_until_full(&self, available: u64) -> Option<f64> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let grown = after.checked_sub(*before).filter(|grown| *grown > 0)?;
        let elapsed = to.checked_sub(*from).filter(|elapsed| !elapsed.is_zero())?;
        Some(ratio(available, grown) * elapsed.as_secs_f64() / 3_600.0)
    }
}

/// A counter, and the time since it last changed.
#[derive(Debug, Default)]
pub(super) struct LastChange {
    value: u64,
    /// Time since the start of the daemon.
    changed: Option<Duration>,
}

impl LastChange {
    /// Observes the counter at the time `now` since the start of the daemon, where it is 0.
    pub(super) fn observe(&mut self, value: u64, now: Duration) {
        if std::mem::replace(&mut self.value, value) != value {
            self.changed = Some(now);
        }
    }

    /// Time since the last change, as observed; `None` if there was none.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        self.changed.map(|changed| now.saturating_sub(changed))
    }
}

/// The product of a number and a factor, rounded to an integer.
pub(super) fn scale(number: u64, factor: f64) -> u64 {
    floor_to_u64((to_f64(number) * factor).round())
}

/// The quotient of two counts; 0 if `whole` is 0.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { to_f64(part) / to_f64(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_by_a_tenth_of_its_room_in_a_minute_is_full_in_ten() {
        let mut growth = GrowthRate::default();
        assert_eq!(growth.hours_until_full(1_000), None);
        for step in 0..=6 {
            growth.sample(Duration::from_secs(10 * step), 500 + 100 * step);
        }
        let hours = growth.hours_until_full(6_000).unwrap();
        assert!((hours - 1.0 / 6.0).abs() < 1e-9, "{hours}");
    }

    #[test]
    fn a_log_that_does_not_grow_is_never_full() {
        let mut growth = GrowthRate::default();
        growth.sample(Duration::from_secs(0), 500);
        growth.sample(Duration::from_secs(10), 400);
        assert_eq!(growth.hours_until_full(1_000), None);
    }

    #[test]
    fn only_the_last_minutes_count() {
        let mut growth = GrowthRate::default();
        for step in 0..100 {
            growth.sample(Duration::from_secs(10 * step), if step < 50 { step << 30 } else { 50 << 30 });
        }
        assert_eq!(growth.hours_until_full(1), None);
    }

    #[test]
    fn quotients_are_right_over_the_whole_range() {
        assert!((ratio(1 << 40, 1 << 41) - 0.5).abs() < 1e-12);
        assert!((ratio(u64::MAX, u64::MAX) - 1.0).abs() < 1e-12);
        assert!(ratio(1, 0).abs() < 1e-12);
    }
}
