//! Frames: encoding, decoding and checksums.

use super::bytes::{u32_at, u64_at};
use super::layout::{ALIGN, FRAME_HEADER_BYTES, GROUP_ALIGN, kind};
use crate::num::to_u32_saturating;
use crate::wal::seq::SeqNo;

pub(in crate::wal) const FRAME_MAGIC: [u8; 4] = *b"hfr\xf7";

/// Header of a frame.
///
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
    /// Frame kind; see [`kind`].
    pub kind: u8,
    /// [`super::FLAG_IGNORABLE`] or 0.
    pub flags: u8,
    /// Codec id of the payload; 0 for control frames.
    pub codec: u8,
    /// Length of the stored payload in bytes.
    pub payload_bytes: u32,
    /// Sequence number; its meaning depends on the kind.
    pub seq: SeqNo,
    /// Number of the sync group. Group g + 1 is written only after the sync of group g has returned.
    pub group: u64,
    /// Length of the decompressed payload in bytes.
    pub raw_bytes: u32,
    /// Checksum of payload and padding.
    pub payload_crc: u32,
    /// Offset of the frame in the segment.
    pub offset: u32,
    /// Number of records in the payload.
    pub count: u32,
}

impl FrameHeader {
    /// Decodes a frame header; `None` if magic or checksum do not match in a segment with this salt.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        if bytes.get(..4)? != FRAME_MAGIC {
            return None;
        }
        let header = Self::decode_unchecked(bytes)?;
        (u32_at(bytes, 4)? == crc(salt, bytes.get(8..FRAME_HEADER_BYTES)?)).then_some(header)
    }

    /// Decodes the fields without verification: only for bytes that this process encoded.
    pub(in crate::wal) fn decode_unchecked(bytes: &[u8]) -> Option<Self> {
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

    /// Length of header, payload and padding in bytes.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(u64::from(self.payload_bytes))
    }

    /// Offset of the next frame if this one starts at `offset`.
    #[must_use]
    pub fn end(&self, offset: u64) -> u64 {
        let end = offset + self.frame_bytes();
        if kind::ends_group(self.kind) { end.next_multiple_of(GROUP_ALIGN) } else { end }
    }

    /// Whether `stored` (payload and padding) matches the payload checksum.
    #[must_use]
    pub fn payload_is_intact(&self, stored: &[u8], salt: u32) -> bool {
        crc(salt, stored) == self.payload_crc
    }
}

/// Length in bytes of a frame with a payload of `payload_bytes`.
#[must_use]
pub const fn frame_bytes(payload_bytes: u64) -> u64 {
    FRAME_HEADER_BYTES as u64 + payload_bytes.next_multiple_of(ALIGN)
}

/// The part of a frame header that depends neither on the payload nor on the position.
#[derive(Clone, Copy, Debug)]
pub struct FrameSpec {
    /// Frame kind; see [`kind`].
    pub kind: u8,
    /// Codec id of the payload; 0 for control frames.
    pub codec: u8,
    /// Sequence number; its meaning depends on the kind.
    pub seq: SeqNo,
    /// Number of records in the payload.
    pub count: u32,
    /// Length of the decompressed payload in bytes; 0 if the payload is not compressed.
    pub raw_bytes: u32,
}

impl FrameSpec {
    /// A control frame: neither codec nor records.
    #[must_use]
    pub const fn control(kind: u8, seq: SeqNo) -> Self {
        Self { kind, codec: 0, seq, count: 0, raw_bytes: 0 }
    }

    /// Copies kind, codec, sequence number and counts of an existing frame.
    #[must_use]
    pub const fn from_header(header: &FrameHeader) -> Self {
        let FrameHeader { kind, codec, seq, count, raw_bytes, .. } = *header;
        Self { kind, codec, seq, count, raw_bytes }
    }
}

/// Position of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FramePosition {
    /// Salt of the segment.
    pub salt: u32,
    /// Number of the sync group.
    pub group: u64,
    /// Offset in the segment.
    pub offset: u64,
}

/// Appends a frame to `out`. The payload is copied once and read once for its checksum.
pub fn encode_frame(out: &mut Vec<u8>, frame: &FrameSpec, position: FramePosition, payload: &[u8]) {
    // `Options` keeps payloads and offsets below 4 GiB. A saturated value would fail verification when it is
    // read.
    let payload_bytes = to_u32_saturating(payload.len());
    let offset = u32::try_from(position.offset).unwrap_or(u32::MAX);
    let padding = ZEROS.get(..payload.len().next_multiple_of(8) - payload.len()).unwrap_or(&[]);
    let mut hasher = crc32fast::Hasher::new_with_initial(position.salt);
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
    out.extend_from_slice(&position.group.to_le_bytes());
    let raw_bytes = if frame.raw_bytes == 0 { payload_bytes } else { frame.raw_bytes };
    out.extend_from_slice(&raw_bytes.to_le_bytes());
    out.extend_from_slice(&payload_crc.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&frame.count.to_le_bytes());
    let header_crc = crc(position.salt, out.get(start + 8..).unwrap_or(&[]));
    if let Some(slot) = out.get_mut(start + 4..start + 8) {
        slot.copy_from_slice(&header_crc.to_le_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(padding);
}

const ZEROS: [u8; 8] = [0; 8];

fn crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}
