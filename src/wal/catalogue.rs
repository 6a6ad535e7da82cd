//! Which segments there are: shared by the writer and the readers of one process.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{HeaderError, SegmentHeader};
use super::scan::read_header;
use super::storage::{Storage, StorageFile};
use super::{LogId, ReadError, Reader, SeqNo};

/// Name of the file that is made ready for the next segment.
pub(super) const NEXT_NAME: &str = "next";
/// Name of the lock file.
pub(super) const LOCK_NAME: &str = "LOCK";
const SUFFIX: &str = ".wal";

/// File name of a segment.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// Number of the segment in a file of this name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| segment_name(*number) == name)
}

/// A segment file as listed. While a reader holds the `Arc` of one, the writer does not reuse its file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Length of the file.
    pub(super) bytes: u64,
    /// `None` when neither copy of the header can be read.
    pub(super) header: Option<SegmentHeader>,
}

/// What a directory holds.
#[derive(Default)]
pub(super) struct Catalogue {
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Up to here everything is on the disk for good. `None` in a process that only looks on.
    pub(super) durable: Option<SeqNo>,
}

impl Catalogue {
    /// The readable segment that holds `seq`, and the first number that is not in it any more.
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

    /// First number that is still there.
    pub(super) fn oldest(&self) -> Option<SeqNo> {
        self.segments.iter().find_map(|segment| segment.header.as_ref()).map(|header| header.first_seq)
    }

    /// First number of the first readable segment behind the one at `index`: all below belongs to it or to earlier ones.
    pub(super) fn bound(&self, index: usize) -> Option<SeqNo> {
        let mut later = self.segments.iter().skip(index + 1).filter_map(|segment| segment.header.as_ref());
        later.next().map(|header| header.first_seq)
    }

    /// The segment behind this one is there. Otherwise its space was needed.
    pub(super) fn is_followed(&self, number: u64) -> bool {
        self.segments.binary_search_by_key(&(number + 1), |segment| segment.number).is_ok()
    }

    /// All segment files together.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// A directory that holds a log, and what is known of it. Readers of this process are made from it.
pub struct Log<S> {
    pub(super) storage: S,
    catalogue: Mutex<Catalogue>,
    /// This process writes the log, so what it knows is what is.
    pub(super) owned: bool,
}

impl<S: Storage> Log<S> {
    pub(super) fn new(storage: S, catalogue: Catalogue, owned: bool) -> Arc<Self> {
        Arc::new(Self { storage, catalogue: Mutex::new(catalogue), owned })
    }

    /// Every holder leaves the catalogue whole, so a panic elsewhere does not spoil it.
    pub(super) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader that starts at `from` and holds its segment against reuse.
    #[must_use]
    pub fn reader(self: &Arc<Self>, from: SeqNo) -> Reader<S> {
        Reader::over(Arc::clone(self), from)
    }

    /// Reads the directory again, for a process that does not own the log.
    pub(super) fn refresh(&self) -> Result<(), ReadError> {
        let listing = list(&self.storage)?;
        let mut catalogue = self.catalogue();
        // Segments that are still the same keep their Arc, so that a reader notices when its own is gone.
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

/// A directory as found.
pub(super) struct Listing {
    pub(super) log_id: Option<LogId>,
    /// In order of their numbers; unreadable ones among them.
    pub(super) segments: Vec<Segment>,
    /// Segment files of another log, or whose header names another number.
    pub(super) foreign: Vec<u64>,
    /// A file for the next segment is there.
    pub(super) has_next: bool,
}

/// Lists the segments and reads their headers. The highest readable one says which log this is.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Listing, ReadError> {
    let names = storage.list()?;
    let has_next = names.iter().any(|name| name == NEXT_NAME);
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let mut segments = Vec::with_capacity(numbers.len());
    for number in numbers {
        match look(storage, number) {
            Ok(segment) => segments.push(segment),
            // Reused between the listing and now.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
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

fn look<S: Storage>(storage: &S, number: u64) -> Result<Segment, ReadError> {
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
