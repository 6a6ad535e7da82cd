//! `salvage`: a sound copy of a damaged log. `repair`: the daemon's own recovery by hand.

use std::fs::{self, File};
use std::io::ErrorKind;

use holdfast::forwarder::MARKER_FILES;
use holdfast::log_id::random_seed;
use holdfast::wal::format::CODEC_RECORD_LZ4;
use holdfast::wal::inspect::{Verdict, examine, overview};
use holdfast::wal::{
    self, Damage, Disk, Item, LogId, OpenError, Options, Reader, Recovered, SalvageError, SeqNo, Writer,
};
use serde_json::json;

use crate::args;
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
    let first = overview.segments.iter().find_map(|segment| segment.header).map_or(SeqNo(1), |h| h.first_seq);
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
fn copy_marker_files(arguments: &args::Salvage) -> Result<(), Failure> {
    for name in MARKER_FILES {
        let [from, to] = [&arguments.source, &arguments.target].map(|directory| directory.join(name));
        match fs::copy(&from, &to) {
            Ok(_) => File::open(&to)?.sync_all()?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::new(&from.display(), &error)),
        }
    }
    Ok(())
}

pub(crate) fn salvage(arguments: &args::Salvage, out: &mut Output) -> Result<u8, Failure> {
    let source = crate::open(&arguments.source)?;
    let target =
        Disk::create(&arguments.target).map_err(|error| Failure::new(&arguments.target.display(), &error))?;
    let options = options(&source)?;
    let listed = overview(&source)?;
    let first =
        listed.segments.iter().find_map(|segment| segment.header).map_or(1, |header| header.first_seq.0);
    let mut progress = Progress::new("salvage", batches(&source, SeqNo(first), SeqNo::MAX), Unit::Batches);
    let salvaged = wal::salvage(source, target, options, |seq| progress.set(seq.0.saturating_sub(first) + 1));
    progress.end();
    let salvaged = salvaged.map_err(|error: SalvageError| Failure::Other(error.to_string()))?;
    copy_marker_files(arguments)?;
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
        }))?;
    } else {
        for (from, to, reason) in &salvaged.gaps {
            out.line(&format!("batches {from} to {to} lost ({})", reason.name()))?;
        }
        let (batches, records) = (salvaged.payloads, salvaged.records);
        out.line(&format!(
            "copied batches {} to {}: {batches} batches, {records} records",
            salvaged.first, salvaged.last
        ))?;
    }
    let headless: Vec<u64> = listed
        .segments
        .iter()
        .filter(|segment| segment.header.is_none())
        .map(|segment| segment.number)
        .collect();
    for number in headless.iter().chain(&listed.foreign) {
        print_error(&format!(
            "{number:016x}.wal: not copied: its header is damaged, or is that of another segment or log"
        ));
    }
    let is_complete = salvaged.gaps.is_empty() && headless.is_empty() && listed.foreign.is_empty();
    Ok(if is_complete { 0 } else { 2 })
}

pub(crate) fn repair(arguments: &args::Repair, out: &mut Output) -> Result<u8, Failure> {
    let disk = crate::open(&arguments.log.directory)?;
    if arguments.yes {
        let (writer, recovered) = recover(disk)?;
        report_recovery(&recovered, arguments.log.json, out)?;
        writer.close(now()).map_err(|error| Failure::Other(error.to_string()))?;
        return Ok(0);
    }
    let last = overview(&disk)?.segments.into_iter().next_back();
    let examined = match &last {
        Some(segment) => examine(&disk, segment)?,
        None => None,
    };
    let (verdict, is_sealed) =
        examined.map_or((Some(Verdict::Unreadable), false), |examined| (examined.verdict(), examined.sealed));
    let state = match (verdict, is_sealed) {
        (None, true) => "log closed cleanly; nothing to do",
        (None, false) => {
            "log not closed, no damage: recovery would copy the last sync group into a new segment and close \
             the log"
        }
        (Some(Verdict::Torn), _) => {
            "torn tail: recovery would copy the intact frames of the last sync group into a new segment"
        }
        (Some(Verdict::Rot), _) => {
            "last segment corrupt; lost batches will be recorded as a gap, nothing is repaired"
        }
        (Some(Verdict::Unreadable), _) => {
            "last segment unreadable; lost batches will be recorded as a gap. If the disk is failing, use \
             `walctl salvage`"
        }
    };
    let is_done = verdict.is_none() && is_sealed;
    if arguments.log.json {
        out.json(&json!({ "done": is_done, "state": state }))?;
    } else {
        out.line(state)?;
        if !is_done {
            out.line("re-run with --yes; existing data is not modified")?;
        }
    }
    Ok(u8::from(!is_done))
}

/// Takes the log's lock and runs the daemon's crash recovery.
pub(crate) fn recover(disk: Disk) -> Result<(Writer<Disk>, Recovered), Failure> {
    let options = options(&disk)?;
    wal::recover(disk, options).map_err(|error: OpenError| Failure::Other(error.to_string()))
}

fn report_recovery(recovered: &Recovered, as_json: bool, out: &mut Output) -> Result<(), Failure> {
    let damage: Vec<String> = recovered.damage.iter().map(text).collect();
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

fn text(damage: &Damage) -> String {
    match damage {
        Damage::Rot { segment, from, to } => format!("{segment:016x}.wal  corrupt: bytes {from}–{to}"),
        Damage::Torn { segment, from, to } if from == to => {
            format!("{segment:016x}.wal  torn: the last sync group has no end after byte {from}")
        }
        Damage::Torn { segment, from, to } => format!("{segment:016x}.wal  torn: bytes {from}–{to}"),
        Damage::Header { segment } => {
            format!("{segment:016x}.wal  unreadable: both copies of the segment header are damaged")
        }
        Damage::Foreign { segment } => format!("{segment:016x}.wal  foreign: belongs to another log"),
    }
}
