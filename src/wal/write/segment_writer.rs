//! The open segment: appends frames to the sync group, writes and syncs the group, seals the segment.

use std::io;

use crate::num::to_u64;
use crate::wal::catalogue::segment_name;
use crate::wal::format::{
    CLOSING_BYTES, CommitPayload, FramePosition, FrameSpec, GROUP_ALIGN, SegmentHeader, SegmentTotals, kind,
};
use crate::wal::seq::SeqNo;
use crate::wal::storage::{StorageFile, is_lack_of_space, write_all};
use crate::wal::write::sync_group::SyncGroup;

/// A segment that the writer abandoned after an I/O error. Its open group was written to another segment.
#[derive(Debug)]
pub struct AbandonedSegment {
    /// Segment number.
    pub number: u64,
    /// The error of the write or sync that failed.
    pub error: io::Error,
}

impl AbandonedSegment {
    /// File name of the segment.
    #[must_use]
    pub fn file_name(&self) -> String {
        segment_name(self.number)
    }
}

/// Why a sync group was not written to the open segment.
#[derive(Debug)]
pub(in crate::wal) enum SegmentError {
    /// No space for the write; the group can be written again at the same offset.
    NoSpace(io::Error),
    /// Any other error of a write, or any error of a sync: the file must not be written or synced again.
    Broken(io::Error),
}

/// The open segment file.
pub(in crate::wal) struct SegmentWriter<F> {
    file: F,
    header: SegmentHeader,
    /// Offset at which the open sync group starts.
    group_start: u64,
    /// Totals of the durable groups.
    totals: SegmentTotals,
}

impl<F: StorageFile> SegmentWriter<F> {
    /// Continues a file that is durable up to offset `end`; `totals` are those of the payloads in it.
    pub(in crate::wal) const fn new(file: F, header: SegmentHeader, end: u64, totals: SegmentTotals) -> Self {
        Self { file, header, group_start: end.next_multiple_of(GROUP_ALIGN), totals }
    }

    pub(in crate::wal) const fn number(&self) -> u64 {
        self.header.number
    }

    /// Whether a frame of `bytes` fits, with the closing frames behind it.
    pub(in crate::wal) fn fits(&self, group: &SyncGroup, bytes: u64) -> bool {
        self.position(group).offset + bytes + CLOSING_BYTES <= self.header.capacity
    }

    /// Bytes of frames that fit behind the group.
    pub(in crate::wal) fn free_bytes(&self, group: &SyncGroup) -> u64 {
        self.header.capacity.saturating_sub(self.position(group).offset + CLOSING_BYTES)
    }

    /// Appends a frame to the group, in memory. `next` is the next sequence number to be assigned.
    pub(in crate::wal) fn append(
        &self,
        group: &mut SyncGroup,
        frame: &FrameSpec,
        next: SeqNo,
        payload: &[u8],
    ) {
        let position = self.position(group);
        group.push(frame, next, position, payload);
    }

    /// Writes the unflushed bytes of the group to the page cache.
    pub(in crate::wal) fn flush(&self, group: &mut SyncGroup) -> Result<(), SegmentError> {
        let SyncGroup { bytes, flushed, .. } = group;
        write_all(&self.file, bytes, self.group_start, flushed).map_err(|error| {
            if is_lack_of_space(&error) { SegmentError::NoSpace(error) } else { SegmentError::Broken(error) }
        })
    }

    /// Ends the group with a control frame of kind `ending`, writes and syncs it. Returns the offset of that
    /// frame.
    ///
    /// After [`SegmentError::NoSpace`] the group is as before, without the control frame.
    pub(in crate::wal) fn sync(
        &mut self,
        group: &mut SyncGroup,
        ending: u8,
        next: SeqNo,
        now: i64,
    ) -> Result<u64, SegmentError> {
        let open_bytes = group.bytes.len();
        let offset = self.position(group).offset;
        let totals = group.added_to(self.totals, now);
        let commit =
            CommitPayload { time: now, first_seq: if group.is_empty() { next } else { group.first } };
        let payload = if ending == kind::SEAL { totals.encode_seal(commit) } else { commit.encode() };
        self.append(group, &FrameSpec::control(ending, next.prev()), next, &payload);
        match self.flush(group).and_then(|()| self.file.sync().map_err(SegmentError::Broken)) {
            Ok(()) => {
                self.totals = totals;
                let end = self.group_start + to_u64(group.bytes.len());
                self.group_start = end.next_multiple_of(GROUP_ALIGN);
                Ok(offset)
            }
            Err(error) => {
                if matches!(error, SegmentError::NoSpace(_)) {
                    group.bytes.truncate(open_bytes);
                    group.flushed = group.flushed.min(open_bytes);
                }
                Err(error)
            }
        }
    }

    /// Position of the next frame of the group.
    const fn position(&self, group: &SyncGroup) -> FramePosition {
        FramePosition {
            salt: self.header.salt,
            group: group.number,
            offset: self.group_start + to_u64(group.bytes.len()),
        }
    }
}
