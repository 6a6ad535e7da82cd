//! Durations of syncs, as a histogram.

use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 30_000];

/// Durations of the syncs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncTimes {
    /// Number of syncs by bucket; longer ones are in `count` alone.
    buckets: [u64; BOUNDS_MS.len()],
    /// Number of syncs.
    pub count: u64,
    /// Sum of their durations.
    pub sum: Duration,
}

impl SyncTimes {
    pub(super) fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.sum += duration;
        let bucket = BOUNDS_MS.iter().position(|bound| duration <= Duration::from_millis(*bound));
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) {
            *count += 1;
        }
    }

    /// The buckets: the upper bound, and the number of syncs above the bound before and not above this one.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS_MS.into_iter().map(Duration::from_millis).zip(self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_with_the_next_bound() {
        let mut times = SyncTimes::default();
        for ms in [0, 1, 2, 3, 30_000, 30_001] {
            times.add(Duration::from_millis(ms));
        }
        let counts: Vec<u64> = times.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((times.count, times.sum), (6, Duration::from_millis(60_007)));
    }
}
