//! The write-ahead log: use, sequence numbers, what a power loss costs, and gaps.

use maud::{Markup, html};

use super::parts::{notice, number, table, text, time, values};
use crate::num::{floor_to_u64, to_f64};
use crate::telemetry::status::format::{counted, duration, size};
use crate::telemetry::status::{Damage, Document, LossReason, Wal};

pub(super) fn page(document: &Document) -> Markup {
    let wal = &document.wal;
    html! {
        @match &wal.paused {
            Some(reason) => (notice("bad", &html! {
                p { strong { "Ingest paused: " } "the log is not writable: " (reason) }
            })),
            None => (writable(wal)),
        }
        h2 { "Use" }
        (usage(wal))
        h2 { "Sequence numbers" }
        (sequence(document))
        h2 { "Power loss" }
        (power_loss(wal))
        h2 { "Gaps" }
        (lost(wal))
        (recorded(document))
        h2 { "Damage" }
        (damage(wal))
    }
}

/// Percentages of the log in use from which its state is a warning, and a problem.
const LEVELS: (f64, f64) = (50.0, 80.0);

/// The state of a log that accepts batches.
fn writable(wal: &Wal) -> Markup {
    let Some(percent) = wal.percent_full else {
        return html! { p { span.ok { "Writable" } "; the share in use is unknown." } };
    };
    let filling = format!("{percent:.0} % in use");
    if percent >= LEVELS.1 {
        notice("bad", &html! { p { strong { "Writable, almost full: " } (filling) } })
    } else if percent >= LEVELS.0 {
        notice("warn", &html! { p { strong { "Writable, filling up: " } (filling) } })
    } else {
        html! { p { span.ok { "Writable" } } }
    }
}

fn usage(wal: &Wal) -> Markup {
    let text =
        wal.percent_full.map_or_else(|| "unknown share".to_owned(), |percent| format!("{percent:.1} %"));
    html! {
        (values(&[
            ("In use", html! {
                (text) " by undelivered batches; at 100 %, WAL_FULL applies"
                @if let Some(percent) = wal.percent_full {
                    meter min="0" max="100" low=(LEVELS.0) high=(LEVELS.1) optimum="0"
                        value=(format!("{percent:.1}")) aria-label="Log in use, in percent" {}
                }
            }),
            ("Files", html! {
                (size(wal.bytes)) " of " (size(wal.bytes_max)) " in " (wal.segments)
                " segments, delivered batches included"
            }),
            ("Free on disk", html! { (size(wal.free_bytes)) }),
            ("Full", html! {
                @match wal.hours_left {
                    Some(hours) => { "in " (full_in(hours)) " at the rate of the last minutes" },
                    None => "not filling in the last minutes",
                }
            }),
            ("Directory", html! { (wal.dir) }),
            ("Log id", html! { (wal.log_id) }),
        ]))
    }
}

/// The time until the log is full.
pub(super) fn full_in(hours: f64) -> String {
    duration(floor_to_u64(hours * 3_600.0))
}

fn sequence(document: &Document) -> Markup {
    let wal = &document.wal;
    values(&[
        ("Written", html! { "batch " (wal.written) }),
        (
            "Synced to disk",
            html! {
                "batch " (wal.durable) ", " (wal.records_durable) " records since start"
            },
        ),
        (
            "Delivered",
            html! {
                @match &document.delivery {
                    Some(delivery) => {
                        @match delivery.delivered {
                            Some(seq) => { "batch " (seq) },
                            None => "unknown: it was not read from the database yet",
                        }
                        ", undelivered batches: " (delivery.lag_batches)
                    }
                    None => "no database is configured (store-only mode)",
                }
            },
        ),
    ])
}

/// What a power loss costs: the records that are not synced, and how long syncs take.
fn power_loss(wal: &Wal) -> Markup {
    let syncs = &wal.syncs;
    let mean_ms = syncs.seconds * 1_000.0 / to_f64(syncs.count.max(1));
    let longest =
        syncs.buckets.iter().filter(|(_, count)| *count > 0).map(|(bound, _)| *bound).fold(0.0, f64::max);
    html! {
        p {
            @if wal.unsynced_records == 0 {
                "A power loss now would cost no received record."
            } @else {
                "A power loss now would cost "
                strong { (counted(wal.unsynced_records, "record")) }
                (format!(" of the last {:.1} s", wal.unsynced_s))
                ": they are received, and not synced to disk yet."
            }
            " After one, the next start records a gap for each router that was connected."
        }
        @if syncs.count > 0 {
            p {
                (counted(syncs.count, "sync")) " since start: "
                (format!("{mean_ms:.1}")) " ms on average, each at most "
                @if longest.is_finite() { (format!("{longest} s")) } @else { "longer than the last bucket" }
                "."
            }
        }
    }
}

fn lost(wal: &Wal) -> Markup {
    if wal.lost_batches.is_empty() && wal.dropped == 0 {
        return html! { p { span.ok { "No batch" } " of the log was lost since the start." } };
    }
    let rows: Vec<Markup> = wal
        .lost_batches
        .iter()
        .map(|(reason, batches)| {
            html! {
                th scope="row" { (reason) }
                td.number { (batches) }
                td.text { (explained(*reason)) }
            }
        })
        .collect();
    html! {
        @if wal.dropped > 0 {
            p.bad { "Dropped undelivered batches since start (WAL_FULL=drop-oldest): " (wal.dropped) }
        }
        (table("Lost batches", &[text("Reason"), number("Batches"), text("Explanation")], &rows))
    }
}

const fn explained(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Rot => "they were synced, and their data is corrupt now",
        LossReason::Unreadable => "they were synced, and the disk returns an error for them",
        LossReason::Torn => "a crash came before their sync returned",
        LossReason::Dropped => "their segment was dropped before they were delivered",
        LossReason::Missing => "their segment file is missing",
        LossReason::Skipped => "sequence numbers that are not assigned again: an upper bound",
    }
}

/// Times in which messages may not have been recorded.
fn recorded(document: &Document) -> Markup {
    let gaps = &document.sessions.gaps;
    if gaps.is_empty() {
        return html! { p { span.ok { "No gap" } " was recorded since the start." } };
    }
    let rows: Vec<Markup> = gaps
        .iter()
        .map(|(reason, gap)| {
            html! {
                th scope="row" { (reason) }
                td.number { (gap.count) }
                td.number { (duration(floor_to_u64(gap.seconds))) }
            }
        })
        .collect();
    html! {
        p {
            "Times in which messages may not have been recorded, of all routers, recorded since the start. "
            "Each one is in the database: " code { "holdfast query gaps" } "."
        }
        (table("Recorded gaps", &[text("Reason"), number("Gaps"), number("Sum of lengths")], &rows))
    }
}

fn damage(wal: &Wal) -> Markup {
    html! {
        @match &wal.damage {
            Some(damage) => (last_damage(damage)),
            None => p { span.ok { "None" } " was found since the start." },
        }
        @if let Some(failed) = &wal.failed_segment {
            p.bad {
                "Segment " (failed.segment) " (" (failed.file) ") was abandoned at " (time(&failed.time)) ": "
                (failed.error)
            }
        }
    }
}

fn last_damage(damage: &Damage) -> Markup {
    let offset = |byte: Option<u64>| byte.map_or_else(|| "unknown".to_owned(), |byte| byte.to_string());
    values(&[
        ("Last damage", html! { span.bad { (damage.reason) } ": " (explained(damage.reason)) }),
        ("Found at", html! { (time(&damage.time)) }),
        ("File", html! { (damage.file.as_deref().unwrap_or("unknown")) }),
        ("Bytes", html! { (offset(damage.from_byte)) " to " (offset(damage.to_byte)) }),
        ("Batches", html! { (damage.first_seq) " to " (damage.last_seq) " (" (damage.batches) ")" }),
    ])
}
