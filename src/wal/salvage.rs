//! A sound copy of a damaged log: what can be read, in a new directory, under the same numbers.
//!
//! The source is only read. The copy has the identity of the source, so that a database goes on where it was, and its last
//! snapshot, so that a daemon that lost its own state still ends the sessions that were open; what is missing is a gap in
//! it, with its reason.

use std::fmt;

use super::catalogue::list;
use super::error::WriteError;
use super::format::GapReason;
use super::reader::{Item, ReadError, Reader};
use super::recover::{OpenError, read_snapshot, recover};
use super::storage::Storage;
use super::{Options, SeqNo};

/// So much is made durable at once.
const GROUP_BYTES: usize = 4 << 20;

/// Why there is no copy, or not all of it.
#[derive(Debug)]
pub enum SalvageError {
    /// No segment of the source has a header that can be read.
    NothingToRead,
    /// The target holds a log already.
    TargetInUse,
    /// The source.
    Read(ReadError),
    /// The target could not be opened.
    Open(OpenError),
    /// The target could not be written.
    Write(WriteError),
}

impl fmt::Display for SalvageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToRead => f.write_str("no segment has a header that can be read"),
            Self::TargetInUse => f.write_str("the target holds a log already; give it an empty directory"),
            Self::Read(error) => write!(f, "the source: {error}"),
            Self::Open(error) => write!(f, "the target: {error}"),
            Self::Write(error) => write!(f, "the target: {error}"),
        }
    }
}

impl std::error::Error for SalvageError {}

impl From<ReadError> for SalvageError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<OpenError> for SalvageError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<WriteError> for SalvageError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// First number of the copy.
    pub first: SeqNo,
    /// Last one.
    pub last: SeqNo,
    /// Payloads.
    pub payloads: u64,
    /// Records in them.
    pub records: u64,
    /// What is missing: first, last, why.
    pub gaps: Vec<(SeqNo, SeqNo, GapReason)>,
}

/// Copies what can be read of `source` into the empty directory behind `target`. `options` are those of the copy; its
/// identity, first number and snapshot are taken from the source. `progress` is told each number as it is copied.
///
/// # Errors
/// See [`SalvageError`]. What was copied until then stays in the target.
pub fn salvage<S: Storage, T: Storage>(
    source: S,
    target: T,
    options: Options,
    mut progress: impl FnMut(SeqNo),
) -> Result<Salvaged, SalvageError> {
    let listing = list(&source)?;
    let header = |at: &super::catalogue::Segment| at.header;
    let (Some(log_id), Some(first)) = (listing.log_id, listing.segments.iter().find_map(header)) else {
        return Err(SalvageError::NothingToRead);
    };
    if !list(&target)?.segments.is_empty() {
        return Err(SalvageError::TargetInUse);
    }
    // Of the last one that can be read: what came behind it is in the copy, or a gap.
    let snapshot =
        listing.segments.iter().rev().filter_map(header).find_map(|of| read_snapshot(&source, of).ok()?);
    let options = Options {
        new_log_id: log_id,
        first: first.first_seq,
        snapshot,
        external_high_water: None,
        ..options
    };
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
    writer.close(now)?;
    Ok(salvaged)
}
