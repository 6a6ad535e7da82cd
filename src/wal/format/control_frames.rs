//! Payloads of the frames that the log writes for itself.

use super::{SeqNo, u64_at};

/// Why numbers are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// They were durable, and what is on the disk now is not what was written.
    Rot = 1,
    /// They were durable, and the disk refuses to read them.
    Unreadable = 2,
    /// They were never durable: a crash came before their sync ended.
    Torn = 3,
    /// Their segment was given up for newer data.
    Dropped = 4,
}

impl GapReason {
    /// The name that the database and the tools use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rot => "rot",
            Self::Unreadable => "unreadable",
            Self::Torn => "torn",
            Self::Dropped => "dropped",
        }
    }

    const fn from_byte(byte: u64) -> Self {
        match byte {
            2 => Self::Unreadable,
            3 => Self::Torn,
            4 => Self::Dropped,
            _ => Self::Rot,
        }
    }
}

/// Payload of a GAP frame: first and last number, reason.
///
/// ```text
///      0   from u64      8   to u64      16   reason u64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapNote {
    /// First missing number.
    pub from: SeqNo,
    /// Last missing number.
    pub to: SeqNo,
    /// Why.
    pub reason: GapReason,
}

impl GapNote {
    /// The payload bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        words(&[self.from.0, self.to.0, self.reason as u64])
    }

    /// Reads the payload; `None` when it is too short or runs backwards.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (from, to) = (SeqNo(u64_at(payload, 0)?), SeqNo(u64_at(payload, 8)?));
        (from <= to).then_some(Self { from, to, reason: GapReason::from_byte(u64_at(payload, 16)?) })
    }
}

/// Payload of COMMIT and DURABILITY_MARK: when the group ended, and its first number.
///
/// ```text
///      0   time i64, µs since the epoch      8   first seq u64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitNote {
    /// When the group was closed.
    pub time: i64,
    /// First number of the group; one above its last when it has none.
    pub first_seq: SeqNo,
}

impl CommitNote {
    /// The payload bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        words(&[self.time.cast_unsigned(), self.first_seq.0])
    }

    /// Reads the payload.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        Some(Self { time: u64_at(payload, 0)?.cast_signed(), first_seq: SeqNo(u64_at(payload, 8)?) })
    }
}

/// Payload of SEAL: a COMMIT note, then what the segment holds.
///
/// ```text
///      0   time i64   8   first seq of the group u64   16   payloads u64   24   records u64   32   payload bytes u64
///     40   earliest commit i64     48   latest commit i64
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealNote {
    /// Payloads in the segment.
    pub payloads: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub payload_bytes: u64,
    /// Time of the first COMMIT, 0 when there is none.
    pub time_min: i64,
    /// Time of the last one.
    pub time_max: i64,
}

impl SealNote {
    /// Length of the payload.
    pub const BYTES: usize = 56;

    /// The payload bytes.
    #[must_use]
    pub fn encode(&self, commit: CommitNote) -> Vec<u8> {
        let mut out = commit.encode();
        let (min, max) = (self.time_min.cast_unsigned(), self.time_max.cast_unsigned());
        out.extend(words(&[self.payloads, self.records, self.payload_bytes, min, max]));
        out
    }

    /// Reads the payload.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        Some(Self {
            payloads: u64_at(payload, 16)?,
            records: u64_at(payload, 24)?,
            payload_bytes: u64_at(payload, 32)?,
            time_min: u64_at(payload, 40)?.cast_signed(),
            time_max: u64_at(payload, 48)?.cast_signed(),
        })
    }
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
