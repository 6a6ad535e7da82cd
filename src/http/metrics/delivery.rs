//! Delivery to the database. Without a database there are no samples.

use super::{Metric, Samples, Scrape, flag};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::{Delivery, DeliveryState, Lane, LaneState};

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge(
        "delivery_seq",
        &[],
        "Sequence number of the last batch that all lanes have delivered",
        |scrape, samples| {
            let seq = scrape.delivery.as_ref().and_then(|delivery| delivery.delivered);
            seq.into_iter().for_each(|seq| samples.count(seq));
        },
    ),
    Metric::gauge(
        "delivery_lag_seconds",
        &[],
        "Age of the oldest undelivered record; 0 if there is none",
        |scrape, samples| {
            let lag = scrape.delivery.as_ref().and_then(|delivery| delivery.lag_s);
            lag.into_iter().for_each(|seconds| samples.one(seconds));
        },
    ),
    Metric::gauge(
        "delivery_lag_batches",
        &[],
        "Durable batches that are not yet delivered by all lanes",
        |scrape, samples| {
            of(scrape, samples, |delivery| to_f64(delivery.lag_batches));
        },
    ),
    Metric::gauge(
        "delivery_lag_records",
        &[],
        "Estimated number of records in these batches",
        |scrape, samples| {
            of(scrape, samples, |delivery| to_f64(delivery.lag_routes));
        },
    ),
    Metric::gauge(
        "delivery_state",
        &["state"],
        "1 for the current state of the delivery as a whole, 0 for the others: delivering, connecting, \
         retrying, away (the database was not reached), blocked (needs operator action, or a lane is halted)",
        |scrape, samples| {
            if let Some(delivery) = &scrape.delivery {
                let present = DeliveryState::from_delivery(delivery);
                for state in DeliveryState::ALL {
                    samples.with([state.name()], flag(state == present));
                }
            }
        },
    ),
    Metric::counter(
        "delivery_rejected_records",
        &[],
        "Records rejected by the database",
        |scrape, samples| {
            of(scrape, samples, |delivery| to_f64(delivery.rejected));
        },
    ),
    Metric::counter(
        "delivery_rejected_records_dropped",
        &[],
        "Rejected records that became a gap, because rejected_routes had reached its maximum size",
        |scrape, samples| of(scrape, samples, |delivery| to_f64(delivery.rejected_dropped)),
    ),
    Metric::gauge(
        "delivery_quarantined_sources",
        &[],
        "Routers and peers whose records go to rejected_routes without an attempt to store them",
        |scrape, samples| of(scrape, samples, |delivery| to_f64(to_u64(delivery.quarantined))),
    ),
    Metric::counter(
        "delivery_transactions",
        &["outcome"],
        "Transactions: stored; isolated (stored without rejected records); found_committed and found_missing \
         (no reply was received, and the checkpoint decided); refused by the server",
        |scrape, samples| {
            if let Some(delivery) = &scrape.delivery {
                let transactions = delivery.transactions;
                samples.with(["stored"], to_f64(transactions.stored));
                samples.with(["isolated"], to_f64(transactions.isolated));
                samples.with(["found_committed"], to_f64(transactions.found_committed));
                samples.with(["found_missing"], to_f64(transactions.found_missing));
                samples.with(["refused"], to_f64(transactions.refused));
            }
        },
    ),
    Metric::counter(
        "delivery_failures",
        &["class"],
        "Failed attempts to connect, to read or to store, each of which is retried, by class: of the \
         SQLSTATE, or connection, timeout, pooler, systemic, log, schema or internal; no sample for a class \
         without one",
        |scrape, samples| {
            for (class, count) in scrape.delivery.iter().flat_map(|delivery| &delivery.failures) {
                samples.with([class], to_f64(*count));
            }
        },
    ),
    Metric::counter(
        "delivery_lane_records",
        &["lane", "class"],
        "Records that the lane has delivered, rejected ones included",
        |scrape, samples| {
            for lane in lanes(scrape) {
                samples.with(labels(lane), to_f64(lane.records));
            }
        },
    ),
    Metric::gauge(
        "delivery_lane_seq",
        &["lane", "class"],
        "Sequence number of the last batch that the lane has delivered",
        |scrape, samples| {
            for lane in lanes(scrape) {
                lane.seq.into_iter().for_each(|seq| samples.with(labels(lane), to_f64(seq)));
            }
        },
    ),
    Metric::gauge(
        "delivery_lane_lag_seconds",
        &["lane", "class"],
        "Age of the oldest record that the lane has not delivered",
        |scrape, samples| {
            for lane in lanes(scrape) {
                lane.lag_s.into_iter().for_each(|seconds| samples.with(labels(lane), seconds));
            }
        },
    ),
    Metric::gauge(
        "delivery_lane_state",
        &["lane", "class", "state"],
        "1 for the current state of the lane, 0 for the others",
        |scrape, samples| {
            for lane in lanes(scrape) {
                for state in LaneState::ALL {
                    let [number, class] = labels(lane);
                    samples.with([number, class, state.to_string()], flag(lane.state == state));
                }
            }
        },
    ),
];

fn of<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>, value: fn(&Delivery) -> f64) {
    scrape.delivery.iter().for_each(|delivery| samples.one(value(delivery)));
}

fn lanes(scrape: &Scrape) -> impl Iterator<Item = &Lane> {
    scrape.delivery.iter().flat_map(|delivery| &delivery.lanes)
}

/// Number and class of a lane.
fn labels(lane: &Lane) -> [String; 2] {
    [lane.lane.to_string(), lane.class.clone()]
}
