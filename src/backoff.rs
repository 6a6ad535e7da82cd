//! Delays between attempts: exponential backoff with jitter.

use std::time::Duration;

use uuid::Uuid;

/// The delay after the `failures`-th consecutive failure, counted from 1: doubles from `first` to `longest`.
///
/// `jitter` is any random number. It shortens the delay by less than half, so that components and collectors
/// do not retry all at once.
#[must_use]
pub fn delay(first: Duration, longest: Duration, failures: u32, jitter: u64) -> Duration {
    let full = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    let part = u32::try_from(jitter % 1024).unwrap_or(0);
    full - full * part / 2048
}

/// A random number for [`delay`].
#[must_use]
pub fn jitter() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_a_delay_by_less_than_half() {
        let delay = |jitter| delay(Duration::from_secs(1), Duration::from_mins(1), 1, jitter);
        assert!(delay(1023) >= Duration::from_millis(500));
        assert!(delay(512) < delay(1));
    }
}
