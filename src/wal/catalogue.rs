//! The segments of a log directory, shared by the writer and the readers of a process.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LogId;
use super::error::{IoCause, ReadError};
use super::format::{GapReason, HEADER_COPY_OFFSET, HeaderError, SegmentHeader};
use super::seq::SeqNo;
use crate::wal::read::losses::{Loss, Losses};
use crate::wal::read::scan::{read_header, read_header_copies};
use crate::wal::storage::{Storage, StorageFile};

/// Name of the file that is prepared for the next segment.
pub(super) const NEXT_NAME: &str = "next";
/// Name of the lock file.
pub(super) const LOCK_NAME: &str = "LOCK";
const SUFFIX: &str = ".wal";

/// Whether a file of this name in a log's directory belongs to the log. Marker files are not among them.
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    name == LOCK_NAME || name == NEXT_NAME || name.ends_with(SUFFIX)
}

/// File name of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// Segment number that a file name stands for.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| segment_name(*number) == name)
}

/// A segment file. The writer recycles the file only while the catalogue has the sole `Arc` of it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Length of the file in bytes.
    pub(super) bytes: u64,
    /// `None` if both copies of the header are damaged or cannot be read.
    pub(super) header: Option<SegmentHeader>,
    /// The file can be opened, and a copy of the header can be read, intact or not.
    pub(super) is_readable: bool,
}

impl Segment {
    /// Number of bytes that the file has lost since it was created; 0 if the header is not known.
    pub(super) fn truncated_bytes(&self) -> u64 {
        self.header.map_or(0, |header| header.capacity.saturating_sub(self.bytes))
    }
}

/// The segments of a directory.
#[derive(Default)]
pub(super) struct Catalogue {
    /// In ascending order of their numbers.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Last durable sequence number. `None` in a process that does not own the log.
    pub(super) durable: Option<SeqNo>,
    /// Ranges of segment numbers, first and last, that were missing between two segments when the directory
    /// was read. Other holes come from segments that this process has dropped.
    pub(super) missing: Vec<(u64, u64)>,
}

impl Catalogue {
    /// The segment that holds `seq`, and the first sequence number after that segment.
    pub(super) fn find(&self, seq: SeqNo) -> Option<(Arc<Segment>, Option<SeqNo>)> {
        let mut bound = None;
        for segment in self.segments.iter().rev() {
            let Some(header) = &segment.header else { continue };
            if header.first_seq <= seq {
                return Some((Arc::clone(segment), bound));
            }
            bound = Some(header.first_seq);
        }
        None
    }

    /// Lowest sequence number in the directory.
    pub(super) fn oldest(&self) -> Option<SeqNo> {
        self.segments.iter().find_map(|segment| segment.header.as_ref()).map(|header| header.first_seq)
    }

    /// First sequence number after the segment at `index`: that of the next segment with an intact header.
    pub(super) fn bound(&self, index: usize) -> Option<SeqNo> {
        let mut later = self.segments.iter().skip(index + 1).filter_map(|segment| segment.header.as_ref());
        later.next().map(|header| header.first_seq)
    }

    /// Why numbers between the segment `number` and the next one with an intact header are lost, and the
    /// segment that should hold them. `None` for `number` stands for the start of the log. Returns `None` if
    /// an intact segment follows: the numbers are missing in the segment `number` itself.
    pub(super) fn lost_behind(&self, number: Option<u64>) -> Option<(GapReason, Option<u64>)> {
        let index = number.map_or(0, |number| self.segments.partition_point(|one| one.number <= number));
        let next = self.segments.get(index)?;
        let expected = number.map(|number| number + 1);
        if let Some(first) = expected.filter(|expected| next.number > *expected) {
            let is_missing = self.missing.iter().any(|(from, to)| (*from..=*to).contains(&first));
            let missing = (GapReason::Missing, Some(first));
            return Some(if is_missing { missing } else { (GapReason::Dropped, None) });
        }
        match (next.header.is_some(), next.is_readable) {
            (true, _) if number.is_some() => None,
            (true, _) => Some((GapReason::Dropped, None)),
            (false, true) => Some((GapReason::Rot, Some(next.number))),
            (false, false) => Some((GapReason::Unreadable, Some(next.number))),
        }
    }

    /// Size of all segment files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// A log directory and its catalogue of segments. [`Log::reader`] creates readers.
pub struct Log<S> {
    pub(super) storage: S,
    catalogue: Mutex<Catalogue>,
    /// Losses that readers have reported.
    losses: Mutex<Losses>,
    /// This process is the writer: the catalogue is always current.
    pub(super) owned: bool,
}

impl<S: Storage> Log<S> {
    pub(super) fn new(storage: S, catalogue: Catalogue, owned: bool) -> Arc<Self> {
        Arc::new(Self { storage, catalogue: Mutex::new(catalogue), losses: Mutex::default(), owned })
    }

    /// Locks the catalogue. No holder leaves it inconsistent, so a poisoned lock is usable.
    pub(super) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The losses that readers have reported ([`super::Reader::report_loss`]) since the last call, each batch
    /// once.
    #[must_use]
    pub fn take_new_losses(&self) -> Vec<Loss> {
        self.losses().take_new()
    }

    /// Number of batches, by reason, that readers have reported as lost since the start.
    #[must_use]
    pub fn lost_batches(&self) -> BTreeMap<GapReason, u64> {
        self.losses().batches()
    }

    /// Lowest sequence number that the log still holds; `None` if it holds no segment.
    #[must_use]
    pub fn oldest_seq(&self) -> Option<SeqNo> {
        self.catalogue().oldest()
    }

    /// Reads the directory again, in a process that does not own the log.
    ///
    /// The header of a known segment is read again only if `checks_known`: a segment number is used once, so
    /// that it changes only if the log is replaced or damaged.
    pub(super) fn refresh(&self, checks_known: bool) -> Result<(), ReadError> {
        let known = std::mem::take(&mut self.catalogue().segments);
        let reused = if checks_known { &VecDeque::new() } else { &known };
        let listing = list_reusing(&self.storage, reused);
        let mut catalogue = self.catalogue();
        let Ok(listing) = listing else {
            catalogue.segments = known;
            return listing.map(|_| ());
        };
        catalogue.missing = listing.missing();
        // An unchanged segment keeps its `Arc`: a reader recognizes its open segment by it.
        catalogue.segments = listing
            .segments
            .into_iter()
            .map(|segment| {
                let same = |old: &&Arc<Segment>| old.number == segment.number && old.header == segment.header;
                known.iter().find(same).map_or_else(|| Arc::new(segment.clone()), Arc::clone)
            })
            .collect();
        Ok(())
    }
}

/// Contents of a log directory.
pub(super) struct Listing {
    /// Log id of the segment with the highest number among those with an intact header.
    pub(super) log_id: Option<LogId>,
    /// The segments of that log in ascending order, including those with a damaged header.
    pub(super) segments: Vec<Segment>,
    /// Numbers of the segment files of another log, or whose header has another number.
    pub(super) foreign: Vec<u64>,
    /// Segment files that cannot be opened, with the error. They are in `segments` as well.
    pub(super) unopened: Vec<(u64, IoCause)>,
    /// A file for the next segment exists.
    pub(super) has_next: bool,
}

impl Listing {
    /// Ranges of segment numbers, first and last, that are missing between two segments.
    pub(super) fn missing(&self) -> Vec<(u64, u64)> {
        missing_numbers(self.segments.iter().map(|segment| segment.number))
    }
}

/// Ranges of numbers, first and last, that are missing between two of the ascending `numbers`.
pub(super) fn missing_numbers(numbers: impl Iterator<Item = u64> + Clone) -> Vec<(u64, u64)> {
    let pairs = numbers.clone().zip(numbers.skip(1));
    pairs.filter(|(before, next)| *next > before + 1).map(|(before, next)| (before + 1, next - 1)).collect()
}

/// Lists the segments and reads their headers. A file that cannot be opened is listed without a header.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Listing, ReadError> {
    list_reusing(storage, &VecDeque::new())
}

/// Lists the segments. Headers are taken from `known`, or else read.
fn list_reusing<S: Storage>(storage: &S, known: &VecDeque<Arc<Segment>>) -> Result<Listing, ReadError> {
    let names = storage.list()?;
    let has_next = names.iter().any(|name| name == NEXT_NAME);
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let mut segments = Vec::with_capacity(numbers.len());
    let mut unopened = Vec::new();
    for number in numbers {
        let same = |segment: &&Arc<Segment>| segment.number == number && segment.header.is_some();
        if let Some(segment) = known.iter().find(same) {
            segments.push(Segment::clone(segment));
            continue;
        }
        match read_segment(storage, number) {
            Ok(segment) => segments.push(segment),
            // Recycled since the directory was listed.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(ReadError::Io(error)) => {
                segments.push(Segment { number, bytes: 0, header: None, is_readable: false });
                unopened.push((number, error.into()));
            }
            Err(error) => return Err(error),
        }
    }
    let log_id =
        segments.iter().rev().find_map(|segment| segment.header.as_ref()).map(|header| header.log_id);
    let mut foreign = Vec::new();
    segments.retain(|segment| {
        let ours = segment
            .header
            .as_ref()
            .is_none_or(|header| Some(header.log_id) == log_id && header.number == segment.number);
        if !ours {
            foreign.push(segment.number);
        }
        ours
    });
    Ok(Listing { log_id, segments, foreign, unopened, has_next })
}

fn read_segment<S: Storage>(storage: &S, number: u64) -> Result<Segment, ReadError> {
    let file = open_segment(storage, number)?;
    let bytes = file.len()?;
    let (header, is_readable) = match read_header(&file) {
        Ok(Ok(header)) => (Some(header), true),
        Ok(Err(HeaderError::Newer { version, oldest_reader })) => {
            return Err(ReadError::Newer { segment: number, version, oldest_reader });
        }
        Ok(Err(HeaderError::Damaged)) => (None, true),
        Err(_) => (None, false),
    };
    Ok(Segment { number, bytes, header, is_readable })
}

/// Opens a segment for reading. An error names the file.
pub(super) fn open_segment<S: Storage>(storage: &S, number: u64) -> io::Result<S::File> {
    let name = segment_name(number);
    storage.open(&name).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}

/// Offset of the corrupt or unreadable header copy of a segment whose other copy is intact. `None` if both
/// are intact, or if the file is not there any more.
pub(super) fn corrupt_header_copy<S: Storage>(storage: &S, segment: &Segment) -> Option<u64> {
    let header = segment.header?;
    let copies = read_header_copies(&open_segment(storage, segment.number).ok()?);
    match copies {
        [None, Some(second)] if second == header => Some(0),
        [Some(first), None] if first == header => Some(HEADER_COPY_OFFSET),
        _ => None,
    }
}
