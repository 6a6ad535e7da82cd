//! `walctl verify`: checks the log against its checksums.

use std::thread;
use std::time::Duration;

use holdfast::wal::Disk;
use holdfast::wal::inspect::{Examined, Listed, Overview, Verdict, examine, overview};
use serde_json::json;

use crate::args;
use crate::output::{Failure, Output};
use crate::progress::{Progress, Unit};

/// Interval between two looks at a segment whose last sync group has no end. A running daemon ends the group
/// within a few of these.
const SETTLE_INTERVAL: Duration = Duration::from_millis(300);
/// Number of looks before an open group counts as a torn tail.
const SETTLE_ATTEMPTS: usize = 4;

pub(crate) fn verify(disk: &Disk, arguments: &args::Verify, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let missing = missing_segments(disk, &overview)?;
    let mut worst = (!missing.is_empty() || !overview.foreign.is_empty()).then_some(Verdict::Rot);
    let mut lost = 0;
    let last =
        overview.segments.iter().rev().find(|segment| segment.header.is_some()).map(|segment| segment.number);
    let mut checked = 0;
    let all_bytes = overview.segments.iter().map(|segment| segment.bytes).sum();
    let mut progress = Progress::new("verify", if arguments.deep { all_bytes } else { 0 }, Unit::Bytes);
    for segment in &overview.segments {
        progress.add(segment.bytes);
        // A segment before missing ones shows how many batches they held.
        let precedes_missing = missing.iter().any(|(first, _)| *first == segment.number + 1);
        let is_suspect = segment.header.is_none() || segment.truncated_from().is_some() || precedes_missing;
        if !is_suspect && !arguments.deep && Some(segment.number) != last {
            continue;
        }
        checked += 1;
        let (verdict, missing) = verify_segment(disk, segment, arguments.log.json, out)?;
        worst = worst.max(verdict);
        lost += missing;
    }
    progress.end();
    for (first, last) in &missing {
        let detail = format!("the files up to {last:016x}.wal were deleted, renamed or dropped");
        report(out, arguments.log.json, *first, "missing", &detail)?;
    }
    for number in &overview.foreign {
        report(
            out,
            arguments.log.json,
            *number,
            "foreign",
            "belongs to another log, or the file was renamed; not checked",
        )?;
    }
    let segments = overview.segments.len();
    let name = worst.map_or("clean", damage_name);
    if arguments.log.json {
        out.json(
            &json!({ "verdict": name, "segments": segments, "checked": checked, "batches_lost": lost }),
        )?;
    } else {
        out.line(&format!(
            "{name}: {checked} of {segments} segments checked completely, {lost} batches lost"
        ))?;
    }
    Ok(worst.map_or(0, exit_code))
}

/// The missing segments of the log that are missing in a second listing as well: a daemon may have recycled
/// the oldest segments while the first one was made.
fn missing_segments(disk: &Disk, first: &Overview) -> Result<Vec<(u64, u64)>, Failure> {
    let mut missing = first.missing_segments();
    if !missing.is_empty() {
        let again = overview(disk)?.missing_segments();
        missing.retain(|range| again.contains(range));
    }
    Ok(missing)
}

/// Checks one segment. Returns its worst damage and the number of batches lost in it.
fn verify_segment(
    disk: &Disk,
    segment: &Listed,
    as_json: bool,
    out: &mut Output,
) -> Result<(Option<Verdict>, u64), Failure> {
    let mut examined = match examine(disk, segment) {
        Ok(Some(examined)) => examined,
        Ok(None) => {
            report(
                out,
                as_json,
                segment.number,
                "unreadable",
                "both copies of the segment header are damaged",
            )?;
            return Ok((Some(Verdict::Unreadable), 0));
        }
        // The daemon has recycled the segment since it was listed: its batches are delivered.
        Err(holdfast::wal::ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((None, 0));
        }
        Err(error) => return Err(error.into()),
    };
    if examined.verdict().is_some() {
        let again = overview(disk)?;
        let same = again
            .segments
            .iter()
            .any(|other| other.number == segment.number && other.header == segment.header);
        if !same {
            return Ok((None, 0));
        }
        if segment.bound.is_none() {
            examined = re_examine(disk, segment, examined)?;
        }
    }
    let truncated = segment.truncated_from();
    if let Some(created) = truncated {
        let detail = format!("the file has {} bytes, and was created with {created}", segment.bytes);
        report(out, as_json, segment.number, "truncated", &detail)?;
    }
    for bad in &examined.bad {
        let detail = format!("corrupt data at bytes {}–{}", bad.from, bad.to);
        report(out, as_json, segment.number, damage_name(bad.verdict), &detail)?;
    }
    for gap in &examined.gaps {
        let detail = format!("batches {} to {} lost ({})", gap.from, gap.to, gap.reason.name());
        report(out, as_json, segment.number, "gap", &detail)?;
    }
    if !examined.closed {
        let detail = format!("the last sync group has no end after byte {}", examined.end);
        report(out, as_json, segment.number, "torn", &detail)?;
    }
    let lost = examined.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
    Ok((examined.verdict().max(truncated.map(|_| Verdict::Rot)), lost))
}

/// Re-examines a segment whose last sync group has no end: it is a torn tail only if no daemon is still
/// writing it.
fn re_examine(disk: &Disk, segment: &Listed, first: Examined) -> Result<Examined, Failure> {
    let mut examined = first;
    for _ in 0..SETTLE_ATTEMPTS {
        if examined.verdict() != Some(Verdict::Torn) {
            break;
        }
        let (group, end) = (examined.last_group, examined.end);
        thread::sleep(SETTLE_INTERVAL);
        let Some(now) = examine(disk, segment)? else { break };
        examined = now;
        if examined.last_group > group || examined.end > end {
            // The segment grows, so a daemon is writing it and has ended the group.
            examined.closed = true;
            examined.bad.retain(|bad| bad.verdict != Verdict::Torn);
        }
    }
    Ok(examined)
}

fn report(out: &mut Output, as_json: bool, segment: u64, finding: &str, detail: &str) -> Result<(), Failure> {
    if as_json {
        out.json(&json!({ "segment": segment, "finding": finding, "detail": detail }))
    } else {
        out.line(&format!("{segment:016x}.wal  {finding}: {detail}"))
    }
}

const fn damage_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Torn => "torn",
        Verdict::Rot => "corrupt",
        Verdict::Unreadable => "unreadable",
    }
}

const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Torn => 1,
        Verdict::Rot => 2,
        Verdict::Unreadable => 3,
    }
}
