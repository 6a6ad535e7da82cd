//! The header of a segment file.

use super::bytes::{u16_at, u32_at, u64_at};
use super::layout::{SEGMENT_HEADER_BYTES, VERSION};
use crate::wal::LogId;
use crate::wal::seq::SeqNo;

const SEGMENT_MAGIC: [u8; 8] = *b"HOLDFAST";
/// Offset of the checksum, the same in every format version.
const CRC_OFFSET: usize = SEGMENT_HEADER_BYTES - 4;

/// Header of a segment. The file holds two copies of it.
///
/// ```text
///      0         magic "HOLDFAST"
///      8         version u16 | oldest reader u16 | zero u32
///     16         log id, 16 bytes
///     32         segment number u64        40   first seq u64
///     48         first group u64           56   run u64
///     64         previous last seq u64     72   previous end offset u64
///     80         capacity u64              88   created i64, µs since the epoch
///     96         salt u32                 100   zero, 24 bytes
///    124         CRC-32 of the 124 bytes before
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Id of the log that the segment belongs to.
    pub log_id: LogId,
    /// Segment number; one higher than that of the previous segment, also across restarts.
    pub number: u64,
    /// First sequence number of the segment. Earlier segments hold no valid frame from this number on.
    pub first_seq: SeqNo,
    /// Number of the first sync group, which was synced before the segment got its file name. Frames of lower
    /// groups are left over from an earlier use of the file.
    pub first_group: u64,
    /// Number of the first segment that the writing process created.
    pub run: u64,
    /// Last sequence number before this segment.
    pub previous_last_seq: SeqNo,
    /// Offset of the SEAL frame of the previous segment; 0 if that one is not sealed.
    pub previous_end: u64,
    /// Length of the file in bytes when the segment was created.
    pub capacity: u64,
    /// Creation time in µs since the Unix epoch.
    pub created: i64,
    /// Initial value of every frame checksum in the segment.
    pub salt: u32,
}

/// Why bytes are not a usable segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Wrong magic or wrong checksum.
    Damaged,
    /// An intact header of a format version that this program cannot read.
    Newer {
        /// Format version of the segment.
        version: u16,
        /// Oldest format version whose readers can read the segment.
        oldest_reader: u16,
    },
}

impl SegmentHeader {
    /// Encodes the header.
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
        out.resize(CRC_OFFSET, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes one copy of the header.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        Self::decode_intact(bytes).unwrap_or(Err(HeaderError::Damaged))
    }

    /// `None` for a damaged header.
    fn decode_intact(bytes: &[u8]) -> Option<Result<Self, HeaderError>> {
        let is_intact = bytes.get(..8)? == SEGMENT_MAGIC
            && u32_at(bytes, CRC_OFFSET)? == crc32fast::hash(bytes.get(..CRC_OFFSET)?);
        if !is_intact {
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
            created: u64_at(bytes, 88)?.cast_signed(),
            salt: u32_at(bytes, 96)?,
        }))
    }
}
