//! How fast the log fills, and so when it will be full; how many records lie between two of its batches. Pure.

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

/// How many records the batches of this run hold, by samples of the log's progress.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Sequence number, and the records of this run up to it; both grow.
    samples: Vec<(u64, u64)>,
}

/// Samples that are kept. When they are full every second one goes, so that they cover any length of time.
const LEDGER_SAMPLES: usize = 4_096;

impl Ledger {
    /// `before` is the last batch of the run before.
    pub(super) fn new(before: u64) -> Self {
        Self { samples: vec![(before, 0)] }
    }

    /// Takes a sample: so many records of this run up to this batch.
    pub(super) fn sample(&mut self, seq: u64, records: u64) {
        if self.samples.last().is_some_and(|(last, _)| *last >= seq) {
            return;
        }
        if self.samples.len() == LEDGER_SAMPLES {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.samples.push((seq, records));
    }

    /// Records in the batches behind `seq`, up to the last sample. What batches of earlier runs hold is not known: they
    /// are counted as `mean` records each.
    pub(super) fn records_behind(&self, seq: u64, mean: f64) -> u64 {
        let (Some((first, _)), Some((_, all))) = (self.samples.first(), self.samples.last()) else {
            return 0;
        };
        let at = self.samples.partition_point(|(known, _)| *known <= seq);
        let Some(below) = at.checked_sub(1).and_then(|below| self.samples.get(below)) else {
            return all.saturating_add(scale(first.saturating_sub(seq), mean));
        };
        let Some(above) = self.samples.get(at) else { return 0 };
        let share = ratio(seq.saturating_sub(below.0), above.0.saturating_sub(below.0));
        let records = below.1.saturating_add(scale(above.1.saturating_sub(below.1), share));
        all.saturating_sub(records)
    }
}

/// A number times a factor, rounded down.
fn scale(number: u64, factor: f64) -> u64 {
    const UNIT: u32 = 1 << 20;
    // 2^20 parts of a whole are fine enough for a number that people read.
    let parts = (factor.clamp(0.0, 1e6) * f64::from(UNIT)).round();
    let parts = format!("{parts:.0}").parse::<u128>().unwrap_or(0);
    u64::try_from(u128::from(number) * parts / u128::from(UNIT)).unwrap_or(u64::MAX)
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
    fn records_that_wait_are_counted_between_samples() {
        let mut ledger = Ledger::new(100);
        ledger.sample(110, 1_000);
        ledger.sample(110, 1_000);
        ledger.sample(120, 5_000);
        for (delivered, waiting) in
            [(120, 0), (130, 0), (115, 2_000), (110, 4_000), (105, 4_500), (100, 5_000)]
        {
            assert_eq!(ledger.records_behind(delivered, 7.0), waiting, "{delivered}");
        }
        assert_eq!(
            ledger.records_behind(90, 7.0),
            5_070,
            "ten batches of the run before, seven records each"
        );
    }

    #[test]
    fn a_long_run_takes_no_more_memory() {
        let mut ledger = Ledger::new(0);
        (1..=20_000).for_each(|seq| ledger.sample(seq, seq * 10));
        assert!(ledger.samples.len() <= LEDGER_SAMPLES);
        assert_eq!(ledger.records_behind(10_000, 0.0), 100_000);
        assert_eq!(ledger.records_behind(0, 0.0), 200_000);
    }

    #[test]
    fn quotients_are_right_over_the_whole_range() {
        assert!((ratio(1 << 40, 1 << 41) - 0.5).abs() < 1e-12);
        assert!((ratio(u64::MAX, u64::MAX) - 1.0).abs() < 1e-12);
        assert!(ratio(1, 0).abs() < 1e-12);
    }
}
