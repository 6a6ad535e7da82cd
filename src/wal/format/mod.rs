//! The bytes of a segment, format version 0: little-endian, without I/O.
//!
//! ```text
//!      0  segment header          4096  the same header again
//!   8192  group: frame | … | COMMIT ┊ unused to a multiple of 4096 ┊ group ┊ … ┊ group that ends with SEAL
//! ```
//!
//! A group shares no 4 KiB block with another one. Otherwise a power loss while group g + 1 is written could
//! damage the block that also holds the end of group g, which was already reported durable. This costs space
//! but no writes: the page cache writes whole pages, and thus writes no page twice.
//!
//! A frame has two checksums. The header checksum protects the length, so that a flipped length does not hide
//! the frames behind it; the payload checksum protects the rest. Both start from the salt of the segment, so
//! that frames of an earlier use of the file do not match. Each frame stores its own offset, so that a
//! misdirected sector does not match either.

mod bytes;
mod control_frames;
mod frame;
mod layout;
mod segment_header;

pub use control_frames::{CommitPayload, GapPayload, GapReason, SegmentTotals};
pub(super) use frame::FRAME_MAGIC;
pub use frame::{FrameHeader, FramePosition, FrameSpec, encode_frame, frame_bytes};
pub use layout::{
    ALIGN, CLOSING_BYTES, CODEC_RECORD, CODEC_RECORD_LZ4, FLAG_IGNORABLE, FRAME_HEADER_BYTES, FRAMES_START,
    GROUP_ALIGN, HEADER_COPY_OFFSET, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, VERSION, kind,
};
pub use segment_header::{HeaderError, SegmentHeader};
