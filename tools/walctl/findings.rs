//! Damage that the files of a log and their headers show, and the texts of all losses.

use holdfast::forwarder;
use holdfast::wal::inspect::{Listed, Overview, Verdict, examine, overview};
use holdfast::wal::{Disk, GapReason, SeqNo};
use serde_json::{Value, json};

use crate::output::{Failure, Output, print_error};

/// Exit code for lost batches.
pub(crate) const EXIT_LOSS: u8 = 2;

/// One damage of a file in the log directory.
pub(crate) struct Finding {
    /// Segment number; the first one of a range. `None` for a marker file.
    pub(crate) segment: Option<u64>,
    /// Name of the file.
    file: String,
    name: &'static str,
    detail: String,
    pub(crate) verdict: Verdict,
}

impl Finding {
    fn of_segment(segment: u64, name: &'static str, verdict: Verdict, detail: String) -> Self {
        Self { segment: Some(segment), file: file_name(segment), name, detail, verdict }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}  {}: {}", self.file, self.name, self.detail)
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "segment": self.segment, "file": self.file, "finding": self.name, "detail": self.detail })
    }
}

/// Name of a segment file.
pub(crate) fn file_name(segment: u64) -> String {
    format!("{segment:016x}.wal")
}

/// All damage of one log that is visible without reading its contents.
pub(crate) struct Findings {
    /// In the order of the segments; marker files last.
    pub(crate) list: Vec<Finding>,
    /// The end of the log is lost: the last segment has no intact header, or is truncated.
    pub(crate) has_lost_end: bool,
    /// The first segment has no intact header, so that the first sequence number is unknown.
    pub(crate) has_lost_start: bool,
    /// Last sequence number that was delivered from the log, according to the marker file `delivered`.
    delivered: SeqNo,
}

impl Findings {
    /// Examines the headers of all segments, and the marker files.
    pub(crate) fn new(disk: &Disk, overview: &Overview) -> Result<Self, Failure> {
        let mut list: Vec<Finding> = Vec::new();
        let mut has_lost_end = overview.segments.last().is_some_and(|last| last.header.is_none());
        for segment in &overview.segments {
            let number = segment.number;
            let error = overview.unopened.iter().find(|(unopened, _)| *unopened == number);
            if let Some((_, error)) = error {
                let error = error.to_string();
                let cause = error.strip_prefix(&format!("{}: ", file_name(number))).unwrap_or(&error);
                let detail = format!("the file cannot be opened: {cause}");
                list.push(Finding::of_segment(number, "unreadable", Verdict::Unreadable, detail));
            } else if segment.header.is_none() {
                let detail = "both copies of the segment header are damaged".to_owned();
                list.push(Finding::of_segment(number, "unreadable", Verdict::Unreadable, detail));
            }
            if let Some(created) = truncated_from(disk, segment)? {
                has_lost_end |= segment.bound.is_none();
                let detail = format!("the file has {} bytes, and was created with {created}", segment.bytes);
                list.push(Finding::of_segment(number, "truncated", Verdict::Rot, detail));
            }
            if let Some(offset) = segment.corrupt_copy {
                let detail = format!("the header copy at byte {offset} is damaged; the other copy is used");
                list.push(Finding::of_segment(number, "header", Verdict::Rot, detail));
            }
        }
        for (first, last) in missing_segments(disk, overview)? {
            let files = match last {
                last if last == first => "the file was".to_owned(),
                last => format!("the files up to {} were", file_name(last)),
            };
            let detail = format!("{files} deleted, renamed or dropped");
            list.push(Finding::of_segment(first, "missing", Verdict::Rot, detail));
        }
        for number in &overview.foreign {
            let detail = "belongs to another log, or the file was renamed; not read".to_owned();
            list.push(Finding::of_segment(*number, "foreign", Verdict::Rot, detail));
        }
        list.sort_by_key(|finding| finding.segment);
        let has_lost_start = overview.segments.first().is_some_and(|first| first.header.is_none());
        let mut findings = Self { list, has_lost_end, has_lost_start, delivered: SeqNo::NONE };
        findings.read_marker_files(disk, overview);
        Ok(findings)
    }

    fn read_marker_files(&mut self, disk: &Disk, overview: &Overview) {
        let Some(log_id) = overview.log_id else { return };
        let directory = disk.directory();
        let mut damaged = |file: &str, error: &dyn std::fmt::Display| {
            let (file, detail) = (file.to_owned(), error.to_string());
            self.list.push(Finding { segment: None, file, name: "marker", detail, verdict: Verdict::Rot });
        };
        match forwarder::delivered_up_to(directory, log_id) {
            Ok(seq) => self.delivered = seq.unwrap_or(SeqNo::NONE),
            Err(error) => damaged("delivered", &error),
        }
        if let Err(error) = forwarder::delivered_as(directory, log_id) {
            damaged("forked", &error);
        }
    }

    /// Adds that batches behind `last`, the last one of the log, were delivered from it. Returns their
    /// number.
    pub(crate) fn compare_end(&mut self, disk: &Disk, mut last: SeqNo) -> Result<u64, Failure> {
        if self.delivered <= last {
            return Ok(0);
        }
        // A daemon may have appended and delivered batches since the end was read. The marker file was read
        // before now, so the log must have these batches.
        let overview = overview(disk)?;
        let end = overview.segments.iter().rfind(|segment| segment.header.is_some());
        if let Some(examined) = end.map(|segment| examine(disk, segment)).transpose()?.flatten() {
            last = last.max(examined.last_seq);
        }
        let lost = self.delivered.0.saturating_sub(last.0);
        if let Some(segment) = overview.segments.last().filter(|_| lost > 0) {
            let detail = format!(
                "the log ends at batch {last}, but was delivered up to batch {} (marker file `delivered`): \
                 at least {lost} batches are missing at its end",
                self.delivered
            );
            self.list.push(Finding::of_segment(segment.number, "end", Verdict::Rot, detail));
            self.has_lost_end = true;
        }
        Ok(lost)
    }

    pub(crate) fn worst(&self) -> Option<Verdict> {
        self.list.iter().map(|finding| finding.verdict).max()
    }

    /// Exit code of a command that only reports them.
    pub(crate) fn exit_code(&self) -> u8 {
        self.worst().map_or(0, exit_code)
    }

    /// Prints all findings with the paths of their files on standard error.
    pub(crate) fn print_errors(&self, disk: &Disk) {
        for Finding { file, name, detail, .. } in &self.list {
            print_error(&format!("{}: {name}: {detail}", disk.directory().join(file).display()));
        }
    }
}

/// As [`Listed::truncated_from`], and `None` for a last segment that has its SEAL frame.
fn truncated_from(disk: &Disk, segment: &Listed) -> Result<Option<u64>, Failure> {
    let truncated = segment.truncated_from();
    if truncated.is_some() && segment.bound.is_none() {
        let is_sealed = examine(disk, segment)?.is_some_and(|examined| examined.sealed);
        return Ok(truncated.filter(|_| !is_sealed));
    }
    Ok(truncated)
}

/// The missing segments of the log that are missing in a second listing as well: a daemon may have recycled
/// the oldest segments while the first one was made.
fn missing_segments(disk: &Disk, first: &Overview) -> Result<Vec<(u64, u64)>, Failure> {
    let mut missing = first.missing_segments();
    if !missing.is_empty() {
        let again = overview(disk)?.missing_segments();
        missing.retain(|range| again.contains(range));
    }
    Ok(missing)
}

/// Prints one finding of a segment.
pub(crate) fn report(
    out: &mut Output,
    as_json: bool,
    segment: u64,
    name: &'static str,
    detail: String,
) -> Result<(), Failure> {
    // The verdict is not printed.
    let finding = Finding::of_segment(segment, name, Verdict::Rot, detail);
    if as_json { out.json(&finding.json()) } else { out.line(&finding.text()) }
}

pub(crate) const fn damage_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Torn => "torn",
        Verdict::Rot => "corrupt",
        Verdict::Unreadable => "unreadable",
    }
}

pub(crate) const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Torn => 1,
        Verdict::Rot => EXIT_LOSS,
        Verdict::Unreadable => 3,
    }
}

/// Text for a range of lost batches.
pub(crate) fn lost_text(from: SeqNo, to: SeqNo, reason: GapReason) -> String {
    let name = reason.name();
    match reason {
        GapReason::Skipped => format!(
            "batches {from} to {to} at most lost ({name}): the end of the log was lost, and with it their \
             number"
        ),
        _ => format!("batches {from} to {to} lost ({name})"),
    }
}

/// Numbers of lost batches.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lost {
    /// Batches that are known to be lost.
    pub(crate) batches: u64,
    /// Further batches are lost, and their number is unknown.
    pub(crate) and_more: bool,
}

impl Lost {
    /// Adds a missing range.
    pub(crate) fn add(&mut self, from: SeqNo, to: SeqNo, reason: GapReason) {
        match reason {
            GapReason::Skipped => self.and_more = true,
            _ => self.batches += (to.0 + 1).saturating_sub(from.0),
        }
    }

    pub(crate) const fn is_none(self) -> bool {
        self.batches == 0 && !self.and_more
    }

    pub(crate) fn text(self) -> String {
        let Self { batches, and_more } = self;
        if and_more {
            format!("at least {batches} batches lost, exact number unknown")
        } else {
            format!("{batches} batches lost")
        }
    }

    /// The number of lost batches in JSON, and whether it is exact.
    pub(crate) fn json(self) -> (u64, bool) {
        (self.batches, !self.and_more)
    }
}
