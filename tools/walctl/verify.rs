//! `verify`: what is as it was written, and what is not.

use std::thread;
use std::time::Duration;

use holdfast::wal::Disk;
use holdfast::wal::inspect::{Examined, Listed, Verdict, examine, overview};
use serde_json::json;

use crate::args;
use crate::output::{Failure, Output};
use crate::progress::{Progress, Unit};

/// A live daemon ends its open group in this time, or has a sync interval that nobody wants.
const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_TIMES: usize = 4;

pub(crate) fn verify(disk: &Disk, arguments: &args::Verify, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let mut worst = None;
    let mut lost = 0;
    let last =
        overview.segments.iter().rev().find(|segment| segment.header.is_some()).map(|segment| segment.number);
    let mut checked = 0;
    let all_bytes = overview.segments.iter().map(|segment| segment.bytes).sum();
    let mut progress = Progress::new("verify", if arguments.deep { all_bytes } else { 0 }, Unit::Bytes);
    for segment in &overview.segments {
        progress.add(segment.bytes);
        if segment.header.is_some() && !arguments.deep && Some(segment.number) != last {
            continue;
        }
        checked += 1;
        let (verdict, missing) = one(disk, segment, arguments.log.json, out)?;
        worst = worst.max(verdict);
        lost += missing;
    }
    progress.end();
    for number in &overview.foreign {
        report(
            out,
            arguments.log.json,
            *number,
            "foreign",
            "belongs to another log, or was renamed; it is not read",
        )?;
    }
    let segments = overview.segments.len();
    let name = worst.map_or("clean", verdict_name);
    if arguments.log.json {
        out.json(
            &json!({ "verdict": name, "segments": segments, "checked": checked, "payloads_lost": lost }),
        )?;
    } else {
        out.line(&format!(
            "{name}: {checked} of {segments} segments checked byte by byte, {lost} payloads lost"
        ))?;
    }
    Ok(worst.map_or(0, exit_code))
}

/// Checks one segment; returns its verdict and how many payloads are lost in it.
fn one(
    disk: &Disk,
    segment: &Listed,
    as_json: bool,
    out: &mut Output,
) -> Result<(Option<Verdict>, u64), Failure> {
    let mut examined = match examine(disk, segment) {
        Ok(Some(examined)) => examined,
        Ok(None) => {
            report(out, as_json, segment.number, "unreadable", "both copies of the header are damaged")?;
            return Ok((Some(Verdict::Unreadable), 0));
        }
        // Reused by the daemon since it was listed: delivered, and gone.
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
            examined = settled(disk, segment, examined)?;
        }
    }
    for bad in &examined.bad {
        let what = format!("bytes {} to {} are no sound frame", bad.from, bad.to);
        report(out, as_json, segment.number, verdict_name(bad.verdict), &what)?;
    }
    for gap in &examined.gaps {
        let what = format!("payloads {} to {} are lost ({})", gap.from, gap.to, gap.reason.name());
        report(out, as_json, segment.number, "gap", &what)?;
    }
    if !examined.closed {
        let what = format!("the last group is open at byte {}", examined.end);
        report(out, as_json, segment.number, "torn", &what)?;
    }
    let lost = examined.gaps.iter().map(|gap| gap.to.0 - gap.from.0 + 1).sum();
    Ok((examined.verdict(), lost))
}

/// An open group is a torn tail only when nobody goes on writing it.
fn settled(disk: &Disk, segment: &Listed, first: Examined) -> Result<Examined, Failure> {
    let mut examined = first;
    for _ in 0..SETTLE_TIMES {
        if examined.verdict() != Some(Verdict::Torn) {
            break;
        }
        let (group, end) = (examined.last_group, examined.end);
        thread::sleep(SETTLE);
        let Some(now) = examine(disk, segment)? else { break };
        examined = now;
        if examined.last_group > group || examined.end > end {
            // It grows: it is alive, and what was open has been ended.
            examined.closed = true;
            examined.bad.retain(|bad| bad.verdict != Verdict::Torn);
        }
    }
    Ok(examined)
}

fn report(out: &mut Output, as_json: bool, segment: u64, kind: &str, what: &str) -> Result<(), Failure> {
    if as_json {
        out.json(&json!({ "segment": segment, "finding": kind, "what": what }))
    } else {
        out.line(&format!("{segment:016x}.wal  {kind}: {what}"))
    }
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Torn => "torn",
        Verdict::Rot => "rot",
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
