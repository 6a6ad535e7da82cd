//! The plots of the last hours, and the same figures as text.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::parts::{number, rate, table, text, time, time_text};
use crate::http::history::{Outage, Past, Sample};
use crate::num::{to_f64, to_u64};
use crate::telemetry::clock;
use crate::telemetry::status::DeliveryState;
use crate::telemetry::status::format::{age, duration};

/// Length of a row of the table of figures.
const STEP_MS: u64 = 15 * 60 * 1_000;

/// A plot: its title, the columns of the history with their names, and its unit.
struct Plot {
    title: &'static str,
    /// Names in [`crate::http::history::Series`], separated by commas, and the names to show.
    columns: [&'static str; 2],
    unit: &'static str,
    values: &'static [fn(&Sample) -> Option<f64>],
}

const PLOTS: [Plot; 4] = [
    Plot { title: "Delivery lag", columns: ["lag_s", "lag"], unit: "s", values: &[|one| one.lag_s] },
    Plot {
        title: "Records per second",
        columns: ["logged_per_s,delivered_per_s", "logged,delivered"],
        unit: "/s",
        values: &[|one| one.logged_per_s, |one| one.delivered_per_s],
    },
    Plot {
        title: "Log in use",
        columns: ["log_percent", "in use"],
        unit: "%",
        values: &[|one| one.log_percent],
    },
    Plot {
        title: "Connected routers",
        columns: ["sessions", "routers"],
        unit: "",
        values: &[|one| Some(to_f64(one.sessions))],
    },
];

/// The plots, the outages, and the figures as a table.
pub(super) fn plots(past: &Past) -> Markup {
    if past.samples.is_empty() {
        return html! { p { "No samples yet: the first one is taken 10 s after the start." } };
    }
    html! {
        // Always one element, so that the script finds the plots in the same position.
        div { (outages(past)) }
        div.plots data-history="/api/v1/history" {
            @for plot in &PLOTS { (figure(plot, past)) }
        }
        details {
            summary { "The same figures as a table" }
            (steps(past))
        }
    }
}

fn figure(plot: &Plot, past: &Past) -> Markup {
    let [columns, names] = plot.columns;
    let summaries = names.split(',').zip(plot.values).map(|(name, value)| {
        let values: Vec<f64> = past.samples.iter().filter_map(value).collect();
        let last = past.samples.last().and_then(value);
        let highest = values.into_iter().reduce(f64::max);
        format!("{name} now {}, highest {}", shown(last, plot.unit), shown(highest, plot.unit))
    });
    let summary = summaries.collect::<Vec<_>>().join("; ");
    let label = format!("Plot of the last three hours. {}: {summary}", plot.title);
    html! {
        figure {
            figcaption { (plot.title) }
            p.quiet { (summary) "." }
            div.drawing role="img" aria-label=(label)
                data-columns=(columns) data-names=(names) data-unit=(plot.unit) {}
        }
    }
}

fn shown(value: Option<f64>, unit: &str) -> String {
    match (value, unit) {
        (Some(_), "s") => age(value),
        (_, "/s") => rate(value),
        (Some(value), "%") => format!("{value:.0} %"),
        (Some(value), _) => format!("{value:.0}"),
        (None, _) => "unknown".to_owned(),
    }
}

/// The times without delivery, the newest first.
fn outages(past: &Past) -> Markup {
    let found = past.outages();
    if found.is_empty() {
        return if past.samples.iter().any(|one| one.database.is_some()) {
            html! { p { "The database was reached all the time." } }
        } else {
            html! { p { "No database is configured (store-only mode): there is no delivery." } }
        };
    }
    let rows: Vec<Markup> = found.iter().rev().map(|one| outage(one, past)).collect();
    let heads = [text("From"), text("Until"), text("Length"), text("Cause")];
    html! {
        p { "Times without delivery, to about 10 s; they are shaded in the plots:" }
        (table("Times without delivery", &heads, &rows))
    }
}

fn outage(outage: &Outage, past: &Past) -> Markup {
    let at = |uptime_ms| time(&clock::iso8601(past.time_at(uptime_ms)));
    let last_ms = past.samples.last().map_or(0, |last| last.uptime_ms);
    let length_ms = outage.until_ms.unwrap_or(last_ms).saturating_sub(outage.from_ms);
    html! {
        td { (at(outage.from_ms)) @if outage.is_older { " or earlier" } }
        td { @match outage.until_ms { Some(until) => (at(until)), None => "now" } }
        td.nowrap { (duration(length_ms / 1_000)) @if outage.is_older { " or more" } }
        td.text { (cause(outage.state)) }
    }
}

/// Why there is no delivery.
pub(super) const fn cause(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivering => "none",
        DeliveryState::Connecting => "no attempt has ended yet",
        DeliveryState::Retrying => "the database was reached, but an attempt failed and is repeated",
        DeliveryState::Away => "the database was not reached",
        DeliveryState::Blocked => "operator action needed",
    }
}

/// The figures in steps, the newest first.
fn steps(past: &Past) -> Markup {
    let last_ms = past.samples.last().map_or(0, |last| last.uptime_ms);
    let mut steps: BTreeMap<u64, Vec<&Sample>> = BTreeMap::new();
    for sample in past.samples.iter().rev() {
        steps.entry(last_ms.saturating_sub(sample.uptime_ms) / STEP_MS).or_default().push(sample);
    }
    let heads = [
        text("Begin"),
        number("Highest lag"),
        number("Logged"),
        number("Delivered"),
        number("Highest log use"),
        number("Fewest routers"),
        text("Database"),
    ];
    let rows: Vec<Markup> = steps.values().map(|step| row(step, past)).collect();
    table("Figures in steps of 15 minutes", &heads, &rows)
}

/// One step; its samples begin with the newest one.
fn row(samples: &[&Sample], past: &Past) -> Markup {
    let highest =
        |value: fn(&Sample) -> Option<f64>| samples.iter().filter_map(|one| value(one)).reduce(f64::max);
    let mean = |value: fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(|one| value(one)).collect();
        let count = to_f64(to_u64(values.len()));
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)
    };
    let begin = samples.last().map_or(0, |one| one.uptime_ms);
    let fewest = samples.iter().map(|one| one.sessions).min().unwrap_or_default();
    let worst = samples.iter().filter_map(|one| one.database).max();
    html! {
        th scope="row" { (time_text(&clock::iso8601(past.time_at(begin)))) }
        td.number { (age(highest(|one| one.lag_s))) }
        td.number { (rate(mean(|one| one.logged_per_s))) }
        td.number { (rate(mean(|one| one.delivered_per_s))) }
        td.number { (shown(highest(|one| one.log_percent), "%")) }
        td.number { (fewest) }
        td {
            @match worst {
                None => "not configured",
                Some(DeliveryState::Delivering) => "delivering",
                Some(DeliveryState::Connecting) => "connecting for some time",
                Some(DeliveryState::Retrying) => "retrying for some time",
                Some(DeliveryState::Away) => "away for some time",
                Some(DeliveryState::Blocked) => "operator action needed",
            }
        }
    }
}
