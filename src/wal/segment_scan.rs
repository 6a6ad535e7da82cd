//! One pass over a whole segment, and the verdict on its holes: rot, or a torn tail.
//!
//! Group g + 1 is written only after group g was synced. So every group but the highest one in the log's last segment
//! is durable, and a hole in it is rot. A hole in the highest group may as well be the crash: a torn tail.

use super::SeqNo;
use super::format::{CommitNote, FLAG_IGNORABLE, FrameHeader, GapNote, kind};
use super::scan::{Bad, Scanner, Step};
use super::storage::StorageFile;

/// What one pass over a segment finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    pub(super) payloads: u64,
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
    /// Highest number that any sound header names, also that of a payload that is not sound.
    pub(super) last_seq: SeqNo,
    /// Highest number of a group below the highest.
    pub(super) decided_seq: SeqNo,
    /// Highest group, and the first number that its end names.
    pub(super) last_group: u64,
    pub(super) last_group_first: Option<SeqNo>,
    /// Lowest number of a sound payload in the highest group.
    pub(super) last_group_lowest: Option<SeqNo>,
    /// The highest group has its end.
    pub(super) closed: bool,
    /// Where the SEAL begins.
    pub(super) sealed_at: Option<u64>,
    /// Behind the last sound frame.
    pub(super) end: u64,
    pub(super) snapshot: Option<(SeqNo, Vec<u8>)>,
    pub(super) holes: Vec<Hole>,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    /// A kind of frame that this program must not skip.
    pub(super) unknown_kind: Option<u8>,
}

/// A bad range with what stands around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) bad: Bad,
    /// Lowest group that a lost frame can have been of.
    pub(super) lowest_group: u64,
}

impl Survey {
    /// Walks the segment. `bound` is the first number of the segment behind it: nothing from there on exists here,
    /// and holes behind the last number that does are not looked at. `visit` sees every sound frame in order.
    pub(super) fn new<F: StorageFile>(
        scanner: &mut Scanner<F>,
        bound: Option<SeqNo>,
        mut visit: impl FnMut(&FrameHeader, &[u8]),
    ) -> Self {
        let mut survey = Self {
            last_group: scanner.header().first_group,
            last_seq: scanner.header().first_seq.prev(),
            decided_seq: scanner.header().first_seq.prev(),
            end: scanner.offset(),
            ..Self::default()
        };
        let complete = |survey: &Self| bound.is_some_and(|bound| survey.last_seq.next() >= bound);
        let mut pending = Vec::new();
        while survey.sealed_at.is_none() {
            match scanner.step() {
                Step::End => {
                    if scanner.met_unreadable() && !complete(&survey) {
                        let (from, to) = (scanner.offset(), scanner.header().capacity);
                        let lowest_group = survey.lowest_open_group(None);
                        let bad = Bad { from, to, header: None, unreadable: true };
                        pending.push(Hole { bad, lowest_group });
                    }
                    break;
                }
                Step::Bad(_) if complete(&survey) => break,
                Step::Bad(bad) => {
                    if let Some(header) = bad.header {
                        survey.see_group(header.group);
                        survey.see_seq(&header);
                    }
                    let lowest_group = survey.lowest_open_group(bad.header.as_ref());
                    pending.push(Hole { bad, lowest_group });
                }
                Step::Frame(header) => {
                    if bound.is_some_and(|bound| header.kind == kind::DATA && header.seq >= bound) {
                        break;
                    }
                    survey.holes.append(&mut pending);
                    survey.see(&header, scanner.payload());
                    visit(&header, scanner.payload());
                }
            }
        }
        survey.holes.append(&mut pending);
        survey
    }

    fn lowest_open_group(&self, header: Option<&FrameHeader>) -> u64 {
        header.map_or(if self.closed { self.last_group + 1 } else { self.last_group }, |header| header.group)
    }

    fn see_group(&mut self, group: u64) {
        if group > self.last_group {
            self.decided_seq = self.last_seq;
            self.last_group = group;
            self.last_group_first = None;
            self.last_group_lowest = None;
            self.closed = false;
        }
    }

    fn see_seq(&mut self, header: &FrameHeader) {
        if matches!(header.kind, kind::DATA | kind::COMMIT | kind::SEAL) {
            self.last_seq = self.last_seq.max(header.seq);
        }
    }

    fn see(&mut self, header: &FrameHeader, payload: &[u8]) {
        self.see_group(header.group);
        self.see_seq(header);
        let offset = u64::from(header.offset);
        self.end = offset + header.frame_bytes();
        match header.kind {
            kind::DATA => {
                self.payloads += 1;
                self.records += u64::from(header.count);
                self.payload_bytes += u64::from(header.payload_bytes);
                self.last_group_lowest = self.last_group_lowest.or(Some(header.seq));
            }
            kind::SNAPSHOT => self.snapshot = Some((header.seq, payload.to_vec())),
            kind::GAP => {
                if let Some(note) = GapNote::decode(payload) {
                    self.last_seq = self.last_seq.max(note.to);
                }
            }
            kind::COMMIT | kind::DURABILITY_MARK | kind::SEAL => {
                self.closed = true;
                if let Some(note) = CommitNote::decode(payload) {
                    self.last_group_first = Some(note.first_seq);
                    self.time_min = if self.time_min == 0 { note.time } else { self.time_min.min(note.time) };
                    self.time_max = self.time_max.max(note.time);
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

    /// Only the highest group of the last segment may have holes without blame, and not even that when it was synced
    /// before the segment got its name.
    pub(super) const fn is_torn(&self, hole: &Hole, first_group: u64, is_last_segment: bool) -> bool {
        is_last_segment && self.last_group > first_group && hole.lowest_group >= self.last_group
    }
}
