//! `walctl verify`: checks the log against its checksums.

use std::thread;
use std::time::Duration;

use holdfast::wal::inspect::{Examined, Listed, Overview, Verdict, examine, overview};
use holdfast::wal::{Disk, SeqNo};
use serde_json::json;

use crate::args;
use crate::findings::{Findings, Lost, damage_name, exit_code, lost_text, report};
use crate::output::{Failure, Output};
use crate::progress::{Progress, Unit};

/// Interval between two looks at a segment whose last sync group has no end. A running daemon ends the group
/// within a few of these.
const SETTLE_INTERVAL: Duration = Duration::from_millis(300);
/// Number of looks before an open group counts as a torn tail.
const SETTLE_ATTEMPTS: usize = 4;

pub(crate) fn verify(disk: &Disk, arguments: &args::Verify, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let mut findings = Findings::new(disk, &overview)?;
    let mut check =
        Check { disk, as_json: arguments.log.json, lost: Lost::default(), worst: None, end: None };
    let mut checked = 0;
    let all_bytes = overview.segments.iter().map(|segment| segment.bytes).sum();
    let mut progress = Progress::new("verify", if arguments.deep { all_bytes } else { 0 }, Unit::Bytes);
    for segment in &overview.segments {
        progress.add(segment.bytes);
        if segment.header.is_some() && (arguments.deep || is_suspect(&overview, segment)) {
            checked += 1;
            check.segment(segment, out)?;
        }
    }
    progress.end();
    if let Some(last) = check.end {
        check.lost.batches += findings.compare_end(disk, last)?;
    }
    check.lost.and_more |= findings.has_lost_end || findings.has_lost_start;
    for finding in &findings.list {
        if check.as_json { out.json(&finding.json())? } else { out.line(&finding.text())? }
    }
    let worst = check.worst.max(findings.worst());
    let segments = overview.segments.len();
    let name = worst.map_or("clean", damage_name);
    if check.as_json {
        let (lost, is_exact) = check.lost.json();
        out.json(&json!({
            "verdict": name,
            "segments": segments,
            "checked": checked,
            "batches_lost": lost,
            "is_exact": is_exact,
        }))?;
    } else {
        let lost = check.lost.text();
        out.line(&format!("{name}: {checked} of {segments} segments checked completely, {lost}"))?;
    }
    Ok(worst.map_or(0, exit_code))
}

/// Whether a segment is checked without `--deep`: the last one, a damaged one, and one that shows how many
/// batches the files behind it held.
fn is_suspect(overview: &Overview, segment: &Listed) -> bool {
    let readable = |segment: &&Listed| segment.header.is_some();
    let last = overview.segments.iter().rfind(readable).map(|last| last.number);
    Some(segment.number) == last || segment.truncated_from().is_some() || segment.lost_behind.is_some()
}

/// The check of a log, segment by segment.
struct Check<'a> {
    disk: &'a Disk,
    as_json: bool,
    lost: Lost,
    worst: Option<Verdict>,
    /// Last sequence number of the log, once its last readable segment was checked.
    end: Option<SeqNo>,
}

impl Check<'_> {
    /// Checks one segment, and reports its damage and that between it and the next readable one.
    fn segment(&mut self, segment: &Listed, out: &mut Output) -> Result<(), Failure> {
        let mut examined = match examine(self.disk, segment) {
            Ok(Some(examined)) => examined,
            Ok(None) => return Ok(()),
            // The daemon has recycled the segment since it was listed: its batches are delivered.
            Err(holdfast::wal::ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if examined.verdict().is_some() {
            let is_same = |other: &Listed| other.number == segment.number && other.header == segment.header;
            if !overview(self.disk)?.segments.iter().any(is_same) {
                return Ok(());
            }
            if segment.bound.is_none() {
                examined = re_examine(self.disk, segment, examined)?;
            }
        }
        self.worst = self.worst.max(examined.verdict());
        self.end = segment.bound.is_none().then_some(examined.last_seq);
        self.report(segment, &examined, out)
    }

    fn report(&mut self, segment: &Listed, examined: &Examined, out: &mut Output) -> Result<(), Failure> {
        for bad in &examined.bad {
            let detail = format!("corrupt data at bytes {}–{}", bad.from, bad.to);
            report(out, self.as_json, segment.number, damage_name(bad.verdict), detail)?;
        }
        for gap in &examined.gaps {
            let detail = lost_text(gap.from, gap.to, gap.reason);
            report(out, self.as_json, segment.number, "gap", detail)?;
            self.lost.add(gap.from, gap.to, gap.reason);
        }
        if let Some(gap) = &examined.lost_behind {
            let detail = lost_text(gap.from, gap.to, gap.reason);
            report(out, self.as_json, segment.number + 1, "gap", detail)?;
            self.lost.add(gap.from, gap.to, gap.reason);
        }
        if !examined.closed {
            let detail = format!("the last sync group has no end after byte {}", examined.end);
            report(out, self.as_json, segment.number, "torn", detail)?;
        }
        Ok(())
    }
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
