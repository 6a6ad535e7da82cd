//! The budget of the log output: what a router can make the daemon write is bounded in bytes per second, and
//! the lines about other subjects have a part of their own.
//!
//! Every part is a token bucket. A line is written if its buckets are not empty, and is then charged with its
//! length, so that a bucket is overdrawn by at most a line. Lines beyond the budget are suppressed and
//! counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::num::{to_i64_saturating, to_micros};

/// Time between two reports of suppressed lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of routers whose lines are counted apart. The lines of further ones share a bucket.
const SOURCES_MAX: usize = 4_096;

/// The part of the budget to which a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Lines about the service, the log or the database.
    Service,
    /// Lines about a router: its address, or its name if the line has no address.
    Router(&'a str),
    /// Lines of the levels DEBUG and TRACE.
    Debug,
}

/// Number of suppressed lines since the last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) lines: u64,
    /// The router with the most suppressed lines, and their number. `None` if no line was about a router.
    pub(super) heaviest: Option<(String, u64)>,
}

/// Rate of a bucket in bytes per second, and its capacity in bytes.
#[derive(Clone, Copy, Debug)]
struct Limit {
    rate: u64,
    capacity: u64,
}

/// The buckets of a log output.
#[derive(Debug)]
pub(super) struct LogBudget {
    /// Bytes per second.
    rate: u64,
    /// Limit of each router.
    router: Limit,
    service: Bucket,
    /// All routers together.
    routers: Bucket,
    debug: Bucket,
    /// By address or name. A bucket that is full, and has no lines to report, is not kept.
    sources: BTreeMap<String, Source>,
    /// Routers that find no room in `sources`.
    others: Source,
    /// Lines suppressed since the last report.
    unreported: u64,
    /// Lines suppressed since the start.
    suppressed: u64,
    last_report: Option<Duration>,
}

#[derive(Debug)]
struct Source {
    bucket: Bucket,
    /// Lines suppressed since the last report.
    suppressed: u64,
}

#[derive(Debug)]
struct Bucket {
    limit: Limit,
    /// Bytes that may be written. Negative if the last line was longer.
    available: i64,
    updated: Duration,
}

impl Bucket {
    const fn full(limit: Limit, now: Duration) -> Self {
        Self { limit, available: to_i64_saturating(limit.capacity), updated: now }
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = i128::from(to_micros(now.saturating_sub(self.updated)));
        let more = i64::try_from(elapsed * i128::from(self.limit.rate) / 1_000_000).unwrap_or(i64::MAX);
        // A shorter time counts at the next call.
        if more > 0 {
            let capacity = to_i64_saturating(self.limit.capacity);
            self.available = self.available.saturating_add(more).min(capacity);
            self.updated = now;
        }
    }

    fn is_empty(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.available <= 0
    }

    fn is_full(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.available >= to_i64_saturating(self.limit.capacity)
    }

    fn charge(&mut self, bytes: u64) {
        self.available = self.available.saturating_sub_unsigned(bytes);
    }
}

impl LogBudget {
    /// A budget of `rate` bytes per second. Times are those since the start of the process.
    ///
    /// All routers together have a half of it, and may write the bytes of one second at once; each router has
    /// a sixteenth, and half a second. A quarter is for the service. The levels DEBUG and TRACE, which are
    /// switched on to see every message, have eight times the rate, apart from the others.
    pub(super) fn new(rate: u64, now: Duration) -> Self {
        let limit = |rate: u64, capacity: u64| Limit { rate: rate.max(1), capacity: capacity.max(1) };
        let router = limit(rate / 16, rate / 2);
        let debug = rate.saturating_mul(8);
        Self {
            rate,
            router,
            service: Bucket::full(limit(rate / 4, rate / 4), now),
            routers: Bucket::full(limit(rate / 2, rate), now),
            debug: Bucket::full(limit(debug, debug), now),
            sources: BTreeMap::new(),
            others: Source { bucket: Bucket::full(router, now), suppressed: 0 },
            unreported: 0,
            suppressed: 0,
            last_report: None,
        }
    }

    /// Changes the rate; the same rate changes nothing. The buckets are full afterwards, and the counts
    /// remain, except those by router.
    pub(super) fn set_rate(&mut self, rate: u64, now: Duration) {
        if rate != self.rate {
            let Self { unreported, suppressed, last_report, .. } = *self;
            *self = Self { unreported, suppressed, last_report, ..Self::new(rate, now) };
        }
    }

    /// Whether a line of this part may be written, which must be charged then. Otherwise it is counted as
    /// suppressed, with the `repetitions` that it stands for.
    pub(super) fn admit(&mut self, part: Part<'_>, repetitions: u64, now: Duration) -> bool {
        let is_empty = match part {
            Part::Service => self.service.is_empty(now),
            Part::Debug => self.debug.is_empty(now),
            Part::Router(router) => {
                let source_is_empty = self.source(router, now).bucket.is_empty(now);
                source_is_empty || self.routers.is_empty(now)
            }
        };
        if is_empty {
            let lines = repetitions.saturating_add(1);
            if let Part::Router(router) = part {
                self.source(router, now).suppressed += lines;
            }
            self.unreported = self.unreported.saturating_add(lines);
            self.suppressed = self.suppressed.saturating_add(lines);
        }
        !is_empty
    }

    /// Subtracts the length of a line that was written.
    pub(super) fn charge(&mut self, part: Part<'_>, bytes: u64, now: Duration) {
        match part {
            Part::Service => self.service.charge(bytes),
            Part::Debug => self.debug.charge(bytes),
            Part::Router(router) => {
                self.source(router, now).bucket.charge(bytes);
                self.routers.charge(bytes);
            }
        }
    }

    /// Lines suppressed since the start.
    pub(super) const fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The lines that were suppressed since the last report, if there are any and a report is due; with
    /// `is_final` it is always due.
    pub(super) fn report(&mut self, now: Duration, is_final: bool) -> Option<Report> {
        let is_due = self.last_report.is_none_or(|last| now.saturating_sub(last) >= REPORT_INTERVAL);
        if self.unreported == 0 || !(is_due || is_final) {
            return None;
        }
        self.last_report = Some(now);
        let sources = self.sources.iter().filter(|(_, source)| source.suppressed > 0);
        let heaviest = sources.max_by_key(|(_, source)| source.suppressed);
        let heaviest = heaviest.map(|(router, source)| (router.clone(), source.suppressed));
        self.others.suppressed = 0;
        self.sources.values_mut().for_each(|source| source.suppressed = 0);
        self.sources.retain(|_, source| !source.bucket.is_full(now));
        Some(Report { lines: std::mem::take(&mut self.unreported), heaviest })
    }

    fn source(&mut self, router: &str, now: Duration) -> &mut Source {
        if !self.sources.contains_key(router) && self.sources.len() >= SOURCES_MAX {
            self.sources.retain(|_, source| source.suppressed > 0 || !source.bucket.is_full(now));
            if self.sources.len() >= SOURCES_MAX {
                return &mut self.others;
            }
        }
        let new = || Source { bucket: Bucket::full(self.router, now), suppressed: 0 };
        self.sources.entry(router.to_owned()).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 16_000;
    const LINE: u64 = 100;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Offers lines every millisecond from one time to another; returns the bytes that were written.
    fn offer(budget: &mut LogBudget, parts: &[Part<'_>], from: u64, until: u64) -> u64 {
        let mut written = 0;
        for millisecond in from * 1_000..until * 1_000 {
            let now = Duration::from_millis(millisecond);
            for part in parts {
                if budget.admit(*part, 0, now) {
                    budget.charge(*part, LINE, now);
                    written += LINE;
                }
            }
        }
        written
    }

    #[test]
    fn a_router_writes_its_burst_and_then_its_rate() {
        let mut budget = LogBudget::new(RATE, Duration::ZERO);
        let written = offer(&mut budget, &[Part::Router("a")], 0, 10);
        let expected = RATE / 2 + 10 * RATE / 16;
        assert!((expected..=expected + LINE).contains(&written), "{written}");
        assert_eq!(budget.suppressed(), 10_000 - written / LINE);
        // Another one has its own part.
        assert!(offer(&mut budget, &[Part::Router("b")], 10, 11) >= RATE / 2);
    }

    #[test]
    fn all_routers_together_leave_the_part_of_the_service() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let routers: Vec<Part<'_>> = names.iter().map(|name| Part::Router(name)).collect();
        let mut budget = LogBudget::new(RATE, Duration::ZERO);
        let written = offer(&mut budget, &routers, 0, 10);
        let expected = RATE + 10 * RATE / 2;
        assert!((expected..=expected + LINE).contains(&written), "{written}");
        assert_eq!(offer(&mut budget, &[Part::Service], 10, 11).min(RATE / 4), RATE / 4);
    }

    #[test]
    fn made_up_routers_share_a_bucket_when_the_table_is_full() {
        let mut budget = LogBudget::new(1 << 30, Duration::ZERO);
        for number in 0..SOURCES_MAX + 1_000 {
            let name = number.to_string();
            assert!(budget.admit(Part::Router(&name), 0, Duration::ZERO));
            budget.charge(Part::Router(&name), LINE, Duration::ZERO);
        }
        assert_eq!(budget.sources.len(), SOURCES_MAX);
        // Buckets that are full again make room.
        assert!(budget.admit(Part::Router("new"), 0, seconds(60)));
        assert_eq!(budget.sources.len(), 1);
    }

    #[test]
    fn a_report_names_the_router_with_the_most_suppressed_lines() {
        let mut budget = LogBudget::new(RATE, Duration::ZERO);
        assert_eq!(budget.report(Duration::ZERO, true), None);
        for router in ["a", "b"] {
            budget.charge(Part::Router(router), RATE, Duration::ZERO);
        }
        assert!(!budget.admit(Part::Router("a"), 0, Duration::ZERO));
        assert!(!budget.admit(Part::Router("b"), 4, Duration::ZERO));
        let report = budget.report(Duration::ZERO, false);
        assert_eq!(report, Some(Report { lines: 6, heaviest: Some(("b".to_owned(), 5)) }));
        assert!(!budget.admit(Part::Router("a"), 0, Duration::ZERO));
        assert_eq!(budget.report(seconds(9), false), None, "ten seconds after the last one");
        let report = budget.report(seconds(10), false);
        assert_eq!(report, Some(Report { lines: 1, heaviest: Some(("a".to_owned(), 1)) }));
        assert_eq!(budget.suppressed(), 7);
    }

    #[test]
    fn lines_in_quick_succession_lose_no_part_of_the_rate() {
        let mut budget = LogBudget::new(RATE, Duration::ZERO);
        budget.charge(Part::Debug, RATE * 8, Duration::ZERO);
        for microsecond in 0..=1_000 {
            budget.debug.refill(Duration::from_micros(microsecond));
        }
        assert!((120..=128).contains(&budget.debug.available), "{:?}", budget.debug);
    }

    #[test]
    fn another_rate_applies_at_once_and_the_counts_remain() {
        let at = Duration::from_secs;
        let mut budget = LogBudget::new(4_000, at(0));
        budget.charge(Part::Service, 2_000, at(0));
        assert!(!budget.admit(Part::Service, 4, at(0)));
        budget.set_rate(4_000, at(0));
        assert!(!budget.admit(Part::Service, 0, at(0)), "the same rate");
        budget.set_rate(40_000, at(0));
        assert!(budget.admit(Part::Service, 0, at(0)));
        budget.charge(Part::Service, 9_000, at(0));
        assert!(budget.admit(Part::Service, 0, at(0)), "a quarter of the new rate");
        assert_eq!((budget.suppressed(), budget.report(at(0), true).unwrap().lines), (6, 6));
    }
}
