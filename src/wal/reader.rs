//! Reads the log in order and tells what is missing in place. Never writes.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::SeqNo;
use super::catalogue::{Catalogue, Log, Segment, segment_name};
use super::compress;
use super::format::{
    CODEC_RECORD, CODEC_RECORD_LZ4, FLAG_IGNORABLE, FrameHeader, GapNote, GapReason, HeaderError, kind,
};
use super::scan::{Scanner, Step, read_header};
use super::storage::Storage;

/// What stands next in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A payload.
    Data {
        /// Its number.
        seq: SeqNo,
        /// Records in it.
        count: u32,
        /// Codec id of what is stored; the payload is given as it was appended.
        codec: u8,
        /// The bytes as they were appended.
        payload: &'a [u8],
    },
    /// Numbers that nobody will ever see.
    Gap {
        /// First missing number.
        from: SeqNo,
        /// Last missing number.
        to: SeqNo,
        /// Why.
        reason: GapReason,
    },
}

/// Why reading cannot go on. Damage is not among it: that is a gap.
#[derive(Debug)]
pub enum ReadError {
    /// The file system refuses; worth another try.
    Io(io::Error),
    /// Written by a later version of this program.
    Newer {
        /// Number of the segment.
        segment: u64,
        /// Version that wrote it.
        version: u16,
        /// Oldest version that can read it.
        oldest_reader: u16,
    },
    /// A frame of a kind that must not be skipped by who does not know it.
    UnknownKind {
        /// Number of the segment.
        segment: u64,
        /// The kind.
        kind: u8,
    },
    /// A payload in a form that a later version writes.
    UnknownCodec {
        /// Its number.
        seq: SeqNo,
        /// Codec id.
        codec: u8,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Newer { segment, version, oldest_reader } => write!(
                f,
                "segment {segment} has format version {version}, which needs a reader of version {oldest_reader} or later"
            ),
            Self::UnknownKind { segment, kind } => {
                write!(f, "segment {segment} holds a frame of kind {kind}, which this version does not know")
            }
            Self::UnknownCodec { seq, codec } => {
                write!(f, "payload {seq} is in codec {codec}, which this version does not know")
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Newer { .. } | Self::UnknownKind { .. } | Self::UnknownCodec { .. } => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A place in the log that moves on item by item.
///
/// In the writer's process ([`Log::reader`]) it never shows what is not durable, and holds its segment against reuse.
/// In another process ([`Reader::open`]) it shows what the page cache shows, and finds out when a segment was
/// reused under it.
pub struct Reader<S: Storage> {
    log: Arc<Log<S>>,
    next: SeqNo,
    open: Option<Open<S::File>>,
    /// The last payload that was stored compressed.
    unpacked: Vec<u8>,
}

struct Open<F> {
    segment: Arc<Segment>,
    scanner: Scanner<F>,
    /// The disk refused to read something since the last payload.
    unreadable: bool,
    sealed: bool,
}

/// What the walk through one segment came to.
enum Found {
    Data(FrameHeader),
    Gap { to: SeqNo, reason: GapReason },
    Nothing,
}

impl<S: Storage> Reader<S> {
    /// For another process than the writer's: opens the directory read-only, without its lock.
    pub fn open(storage: S, from: SeqNo) -> Result<Self, ReadError> {
        let log = Log::new(storage, Catalogue::default(), false);
        log.refresh()?;
        Ok(Self::over(log, from))
    }

    pub(super) fn over(log: Arc<Log<S>>, from: SeqNo) -> Self {
        Self { log, next: from.max(SeqNo(1)), open: None, unpacked: Vec::new() }
    }

    /// The number that the next item begins with.
    #[must_use]
    pub const fn position(&self) -> SeqNo {
        self.next
    }

    /// The next item with a number up to `limit`, `None` when there is none yet. Blocks on the disk only.
    pub fn next(&mut self, limit: SeqNo) -> Result<Option<Item<'_>>, ReadError> {
        match self.advance(limit)? {
            Found::Nothing => Ok(None),
            Found::Gap { to, reason } => {
                let from = self.next;
                self.next = to.next();
                Ok(Some(Item::Gap { from, to, reason }))
            }
            Found::Data(header) => {
                let stored = self.open.as_ref().map_or(&[][..], |open| open.scanner.payload());
                let (seq, codec) = (header.seq, header.codec);
                let payload = match codec {
                    CODEC_RECORD => stored,
                    CODEC_RECORD_LZ4 if compress::unpack(stored, header.raw_bytes, &mut self.unpacked) => {
                        &self.unpacked
                    }
                    // Its checksum fits, so this is what was written, and it is no payload: nobody will ever see it.
                    CODEC_RECORD_LZ4 => {
                        self.next = seq.next();
                        return Ok(Some(Item::Gap { from: seq, to: seq, reason: GapReason::Rot }));
                    }
                    _ => return Err(ReadError::UnknownCodec { seq, codec }),
                };
                self.next = seq.next();
                Ok(Some(Item::Data { seq, count: header.count, codec, payload }))
            }
        }
    }

    fn advance(&mut self, limit: SeqNo) -> Result<Found, ReadError> {
        let mut refreshed = false;
        loop {
            let (place, oldest, durable) = {
                let catalogue = self.log.catalogue();
                (catalogue.find(self.next), catalogue.oldest(), catalogue.durable)
            };
            let limit = durable.map_or(limit, |durable| limit.min(durable));
            if self.next > limit {
                return Ok(Found::Nothing);
            }
            let Some((segment, bound)) = place else {
                return Ok(match oldest {
                    Some(oldest) => Found::Gap { to: oldest.prev().min(limit), reason: GapReason::Dropped },
                    None => Found::Nothing,
                });
            };
            if !self.enter(&segment)? {
                // Reused under us; a process that owns the log never sees that.
                if refreshed {
                    return Ok(Found::Nothing);
                }
                if self.log.owned {
                    let to = bound.map_or(limit, SeqNo::prev).min(limit);
                    return Ok(Found::Gap { to, reason: GapReason::Unreadable });
                }
                self.log.refresh()?;
                refreshed = true;
                continue;
            }
            let end = bound.map_or(limit, |bound| bound.prev().min(limit));
            match self.walk(end)? {
                Found::Nothing => {}
                found if self.log.owned || matches!(found, Found::Data(_)) || !self.was_reused() => {
                    return Ok(found);
                }
                Found::Data(_) | Found::Gap { .. } => {
                    self.open = None;
                    self.log.refresh()?;
                    continue;
                }
            }
            if !self.log.owned && !refreshed {
                self.log.refresh()?;
                refreshed = true;
                continue;
            }
            // The segment has no more, although these numbers are known to have been durable.
            let is_dropped = bound.is_some() && !self.log.catalogue().is_followed(segment.number);
            return Ok(match (bound, durable) {
                (None, None) => Found::Nothing,
                _ if is_dropped => Found::Gap { to: end, reason: GapReason::Dropped },
                _ => Found::Gap { to: end, reason: self.blame() },
            });
        }
    }

    /// Makes `segment` the open one. False when its file is not what the catalogue says.
    fn enter(&mut self, segment: &Arc<Segment>) -> Result<bool, ReadError> {
        if self.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.segment, segment)) {
            return Ok(true);
        }
        self.open = None;
        let file = match self.log.storage.open(&segment_name(segment.number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let Ok(Ok(header)) = read_header(&file) else { return Ok(false) };
        if Some(&header) != segment.header.as_ref() {
            return Ok(false);
        }
        let scanner = Scanner::new(file, header);
        self.open = Some(Open { segment: Arc::clone(segment), scanner, unreadable: false, sealed: false });
        Ok(true)
    }

    /// Goes to the frame that holds `self.next`, or to what stands in its place, but not beyond `end`.
    fn walk(&mut self, end: SeqNo) -> Result<Found, ReadError> {
        let next = self.next;
        let Some(open) = &mut self.open else { return Ok(Found::Nothing) };
        while !open.sealed {
            let offset = open.scanner.offset();
            let header = match open.scanner.step() {
                Step::End => {
                    open.unreadable |= open.scanner.met_unreadable();
                    break;
                }
                Step::Bad(bad) => {
                    open.unreadable |= bad.unreadable;
                    continue;
                }
                Step::Frame(header) => header,
            };
            let (from, to, reason) = match header.kind {
                kind::DATA => (header.seq, header.seq, None),
                kind::GAP => match GapNote::decode(open.scanner.payload()) {
                    Some(note) => (note.from, note.to, Some(note.reason)),
                    None => continue,
                },
                kind::SEAL => {
                    open.sealed = true;
                    continue;
                }
                kind::COMMIT | kind::SNAPSHOT | kind::DURABILITY_MARK => continue,
                _ if header.flags & FLAG_IGNORABLE != 0 => continue,
                other => return Err(ReadError::UnknownKind { segment: open.segment.number, kind: other }),
            };
            if to < next {
                continue;
            }
            if from > end {
                open.scanner.rewind(offset);
                break;
            }
            if from > next {
                open.scanner.rewind(offset);
                return Ok(Found::Gap { to: from.prev(), reason: self.blame() });
            }
            let Some(reason) = reason else { return Ok(Found::Data(header)) };
            if to > end {
                open.scanner.rewind(offset);
            }
            return Ok(Found::Gap { to: to.min(end), reason });
        }
        Ok(Found::Nothing)
    }

    fn blame(&mut self) -> GapReason {
        let unreadable = self.open.as_mut().is_some_and(|open| std::mem::take(&mut open.unreadable));
        if unreadable { GapReason::Unreadable } else { GapReason::Rot }
    }

    /// The file under the open segment has begun another life.
    fn was_reused(&self) -> bool {
        self.open.as_ref().is_some_and(|open| match read_header(open.scanner.file()) {
            Ok(Ok(header)) => header != *open.scanner.header(),
            Ok(Err(HeaderError::Newer { .. })) => true,
            // Both copies are being rewritten, or both are gone: the listing will tell.
            Ok(Err(HeaderError::Damaged)) | Err(_) => true,
        })
    }
}
