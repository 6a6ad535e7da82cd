//! `diff`: is the database behind the log, level with it, or has it had another one.

use holdfast::sink::digest;
use holdfast::wal::inspect::overview;
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::json;

use crate::args;
use crate::database::{self, Standing};
use crate::output::{Failure, Output};

/// What the comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The database has all.
    Level,
    /// It lacks the end of the log.
    Behind,
    /// It has numbers that the log does not have.
    Ahead,
    /// It was given something else under the same numbers.
    Forked,
}

pub(crate) fn diff(disk: &Disk, arguments: &args::Diff, out: &mut Output) -> Result<u8, Failure> {
    let overview = overview(disk)?;
    let database = &arguments.database;
    let standing = database::standing(&database.url, database.collector.as_deref(), overview.log_id)?;
    let oldest =
        overview.segments.iter().find_map(|segment| segment.header).map_or(SeqNo(1), |h| h.first_seq);
    let (last, compared) = walk(disk, oldest, &standing)?;
    let most = standing.lanes.iter().map(|lane| lane.last).max().unwrap_or_default();
    let verdict = if compared == Some(false) {
        Verdict::Forked
    } else if most > last {
        Verdict::Ahead
    } else if standing.delivered() < last {
        Verdict::Behind
    } else {
        Verdict::Level
    };
    let name = match verdict {
        Verdict::Level => "level",
        Verdict::Behind => "behind",
        Verdict::Ahead => "ahead",
        Verdict::Forked => "forked",
    };
    if arguments.log.json {
        let lanes = standing.lanes.iter().map(|lane| json!({ "lane": lane.number, "last_seq": lane.last.0 }));
        out.json(&json!({
            "verdict": name,
            "collector": standing.collector,
            "log_first_seq": oldest.0,
            "log_last_seq": last.0,
            "lanes": lanes.collect::<Vec<_>>(),
            "contents_compared": compared.is_some(),
        }))?;
    } else {
        out.line(&format!(
            "{name}: the log holds {oldest} to {last}; the database has, as {}:",
            standing.collector
        ))?;
        for lane in &standing.lanes {
            out.line(&format!("  lane {} up to {}", lane.number, lane.last))?;
        }
        if compared.is_none() {
            out.line(
                "contents not compared: the log no longer reaches back to a place that the database knows",
            )?;
        }
    }
    Ok(match verdict {
        Verdict::Level | Verdict::Behind => 0,
        Verdict::Ahead | Verdict::Forked => 1,
    })
}

/// Walks the log from where the hindmost lane is; returns its last number, and whether it has at each lane's place what
/// that lane was given. `None`: at no lane's place can it be read any more.
fn walk(disk: &Disk, oldest: SeqNo, standing: &Standing) -> Result<(SeqNo, Option<bool>), Failure> {
    let from = standing.delivered().max(oldest);
    let (mut last, mut same) = (from.before(), None);
    let mut reader = Reader::open(disk.clone(), from)?;
    while let Some(item) = reader.next(SeqNo::MAX)? {
        match item {
            Item::Data { seq, payload, .. } => {
                // A lane without a digest has a gap there.
                for lane in standing.lanes.iter().filter(|lane| lane.last == seq && lane.digest != 0) {
                    same = Some(same.unwrap_or(true) && lane.digest == digest(seq.0, payload));
                }
                last = seq;
            }
            Item::Gap { to, .. } => last = to,
        }
    }
    Ok((last, same))
}
