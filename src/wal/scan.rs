//! Walks the frames of one segment: what is sound, what is not, and where it goes on.

use super::PAYLOAD_BYTES_MAX;
use super::format::{
    ALIGN, FRAME_HEADER_BYTES, FRAME_MAGIC, FRAMES_START, FrameHeader, HEADER_COPY_OFFSET, HeaderError,
    SEGMENT_HEADER_BYTES, SegmentHeader,
};
use super::storage::{StorageFile, read_all, to_u64};
use std::io;

const WINDOW_BYTES: usize = 256 << 10;
/// After a failed read the damage is narrowed down to pieces of this size.
const SECTOR_BYTES: usize = 4096;
/// How much is searched at once for the next frame.
const RESYNC_BYTES: usize = 16 << 10;

/// One step through a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A sound frame; its payload is at [`Scanner::payload`].
    Frame(FrameHeader),
    /// Bytes that are no frame, with a sound frame header behind them or a sound header of their own.
    Bad(Bad),
    /// No frame from here to the end of the file.
    End,
}

/// A range that is not a sound frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The frame's own header when only its payload is damaged.
    pub(super) header: Option<FrameHeader>,
    /// The disk refused to read some of it.
    pub(super) unreadable: bool,
}

/// Reads the segment header: the first sound copy of the two.
pub(super) fn read_header<F: StorageFile>(file: &F) -> io::Result<Result<SegmentHeader, HeaderError>> {
    let mut verdict = HeaderError::Damaged;
    let mut failure = None;
    for offset in [0, HEADER_COPY_OFFSET] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        match read_all(file, &mut bytes, offset) {
            Ok(_) => match SegmentHeader::decode(&bytes) {
                Ok(header) => return Ok(Ok(header)),
                Err(HeaderError::Damaged) => {}
                Err(newer) => verdict = newer,
            },
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if verdict == HeaderError::Damaged => Err(error),
        _ => Ok(Err(verdict)),
    }
}

/// A place in a segment that moves on frame by frame.
pub(super) struct Scanner<F> {
    file: F,
    header: SegmentHeader,
    offset: u64,
    window: Window,
    payload: (u64, usize),
}

impl<F: StorageFile> Scanner<F> {
    pub(super) fn new(file: F, header: SegmentHeader) -> Self {
        Self { file, header, offset: FRAMES_START, window: Window::default(), payload: (0, 0) }
    }

    pub(super) const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(super) const fn file(&self) -> &F {
        &self.file
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// In the last step the disk refused to read something.
    pub(super) const fn met_unreadable(&self) -> bool {
        self.window.unreadable
    }

    /// Goes back to the frame that begins here.
    pub(super) const fn rewind(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The payload of the last [`Step::Frame`].
    pub(super) fn payload(&self) -> &[u8] {
        self.window.peek(self.payload.0, self.payload.1)
    }

    /// The next frame or hole. A hole is looked at twice, because the writer may be filling it in this moment.
    pub(super) fn step(&mut self) -> Step {
        self.window.unreadable = false;
        match self.look() {
            Look::Sound(header) => self.take(header),
            Look::Payload(_) | Look::Nothing => {
                self.window.forget();
                match self.look() {
                    Look::Sound(header) => self.take(header),
                    Look::Payload(header) => {
                        let from = self.offset;
                        self.offset = header.end(from);
                        self.bad(from, Some(header))
                    }
                    Look::Nothing => self.resynchronize(),
                }
            }
        }
    }

    fn take(&mut self, header: FrameHeader) -> Step {
        self.payload = (self.offset + to_u64(FRAME_HEADER_BYTES), usize_from(header.payload_bytes));
        self.offset = header.end(self.offset);
        Step::Frame(header)
    }

    fn bad(&self, from: u64, header: Option<FrameHeader>) -> Step {
        Step::Bad(Bad { from, to: self.offset, header, unreadable: self.window.unreadable })
    }

    fn look(&mut self) -> Look {
        let Some(header) = self.header_at(self.offset) else { return Look::Nothing };
        let stored_bytes = header.frame_bytes() - to_u64(FRAME_HEADER_BYTES);
        let stored_bytes = usize::try_from(stored_bytes).unwrap_or(usize::MAX);
        let stored = self.window.get(&self.file, self.offset + to_u64(FRAME_HEADER_BYTES), stored_bytes);
        if stored.len() == stored_bytes && header.payload_is_sound(stored, self.header.salt) {
            Look::Sound(header)
        } else {
            Look::Payload(header)
        }
    }

    fn header_at(&mut self, offset: u64) -> Option<FrameHeader> {
        let bytes = self.window.get(&self.file, offset, FRAME_HEADER_BYTES);
        let header = FrameHeader::decode(bytes, self.header.salt)?;
        let fits = u64::from(header.offset) == offset
            && header.group >= self.header.first_group
            && usize_from(header.payload_bytes) <= PAYLOAD_BYTES_MAX
            && offset + header.frame_bytes() <= self.header.capacity;
        fits.then_some(header)
    }

    /// Looks for the next frame header, 8 bytes at a time. When there is none the place stays where it is: on a live
    /// segment the next frame is yet to come.
    fn resynchronize(&mut self) -> Step {
        let from = self.offset;
        let mut at = from + ALIGN;
        while let Some(found) = self.next_magic(at) {
            if self.header_at(found).is_some() {
                self.offset = found;
                return self.bad(from, None);
            }
            at = found + ALIGN;
        }
        Step::End
    }

    /// The first place from `at` on that begins like a frame.
    fn next_magic(&mut self, mut at: u64) -> Option<u64> {
        let step = usize::try_from(ALIGN).unwrap_or(1);
        while at < self.header.capacity {
            let bytes = self.window.get(&self.file, at, RESYNC_BYTES);
            let words = bytes.len() / step;
            if words == 0 {
                return None;
            }
            if let Some(word) = bytes.chunks_exact(step).position(|word| word.starts_with(&FRAME_MAGIC)) {
                return Some(at + to_u64(word * step));
            }
            at += to_u64(words * step);
        }
        None
    }
}

enum Look {
    Sound(FrameHeader),
    Payload(FrameHeader),
    Nothing,
}

/// A piece of the file in memory.
#[derive(Default)]
struct Window {
    /// Memory that is kept from load to load; only `filled` bytes of it mean anything.
    bytes: Vec<u8>,
    filled: usize,
    start: u64,
    /// A read failed since this was last cleared; what could not be read is zero.
    unreadable: bool,
}

impl Window {
    const fn forget(&mut self) {
        self.filled = 0;
    }

    fn peek(&self, offset: u64, length: usize) -> &[u8] {
        let at = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let filled = self.bytes.get(..self.filled).unwrap_or(&[]);
        at.and_then(|at| filled.get(at..at.checked_add(length)?)).unwrap_or(&[])
    }

    /// `length` bytes from `offset`, fewer only at the end of the file.
    fn get<F: StorageFile>(&mut self, file: &F, offset: u64, length: usize) -> &[u8] {
        if length > 0 && self.peek(offset, length).is_empty() {
            self.load(file, offset, length);
        }
        let start = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
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
            Err(_) => self.load_in_pieces(file, offset),
        };
    }

    fn load_in_pieces<F: StorageFile>(&mut self, file: &F, offset: u64) -> usize {
        let mut done = 0;
        for piece in self.bytes.chunks_mut(SECTOR_BYTES) {
            match read_all(file, piece, offset + to_u64(done)) {
                Ok(read) => {
                    done += read;
                    if read < piece.len() {
                        break;
                    }
                }
                Err(_) => {
                    piece.fill(0);
                    self.unreadable = true;
                    done += piece.len();
                }
            }
        }
        done
    }
}

pub(super) fn usize_from(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
