//! Looks into a log without its lock and without writing: for tools, beside a live daemon or on a dead directory.

use super::catalogue::{Listing, Segment, list, segment_name};
use super::format::{FRAME_HEADER_BYTES, FrameHeader, GapNote, GapReason, SealNote, SegmentHeader, kind};
use super::reader::ReadError;
use super::scan::Scanner;
use super::segment_scan::Survey;
use super::storage::{Storage, read_all, to_u64};
use super::{LogId, SeqNo};

/// The segments of a directory, by their headers alone.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Which log this is; `None` when no header can be read.
    pub log_id: Option<LogId>,
    /// In order.
    pub segments: Vec<Listed>,
    /// Numbers of segment files of another log, or under another name.
    pub foreign: Vec<u64>,
}

/// One segment, by its header.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// From the file's name.
    pub number: u64,
    /// Length of the file.
    pub bytes: u64,
    /// `None` when neither copy can be read.
    pub header: Option<SegmentHeader>,
    /// First number behind it; `None` for the last segment.
    pub bound: Option<SeqNo>,
    /// The next segment file is there. Otherwise, and unless this is the last, its space was needed.
    pub is_followed: bool,
    /// Where the SEAL begins, as the header of the next segment names it; 0 when there is none.
    pub seal_at: u64,
}

/// What a segment holds, as its SEAL sums it up, or as counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payloads.
    pub payloads: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them as stored.
    pub payload_bytes: u64,
    /// Bytes of the file that are in use.
    pub used_bytes: u64,
    /// Time of the first group, µs since the epoch; 0 when there is none.
    pub time_min: i64,
    /// Time of the last group.
    pub time_max: i64,
    /// It was left in order.
    pub sealed: bool,
}

/// What kind of damage a range of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Never synced: the crash came first.
    Torn,
    /// Synced, and not what was written.
    Rot,
    /// The disk refuses to read it.
    Unreadable,
}

/// Bytes of a segment that are no sound frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRange {
    /// First bad byte.
    pub from: u64,
    /// First good byte behind.
    pub to: u64,
    /// What it is.
    pub verdict: Verdict,
}

/// What a walk through all frames of a segment found.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Payloads in it.
    pub payloads: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub payload_bytes: u64,
    /// Last number in it, also when only a gap names it.
    pub last_seq: SeqNo,
    /// Highest sync group, and whether its end is there.
    pub last_group: u64,
    /// The highest group has its end: nothing was being written when the walk ended.
    pub closed: bool,
    /// It was left in order.
    pub sealed: bool,
    /// Behind the last sound frame.
    pub end: u64,
    /// Time of the first group, µs since the epoch; 0 when there is none.
    pub time_min: i64,
    /// Time of the last group.
    pub time_max: i64,
    /// Length of the snapshot at its head.
    pub snapshot_bytes: Option<usize>,
    /// Bytes that are no sound frame.
    pub bad: Vec<BadRange>,
    /// Numbers that readers will be told as missing.
    pub gaps: Vec<GapNote>,
    /// Durable numbers are missing, and no GAP frame accounts for them.
    pub is_rotten: bool,
}

impl Examined {
    /// The worst of it; `None` when all is as it was written. A group without its end counts as torn.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let open = if self.closed { None } else { Some(Verdict::Torn) };
        let lost = self.is_rotten.then_some(Verdict::Rot);
        self.bad.iter().map(|bad| bad.verdict).max().max(lost).max(open)
    }
}

/// Reads all headers.
pub fn overview<S: Storage>(storage: &S) -> Result<Overview, ReadError> {
    let Listing { log_id, segments, foreign, .. } = list(storage)?;
    let (mut bound, mut next) = (None, None);
    let mut listed: Vec<Listed> = Vec::with_capacity(segments.len());
    for segment in segments.iter().rev() {
        let (number, bytes, header) = (segment.number, segment.bytes, segment.header);
        let follower: Option<&Segment> = next.filter(|next: &&Segment| next.number == number + 1);
        listed.push(Listed {
            number,
            bytes,
            header,
            bound,
            is_followed: follower.is_some(),
            seal_at: follower.and_then(|next| next.header).map_or(0, |header| header.previous_end),
        });
        bound = header.map(|header| header.first_seq).or(bound);
        next = Some(segment);
    }
    listed.reverse();
    Ok(Overview { log_id, segments: listed, foreign })
}

/// What the segment holds: by its SEAL where there is one, else by walking it. `None` without a header.
pub fn totals<S: Storage>(storage: &S, segment: &Listed) -> Result<Option<Totals>, ReadError> {
    let Some(header) = &segment.header else { return Ok(None) };
    let file = storage.open(&segment_name(segment.number))?;
    let mut bytes = [0; FRAME_HEADER_BYTES + SealNote::BYTES];
    if segment.seal_at > 0
        && read_all(&file, &mut bytes, segment.seal_at).is_ok()
        && let Some(frame) = FrameHeader::decode(&bytes, header.salt)
        && let (frame_header, payload) = bytes.split_at(FRAME_HEADER_BYTES)
        && frame.kind == kind::SEAL
        && frame.payload_is_sound(payload, header.salt)
        && let Some(note) = SealNote::decode(payload)
    {
        return Ok(Some(Totals {
            payloads: note.payloads,
            records: note.records,
            payload_bytes: note.payload_bytes,
            used_bytes: segment.seal_at + to_u64(frame_header.len() + payload.len()),
            time_min: note.time_min,
            time_max: note.time_max,
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

/// Walks all frames of one segment and checks every byte of them. `None` without a header.
pub fn examine<S: Storage>(storage: &S, segment: &Listed) -> Result<Option<Examined>, ReadError> {
    let (Some(header), bound) = (&segment.header, segment.bound) else { return Ok(None) };
    let mut scanner = Scanner::new(storage.open(&segment_name(header.number))?, *header);
    let mut missing = Missing { expected: header.first_seq, gaps: Vec::new() };
    let survey = Survey::new(&mut scanner, bound, |frame, payload| match frame.kind {
        kind::DATA => missing.see(frame.seq, frame.seq, None),
        kind::GAP => {
            if let Some(note) = GapNote::decode(payload) {
                missing.see(note.from, note.to, Some(note.reason));
            }
        }
        _ => {}
    });
    // What stood in a segment that was given up says nothing about this one.
    let own_end = bound.filter(|_| segment.is_followed).unwrap_or_else(|| survey.last_seq.next());
    missing.see(own_end, own_end.prev(), None);
    let bad: Vec<BadRange> = survey
        .holes
        .iter()
        .map(|hole| {
            let torn = survey.is_torn(hole, header.first_group, bound.is_none());
            let verdict = match (hole.bad.unreadable, torn) {
                (true, _) => Verdict::Unreadable,
                (false, true) => Verdict::Torn,
                (false, false) => Verdict::Rot,
            };
            BadRange { from: hole.bad.from, to: hole.bad.to, verdict }
        })
        .collect();
    // In the group that nobody knows to be durable, what is missing was never promised.
    if bound.is_none() && bad.iter().all(|bad| bad.verdict == Verdict::Torn) {
        missing.unexplained(GapReason::Torn);
    } else if bad.iter().any(|bad| bad.verdict == Verdict::Unreadable) {
        missing.unexplained(GapReason::Unreadable);
    }
    if let Some(bound) = bound {
        missing.see(missing.expected, bound.prev(), Some(GapReason::Dropped));
    }
    Ok(Some(Examined {
        payloads: survey.payloads,
        records: survey.records,
        payload_bytes: survey.payload_bytes,
        last_seq: survey.last_seq,
        last_group: survey.last_group,
        // What follows in another segment was written after this one was given up or synced.
        closed: survey.closed || bound.is_some(),
        sealed: survey.sealed_at.is_some(),
        end: survey.end,
        time_min: survey.time_min,
        time_max: survey.time_max,
        snapshot_bytes: survey.snapshot.as_ref().map(|(_, snapshot)| snapshot.len()),
        is_rotten: missing.gaps.iter().any(|(gap, told)| !told && gap.reason == GapReason::Rot),
        gaps: missing.gaps.into_iter().map(|(gap, _)| gap).collect(),
        bad,
    }))
}

/// Keeps account of the numbers that do not come.
struct Missing {
    expected: SeqNo,
    /// With each one whether the log itself has a reason for it.
    gaps: Vec<(GapNote, bool)>,
}

impl Missing {
    fn unexplained(&mut self, reason: GapReason) {
        for (gap, _) in self.gaps.iter_mut().filter(|(_, explained)| !explained) {
            gap.reason = reason;
        }
    }

    /// The range comes next; with a reason it is itself missing.
    fn see(&mut self, from: SeqNo, to: SeqNo, noted: Option<GapReason>) {
        if from > self.expected {
            let gap = GapNote { from: self.expected, to: from.prev(), reason: GapReason::Rot };
            self.gaps.push((gap, false));
        }
        if let Some(reason) = noted.filter(|_| to >= self.expected) {
            self.gaps.push((GapNote { from: from.max(self.expected), to, reason }, true));
        }
        self.expected = self.expected.max(to.next());
    }
}
