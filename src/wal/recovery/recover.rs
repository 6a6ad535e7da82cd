//! Opens a log for writing, after an orderly end or a crash.
//!
//! 1. Take the lock.
//! 2. Read the headers of all segments.
//! 3. Scan the last segment, and only that one: older ones were synced before the last one got its name.
//! 4. Find the highest group in it. All groups below are durable. The highest one may be in the page cache
//!    only: the writer copies it to a new segment, which is synced before it gets its name.
//!
//! Existing data is not modified: nothing is truncated or appended. A crash during recovery leaves the
//! directory as it was, or with one more segment, and recovery can start again.

use std::sync::Arc;

use crate::log_id::LogId;
use crate::wal::catalogue::{Catalogue, LOCK_NAME, Log, NEXT_NAME, list};
use crate::wal::error::{OpenError, ReadError, WriteError};
use crate::wal::options::{Options, StateSnapshot};
use crate::wal::recovery::tail::{Damage, Tail};
use crate::wal::seq::SeqNo;
use crate::wal::storage::{Storage, StorageFile, is_transient};
use crate::wal::write::segment_allocator::SpareFile;
use crate::wal::write::writer::{Writer, WriterStart};

/// State of the log as recovery found it.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Id of the log.
    pub log_id: LogId,
    /// The directory held no segment.
    pub is_new: bool,
    /// Sequence number of the next payload.
    pub next: SeqNo,
    /// Lowest sequence number in the log.
    pub oldest: SeqNo,
    /// Number of the first segment that this process creates; higher than that of any earlier process.
    pub run: u64,
    /// The last state snapshot. The state at the end of the log is this plus the payloads behind it.
    pub snapshot: Option<StateSnapshot>,
    /// Time of the last commit in µs since the Unix epoch; 0 if unknown.
    pub last_commit: i64,
    /// The previous process sealed the log.
    pub was_closed: bool,
    /// Payloads of the undecided group, which are written again to a new segment.
    pub copied: u64,
    /// Damage in segment headers and in the last segment. Other segments are not scanned.
    pub damage: Vec<Damage>,
}

/// Opens the log for writing. The directory may be empty.
///
/// A full or read-only file system is not an error: the writer returns [`WriteError::Full`] until the
/// condition ends.
///
/// # Errors
/// [`OpenError`]; the directory is then unchanged.
pub fn recover<S: Storage>(storage: S, options: Options) -> Result<(Writer<S>, Recovered), OpenError> {
    options.check()?;
    let lock = storage.lock(LOCK_NAME)?.map_err(|holder| OpenError::Locked { holder })?;
    // The previous process may have ended between the rename of a segment and the sync of the directory. The
    // contents of segments found here are treated as durable, so their names must be durable first.
    storage.sync_dir()?;
    let listing = list(&storage)?;
    // A file that cannot be opened is not lost: the log is opened when the cause is removed.
    if let Some((_, error)) = listing.unopened.first().cloned() {
        return Err(OpenError::Read(ReadError::Unopened(error)));
    }
    let spare = if listing.has_next { open_spare(&storage)? } else { None };
    let log_id = listing.log_id.unwrap_or(options.new_log_id);
    let high_water = options.external_high_water.filter(|(id, _)| *id == log_id);
    let high_water = high_water.map_or(SeqNo::NONE, |(_, seq)| seq);
    let mut tail = Tail::read(&storage, &listing.segments, &options, high_water)?;
    let mut damage: Vec<Damage> =
        listing.foreign.iter().map(|segment| Damage::Foreign { segment: *segment }).collect();
    damage.append(&mut Damage::of_files(&storage, &listing.segments, options.drop_oldest));
    damage.append(&mut tail.damage);

    let numbers = listing.segments.iter().map(|segment| segment.number);
    let next_number = numbers.chain(listing.foreign.iter().copied()).max().map_or(1, |number| number + 1);
    let Tail { next, group, snapshot, .. } = tail;
    let mut headers = listing.segments.iter().filter_map(|segment| segment.header.as_ref());
    let recovered = Recovered {
        log_id,
        is_new: listing.segments.is_empty(),
        next,
        oldest: headers.next().map_or(next, |header| header.first_seq),
        run: next_number,
        snapshot: snapshot.clone(),
        last_commit: tail.last_commit,
        was_closed: tail.was_closed,
        copied: group.payloads,
        damage,
    };
    let missing = if options.drop_oldest { Vec::new() } else { listing.missing() };
    let catalogue = Catalogue {
        missing,
        segments: listing.segments.into_iter().map(Arc::new).collect(),
        durable: Some(if group.is_empty() { next.prev() } else { group.first.prev() }),
    };
    let start = WriterStart {
        log: Log::new(storage, catalogue, true),
        lock,
        spare,
        log_id,
        next,
        next_number,
        snapshot,
        group,
        previous_end: tail.previous_end,
    };
    let mut writer = Writer::from_start(start, &options);
    match writer.ensure_segment() {
        Ok(()) | Err(WriteError::Full(_) | WriteError::TooLarge { .. }) => Ok((writer, recovered)),
        Err(WriteError::Failed(error)) => Err(OpenError::Write(error)),
    }
}

/// Opens the file for the next segment that the previous process left. `None` if the file system does not
/// allow it now: the allocator opens or replaces the file later.
fn open_spare<S: Storage>(storage: &S) -> Result<Option<SpareFile<S::File>>, OpenError> {
    match storage.open_write(NEXT_NAME) {
        Ok(file) => Ok(Some(SpareFile { bytes: file.len()?, file })),
        Err(error) if is_transient(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
