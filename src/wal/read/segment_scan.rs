//! One pass over a whole segment, which classifies its invalid ranges as bit rot or as a torn write.
//!
//! Group g + 1 is written only after the sync of group g has returned. So every group but the highest one in
//! the last segment of the log is durable, and an invalid range in it is bit rot. An invalid range in that
//! highest group may as well be a write that a crash interrupted.

use crate::wal::format::{CommitPayload, FLAG_IGNORABLE, FrameHeader, GapPayload, SegmentTotals, kind};
use crate::wal::options::StateSnapshot;
use crate::wal::read::scan::{InvalidRange, Scanned, Scanner};
use crate::wal::seq::SeqNo;
use crate::wal::storage::StorageFile;

/// Findings of one pass over a segment.
#[derive(Clone, Debug, Default)]
pub(in crate::wal) struct SegmentScan {
    /// Totals of the intact frames.
    pub(in crate::wal) totals: SegmentTotals,
    /// Highest sequence number in an intact frame header, also if the payload of that frame is damaged.
    pub(in crate::wal) last_seq: SeqNo,
    pub(in crate::wal) last_group: LastGroup,
    /// Offset of the SEAL frame.
    pub(in crate::wal) sealed_at: Option<u64>,
    /// Offset behind the last intact frame.
    pub(in crate::wal) end: u64,
    pub(in crate::wal) snapshot: Option<StateSnapshot>,
    pub(in crate::wal) holes: Vec<Hole>,
    /// Kind of a frame that must not be skipped and that this version does not support.
    pub(in crate::wal) unknown_kind: Option<u8>,
}

/// The highest sync group of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wal) struct LastGroup {
    pub(in crate::wal) number: u64,
    /// Last sequence number before the group.
    pub(in crate::wal) previous_seq: SeqNo,
    /// First sequence number of the group according to the frame that ends it.
    pub(in crate::wal) first_seq: Option<SeqNo>,
    /// Lowest sequence number of an intact payload in the group.
    pub(in crate::wal) lowest_seq: Option<SeqNo>,
    /// The frame that ends the group is intact.
    pub(in crate::wal) closed: bool,
}

/// An invalid range, and the groups it may belong to.
#[derive(Clone, Copy, Debug)]
pub(in crate::wal) struct Hole {
    pub(in crate::wal) range: InvalidRange,
    /// Lowest group to which a lost frame can have belonged.
    pub(in crate::wal) lowest_group: u64,
}

impl SegmentScan {
    /// Scans the segment and calls `visit` with every intact frame in order.
    ///
    /// `bound` is the first sequence number of the following segment. Frames from `bound` on are superseded
    /// by that segment; invalid ranges behind the last number below `bound` are ignored.
    pub(in crate::wal) fn run<F: StorageFile>(
        scanner: &mut Scanner<F>,
        bound: Option<SeqNo>,
        mut visit: impl FnMut(&FrameHeader, &[u8]),
    ) -> Self {
        let before = scanner.header().first_seq.prev();
        let number = scanner.header().first_group;
        let mut scan = Self {
            last_seq: before,
            last_group: LastGroup { number, previous_seq: before, ..LastGroup::default() },
            end: scanner.offset(),
            ..Self::default()
        };
        let is_complete = |scan: &Self| bound.is_some_and(|bound| scan.last_seq.next() >= bound);
        let mut pending = Vec::new();
        while scan.sealed_at.is_none() {
            match scanner.step() {
                Scanned::End => {
                    if scanner.met_unreadable() && !is_complete(&scan) {
                        let (from, to) = (scanner.offset(), scanner.header().capacity);
                        let lowest_group = scan.lowest_possible_group(None);
                        let range = InvalidRange { from, to, header: None, unreadable: true };
                        pending.push(Hole { range, lowest_group });
                    }
                    break;
                }
                Scanned::Invalid(_) if is_complete(&scan) => break,
                Scanned::Invalid(range) => {
                    if let Some(header) = range.header {
                        scan.add_group(header.group);
                        scan.add_seq(&header);
                    }
                    let lowest_group = scan.lowest_possible_group(range.header.as_ref());
                    pending.push(Hole { range, lowest_group });
                }
                Scanned::Frame(header) => {
                    if bound.is_some_and(|bound| header.kind == kind::DATA && header.seq >= bound) {
                        break;
                    }
                    scan.holes.append(&mut pending);
                    scan.add(&header, scanner.payload());
                    visit(&header, scanner.payload());
                }
            }
        }
        scan.holes.append(&mut pending);
        scan
    }

    /// Lowest group to which a frame in an invalid range can belong; `header` is that of the frame if it is
    /// intact.
    fn lowest_possible_group(&self, header: Option<&FrameHeader>) -> u64 {
        let LastGroup { number, closed, .. } = self.last_group;
        header.map_or(if closed { number + 1 } else { number }, |header| header.group)
    }

    fn add_group(&mut self, number: u64) {
        if number > self.last_group.number {
            self.last_group = LastGroup { number, previous_seq: self.last_seq, ..LastGroup::default() };
        }
    }

    fn add_seq(&mut self, header: &FrameHeader) {
        if matches!(header.kind, kind::DATA | kind::COMMIT | kind::SEAL) {
            self.last_seq = self.last_seq.max(header.seq);
        }
    }

    fn add(&mut self, header: &FrameHeader, payload: &[u8]) {
        self.add_group(header.group);
        self.add_seq(header);
        let offset = u64::from(header.offset);
        self.end = offset + header.frame_bytes();
        match header.kind {
            kind::DATA => {
                self.totals.payloads += 1;
                self.totals.records += u64::from(header.count);
                self.totals.payload_bytes += u64::from(header.payload_bytes);
                self.last_group.lowest_seq = self.last_group.lowest_seq.or(Some(header.seq));
            }
            kind::SNAPSHOT => {
                self.snapshot = Some(StateSnapshot { next: header.seq, bytes: payload.to_vec() });
            }
            kind::GAP => {
                if let Some(gap) = GapPayload::decode(payload) {
                    self.last_seq = self.last_seq.max(gap.to);
                }
            }
            kind::COMMIT | kind::DURABILITY_MARK | kind::SEAL => {
                self.last_group.closed = true;
                if let Some(commit) = CommitPayload::decode(payload) {
                    self.last_group.first_seq = Some(commit.first_seq);
                    self.totals.add_time(commit.time);
                }
                if header.kind == kind::SEAL {
                    self.sealed_at = Some(offset);
                }
            }
            other => {
                if header.flags & FLAG_IGNORABLE == 0 {
                    self.unknown_kind = Some(other);
                }
            }
        }
    }

    /// Whether a hole may be a torn write: it is in the highest group of the last segment, and that is not
    /// the first group, which was synced before the segment got its name.
    pub(in crate::wal) const fn is_torn(&self, hole: &Hole, first_group: u64, is_last_segment: bool) -> bool {
        let last = self.last_group.number;
        is_last_segment && last > first_group && hole.lowest_group >= last
    }
}
