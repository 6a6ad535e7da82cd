//! How fast the log fills, and so when it will be full. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples are at least this far apart.
const STEP: Duration = Duration::from_secs(10);

/// Samples that are kept: the rate is that of the last five minutes.
const SAMPLES: usize = 31;

/// Samples of how many bytes wait for delivery.
#[derive(Debug, Default)]
pub(super) struct Trend {
    samples: VecDeque<(Duration, u64)>,
}

impl Trend {
    /// Takes a sample at a time since the start.
    pub(super) fn sample(&mut self, at: Duration, bytes: u64) {
        if self.samples.back().is_some_and(|(last, _)| at < *last + STEP) {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((at, bytes));
    }

    /// Hours until `room` more bytes are taken; nothing while it does not grow, or is not known yet.
    pub(super) fn hours_until(&self, room: u64) -> Option<f64> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let grown = after.checked_sub(*before).filter(|grown| *grown > 0)?;
        let elapsed = to.checked_sub(*from).filter(|elapsed| !elapsed.is_zero())?;
        Some(ratio(room, grown) * elapsed.as_secs_f64() / 3_600.0)
    }
}

/// A quotient of byte counts. Rounded where they have more than 53 bits, which no disk has.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    let float = |number: u64| {
        let (high, low) = (number >> 32, number & u64::from(u32::MAX));
        f64::from(u32::try_from(high).unwrap_or(u32::MAX)) * 4_294_967_296.0
            + f64::from(u32::try_from(low).unwrap_or(u32::MAX))
    };
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_by_a_tenth_of_its_room_in_a_minute_is_full_in_ten() {
        let mut trend = Trend::default();
        assert_eq!(trend.hours_until(1_000), None);
        for step in 0..=6 {
            trend.sample(Duration::from_secs(10 * step), 500 + 100 * step);
        }
        let hours = trend.hours_until(6_000).unwrap();
        assert!((hours - 1.0 / 6.0).abs() < 1e-9, "{hours}");
    }

    #[test]
    fn a_log_that_does_not_grow_is_never_full() {
        let mut trend = Trend::default();
        trend.sample(Duration::from_secs(0), 500);
        trend.sample(Duration::from_secs(10), 400);
        assert_eq!(trend.hours_until(1_000), None);
    }

    #[test]
    fn only_the_last_minutes_count() {
        let mut trend = Trend::default();
        for step in 0..100 {
            trend.sample(Duration::from_secs(10 * step), if step < 50 { step << 30 } else { 50 << 30 });
        }
        assert_eq!(trend.hours_until(1), None);
    }

    #[test]
    fn quotients_are_right_over_the_whole_range() {
        assert!((ratio(1 << 40, 1 << 41) - 0.5).abs() < 1e-12);
        assert!((ratio(u64::MAX, u64::MAX) - 1.0).abs() < 1e-12);
        assert!(ratio(1, 0).abs() < 1e-12);
    }
}
