//! Payloads of the control frames: GAP, COMMIT, `DURABILITY_MARK` and SEAL.

use super::bytes::u64_at;
use crate::wal::seq::SeqNo;

/// Why sequence numbers are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// They were synced, and their data is corrupt now.
    Rot = 1,
    /// They were synced, and the disk returns an error for them.
    Unreadable = 2,
    /// A crash came before their sync returned.
    Torn = 3,
    /// Their segment was dropped for newer data.
    Dropped = 4,
    /// Their segment file is missing, although only the oldest segments are ever recycled: it was deleted or
    /// renamed, or dropped by an earlier process.
    Missing = 5,
    /// The end of the log is lost, and with it the number of lost batches. The range is the maximum: its
    /// numbers are not assigned again, and it may never have held a batch.
    Skipped = 6,
}

impl GapReason {
    /// Name in the database and in the output of tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rot => "rot",
            Self::Unreadable => "unreadable",
            Self::Torn => "torn",
            Self::Dropped => "dropped",
            Self::Missing => "missing",
            Self::Skipped => "skipped",
        }
    }

    /// Whether stored batches were lost, by the disk or by a change to the directory.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        match self {
            Self::Rot | Self::Unreadable | Self::Missing | Self::Skipped => true,
            Self::Torn | Self::Dropped => false,
        }
    }

    const fn from_u64(value: u64) -> Self {
        match value {
            2 => Self::Unreadable,
            3 => Self::Torn,
            4 => Self::Dropped,
            5 => Self::Missing,
            6 => Self::Skipped,
            // 1, and reasons of later versions.
            _ => Self::Rot,
        }
    }
}

/// Payload of a GAP frame.
///
/// ```text
///      0   from u64      8   to u64      16   reason u64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapPayload {
    /// First missing sequence number.
    pub from: SeqNo,
    /// Last missing sequence number.
    pub to: SeqNo,
    /// Why they are missing.
    pub reason: GapReason,
}

impl GapPayload {
    /// Encodes the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_u64s(&[self.from.0, self.to.0, self.reason as u64])
    }

    /// Decodes the payload; `None` if it is too short or `from` is above `to`.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (from, to) = (SeqNo(u64_at(payload, 0)?), SeqNo(u64_at(payload, 8)?));
        (from <= to).then_some(Self { from, to, reason: GapReason::from_u64(u64_at(payload, 16)?) })
    }
}

/// Payload of a COMMIT or `DURABILITY_MARK` frame, and start of that of a SEAL frame.
///
/// ```text
///      0   time i64, µs since the epoch      8   first seq u64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPayload {
    /// Time at which the group was closed, in µs since the Unix epoch.
    pub time: i64,
    /// First sequence number of the group; one above its last if the group has no payload.
    pub first_seq: SeqNo,
}

impl CommitPayload {
    /// Length of the payload in bytes.
    pub const BYTES: usize = 16;

    /// Encodes the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_u64s(&[self.time.cast_unsigned(), self.first_seq.0])
    }

    /// Decodes the payload; `None` if it is too short.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        Some(Self { time: u64_at(payload, 0)?.cast_signed(), first_seq: SeqNo(u64_at(payload, 8)?) })
    }
}

/// Totals of a segment: the part of a SEAL payload after the [`CommitPayload`].
///
/// ```text
///      0   time i64             8   first seq of the group u64
///     16   payloads u64        24   records u64           32   payload bytes u64
///     40   earliest commit i64                            48   latest commit i64
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentTotals {
    /// Number of payloads in the segment.
    pub payloads: u64,
    /// Number of records in these payloads.
    pub records: u64,
    /// Length of these payloads as stored, in bytes.
    pub payload_bytes: u64,
    /// Earliest commit time in µs since the Unix epoch; 0 if no group is committed.
    pub time_min: i64,
    /// Latest commit time.
    pub time_max: i64,
}

impl SegmentTotals {
    /// Length of a SEAL payload in bytes.
    pub const SEAL_BYTES: usize = 56;

    /// Encodes the payload of a SEAL frame.
    #[must_use]
    pub fn encode_seal(&self, commit: CommitPayload) -> Vec<u8> {
        let mut out = commit.encode();
        let (min, max) = (self.time_min.cast_unsigned(), self.time_max.cast_unsigned());
        out.extend(encode_u64s(&[self.payloads, self.records, self.payload_bytes, min, max]));
        out
    }

    /// Decodes the totals in the payload of a SEAL frame; `None` if it is too short.
    #[must_use]
    pub fn decode_seal(payload: &[u8]) -> Option<Self> {
        Some(Self {
            payloads: u64_at(payload, 16)?,
            records: u64_at(payload, 24)?,
            payload_bytes: u64_at(payload, 32)?,
            time_min: u64_at(payload, 40)?.cast_signed(),
            time_max: u64_at(payload, 48)?.cast_signed(),
        })
    }

    /// Adds a commit time.
    pub(in crate::wal) fn add_time(&mut self, time: i64) {
        self.time_min = if self.time_min == 0 { time } else { self.time_min.min(time) };
        self.time_max = self.time_max.max(time);
    }
}

fn encode_u64s(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
