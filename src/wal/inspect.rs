//! Inspects a log without its lock and without writing: for tools, beside a running daemon or without one.

use super::LogId;
use super::catalogue::{Listing, Segment, corrupt_header_copy, list, missing_numbers, open_segment};
use super::error::{IoCause, ReadError};
use super::format::{
    FRAME_HEADER_BYTES, FrameHeader, GapPayload, GapReason, SegmentHeader, SegmentTotals, kind,
};
use super::seq::SeqNo;
use crate::num::to_u64;
use crate::wal::read::scan::Scanner;
use crate::wal::read::segment_scan::SegmentScan;
use crate::wal::storage::{Storage, read_all};

/// The segments of a directory, from their headers alone.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Log id; `None` if no segment has an intact header.
    pub log_id: Option<LogId>,
    /// In ascending order of their numbers.
    pub segments: Vec<Listed>,
    /// Numbers of segment files that belong to another log, or whose header has another number.
    pub foreign: Vec<u64>,
    /// Numbers of segment files that cannot be opened, with the error. They are in `segments` as well,
    /// without a header and with a length of 0.
    pub unopened: Vec<(u64, IoCause)>,
}

/// A segment, from its header alone.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Segment number according to the file name.
    pub number: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// `None` if both copies are corrupt or cannot be read.
    pub header: Option<SegmentHeader>,
    /// Offset of the header copy that is corrupt or cannot be read, if the other one is intact.
    pub corrupt_copy: Option<u64>,
    /// First sequence number of the following segment; `None` for the last segment.
    pub bound: Option<SeqNo>,
    /// Why the sequence numbers between the end of this segment and `bound` are lost, if files without an
    /// intact header, or missing files, lie between. `None` if the next segment follows directly, or there is
    /// none.
    pub lost_behind: Option<GapReason>,
    /// Offset of the SEAL frame according to the header of the following segment; 0 if unknown or not sealed.
    pub seal_at: u64,
}

/// Totals of a segment, from its SEAL frame or counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of payloads.
    pub payloads: u64,
    /// Number of records in the payloads.
    pub records: u64,
    /// Length of the payloads as stored, in bytes.
    pub payload_bytes: u64,
    /// Length of the used part of the file in bytes.
    pub used_bytes: u64,
    /// Earliest commit time in µs since the Unix epoch; 0 if no group is committed.
    pub time_min: i64,
    /// Latest commit time.
    pub time_max: i64,
    /// The segment is sealed.
    pub sealed: bool,
}

impl Overview {
    /// Ranges of segment numbers, first and last, that are missing between two segments of the log: the files
    /// were deleted or renamed, belong to another log, or were dropped (`WAL_FULL=drop-oldest`) while an
    /// older one was being read. Only the oldest segments are ever recycled.
    #[must_use]
    pub fn missing_segments(&self) -> Vec<(u64, u64)> {
        missing_numbers(self.segments.iter().map(|segment| segment.number))
    }

    /// First sequence number of the log; `None` if no segment has an intact header.
    #[must_use]
    pub fn first_seq(&self) -> Option<SeqNo> {
        self.segments.iter().find_map(|segment| segment.header).map(|header| header.first_seq)
    }
}

impl Listed {
    /// The length that the file was created with, in bytes, if the file is shorter now. `None` if it was cut
    /// behind its SEAL frame, so that nothing is lost; for the last segment this is not known.
    #[must_use]
    pub fn truncated_from(&self) -> Option<u64> {
        let seal_end = self.seal_at + to_u64(FRAME_HEADER_BYTES + SegmentTotals::SEAL_BYTES);
        let has_seal = self.seal_at > 0 && self.bytes >= seal_end;
        self.header.map(|header| header.capacity).filter(|capacity| self.bytes < *capacity && !has_seal)
    }
}

/// Kind of damage, in ascending order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A crash interrupted the write; the data was not synced.
    Torn,
    /// Synced data is corrupt.
    Rot,
    /// The disk returns an error.
    Unreadable,
}

/// A range of a segment that holds no intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRange {
    /// Offset of the first byte.
    pub from: u64,
    /// Offset behind the last byte.
    pub to: u64,
    /// Kind of damage.
    pub verdict: Verdict,
}

/// Result of checking all frames of a segment.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Number of payloads.
    pub payloads: u64,
    /// Number of records in the payloads.
    pub records: u64,
    /// Length of the payloads as stored, in bytes.
    pub payload_bytes: u64,
    /// Last sequence number, including those in GAP frames.
    pub last_seq: SeqNo,
    /// Number of the highest sync group.
    pub last_group: u64,
    /// The frame that ends the highest sync group is intact.
    pub closed: bool,
    /// The segment is sealed.
    pub sealed: bool,
    /// Offset behind the last intact frame.
    pub end: u64,
    /// Earliest commit time in µs since the Unix epoch; 0 if no group is committed.
    pub time_min: i64,
    /// Latest commit time.
    pub time_max: i64,
    /// Length in bytes of the state snapshot at the head of the segment.
    pub snapshot_bytes: Option<usize>,
    /// Ranges that hold no intact frame.
    pub bad: Vec<BadRange>,
    /// Missing sequence numbers of the segment, as readers return them.
    pub gaps: Vec<GapPayload>,
    /// Sequence numbers that are lost between the end of the segment and the next one with an intact header.
    pub lost_behind: Option<GapPayload>,
    /// Durable sequence numbers are missing, and no GAP frame explains them.
    pub has_unexplained_loss: bool,
}

impl Examined {
    /// The most severe damage; `None` if there is none. A group without the frame that ends it counts as
    /// torn.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let open = if self.closed { None } else { Some(Verdict::Torn) };
        let lost = self.has_unexplained_loss.then_some(Verdict::Rot);
        self.bad.iter().map(|bad| bad.verdict).max().max(lost).max(open)
    }
}

/// Reads the headers of all segments.
///
/// # Errors
/// [`ReadError`].
pub fn overview<S: Storage>(storage: &S) -> Result<Overview, ReadError> {
    let Listing { log_id, segments, foreign, unopened, .. } = list(storage)?;
    let (mut bound, mut next) = (None, None);
    let mut listed: Vec<Listed> = Vec::with_capacity(segments.len());
    for segment in segments.iter().rev() {
        let (number, bytes, header) = (segment.number, segment.bytes, segment.header);
        let follower: Option<&Segment> = next.filter(|next: &&Segment| next.number == number + 1);
        let lost_behind = match follower {
            Some(Segment { header: Some(_), .. }) => None,
            Some(Segment { is_readable: true, .. }) => Some(GapReason::Rot),
            Some(Segment { is_readable: false, .. }) => Some(GapReason::Unreadable),
            None => Some(GapReason::Missing),
        };
        listed.push(Listed {
            number,
            bytes,
            header,
            corrupt_copy: corrupt_header_copy(storage, segment),
            bound,
            lost_behind: lost_behind.filter(|_| bound.is_some()),
            seal_at: follower.and_then(|next| next.header).map_or(0, |header| header.previous_end),
        });
        bound = header.map(|header| header.first_seq).or(bound);
        next = Some(segment);
    }
    listed.reverse();
    Ok(Overview { log_id, segments: listed, foreign, unopened })
}

/// Totals of a segment: from its SEAL frame if it has one, else by scanning it. `None` if the header is
/// corrupt.
///
/// # Errors
/// [`ReadError`].
pub fn totals<S: Storage>(storage: &S, segment: &Listed) -> Result<Option<Totals>, ReadError> {
    let Some(header) = &segment.header else { return Ok(None) };
    let file = open_segment(storage, segment.number)?;
    let mut bytes = [0; FRAME_HEADER_BYTES + SegmentTotals::SEAL_BYTES];
    if segment.seal_at > 0
        && read_all(&file, &mut bytes, segment.seal_at).is_ok()
        && let Some(frame) = FrameHeader::decode(&bytes, header.salt)
        && let (frame_header, payload) = bytes.split_at(FRAME_HEADER_BYTES)
        && frame.kind == kind::SEAL
        && frame.payload_is_intact(payload, header.salt)
        && let Some(totals) = SegmentTotals::decode_seal(payload)
    {
        return Ok(Some(Totals {
            payloads: totals.payloads,
            records: totals.records,
            payload_bytes: totals.payload_bytes,
            used_bytes: segment.seal_at + to_u64(frame_header.len() + payload.len()),
            time_min: totals.time_min,
            time_max: totals.time_max,
            sealed: true,
        }));
    }
    let examined = examine(storage, segment)?;
    Ok(examined.map(|examined| Totals {
        payloads: examined.payloads,
        records: examined.records,
        payload_bytes: examined.payload_bytes,
        used_bytes: examined.end,
        time_min: examined.time_min,
        time_max: examined.time_max,
        sealed: examined.sealed,
    }))
}

/// Checks all frames of a segment and their checksums. `None` if the header is corrupt.
///
/// # Errors
/// [`ReadError`].
pub fn examine<S: Storage>(storage: &S, segment: &Listed) -> Result<Option<Examined>, ReadError> {
    let (Some(header), bound) = (&segment.header, segment.bound) else { return Ok(None) };
    let mut scanner = Scanner::new(open_segment(storage, header.number)?, *header);
    let mut missing = MissingRanges { expected: header.first_seq, gaps: Vec::new() };
    let scan = SegmentScan::run(&mut scanner, bound, |frame, payload| match frame.kind {
        kind::DATA => missing.add(frame.seq, frame.seq, None),
        kind::GAP => {
            if let Some(gap) = GapPayload::decode(payload) {
                missing.add(gap.from, gap.to, Some(gap.reason));
            }
        }
        _ => {}
    });
    // Without the following segment, the first sequence number after it is no bound for this one.
    let own_end = bound.filter(|_| segment.lost_behind.is_none()).unwrap_or_else(|| scan.last_seq.next());
    missing.add(own_end, own_end.prev(), None);
    let bad: Vec<BadRange> = scan
        .holes
        .iter()
        .map(|hole| {
            let torn = scan.is_torn(hole, header.first_group, bound.is_none());
            let verdict = match (hole.range.unreadable, torn) {
                (true, _) => Verdict::Unreadable,
                (false, true) => Verdict::Torn,
                (false, false) => Verdict::Rot,
            };
            BadRange { from: hole.range.from, to: hole.range.to, verdict }
        })
        .collect();
    // Numbers that are missing in the undecided group were not reported durable.
    if bound.is_none() && bad.iter().all(|bad| bad.verdict == Verdict::Torn) {
        missing.explain(GapReason::Torn);
    } else if bad.iter().any(|bad| bad.verdict == Verdict::Unreadable) {
        missing.explain(GapReason::Unreadable);
    }
    let lost_behind = bound.zip(segment.lost_behind).map(|(bound, reason)| GapPayload {
        from: missing.expected,
        to: bound.prev(),
        reason,
    });
    Ok(Some(Examined {
        payloads: scan.totals.payloads,
        records: scan.totals.records,
        payload_bytes: scan.totals.payload_bytes,
        last_seq: scan.last_seq,
        last_group: scan.last_group.number,
        // A following segment was created after the last group of this one was synced or relocated.
        closed: scan.last_group.closed || bound.is_some(),
        sealed: scan.sealed_at.is_some(),
        end: scan.end,
        time_min: scan.totals.time_min,
        time_max: scan.totals.time_max,
        snapshot_bytes: scan.snapshot.as_ref().map(|snapshot| snapshot.bytes.len()),
        has_unexplained_loss: missing
            .gaps
            .iter()
            .any(|(gap, is_explained)| !is_explained && gap.reason == GapReason::Rot),
        gaps: missing.gaps.into_iter().map(|(gap, _)| gap).collect(),
        lost_behind: lost_behind.filter(|gap| gap.from <= gap.to),
        bad,
    }))
}

/// Collects the ranges of sequence numbers that a scan does not find.
struct MissingRanges {
    /// Next expected sequence number.
    expected: SeqNo,
    /// Missing ranges, each with whether a GAP frame or a dropped segment explains it.
    gaps: Vec<(GapPayload, bool)>,
}

impl MissingRanges {
    /// Sets the reason of all unexplained ranges.
    fn explain(&mut self, reason: GapReason) {
        for (gap, _) in self.gaps.iter_mut().filter(|(_, is_explained)| !is_explained) {
            gap.reason = reason;
        }
    }

    /// Adds the next range of a scan: payloads, or a missing range with its reason.
    fn add(&mut self, from: SeqNo, to: SeqNo, missing: Option<GapReason>) {
        if from > self.expected {
            let gap = GapPayload { from: self.expected, to: from.prev(), reason: GapReason::Rot };
            self.gaps.push((gap, false));
        }
        if let Some(reason) = missing.filter(|_| to >= self.expected) {
            self.gaps.push((GapPayload { from: from.max(self.expected), to, reason }, true));
        }
        self.expected = self.expected.max(to.next());
    }
}
