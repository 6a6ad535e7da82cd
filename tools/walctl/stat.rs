//! `walctl stat`: size and growth of the log, and its backlog against a database.

use holdfast::codec;
use holdfast::num::to_u64;
use holdfast::route::Batch;
use holdfast::wal::inspect::{Overview, Totals, overview, totals};
use holdfast::wal::{Disk, Item, Reader, SeqNo, Storage};
use serde_json::{Value, json};

use crate::args;
use crate::database::{self, Standing};
use crate::findings::{Finding, Findings};
use crate::output::{Failure, Output, now, size, time, time_text};

const HOUR_US: i64 = 3_600_000_000;

pub(crate) fn stat(disk: &Disk, arguments: &args::Stat, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let each =
        overview.segments.iter().map(|segment| totals(disk, segment)).collect::<Result<Vec<_>, _>>()?;
    let mut summary = Summary::new(&overview, &each);
    let mut findings = Findings::new(disk, &overview)?;
    if summary.first.is_some() {
        findings.compare_end(disk, summary.last)?;
    }
    // A seal closes the log only if its segment is the last one.
    summary.sealed &= !findings.has_lost_end;
    let standing = match &arguments.url {
        Some(url) => Some(database::standing(url, arguments.collector.as_deref(), disk, &overview)?),
        None => None,
    };
    let backlog = match &standing {
        Some(standing) => Some(Backlog::after(disk, &overview, &each, standing.delivered())?),
        None => None,
    };
    let undelivered = backlog.as_ref().map_or(summary.used_bytes, |backlog| backlog.stored_bytes);
    let free = disk.space().map_or(0, |space| space.free_bytes);
    let available = arguments.max_bytes.saturating_sub(undelivered).min(free);
    let hours_left = summary.bytes_per_hour.filter(|rate| *rate > 0.0).map(|rate| available as f64 / rate);
    let report = Report { overview: &overview, summary, findings, standing, backlog, free, hours_left };
    if arguments.log.json {
        out.json(&report.json())?
    } else {
        report.text(out)?
    }
    Ok(report.findings.exit_code())
}

/// Totals over all segments of the log.
#[derive(Default)]
struct Summary {
    first: Option<SeqNo>,
    last: SeqNo,
    batches: u64,
    records: u64,
    payload_bytes: u64,
    file_bytes: u64,
    used_bytes: u64,
    created: i64,
    last_commit: i64,
    sealed: bool,
    /// Growth over the last hour before the last commit, or over the whole log if it is younger; bytes per
    /// hour.
    bytes_per_hour: Option<f64>,
}

impl Summary {
    fn new(overview: &Overview, each: &[Option<Totals>]) -> Self {
        let mut summary = Self::default();
        for (segment, totals) in overview.segments.iter().zip(each) {
            summary.file_bytes += segment.bytes;
            let (Some(header), Some(totals)) = (segment.header, totals) else { continue };
            summary.first = summary.first.or(Some(header.first_seq));
            summary.created = if summary.created == 0 { header.created } else { summary.created };
            // A batch that recovery copied into a later segment is counted in both.
            summary.last = SeqNo(summary.last.0.max(header.first_seq.prev().0 + totals.payloads));
            summary.batches += totals.payloads;
            summary.records += totals.records;
            summary.payload_bytes += totals.payload_bytes;
            summary.used_bytes += totals.used_bytes;
            summary.sealed = totals.sealed;
            summary.last_commit = summary.last_commit.max(totals.time_max);
        }
        summary.bytes_per_hour = growth(each, summary.last_commit);
        summary
    }
}

fn growth(each: &[Option<Totals>], last_commit: i64) -> Option<f64> {
    let recent = |totals: &&Totals| totals.time_min > 0 && totals.time_max >= last_commit - HOUR_US;
    let recent: Vec<&Totals> = each.iter().flatten().filter(recent).collect();
    let from = recent.iter().map(|totals| totals.time_min).min()?;
    let bytes: u64 = recent.iter().map(|totals| totals.used_bytes).sum();
    let span = last_commit.checked_sub(from).filter(|span| *span > 0)?;
    Some(bytes as f64 * HOUR_US as f64 / span as f64)
}

/// Records of the log that the database has not stored yet.
struct Backlog {
    batches: u64,
    records: u64,
    stored_bytes: u64,
    /// Time at which the oldest undelivered record was received, microseconds since the epoch; 0 if there is
    /// none.
    oldest: i64,
}

impl Backlog {
    fn after(
        disk: &Disk,
        overview: &Overview,
        each: &[Option<Totals>],
        delivered: SeqNo,
    ) -> Result<Self, Failure> {
        let mut backlog = Self { batches: 0, records: 0, stored_bytes: 0, oldest: 0 };
        // The segment that contains the delivered position is read record by record; later segments are
        // summed up.
        let mut walk_to = SeqNo::MAX;
        for (segment, totals) in overview.segments.iter().zip(each) {
            let (Some(header), Some(totals)) = (segment.header, totals) else { continue };
            // Every start creates a segment; one without batches has nothing to deliver.
            if header.first_seq > delivered && totals.payloads > 0 {
                walk_to = walk_to.min(header.first_seq.prev());
                backlog.batches += totals.payloads;
                backlog.records += totals.records;
                backlog.stored_bytes += totals.used_bytes;
            }
        }
        let mut reader = Reader::open(disk.clone(), delivered.next())?;
        while let Some(item) = reader.next(SeqNo::MAX)? {
            let Item::Data { seq, count, payload, .. } = item else { continue };
            if backlog.oldest == 0 {
                backlog.oldest = codec::decode(payload).map_or(0, |batch| received(&batch));
            }
            if seq > walk_to {
                break;
            }
            backlog.batches += 1;
            backlog.records += u64::from(count);
            backlog.stored_bytes += to_u64(payload.len());
        }
        Ok(backlog)
    }

    fn age_s(&self) -> i64 {
        if self.oldest == 0 { 0 } else { (now() - self.oldest).max(0) / 1_000_000 }
    }
}

fn received(batch: &Batch) -> i64 {
    let routes = batch.groups.first().map(|group| group.received.0);
    let events = batch.events.first().map(|event| event.received.0);
    routes.into_iter().chain(events).min().unwrap_or(0)
}

struct Report<'a> {
    overview: &'a Overview,
    summary: Summary,
    findings: Findings,
    standing: Option<Standing>,
    backlog: Option<Backlog>,
    free: u64,
    hours_left: Option<f64>,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let summary = &self.summary;
        let last = self.overview.segments.iter().rev().find_map(|segment| segment.header);
        let backlog = self.backlog.as_ref().zip(self.standing.as_ref()).map(|(backlog, standing)| {
            json!({
                "collector": standing.collector,
                "delivered_seq": standing.delivered().0,
                "batches": backlog.batches,
                "records": backlog.records,
                "bytes": backlog.stored_bytes,
                "age_s": backlog.age_s(),
            })
        });
        json!({
            "log_id": self.overview.log_id.map(|id| id.to_string()),
            "segments": self.overview.segments.len(),
            "bytes": summary.file_bytes,
            "used_bytes": summary.used_bytes,
            "first_seq": summary.first.map(|first| first.0),
            "last_seq": summary.first.map(|_| summary.last.0),
            "batches": summary.batches,
            "records": summary.records,
            "payload_bytes": summary.payload_bytes,
            "run": last.map(|header| header.run),
            "created": time(summary.created),
            "last_commit": time(summary.last_commit),
            "sealed": summary.sealed,
            "findings": self.findings.list.iter().map(Finding::json).collect::<Vec<_>>(),
            "bytes_per_hour": summary.bytes_per_hour.map(f64::round),
            "disk_free_bytes": self.free,
            "hours_left": self.hours_left.map(|hours| (hours * 10.0).round() / 10.0),
            "backlog": backlog,
        })
    }

    fn text(&self, out: &mut Output) -> Result<(), Failure> {
        let summary = &self.summary;
        let Some(first) = summary.first else {
            out.line("no readable segment")?;
            return self.findings.list.iter().try_for_each(|finding| out.line(&finding.text()));
        };
        let id = self.overview.log_id.map(|id| id.to_string()).unwrap_or_default();
        out.line(&format!("log id        {id}"))?;
        let (files, used) = (size(summary.file_bytes), size(summary.used_bytes));
        out.line(&format!("segments      {}, {files}, {used} in use", self.overview.segments.len()))?;
        out.line(&format!("batches       {first} to {}", summary.last))?;
        let each =
            if summary.records == 0 { 0.0 } else { summary.used_bytes as f64 / summary.records as f64 };
        out.line(&format!("records       {}, {each:.1} bytes each", summary.records))?;
        out.line(&format!("created       {}", time_text(summary.created)))?;
        out.line(&format!("last commit   {}", time_text(summary.last_commit)))?;
        let state = match (summary.sealed, self.findings.has_lost_end) {
            (true, _) => "closed cleanly",
            (false, false) => "in use, or not closed because of a crash",
            (false, true) => "unknown: the end of the log is lost",
        };
        out.line(&format!("state         {state}"))?;
        for finding in &self.findings.list {
            out.line(&format!("damage        {}", finding.text()))?;
        }
        if let Some(rate) = summary.bytes_per_hour {
            let left = self.hours_left.map_or_else(|| "-".to_owned(), |hours| format!("{hours:.1} h"));
            out.line(&format!(
                "growth        {:.1} MiB per hour, full in {left}",
                rate / f64::from(1 << 20)
            ))?;
        }
        if let Some((backlog, standing)) = self.backlog.as_ref().zip(self.standing.as_ref()) {
            let bytes = size(backlog.stored_bytes);
            out.line(&format!(
                "delivered     up to batch {} as collector {}",
                standing.delivered(),
                standing.collector
            ))?;
            out.line(&format!(
                "backlog       {} batches, {} records, {bytes}, oldest record {} s old",
                backlog.batches,
                backlog.records,
                backlog.age_s()
            ))?;
        }
        Ok(())
    }
}
