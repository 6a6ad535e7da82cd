//! `salvage`: a sound copy of a damaged log. `repair`: the daemon's own recovery by hand.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};

use holdfast::forwarder::NOTE_FILES;
use holdfast::wal::format::CODEC_RECORD_LZ4;
use holdfast::wal::inspect::{Verdict, examine, overview};
use holdfast::wal::{
    self, Damage, Disk, Item, LogId, OpenError, Options, Reader, Recovered, SalvageError, SeqNo, Writer,
};
use serde_json::json;

use crate::args;
use crate::output::{Failure, Output, now};
use crate::progress::{Progress, Unit, batches};

/// So many payloads tell whether a log is compressed.
const LOOKED_AT: usize = 1_000;

/// Options that fit what is there: the same segment size, and a cap that is not in the way.
pub(crate) fn options(disk: &Disk) -> Result<Options, Failure> {
    let overview = overview(disk)?;
    let bytes: u64 = overview.segments.iter().map(|segment| segment.bytes).sum();
    let largest = overview.segments.iter().map(|segment| segment.bytes).max().unwrap_or(64 << 20);
    let mut random = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let [id @ .., a, b, c, d, e, f, g, h] = random;
    let segment_bytes = largest.clamp(Options::SEGMENT_BYTES_MIN, Options::SEGMENT_BYTES_MAX);
    // Stored as it was: a copy of a compressed log must not need three times the room.
    let first = overview.segments.iter().find_map(|segment| segment.header).map_or(SeqNo(1), |h| h.first_seq);
    let compress = is_compressed(disk, first)?;
    Ok(Options {
        segment_bytes,
        compress,
        bytes_max: bytes.saturating_mul(2).saturating_add(segment_bytes * 16),
        free_percent_min: 0,
        ..Options::new(LogId(id), u64::from_le_bytes([a, b, c, d, e, f, g, h]), now())
    })
}

/// Whether one of the first payloads that can be read is; short ones never are.
fn is_compressed(disk: &Disk, from: SeqNo) -> Result<bool, Failure> {
    let mut reader = Reader::open(disk.clone(), from)?;
    for _ in 0..LOOKED_AT {
        match reader.next(SeqNo::MAX)? {
            Some(Item::Data { codec: CODEC_RECORD_LZ4, .. }) => return Ok(true),
            Some(_) => {}
            None => break,
        }
    }
    Ok(false)
}

/// The copy is delivered under the same id, from the same place on.
fn copy_notes(arguments: &args::Salvage) -> Result<(), Failure> {
    for name in NOTE_FILES {
        let [from, to] = [&arguments.source, &arguments.target].map(|directory| directory.join(name));
        match fs::copy(&from, &to) {
            Ok(_) => File::open(&to)?.sync_all()?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::about(&from.display(), &error)),
        }
    }
    Ok(())
}

pub(crate) fn salvage(arguments: &args::Salvage, out: &mut Output) -> Result<u8, Failure> {
    let source = crate::open(&arguments.source)?;
    let target = Disk::create(&arguments.target)
        .map_err(|error| Failure::about(&arguments.target.display(), &error))?;
    let options = options(&source)?;
    let listed = overview(&source)?;
    let first =
        listed.segments.iter().find_map(|segment| segment.header).map_or(1, |header| header.first_seq.0);
    let mut progress = Progress::new("salvage", batches(&source, SeqNo(first), SeqNo::MAX), Unit::Batches);
    let salvaged = wal::salvage(source, target, options, |seq| progress.set(seq.0.saturating_sub(first) + 1));
    progress.end();
    let salvaged = salvaged.map_err(|error: SalvageError| Failure::Other(error.to_string()))?;
    copy_notes(arguments)?;
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
            out.line(&format!("batches {from} to {to} are lost ({})", reason.name()))?;
        }
        let (batches, records) = (salvaged.payloads, salvaged.records);
        out.line(&format!(
            "copied batches {} to {}: {batches} batches, {records} records",
            salvaged.first, salvaged.last
        ))?;
    }
    Ok(if salvaged.gaps.is_empty() { 0 } else { 2 })
}

pub(crate) fn repair(arguments: &args::Repair, out: &mut Output) -> Result<u8, Failure> {
    let disk = crate::open(&arguments.log.directory)?;
    if arguments.yes {
        let (writer, recovered) = recover(disk)?;
        say(&recovered, arguments.log.json, out)?;
        writer.close(now()).map_err(|error| Failure::Other(error.to_string()))?;
        return Ok(0);
    }
    let last = overview(&disk)?.segments.into_iter().rev().find(|segment| segment.header.is_some());
    let examined = match &last {
        Some(segment) => examine(&disk, segment)?,
        None => None,
    };
    let (verdict, is_sealed) =
        examined.map_or((Some(Verdict::Unreadable), false), |examined| (examined.verdict(), examined.sealed));
    let what = match (verdict, is_sealed) {
        (None, true) => "closed in order: there is nothing to do",
        (None, false) => {
            "whole, but not closed: the last group would be copied into a new segment, and the log closed"
        }
        (Some(Verdict::Torn), _) => {
            "torn at its end: what is whole of the last group would be copied into a new segment"
        }
        (Some(Verdict::Rot), _) => {
            "rotten in its last segment: what is lost would be told as a gap, nothing is mended"
        }
        (Some(Verdict::Unreadable), _) => {
            "unreadable in part: what is lost would be told as a gap; salvage it if the disk fails"
        }
    };
    let is_done = verdict.is_none() && is_sealed;
    if arguments.log.json {
        out.json(&json!({ "done": is_done, "what": what }))?;
    } else {
        out.line(&format!("the log is {what}"))?;
        if !is_done {
            out.line("say --yes to do it; no byte that is there is changed")?;
        }
    }
    Ok(u8::from(!is_done))
}

/// Takes the lock and does what the daemon does at its start.
pub(crate) fn recover(disk: Disk) -> Result<(Writer<Disk>, Recovered), Failure> {
    let options = options(&disk)?;
    wal::recover(disk, options).map_err(|error: OpenError| Failure::Other(error.to_string()))
}

fn say(recovered: &Recovered, as_json: bool, out: &mut Output) -> Result<(), Failure> {
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
        "done: {} batches copied into a new segment; the log holds {} to {}",
        recovered.copied,
        recovered.oldest,
        recovered.next.prev()
    ))
}

fn text(damage: &Damage) -> String {
    match damage {
        Damage::Rot { segment, from, to } => format!("{segment:016x}.wal  rot: bytes {from} to {to}"),
        Damage::Torn { segment, from, to } if from == to => {
            format!("{segment:016x}.wal  torn: the last group is open at byte {from}")
        }
        Damage::Torn { segment, from, to } => format!("{segment:016x}.wal  torn: bytes {from} to {to}"),
        Damage::Header { segment } => format!("{segment:016x}.wal  unreadable: both copies of the header"),
        Damage::Foreign { segment } => format!("{segment:016x}.wal  foreign: belongs to another log"),
    }
}
