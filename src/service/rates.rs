//! Estimates from samples over time: hours until the log is full, and the number of records between two
//! batches.

use std::collections::VecDeque;
use std::time::Duration;

use crate::num::{floor_to_u64, to_f64};

/// Minimum time between two samples.
const INTERVAL: Duration = Duration::from_secs(10);

/// Number of samples kept. With [`INTERVAL`] they cover the last five minutes.
const SAMPLES: usize = 31;

/// Growth rate of the undelivered part of the log.
#[derive(Debug, Default)]
pub(super) struct GrowthRate {
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

/// Number of records in the batches of this run, by samples of the progress of the log.
#[derive(Debug)]
pub(super) struct RecordCounts {
    /// Sequence number of a batch, and the number of records of this run up to and including it; both
    /// ascending.
    samples: Vec<(u64, u64)>,
}

/// Maximum number of samples of record counts. At this number every second one is removed, so that they cover
/// a run of any length.
const MAX_COUNTS: usize = 4_096;

impl RecordCounts {
    /// `last_seq` is the sequence number of the last batch of the run before.
    pub(super) fn new(last_seq: u64) -> Self {
        Self { samples: vec![(last_seq, 0)] }
    }

    /// Adds a sample: the batches of this run up to `seq` have `records` records.
    pub(super) fn sample(&mut self, seq: u64, records: u64) {
        if self.samples.last().is_some_and(|(last, _)| *last >= seq) {
            return;
        }
        if self.samples.len() == MAX_COUNTS {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.samples.push((seq, records));
    }

    /// Estimated number of records in the batches after `seq`, up to the last sample.
    ///
    /// Between two samples the estimate is linear. The sizes of batches of earlier runs are unknown; each
    /// counts as `mean` records.
    pub(super) fn records_after(&self, seq: u64, mean: f64) -> u64 {
        let (Some((first, _)), Some((_, all))) = (self.samples.first(), self.samples.last()) else {
            return 0;
        };
        let index = self.samples.partition_point(|(known, _)| *known <= seq);
        let Some(below) = index.checked_sub(1).and_then(|below| self.samples.get(below)) else {
            return all.saturating_add(scale(first.saturating_sub(seq), mean));
        };
        let Some(above) = self.samples.get(index) else { return 0 };
        let share = ratio(seq.saturating_sub(below.0), above.0.saturating_sub(below.0));
        let records = below.1.saturating_add(scale(above.1.saturating_sub(below.1), share));
        all.saturating_sub(records)
    }
}

/// The product of a number and a factor, rounded to an integer.
fn scale(number: u64, factor: f64) -> u64 {
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
    fn records_that_wait_are_counted_between_samples() {
        let mut counts = RecordCounts::new(100);
        counts.sample(110, 1_000);
        counts.sample(110, 1_000);
        counts.sample(120, 5_000);
        for (delivered, waiting) in
            [(120, 0), (130, 0), (115, 2_000), (110, 4_000), (105, 4_500), (100, 5_000)]
        {
            assert_eq!(counts.records_after(delivered, 7.0), waiting, "{delivered}");
        }
        assert_eq!(counts.records_after(90, 7.0), 5_070, "ten batches of the run before, seven records each");
    }

    #[test]
    fn a_long_run_takes_no_more_memory() {
        let mut counts = RecordCounts::new(0);
        (1..=20_000).for_each(|seq| counts.sample(seq, seq * 10));
        assert!(counts.samples.len() <= MAX_COUNTS);
        assert_eq!(counts.records_after(10_000, 0.0), 100_000);
        assert_eq!(counts.records_after(0, 0.0), 200_000);
    }

    #[test]
    fn quotients_are_right_over_the_whole_range() {
        assert!((ratio(1 << 40, 1 << 41) - 0.5).abs() < 1e-12);
        assert!((ratio(u64::MAX, u64::MAX) - 1.0).abs() < 1e-12);
        assert!(ratio(1, 0).abs() < 1e-12);
    }
}
