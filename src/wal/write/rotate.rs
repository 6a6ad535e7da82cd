//! Enters the next segment: allocates a file, writes its head, and gives it its name.

use std::io;
use std::sync::Arc;

use crate::log_id::LogId;
use crate::num::{to_u64, to_usize};
use crate::wal::catalogue::{Log, NEXT_NAME, Segment, segment_name};
use crate::wal::error::{Full, WriteError};
use crate::wal::format::{
    CLOSING_BYTES, CommitPayload, FRAMES_START, FramePosition, FrameSpec, GROUP_ALIGN, HEADER_COPY_OFFSET,
    SegmentHeader, SegmentTotals, kind,
};
use crate::wal::options::StateSnapshot;
use crate::wal::seq::SeqNo;
use crate::wal::storage::{Storage, StorageFile, is_transient, write_all};
use crate::wal::write::segment_allocator::{Purpose, SegmentAllocator, SpareFile};
use crate::wal::write::segment_writer::SegmentWriter;
use crate::wal::write::sync_group::SyncGroup;
use crate::wal::write::usage::{Usage, delivered_bytes};

/// Creates segments one after another, and recycles the delivered ones.
pub(in crate::wal) struct Rotation<S: Storage> {
    pub(in crate::wal) log: Arc<Log<S>>,
    pub(in crate::wal) allocator: SegmentAllocator<S::File>,
    pub(in crate::wal) log_id: LogId,
    /// Number of the first segment of this process.
    pub(in crate::wal) run: u64,
    /// Number of the next segment.
    pub(in crate::wal) next_number: u64,
    /// Offset of the SEAL frame of the previous segment; 0 if that one is not sealed.
    pub(in crate::wal) previous_end: u64,
    pub(in crate::wal) salt_seed: u64,
    /// Written at the head of each segment.
    pub(in crate::wal) snapshot: Option<StateSnapshot>,
    /// Last sequence number that is delivered.
    pub(in crate::wal) retired: SeqNo,
}

/// The start of a segment file, up to the end of its first sync group.
struct Head {
    header: SegmentHeader,
    bytes: Vec<u8>,
    totals: SegmentTotals,
}

impl<S: Storage> Rotation<S> {
    /// Performs one step of preparing the next segment. Returns whether more steps are needed.
    pub(in crate::wal) fn prepare(&mut self) -> bool {
        // Errors are not fatal here; they recur when the segment is needed.
        self.allocator.step(&self.log, self.retired, Purpose::Ahead).is_ok() && !self.allocator.is_ready()
    }

    /// Makes the file for the next segment ready.
    pub(in crate::wal) fn finish(&mut self) -> Result<(), WriteError> {
        Ok(self.allocator.finish(&self.log, self.retired, Purpose::Append)?)
    }

    /// Enters the next segment. Its first group consists of the snapshot and the payloads of `group`.
    ///
    /// The head is written and synced before the file gets its name: after a crash at any time, a segment
    /// with its name is intact up to the end of its first group.
    pub(in crate::wal) fn enter(
        &mut self,
        group: &SyncGroup,
        next: SeqNo,
        now: i64,
    ) -> Result<SegmentWriter<S::File>, WriteError> {
        let purpose = if group.is_empty() { Purpose::Append } else { Purpose::Relocate };
        let spare = self.allocator.take(&self.log, self.retired, purpose)?;
        let Head { header, bytes: head, totals } = self.head(&spare, group, next, now);
        match self.publish(&spare, &head, header.number) {
            Ok(()) => {}
            Err(error) if is_transient(&error) => {
                self.allocator.put_back(spare);
                return Err(Full::from_io(error).into());
            }
            Err(error) => return Err(WriteError::Failed(self.discard_next(error).into())),
        }
        self.log.storage.sync_dir().map_err(|error| WriteError::Failed(error.into()))?;
        self.next_number += 1;
        let (number, bytes) = (header.number, header.capacity);
        let segment = Segment { number, bytes, header: Some(header), is_readable: true };
        self.log.catalogue().segments.push_back(Arc::new(segment));
        Ok(SegmentWriter::new(spare.file, header, to_u64(head.len()), totals))
    }

    fn head(&self, spare: &SpareFile<S::File>, group: &SyncGroup, next: SeqNo, now: i64) -> Head {
        let first_seq = if group.is_empty() { next } else { group.first };
        let salt = salt(self.salt_seed, self.next_number);
        let mut position = FramePosition { salt, group: group.number, offset: FRAMES_START };
        let mut frames = SyncGroup::new(group.number);
        if let Some(StateSnapshot { next: seq, bytes }) = &self.snapshot {
            frames.push(&FrameSpec::control(kind::SNAPSHOT, *seq), first_seq, position, bytes);
        }
        position.offset = FRAMES_START + to_u64(frames.bytes.len());
        let relocated = group.encoded_at(position);
        frames.bytes.extend_from_slice(&relocated.bytes);
        position.offset = FRAMES_START + to_u64(frames.bytes.len());
        let commit = CommitPayload { time: now, first_seq }.encode();
        frames.push(&FrameSpec::control(kind::COMMIT, next.prev()), first_seq, position, &commit);
        let header = SegmentHeader {
            log_id: self.log_id,
            number: self.next_number,
            first_seq,
            first_group: group.number,
            run: self.run,
            previous_last_seq: first_seq.prev(),
            previous_end: self.previous_end,
            // A group that was written to a larger segment still fits after the segment size was reduced.
            capacity: spare
                .bytes
                .max(FRAMES_START + to_u64(frames.bytes.len()) + GROUP_ALIGN + CLOSING_BYTES),
            created: now,
            salt,
        };
        let copy = header.encode();
        let mut bytes = copy.clone();
        bytes.resize(to_usize(HEADER_COPY_OFFSET), 0);
        bytes.extend_from_slice(&copy);
        bytes.resize(to_usize(FRAMES_START), 0);
        bytes.extend_from_slice(&frames.bytes);
        Head { header, bytes, totals: relocated.added_to(SegmentTotals::default(), now) }
    }

    fn publish(&self, spare: &SpareFile<S::File>, head: &[u8], number: u64) -> io::Result<()> {
        write_all(&spare.file, head, 0, &mut 0)?;
        spare.file.sync()?;
        self.log.storage.rename(NEXT_NAME, &segment_name(number))
    }

    /// Removes the file for the next segment after `error`, so that the next start creates another one.
    fn discard_next(&self, error: io::Error) -> io::Error {
        match self.log.storage.remove(NEXT_NAME) {
            Ok(()) => error,
            Err(second) => io::Error::new(
                error.kind(),
                format!("{error}; removing the file {NEXT_NAME} failed as well: {second}"),
            ),
        }
    }

    /// Disk usage of the log without the open segment's free bytes; `next` is the next sequence number to be
    /// assigned.
    pub(in crate::wal) fn usage(&self, next: SeqNo) -> Usage {
        let catalogue = self.log.catalogue();
        let delivered = delivered_bytes(&catalogue, self.retired);
        let (segments, bytes) = (to_u64(catalogue.segments.len()), catalogue.bytes());
        let oldest = catalogue.oldest().unwrap_or(next);
        drop(catalogue);
        let space = self.log.storage.space().ok();
        let (limits, spare_bytes) = (self.allocator.limits(), self.allocator.spare_bytes());
        Usage {
            segments,
            bytes: bytes + spare_bytes,
            bytes_max: limits.bytes_max,
            undelivered_bytes: bytes - delivered,
            available_bytes: limits.available_bytes(bytes, delivered, spare_bytes, space),
            open_bytes: 0,
            dropped: self.allocator.dropped(),
            oldest,
            disk_free_bytes: space.map_or(0, |space| space.free_bytes),
        }
    }
}

/// Salt of a segment, by the finalizer of the splitmix64 generator.
///
/// Two segments of one run have different salts with near certainty, and those of different runs are equal
/// with a probability of 2^-32. In that case the first group number still keeps old frames from matching.
fn salt(seed: u64, number: u64) -> u32 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let [a, b, c, d, ..] = (z ^ (z >> 31)).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
