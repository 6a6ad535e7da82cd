//! The segments of a log directory, shared by the writer and the readers of a process.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LogId;
use super::error::ReadError;
use super::format::{GapReason, HeaderError, SegmentHeader};
use super::seq::SeqNo;
use crate::wal::read::losses::{Loss, Losses};
use crate::wal::read::scan::read_header;
use crate::wal::storage::{Storage, StorageFile};

/// Name of the file that is prepared for the next segment.
pub(super) const NEXT_NAME: &str = "next";
/// Name of the lock file.
pub(super) const LOCK_NAME: &str = "LOCK";
const SUFFIX: &str = ".wal";

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
    /// `None` if both copies of the header are damaged.
    pub(super) header: Option<SegmentHeader>,
}

/// The segments of a directory.
#[derive(Default)]
pub(super) struct Catalogue {
    /// In ascending order of their numbers.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Last durable sequence number. `None` in a process that does not own the log.
    pub(super) durable: Option<SeqNo>,
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

    /// Whether the segment with the next higher number exists. If not, it was dropped or recycled.
    pub(super) fn is_followed(&self, number: u64) -> bool {
        self.segments.binary_search_by_key(&(number + 1), |segment| segment.number).is_ok()
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
    pub(super) fn refresh(&self) -> Result<(), ReadError> {
        let listing = list(&self.storage)?;
        let mut catalogue = self.catalogue();
        // An unchanged segment keeps its `Arc`: a reader recognizes its open segment by it.
        let known = std::mem::take(&mut catalogue.segments);
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
    /// A file for the next segment exists.
    pub(super) has_next: bool,
}

/// Lists the segments and reads their headers.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Listing, ReadError> {
    let names = storage.list()?;
    let has_next = names.iter().any(|name| name == NEXT_NAME);
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let mut segments = Vec::with_capacity(numbers.len());
    for number in numbers {
        match read_segment(storage, number) {
            Ok(segment) => segments.push(segment),
            // Recycled since the directory was listed.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                let named = format!("{}: {error}", segment_name(number));
                return Err(io::Error::new(error.kind(), named).into());
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
    Ok(Listing { log_id, segments, foreign, has_next })
}

fn read_segment<S: Storage>(storage: &S, number: u64) -> Result<Segment, ReadError> {
    let file = storage.open(&segment_name(number))?;
    let bytes = file.len()?;
    let header = match read_header(&file) {
        Ok(Ok(header)) => Some(header),
        Ok(Err(HeaderError::Newer { version, oldest_reader })) => {
            return Err(ReadError::Newer { segment: number, version, oldest_reader });
        }
        Ok(Err(HeaderError::Damaged)) | Err(_) => None,
    };
    Ok(Segment { number, bytes, header })
}
