//! The end of a log as a crash left it: the undecided group, the last snapshot, and damage.

use std::fmt;
use std::io;

use crate::num::to_u64;
use crate::wal::catalogue::{Segment, corrupt_header_copy, missing_numbers, open_segment, segment_name};
use crate::wal::error::{OpenError, ReadError};
use crate::wal::format::{
    FRAME_HEADER_BYTES, FrameHeader, FramePosition, FrameSpec, GapPayload, GapReason, SegmentHeader, kind,
};
use crate::wal::options::{Options, StateSnapshot};
use crate::wal::read::scan::{Scanned, Scanner};
use crate::wal::read::segment_scan::{Hole, SegmentScan};
use crate::wal::seq::SeqNo;
use crate::wal::storage::Storage;
use crate::wal::write::sync_group::SyncGroup;

/// Damage found in a log directory. Readers return the lost sequence numbers as gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Synced data of the last segment is corrupt.
    Rot {
        /// Segment number.
        segment: u64,
        /// Offset of the first corrupt byte.
        from: u64,
        /// Offset of the next intact frame.
        to: u64,
    },
    /// A crash interrupted the write of the last group.
    Torn {
        /// Segment number.
        segment: u64,
        /// Offset of the first invalid byte.
        from: u64,
        /// Offset of the next intact frame; equal to `from` if none follows.
        to: u64,
    },
    /// Both copies of the header of a segment are corrupt.
    Header {
        /// Segment number according to the file name.
        segment: u64,
    },
    /// One copy of the header of a segment is corrupt. The other one is used, and nothing is lost.
    HeaderCopy {
        /// Segment number.
        segment: u64,
        /// Offset of the corrupt copy.
        from: u64,
    },
    /// Segment files between two others are missing: they were deleted or renamed.
    Missing {
        /// First missing segment number.
        first: u64,
        /// Last missing segment number.
        last: u64,
    },
    /// A segment file is shorter than it was created.
    Truncated {
        /// Segment number.
        segment: u64,
        /// Length of the file in bytes.
        bytes: u64,
        /// Length with which the file was created, in bytes.
        created: u64,
    },
    /// A segment file belongs to another log, or its header has another number than its name. It is ignored.
    Foreign {
        /// Segment number according to the file name.
        segment: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rot { segment, from, to } => {
                write!(f, "{}: corrupt data at bytes {from}–{to}", segment_name(*segment))
            }
            Self::Torn { segment, from, to } if from == to => {
                write!(f, "{}: incomplete write at byte {from}", segment_name(*segment))
            }
            Self::Torn { segment, from, to } => {
                write!(f, "{}: incomplete write at bytes {from}–{to}", segment_name(*segment))
            }
            Self::Header { segment } => {
                write!(f, "{}: both copies of the header are corrupt", segment_name(*segment))
            }
            Self::HeaderCopy { segment, from } => {
                let name = segment_name(*segment);
                write!(f, "{name}: the header copy at byte {from} is corrupt; the other copy is used")
            }
            Self::Missing { first, last } if first == last => {
                write!(f, "{}: the file is missing", segment_name(*first))
            }
            Self::Missing { first, last } => {
                write!(f, "{} to {}: the files are missing", segment_name(*first), segment_name(*last))
            }
            Self::Truncated { segment, bytes, created } => {
                let name = segment_name(*segment);
                write!(f, "{name}: truncated: the file has {bytes} bytes, and was created with {created}")
            }
            Self::Foreign { segment } => {
                write!(f, "{}: belongs to another log or was renamed; ignored", segment_name(*segment))
            }
        }
    }
}

impl Damage {
    /// The damage that the files and the headers of `segments` show. `are_dropped`: missing segments were
    /// dropped when the log was full, and are no damage.
    pub(in crate::wal) fn of_files<S: Storage>(
        storage: &S,
        segments: &[Segment],
        are_dropped: bool,
    ) -> Vec<Self> {
        let mut damage = Vec::new();
        for one in segments {
            let segment = one.number;
            match one.header {
                None => damage.push(Self::Header { segment }),
                Some(header) if one.truncated_bytes() > 0 && !is_sealed(storage, header) => {
                    damage.push(Self::Truncated { segment, bytes: one.bytes, created: header.capacity });
                }
                Some(_) => {}
            }
            damage.extend(corrupt_header_copy(storage, one).map(|from| Self::HeaderCopy { segment, from }));
        }
        let missing = missing_numbers(segments.iter().map(|segment| segment.number));
        let missing = missing.into_iter().map(|(first, last)| Self::Missing { first, last });
        damage.extend(missing.filter(|_| !are_dropped));
        damage
    }
}

/// Whether a segment has its SEAL frame, behind which nothing was written.
fn is_sealed<S: Storage>(storage: &S, header: SegmentHeader) -> bool {
    open_segment(storage, header.number).is_ok_and(|file| {
        let mut scanner = Scanner::new(file, header);
        SegmentScan::run(&mut scanner, None, |_, _| {}).sealed_at.is_some()
    })
}

/// Highest number of batches that segments can have held whose end is lost: those behind the last intact
/// header, and the truncated part of the segment with that header. 0 if there are none.
pub(in crate::wal) fn lost_batches_max<S: Storage>(
    storage: &S,
    segments: &[Segment],
    segment_bytes: u64,
) -> u64 {
    let last = segments.iter().rposition(|segment| segment.header.is_some());
    let headless = segments.len() - last.map_or(0, |index| index + 1);
    let truncated = last.and_then(|index| segments.get(index)).filter(|segment| {
        let header = segment.header.filter(|_| segment.truncated_bytes() > 0);
        header.is_some_and(|header| !is_sealed(storage, header))
    });
    let truncated = truncated.map_or(0, Segment::truncated_bytes);
    // A file without a header may have been truncated as well, so its length is no bound.
    let bytes_max = segments.iter().map(|segment| segment.bytes).max().unwrap_or(0).max(segment_bytes);
    let bytes = bytes_max.saturating_mul(to_u64(headless)).saturating_add(truncated);
    bytes.div_ceil(to_u64(FRAME_HEADER_BYTES))
}

/// The end of a log.
#[derive(Default)]
pub(in crate::wal) struct Tail {
    /// Next sequence number to be assigned.
    pub(in crate::wal) next: SeqNo,
    /// The group whose durability is undecided, with GAP frames for what is missing, under the next free
    /// group number.
    pub(in crate::wal) group: SyncGroup,
    /// The last intact snapshot.
    pub(in crate::wal) snapshot: Option<StateSnapshot>,
    /// Time of the last commit in µs since the Unix epoch; 0 if unknown.
    pub(in crate::wal) last_commit: i64,
    /// The last segment is sealed.
    pub(in crate::wal) was_closed: bool,
    /// Offset of the SEAL frame of the last segment; 0 if that one is not sealed.
    pub(in crate::wal) previous_end: u64,
    pub(in crate::wal) damage: Vec<Damage>,
}

impl Tail {
    /// Reads the end of the log. Numbers up to `high_water` are known to have been assigned.
    pub(in crate::wal) fn read<S: Storage>(
        storage: &S,
        segments: &[Segment],
        options: &Options,
        high_water: SeqNo,
    ) -> Result<Self, OpenError> {
        let mut tail = match segments.iter().rev().find_map(|segment| segment.header) {
            Some(header) => Self::of_segment(storage, header)?,
            None => Self {
                next: options.first,
                group: SyncGroup::new(1),
                snapshot: options.snapshot.clone(),
                ..Self::default()
            },
        };
        // A lost end may have held delivered numbers. None of these is assigned again.
        let lost_max = lost_batches_max(storage, segments, options.segment_bytes);
        if lost_max > 0 {
            let skip_to = SeqNo(tail.next.0.saturating_add(lost_max));
            tail.add_missing(high_water, GapReason::Rot);
            tail.add_missing(skip_to, GapReason::Skipped);
            tail.group.number = tail.group.number.saturating_add(lost_max + 1);
            tail.was_closed = false;
        }
        tail.add_missing(high_water, GapReason::Rot);
        if tail.snapshot.is_none() {
            tail.snapshot = read_older_snapshot(storage, segments)?;
        }
        Ok(tail)
    }

    /// Adds a gap from the next sequence number to `lost_to`.
    fn add_missing(&mut self, lost_to: SeqNo, reason: GapReason) {
        if lost_to >= self.next {
            push_gap(&mut self.group, self.next, lost_to, reason);
            self.next = lost_to.next();
        }
    }

    /// Reads the end of the last segment with an intact header.
    fn of_segment<S: Storage>(storage: &S, header: SegmentHeader) -> Result<Self, OpenError> {
        let segment = header.number;
        let mut scanner = Scanner::new(open_segment(storage, segment)?, header);
        let mut undecided = UndecidedGroup::new(header.first_group);
        let scan = SegmentScan::run(&mut scanner, None, |frame, payload| undecided.add(frame, payload));
        if let Some(kind) = scan.unknown_kind {
            return Err(ReadError::UnknownKind { segment, kind }.into());
        }
        let is_torn = |hole: &Hole| scan.is_torn(hole, header.first_group, true);
        let (torn, rotten): (Vec<Hole>, Vec<Hole>) = scan.holes.iter().copied().partition(is_torn);
        let range = |hole: &Hole| (hole.range.from, hole.range.to);
        let mut damage: Vec<Damage> =
            rotten.iter().map(range).map(|(from, to)| Damage::Rot { segment, from, to }).collect();
        damage.extend(torn.iter().map(range).map(|(from, to)| Damage::Torn { segment, from, to }));
        if !scan.last_group.closed {
            damage.push(Damage::Torn { segment, from: scan.end, to: scan.end });
        }
        let next = scan.last_seq.next();
        let mut group = if scan.last_group.number > header.first_group {
            undecided.into_group(first_undecided(&scan, !rotten.is_empty()), next)
        } else {
            SyncGroup::default()
        };
        group.number = scan.last_group.number + 1;
        Ok(Self {
            next,
            group,
            last_commit: scan.totals.time_max,
            was_closed: scan.sealed_at.is_some(),
            previous_end: scan.sealed_at.unwrap_or(0),
            snapshot: scan.snapshot,
            damage,
        })
    }
}

/// First sequence number of the undecided group.
///
/// The frame that ends the group has it. Without that frame the group follows the one before, unless there is
/// bit rot in between, which then accounts for the missing numbers.
fn first_undecided(scan: &SegmentScan, has_rot: bool) -> SeqNo {
    let last = &scan.last_group;
    match last.first_seq {
        Some(first) => first,
        None if has_rot => last.lowest_seq.unwrap_or_else(|| scan.last_seq.next()),
        None => last.previous_seq.next(),
    }
}

fn push_gap(group: &mut SyncGroup, from: SeqNo, to: SeqNo, reason: GapReason) {
    let frame = FrameSpec::control(kind::GAP, from);
    group.push(&frame, from, UNPLACED, &GapPayload { from, to, reason }.encode());
}

/// Position of frames that are encoded again when the group is written to the new segment.
const UNPLACED: FramePosition = FramePosition { salt: 0, group: 0, offset: 0 };

/// The payloads of the highest group seen so far.
struct UndecidedGroup {
    number: u64,
    frames: Vec<(FrameHeader, Vec<u8>)>,
}

impl UndecidedGroup {
    const fn new(first_group: u64) -> Self {
        Self { number: first_group, frames: Vec::new() }
    }

    fn add(&mut self, header: &FrameHeader, payload: &[u8]) {
        if header.group > self.number {
            self.number = header.group;
            self.frames.clear();
        }
        if header.kind == kind::DATA {
            self.frames.push((*header, payload.to_vec()));
        }
    }

    /// The frames from `first` to before `next`, with GAP frames for missing numbers.
    fn into_group(self, first: SeqNo, next: SeqNo) -> SyncGroup {
        let mut group = SyncGroup { first, ..SyncGroup::default() };
        let mut expected = first;
        for (header, payload) in self.frames {
            if header.seq < expected {
                continue;
            }
            if header.seq > expected {
                push_gap(&mut group, expected, header.seq.prev(), GapReason::Torn);
            }
            group.push(&FrameSpec::from_header(&header), header.seq, UNPLACED, &payload);
            expected = header.seq.next();
        }
        if expected < next {
            push_gap(&mut group, expected, next.prev(), GapReason::Torn);
        }
        group
    }
}

/// The snapshot of the last segment that has an intact one.
fn read_older_snapshot<S: Storage>(
    storage: &S,
    segments: &[Segment],
) -> Result<Option<StateSnapshot>, OpenError> {
    // Reading at most three segments bounds the time of a start.
    for header in segments.iter().rev().filter_map(|segment| segment.header).take(3) {
        let snapshot = read_snapshot(storage, header)?;
        if snapshot.is_some() {
            return Ok(snapshot);
        }
    }
    Ok(None)
}

/// The snapshot at the head of a segment; `None` if its first frame is not an intact SNAPSHOT frame.
pub(in crate::wal) fn read_snapshot<S: Storage>(
    storage: &S,
    header: SegmentHeader,
) -> io::Result<Option<StateSnapshot>> {
    let mut scanner = Scanner::new(open_segment(storage, header.number)?, header);
    Ok(match scanner.step() {
        Scanned::Frame(frame) if frame.kind == kind::SNAPSHOT => {
            Some(StateSnapshot { next: frame.seq, bytes: scanner.payload().to_vec() })
        }
        _ => None,
    })
}
