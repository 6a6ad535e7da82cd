//! A token bucket on the time of the messages.

use crate::route::Timestamp;

/// A number of tokens that grows by one in each interval, up to a maximum.
#[derive(Debug)]
pub(in crate::session) struct TokenBucket {
    /// Tokens; negative after [`TokenBucket::spend`] took more than there were.
    tokens: i64,
    tokens_max: i64,
    /// Time in which one token is added, in microseconds.
    interval_us: i64,
    /// Time up to which `tokens` has grown.
    refilled: Timestamp,
}

impl TokenBucket {
    /// Returns a full bucket.
    pub(in crate::session) const fn new(tokens_max: i64, interval_us: i64) -> Self {
        Self { tokens: tokens_max, tokens_max, interval_us, refilled: Timestamp(0) }
    }

    fn refill(&mut self, now: Timestamp) {
        // If the clock was set back, the time up to `refilled` counts again.
        let elapsed = now.0.saturating_sub(self.refilled.0).max(0);
        let earned = elapsed / self.interval_us;
        self.tokens = self.tokens.saturating_add(earned).min(self.tokens_max);
        let is_full = self.tokens == self.tokens_max;
        self.refilled = if is_full || now < self.refilled {
            now
        } else {
            Timestamp(self.refilled.0.saturating_add(earned.saturating_mul(self.interval_us)))
        };
    }

    /// Takes one token. Returns false if none is left.
    pub(in crate::session) fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        let has_token = self.tokens > 0;
        self.tokens -= i64::from(has_token);
        has_token
    }

    /// Takes one token, although none may be left. Returns false if none was left.
    pub(in crate::session) fn spend(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub(1);
        self.tokens >= 0
    }

    /// Time from `now` until all tokens that were spent have been earned, in microseconds; 0 if they have.
    pub(in crate::session) const fn wait_us(&self, now: Timestamp) -> i64 {
        let missing = if self.tokens < 0 { self.tokens.saturating_neg() } else { 0 };
        let elapsed = now.0.saturating_sub(self.refilled.0);
        let elapsed = if elapsed < 0 { 0 } else { elapsed };
        let wait = missing.saturating_mul(self.interval_us).saturating_sub(elapsed);
        if wait < 0 { 0 } else { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const START: i64 = 1_790_000_000 * SECOND;

    #[test]
    fn the_budget_is_ten_at_once_and_one_a_minute() {
        let mut bucket = TokenBucket::new(10, 60 * SECOND);
        let mut taken = |at: i64, count: usize| (0..count).filter(|_| bucket.take(Timestamp(at))).count();
        assert_eq!(taken(START, 100), 10);
        assert_eq!(taken(START + 59 * SECOND, 100), 0);
        assert_eq!(taken(START + 60 * SECOND, 100), 1);
        // Parts of a minute are not lost.
        assert_eq!(taken(START + 119 * SECOND, 100), 0);
        assert_eq!(taken(START + 120 * SECOND, 100), 1);
        assert_eq!(taken(START + 3_600 * SECOND, 100), 10, "at most ten");
        // A clock that is set back neither blocks nor fills the budget.
        assert_eq!(taken(START, 100), 0);
        assert_eq!(taken(START + 60 * SECOND, 100), 1);
    }

    #[test]
    fn what_was_spent_in_excess_has_to_be_waited_for() {
        let mut bucket = TokenBucket::new(10, SECOND);
        assert_eq!((0..14).filter(|_| bucket.spend(Timestamp(START))).count(), 10);
        assert_eq!(bucket.wait_us(Timestamp(START)), 4 * SECOND);
        assert_eq!(bucket.wait_us(Timestamp(START + SECOND / 2)), 4 * SECOND - SECOND / 2);
        assert_eq!(bucket.wait_us(Timestamp(START + 9 * SECOND)), 0);
        assert!(!bucket.spend(Timestamp(START + 3 * SECOND)));
        assert_eq!(bucket.wait_us(Timestamp(START + 3 * SECOND)), 2 * SECOND);
        assert!(bucket.spend(Timestamp(START + 6 * SECOND)));
        assert_eq!(bucket.wait_us(Timestamp(START + 6 * SECOND)), 0);
        // A clock that is set back does not lengthen the wait.
        assert!((0..20).any(|_| !bucket.spend(Timestamp(START + 6 * SECOND))));
        let wait = bucket.wait_us(Timestamp(START + 6 * SECOND));
        assert_eq!(bucket.wait_us(Timestamp(START)), wait);
    }
}
