//! Delays between attempts, exponential backoff with jitter, and the length of an outage.

use std::time::{Duration, Instant};

use crate::backoff;

/// Delay after the first failure.
pub(super) const FIRST: Duration = Duration::from_millis(100);
/// Longest delay. It bounds how long delivery takes to resume once the database is back; one refused
/// connection every five seconds is no load for either side.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// Delay between attempts while an operator has to remove the cause.
pub(super) const BLOCKED: Duration = Duration::from_secs(60);

/// The delay after the `failures`-th consecutive failure, counted from 1: doubles from 0.1 s to 5 s.
///
/// `jitter` is any random number. It shortens the delay by less than half, so that lanes and collectors do
/// not reconnect all at once.
#[must_use]
pub(super) fn delay(failures: u32, jitter: u64) -> Duration {
    backoff::delay(FIRST, LONGEST, failures, jitter)
}

/// A random number for [`delay`].
pub(super) fn jitter() -> u64 {
    backoff::jitter()
}

/// Consecutive failures of a lane, or of the attempts before lanes exist.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Time of the first one; `None` if the last attempt succeeded.
    since: Option<Instant>,
    failures: u64,
}

impl Outage {
    /// Counts a failure.
    pub(super) fn failed(&mut self) {
        self.since.get_or_insert_with(Instant::now);
        self.failures += 1;
    }

    /// Ends the outage, if there was one, and logs its length. `lane` is `None` before lanes exist.
    pub(super) fn end(&mut self, lane: Option<u32>) {
        let Self { since, failures } = std::mem::take(self);
        let Some(since) = since else { return };
        tracing::info!(lane, failures, outage_s = since.elapsed().as_secs_f64(), "delivery_resumed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<u128> = (1..=10).map(|failures| delay(failures, 0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        assert_eq!(delay(u32::MAX, 0), LONGEST);
    }
}
