//! Provides the file for the next segment: zeroed ahead of use, or recycled from a delivered segment.
//!
//! Overwriting allocated blocks syncs several times faster than extending a file. The old contents of a file
//! need not be erased: a new salt, a new first group and the frame offsets keep old frames from matching.

use std::io;
use std::sync::Arc;

use crate::num::{to_u64, to_usize};
use crate::wal::catalogue::{Log, NEXT_NAME, Segment, segment_name};
use crate::wal::error::{AllocationError, Full};
use crate::wal::options::Options;
use crate::wal::seq::SeqNo;
use crate::wal::storage::{Storage, StorageFile, is_transient, write_all};
use crate::wal::write::usage::{SpaceLimits, delivered_bytes, delivered_segments};

/// Bytes that are zeroed and synced in one step.
const SLICE_BYTES: u64 = 4 << 20;
/// Bytes of one write of zeros.
const ZERO_BYTES: u64 = 1 << 20;

/// What a file is allocated for. It decides which limits apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wal) enum Purpose {
    /// The next segment, ahead of use.
    Ahead,
    /// A payload that waits to be appended.
    Append,
    /// A group that was accepted already and must be relocated: it may use the reserved segment of the size
    /// limit.
    Relocate,
}

/// A file that will become a segment.
pub(in crate::wal) struct SpareFile<F> {
    pub(in crate::wal) file: F,
    /// Length of the file in bytes; it is ready when this reaches the segment size.
    pub(in crate::wal) bytes: u64,
}

/// Allocates segment files.
pub(in crate::wal) struct SegmentAllocator<F> {
    spare: Option<SpareFile<F>>,
    limits: SpaceLimits,
    drop_oldest: bool,
    /// Payloads dropped undelivered since the start.
    dropped: u64,
}

impl<F: StorageFile> SegmentAllocator<F> {
    pub(in crate::wal) const fn new(options: &Options, spare: Option<SpareFile<F>>) -> Self {
        Self { spare, limits: SpaceLimits::new(options), drop_oldest: options.drop_oldest, dropped: 0 }
    }

    pub(in crate::wal) const fn limits(&self) -> &SpaceLimits {
        &self.limits
    }

    pub(in crate::wal) const fn limits_mut(&mut self) -> &mut SpaceLimits {
        &mut self.limits
    }

    /// Length of the spare file in bytes; 0 without one.
    pub(in crate::wal) fn spare_bytes(&self) -> u64 {
        self.spare.as_ref().map_or(0, |spare| spare.bytes)
    }

    /// Payloads dropped undelivered since the start.
    pub(in crate::wal) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the spare file has the size of a segment.
    pub(in crate::wal) fn is_ready(&self) -> bool {
        self.spare_bytes() >= self.limits.segment_bytes
    }

    /// Performs one step: finds a file, or zeroes one slice of it.
    pub(in crate::wal) fn step<S>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
        purpose: Purpose,
    ) -> Result<(), AllocationError>
    where
        S: Storage<File = F>,
    {
        if self.spare.is_none() {
            self.spare = Some(self.find(log, retired, purpose)?);
        }
        self.zero_slice(&log.storage)
    }

    /// Performs steps until the spare file is ready.
    pub(in crate::wal) fn finish<S>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
        purpose: Purpose,
    ) -> Result<(), AllocationError>
    where
        S: Storage<File = F>,
    {
        while !self.is_ready() {
            self.step(log, retired, purpose)?;
        }
        Ok(())
    }

    /// Finishes the spare file and returns it.
    pub(in crate::wal) fn take<S>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
        purpose: Purpose,
    ) -> Result<SpareFile<F>, AllocationError>
    where
        S: Storage<File = F>,
    {
        self.finish(log, retired, purpose)?;
        self.spare.take().ok_or_else(|| AllocationError::Io(io::ErrorKind::NotFound.into()))
    }

    /// Returns a file that was taken and not used.
    pub(in crate::wal) fn put_back(&mut self, spare: SpareFile<F>) {
        self.spare = Some(spare);
    }

    fn find<S>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
        purpose: Purpose,
    ) -> Result<SpareFile<F>, AllocationError>
    where
        S: Storage<File = F>,
    {
        let (in_use, delivered) = {
            let catalogue = log.catalogue();
            (catalogue.bytes(), delivered_bytes(&catalogue, retired))
        };
        let SpaceLimits { segment_bytes, bytes_max, keep_bytes, .. } = self.limits;
        let relocates = purpose == Purpose::Relocate;
        let limit = if relocates { bytes_max } else { bytes_max.saturating_sub(segment_bytes) };
        let full = if in_use.saturating_add(segment_bytes) > limit {
            Some(Full::Cap { bytes_max })
        } else if relocates {
            None
        } else {
            self.lack_of_free_space(&log.storage)?
        };
        if (full.is_some() || delivered > keep_bytes)
            && let Some(spare) = self.recycle_delivered(log, retired)?
        {
            return Ok(spare);
        }
        let error = match full {
            Some(full) => AllocationError::Full(full),
            None => match create(&log.storage) {
                Ok(spare) => return Ok(spare),
                Err(error) if is_transient(&error) => match self.recycle_delivered(log, retired)? {
                    Some(spare) => return Ok(spare),
                    None => error.into(),
                },
                Err(error) => return Err(error.into()),
            },
        };
        let dropped = if self.drop_oldest && purpose != Purpose::Ahead {
            self.recycle_oldest(log, retired)?
        } else {
            None
        };
        dropped.ok_or(error)
    }

    /// Recycles the oldest segment without a reader, delivered or not, but never the newest. A segment that
    /// is being read is skipped: its reader continues to its end and then returns a gap.
    fn recycle_oldest<S>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
    ) -> Result<Option<SpareFile<F>>, AllocationError>
    where
        S: Storage<File = F>,
    {
        let (segment, undelivered) = {
            let mut catalogue = log.catalogue();
            let older = catalogue.segments.len().saturating_sub(1);
            let unread = |segment: &Arc<Segment>| Arc::strong_count(segment) == 1;
            let Some(index) = catalogue.segments.iter().take(older).position(unread) else {
                return Ok(None);
            };
            let bound = catalogue.bound(index);
            let Some(segment) = catalogue.segments.remove(index) else { return Ok(None) };
            let first = segment.header.map_or(SeqNo::MAX, |header| header.first_seq).max(retired.next());
            (segment, bound.map_or(0, |bound| bound.0.saturating_sub(first.0)))
        };
        let spare = Self::claim(log, segment)?;
        self.dropped += undelivered;
        Ok(Some(spare))
    }

    /// [`Full::FreeSpace`] if another segment would use space that must stay free.
    fn lack_of_free_space<S: Storage>(&self, storage: &S) -> Result<Option<Full>, AllocationError> {
        let space = storage.space()?;
        let free_bytes_min = self.limits.reserve_bytes(space);
        let left = space.free_bytes.saturating_sub(self.limits.segment_bytes);
        let full = Full::FreeSpace { free_bytes: space.free_bytes, free_bytes_min };
        Ok((left < free_bytes_min).then_some(full))
    }

    /// Recycles the oldest segment if all of it is delivered, enough delivered ones remain, and it has no
    /// reader.
    fn recycle_delivered<S>(
        &self,
        log: &Log<S>,
        retired: SeqNo,
    ) -> Result<Option<SpareFile<F>>, AllocationError>
    where
        S: Storage<File = F>,
    {
        let segment = {
            let mut catalogue = log.catalogue();
            if delivered_segments(&catalogue, retired) <= self.limits.keep_segments_min {
                return Ok(None);
            }
            match catalogue.segments.pop_front() {
                Some(segment) if Arc::strong_count(&segment) == 1 => segment,
                Some(segment) => {
                    catalogue.segments.push_front(segment);
                    return Ok(None);
                }
                None => return Ok(None),
            }
        };
        Self::claim(log, segment).map(Some)
    }

    /// Renames the file of a segment that was removed from the catalogue. The directory is synced before the
    /// file is written; otherwise a crash could leave the old name on a file with a new header.
    fn claim<S>(log: &Log<S>, segment: Arc<Segment>) -> Result<SpareFile<F>, AllocationError>
    where
        S: Storage<File = F>,
    {
        let open = || -> io::Result<F> {
            let file = log.storage.open_write(&segment_name(segment.number))?;
            log.storage.rename(&segment_name(segment.number), NEXT_NAME)?;
            Ok(file)
        };
        match open() {
            Ok(file) => {
                log.storage.sync_dir()?;
                Ok(SpareFile { file, bytes: segment.bytes })
            }
            Err(error) => {
                let mut catalogue = log.catalogue();
                let index = catalogue.segments.partition_point(|other| other.number < segment.number);
                catalogue.segments.insert(index, segment);
                Err(error.into())
            }
        }
    }

    fn zero_slice<S: Storage<File = F>>(&mut self, storage: &S) -> Result<(), AllocationError> {
        let segment_bytes = self.limits.segment_bytes;
        let Some(spare) = self.spare.as_mut().filter(|spare| spare.bytes < segment_bytes) else {
            return Ok(());
        };
        let end = segment_bytes.min(spare.bytes.saturating_add(SLICE_BYTES));
        let Err(error) = zero_to(spare, end) else { return Ok(()) };
        if !is_transient(&error) {
            // A new file gets other blocks of the disk.
            self.spare = None;
            storage.remove(NEXT_NAME)?;
        }
        Err(error.into())
    }
}

/// Extends the file with zeros to `end` and syncs it. Slices keep a sync of the log from waiting for a whole
/// segment.
fn zero_to<F: StorageFile>(spare: &mut SpareFile<F>, end: u64) -> io::Result<()> {
    let zeros = vec![0; to_usize(ZERO_BYTES)];
    while spare.bytes < end {
        let length = to_usize((end - spare.bytes).min(ZERO_BYTES));
        let mut done = 0;
        let result = write_all(&spare.file, zeros.get(..length).unwrap_or(&zeros), spare.bytes, &mut done);
        spare.bytes += to_u64(done);
        result?;
    }
    spare.file.sync()
}

/// Creates the file for the next segment, or opens the one that an earlier attempt left. That name is synced
/// before the file is written: the file may be a recycled segment.
fn create<S: Storage>(storage: &S) -> io::Result<SpareFile<S::File>> {
    match storage.create(NEXT_NAME) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.sync_dir()?;
            let file = storage.open_write(NEXT_NAME)?;
            let bytes = file.len()?;
            Ok(SpareFile { file, bytes })
        }
        file => Ok(SpareFile { file: file?, bytes: 0 }),
    }
}
