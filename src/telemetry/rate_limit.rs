//! Suppression of repeated log lines: the first line of a group is written, the following ones are counted
//! for an interval.
//!
//! A group is an event with the same identifying fields ([`IDENTITY`]). When the interval has ended, the
//! number of suppressed lines is written as `log_suppressed`, or as the field `suppressed` of the next line
//! of the group.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracing::Level;

use super::log_line::{Fields, LogLine};
use crate::route::Timestamp;

/// Length of an interval, in microseconds.
pub(super) const INTERVAL_US: i64 = 10_000_000;

/// Maximum number of groups. Lines of further groups are written without suppression, so that made-up peers
/// cannot use unbounded memory.
const MAX_GROUPS: usize = 4_096;

/// Fields that identify the subject of a line.
const IDENTITY: [&str; 5] = ["peer", "router", "bgp_peer", "distinguisher", "lane"];

/// A group of similar lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) event: String,
    /// Module that logged the first line.
    pub(super) logger: &'static str,
    /// Level of the first line.
    pub(super) level: Level,
    /// The identifying fields.
    pub(super) identity: Fields,
}

impl Group {
    pub(super) fn new(event: &str, logger: &'static str, level: Level, fields: &Fields) -> Self {
        let mut identity = Fields::default();
        for name in IDENTITY {
            if let Some(value) = fields.get(name) {
                identity.set(name, value.clone());
            }
        }
        Self { event: event.to_owned(), logger, level, identity }
    }

    /// The text by which groups are compared.
    fn key(&self) -> String {
        let mut key = self.event.clone();
        for (name, value) in self.identity.iter() {
            // Writing to a String cannot fail.
            write!(key, " {name}={value}").unwrap_or_default();
        }
        key
    }

    /// Fields of the line `log_suppressed` for this group.
    ///
    /// The suppressed event is in `suppressed_event`, because `event` is the name of the line itself.
    pub(super) fn summary(&self, suppressed: u64) -> Fields {
        let mut fields = Fields::default();
        fields.set("suppressed_event", self.event.clone().into());
        self.identity.iter().for_each(|(name, value)| fields.set(name, value.clone()));
        fields.set("suppressed", suppressed.into());
        fields
    }

    /// The line `log_suppressed`, given its fields.
    pub(super) const fn summary_line<'a>(&'a self, fields: &'a Fields) -> LogLine<'a> {
        LogLine { event: "log_suppressed", logger: self.logger, level: self.level, fields }
    }
}

/// State of a group.
#[derive(Debug)]
struct Interval {
    group: Group,
    start: Timestamp,
    /// Lines suppressed since `start`.
    suppressed: u64,
}

impl Interval {
    /// Whether the interval has not ended. If the clock was set back before its start, it has.
    fn is_open(&self, now: Timestamp) -> bool {
        (0..INTERVAL_US).contains(&now.0.saturating_sub(self.start.0))
    }
}

/// Decision about a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The line is written. `suppressed` is the number of lines of its group suppressed since the last
    /// written one.
    Write { suppressed: u64 },
    /// The line is counted and not written.
    Suppress,
}

/// Counts the lines of each group.
#[derive(Debug, Default)]
pub(super) struct RateLimiter {
    /// By [`Group::key`].
    intervals: BTreeMap<String, Interval>,
}

impl RateLimiter {
    /// Decides whether a line is written.
    pub(super) fn admit(&mut self, group: Group, now: Timestamp) -> Decision {
        let key = group.key();
        if let Some(interval) = self.intervals.get_mut(&key) {
            if interval.is_open(now) {
                interval.suppressed += 1;
                return Decision::Suppress;
            }
            interval.start = now;
            return Decision::Write { suppressed: std::mem::take(&mut interval.suppressed) };
        }
        if self.intervals.len() < MAX_GROUPS {
            self.intervals.insert(key, Interval { group, start: now, suppressed: 0 });
        }
        Decision::Write { suppressed: 0 }
    }

    /// Removes the groups whose interval has ended. Returns those with suppressed lines, and their number.
    pub(super) fn remove_expired(&mut self, now: Timestamp) -> Vec<(Group, u64)> {
        let mut expired = Vec::new();
        self.intervals.retain(|_, interval| {
            let is_open = interval.is_open(now);
            if !is_open && interval.suppressed > 0 {
                expired.push((interval.group.clone(), interval.suppressed));
            }
            is_open
        });
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(peer: &str) -> Group {
        let mut fields = Fields::default();
        fields.set("peer", peer.into());
        Group::new("bmp_parse_error", "test", Level::WARN, &fields)
    }

    const FIRST: Decision = Decision::Write { suppressed: 0 };

    #[test]
    fn the_first_line_is_written_and_the_rest_are_counted() {
        let mut limiter = RateLimiter::default();
        assert_eq!(limiter.admit(group("a"), Timestamp(0)), FIRST);
        assert_eq!(limiter.admit(group("a"), Timestamp(1)), Decision::Suppress);
        assert_eq!(limiter.admit(group("b"), Timestamp(1)), FIRST);
        assert_eq!(limiter.admit(group("a"), Timestamp(INTERVAL_US - 1)), Decision::Suppress);
        assert_eq!(limiter.admit(group("a"), Timestamp(INTERVAL_US)), Decision::Write { suppressed: 2 });
        assert_eq!(limiter.admit(group("a"), Timestamp(INTERVAL_US + 1)), Decision::Suppress);
    }

    #[test]
    fn a_count_comes_out_even_when_nothing_follows() {
        let mut limiter = RateLimiter::default();
        limiter.admit(group("a"), Timestamp(0));
        limiter.admit(group("a"), Timestamp(1));
        limiter.admit(group("b"), Timestamp(1));
        assert_eq!(limiter.remove_expired(Timestamp(2)), []);
        assert_eq!(limiter.remove_expired(Timestamp(INTERVAL_US + 1)), [(group("a"), 1)]);
        assert_eq!(limiter.remove_expired(Timestamp(INTERVAL_US + 2)), []);
    }

    #[test]
    fn made_up_groups_do_not_fill_memory() {
        let mut limiter = RateLimiter::default();
        for number in 0..MAX_GROUPS * 2 {
            assert_eq!(limiter.admit(group(&number.to_string()), Timestamp(0)), FIRST);
        }
        assert_eq!(limiter.intervals.len(), MAX_GROUPS);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_silence_a_line() {
        let mut limiter = RateLimiter::default();
        limiter.admit(group("a"), Timestamp(i64::MAX));
        assert_eq!(limiter.admit(group("a"), Timestamp(0)), FIRST);
    }
}
