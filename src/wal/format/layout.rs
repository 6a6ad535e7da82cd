//! Sizes, offsets and ids of the on-disk format.

/// Format version that this code writes.
pub const VERSION: u16 = 0;
/// Offset of the second copy of the segment header: in another physical sector than the first.
pub const HEADER_COPY_OFFSET: u64 = 4096;
/// Offset of the first frame.
pub const FRAMES_START: u64 = 8192;
/// Length of a segment header in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 128;
/// Length of a frame header in bytes.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Frames start at multiples of this.
pub const ALIGN: u64 = 8;
/// Groups start at multiples of this: the largest physical sector and the smallest page in use.
pub const GROUP_ALIGN: u64 = 4096;
/// Space reserved at the end of a segment for COMMIT, `DURABILITY_MARK` and SEAL, each in a group of its own.
pub const CLOSING_BYTES: u64 = 2 * GROUP_ALIGN + 512;
/// Maximum length of a payload in bytes; longer ones are rejected before anything is written.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// Codec id of a payload that is stored unchanged.
pub const CODEC_RECORD: u8 = 1;
/// Codec id of a payload stored as one LZ4 block, without LZ4 frame or size prefix: the frame header has the
/// size.
pub const CODEC_RECORD_LZ4: u8 = 2;
/// Flag of a frame that a reader may skip if it does not support the kind.
pub const FLAG_IGNORABLE: u8 = 1;

/// Frame kinds. 0 is not a kind, so that unwritten bytes are not a frame.
pub mod kind {
    /// A payload; `seq` is its sequence number.
    pub const DATA: u8 = 1;
    /// End of a sync group; `seq` is the last sequence number of the group.
    pub const COMMIT: u8 = 2;
    /// State snapshot at the head of a segment; `seq` is the lowest sequence number that it does not cover.
    pub const SNAPSHOT: u8 = 3;
    /// A range of lost sequence numbers; `seq` is the first of them.
    pub const GAP: u8 = 4;
    /// A sync group without payloads, written when the log is idle: it proves that the group before it is
    /// durable.
    pub const DURABILITY_MARK: u8 = 5;
    /// End of a segment and of its last group; `seq` is the last sequence number of the segment.
    pub const SEAL: u8 = 6;

    /// Whether a frame of this kind ends its sync group.
    #[must_use]
    pub const fn ends_group(kind: u8) -> bool {
        matches!(kind, COMMIT | DURABILITY_MARK | SEAL)
    }
}
