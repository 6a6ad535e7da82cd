//! Reads the log in order, and returns what is missing as gaps. Never writes.

use std::io;
use std::sync::Arc;

use crate::wal::catalogue::{Catalogue, Log, Segment, open_segment, segment_name};
use crate::wal::compress::decompress;
use crate::wal::error::ReadError;
use crate::wal::format::{
    CODEC_RECORD, CODEC_RECORD_LZ4, FLAG_IGNORABLE, FrameHeader, GapPayload, GapReason, HeaderError, kind,
};
use crate::wal::read::losses::Loss;
use crate::wal::read::scan::{Scanned, Scanner, read_header};
use crate::wal::seq::SeqNo;
use crate::wal::storage::Storage;

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A payload.
    Data {
        /// Sequence number.
        seq: SeqNo,
        /// Number of records in the payload.
        count: u32,
        /// Codec id of the stored payload. [`Item::Data::payload`] is decompressed already.
        codec: u8,
        /// The payload as it was appended.
        payload: &'a [u8],
    },
    /// A range of sequence numbers whose payloads cannot be read.
    Gap {
        /// First missing sequence number.
        from: SeqNo,
        /// Last missing sequence number.
        to: SeqNo,
        /// Why they are missing.
        reason: GapReason,
    },
}

/// A cursor over a log.
///
/// In the process of the writer ([`Log::reader`]) it returns only durable payloads, and keeps its segment
/// from being recycled. In another process ([`Reader::open`]) it returns what is in the page cache, and
/// detects that a segment was recycled while it was read.
pub struct Reader<S: Storage> {
    log: Arc<Log<S>>,
    next: SeqNo,
    open: Option<OpenSegment<S::File>>,
    /// Buffer for a decompressed payload.
    decompressed: Vec<u8>,
    /// The last gap that was returned, until it is reported.
    loss: Option<Loss>,
}

/// The segment that is being read.
struct OpenSegment<F> {
    segment: Arc<Segment>,
    scanner: Scanner<F>,
    /// A read error occurred since the last payload.
    unreadable: bool,
    /// Offsets of the first corrupt byte since the last payload, and of the next intact frame.
    corrupt: Option<(u64, u64)>,
    /// The SEAL frame was read.
    sealed: bool,
    /// The segment was searched up to its end. A writer continues at the offset of the scanner, so that the
    /// space behind it need not be searched again while the segment grows.
    searched: bool,
}

/// Result of looking for the entry at the next sequence number.
enum Located {
    /// A DATA frame; the scanner holds its payload.
    Data(FrameHeader),
    /// A gap from the next sequence number to `to`.
    Gap {
        to: SeqNo,
        reason: GapReason,
        /// Number of the segment that should hold the batches.
        segment: Option<u64>,
    },
    /// No entry yet.
    Nothing,
}

impl<S: Storage> Log<S> {
    /// Creates a reader that starts at `from`. It keeps the segment that it reads from being recycled.
    #[must_use]
    pub fn reader(self: &Arc<Self>, from: SeqNo) -> Reader<S> {
        Reader::new(Arc::clone(self), from)
    }
}

impl<S: Storage> Reader<S> {
    /// Opens the directory read-only and without its lock, for another process than that of the writer.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(storage: S, from: SeqNo) -> Result<Self, ReadError> {
        let log = Log::new(storage, Catalogue::default(), false);
        log.refresh(true)?;
        Ok(Self::new(log, from))
    }

    fn new(log: Arc<Log<S>>, from: SeqNo) -> Self {
        Self { log, next: from.max(SeqNo(1)), open: None, decompressed: Vec::new(), loss: None }
    }

    /// First sequence number of the next item.
    #[must_use]
    pub const fn position(&self) -> SeqNo {
        self.next
    }

    /// Returns the next item up to sequence number `limit`, or `None` if there is none yet. Waits only for
    /// the disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next(&mut self, limit: SeqNo) -> Result<Option<Item<'_>>, ReadError> {
        match self.locate(limit)? {
            Located::Nothing => Ok(None),
            Located::Gap { to, reason, segment } => Ok(Some(self.gap(to, reason, segment))),
            Located::Data(header) => {
                let (seq, codec) = (header.seq, header.codec);
                if codec == CODEC_RECORD_LZ4 && !self.decompress(header.raw_bytes) {
                    // The checksum matches, so the stored bytes are what was written, and they are not valid
                    // LZ4.
                    let segment = self.open.as_ref().map(|open| open.segment.number);
                    return Ok(Some(self.gap(seq, GapReason::Rot, segment)));
                }
                let payload = match codec {
                    CODEC_RECORD => self.open.as_ref().map_or(&[][..], |open| open.scanner.payload()),
                    CODEC_RECORD_LZ4 => &self.decompressed,
                    _ => return Err(ReadError::UnknownCodec { seq, codec }),
                };
                self.next = seq.next();
                Ok(Some(Item::Data { seq, count: header.count, codec, payload }))
            }
        }
    }

    /// Decompresses the payload of the scanner. Returns `false` if it is not valid.
    fn decompress(&mut self, raw_bytes: u32) -> bool {
        let stored = self.open.as_ref().map_or(&[][..], |open| open.scanner.payload());
        decompress(stored, raw_bytes, &mut self.decompressed)
    }

    /// Returns the gap from the next sequence number to `to`, and continues behind it.
    fn gap(&mut self, to: SeqNo, reason: GapReason, segment: Option<u64>) -> Item<'static> {
        let from = self.next;
        self.next = to.next();
        let open = self.open.as_mut().filter(|open| Some(open.segment.number) == segment);
        let bytes = open.and_then(|open| open.corrupt.take());
        self.loss = Some(Loss { from, to, reason, file: segment.map(segment_name), bytes });
        Item::Gap { from, to, reason }
    }

    /// Reports the gap that was returned last as a loss of the log, unless it was reported already.
    pub fn report_loss(&mut self) {
        if let Some(loss) = self.loss.take() {
            self.log.losses().add(loss);
        }
    }

    fn locate(&mut self, limit: SeqNo) -> Result<Located, ReadError> {
        let mut refreshed = false;
        loop {
            let (found, oldest, durable) = {
                let catalogue = self.log.catalogue();
                (catalogue.find(self.next), catalogue.oldest(), catalogue.durable)
            };
            let limit = durable.map_or(limit, |durable| limit.min(durable));
            if self.next > limit {
                return Ok(Located::Nothing);
            }
            let Some((segment, bound)) = found else {
                let Some(oldest) = oldest else { return Ok(Located::Nothing) };
                let lost = self.log.catalogue().lost_behind(None);
                let (reason, segment) = lost.unwrap_or((GapReason::Dropped, None));
                return Ok(Located::Gap { to: oldest.prev().min(limit), reason, segment });
            };
            if !self.enter(&segment)? {
                // The file was recycled. In the process of the writer this does not happen.
                if refreshed {
                    return Ok(Located::Nothing);
                }
                if self.log.owned {
                    let to = bound.map_or(limit, SeqNo::prev).min(limit);
                    let segment = Some(segment.number);
                    return Ok(Located::Gap { to, reason: GapReason::Unreadable, segment });
                }
                self.log.refresh(true)?;
                refreshed = true;
                continue;
            }
            let end = bound.map_or(limit, |bound| bound.prev().min(limit));
            match self.locate_in_segment(end, bound.is_none() && !self.log.owned)? {
                Located::Nothing => {}
                located if self.log.owned || matches!(located, Located::Data(_)) || !self.was_recycled() => {
                    return Ok(located);
                }
                Located::Data(_) | Located::Gap { .. } => {
                    self.open = None;
                    self.log.refresh(true)?;
                    continue;
                }
            }
            if !self.log.owned && !refreshed {
                self.log.refresh(false)?;
                refreshed = true;
                continue;
            }
            if bound.is_none() && durable.is_none() {
                return Ok(Located::Nothing);
            }
            // The segment ends before `end`, although these numbers were durable.
            let lost = self.log.catalogue().lost_behind(Some(segment.number));
            let (reason, segment) = match lost.filter(|_| bound.is_some() && !self.met_damage()) {
                Some(lost) => lost,
                None => (self.take_damage_reason(), Some(segment.number)),
            };
            return Ok(Located::Gap { to: end, reason, segment });
        }
    }

    /// Opens `segment` unless it is open. Returns `false` if its file is missing or has another header than
    /// the catalogue.
    fn enter(&mut self, segment: &Arc<Segment>) -> Result<bool, ReadError> {
        if self.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.segment, segment)) {
            return Ok(true);
        }
        self.open = None;
        let file = match open_segment(&self.log.storage, segment.number) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let Ok(Ok(header)) = read_header(&file) else { return Ok(false) };
        if Some(&header) != segment.header.as_ref() {
            return Ok(false);
        }
        let scanner = Scanner::new(file, header);
        let segment = Arc::clone(segment);
        let (unreadable, corrupt, sealed, searched) = (false, None, false, false);
        self.open = Some(OpenSegment { segment, scanner, unreadable, corrupt, sealed, searched });
        Ok(true)
    }

    /// Finds the frame of `self.next` in the open segment, or the gap in its place, but not beyond `end`. If
    /// `is_growing`, another process may append to the segment.
    fn locate_in_segment(&mut self, end: SeqNo, is_growing: bool) -> Result<Located, ReadError> {
        let next = self.next;
        let Some(open) = &mut self.open else { return Ok(Located::Nothing) };
        while !open.sealed {
            if is_growing && open.searched && !open.scanner.has_frame() {
                return Ok(Located::Nothing);
            }
            let offset = open.scanner.offset();
            let header = match open.scanner.step() {
                Scanned::End => {
                    open.unreadable |= open.scanner.met_unreadable();
                    open.searched = true;
                    break;
                }
                Scanned::Invalid(range) => {
                    open.unreadable |= range.unreadable;
                    open.corrupt = Some((open.corrupt.map_or(range.from, |(from, _)| from), range.to));
                    continue;
                }
                Scanned::Frame(header) => header,
            };
            let (from, to, reason) = match header.kind {
                kind::DATA => (header.seq, header.seq, None),
                kind::GAP => match GapPayload::decode(open.scanner.payload()) {
                    Some(gap) => (gap.from, gap.to, Some(gap.reason)),
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
                let segment = Some(open.segment.number);
                return Ok(Located::Gap { to: from.prev(), reason: self.take_damage_reason(), segment });
            }
            let Some(reason) = reason else {
                open.corrupt = None;
                return Ok(Located::Data(header));
            };
            if to > end {
                open.scanner.rewind(offset);
            }
            // A GAP frame does not name the segment that held the batches.
            return Ok(Located::Gap { to: to.min(end), reason, segment: None });
        }
        Ok(Located::Nothing)
    }

    /// Whether damaged data was read since the last payload.
    fn met_damage(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.unreadable || open.corrupt.is_some())
    }

    /// Reason of a gap for which the log has no GAP frame: a read error since the last payload, or else bit
    /// rot.
    fn take_damage_reason(&mut self) -> GapReason {
        let unreadable = self.open.as_mut().is_some_and(|open| std::mem::take(&mut open.unreadable));
        if unreadable { GapReason::Unreadable } else { GapReason::Rot }
    }

    /// Whether the file of the open segment was recycled.
    fn was_recycled(&self) -> bool {
        self.open.as_ref().is_some_and(|open| match read_header(open.scanner.file()) {
            Ok(Ok(header)) => header != *open.scanner.header(),
            Ok(Err(HeaderError::Newer { .. })) => true,
            // Both copies are being overwritten, or both are corrupt: the directory must be read again.
            Ok(Err(HeaderError::Damaged)) | Err(_) => true,
        })
    }
}
