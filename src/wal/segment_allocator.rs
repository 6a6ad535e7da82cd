//! The file for the next segment: zeroed ahead in slices, or taken from what is delivered.
//!
//! Overwriting a file that has its blocks is several times faster to sync than growing one. The content of a spare file
//! does not matter: a new salt, a new first group and the offsets keep it from being taken for ours.

use std::io;
use std::sync::Arc;

use super::catalogue::{Catalogue, Log, NEXT_NAME, Segment, segment_name};
use super::error::Full;
use super::storage::{Space, Storage, StorageFile, is_passing, to_u64, write_all};
use super::{Options, SeqNo};

/// So much is zeroed at once when it is done ahead.
const SLICE_BYTES: u64 = 4 << 20;
const ZERO_BYTES: usize = 1 << 20;

/// Why there is no spare file.
pub(super) enum NoSpare {
    /// It passes: see [`Full`].
    Full(Full),
    /// The disk is broken.
    Broken(io::Error),
}

impl From<io::Error> for NoSpare {
    fn from(error: io::Error) -> Self {
        if is_passing(&error) { Self::Full(Full::Disk(error.to_string())) } else { Self::Broken(error) }
    }
}

/// How badly a spare file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It will be, some time.
    Ahead,
    /// A payload waits for it.
    Now,
    /// A group that was taken already has to move: one segment of the cap is kept back for this.
    Urgent,
}

/// A file that holds no segment.
pub(super) struct Spare<F> {
    pub(super) file: F,
    /// Its length; it is ready when this reaches the segment size.
    pub(super) bytes: u64,
}

/// Makes room for the next segment.
pub(super) struct Pool<F> {
    spare: Option<Spare<F>>,
    segment_bytes: u64,
    bytes_max: u64,
    free_percent_min: u8,
    keep_bytes: u64,
    keep_segments_min: usize,
    drop_oldest: bool,
    /// Payloads that were given up undelivered.
    dropped: u64,
}

impl<F: StorageFile> Pool<F> {
    pub(super) fn new(options: &Options, spare: Option<Spare<F>>) -> Self {
        Self {
            spare,
            segment_bytes: options.segment_bytes,
            bytes_max: options.bytes_max,
            free_percent_min: options.free_percent_min,
            keep_bytes: options.keep_bytes,
            keep_segments_min: options.keep_segments_min,
            drop_oldest: options.drop_oldest,
            dropped: 0,
        }
    }

    pub(super) fn spare_bytes(&self) -> u64 {
        self.spare.as_ref().map_or(0, |spare| spare.bytes)
    }

    /// Payloads that were given up undelivered since the start.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// See [`super::Usage::available_bytes`]; the log's files have so many bytes, and so many of them are delivered.
    pub(super) fn available_bytes(&self, bytes: u64, delivered: u64, space: Option<Space>) -> u64 {
        let kept = delivered.min(to_u64(self.keep_segments_min).saturating_mul(self.segment_bytes));
        let by_cap = self.bytes_max.saturating_sub(self.segment_bytes);
        let by_disk = space.map_or(u64::MAX, |space| {
            let ours = bytes.saturating_add(self.spare_bytes());
            ours.saturating_add(space.free_bytes).saturating_sub(self.reserve_bytes(space))
        });
        by_cap.min(by_disk).saturating_sub(kept).saturating_sub(bytes.saturating_sub(delivered))
    }

    /// What must stay free on the disk.
    fn reserve_bytes(&self, space: Space) -> u64 {
        space.total_bytes / 100 * u64::from(self.free_percent_min)
    }

    /// A bit of the work for the next segment. An error here is none yet: it shows again when the segment is needed.
    pub(super) fn prepare<S: Storage<File = F>>(
        &mut self,
        log: &Log<S>,
        retired: SeqNo,
    ) -> Result<(), NoSpare> {
        self.go_on(log, retired, Need::Ahead)
    }

    fn go_on<S>(&mut self, log: &Log<S>, retired: SeqNo, need: Need) -> Result<(), NoSpare>
    where
        S: Storage<File = F>,
    {
        if self.spare.is_none() {
            self.spare = Some(self.find(log, retired, need)?);
        }
        self.zero(&log.storage)
    }

    /// True when the next segment is there.
    pub(super) fn is_ready(&self) -> bool {
        self.spare_bytes() >= self.segment_bytes
    }

    /// Finishes the spare file.
    pub(super) fn fill<S>(&mut self, log: &Log<S>, retired: SeqNo, need: Need) -> Result<(), NoSpare>
    where
        S: Storage<File = F>,
    {
        while !self.is_ready() {
            self.go_on(log, retired, need)?;
        }
        Ok(())
    }

    /// Finishes the spare file and gives it away.
    pub(super) fn take<S>(&mut self, log: &Log<S>, retired: SeqNo, need: Need) -> Result<Spare<F>, NoSpare>
    where
        S: Storage<File = F>,
    {
        self.fill(log, retired, need)?;
        self.spare.take().ok_or_else(|| NoSpare::Broken(io::ErrorKind::NotFound.into()))
    }

    /// Takes a file back that could not be used after all.
    pub(super) fn put_back(&mut self, spare: Spare<F>) {
        self.spare = Some(spare);
    }

    fn find<S>(&mut self, log: &Log<S>, retired: SeqNo, need: Need) -> Result<Spare<F>, NoSpare>
    where
        S: Storage<File = F>,
    {
        let (in_use, delivered) = {
            let catalogue = log.catalogue();
            (catalogue.bytes(), delivered_bytes(&catalogue, retired))
        };
        let is_urgent = need == Need::Urgent;
        let limit =
            if is_urgent { self.bytes_max } else { self.bytes_max.saturating_sub(self.segment_bytes) };
        let refusal = if in_use.saturating_add(self.segment_bytes) > limit {
            Some(Full::Cap { bytes_max: self.bytes_max })
        } else if is_urgent {
            None
        } else {
            self.no_room(&log.storage)?
        };
        if (refusal.is_some() || delivered > self.keep_bytes)
            && let Some(spare) = self.reuse(log, retired)?
        {
            return Ok(spare);
        }
        let refusal = match refusal {
            Some(refusal) => NoSpare::Full(refusal),
            None => match create(&log.storage) {
                Ok(spare) => return Ok(spare),
                Err(error) if is_passing(&error) => match self.reuse(log, retired)? {
                    Some(spare) => return Ok(spare),
                    None => error.into(),
                },
                Err(error) => return Err(error.into()),
            },
        };
        let dropped =
            if self.drop_oldest && need != Need::Ahead { self.give_up_oldest(log, retired)? } else { None };
        dropped.ok_or(refusal)
    }

    /// Takes the oldest segment that nobody reads, delivered or not, but never the newest. One that is being read is
    /// passed over: its reader goes on to its end, and is told of a gap behind it.
    fn give_up_oldest<S>(&mut self, log: &Log<S>, retired: SeqNo) -> Result<Option<Spare<F>>, NoSpare>
    where
        S: Storage<File = F>,
    {
        let (segment, undelivered) = {
            let mut catalogue = log.catalogue();
            let older = catalogue.segments.len().saturating_sub(1);
            let free = |segment: &Arc<Segment>| Arc::strong_count(segment) == 1;
            let Some(index) = catalogue.segments.iter().take(older).position(free) else { return Ok(None) };
            let bound = catalogue.bound(index);
            let Some(segment) = catalogue.segments.remove(index) else { return Ok(None) };
            let first = segment.header.map_or(SeqNo::MAX, |header| header.first_seq).max(retired.next());
            (segment, bound.map_or(0, |bound| bound.0.saturating_sub(first.0)))
        };
        let spare = self.claim(log, segment)?;
        self.dropped += undelivered;
        Ok(Some(spare))
    }

    fn no_room<S: Storage>(&self, storage: &S) -> Result<Option<Full>, NoSpare> {
        let space = storage.space()?;
        let min = self.reserve_bytes(space);
        let left = space.free_bytes.saturating_sub(self.segment_bytes);
        Ok((left < min).then_some(Full::FreeSpace { free_bytes: space.free_bytes, free_bytes_min: min }))
    }

    /// Takes the oldest segment when all of it is delivered, enough others are kept, and nobody reads it.
    fn reuse<S: Storage<File = F>>(&self, log: &Log<S>, retired: SeqNo) -> Result<Option<Spare<F>>, NoSpare> {
        let segment = {
            let mut catalogue = log.catalogue();
            if delivered_segments(&catalogue, retired) <= self.keep_segments_min {
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
        self.claim(log, segment).map(Some)
    }

    /// From here on the file is no segment. The directory is synced before the first byte of it changes, or a crash
    /// could leave the old name on a new header.
    fn claim<S: Storage<File = F>>(&self, log: &Log<S>, segment: Arc<Segment>) -> Result<Spare<F>, NoSpare> {
        let open = || -> io::Result<F> {
            let file = log.storage.open_write(&segment_name(segment.number))?;
            log.storage.rename(&segment_name(segment.number), NEXT_NAME)?;
            Ok(file)
        };
        match open() {
            Ok(file) => {
                log.storage.sync_dir()?;
                Ok(Spare { file, bytes: segment.bytes })
            }
            Err(error) => {
                let mut catalogue = log.catalogue();
                let place = catalogue.segments.partition_point(|other| other.number < segment.number);
                catalogue.segments.insert(place, segment);
                Err(NoSpare::from(error))
            }
        }
    }

    fn zero<S: Storage<File = F>>(&mut self, storage: &S) -> Result<(), NoSpare> {
        let Some(spare) = self.spare.as_mut().filter(|spare| spare.bytes < self.segment_bytes) else {
            return Ok(());
        };
        let end = self.segment_bytes.min(spare.bytes.saturating_add(SLICE_BYTES));
        let Err(error) = zero_up_to(spare, end) else { return Ok(()) };
        if !is_passing(&error) {
            // The next try gets other blocks of the disk.
            self.spare = None;
            storage.remove(NEXT_NAME)?;
        }
        Err(error.into())
    }
}

fn zero_up_to<F: StorageFile>(spare: &mut Spare<F>, end: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_BYTES];
    while spare.bytes < end {
        let length = usize::try_from(end - spare.bytes).map_or(ZERO_BYTES, |left| left.min(ZERO_BYTES));
        let mut done = 0;
        let result = write_all(&spare.file, zeros.get(..length).unwrap_or(&zeros), spare.bytes, &mut done);
        spare.bytes += to_u64(done);
        result?;
    }
    // In slices, so that no sync of the log itself ever waits behind a whole segment of zeros.
    spare.file.sync()
}

/// A new file, or the one that an earlier attempt left behind. Its name is made sure of before it is written to.
fn create<S: Storage>(storage: &S) -> io::Result<Spare<S::File>> {
    match storage.create(NEXT_NAME) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.sync_dir()?;
            let file = storage.open_write(NEXT_NAME)?;
            let bytes = file.len()?;
            Ok(Spare { file, bytes })
        }
        file => Ok(Spare { file: file?, bytes: 0 }),
    }
}

/// How many of the oldest segments hold nothing that is still to be delivered. The newest is never among them.
fn delivered_segments(catalogue: &Catalogue, retired: SeqNo) -> usize {
    let bounds = (0..catalogue.segments.len()).map_while(|index| catalogue.bound(index));
    bounds.take_while(|bound| bound.prev() <= retired).count()
}

pub(super) fn delivered_bytes(catalogue: &Catalogue, retired: SeqNo) -> u64 {
    let count = delivered_segments(catalogue, retired);
    catalogue.segments.iter().take(count).map(|segment| segment.bytes).sum()
}
