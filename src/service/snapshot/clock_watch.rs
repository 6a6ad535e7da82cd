//! Detects that the wall clock cannot be relied on. Pure.
//!
//! Times in the log and in the database come from the wall clock. Their order does not depend on it
//! (docs/ARCHITECTURE.md, "Identity and order"), but what people read does.

use std::fmt;
use std::time::Duration;

use super::seconds_between;
use crate::route::Timestamp;

/// Difference between the progress of the wall clock and of the monotonic clock that counts as a jump. NTP
/// slews less than a millisecond per second.
const JUMP_US: i64 = 2_000_000;

/// Time for which a jump is reported.
const REPORTED: Duration = Duration::from_mins(10);

/// 2026-01-01T00:00:00Z: a clock before this time was never set.
const NEVER_SET: Timestamp = Timestamp(1_767_225_600_000_000);

/// Why the wall clock cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::service) enum ClockTrouble {
    /// The clock is before the time at which this program was written.
    NeverSet,
    /// The clock is this many seconds behind the start of the last session.
    Behind(f64),
    /// The clock jumped by this many seconds, forward if positive.
    Jumped(f64),
}

impl fmt::Display for ClockTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSet => f.write_str("the wall clock is not set"),
            Self::Behind(seconds) => {
                write!(f, "the wall clock is {seconds:.0} s behind the start of the last BMP session")
            }
            Self::Jumped(seconds) => {
                write!(f, "the wall clock jumped by {seconds:+.0} s within the last 10 minutes")
            }
        }
    }
}

/// Compares the wall clock with the monotonic clock.
#[derive(Debug)]
pub(in crate::service) struct ClockWatch {
    /// The last observation.
    last: (Timestamp, Duration),
    /// The last jump in seconds, and the monotonic time at which it was observed.
    jump: Option<(f64, Duration)>,
}

impl ClockWatch {
    pub(in crate::service) const fn new(wall: Timestamp) -> Self {
        Self { last: (wall, Duration::ZERO), jump: None }
    }

    /// Compares both clocks with the last observation. `now` is the monotonic time since the start. Returns
    /// the seconds by which the wall clock jumped, if it did.
    pub(in crate::service) fn observe(&mut self, wall: Timestamp, now: Duration) -> Option<f64> {
        let (last_wall, last) = std::mem::replace(&mut self.last, (wall, now));
        let elapsed = i64::try_from(now.saturating_sub(last).as_micros()).unwrap_or(i64::MAX);
        let expected = Timestamp(last_wall.0.saturating_add(elapsed));
        let seconds = if wall.0.saturating_sub(expected.0).saturating_abs() < JUMP_US {
            return None;
        } else if wall > expected {
            seconds_between(expected, wall)
        } else {
            -seconds_between(wall, expected)
        };
        self.jump = Some((seconds, now));
        Some(seconds)
    }

    /// The most serious reason not to rely on the wall clock. `last_session` is the start of the last
    /// session.
    pub(in crate::service) fn trouble(
        &self,
        wall: Timestamp,
        now: Duration,
        last_session: Timestamp,
    ) -> Option<ClockTrouble> {
        if wall < NEVER_SET {
            return Some(ClockTrouble::NeverSet);
        }
        if last_session.0.saturating_sub(wall.0) >= JUMP_US {
            return Some(ClockTrouble::Behind(seconds_between(wall, last_session)));
        }
        let (seconds, at) = self.jump?;
        (now.saturating_sub(at) < REPORTED).then_some(ClockTrouble::Jumped(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(NOW + seconds * 1_000_000)
    }

    #[test]
    fn a_jump_is_reported_for_ten_minutes() {
        let mut watch = ClockWatch::new(at(0));
        let s = Duration::from_secs;
        for second in 1..100 {
            assert_eq!(watch.observe(at(second), s(second.cast_unsigned())), None);
        }
        assert_eq!(watch.trouble(at(99), s(99), at(-5)), None);
        assert_eq!(watch.observe(at(3_700), s(100)), Some(3_600.0));
        assert_eq!(watch.trouble(at(3_700), s(100), at(-5)), Some(ClockTrouble::Jumped(3_600.0)));
        assert_eq!(watch.observe(at(101), s(101)), Some(-3_600.0));
        assert_eq!(watch.trouble(at(101), s(101), at(3_700)), Some(ClockTrouble::Behind(3_599.0)));
        assert_eq!(watch.trouble(at(701), s(701), at(-5)), None);
        let text = ClockTrouble::Jumped(-3_600.0).to_string();
        assert_eq!(text, "the wall clock jumped by -3600 s within the last 10 minutes");
    }

    #[test]
    fn a_clock_that_was_never_set_is_trouble() {
        let watch = ClockWatch::new(Timestamp(0));
        assert_eq!(
            watch.trouble(Timestamp(5), Duration::from_secs(1), Timestamp(0)),
            Some(ClockTrouble::NeverSet)
        );
    }
}
