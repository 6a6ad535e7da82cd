//! The open sync group: encoded frames that are kept in memory until they are durable.

use crate::num::{to_u64, to_usize, u32_to_usize};
use crate::wal::format::{
    FRAME_HEADER_BYTES, FrameHeader, FramePosition, FrameSpec, SegmentTotals, encode_frame, kind,
};
use crate::wal::seq::SeqNo;

/// Frames that are not durable yet, encoded for the open segment.
///
/// The bytes stay in memory until the sync returns, so that they can be written to another segment if it
/// fails.
#[derive(Default)]
pub(in crate::wal) struct SyncGroup {
    /// Group number.
    pub(in crate::wal) number: u64,
    pub(in crate::wal) bytes: Vec<u8>,
    /// Length of the prefix of `bytes` that is in the page cache.
    pub(in crate::wal) flushed: usize,
    /// First sequence number of the group; unspecified while `bytes` is empty.
    pub(in crate::wal) first: SeqNo,
    /// Number of payloads in the group.
    pub(in crate::wal) payloads: u64,
    /// Number of records in these payloads.
    pub(in crate::wal) records: u64,
    /// Length of these payloads as stored, in bytes.
    pub(in crate::wal) payload_bytes: u64,
}

impl SyncGroup {
    /// An empty group.
    pub(in crate::wal) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(in crate::wal) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that are not in the page cache.
    pub(in crate::wal) const fn unflushed_bytes(&self) -> usize {
        self.bytes.len() - self.flushed
    }

    /// Encodes a frame at the end of the group. `seq` is the first number of the group if the frame is its
    /// first.
    pub(in crate::wal) fn push(
        &mut self,
        frame: &FrameSpec,
        seq: SeqNo,
        position: FramePosition,
        payload: &[u8],
    ) {
        if self.bytes.is_empty() {
            self.first = seq;
        }
        if frame.kind == kind::DATA {
            self.payloads += 1;
            self.records += u64::from(frame.count);
            self.payload_bytes += to_u64(payload.len());
        }
        encode_frame(&mut self.bytes, frame, position, payload);
    }

    /// Starts the next group; the allocated memory is kept.
    pub(in crate::wal) fn start_next(&mut self) {
        self.number += 1;
        self.bytes.clear();
        self.flushed = 0;
        (self.payloads, self.records, self.payload_bytes) = (0, 0, 0);
    }

    /// Encodes the DATA and GAP frames of the group for another position.
    pub(in crate::wal) fn encoded_at(&self, mut position: FramePosition) -> Self {
        let mut group = Self { number: position.group, first: self.first, ..Self::default() };
        let start = position.offset;
        let frames = self.frames().filter(|(header, _)| matches!(header.kind, kind::DATA | kind::GAP));
        for (header, payload) in frames {
            position.offset = start + to_u64(group.bytes.len());
            group.push(&FrameSpec::from_header(&header), self.first, position, payload);
        }
        group
    }

    /// The frames of the group, each with its payload as stored.
    pub(in crate::wal) fn frames(&self) -> impl Iterator<Item = (FrameHeader, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let header = FrameHeader::decode_unchecked(rest)?;
            let (frame, after) = rest.split_at_checked(to_usize(header.frame_bytes()))?;
            rest = after;
            let end = FRAME_HEADER_BYTES + u32_to_usize(header.payload_bytes);
            Some((header, frame.get(FRAME_HEADER_BYTES..end).unwrap_or(&[])))
        })
    }

    /// `totals` of a segment plus those of the group, committed at `now`.
    pub(in crate::wal) fn added_to(&self, mut totals: SegmentTotals, now: i64) -> SegmentTotals {
        totals.payloads += self.payloads;
        totals.records += self.records;
        totals.payload_bytes += self.payload_bytes;
        totals.add_time(now);
        totals
    }
}
