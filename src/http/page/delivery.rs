//! Delivery to the database: its state in words, lanes, lag, and errors.

use maud::{Markup, html};

use super::parts::{figure, lane_class, notice, number, rate, table, text, time, values};
use super::plots::cause;
use crate::http::history::{History, Past};
use crate::num::to_f64;
use crate::telemetry::clock;
use crate::telemetry::status::format::{age, short};
use crate::telemetry::status::{Delivery, DeliveryState, Document, Lane, Wal};

pub(super) fn page(document: &Document, history: &History) -> Markup {
    let Some(delivery) = &document.delivery else {
        let body = html! {
            p { strong { "Store-only mode: " } "no database is configured; batches are buffered in the log." }
        };
        return notice("warn", &body);
    };
    let past = history.past();
    html! {
        (state(document, delivery, &past))
        h2 { "Lag" }
        (lag(delivery, &past))
        h2 { "Lanes" }
        (lanes(delivery))
        h2 { "Records that the database rejects" }
        (rejected(delivery))
        h2 { "Transactions and failures" }
        (counters(delivery))
    }
}

/// The state of the delivery in words, and since when it is interrupted.
fn state(document: &Document, delivery: &Delivery, past: &Past) -> Markup {
    let state = DeliveryState::from_delivery(delivery);
    let word = match state {
        DeliveryState::Delivering => {
            return notice("ok", &html! { p { strong { "Delivering: " } "the database is reached." } });
        }
        DeliveryState::Connecting => "Connecting to the database",
        DeliveryState::Retrying => "Delivery is retried",
        DeliveryState::Away => "The database is away",
        DeliveryState::Blocked => "Delivery is blocked",
    };
    let body = html! {
        p {
            strong { (word) } (since(state, past)) ": " (cause(state)) ". " (meanwhile(&document.wal))
        }
        @if let Some(error) = state.error(delivery) { p { "Last error: " (error) } }
    };
    notice("bad", &body)
}

/// What becomes of the records while they are not delivered.
fn meanwhile(wal: &Wal) -> Markup {
    html! {
        @if let Some(reason) = &wal.paused {
            "Ingest is paused, because the log is not writable: " (reason) "."
        } @else if wal.dropped > 0 {
            "Records are logged meanwhile. Undelivered batches dropped since the start, because the log was "
            "full: " (wal.dropped) "."
        } @else {
            "Records are logged meanwhile, and delivered afterwards."
        }
    }
}

/// Since when the delivery is in a state, to about 10 s.
fn since(state: DeliveryState, past: &Past) -> Markup {
    let open = past.outages().pop().filter(|outage| outage.until_ms.is_none() && outage.state == state);
    match open {
        Some(outage) => html! {
            " since " @if !outage.is_older { "about " }
            (time(&clock::iso8601(past.time_at(outage.from_ms))))
            @if outage.is_older { " or earlier" }
        },
        None => html! { " since a few seconds ago" },
    }
}

fn lag(delivery: &Delivery, past: &Past) -> Markup {
    let delivered = past.samples.last().and_then(|last| last.delivered_per_s);
    html! {
        dl.figures {
            (figure("Delivery lag", &age(delivery.lag_s), "age of the oldest undelivered record"))
            (figure("Undelivered batches", &delivery.lag_batches.to_string(),
                "durable, not delivered by all lanes"))
            (figure("Undelivered records", &short(to_f64(delivery.lag_routes)), "estimate"))
            (figure("Delivered", &rate(delivered), "records in the last 10 s"))
        }
        (values(&[("Last batch delivered", html! {
            @match delivery.delivered {
                Some(seq) => (seq),
                None => "unknown: it was not read from the database since the start",
            }
        }), ("History is stored", html! {
            @match &delivery.history {
                Some(history) => (history.to_string()),
                None => "unknown: the database was not reached since the start",
            }
        })]))
    }
}

fn lanes(delivery: &Delivery) -> Markup {
    if delivery.lanes.is_empty() {
        return html! { p { "Lanes are unknown: the delivery has not started yet." } };
    }
    let row = |lane: &Lane| {
        html! {
            th.number scope="row" { (lane.lane) }
            td.text { (lane.class) }
            td { span class=(lane_class(lane.state)) { (lane.state) } }
            td.number { (age(lane.lag_s)) }
            td.number { (lane.seq.map_or_else(|| "unknown".to_owned(), |seq| seq.to_string())) }
            td.number { (short(to_f64(lane.records))) }
            td.text { (lane.last_error.as_deref().unwrap_or("–")) }
        }
    };
    let rows: Vec<Markup> = delivery.lanes.iter().map(row).collect();
    let heads = [
        number("Lane"),
        text("Class"),
        text("State"),
        number("Lag"),
        number("Last batch"),
        number("Records since start"),
        text("Last error, also after recovery"),
    ];
    table("Lanes", &heads, &rows)
}

fn rejected(delivery: &Delivery) -> Markup {
    if delivery.rejected == 0 && delivery.quarantined == 0 {
        return html! { p { span.ok { "None" } " since the start." } };
    }
    let sources: Vec<Markup> = delivery
        .quarantined_sources
        .iter()
        .map(|source| {
            html! {
                th scope="row" { (source.router) }
                td { (source.peer.as_deref().unwrap_or("the whole router")) }
                td.text { (source.error) }
            }
        })
        .collect();
    html! {
        p.bad {
            (delivery.rejected) " records rejected since the start; they are in rejected_routes ("
            code { "holdfast rejected" } ")."
            @if delivery.rejected_dropped > 0 {
                " " (delivery.rejected_dropped) " of them became a gap, because rejected_routes was full."
            }
        }
        @if delivery.quarantined > 0 {
            p {
                (delivery.quarantined) " routers or peers in quarantine: their records go to "
                "rejected_routes without an attempt to store them."
            }
            (table("In quarantine", &[text("Router"), text("Peer"), text("Error")], &sources))
        }
    }
}

fn counters(delivery: &Delivery) -> Markup {
    let transactions = &delivery.transactions;
    let failures: Vec<Markup> = delivery
        .failures
        .iter()
        .map(|(class, count)| html! { th scope="row" { (class) } td.number { (count) } })
        .collect();
    html! {
        (values(&[
            ("Committed", html! { (transactions.stored) }),
            ("Without rejected records", html! { (transactions.isolated) }),
            ("Reply lost, found committed", html! { (transactions.found_committed) }),
            ("Reply lost, not committed", html! { (transactions.found_missing) }),
            ("Refused by the server", html! { (transactions.refused) }),
        ]))
        @if failures.is_empty() {
            p { "No failed attempt since the start." }
        } @else {
            p { "Failed attempts since the start, by class of the error (SQLSTATE, connection, timeout, …):" }
            (table("Failed attempts", &[text("Class"), number("Attempts")], &failures))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_not_said_to_be_logged_while_the_log_is_full() {
        let said = |wal: &Wal| meanwhile(wal).into_string();
        assert!(said(&Wal::default()).starts_with("Records are logged meanwhile, and"));
        let paused = said(&Wal { paused: Some("log full".to_owned()), dropped: 3, ..Wal::default() });
        assert_eq!(paused, "Ingest is paused, because the log is not writable: log full.");
        let dropped = said(&Wal { dropped: 3, ..Wal::default() });
        assert!(dropped.ends_with("because the log was full: 3."), "{dropped}");
    }
}
