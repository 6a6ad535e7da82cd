//! Looks into a log without its lock and without writing: for tools, beside a live daemon or on a dead directory.

use super::catalogue::{Listing, list, segment_name};
use super::format::{GapNote, GapReason, SegmentHeader, kind};
use super::reader::ReadError;
use super::scan::Scanner;
use super::storage::Storage;
use super::survey::Survey;
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
    /// Length of the context at its head.
    pub context_bytes: Option<usize>,
    /// Bytes that are no sound frame.
    pub bad: Vec<BadRange>,
    /// Numbers that readers will be told as missing.
    pub gaps: Vec<GapNote>,
}

impl Examined {
    /// The worst of it; `None` when all is as it was written. A group without its end counts as torn.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let open = if self.closed { None } else { Some(Verdict::Torn) };
        let lost = self.gaps.iter().any(|gap| gap.reason == GapReason::Rot).then_some(Verdict::Rot);
        self.bad.iter().map(|bad| bad.verdict).max().max(lost).max(open)
    }
}

/// Reads all headers.
pub fn overview<S: Storage>(storage: &S) -> Result<Overview, ReadError> {
    let Listing { log_id, segments, foreign, .. } = list(storage)?;
    let mut bound = None;
    let mut listed: Vec<Listed> = Vec::with_capacity(segments.len());
    for segment in segments.iter().rev() {
        listed.push(Listed { number: segment.number, bytes: segment.bytes, header: segment.header, bound });
        bound = segment.header.map(|header| header.first_seq).or(bound);
    }
    listed.reverse();
    Ok(Overview { log_id, segments: listed, foreign })
}

/// Walks all frames of one segment and checks every byte of them.
pub fn examine<S: Storage>(
    storage: &S,
    header: &SegmentHeader,
    bound: Option<SeqNo>,
) -> Result<Examined, ReadError> {
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
    let behind = bound.unwrap_or_else(|| survey.last_seq.next());
    missing.see(behind, behind.before(), None);
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
    Ok(Examined {
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
        context_bytes: survey.context.as_ref().map(|(_, context)| context.len()),
        gaps: missing.gaps.into_iter().map(|(gap, _)| gap).collect(),
        bad,
    })
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
            let gap = GapNote { from: self.expected, to: from.before(), reason: GapReason::Rot };
            self.gaps.push((gap, false));
        }
        if let Some(reason) = noted.filter(|_| to >= self.expected) {
            self.gaps.push((GapNote { from: from.max(self.expected), to, reason }, true));
        }
        self.expected = self.expected.max(to.next());
    }
}
