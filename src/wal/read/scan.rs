//! Reads the frames of one segment in order, and finds the next frame behind damaged data.

use std::io;

use crate::num::{to_u64, to_usize, u32_to_usize};
use crate::wal::format::{
    ALIGN, FRAME_HEADER_BYTES, FRAME_MAGIC, FRAMES_START, FrameHeader, HEADER_COPY_OFFSET, HeaderError,
    PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use crate::wal::storage::{StorageFile, read_all};

/// Bytes read ahead at once.
const WINDOW_BYTES: usize = 256 << 10;
/// After a read error the window is read again in pieces of this size, to keep what can be read.
const SECTOR_BYTES: usize = 4096;
/// Bytes searched at once for the next frame.
const RESYNC_BYTES: usize = 16 << 10;

/// Result of one step through a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wal) enum Scanned {
    /// An intact frame; [`Scanner::payload`] returns its payload.
    Frame(FrameHeader),
    /// Data that is not an intact frame, up to the next frame header or to the end of the damaged frame.
    Invalid(InvalidRange),
    /// No frame from the current offset to the end of the file.
    End,
}

/// A range of a segment that holds no intact frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wal) struct InvalidRange {
    /// Offset of the first byte.
    pub(in crate::wal) from: u64,
    /// Offset behind the last byte.
    pub(in crate::wal) to: u64,
    /// Header of the frame if only its payload is damaged.
    pub(in crate::wal) header: Option<FrameHeader>,
    /// A part of the range could not be read.
    pub(in crate::wal) unreadable: bool,
}

/// Reads the segment header: the first intact copy.
pub(in crate::wal) fn read_header<F: StorageFile>(
    file: &F,
) -> io::Result<Result<SegmentHeader, HeaderError>> {
    let mut invalid = HeaderError::Damaged;
    let mut read_error = None;
    for offset in [0, HEADER_COPY_OFFSET] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        match read_all(file, &mut bytes, offset) {
            Ok(_) => match SegmentHeader::decode(&bytes) {
                Ok(header) => return Ok(Ok(header)),
                Err(HeaderError::Damaged) => {}
                Err(newer) => invalid = newer,
            },
            Err(error) => read_error = Some(error),
        }
    }
    match read_error {
        Some(error) if invalid == HeaderError::Damaged => Err(error),
        _ => Ok(Err(invalid)),
    }
}

/// Both copies of the segment header; `None` for one that is corrupt or cannot be read.
pub(in crate::wal) fn read_header_copies<F: StorageFile>(file: &F) -> [Option<SegmentHeader>; 2] {
    [0, HEADER_COPY_OFFSET].map(|offset| {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        read_all(file, &mut bytes, offset).ok()?;
        SegmentHeader::decode(&bytes).ok()
    })
}

/// A cursor over the frames of a segment.
pub(in crate::wal) struct Scanner<F> {
    file: F,
    header: SegmentHeader,
    /// Offset of the next frame.
    offset: u64,
    window: Window,
    /// Offset and length of the last payload.
    payload: (u64, usize),
}

impl<F: StorageFile> Scanner<F> {
    pub(in crate::wal) fn new(file: F, header: SegmentHeader) -> Self {
        Self { file, header, offset: FRAMES_START, window: Window::default(), payload: (0, 0) }
    }

    pub(in crate::wal) const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(in crate::wal) const fn file(&self) -> &F {
        &self.file
    }

    pub(in crate::wal) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the last step met a read error.
    pub(in crate::wal) const fn met_unreadable(&self) -> bool {
        self.window.unreadable
    }

    /// Moves the cursor back to the frame at `offset`.
    pub(in crate::wal) const fn rewind(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Payload of the last [`Scanned::Frame`].
    pub(in crate::wal) fn payload(&self) -> &[u8] {
        self.window.peek(self.payload.0, self.payload.1)
    }

    /// Moves behind the next frame or invalid range. Invalid data is read twice, because the writer may be
    /// writing it.
    pub(in crate::wal) fn step(&mut self) -> Scanned {
        self.window.unreadable = false;
        match self.check_frame() {
            FrameCheck::Intact(header) => self.accept(header),
            FrameCheck::DamagedPayload(_) | FrameCheck::NoHeader => {
                self.window.clear();
                match self.check_frame() {
                    FrameCheck::Intact(header) => self.accept(header),
                    FrameCheck::DamagedPayload(header) => {
                        let from = self.offset;
                        self.offset = header.end(from);
                        self.invalid(from, Some(header))
                    }
                    FrameCheck::NoHeader => self.resynchronize(),
                }
            }
        }
    }

    /// Whether an intact frame stands at the current offset. Reads 48 bytes if there is none.
    pub(in crate::wal) fn has_frame(&mut self) -> bool {
        if matches!(self.check_frame(), FrameCheck::Intact(_)) {
            return true;
        }
        let mut bytes = [0; FRAME_HEADER_BYTES];
        if read_all(&self.file, &mut bytes, self.offset).is_err()
            || self.decode_at(&bytes, self.offset).is_none()
        {
            return false;
        }
        self.window.clear();
        matches!(self.check_frame(), FrameCheck::Intact(_))
    }

    fn accept(&mut self, header: FrameHeader) -> Scanned {
        self.payload = (self.offset + to_u64(FRAME_HEADER_BYTES), u32_to_usize(header.payload_bytes));
        self.offset = header.end(self.offset);
        Scanned::Frame(header)
    }

    /// The range from `from` to the current offset.
    fn invalid(&self, from: u64, header: Option<FrameHeader>) -> Scanned {
        Scanned::Invalid(InvalidRange { from, to: self.offset, header, unreadable: self.window.unreadable })
    }

    fn check_frame(&mut self) -> FrameCheck {
        let Some(header) = self.header_at(self.offset) else { return FrameCheck::NoHeader };
        let stored_bytes = to_usize(header.frame_bytes()) - FRAME_HEADER_BYTES;
        let stored = self.window.get(&self.file, self.offset + to_u64(FRAME_HEADER_BYTES), stored_bytes);
        if stored.len() == stored_bytes && header.payload_is_intact(stored, self.header.salt) {
            FrameCheck::Intact(header)
        } else {
            FrameCheck::DamagedPayload(header)
        }
    }

    fn header_at(&mut self, offset: u64) -> Option<FrameHeader> {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        let found = self.window.get(&self.file, offset, FRAME_HEADER_BYTES);
        bytes.get_mut(..found.len())?.copy_from_slice(found);
        self.decode_at(&bytes, offset)
    }

    /// The frame header in `bytes`, if it can be one of this segment at `offset`.
    fn decode_at(&self, bytes: &[u8], offset: u64) -> Option<FrameHeader> {
        let header = FrameHeader::decode(bytes, self.header.salt)?;
        let fits = u64::from(header.offset) == offset
            && header.group >= self.header.first_group
            && u32_to_usize(header.payload_bytes) <= PAYLOAD_BYTES_MAX
            && offset + header.frame_bytes() <= self.header.capacity;
        fits.then_some(header)
    }

    /// Searches the next frame header at multiples of 8 bytes. Without one the offset is unchanged: the next
    /// frame of the open segment will be written there.
    fn resynchronize(&mut self) -> Scanned {
        let from = self.offset;
        let mut start = from + ALIGN;
        while let Some(candidate) = self.next_magic(start) {
            if self.header_at(candidate).is_some() {
                self.offset = candidate;
                return self.invalid(from, None);
            }
            start = candidate + ALIGN;
        }
        Scanned::End
    }

    /// First offset from `start` on at which the magic of a frame stands.
    fn next_magic(&mut self, mut start: u64) -> Option<u64> {
        let align = to_usize(ALIGN);
        while start < self.header.capacity {
            let bytes = self.window.get(&self.file, start, RESYNC_BYTES);
            let words = bytes.len() / align;
            if words == 0 {
                return None;
            }
            if let Some(word) = bytes.chunks_exact(align).position(|word| word.starts_with(&FRAME_MAGIC)) {
                return Some(start + to_u64(word * align));
            }
            start += to_u64(words * align);
        }
        None
    }
}

/// Result of verifying the frame at an offset.
enum FrameCheck {
    Intact(FrameHeader),
    DamagedPayload(FrameHeader),
    NoHeader,
}

/// A section of the file in memory.
#[derive(Default)]
struct Window {
    /// Buffer, reused for each load.
    bytes: Vec<u8>,
    /// Number of valid bytes in `bytes`.
    filled: usize,
    /// File offset of `bytes`.
    start: u64,
    /// A read failed since this was cleared. Bytes that could not be read are zero.
    unreadable: bool,
}

impl Window {
    const fn clear(&mut self) {
        self.filled = 0;
    }

    /// `length` bytes at `offset` if the window holds them, else none.
    fn peek(&self, offset: u64, length: usize) -> &[u8] {
        let start = offset.checked_sub(self.start).map(to_usize);
        let filled = self.bytes.get(..self.filled).unwrap_or(&[]);
        start.and_then(|start| filled.get(start..start.checked_add(length)?)).unwrap_or(&[])
    }

    /// `length` bytes at `offset`; fewer at the end of the file.
    fn get<F: StorageFile>(&mut self, file: &F, offset: u64, length: usize) -> &[u8] {
        if length > 0 && self.peek(offset, length).is_empty() {
            self.load(file, offset, length);
        }
        let start = to_usize(offset.saturating_sub(self.start));
        let end = start.saturating_add(length).min(self.filled);
        self.bytes.get(start..end).unwrap_or(&[])
    }

    fn load<F: StorageFile>(&mut self, file: &F, offset: u64, length: usize) {
        self.start = offset;
        let wanted = length.max(WINDOW_BYTES);
        if self.bytes.len() < wanted {
            self.bytes = vec![0; wanted];
        }
        self.filled = match read_all(file, &mut self.bytes, offset) {
            Ok(read) => read,
            Err(_) => self.load_by_sector(file, offset),
        };
    }

    fn load_by_sector<F: StorageFile>(&mut self, file: &F, offset: u64) -> usize {
        let mut done = 0;
        for sector in self.bytes.chunks_mut(SECTOR_BYTES) {
            match read_all(file, sector, offset + to_u64(done)) {
                Ok(read) => {
                    done += read;
                    if read < sector.len() {
                        break;
                    }
                }
                Err(_) => {
                    sector.fill(0);
                    self.unreadable = true;
                    done += sector.len();
                }
            }
        }
        done
    }
}
