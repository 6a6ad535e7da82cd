//! Suppression of repeated log lines: the first line of a group is written, the following ones are counted
//! for an interval.
//!
//! A group is an event with the same identifying fields ([`IDENTITY`]). When its interval has ended, the last
//! line that was suppressed is written, as it is, with the number of the others in the field `suppressed`. A
//! group of warnings or errors that goes on is written at growing intervals.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracing::Level;

use super::log_line::{LogLine, SUPPRESSED_FIELD};
use crate::route::Timestamp;

/// Length of the first interval, in microseconds.
pub(super) const FIRST_INTERVAL_US: i64 = 10_000_000;

/// Length of the longest interval, in microseconds.
const LONGEST_INTERVAL_US: i64 = 600_000_000;

/// Time without a line, in microseconds, after which a group begins anew. It is longer than the longest pause
/// between two attempts of a component that retries.
const QUIET_US: i64 = 120_000_000;

/// Maximum number of groups, so that made-up peers cannot use unbounded memory. Lines of further groups are
/// not counted here; the budget of the log output bounds them.
const MAX_GROUPS: usize = 4_096;

/// Fields that identify the subject of a line.
const IDENTITY: [&str; 13] = [
    "peer",
    "router",
    "bgp_peer",
    "distinguisher",
    "lane",
    "reason",
    "signal",
    "table",
    "damage",
    "file",
    "segment",
    "from_byte",
    "first_seq",
];

/// State of a group.
#[derive(Debug)]
struct Group {
    /// Start of the interval.
    start: Timestamp,
    /// Length of the interval in microseconds.
    length_us: i64,
    /// Lines suppressed since `start`.
    suppressed: u64,
    /// The last of them.
    last: Option<LogLine>,
    /// Time of the last line.
    seen: Timestamp,
}

impl Group {
    const fn new(now: Timestamp) -> Self {
        Self { start: now, length_us: FIRST_INTERVAL_US, suppressed: 0, last: None, seen: now }
    }

    /// Whether the interval has not ended. If the clock was set back before its start, it has.
    fn is_open(&self, now: Timestamp) -> bool {
        (0..self.length_us).contains(&now.0.saturating_sub(self.start.0))
    }

    /// Whether there was no line for so long that the next one is a new beginning.
    fn is_quiet(&self, now: Timestamp) -> bool {
        !(0..QUIET_US).contains(&now.0.saturating_sub(self.seen.0))
    }

    /// Begins the next interval with a line of this level. Returns the number of lines suppressed before it.
    fn next_interval(&mut self, level: Level, now: Timestamp) -> u64 {
        let grows = level <= Level::WARN && !self.is_quiet(now);
        self.length_us =
            if grows { self.length_us.saturating_mul(2).min(LONGEST_INTERVAL_US) } else { FIRST_INTERVAL_US };
        self.start = now;
        self.last = None;
        std::mem::take(&mut self.suppressed)
    }
}

/// Counts the lines of each group.
#[derive(Debug, Default)]
pub(super) struct RateLimiter {
    /// By [`key`].
    groups: BTreeMap<String, Group>,
}

impl RateLimiter {
    /// Returns the line if it is to be written now.
    pub(super) fn admit(&mut self, line: LogLine) -> Option<LogLine> {
        let now = line.time;
        let key = key(&line);
        let Some(group) = self.groups.get_mut(&key) else {
            if self.groups.len() < MAX_GROUPS {
                self.groups.insert(key, Group::new(now));
            }
            return Some(line);
        };
        if group.is_open(now) {
            group.suppressed += 1;
            group.last = Some(line);
            group.seen = now;
            return None;
        }
        let suppressed = group.next_interval(line.level, now);
        group.seen = now;
        Some(with_count(line, suppressed))
    }

    /// Ends the intervals that have passed. Returns the lines to write: the last one of each group with
    /// suppressed lines.
    pub(super) fn expired(&mut self, now: Timestamp) -> Vec<LogLine> {
        let is_crowded = self.groups.len() > MAX_GROUPS / 2;
        let mut lines = Vec::new();
        self.groups.retain(|_, group| {
            if group.is_open(now) {
                return true;
            }
            let Some(last) = group.last.take() else { return !is_crowded && !group.is_quiet(now) };
            let suppressed = group.next_interval(last.level, now);
            lines.push(with_count(last, suppressed.saturating_sub(1)));
            true
        });
        lines
    }
}

/// The text by which groups are compared.
fn key(line: &LogLine) -> String {
    let mut key = line.event.clone();
    for name in IDENTITY {
        if let Some(value) = line.fields.get(name) {
            // Writing to a String cannot fail.
            write!(key, " {name}={value}").unwrap_or_default();
        }
    }
    key
}

/// The line with the number of suppressed lines before it, if there are any.
fn with_count(mut line: LogLine, suppressed: u64) -> LogLine {
    if suppressed > 0 {
        line.fields.set(SUPPRESSED_FIELD, suppressed.into());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::*;

    fn line_of(peer: &str, level: Level, second: i64) -> LogLine {
        let mut fields = Fields::default();
        fields.set("peer", peer.into());
        fields.set("second", second.into());
        let time = Timestamp(second.saturating_mul(1_000_000));
        LogLine { event: "bmp_parse_error".to_owned(), logger: "test", level, fields, time }
    }

    fn line(peer: &str, second: i64) -> LogLine {
        line_of(peer, Level::WARN, second)
    }

    /// Second and suppressed lines of a line that was written.
    fn summary(line: &LogLine) -> (i64, u64) {
        let number = |name| line.fields.get(name).cloned().unwrap_or_default();
        (number("second").as_i64().unwrap(), number("suppressed").as_u64().unwrap_or_default())
    }

    fn expired(limiter: &mut RateLimiter, second: i64) -> Vec<(i64, u64)> {
        limiter.expired(Timestamp(second * 1_000_000)).iter().map(summary).collect()
    }

    #[test]
    fn the_first_line_is_written_and_the_rest_are_counted() {
        let mut limiter = RateLimiter::default();
        let mut admit = |peer, second| limiter.admit(line(peer, second)).as_ref().map(summary);
        assert_eq!(admit("a", 0), Some((0, 0)));
        assert_eq!(admit("a", 1), None);
        assert_eq!(admit("b", 1), Some((1, 0)));
        assert_eq!(admit("a", 9), None);
        assert_eq!(admit("a", 10), Some((10, 2)));
        assert_eq!(admit("a", 11), None);
    }

    #[test]
    fn the_last_line_is_written_as_it_was_with_the_number_of_the_others() {
        let mut limiter = RateLimiter::default();
        limiter.admit(line("a", 0));
        limiter.admit(line("a", 1));
        limiter.admit(line("b", 1));
        (2..5).for_each(|second| assert_eq!(limiter.admit(line("b", second)), None));
        assert_eq!(expired(&mut limiter, 2), []);
        // A single suppressed line is that line, and no other one beside it.
        assert_eq!(limiter.expired(Timestamp(10_000_000)), [line("a", 1)]);
        assert_eq!(expired(&mut limiter, 11), [(4, 2)]);
        assert_eq!(expired(&mut limiter, 12), []);
    }

    #[test]
    fn an_outage_is_told_at_growing_intervals_and_a_new_one_at_once() {
        let mut limiter = RateLimiter::default();
        let mut written = Vec::new();
        for second in 0..3_600 {
            written.extend(limiter.expired(Timestamp(second * 1_000_000)));
            if second % 5 == 0 {
                written.extend(limiter.admit(line("a", second)));
            }
        }
        let seconds: Vec<i64> = written.iter().map(|line| line.time.0 / 1_000_000).collect();
        assert_eq!(seconds, [0, 5, 25, 65, 145, 305, 625, 1_225, 1_825, 2_425, 3_025]);
        let told: u64 = written.iter().map(|line| 1 + summary(line).1).sum();
        assert_eq!(told, 3_030 / 5, "every line is written or counted");
        limiter.expired(Timestamp(3_630_000_000));
        assert_eq!(limiter.admit(line("a", 9_000)).as_ref().map(summary), Some((9_000, 0)));
    }

    #[test]
    fn intervals_of_normal_events_do_not_grow() {
        let mut limiter = RateLimiter::default();
        let mut written = 0;
        for second in 0..600 {
            written += limiter.expired(Timestamp(second * 1_000_000)).len();
            written += usize::from(limiter.admit(line_of("a", Level::INFO, second)).is_some());
        }
        assert_eq!(written, 60);
    }

    #[test]
    fn made_up_groups_do_not_fill_memory() {
        let mut limiter = RateLimiter::default();
        for number in 0..MAX_GROUPS * 2 {
            assert!(limiter.admit(line(&number.to_string(), 0)).is_some());
        }
        assert_eq!(limiter.groups.len(), MAX_GROUPS);
        assert_eq!(expired(&mut limiter, 10), []);
        assert_eq!(limiter.groups.len(), 0);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_silence_a_line() {
        let mut limiter = RateLimiter::default();
        limiter.admit(line("a", i64::MAX / 1_000_000));
        assert!(limiter.admit(line("a", 0)).is_some());
    }
}
