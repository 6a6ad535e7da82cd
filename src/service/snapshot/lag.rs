//! Age and size of the undelivered part of the log. Pure.
//!
//! The age of a batch of this run is measured on the monotonic clock, from the time at which the batch became
//! durable, so that a change of the wall clock does not matter. The age of a batch of an earlier run is
//! looked up in the log once, and measured on the monotonic clock from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rates::{ratio, scale};

/// Maximum number of samples. At this number every second one is removed, so that they cover a run of any
/// length, the last hour with one sample per second.
const SAMPLES_MAX: usize = 4_096;

/// Progress of the log at one time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Last durable batch.
    seq: u64,
    /// Number of records of this run up to that batch.
    records: u64,
    /// Last time at which that batch was the last durable one.
    at: Duration,
}

/// The age of a record of an earlier run.
#[derive(Clone, Copy, Debug)]
struct KnownAge {
    /// Age of the record at the time `at`.
    age: Duration,
    at: Duration,
}

/// Result of looking up the first undelivered record of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum LookedUp {
    /// The record has this age.
    Age(Duration),
    /// No batch of an earlier run after the position can be read.
    Unreadable,
    /// The wall clock is behind the time of the record.
    ClockBehind,
}

/// Progress of the log over time. All times are measured from the start of the daemon.
#[derive(Debug)]
pub(in crate::service) struct Progress {
    /// Last batch of the run before.
    last_seq_before: u64,
    /// Ascending; not empty.
    samples: Vec<Sample>,
    /// Batches of earlier runs, and the number of records up to each; ascending. Empty until counted.
    earlier: Vec<(u64, u64)>,
    /// Age of the first record after a batch of an earlier run, by the batch.
    ages: BTreeMap<u64, Option<KnownAge>>,
}

impl Progress {
    /// `last_seq` is the sequence number of the last batch of the run before.
    pub(in crate::service) fn new(last_seq: u64) -> Self {
        let first = Sample { seq: last_seq, records: 0, at: Duration::ZERO };
        let (earlier, ages) = (Vec::new(), BTreeMap::new());
        Self { last_seq_before: last_seq, samples: vec![first], earlier, ages }
    }

    /// Adds a sample: the batches of this run up to `durable` have `records` records.
    pub(in crate::service) fn sample(&mut self, durable: u64, records: u64, now: Duration) {
        if let Some(last) = self.samples.last_mut().filter(|last| last.seq >= durable) {
            last.at = now;
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.samples.push(Sample { seq: durable, records, at: now });
    }

    /// Sets the numbers of records of earlier runs: ascending batches, and the number of records up to each.
    pub(in crate::service) fn set_earlier(&mut self, earlier: Vec<(u64, u64)>) {
        self.earlier = earlier;
    }

    /// The positions after which the age of the first record must be looked up in the log.
    pub(in crate::service) fn unknown(&self, positions: &[u64]) -> Vec<u64> {
        let is_unknown = |seq: &u64| *seq < self.last_seq_before && !self.ages.contains_key(seq);
        positions.iter().copied().filter(is_unknown).collect()
    }

    /// Stores the result of looking up the first record after `position`, and forgets those of positions that
    /// are not among `positions`.
    pub(in crate::service) fn looked_up(
        &mut self,
        position: u64,
        found: LookedUp,
        positions: &[u64],
        now: Duration,
    ) {
        self.ages.retain(|known, _| positions.contains(known));
        let age = match found {
            LookedUp::Age(age) => Some(KnownAge { age: age.max(now), at: now }),
            LookedUp::Unreadable => None,
            LookedUp::ClockBehind => return,
        };
        self.ages.insert(position, age);
    }

    /// Age of the first record after batch `position`. `None` if it is not known.
    pub(in crate::service) fn age_after(&self, position: u64, now: Duration) -> Option<Duration> {
        if position < self.last_seq_before {
            match self.ages.get(&position)? {
                Some(known) => return Some(known.age.saturating_add(now.saturating_sub(known.at))),
                // Nothing of the earlier runs can be read: the first record is one of this run.
                None => return self.age_after(self.last_seq_before, now),
            }
        }
        let index = self.samples.partition_point(|sample| sample.seq <= position);
        let sample = self.samples.get(index.checked_sub(1)?)?;
        Some(now.saturating_sub(sample.at))
    }

    /// Estimated number of records in the batches after `position`, up to the last sample. Between two known
    /// batches the estimate is linear. A batch of an earlier run counts as one record until they are counted.
    pub(in crate::service) fn records_after(&self, position: u64) -> u64 {
        let own = self.samples.iter().map(|sample| (sample.seq, sample.records));
        let own = after(position.max(self.last_seq_before), own);
        let known = after(position, self.earlier.iter().copied());
        let batches = self.last_seq_before.saturating_sub(position);
        own.saturating_add(known.max(if self.earlier.is_empty() { batches } else { 0 }))
    }
}

/// Number of records after `position`, by ascending points of (batch, records up to it).
fn after(position: u64, points: impl Iterator<Item = (u64, u64)> + Clone) -> u64 {
    let Some((_, all)) = points.clone().last() else { return 0 };
    let below = points.clone().take_while(|(seq, _)| *seq <= position).last();
    let Some(below) = below else { return all.saturating_sub(points.clone().next().map_or(0, |one| one.1)) };
    let Some(above) = points.clone().find(|(seq, _)| *seq > position) else { return 0 };
    let share = ratio(position.saturating_sub(below.0), above.0.saturating_sub(below.0));
    all.saturating_sub(below.1.saturating_add(scale(above.1.saturating_sub(below.1), share)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::num::to_u64;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn records_that_wait_are_counted_between_samples() {
        let mut progress = Progress::new(100);
        progress.sample(110, 1_000, s(1));
        progress.sample(110, 1_000, s(2));
        progress.sample(120, 5_000, s(3));
        for (delivered, waiting) in
            [(120, 0), (130, 0), (115, 2_000), (110, 4_000), (105, 4_500), (100, 5_000), (90, 5_010)]
        {
            assert_eq!(progress.records_after(delivered), waiting, "{delivered}");
        }
        progress.set_earlier(vec![(0, 0), (50, 500), (100, 1_500)]);
        for (delivered, waiting) in [(110, 4_000), (100, 5_000), (90, 5_200), (50, 6_000), (0, 6_500)] {
            assert_eq!(progress.records_after(delivered), waiting, "{delivered}");
        }
    }

    #[test]
    fn a_long_run_takes_no_more_memory() {
        let mut progress = Progress::new(0);
        (1..=20_000).for_each(|seq| progress.sample(seq, seq * 10, s(seq)));
        assert!(progress.samples.len() <= SAMPLES_MAX);
        assert_eq!(progress.records_after(10_000), 100_000);
        assert_eq!(progress.records_after(0), 200_000);
        let age = progress.age_after(19_000, s(20_000)).unwrap();
        assert!((s(1_000)..=s(1_002)).contains(&age), "{age:?}");
    }

    #[test]
    fn five_seconds_of_outage_after_a_quiet_time_are_five_seconds() {
        let mut progress = Progress::new(0);
        progress.sample(10, 10, s(1));
        // A quiet router: batch 10 stays the last one for 222 seconds. Then batch 11 comes, undelivered.
        (2..=222).for_each(|second| progress.sample(10, 10, s(second)));
        progress.sample(11, 11, s(223));
        assert_eq!(progress.age_after(10, s(227)), Some(s(5)));
    }

    #[test]
    fn nothing_delivered_is_no_lag_of_zero() {
        let mut progress = Progress::new(0);
        progress.sample(3, 3, s(1));
        assert_eq!(progress.age_after(0, s(60)), Some(s(60)));
    }

    #[test]
    fn a_backlog_of_an_earlier_run_has_the_age_of_its_first_record() {
        let mut progress = Progress::new(50);
        progress.sample(60, 10, s(3));
        assert_eq!(progress.age_after(20, s(3)), None, "not looked up yet");
        assert_eq!(progress.unknown(&[20, 50, 55]), [20]);
        progress.looked_up(20, LookedUp::ClockBehind, &[20], s(3));
        assert_eq!(progress.age_after(20, s(3)), None, "the clock is behind the record");
        progress.looked_up(20, LookedUp::Age(s(900)), &[20], s(3));
        assert_eq!(progress.age_after(20, s(10)), Some(s(907)));
        progress.looked_up(30, LookedUp::Unreadable, &[30, 55], s(12));
        assert_eq!(progress.unknown(&[20, 30]), [20], "positions that are passed are forgotten");
        assert_eq!(progress.age_after(30, s(13)), Some(s(13)), "the first batch of this run counts");
        progress.looked_up(40, LookedUp::Age(s(1)), &[40], s(14));
        assert_eq!(progress.age_after(40, s(14)), Some(s(14)), "older than this run");
    }

    proptest! {
        /// Batches come at any times; the age of each is that of the schedule, at most a sampling interval
        /// more and never less.
        #[test]
        fn the_age_is_that_of_the_first_undelivered_batch(
            pauses in prop::collection::vec(0_u64..400, 1..200),
            rest in 0_u64..1_000,
            delivered in 0_usize..200,
        ) {
            let mut progress = Progress::new(0);
            let mut durable_at = Vec::new();
            let mut now = 0;
            for pause in pauses {
                for _ in 0..pause {
                    now += 1;
                    progress.sample(to_u64(durable_at.len()), 0, s(now));
                }
                durable_at.push(now);
            }
            for _ in 0..=rest {
                now += 1;
                progress.sample(to_u64(durable_at.len()), 0, s(now));
            }
            if let Some(at) = durable_at.get(delivered) {
                let (age, truth) = (progress.age_after(to_u64(delivered), s(now)).unwrap(), s(now - at));
                prop_assert!(age >= truth && age <= truth + s(1), "{age:?} for {truth:?}");
            }
        }
    }
}
