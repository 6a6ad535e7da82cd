//! `walctl list`: one line per segment, from the segment headers alone.

use holdfast::wal::inspect::{Listed, overview};
use holdfast::wal::{Disk, GapReason, SeqNo};
use serde_json::json;

use crate::findings::{Findings, file_name};
use crate::output::{Failure, Output, size, time, time_text};

pub(crate) fn list(disk: &Disk, as_json: bool, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let findings = Findings::new(disk, &overview)?;
    if !as_json {
        out.line(&format!(
            "{:<20} {:>12} {:>12} {:>10} {:>6}  {:<28} STATE",
            "SEGMENT", "FIRST", "LAST", "SIZE", "RUN", "CREATED"
        ))?;
    }
    for segment in &overview.segments {
        if as_json {
            out.json(&listed_json(segment))?;
            continue;
        }
        let (first, run, created) = segment.header.map_or_else(
            || ("-".to_owned(), "-".to_owned(), "-".to_owned()),
            |header| (header.first_seq.to_string(), header.run.to_string(), time_text(header.created)),
        );
        let last = last_by_headers(segment).map_or_else(|| "-".to_owned(), |last| last.to_string());
        out.line(&format!(
            "{} {first:>12} {last:>12} {:>10} {run:>6}  {created:<28} {}",
            file_name(segment.number),
            size(segment.bytes),
            state(segment)
        ))?;
    }
    for finding in &findings.list {
        if as_json { out.json(&finding.json())? } else { out.line(&finding.text())? }
    }
    Ok(findings.exit_code())
}

/// Last sequence number of a segment, derived from the header of the next segment; `None` without that.
fn last_by_headers(segment: &Listed) -> Option<SeqNo> {
    segment.header?;
    segment.bound.filter(|_| segment.lost_behind.is_none()).map(SeqNo::prev)
}

fn state(segment: &Listed) -> &'static str {
    match (segment.header, segment.bound) {
        (None, _) => "unreadable",
        (Some(_), _) if segment.truncated_from().is_some() => "truncated",
        (Some(_), None) => "last",
        (Some(header), Some(bound)) if bound <= header.first_seq => "empty",
        (Some(_), Some(_)) if segment.lost_behind == Some(GapReason::Missing) => {
            "complete, next segment missing"
        }
        (Some(_), Some(_)) => "complete",
    }
}

fn listed_json(segment: &Listed) -> serde_json::Value {
    let header = segment.header;
    json!({
        "segment": segment.number,
        "state": state(segment),
        "bytes": segment.bytes,
        "first_seq": header.map(|header| header.first_seq.0),
        "last_seq": last_by_headers(segment).map(|last| last.0),
        "run": header.map(|header| header.run),
        "created": header.map(|header| time(header.created)),
    })
}
