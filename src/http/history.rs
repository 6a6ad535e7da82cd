//! Figures of the last hours, for the plots. Memory: a fixed number of samples of a fixed size.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::num::{to_f64, to_u64};
use crate::route::Timestamp;
use crate::telemetry::status::{DeliveryState, Document, NOT_REACHED};

/// Time between two samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Number of samples that are kept: those of three hours.
const SAMPLES_MAX: usize = 1_080;

/// The figures at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Milliseconds since the start of the daemon.
    pub(super) uptime_ms: u64,
    /// Age of the oldest undelivered record in seconds; `None` if it is unknown, or in store-only mode.
    pub(super) lag_s: Option<f64>,
    /// Records synced to disk per second, since the sample before; `None` for the first one.
    pub(super) logged_per_s: Option<f64>,
    /// Records delivered per second, since the sample before.
    pub(super) delivered_per_s: Option<f64>,
    /// Percentage of the log that is in use.
    pub(super) log_percent: Option<f64>,
    /// Connected routers.
    pub(super) sessions: u64,
    /// State of the delivery; also [`DeliveryState::Away`] if an attempt since the sample before did not
    /// reach the database. `None` in store-only mode.
    pub(super) database: Option<DeliveryState>,
}

/// Counters of the last document that was sampled.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    uptime_ms: u64,
    logged: u64,
    delivered: u64,
    not_reached: u64,
}

impl Counters {
    fn from_document(document: &Document) -> Self {
        let delivery = document.delivery.as_ref();
        let lanes = delivery.iter().flat_map(|delivery| &delivery.lanes);
        let failures = NOT_REACHED.iter().filter_map(|class| delivery?.failures.get(*class));
        Self {
            uptime_ms: document.uptime_ms,
            logged: document.wal.records_durable,
            delivered: lanes.map(|lane| lane.records).fold(0, u64::saturating_add),
            not_reached: failures.sum(),
        }
    }
}

/// The last samples.
pub(super) struct History(Mutex<Inner>);

struct Inner {
    samples: VecDeque<Sample>,
    last: Option<Counters>,
    /// Time of the last sample.
    last_time: Timestamp,
}

impl History {
    pub(super) fn new() -> Self {
        let samples = VecDeque::with_capacity(SAMPLES_MAX);
        Self(Mutex::new(Inner { samples, last: None, last_time: Timestamp(0) }))
    }

    /// Adds a sample, in place of the oldest one if there are [`SAMPLES_MAX`]. `time` is the wall clock.
    pub(super) fn add(&self, document: &Document, time: Timestamp) {
        let now = Counters::from_document(document);
        let mut inner = self.lock();
        let before = inner.last.filter(|before| before.uptime_ms < now.uptime_ms);
        let rate = |counter: fn(&Counters) -> u64| {
            let before = before.as_ref()?;
            let grown = counter(&now).saturating_sub(counter(before));
            Some(to_f64(grown) * 1_000.0 / to_f64(now.uptime_ms - before.uptime_ms))
        };
        let is_unreached = before.is_some_and(|before| now.not_reached > before.not_reached);
        let database =
            document.delivery.as_ref().map(|delivery| match DeliveryState::from_delivery(delivery) {
                DeliveryState::Delivering if is_unreached => DeliveryState::Away,
                state => state,
            });
        let sample = Sample {
            uptime_ms: document.uptime_ms,
            lag_s: document.delivery.as_ref().and_then(|delivery| delivery.lag_s),
            logged_per_s: rate(|counters| counters.logged),
            delivered_per_s: database.and(rate(|counters| counters.delivered)),
            log_percent: document.wal.percent_full,
            sessions: to_u64(document.routers.iter().filter(|router| router.connected).count()),
            database,
        };
        (inner.last, inner.last_time) = (Some(now), time);
        if inner.samples.len() >= SAMPLES_MAX {
            inner.samples.pop_front();
        }
        inner.samples.push_back(sample);
    }

    /// A copy of the samples.
    pub(super) fn past(&self) -> Past {
        let inner = self.lock();
        Past { samples: inner.samples.iter().copied().collect(), last_time: inner.last_time }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The samples of the last hours.
#[derive(Debug)]
pub(super) struct Past {
    /// The samples, the oldest first.
    pub(super) samples: Vec<Sample>,
    /// Time of the last one.
    last_time: Timestamp,
}

impl Past {
    /// The time of a sample with this uptime. It follows from the uptime and the time of the last sample, so
    /// that samples are in the order of their times also if the wall clock was changed.
    pub(super) fn time_at(&self, uptime_ms: u64) -> Timestamp {
        let last_ms = self.samples.last().map_or(0, |last| last.uptime_ms);
        let age_ms = last_ms.saturating_sub(uptime_ms);
        Timestamp(self.last_time.0.saturating_sub_unsigned(age_ms.saturating_mul(1_000)))
    }

    /// The times without delivery, the oldest first.
    pub(super) fn outages(&self) -> Vec<Outage> {
        let mut outages: Vec<Outage> = Vec::new();
        for (index, sample) in self.samples.iter().enumerate() {
            if let Some(open) = outages.last_mut().filter(|open| open.until_ms.is_none()) {
                if sample.database == Some(open.state) {
                    continue;
                }
                open.until_ms = Some(sample.uptime_ms);
            }
            if let Some(state) = sample.database.filter(|state| *state != DeliveryState::Delivering) {
                let from_ms = sample.uptime_ms;
                outages.push(Outage { state, from_ms, until_ms: None, is_older: index == 0 });
            }
        }
        outages
    }

    /// The samples as columns.
    pub(super) fn series(&self) -> Series {
        let rounded = |number: Option<f64>| number.map(|number| (number * 100.0).round() / 100.0);
        let column =
            |value: fn(&Sample) -> Option<f64>| self.samples.iter().map(|one| rounded(value(one))).collect();
        Series {
            interval_s: INTERVAL.as_secs(),
            time: self.samples.iter().map(|one| seconds(self.time_at(one.uptime_ms))).collect(),
            lag_s: column(|one| one.lag_s),
            logged_per_s: column(|one| one.logged_per_s),
            delivered_per_s: column(|one| one.delivered_per_s),
            log_percent: column(|one| one.log_percent),
            sessions: self.samples.iter().map(|one| one.sessions).collect(),
            database: self.samples.iter().map(|one| one.database).collect(),
        }
    }
}

/// A time in which the delivery was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// State of the delivery.
    pub(super) state: DeliveryState,
    /// Uptime of the first sample of the outage.
    pub(super) from_ms: u64,
    /// Uptime of the first sample after it; `None` if it continues.
    pub(super) until_ms: Option<u64>,
    /// Whether it began before the first sample.
    pub(super) is_older: bool,
}

/// The samples as columns, for the API.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    /// Seconds between two samples. After a time in which the machine was suspended, or the daemon got no
    /// processor time, there are more.
    interval_s: u64,
    /// Times of the samples in seconds since 1970-01-01T00:00:00Z. A change of the wall clock moves all of
    /// them.
    time: Vec<f64>,
    lag_s: Vec<Option<f64>>,
    logged_per_s: Vec<Option<f64>>,
    delivered_per_s: Vec<Option<f64>>,
    log_percent: Vec<Option<f64>>,
    sessions: Vec<u64>,
    database: Vec<Option<DeliveryState>>,
}

/// A timestamp in seconds with a resolution of a millisecond.
fn seconds(Timestamp(micros): Timestamp) -> f64 {
    to_f64(micros.max(0).cast_unsigned() / 1_000) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::status::{Delivery, Lane, LaneState, Wal};

    const NOW: Timestamp = Timestamp(1_000_000_000);

    /// A document after this number of seconds, with 100 more records in each, and lanes in these states.
    fn document(second: u64, lanes: &[LaneState]) -> Document {
        let lane = |state: &LaneState| Lane { records: 50 * second, state: *state, ..Lane::default() };
        Document {
            uptime_ms: second * 1_000,
            wal: Wal { records_durable: 100 * second, ..Wal::default() },
            delivery: Some(Delivery { lanes: lanes.iter().map(lane).collect(), ..Delivery::default() }),
            ..Document::default()
        }
    }

    #[test]
    fn memory_is_fixed_and_the_newest_samples_are_kept() {
        let history = History::new();
        let capacity = history.lock().samples.capacity();
        (1..=3_000).for_each(|second| history.add(&document(second, &[LaneState::CaughtUp]), NOW));
        assert_eq!(history.lock().samples.capacity(), capacity);
        let samples = history.past().samples;
        assert_eq!(samples.len(), SAMPLES_MAX);
        assert_eq!(samples.last().unwrap().uptime_ms, 3_000_000);
        assert_eq!(samples[0].uptime_ms, (3_000 - 1_079) * 1_000);
    }

    #[test]
    fn rates_belong_to_the_time_between_samples_also_after_a_gap() {
        let history = History::new();
        for second in [10, 20, 620] {
            history.add(&document(second, &[LaneState::Draining, LaneState::CaughtUp]), NOW);
        }
        let samples = history.past().samples;
        let rates: Vec<_> = samples.iter().map(|one| (one.logged_per_s, one.delivered_per_s)).collect();
        assert_eq!(rates, [(None, None), (Some(100.0), Some(100.0)), (Some(100.0), Some(100.0))]);
        assert_eq!(history.past().series().time, [390.0, 400.0, 1_000.0]);
        // A document of the same time changes nothing that was sampled, and has no rate.
        history.add(&document(620, &[LaneState::CaughtUp]), NOW);
        assert_eq!(history.past().samples[3].logged_per_s, None);
    }

    #[test]
    fn outages_begin_and_end_with_the_samples() {
        use LaneState::{CaughtUp, Connecting, NeedsOperator, Retrying};
        let history = History::new();
        history.add(&document(10, &[]), NOW);
        history.add(&document(20, &[CaughtUp, Connecting]), NOW);
        history.add(&document(30, &[CaughtUp, CaughtUp]), NOW);
        history.add(&document(40, &[CaughtUp, Retrying]), NOW);
        history.add(&document(50, &[NeedsOperator, Retrying]), NOW);
        let found = history.past().outages();
        let outage = |state, from_s: u64, until_s: Option<u64>, is_older| Outage {
            state,
            from_ms: from_s * 1_000,
            until_ms: until_s.map(|second| second * 1_000),
            is_older,
        };
        let expected = [
            outage(DeliveryState::Connecting, 10, Some(30), true),
            outage(DeliveryState::Retrying, 40, Some(50), false),
            outage(DeliveryState::Blocked, 50, None, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_outage_between_two_samples_is_noticed() {
        let history = History::new();
        let mut failed = document(20, &[LaneState::CaughtUp]);
        failed.delivery.as_mut().unwrap().failures.insert("connection".to_owned(), 1);
        history.add(&document(10, &[LaneState::CaughtUp]), NOW);
        history.add(&failed, NOW);
        let later = Document { uptime_ms: 30_000, ..failed };
        history.add(&later, NOW);
        let states: Vec<_> = history.past().samples.iter().map(|one| one.database).collect();
        let expected = [DeliveryState::Delivering, DeliveryState::Away, DeliveryState::Delivering].map(Some);
        assert_eq!(states, expected);
    }

    #[test]
    fn store_only_mode_has_no_delivery() {
        let history = History::new();
        let alone = |second| Document { delivery: None, ..document(second, &[]) };
        history.add(&alone(10), NOW);
        history.add(&alone(20), NOW);
        let last = history.past().samples[1];
        assert_eq!((last.database, last.delivered_per_s, last.logged_per_s), (None, None, Some(100.0)));
        assert_eq!(history.past().outages(), []);
    }
}
