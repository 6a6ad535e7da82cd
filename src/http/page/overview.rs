//! The first page: health, totals, and the figures of the last hours.

use maud::{Markup, html};

use super::log::full_in;
use super::parts::{figure, health_class, notice, rate, state_figure, time};
use super::plots;
use crate::http::health::{Report, Severity};
use crate::http::history::{History, Past};
use crate::telemetry::status::format::{age, duration, short};
use crate::telemetry::status::{DeliveryState, Document, Totals};

pub(super) fn page(document: &Document, history: &History) -> Markup {
    let past = history.past();
    html! {
        (headline(document))
        (conditions(document))
        h2 { "Now" }
        (figures(document, &past))
        h2 { "Last three hours" }
        (plots::plots(&past))
        h2 { "Components" }
        (components(document))
    }
}

/// The health of the daemon, and which daemon it is.
fn headline(document: &Document) -> Markup {
    let state = document.state.to_string().to_uppercase();
    html! {
        p {
            strong class=(health_class(document.state)) { (state) }
            ": holdfast " (document.version) " on " (document.collector) ", up "
            (duration(document.uptime_s)) ", status of " (time(&document.time)) "."
        }
    }
}

/// The conditions that need attention.
fn conditions(document: &Document) -> Markup {
    if document.reasons.is_empty() {
        return notice("ok", &html! { p { "No condition needs attention." } });
    }
    let body = html! {
        p { strong { "Conditions that need attention" } }
        ul { @for reason in &document.reasons { li { (reason) } } }
    };
    notice(health_class(document.state), &body)
}

fn figures(document: &Document, past: &Past) -> Markup {
    let totals = Totals::from_routers(&document.routers);
    let Totals { complete, assumed, partial, incomplete, missing, .. } = totals;
    let tables = complete + assumed + partial + incomplete + missing;
    let wal = &document.wal;
    let last = past.samples.last();
    let full = wal
        .hours_left
        .map_or_else(|| "not filling".to_owned(), |hours| format!("full in {} at this rate", full_in(hours)));
    let percent = wal.percent_full.map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.0} %"));
    let used = format!("undelivered batches; {full}");
    let unsynced = if wal.unsynced_records == 0 {
        "all records are on disk".to_owned()
    } else {
        format!("records of the last {:.1} s, lost if power fails", wal.unsynced_s)
    };
    let (lag, lag_note) = lag(document);
    html! {
        dl.figures {
            (figure("Routers", &format!("{} of {}", totals.connected, totals.routers), "connected"))
            (figure("Peers", &totals.peers_up.to_string(),
                &format!("up; {} down, {} stale", totals.peers_down, totals.peers_stale)))
            (figure("Tables", &tables.to_string(), &totals.tables_text()))
            (figure("Records logged", &rate(last.and_then(|last| last.logged_per_s)), "in the last 10 s"))
            (figure("Records delivered", &delivered(document, past), "in the last 10 s"))
            (figure("Delivery lag", &lag, &lag_note))
            (figure("Log in use", &percent, &used))
            (figure("Not synced", &short(crate::num::to_f64(wal.unsynced_records)), &unsynced))
            (database(document))
        }
    }
}

fn delivered(document: &Document, past: &Past) -> String {
    match &document.delivery {
        Some(_) => rate(past.samples.last().and_then(|last| last.delivered_per_s)),
        None => "none".to_owned(),
    }
}

fn lag(document: &Document) -> (String, String) {
    match &document.delivery {
        Some(delivery) => {
            let records = short(crate::num::to_f64(delivery.lag_routes));
            (age(delivery.lag_s), format!("{records} records wait"))
        }
        None => ("none".to_owned(), "store-only mode".to_owned()),
    }
}

/// The state of the delivery in a few words.
fn database(document: &Document) -> Markup {
    let Some(delivery) = &document.delivery else {
        return state_figure("Database", "not configured", "", "see Delivery");
    };
    let state = DeliveryState::from_delivery(delivery);
    let (word, class) = match state {
        DeliveryState::Delivering => ("delivering", "ok"),
        DeliveryState::Connecting => ("connecting", "warn"),
        DeliveryState::Retrying => ("retrying", "bad"),
        DeliveryState::Away => ("away", "bad"),
        DeliveryState::Blocked => ("needs operator action", "bad"),
    };
    state_figure("Database", word, class, state.error(delivery).unwrap_or("see Delivery"))
}

fn components(document: &Document) -> Markup {
    let report = Report::new(document);
    html! {
        ul {
            @for component in &report.components {
                li {
                    (component.name.replace('_', " ")) ": "
                    @match component.state {
                        Severity::Ok => span.ok { "ok" },
                        Severity::Warning => span.warn { "warning" },
                        Severity::Error => span.bad { "error" },
                    }
                    @if !component.reasons.is_empty() { " (" (component.reasons.join("; ")) ")" }
                }
            }
        }
    }
}
