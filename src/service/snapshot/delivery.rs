//! The delivery of the status document, and its conditions.

use std::time::Duration;

use super::health::Condition;
use super::{MAX_LAG_S, Snapshot, counters, seconds};
use crate::committer::Progress;
use crate::forwarder::{DeliveryStatus, LaneState, LaneStatus};
use crate::telemetry::status::{self, Delivery, DeliveryState, Lane, Quarantined};

impl Snapshot {
    pub(super) fn delivery(&self, delivered: &DeliveryStatus, progress: &Progress) -> Delivery {
        let (now, durable) = (self.started.elapsed(), progress.durable.0);
        // Records that are not durable yet are undelivered as well.
        let unsynced = progress.unsynced_since.map(|since| since.elapsed());
        let last_known = self.last_known(delivered);
        let observed = self.observed();
        let lag = |position: u64| -> Option<Duration> {
            if position >= durable {
                Some(unsynced.unwrap_or_default())
            } else {
                observed.log.age_after(position, now)
            }
        };
        let positions: Option<Vec<u64>> =
            delivered.lanes.iter().map(|lane| lane.position().map(|seq| seq.0)).collect();
        let slowest = positions.and_then(|positions| positions.into_iter().min());
        let position = slowest.unwrap_or(last_known);
        let lanes = (0..).zip(&delivered.lanes);
        Delivery {
            delivered: slowest,
            lag_batches: durable.saturating_sub(position),
            lag_routes: if position >= durable { 0 } else { observed.log.records_after(position) },
            lag_s: lag(position).map(seconds),
            rejected: delivered.lanes.iter().map(|lane| lane.rejected).sum(),
            rejected_dropped: delivered.lanes.iter().map(|lane| lane.dropped).sum(),
            transactions: counters::transactions(&delivered.lanes),
            failures: counters::named(delivered.failures.clone()),
            quarantined: delivered.lanes.iter().map(|lane| lane.quarantined).sum(),
            quarantined_sources: delivered.lanes.iter().flat_map(quarantined).collect(),
            history: history(&delivered.lanes),
            lanes: lanes
                .map(|(number, one)| {
                    let position = one.position().map_or(last_known, |seq| seq.0);
                    lane(number, one, lag(position).map(seconds))
                })
                .collect(),
            last_error: delivered.last_error.clone(),
            last_error_class: delivered.last_error_class.map(str::to_owned),
            needs_operator: delivered.needs_operator,
        }
    }
}

/// The conditions of the delivery.
pub(super) fn conditions(delivery: &Delivery) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(lag_s) = delivery.lag_s.filter(|lag_s| *lag_s > MAX_LAG_S) {
        conditions.push(Condition::DeliveryLag(lag_s));
    }
    let unhealthy = delivery.lanes.iter().filter(|lane| !lane.state.is_healthy());
    conditions.extend(unhealthy.map(|lane| Condition::Lane {
        lane: lane.lane,
        class: lane.class.clone(),
        state: lane.state,
        last_error: lane.last_error.clone(),
    }));
    if delivery.rejected > 0 {
        let dropped = delivery.rejected_dropped;
        conditions.push(Condition::Rejected { count: delivery.rejected, dropped });
    }
    if delivery.quarantined > 0 {
        let sources = delivery.quarantined_sources.iter().map(|source| match &source.peer {
            Some(peer) => format!("{} peer {peer}: {}", source.router, source.error),
            None => format!("{}: {}", source.router, source.error),
        });
        conditions.push(Condition::Quarantine { count: delivery.quarantined, sources: sources.collect() });
    }
    if let Some(history) = delivery.history.as_ref().filter(|history| history.demanded)
        && let Some(reason) = &history.reason
    {
        conditions.push(Condition::HistoryAsRows(reason.clone()));
    }
    if delivery.lanes.is_empty() {
        let error = delivery.last_error.clone();
        conditions.push(match DeliveryState::from_delivery(delivery) {
            DeliveryState::Retrying | DeliveryState::Blocked => {
                Condition::DeliveryNotStarted { error, needs_operator: delivery.needs_operator }
            }
            _ => Condition::DatabaseNotReached(error),
        });
    }
    conditions
}

/// How history is stored. The lanes have one server, so that they differ only while it is being changed.
fn history(lanes: &[LaneStatus]) -> Option<status::HistoryStorage> {
    let last = lanes.iter().filter_map(|lane| lane.history.as_ref()).next_back()?;
    Some(status::HistoryStorage {
        compressed: last.obstacle.is_none(),
        reason: last.obstacle.clone(),
        demanded: last.is_demanded,
    })
}

fn quarantined(lane: &LaneStatus) -> impl Iterator<Item = Quarantined> {
    lane.quarantined_sources.iter().map(|source| Quarantined {
        router: source.router.clone(),
        peer: source.peer.clone(),
        error: source.error.clone(),
    })
}

fn lane(lane: u16, published: &LaneStatus, lag_s: Option<f64>) -> Lane {
    let state = match published.state {
        LaneState::Connecting => status::LaneState::Connecting,
        LaneState::Draining => status::LaneState::Draining,
        LaneState::CaughtUp => status::LaneState::CaughtUp,
        LaneState::Retrying => status::LaneState::Retrying,
        LaneState::Blocked => status::LaneState::NeedsOperator,
        LaneState::Halted => status::LaneState::Halted,
        LaneState::Stopped => status::LaneState::Stopped,
    };
    Lane {
        lane,
        class: published.class.name().to_owned(),
        seq: published.position().map(|seq| seq.0),
        records: published.rows,
        lag_s,
        state,
        last_error: published.last_error.clone(),
        last_error_class: published.last_error_class.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::HistoryStorage;

    fn conditions_of(obstacle: Option<&str>, is_demanded: bool) -> Vec<String> {
        let storage = HistoryStorage { obstacle: obstacle.map(str::to_owned), is_demanded, is_whole: false };
        let lanes = [LaneStatus::default(), LaneStatus { history: Some(storage), ..LaneStatus::default() }];
        let lane = Lane { state: status::LaneState::CaughtUp, ..Lane::default() };
        let delivery = Delivery { history: history(&lanes), lanes: vec![lane], ..Delivery::default() };
        conditions(&delivery).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_are_a_condition_only_if_compression_is_demanded() {
        let none = Vec::<String>::new();
        assert_eq!(conditions_of(Some("no TimescaleDB"), false), none);
        assert_eq!(conditions_of(None, true), none);
        let expected = "HISTORY_DIRECT_COMPRESS=on, but history is stored as rows: no TimescaleDB";
        assert_eq!(conditions_of(Some("no TimescaleDB"), true), [expected]);
        assert!(history(&[LaneStatus::default()]).is_none());
    }
}
