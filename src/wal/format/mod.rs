//! The bytes of a segment, version 0. Pure: no file, no clock, no log. Little-endian, frames 8-byte aligned.
//!
//! ```text
//!      0  segment header          4096  the same once more
//!   8192  group: frame | frame | … | COMMIT ┊ skipped to a multiple of 4096 ┊ group ┊ … ┊ group that ends with SEAL
//! ```
//!
//! A group has its sectors for itself. Otherwise a power cut in the middle of writing group g + 1 could spoil the sector
//! that also holds the end of group g, which was reported durable. It costs space in the log, but no writing: the
//! page cache writes whole pages anyway, and so never writes one twice.
//!
//! Two checksums guard a frame. The header's own one protects the length, so that a flipped length cannot swallow what
//! follows; the payload's one protects the rest. Both start from the segment's salt, so that what an earlier life
//! of the file left behind is never taken for ours, and every frame names its own offset, so that a misplaced sector is
//! not either.

mod control_frames;

use super::{LogId, SeqNo};

pub use control_frames::{CommitNote, GapNote, GapReason, SealNote};

/// Version that this code writes.
pub const VERSION: u16 = 0;
/// Where the second copy of the segment header is: another sector on every disk that is sold.
pub const HEADER_COPY_OFFSET: u64 = 4096;
/// Where the first frame is.
pub const FRAMES_START: u64 = 8192;
/// Length of a segment header.
pub const SEGMENT_HEADER_BYTES: usize = 128;
/// Length of a frame header.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Every frame starts at a multiple of this.
pub const ALIGN: u64 = 8;
/// Every group starts at a multiple of this: the largest physical sector, and the smallest page.
pub const GROUP_ALIGN: u64 = 4096;
/// Room that is always left for the frames that end a segment: COMMIT, DURABILITY_MARK and SEAL, each in a group of its own.
pub const CLOSING_BYTES: u64 = 2 * GROUP_ALIGN + 512;
/// Codec id of a payload as the record module writes it, stored as it is.
pub const CODEC_RECORD: u8 = 1;
/// Codec id of the same as one LZ4 block (no frame, no size before it: the header has the size).
pub const CODEC_RECORD_LZ4: u8 = 2;
/// Flag: a reader that does not know the kind may skip the frame.
pub const FLAG_IGNORABLE: u8 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"HOLDFAST";
pub(super) const FRAME_MAGIC: [u8; 4] = *b"hfr\xf7";
const HEADER_CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;

/// What a frame is. Zero is not a kind: unwritten bytes are no frame.
pub mod kind {
    /// A payload; it has a sequence number of its own.
    pub const DATA: u8 = 1;
    /// End of a sync group; `seq` is the last number of the group.
    pub const COMMIT: u8 = 2;
    /// What the caller wants to find at the head of each segment; true just before `seq`.
    pub const SNAPSHOT: u8 = 3;
    /// Numbers that are known to be lost.
    pub const GAP: u8 = 4;
    /// A group of its own when nothing comes: it proves that the group before it is durable.
    pub const DURABILITY_MARK: u8 = 5;
    /// End of a segment, and of its last group.
    pub const SEAL: u8 = 6;

    /// The next frame is of the next group.
    #[must_use]
    pub const fn ends_group(kind: u8) -> bool {
        matches!(kind, COMMIT | DURABILITY_MARK | SEAL)
    }

    /// Name for people.
    #[must_use]
    pub const fn name(kind: u8) -> &'static str {
        match kind {
            DATA => "data",
            COMMIT => "commit",
            SNAPSHOT => "snapshot",
            GAP => "gap",
            DURABILITY_MARK => "durability_mark",
            SEAL => "seal",
            _ => "unknown",
        }
    }
}

/// ```text
///      0         magic "HOLDFAST"
///      8         version u16 | oldest reader u16 | zero u32
///     16         log id, 16 bytes
///     32         segment number u64        40   first seq u64
///     48         first group u64           56   run u64
///     64         previous last seq u64     72   previous end offset u64
///     80         capacity u64              88   created i64, µs since the epoch
///     96         salt u32                 100   zero, 24 bytes
///    124         CRC-32 of the 124 bytes before: at this place in every version
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which log this belongs to.
    pub log_id: LogId,
    /// Grows by one from segment to segment, also over restarts.
    pub number: u64,
    /// Numbers from here on are not in any earlier segment, whatever stands there.
    pub first_seq: SeqNo,
    /// Groups below are of an earlier life of the file. This one was synced before the segment got its name.
    pub first_group: u64,
    /// Number of the first segment of the process that wrote this.
    pub run: u64,
    /// Last number before this segment.
    pub previous_last_seq: SeqNo,
    /// Where the SEAL of the previous segment begins; 0 when it has none.
    pub previous_end: u64,
    /// Length of the file when it was taken into use.
    pub capacity: u64,
    /// When that was, µs since the epoch.
    pub created: i64,
    /// Start value of every checksum in this segment.
    pub salt: u32,
}

/// Why bytes are not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Not a header, or a damaged one.
    Damaged,
    /// Sound, but this program is too old for it.
    Newer {
        /// Version that wrote it.
        version: u16,
        /// Oldest version that can read it.
        oldest_reader: u16,
    },
}

impl SegmentHeader {
    /// The bytes on disk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.log_id.0);
        for value in [
            self.number,
            self.first_seq.0,
            self.first_group,
            self.run,
            self.previous_last_seq.0,
            self.previous_end,
            self.capacity,
        ] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.resize(HEADER_CRC_AT, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads one copy.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        Self::fields(bytes).unwrap_or(Err(HeaderError::Damaged))
    }

    fn fields(bytes: &[u8]) -> Option<Result<Self, HeaderError>> {
        let sound = bytes.get(..8)? == SEGMENT_MAGIC
            && u32_at(bytes, HEADER_CRC_AT)? == crc32fast::hash(bytes.get(..HEADER_CRC_AT)?);
        if !sound {
            return None;
        }
        let (version, oldest_reader) = (u16_at(bytes, 8)?, u16_at(bytes, 10)?);
        if oldest_reader > VERSION {
            return Some(Err(HeaderError::Newer { version, oldest_reader }));
        }
        Some(Ok(Self {
            log_id: LogId(bytes.get(16..32)?.try_into().ok()?),
            number: u64_at(bytes, 32)?,
            first_seq: SeqNo(u64_at(bytes, 40)?),
            first_group: u64_at(bytes, 48)?,
            run: u64_at(bytes, 56)?,
            previous_last_seq: SeqNo(u64_at(bytes, 64)?),
            previous_end: u64_at(bytes, 72)?,
            capacity: u64_at(bytes, 80)?,
            created: i64::from_le_bytes(bytes.get(88..96)?.try_into().ok()?),
            salt: u32_at(bytes, 96)?,
        }))
    }
}

/// ```text
///      0   magic u32 | header CRC u32, over bytes 8 to 48
///      8   kind u8 | flags u8 | codec u8 | zero u8 | payload bytes u32
///     16   seq u64
///     24   sync group u64
///     32   raw bytes u32 | payload CRC u32, over payload and padding
///     40   own offset u32 | count u32
///     48   payload, then zeros to a multiple of 8
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// One of [`kind`].
    pub kind: u8,
    /// [`FLAG_IGNORABLE`] or nothing.
    pub flags: u8,
    /// How the payload is coded.
    pub codec: u8,
    /// Length of the payload as stored.
    pub payload_bytes: u32,
    /// What it means depends on the kind.
    pub seq: SeqNo,
    /// Group g + 1 is written only after group g was synced.
    pub group: u64,
    /// Length of the payload once decompressed.
    pub raw_bytes: u32,
    /// Checksum of payload and padding.
    pub payload_crc: u32,
    /// Where in the segment the frame begins.
    pub offset: u32,
    /// Records in the payload.
    pub count: u32,
}

impl FrameHeader {
    /// Reads a frame header; `None` when it is not one of a segment with this salt.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        if bytes.get(..4)? != FRAME_MAGIC {
            return None;
        }
        let header = Self::fields(bytes)?;
        (u32_at(bytes, 4)? == header_crc(bytes.get(8..FRAME_HEADER_BYTES)?, salt)).then_some(header)
    }

    /// The fields as they stand, unchecked: only for bytes that this process encoded itself.
    pub(super) fn fields(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            kind: *bytes.get(8)?,
            flags: *bytes.get(9)?,
            codec: *bytes.get(10)?,
            payload_bytes: u32_at(bytes, 12)?,
            seq: SeqNo(u64_at(bytes, 16)?),
            group: u64_at(bytes, 24)?,
            raw_bytes: u32_at(bytes, 32)?,
            payload_crc: u32_at(bytes, 36)?,
            offset: u32_at(bytes, 40)?,
            count: u32_at(bytes, 44)?,
        })
    }

    /// Header, payload and padding.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(u64::from(self.payload_bytes))
    }

    /// Where the next frame begins when this one begins at `offset`.
    #[must_use]
    pub fn end(&self, offset: u64) -> u64 {
        let end = offset + self.frame_bytes();
        if kind::ends_group(self.kind) { end.next_multiple_of(GROUP_ALIGN) } else { end }
    }

    /// True when `stored` (payload and padding) is what was written.
    #[must_use]
    pub fn payload_is_sound(&self, stored: &[u8], salt: u32) -> bool {
        crc(salt, stored) == self.payload_crc
    }
}

/// Length of a frame with this payload.
#[must_use]
pub const fn frame_bytes(payload_bytes: u64) -> u64 {
    FRAME_HEADER_BYTES as u64 + payload_bytes.next_multiple_of(ALIGN)
}

/// What a new frame says about itself beside its payload.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// How the payload is coded; 0 for frames of the log itself.
    pub codec: u8,
    /// See the kind.
    pub seq: SeqNo,
    /// Records in the payload.
    pub count: u32,
    /// Length of the payload once decompressed; 0 when it is stored as it is.
    pub raw_bytes: u32,
}

impl Frame {
    /// A frame of the log itself, with nothing to count.
    #[must_use]
    pub const fn own(kind: u8, seq: SeqNo) -> Self {
        Self { kind, codec: 0, seq, count: 0, raw_bytes: 0 }
    }

    /// What a frame that was read says, to be written once more.
    #[must_use]
    pub const fn again(header: &FrameHeader) -> Self {
        let FrameHeader { kind, codec, seq, count, raw_bytes, .. } = *header;
        Self { kind, codec, seq, count, raw_bytes }
    }
}

/// Where a new frame goes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Salt of the segment.
    pub salt: u32,
    /// Open group.
    pub group: u64,
    /// Offset in the segment.
    pub offset: u64,
}

/// Appends one frame to `out`. The payload is copied once and read once for its checksum.
pub fn encode_frame(out: &mut Vec<u8>, frame: &Frame, place: Place, payload: &[u8]) {
    // Payloads and segments are below 4 GiB by `Options`; a wrong cast would be caught as a bad frame, not believed.
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let offset = u32::try_from(place.offset).unwrap_or(u32::MAX);
    let padding = ZEROS.get(..payload.len().next_multiple_of(8) - payload.len()).unwrap_or(&[]);
    let mut hasher = crc32fast::Hasher::new_with_initial(place.salt);
    hasher.update(payload);
    hasher.update(padding);
    let payload_crc = hasher.finalize();

    let start = out.len();
    out.reserve(FRAME_HEADER_BYTES + payload.len() + padding.len());
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[frame.kind, 0, frame.codec, 0]);
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&frame.seq.0.to_le_bytes());
    out.extend_from_slice(&place.group.to_le_bytes());
    let raw_bytes = if frame.raw_bytes == 0 { payload_bytes } else { frame.raw_bytes };
    out.extend_from_slice(&raw_bytes.to_le_bytes());
    out.extend_from_slice(&payload_crc.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&frame.count.to_le_bytes());
    let crc = header_crc(out.get(start + 8..).unwrap_or(&[]), place.salt);
    if let Some(slot) = out.get_mut(start + 4..start + 8) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(padding);
}

const ZEROS: [u8; 8] = [0; 8];

fn header_crc(after_crc: &[u8], salt: u32) -> u32 {
    crc(salt, after_crc)
}

fn crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
