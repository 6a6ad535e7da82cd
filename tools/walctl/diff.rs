//! `diff`: is the database behind the log, level with it, or has it had another one.
//!
//! ```text
//!  log       1 … 20 │ 21 … 30          database at 20: behind          at 30: level
//!            1 … 20 │ 21'… 40'         at 30, and 30' ≠ 30: forked; both have the same up to 20
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

/// What the comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The database has all.
    Level,
    /// It lacks the end of the log.
    Behind,
    /// It has numbers that the log does not have.
    Ahead,
    /// It was given something else under the same numbers.
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

    /// The database has had something that this log does not have.
    pub(crate) const fn is_apart(self) -> bool {
        matches!(self, Self::Ahead | Self::Forked)
    }
}

/// A log beside what a database has of it.
pub(crate) struct Comparison {
    pub(crate) verdict: Verdict,
    first: SeqNo,
    last: SeqNo,
    /// At some place at which a transaction ended, the log could be read and held against the database.
    is_compared: bool,
    /// When they are apart: up to here both are known to have the same. 0: nothing.
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
        let places = standing.lanes.iter().map(|lane| (lane.last.0, lane.digest));
        let same = compare(disk, first.0..=last.0, places)?;
        let most = standing.lanes.iter().map(|lane| lane.last).max().unwrap_or_default();
        let mut verdict = match (same.differs, most > last, standing.delivered() < last) {
            (true, ..) => Verdict::Forked,
            (false, true, _) => Verdict::Ahead,
            (false, false, true) => Verdict::Behind,
            (false, false, false) => Verdict::Level,
        };
        let (mut common, mut is_compared) = (SeqNo::NONE, same.compared > 0);
        if verdict.is_apart() {
            let ledger = database::digests(url, standing, first, last)?;
            let places = ledger.iter().map(|(_, seq, digest)| (*seq, *digest));
            let same = compare(disk, first.0..=last.0, places)?;
            is_compared |= same.compared > 0;
            if same.differs {
                verdict = Verdict::Forked;
            }
            let of_lane = |number: i32| {
                let own = |(lane, seq, digest): &(u32, u64, u64)| {
                    (i32::try_from(*lane) == Ok(number) && same.own.get(seq) == Some(digest)).then_some(*seq)
                };
                ledger.iter().filter_map(own).max().unwrap_or(0)
            };
            common = SeqNo(standing.lanes.iter().map(|lane| of_lane(lane.number)).min().unwrap_or(0));
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
    Ok(u8::from(comparison.verdict.is_apart()))
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
        "common_seq": comparison.verdict.is_apart().then_some(comparison.common.0),
    })
}

fn text(comparison: &Comparison, standing: &Standing, out: &mut Output) -> Result<(), Failure> {
    let Comparison { verdict, first, last, common, .. } = comparison;
    out.line(&format!(
        "{}: the log holds {first} to {last}; the database has, as {}:",
        verdict.name(),
        standing.collector
    ))?;
    for lane in &standing.lanes {
        out.line(&format!("  lane {} up to {}", lane.number, lane.last))?;
    }
    if standing.lanes.is_empty() {
        out.line("  nothing of this log")?;
    } else if !comparison.is_compared {
        out.line("contents not compared: at no place that the database knows can the log be read")?;
    }
    if verdict.is_apart() {
        out.line(&format!("both are known to have the same up to {common}"))?;
    }
    Ok(())
}

/// The last number of the log; `from` is the first one of its last segment.
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

/// The log's own digests at some places, and whether one of them is not what it should be.
struct Same {
    own: HashMap<u64, u64>,
    /// At so many places the log could be read and held against something.
    compared: usize,
    differs: bool,
}

/// Reads the log at these places, (number, digest), in one walk. A digest of 0 says nothing: a gap stood there.
fn compare(
    disk: &Disk,
    range: RangeInclusive<u64>,
    places: impl Iterator<Item = (u64, u64)>,
) -> Result<Same, Failure> {
    let mut same = Same { own: HashMap::new(), compared: 0, differs: false };
    let places: Vec<_> = places.filter(|(seq, digest)| range.contains(seq) && *digest != 0).collect();
    let (from, to) = (places.iter().min(), places.iter().max());
    let (Some((from, _)), Some((to, _))) = (from, to) else { return Ok(same) };
    let wanted: HashSet<u64> = places.iter().map(|(seq, _)| *seq).collect();
    let mut reader = Reader::open(disk.clone(), SeqNo(*from))?;
    while let Some(item) = reader.next(SeqNo(*to))? {
        if let Item::Data { seq, payload, .. } = item
            && wanted.contains(&seq.0)
        {
            same.own.insert(seq.0, digest(seq.0, payload));
        }
    }
    for (seq, expected) in places {
        if let Some(own) = same.own.get(&seq) {
            same.compared += 1;
            same.differs |= *own != expected;
        }
    }
    Ok(same)
}
