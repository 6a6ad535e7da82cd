//! Opens a directory for writing after whatever happened to it.
//!
//! 1. Take the lock.
//! 2. Read the headers of all segments.
//! 3. Walk the last segment, and only that one: what is older was synced before the last one got its name.
//! 4. Find the highest group in it. All below is durable. The highest one may be in the page cache only: the writer
//!    copies it into a new segment, and syncs that before it gets its name.
//!
//! Nothing that is there is changed: no truncation, no append. So a crash at any moment in here leaves the directory as
//! it was, or with one segment more, and recovery can begin again.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::catalogue::{Catalogue, LOCK_NAME, Log, NEXT_NAME, Segment, list, segment_name};
use super::error::WriteError;
use super::format::{FRAME_HEADER_BYTES, Frame, FrameHeader, GapNote, GapReason, Place, SegmentHeader, kind};
use super::group::Group;
use super::reader::ReadError;
use super::scan::{Scanner, Step};
use super::segment_allocator::Spare;
use super::segment_scan::Survey;
use super::storage::{Storage, StorageFile, is_passing, to_u64};
use super::writer::{Start, Writer};
use super::{LogId, Options, SeqNo};

/// Why a log was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process writes it.
    Locked {
        /// Its process id, as it noted it.
        holder: String,
    },
    /// The options contradict themselves.
    Options(&'static str),
    /// It cannot be read, or a later version wrote it.
    Read(ReadError),
    /// It cannot be written: the disk is broken. A full or read-only disk is not among it.
    Write(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { holder } => write!(f, "the log is in use by process {holder}"),
            Self::Options(what) => f.write_str(what),
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => write!(f, "the log cannot be written: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Locked { .. } | Self::Options(_) | Self::Write(_) => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Read(ReadError::Io(error))
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Durable bytes of the last segment are not what was written. Readers tell which numbers are lost.
    Rot {
        /// Segment number.
        segment: u64,
        /// First bad byte.
        from: u64,
        /// First good byte behind.
        to: u64,
    },
    /// The crash left a hole in the last group, or cut it.
    Torn {
        /// Segment number.
        segment: u64,
        /// First bad byte.
        from: u64,
        /// First good byte behind; equal to `from` when nothing good follows.
        to: u64,
    },
    /// Both copies of a segment's header are gone.
    Header {
        /// Segment number, from the file's name.
        segment: u64,
    },
    /// A segment file of another log, or under another name. It is left alone.
    Foreign {
        /// Segment number, from the file's name.
        segment: u64,
    },
}

/// What the log was found to be.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Which log this is.
    pub log_id: LogId,
    /// The directory held none before.
    pub is_new: bool,
    /// Number that the next payload gets.
    pub next: SeqNo,
    /// Lowest number that is still there.
    pub oldest: SeqNo,
    /// Grows with each start: the number of the first segment that this process makes.
    pub run: u64,
    /// The last snapshot that was written, and the number before which it tells the state. What came since is in the
    /// payloads from that number on.
    pub snapshot: Option<(SeqNo, Vec<u8>)>,
    /// When the last group was closed, µs since the epoch; 0 when unknown. What came later was lost with the process.
    pub last_commit: i64,
    /// The last process sealed the log in order.
    pub was_closed: bool,
    /// Payloads whose durability was undecided, and that are logged again.
    pub copied: u64,
    /// What is not as it was written, as far as the start looks: headers and the last segment.
    pub damage: Vec<Damage>,
}

/// Opens the log for writing. The directory may be empty, or what a crash left.
///
/// A full or read-only disk does not stop this: the writer then says [`WriteError::Full`] until it passes.
pub fn recover<S: Storage>(storage: S, options: Options) -> Result<(Writer<S>, Recovered), OpenError> {
    options.check()?;
    let lock = storage.lock(LOCK_NAME)?.map_err(|holder| OpenError::Locked { holder })?;
    // The process before may have ended between the rename of a segment and the sync that makes the name last. What is
    // found here is called durable below, so its names are made so first.
    storage.sync_dir()?;
    let listing = list(&storage)?;
    let spare = if listing.has_next { open_spare(&storage)? } else { None };
    let log_id = listing.log_id.unwrap_or(options.new_log_id);
    let tail = tail(&storage, &listing.segments, &options)?;
    let mut damage: Vec<Damage> =
        listing.foreign.iter().map(|segment| Damage::Foreign { segment: *segment }).collect();
    let headless = listing.segments.iter().filter(|segment| segment.header.is_none());
    damage.extend(headless.map(|segment| Damage::Header { segment: segment.number }));
    damage.extend(tail.damage);

    let highest =
        listing.segments.iter().map(|segment| segment.number).chain(listing.foreign.iter().copied()).max();
    let next_number = highest.map_or(1, |number| number + 1);
    let external_high_water =
        options.external_high_water.filter(|(id, _)| *id == log_id).map_or(SeqNo::NONE, |(_, seq)| seq);
    let mut group = tail.group;
    let next = note_missing(&mut group, tail.next, external_high_water);
    let is_new = listing.segments.is_empty();
    let oldest = listing
        .segments
        .iter()
        .find_map(|segment| segment.header.as_ref())
        .map_or(next, |header| header.first_seq);
    let recovered = Recovered {
        log_id,
        is_new,
        next,
        oldest,
        run: next_number,
        snapshot: tail.snapshot.clone(),
        last_commit: tail.last_commit,
        was_closed: tail.was_closed,
        copied: group.payloads,
        damage,
    };
    let catalogue = Catalogue {
        segments: listing.segments.into_iter().map(Arc::new).collect(),
        durable: Some(if group.bytes.is_empty() { next.prev() } else { group.first.prev() }),
    };
    let start = Start {
        log: Log::new(storage, catalogue, true),
        lock,
        spare,
        log_id,
        next,
        next_group: tail.next_group,
        next_number,
        snapshot: tail.snapshot,
        group,
        previous_end: tail.previous_end,
    };
    let mut writer = Writer::start(start, options);
    match writer.ensure_active() {
        Ok(()) | Err(WriteError::Full(_) | WriteError::TooLarge { .. }) => Ok((writer, recovered)),
        Err(WriteError::Failed(error)) => Err(OpenError::Write(error)),
    }
}

/// A spare file that cannot even be opened is left for the pool to replace; on a read-only disk, until it is none.
fn open_spare<S: Storage>(storage: &S) -> Result<Option<Spare<S::File>>, OpenError> {
    match storage.open_write(NEXT_NAME) {
        Ok(file) => Ok(Some(Spare { bytes: file.len()?, file })),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How the log ends.
#[derive(Default)]
struct Tail {
    next: SeqNo,
    next_group: u64,
    group: Group,
    snapshot: Option<(SeqNo, Vec<u8>)>,
    last_commit: i64,
    was_closed: bool,
    previous_end: u64,
    damage: Vec<Damage>,
}

fn tail<S: Storage>(storage: &S, segments: &[Segment], options: &Options) -> Result<Tail, OpenError> {
    let readable =
        segments.iter().enumerate().rev().find_map(|(at, segment)| segment.header.map(|header| (at, header)));
    let mut tail =
        Tail { next: options.first, next_group: 1, snapshot: options.snapshot.clone(), ..Tail::default() };
    if let Some((_, header)) = readable {
        tail = last_segment(storage, header)?;
    }
    // Segments whose header is gone may have held numbers that were delivered: none of these is given again.
    let behind = readable.map_or(0, |(at, _)| at + 1);
    // Nor does such a file's length tell how much was in it: it may be cut as well.
    let bytes = segments.iter().map(|segment| segment.bytes).max().unwrap_or(0).max(options.segment_bytes);
    for _ in segments.iter().skip(behind) {
        let frames_max = bytes / to_u64(FRAME_HEADER_BYTES);
        let lost_to = SeqNo(tail.next.0.saturating_add(frames_max));
        tail.next = note_missing(&mut tail.group, tail.next, lost_to);
        tail.next_group = tail.next_group.saturating_add(frames_max + 1);
        tail.was_closed = false;
    }
    if tail.snapshot.is_none() {
        tail.snapshot = older_snapshot(storage, segments)?;
    }
    Ok(tail)
}

/// Numbers from `next` to `lost_to` are known to have been there: told as a gap. Returns the number behind.
fn note_missing(group: &mut Group, next: SeqNo, lost_to: SeqNo) -> SeqNo {
    if lost_to < next {
        return next;
    }
    push_gap(group, next, lost_to, GapReason::Rot);
    lost_to.next()
}

fn push_gap(group: &mut Group, from: SeqNo, to: SeqNo, reason: GapReason) {
    if group.bytes.is_empty() {
        group.first = from;
    }
    let frame = Frame::own(kind::GAP, from);
    group.push(&frame, NOWHERE, &GapNote { from, to, reason }.encode());
}

/// The writer gives these frames their place when it enters the new segment.
const NOWHERE: Place = Place { salt: 0, group: 0, offset: 0 };

fn last_segment<S: Storage>(storage: &S, header: SegmentHeader) -> Result<Tail, OpenError> {
    let mut scanner = Scanner::new(storage.open(&segment_name(header.number))?, header);
    let mut undecided = Undecided::new(header.first_group);
    let survey = Survey::new(&mut scanner, None, |frame, payload| undecided.see(frame, payload));
    if let Some(unknown) = survey.unknown_kind {
        return Err(ReadError::UnknownKind { segment: header.number, kind: unknown }.into());
    }
    let holes_torn = |torn: bool| {
        let survey = &survey;
        survey.holes.iter().filter(move |hole| survey.is_torn(hole, header.first_group, true) == torn)
    };
    let segment = header.number;
    let mut damage: Vec<Damage> =
        holes_torn(false).map(|hole| Damage::Rot { segment, from: hole.bad.from, to: hole.bad.to }).collect();
    damage.extend(holes_torn(true).map(|hole| Damage::Torn {
        segment,
        from: hole.bad.from,
        to: hole.bad.to,
    }));
    if !survey.closed {
        damage.push(Damage::Torn { segment, from: survey.end, to: survey.end });
    }
    let has_rot = holes_torn(false).next().is_some();
    let next = survey.last_seq.next();
    let group = if survey.last_group > header.first_group {
        undecided.group(first_undecided(&survey, has_rot), next)
    } else {
        Group::default()
    };
    Ok(Tail {
        next,
        next_group: survey.last_group + 1,
        group,
        last_commit: survey.time_max,
        was_closed: survey.sealed_at.is_some(),
        previous_end: survey.sealed_at.unwrap_or(0),
        snapshot: survey.snapshot,
        damage,
    })
}

/// Where the undecided group begins. Its own end knows; else it follows the group before, unless rot stands
/// between: then what is missing belongs to the rot.
fn first_undecided(survey: &Survey, has_rot: bool) -> SeqNo {
    let lowest = survey.last_group_lowest.unwrap_or_else(|| survey.last_seq.next());
    match survey.last_group_first {
        Some(first) => first,
        None if has_rot => lowest,
        None => survey.decided_seq.next(),
    }
}

/// Collects the payloads of the highest group seen so far.
struct Undecided {
    group: u64,
    frames: Vec<(FrameHeader, Vec<u8>)>,
}

impl Undecided {
    const fn new(first_group: u64) -> Self {
        Self { group: first_group, frames: Vec::new() }
    }

    fn see(&mut self, header: &FrameHeader, payload: &[u8]) {
        if header.group > self.group {
            self.group = header.group;
            self.frames.clear();
        }
        if header.kind == kind::DATA {
            self.frames.push((*header, payload.to_vec()));
        }
    }

    /// The frames from `first` to before `next`, with what is missing told in place.
    fn group(self, first: SeqNo, next: SeqNo) -> Group {
        let mut group = Group { first, ..Group::default() };
        let mut expected = first;
        for (header, payload) in self.frames {
            if header.seq < expected {
                continue;
            }
            if header.seq > expected {
                push_gap(&mut group, expected, header.seq.prev(), GapReason::Torn);
            }
            group.push(&Frame::again(&header), NOWHERE, &payload);
            expected = header.seq.next();
        }
        if expected < next {
            push_gap(&mut group, expected, next.prev(), GapReason::Torn);
        }
        group
    }
}

/// The snapshot of the last segment that has one.
fn older_snapshot<S: Storage>(
    storage: &S,
    segments: &[Segment],
) -> Result<Option<(SeqNo, Vec<u8>)>, OpenError> {
    // Three of them bound the time of a start.
    for header in segments.iter().rev().filter_map(|segment| segment.header).take(3) {
        let snapshot = read_snapshot(storage, header)?;
        if snapshot.is_some() {
            return Ok(snapshot);
        }
    }
    Ok(None)
}

/// The snapshot at the head of a segment: its first frame, when it has one and that is sound.
pub(super) fn read_snapshot<S: Storage>(
    storage: &S,
    header: SegmentHeader,
) -> io::Result<Option<(SeqNo, Vec<u8>)>> {
    let mut scanner = Scanner::new(storage.open(&segment_name(header.number))?, header);
    Ok(match scanner.step() {
        Step::Frame(frame) if frame.kind == kind::SNAPSHOT => Some((frame.seq, scanner.payload().to_vec())),
        _ => None,
    })
}
