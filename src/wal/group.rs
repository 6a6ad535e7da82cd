//! The open group: frames in memory until they are durable, so that they can be logged once more.

use super::SeqNo;
use super::format::{FRAME_HEADER_BYTES, Frame, FrameHeader, Place, SealNote, encode_frame, kind};
use super::scan::usize_from;
use super::storage::to_u64;

/// Frames that are not durable yet, as they are or will be on the disk.
#[derive(Default)]
pub(super) struct Group {
    pub(super) bytes: Vec<u8>,
    /// First number; meaningful while there are bytes.
    pub(super) first: SeqNo,
    pub(super) payloads: u64,
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
}

impl Group {
    pub(super) fn push(&mut self, frame: &Frame, place: Place, payload: &[u8]) {
        if frame.kind == kind::DATA {
            self.payloads += 1;
            self.records += u64::from(frame.count);
            self.payload_bytes += to_u64(payload.len());
        }
        encode_frame(&mut self.bytes, frame, place, payload);
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.payloads, self.records, self.payload_bytes) = (0, 0, 0);
    }

    /// The same payloads and gaps for another place; what ended the old group is left out.
    pub(super) fn moved(&self, mut place: Place) -> Self {
        let mut group = Self { first: self.first, ..Self::default() };
        let start = place.offset;
        for (header, payload) in
            self.frames().filter(|(header, _)| matches!(header.kind, kind::DATA | kind::GAP))
        {
            place.offset = start + to_u64(group.bytes.len());
            group.push(&Frame::again(&header), place, payload);
        }
        group
    }

    /// Its frames, each with its payload as stored.
    pub(super) fn frames(&self) -> impl Iterator<Item = (FrameHeader, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let header = FrameHeader::fields(rest)?;
            let (frame, after) = rest.split_at_checked(usize::try_from(header.frame_bytes()).ok()?)?;
            rest = after;
            let end = FRAME_HEADER_BYTES + usize_from(header.payload_bytes);
            Some((header, frame.get(FRAME_HEADER_BYTES..end).unwrap_or(&[])))
        })
    }
}

impl SealNote {
    /// With one more group.
    pub(super) fn with(self, group: &Group, now: i64) -> Self {
        Self {
            payloads: self.payloads + group.payloads,
            records: self.records + group.records,
            payload_bytes: self.payload_bytes + group.payload_bytes,
            time_min: if self.time_min == 0 { now } else { self.time_min.min(now) },
            time_max: self.time_max.max(now),
        }
    }
}
