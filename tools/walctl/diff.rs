//! `walctl diff`: compares the log with its delivery state in the database.
//!
//! ```text
//!  log       1 … 20 │ 21 … 30          database at 20: behind          at 30: level
//!            1 … 20 │ 21'… 40'         at 30, and 30' ≠ 30: forked; the same batches up to 20
//!            1 … 20                    at 30: ahead
//! ```

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use holdfast::sink::digest;
use holdfast::wal::inspect::{Overview, overview};
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::json;

use crate::args;
use crate::database::{self, Standing};
use crate::output::{Failure, Output};

/// Result of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The database has every batch of the log.
    Level,
    /// The database lacks the end of the log.
    Behind,
    /// The database has sequence numbers above the last one of the log.
    Ahead,
    /// The database has other batches under the same sequence numbers.
    Forked,
}

impl Verdict {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Forked => "forked",
        }
    }

    /// True if the database has batches that this log does not contain.
    pub(crate) const fn has_diverged(self) -> bool {
        matches!(self, Self::Ahead | Self::Forked)
    }
}

/// A log compared with its delivery state in the database.
pub(crate) struct Comparison {
    pub(crate) verdict: Verdict,
    first: SeqNo,
    last: SeqNo,
    /// True if the digest of at least one batch could be compared.
    is_compared: bool,
    /// For a log that has diverged: last sequence number up to which both are known to agree; 0 if none.
    pub(crate) common: SeqNo,
}

impl Comparison {
    pub(crate) fn new(
        disk: &Disk,
        overview: &Overview,
        standing: &Standing,
        url: &str,
    ) -> Result<Self, Failure> {
        let headers = || overview.segments.iter().filter_map(|segment| segment.header);
        let first = headers().next().map_or(SeqNo(1), |header| header.first_seq);
        let last = end(disk, headers().next_back().map_or(first, |header| header.first_seq))?;
        let positions = standing.lanes.iter().map(|lane| (lane.last.0, lane.digest));
        let same = compare(disk, first.0..=last.0, positions)?;
        let most = standing.lanes.iter().map(|lane| lane.last).max().unwrap_or_default();
        let mut verdict = match (same.differs, most > last, standing.delivered() < last) {
            (true, ..) => Verdict::Forked,
            (false, true, _) => Verdict::Ahead,
            (false, false, true) => Verdict::Behind,
            (false, false, false) => Verdict::Level,
        };
        let (mut common, mut is_compared) = (SeqNo::NONE, same.compared > 0);
        if verdict.has_diverged() {
            let ledger = database::digests(url, standing, first, last)?;
            let positions = ledger.iter().map(|(_, seq, digest)| (*seq, *digest));
            let same = compare(disk, first.0..=last.0, positions)?;
            is_compared |= same.compared > 0;
            if same.differs {
                verdict = Verdict::Forked;
            }
            let common_in_lane = |number: i32| {
                let own = |(lane, seq, digest): &(u32, u64, u64)| {
                    (i32::try_from(*lane) == Ok(number) && same.own.get(seq) == Some(digest)).then_some(*seq)
                };
                ledger.iter().filter_map(own).max().unwrap_or(0)
            };
            common = SeqNo(standing.lanes.iter().map(|lane| common_in_lane(lane.number)).min().unwrap_or(0));
        }
        Ok(Self { verdict, first, last, is_compared, common })
    }
}

pub(crate) fn diff(disk: &Disk, arguments: &args::Diff, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let database = &arguments.database;
    let standing = database::standing(&database.url, database.collector.as_deref(), disk, &overview)?;
    let comparison = Comparison::new(disk, &overview, &standing, &database.url)?;
    if arguments.log.json {
        out.json(&json(&comparison, &standing))?;
    } else {
        text(&comparison, &standing, out)?;
    }
    Ok(u8::from(comparison.verdict.has_diverged()))
}

fn json(comparison: &Comparison, standing: &Standing) -> serde_json::Value {
    let lanes = standing.lanes.iter().map(|lane| json!({ "lane": lane.number, "last_seq": lane.last.0 }));
    json!({
        "verdict": comparison.verdict.name(),
        "collector": standing.collector,
        "delivered_as": standing.log_id.to_string(),
        "log_first_seq": comparison.first.0,
        "log_last_seq": comparison.last.0,
        "lanes": lanes.collect::<Vec<_>>(),
        "contents_compared": comparison.is_compared,
        "common_seq": comparison.verdict.has_diverged().then_some(comparison.common.0),
    })
}

fn text(comparison: &Comparison, standing: &Standing, out: &mut Output) -> Result<(), Failure> {
    let Comparison { verdict, first, last, common, .. } = comparison;
    out.line(&format!(
        "{}: the log contains batches {first} to {last}; delivered to the database as collector {}:",
        verdict.name(),
        standing.collector
    ))?;
    for lane in &standing.lanes {
        out.line(&format!("  lane {}: up to batch {}", lane.number, lane.last))?;
    }
    if standing.lanes.is_empty() {
        out.line("  nothing of this log")?;
    } else if !comparison.is_compared {
        out.line("contents not compared: no batch with a digest in the database can be read from the log")?;
    }
    if verdict.has_diverged() {
        out.line(&format!("last batch known to be the same in both: {common}"))?;
    }
    Ok(())
}

/// Last sequence number of the log; `from` is the first one of its last segment.
fn end(disk: &Disk, from: SeqNo) -> Result<SeqNo, Failure> {
    let mut last = from.prev();
    let mut reader = Reader::open(disk.clone(), from)?;
    while let Some(item) = reader.next(SeqNo::MAX)? {
        last = match item {
            Item::Data { seq, .. } => seq,
            Item::Gap { to, .. } => to,
        };
    }
    Ok(last)
}

/// Digests of selected batches of the log, compared with those in the database.
struct DigestComparison {
    own: HashMap<u64, u64>,
    /// Number of batches whose digests were compared.
    compared: usize,
    differs: bool,
}

/// Reads the batches at `positions` (sequence number, expected digest) in one pass and compares their
/// digests.
///
/// A digest of 0 is not compared: the database recorded a gap there.
fn compare(
    disk: &Disk,
    range: RangeInclusive<u64>,
    positions: impl Iterator<Item = (u64, u64)>,
) -> Result<DigestComparison, Failure> {
    let mut same = DigestComparison { own: HashMap::new(), compared: 0, differs: false };
    let positions: Vec<_> = positions.filter(|(seq, digest)| range.contains(seq) && *digest != 0).collect();
    let (from, to) = (positions.iter().min(), positions.iter().max());
    let (Some((from, _)), Some((to, _))) = (from, to) else { return Ok(same) };
    let wanted: HashSet<u64> = positions.iter().map(|(seq, _)| *seq).collect();
    let mut reader = Reader::open(disk.clone(), SeqNo(*from))?;
    while let Some(item) = reader.next(SeqNo(*to))? {
        if let Item::Data { seq, payload, .. } = item
            && wanted.contains(&seq.0)
        {
            same.own.insert(seq.0, digest(seq.0, payload));
        }
    }
    for (seq, expected) in positions {
        if let Some(own) = same.own.get(&seq) {
            same.compared += 1;
            same.differs |= *own != expected;
        }
    }
    Ok(same)
}
