//! `salvage`: a sound copy of a damaged log. `repair`: the daemon's own recovery by hand.

use std::fs::{self, File};
use std::io::ErrorKind;

use holdfast::forwarder::{self, MARKER_FILES};
use holdfast::log_id::random_seed;
use holdfast::wal::format::CODEC_RECORD_LZ4;
use holdfast::wal::inspect::{Listed, Verdict, examine, overview};
use holdfast::wal::{
    self, Damage, Disk, Item, LogId, OpenError, Options, Reader, Recovered, SalvageError, SeqNo, Writer,
};
use serde_json::json;

use crate::args;
use crate::findings::{EXIT_LOSS, Finding, Findings, file_name, lost_text};
use crate::output::{Failure, Output, now, print_error};
use crate::progress::{Progress, Unit, batches};

/// Number of batches that are examined to find out whether the log is compressed.
const COMPRESSION_SAMPLE: usize = 1_000;

/// Log options for an existing log: its own segment size, and a size limit that recovery cannot reach.
pub(crate) fn options(disk: &Disk) -> Result<Options, Failure> {
    let overview = overview(disk)?;
    let bytes: u64 = overview.segments.iter().map(|segment| segment.bytes).sum();
    let largest = overview.segments.iter().map(|segment| segment.bytes).max().unwrap_or(64 << 20);
    let segment_bytes = largest.clamp(Options::SEGMENT_BYTES_MIN, Options::SEGMENT_BYTES_MAX);
    // A copy of a compressed log is compressed too; otherwise it could need three times the space.
    let first = overview.first_seq().unwrap_or(SeqNo(1));
    let compress = is_compressed(disk, first)?;
    Ok(Options {
        segment_bytes,
        compress,
        bytes_max: bytes.saturating_mul(2).saturating_add(segment_bytes * 16),
        free_percent_min: 0,
        ..Options::new(LogId::random(), random_seed(), now())
    })
}

/// Returns true if one of the first readable batches is compressed; short batches never are.
fn is_compressed(disk: &Disk, from: SeqNo) -> Result<bool, Failure> {
    let mut reader = Reader::open(disk.clone(), from)?;
    for _ in 0..COMPRESSION_SAMPLE {
        match reader.next(SeqNo::MAX)? {
            Some(Item::Data { codec: CODEC_RECORD_LZ4, .. }) => return Ok(true),
            Some(_) => {}
            None => break,
        }
    }
    Ok(false)
}

/// Copies the marker files, so that the copy is delivered under the same log id and from the same position.
/// Returns `false` if one cannot be read.
fn copy_marker_files(arguments: &args::Salvage) -> Result<bool, Failure> {
    let mut are_complete = true;
    for name in MARKER_FILES {
        let [from, to] = [&arguments.source, &arguments.target].map(|directory| directory.join(name));
        match fs::read(&from) {
            Ok(bytes) => {
                let written = fs::write(&to, bytes).and_then(|()| File::open(&to)?.sync_all());
                written.map_err(|error| Failure::new(&to.display(), &error))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                are_complete = false;
                print_error(&format!("{}: not copied: {error}", from.display()));
            }
        }
    }
    Ok(are_complete)
}

pub(crate) fn salvage(arguments: &args::Salvage, out: &mut Output) -> Result<u8, Failure> {
    let source = crate::open(&arguments.source)?;
    let target =
        Disk::create(&arguments.target).map_err(|error| Failure::new(&arguments.target.display(), &error))?;
    let options = options(&source)?;
    let listed = overview(&source)?;
    let mut findings = Findings::new(&source, &listed)?;
    let first = listed.first_seq().map_or(1, |first| first.0);
    let mut progress = Progress::new("salvage", batches(&source, SeqNo(first), SeqNo::MAX), Unit::Batches);
    let salvaged =
        wal::salvage(source.clone(), target, options, |seq| progress.set(seq.0.saturating_sub(first) + 1));
    progress.end();
    let salvaged = salvaged.map_err(|error: SalvageError| Failure::Other(error.to_string()))?;
    let are_markers_copied = copy_marker_files(arguments)?;
    let last_copied = salvaged.last;
    findings.compare_end(&source, last_copied)?;
    if arguments.json {
        let gaps = salvaged
            .gaps
            .iter()
            .map(|(from, to, reason)| json!({ "seq": from.0, "seq_to": to.0, "reason": reason.name() }));
        out.json(&json!({
            "first_seq": salvaged.first.0,
            "last_seq": salvaged.last.0,
            "batches": salvaged.payloads,
            "records": salvaged.records,
            "gaps": gaps.collect::<Vec<_>>(),
            "findings": findings.list.iter().map(Finding::json).collect::<Vec<_>>(),
        }))?;
    } else {
        for (from, to, reason) in &salvaged.gaps {
            out.line(&lost_text(*from, *to, *reason))?;
        }
        let (batches, records) = (salvaged.payloads, salvaged.records);
        out.line(&format!(
            "copied batches {} to {}: {batches} batches, {records} records",
            salvaged.first, salvaged.last
        ))?;
    }
    findings.print_errors(&source);
    let headless = listed.segments.iter().filter(|segment| segment.header.is_none());
    let uncopied: Vec<u64> = headless.map(|segment| segment.number).chain(listed.foreign).collect();
    for number in &uncopied {
        print_error(&format!("{}: not copied", source.directory().join(file_name(*number)).display()));
    }
    let is_complete =
        salvaged.gaps.is_empty() && uncopied.is_empty() && !findings.has_lost_end && are_markers_copied;
    Ok(if is_complete { 0 } else { EXIT_LOSS })
}

pub(crate) fn repair(arguments: &args::Repair, out: &mut Output) -> Result<u8, Failure> {
    let disk = crate::open(&arguments.log.directory)?;
    if arguments.yes {
        let (writer, recovered) = recover(disk)?;
        report_recovery(&recovered, arguments.log.json, out)?;
        writer.close(now()).map_err(|error| Failure::Other(error.to_string()))?;
        let has_lost = recovered.damage.iter().any(|damage| !matches!(damage, Damage::Torn { .. }));
        return Ok(if has_lost { EXIT_LOSS } else { 0 });
    }
    let overview = overview(&disk)?;
    let mut findings = Findings::new(&disk, &overview)?;
    let (verdict, is_sealed) = match overview.segments.last() {
        Some(last) => state_of(&disk, last, &mut findings)?,
        None => (Some(Verdict::Unreadable), false),
    };
    findings.print_errors(&disk);
    let state = match (verdict, is_sealed) {
        (None, true) if findings.list.is_empty() => "log closed cleanly; nothing to do",
        (None, true) => {
            "log closed cleanly; recovery does not restore the damaged files that are listed; lost batches \
             will be recorded as gaps"
        }
        (None, false) => {
            "log not closed, no damage: recovery would copy the last sync group into a new segment and close \
             the log"
        }
        (Some(Verdict::Torn), _) => {
            "torn tail: recovery would copy the intact frames of the last sync group into a new segment"
        }
        (Some(Verdict::Rot), _) => {
            "last segment corrupt, truncated or missing; lost batches will be recorded as a gap, nothing is \
             repaired"
        }
        (Some(Verdict::Unreadable), _) => {
            "last segment unreadable; lost batches will be recorded as a gap. If the disk is failing, use \
             `walctl salvage`"
        }
    };
    let is_done = verdict.is_none() && is_sealed;
    if arguments.log.json {
        let findings = findings.list.iter().map(Finding::json).collect::<Vec<_>>();
        out.json(&json!({ "done": is_done, "state": state, "findings": findings }))?;
    } else {
        out.line(state)?;
        if !is_done {
            out.line("re-run with --yes; existing data is not modified")?;
        }
    }
    Ok(match (is_done, findings.list.is_empty()) {
        (false, _) => 1,
        (true, false) => EXIT_LOSS,
        (true, true) => 0,
    })
}

/// Damage of the last segment, and whether it is sealed and holds the end of the log.
fn state_of(disk: &Disk, last: &Listed, findings: &mut Findings) -> Result<(Option<Verdict>, bool), Failure> {
    let Some(examined) = examine(disk, last)? else { return Ok((Some(Verdict::Unreadable), false)) };
    findings.compare_end(disk, examined.last_seq)?;
    let verdict = examined.verdict().max(findings.has_lost_end.then_some(Verdict::Rot));
    Ok((verdict, examined.sealed))
}

/// Takes the log's lock and runs the daemon's crash recovery.
pub(crate) fn recover(disk: Disk) -> Result<(Writer<Disk>, Recovered), Failure> {
    let mut options = options(&disk)?;
    if let Some(log_id) = overview(&disk)?.log_id {
        // As the daemon does: numbers that were delivered are not assigned again.
        let delivered = forwarder::delivered_up_to(disk.directory(), log_id).unwrap_or_else(|error| {
            print_error(&error.to_string());
            None
        });
        options.external_high_water = delivered.map(|seq| (log_id, seq));
    }
    wal::recover(disk, options).map_err(|error: OpenError| Failure::Other(error.to_string()))
}

fn report_recovery(recovered: &Recovered, as_json: bool, out: &mut Output) -> Result<(), Failure> {
    let damage: Vec<String> = recovered.damage.iter().map(Damage::to_string).collect();
    if as_json {
        return out.json(&json!({
            "done": true,
            "log_id": recovered.log_id.to_string(),
            "oldest_seq": recovered.oldest.0,
            "next_seq": recovered.next.0,
            "batches_copied": recovered.copied,
            "damage": damage,
        }));
    }
    for line in &damage {
        out.line(line)?;
    }
    out.line(&format!(
        "recovered: {} batches copied into a new segment; the log contains batches {} to {}",
        recovered.copied,
        recovered.oldest,
        recovered.next.prev()
    ))
}
