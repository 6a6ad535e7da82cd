//! The screens of text: the log, and the conditions in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::super::sample::Sample;
use super::super::state::{State, Tab};
use super::{Theme, lag, put};
use crate::num::{floor_to_u64, to_f64, to_usize};
use crate::telemetry::printable;
use crate::telemetry::status::format::{short, size, wrapped};
use crate::telemetry::status::{Damage, Delivery, Document, RemoteState, Wal};

/// Columns of the names of values.
const NAME_COLUMNS: usize = 12;

/// Columns of the bar that shows the use of the log.
const BAR_COLUMNS: u64 = 20;

pub(super) fn draw(frame: &mut Frame<'_>, mut area: Rect, state: &mut State, theme: &Theme) {
    let values = match &state.sample {
        None => vec![("", "unknown: the daemon has not answered yet".to_owned())],
        Some(sample) if state.tab == Tab::Log => log(sample),
        Some(sample) => problems(&sample.document),
    };
    let mut lines = Vec::new();
    for (name, text) in values {
        let is_condition = name == "!";
        let style = if is_condition { theme.condition() } else { Style::new() };
        let indent = if is_condition { 2 } else { NAME_COLUMNS };
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        let parts = wrapped(&printable(&text), usize::from(area.width).saturating_sub(indent));
        lines.extend(
            names.zip(parts).map(|(name, part)| Line::styled(format!("{name:<indent$}{part}"), style)),
        );
    }
    let offset = state.scroll_into_view(lines.len(), usize::from(area.height));
    for line in lines.iter().skip(offset) {
        put(frame, &mut area, line);
    }
}

type Values = Vec<(&'static str, String)>;

/// The conditions of the daemon, and the errors behind them.
fn problems(document: &Document) -> Values {
    let mut values: Values = document.reasons.iter().map(|reason| ("!", reason.clone())).collect();
    if values.is_empty() {
        values.push(("", "no condition needs attention".to_owned()));
    }
    if let Some(delivery) = &document.delivery {
        values.extend(delivery.last_error.iter().map(|error| ("delivery", format!("last error: {error}"))));
        values.extend(delivery.quarantined_sources.iter().map(|source| {
            let peer = source.peer.as_ref().map_or_else(String::new, |peer| format!(" peer {peer}"));
            ("set aside", format!("{}{peer}: {}", source.router, source.error))
        }));
    }
    let remotes = document.listener.transport.remotes.iter();
    values.extend(remotes.filter(|remote| remote.state != RemoteState::Connected).map(|remote| {
        let error = remote.last_error.as_deref().unwrap_or("no error");
        ("to a router", format!("{} {}, last error: {error}", remote.remote, remote.state))
    }));
    values
}

fn log(sample: &Sample) -> Values {
    let document = &sample.document;
    let wal = &document.wal;
    let rate = |rate: Option<f64>| rate.map_or_else(|| "unknown".to_owned(), short);
    let state = wal
        .paused
        .as_ref()
        .map_or_else(|| "writable".to_owned(), |reason| format!("PAUSED, not writable: {reason}"));
    let mut values = vec![
        ("directory", wal.dir.clone()),
        ("id", wal.log_id.clone()),
        ("state", state),
        ("used", usage(wal)),
        ("growth", growth(sample, wal)),
        ("disk", format!("{} free", size(wal.free_bytes))),
        ("written", format!("batch {}", wal.written)),
        (
            "fsynced",
            format!(
                "batch {}, {} batches/s, {} records/s, {} records since start",
                wal.durable,
                rate(sample.durable_batches()),
                rate(sample.durable_records()),
                wal.records_durable
            ),
        ),
        (
            "at risk",
            format!(
                "{} records of the last {:.1} s, if power is lost now",
                wal.unsynced_records, wal.unsynced_s
            ),
        ),
    ];
    match &document.delivery {
        Some(delivery) => values.extend(delivered(delivery, &rate(sample.delivered_batches()))),
        None => values.push(("delivery", "disabled (store-only mode)".to_owned())),
    }
    values.extend(losses(wal));
    let output = &document.log_output;
    values.push((
        "log lines",
        format!("{} dropped and {} suppressed since start", output.lines_dropped, output.lines_suppressed),
    ));
    values.extend(output.error.iter().map(|error| ("", format!("last error: {error}"))));
    values
}

/// The use of the log, with a bar.
fn usage(wal: &Wal) -> String {
    let share = if wal.bytes_max == 0 { 0.0 } else { to_f64(wal.bytes) / to_f64(wal.bytes_max) };
    let full = floor_to_u64((share * to_f64(BAR_COLUMNS)).round()).min(BAR_COLUMNS);
    let bar = "█".repeat(to_usize(full)) + &"░".repeat(to_usize(BAR_COLUMNS - full));
    format!(
        "{bar} {:.0} %, {} of {} in {} segments",
        share * 100.0,
        size(wal.bytes),
        size(wal.bytes_max),
        wal.segments
    )
}

fn growth(sample: &Sample, wal: &Wal) -> String {
    let appended = size(sample.appended_bytes());
    match wal.hours_left {
        Some(hours) => format!("{appended}/s appended, full in {hours:.1} h at the rate of the last minutes"),
        None => format!("{appended}/s appended, not filling in the last minutes"),
    }
}

fn delivered(delivery: &Delivery, batches: &str) -> Values {
    let batch = delivery.delivered.map_or_else(|| "unknown".to_owned(), |seq| seq.to_string());
    vec![
        ("delivered", format!("batch {batch}, {batches} batches/s")),
        (
            "lag",
            format!(
                "{}, {} batches, {} records",
                lag(delivery.lag_s),
                delivery.lag_batches,
                delivery.lag_routes
            ),
        ),
        (
            "rejected",
            format!(
                "{} records since start, {} of them dropped; {} routers or peers set aside",
                delivery.rejected, delivery.rejected_dropped, delivery.quarantined
            ),
        ),
    ]
}

/// Batches that are lost, damage and abandoned segments.
fn losses(wal: &Wal) -> Values {
    let mut values = Vec::new();
    let lost: Vec<String> =
        wal.lost_batches.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let lost =
        if lost.is_empty() { "no batches".to_owned() } else { format!("batches: {}", lost.join(", ")) };
    values.push(("lost", format!("{lost} since start; {} dropped undelivered", wal.dropped)));
    if let Some(Damage { file, first_seq, last_seq, time, reason, .. }) = &wal.damage {
        let file = file.as_deref().unwrap_or("unknown segment");
        values
            .push(("damage", format!("{reason} in {file}, batches {first_seq} to {last_seq}, found {time}")));
    }
    if let Some(failed) = &wal.failed_segment {
        values.push(("abandoned", format!("segment {} at {}: {}", failed.file, failed.time, failed.error)));
    }
    values
}
