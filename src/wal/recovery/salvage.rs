//! Copies what can be read of a damaged log to a new directory, under the same sequence numbers.
//!
//! The source is only read. The copy has the log id of the source, so that delivery continues where it was,
//! and its last state snapshot, so that a daemon without its local state still ends the sessions that were
//! open. Lost payloads are gaps with their reasons.

use crate::wal::catalogue::{Segment, list};
use crate::wal::error::SalvageError;
use crate::wal::format::GapReason;
use crate::wal::options::Options;
use crate::wal::read::reader::{Item, Reader};
use crate::wal::recovery::recover::recover;
use crate::wal::recovery::tail::{lost_batches_max, read_snapshot};
use crate::wal::seq::SeqNo;
use crate::wal::storage::Storage;

/// Size of a sync group of the copy, in bytes.
const GROUP_BYTES: usize = 4 << 20;

/// Contents of the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// First sequence number.
    pub first: SeqNo,
    /// Last sequence number.
    pub last: SeqNo,
    /// Number of payloads.
    pub payloads: u64,
    /// Number of records in the payloads.
    pub records: u64,
    /// Missing ranges: first and last sequence number, and the reason.
    pub gaps: Vec<(SeqNo, SeqNo, GapReason)>,
}

/// Copies what can be read of `source` to `target`, which must hold no log.
///
/// `options` are those of the copy, except log id, first sequence number and snapshot, which are taken from
/// the source. `progress` is called with each sequence number after it was copied.
///
/// # Errors
/// [`SalvageError`]. What was copied before stays in the target.
pub fn salvage<S: Storage, T: Storage>(
    source: S,
    target: T,
    options: Options,
    mut progress: impl FnMut(SeqNo),
) -> Result<Salvaged, SalvageError> {
    let listing = list(&source)?;
    let header = |segment: &Segment| segment.header;
    let (Some(log_id), Some(first)) = (listing.log_id, listing.segments.iter().find_map(header)) else {
        return Err(SalvageError::NothingToRead);
    };
    if !list(&target)?.segments.is_empty() {
        return Err(SalvageError::TargetInUse);
    }
    // The last snapshot that can be read. The payloads behind it are in the copy, or gaps.
    let mut headers = listing.segments.iter().rev().filter_map(header);
    let snapshot = headers.find_map(|header| read_snapshot(&source, header).ok()?);
    let options = Options {
        new_log_id: log_id,
        first: first.first_seq,
        snapshot,
        external_high_water: None,
        ..options
    };
    let lost_max = lost_batches_max(&source, &listing.segments, options.segment_bytes);
    let now = options.now;
    let (mut writer, _) = recover(target, options)?;
    let mut reader = Reader::open(source, first.first_seq)?;
    let mut salvaged = Salvaged {
        first: first.first_seq,
        last: first.first_seq.prev(),
        payloads: 0,
        records: 0,
        gaps: Vec::new(),
    };
    while let Some(item) = reader.next(SeqNo::MAX)? {
        match item {
            Item::Data { seq, count, payload, .. } => {
                writer.append(payload, count)?;
                salvaged.last = seq;
                salvaged.payloads += 1;
                salvaged.records += u64::from(count);
            }
            Item::Gap { from, to, reason } => {
                writer.append_gap(to, reason)?;
                salvaged.last = to;
                salvaged.gaps.push((from, to, reason));
            }
        }
        if writer.group_bytes() >= GROUP_BYTES {
            writer.sync(now)?;
        }
        progress(salvaged.last);
    }
    if lost_max > 0 {
        // As in recovery: the lost end may have held delivered numbers, and none of these is assigned again.
        let (from, to) = (salvaged.last.next(), SeqNo(salvaged.last.0.saturating_add(lost_max)));
        writer.append_gap(to, GapReason::Skipped)?;
        salvaged.gaps.push((from, to, GapReason::Skipped));
    }
    writer.close(now)?;
    Ok(salvaged)
}
