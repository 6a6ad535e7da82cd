//! The first lines: whether the daemon answers, its health, totals, rates and conditions.

use ratatui::text::Line;

use super::super::sample::{Observed, Sample};
use super::super::state::{Link, State, Tab};
use super::{Theme, lag, line};
use crate::num::{floor_to_u64, to_f64, to_micros};
use crate::route::Timestamp;
use crate::telemetry::clock;
use crate::telemetry::status::format::{cut, duration, short, size};

/// Time without an answer, besides the interval, after which that is shown.
const SILENCE_US: i64 = 2_000_000;

/// The lines for a terminal of this width and height.
pub(super) fn lines(
    state: &State,
    theme: &Theme,
    (width, height): (u16, u16),
    now: Timestamp,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(text) = silence(state, now) {
        lines.push(line(&text, width, theme.alarm()));
    }
    let Some(sample) = &state.sample else {
        if lines.is_empty() {
            lines.push(line("waiting for the first answer of the daemon", width, theme.dim()));
        }
        return lines;
    };
    lines.push(line(&headline(sample, width), width, theme.health(sample.health())));
    lines.extend(
        flowed(&numbers(sample), width).iter().map(|text| line(text, width, ratatui::style::Style::new())),
    );
    // The screen of the problems has the conditions in full.
    if state.tab != Tab::Problems {
        lines.extend(conditions(&sample.document.reasons, theme, (width, height)));
    }
    lines
}

/// The first conditions, each in one line, and the number of the others.
fn conditions(reasons: &[String], theme: &Theme, (width, height): (u16, u16)) -> Vec<Line<'static>> {
    let shown = usize::from((height / 8).clamp(1, 6));
    let others = reasons.len().saturating_sub(shown);
    let texts = reasons.iter().take(shown).enumerate().map(|(index, reason)| {
        let is_last = index + 1 == shown && others > 0;
        let more = if is_last { format!("  (6: and {others} more)") } else { String::new() };
        let room = usize::from(width).saturating_sub(more.chars().count() + 2);
        line(&format!("! {}{more}", cut(reason, room)), width, theme.condition())
    });
    texts.collect()
}

/// That the daemon does not answer, and since when; `None` if it does.
fn silence(state: &State, now: Timestamp) -> Option<String> {
    let since = |from: Timestamp| {
        duration(floor_to_u64(to_f64(now.0.saturating_sub(from.0).max(0).cast_unsigned()) / 1e6))
    };
    let values = state.sample.as_ref().map_or_else(String::new, |sample| {
        format!("; the values are of {}", time_of_day(&sample.document.time))
    });
    match &state.link {
        Link::Away { since: from, error } => {
            let time = clock::iso8601(*from);
            Some(format!("NO ANSWER since {} ({}){values}: {error}", time_of_day(&time), since(*from)))
        }
        Link::Up(received) => {
            let silent_us = now.0.saturating_sub(received.0);
            let is_late = silent_us > to_micros(state.interval).saturating_add(SILENCE_US);
            is_late.then(|| format!("NO ANSWER for {}{values}", since(*received)))
        }
        Link::Connecting => None,
    }
}

/// The time of day of a time in ISO 8601; the whole text if it is none.
fn time_of_day(time: &str) -> String {
    time.get(11..19).map_or_else(|| time.to_owned(), |time| format!("{time} UTC"))
}

fn headline(sample: &Sample, width: u16) -> String {
    let document = &sample.document;
    let left = format!(
        "{}  holdfast {} on {}, up {}",
        document.state.to_string().to_uppercase(),
        document.version,
        document.collector,
        duration(document.uptime_s)
    );
    let right = time_of_day(&document.time);
    let room = usize::from(width).saturating_sub(right.chars().count() + 2);
    format!("{:<room$}  {right}", cut(&left, room))
}

/// Totals and rates of the daemon.
fn numbers(sample: &Sample) -> Vec<String> {
    let (document, totals) = (&sample.document, &sample.totals);
    let rate =
        |rate: Option<f64>| rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{}/s", short(rate)));
    let bytes = sample.sum(Observed::bytes);
    let bytes = bytes.map_or_else(|| "unknown".to_owned(), |rate| format!("{}/s", size(floor_to_u64(rate))));
    let lag = match &document.delivery {
        Some(delivery) => {
            format!("lag {} ({} records)", lag(delivery.lag_s), short(to_f64(delivery.lag_routes)))
        }
        None => "store-only mode".to_owned(),
    };
    let share = if document.wal.bytes_max == 0 {
        "unknown share".to_owned()
    } else {
        format!("{:.0} %", to_f64(document.wal.bytes) * 100.0 / to_f64(document.wal.bytes_max))
    };
    vec![
        format!("routers {}/{}", totals.connected, totals.routers),
        format!("peers {}", totals.peers_text()),
        format!("records {}", rate(sample.sum(Observed::records))),
        format!("messages {}", rate(sample.sum(Observed::messages))),
        format!("received {bytes}"),
        format!("queues {}", size(totals.queue_bytes)),
        lag,
        format!("log {} ({share})", size(document.wal.bytes)),
        format!("not fsynced {}", short(to_f64(document.wal.unsynced_records))),
    ]
}

/// The parts in lines of at most `width` columns.
fn flowed(parts: &[String], width: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(last) if last.chars().count() + part.chars().count() + 3 <= usize::from(width) => {
                last.push_str(" · ");
                last.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}
