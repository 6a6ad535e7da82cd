//! How long to wait after a failure. Pure: chance comes in as an argument.

use std::time::Duration;

/// The first wait.
pub(super) const FIRST: Duration = Duration::from_millis(100);
/// The longest one. Short, because it is what an operator waits for once the database is back; a refused connection
/// every five seconds costs neither side anything.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// Between two looks at what a person has to mend.
pub(super) const ALARM: Duration = Duration::from_secs(60);

/// The wait after the `failures`-th failure in a row, counted from 1: it doubles from 0.1 s to 5 s. `chance` takes away
/// up to a half of it, so that lanes and collectors do not come back all at once.
#[must_use]
pub(super) fn delay(failures: u32, chance: u64) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let part = u32::try_from(chance % 1024).unwrap_or(0);
    full - full * part / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> = (1..=10).map(|failures| delay(failures, 0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        assert_eq!(delay(u32::MAX, 0), LONGEST);
    }

    #[test]
    fn chance_takes_away_less_than_half() {
        assert!(delay(1, 1023) >= FIRST / 2);
        assert!(delay(1, 512) < delay(1, 1));
    }
}
