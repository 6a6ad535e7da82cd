//! How the writer ends a group, leaves a segment, and enters the next one.

use std::io;
use std::sync::Arc;

use super::catalogue::{NEXT_NAME, Segment, segment_name};
use super::error::{Full, WriteError};
use super::format::{
    CLOSING_BYTES, CommitNote, FRAMES_START, Frame, GROUP_ALIGN, HEADER_COPY_OFFSET, Place, SealNote,
    SegmentHeader, kind,
};
use super::group::Group;
use super::segment_allocator::{Need, Spare};
use super::storage::{Storage, StorageFile, is_passing, to_u64, write_all};
use super::writer::{Active, Writer};

impl<S: Storage> Writer<S> {
    /// Closes the open group with a frame of this kind, writes and syncs it.
    pub(super) fn end_group(&mut self, ending: u8) -> Result<(), WriteError> {
        let open_bytes = self.group.bytes.len();
        let first_seq = if open_bytes == 0 { self.next } else { self.group.first };
        let note = CommitNote { time: self.now, first_seq };
        let previous_end = self.place().offset;
        let payload = match &self.active {
            Some(active) if ending == kind::SEAL => active.seal.with(&self.group, self.now).encode(note),
            _ => note.encode(),
        };
        self.push(&Frame::own(ending, self.next.prev()), &payload);
        match self.write_group().and_then(|()| self.sync_active()) {
            Ok(()) => {
                self.settle();
                if ending == kind::SEAL {
                    self.active = None;
                    self.previous_end = previous_end;
                }
                Ok(())
            }
            Err(Trouble::Write(error)) if is_lack_of_space(&error) => {
                // Nothing of it is synced, so the same place can be written once more.
                self.group.bytes.truncate(open_bytes);
                self.flushed = self.flushed.min(open_bytes);
                Err(WriteError::Full(Full::Disk(error.to_string())))
            }
            Err(Trouble::Write(error) | Trouble::Sync(error)) => self.move_group(&error),
        }
    }

    /// Writes what is open and not yet in the page cache.
    pub(super) fn flush_group(&mut self) -> Result<(), WriteError> {
        match self.write_group() {
            Ok(()) => Ok(()),
            Err(Trouble::Write(error)) if is_lack_of_space(&error) => {
                Err(WriteError::Full(Full::Disk(error.to_string())))
            }
            Err(Trouble::Write(error) | Trouble::Sync(error)) => self.move_group(&error),
        }
    }

    fn write_group(&mut self) -> Result<(), Trouble> {
        let Some(active) = &self.active else { return Ok(()) };
        write_all(&active.file, &self.group.bytes, active.group_start, &mut self.flushed)
            .map_err(Trouble::Write)
    }

    fn sync_active(&self) -> Result<(), Trouble> {
        self.active.as_ref().map_or(Ok(()), |active| active.file.sync().map_err(Trouble::Sync))
    }

    /// The open group is durable.
    fn settle(&mut self) {
        if let Some(active) = &mut self.active {
            active.seal = active.seal.with(&self.group, self.now);
            let end = active.group_start + to_u64(self.group.bytes.len());
            active.group_start = end.next_multiple_of(GROUP_ALIGN);
        }
        self.count_durable();
    }

    /// The group is durable, wherever it went: the next one begins.
    fn count_durable(&mut self) {
        self.durable = self.next.prev();
        self.records_durable += self.group.records;
        self.group.clear();
        self.flushed = 0;
        self.next_group += 1;
        self.log.catalogue().durable = Some(self.durable);
    }

    /// The file let us down: whatever it says from now on, it is not written or synced again. What is in memory of the
    /// undecided group is logged once more in a new segment, whose copy counts.
    fn move_group(&mut self, _cause: &io::Error) -> Result<(), WriteError> {
        self.active = None;
        self.previous_end = 0;
        self.flushed = 0;
        self.ensure_active()
    }

    /// Seals this segment and enters the next. The next one is there before this one is given up.
    pub(super) fn switch(&mut self) -> Result<(), WriteError> {
        if let Err(none) = self.pool.fill(&self.log, self.retired, Need::Now) {
            return self.note_failure(Err(none.into()));
        }
        self.end_group(kind::SEAL)?;
        self.ensure_active()
    }

    /// Makes sure that there is a segment to write to.
    pub(super) fn ensure_active(&mut self) -> Result<(), WriteError> {
        if let Some(error) = &self.failed {
            return Err(WriteError::Failed(error.clone()));
        }
        if self.active.is_some() {
            return Ok(());
        }
        let need = if self.group.bytes.is_empty() { Need::Now } else { Need::Urgent };
        let entered = match self.pool.take(&self.log, self.retired, need) {
            Ok(spare) => self.enter(spare),
            Err(none) => Err(none.into()),
        };
        self.note_failure(entered)
    }

    fn note_failure(&mut self, result: Result<(), WriteError>) -> Result<(), WriteError> {
        if let Err(WriteError::Failed(error)) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// Takes a spare file into use: headers, snapshot and the frames that move are written and synced before the file
    /// gets its name. So a segment that has its name is whole up to the end of its first group, whenever a crash comes.
    fn enter(&mut self, spare: Spare<S::File>) -> Result<(), WriteError> {
        let (header, head, group) = self.head(&spare);
        match self.publish(&spare, &head, header.number) {
            Ok(()) => {}
            Err(error) if is_passing(&error) => {
                self.pool.put_back(spare);
                return Err(WriteError::Full(Full::Disk(error.to_string())));
            }
            Err(error) => return Err(WriteError::Failed(self.give_up(&error))),
        }
        if let Err(error) = self.log.storage.sync_dir() {
            return Err(WriteError::Failed(error.to_string()));
        }
        self.next_number += 1;
        let seal = SealNote::default().with(&group, self.now);
        self.active = Some(Active {
            file: spare.file,
            header,
            group_start: to_u64(head.len()).next_multiple_of(GROUP_ALIGN),
            seal,
        });
        let segment = Segment { number: header.number, bytes: header.capacity, header: Some(header) };
        self.log.catalogue().segments.push_back(Arc::new(segment));
        // The head is group `first_group`; what moved is durable with it.
        self.mark_due = false;
        self.count_durable();
        Ok(())
    }

    /// The segment header and all bytes of the file up to the end of its first group.
    fn head(&self, spare: &Spare<S::File>) -> (SegmentHeader, Vec<u8>, Group) {
        let first_seq = if self.group.bytes.is_empty() { self.next } else { self.group.first };
        let salt = salt(self.options.salt_seed, self.next_number);
        let mut place = Place { salt, group: self.next_group, offset: FRAMES_START };
        let mut frames = Group::default();
        if let Some((seq, snapshot)) = &self.snapshot {
            frames.push(&Frame::own(kind::SNAPSHOT, *seq), place, snapshot);
        }
        place.offset = FRAMES_START + to_u64(frames.bytes.len());
        let group = self.group.moved(place);
        frames.bytes.extend_from_slice(&group.bytes);
        place.offset = FRAMES_START + to_u64(frames.bytes.len());
        let note = CommitNote { time: self.now, first_seq };
        let seq = self.next.prev();
        frames.push(&Frame::own(kind::COMMIT, seq), place, &note.encode());
        let head_bytes = FRAMES_START + to_u64(frames.bytes.len());
        let header = SegmentHeader {
            log_id: self.log_id,
            number: self.next_number,
            first_seq,
            first_group: self.next_group,
            run: self.run,
            previous_last_seq: first_seq.prev(),
            previous_end: self.previous_end,
            // A group that moves into a smaller segment size still fits.
            capacity: spare.bytes.max(head_bytes + GROUP_ALIGN + CLOSING_BYTES),
            created: self.now,
            salt,
        };
        let copy = header.encode();
        let mut head = copy.clone();
        head.resize(usize::try_from(HEADER_COPY_OFFSET).unwrap_or(usize::MAX), 0);
        head.extend_from_slice(&copy);
        head.resize(usize::try_from(FRAMES_START).unwrap_or(usize::MAX), 0);
        head.extend_from_slice(&frames.bytes);
        (header, head, group)
    }

    fn publish(&self, spare: &Spare<S::File>, head: &[u8], number: u64) -> io::Result<()> {
        write_all(&spare.file, head, 0, &mut 0)?;
        spare.file.sync()?;
        self.log.storage.rename(NEXT_NAME, &segment_name(number))
    }

    /// The file for the next segment is no good: out of the way, so that the next start makes another.
    fn give_up(&self, error: &io::Error) -> String {
        match self.log.storage.remove(NEXT_NAME) {
            Ok(()) => error.to_string(),
            Err(second) => format!("{error}, and then: {second}"),
        }
    }
}

/// What went wrong, and at which of the two steps.
enum Trouble {
    Write(io::Error),
    Sync(io::Error),
}

/// A write that found no space has written nothing behind what it counted: it may be tried again. Not so a sync.
fn is_lack_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Salts of two segments of one run never agree by design, those of different runs only by chance: one in 2^32, and
/// even then the first group keeps the frames apart. (The finalizer of the splitmix64 generator.)
fn salt(seed: u64, number: u64) -> u32 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let [a, b, c, d, ..] = (z ^ (z >> 31)).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
