//! What the writer says when it does not take a payload, and how much room there is.

use std::fmt;

use super::SeqNo;
use super::segment_allocator::NoSpare;

/// Why nothing can be written now. It passes, by itself or by a hand outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Full {
    /// The log has its size, and none of it is delivered.
    Cap {
        /// The limit.
        bytes_max: u64,
    },
    /// The disk has too little room left for others.
    FreeSpace {
        /// What is left.
        free_bytes: u64,
        /// What must stay.
        free_bytes_min: u64,
    },
    /// The file system refuses: no space, quota, read-only, no descriptor.
    Disk(String),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap { bytes_max } => write!(f, "the log has reached its limit of {bytes_max} bytes"),
            Self::FreeSpace { free_bytes, free_bytes_min } => {
                write!(f, "the disk has {free_bytes} bytes free, {free_bytes_min} must stay free")
            }
            Self::Disk(error) => write!(f, "the disk takes nothing: {error}"),
        }
    }
}

/// Why a payload was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A state, not a fault: nothing was taken, try again later.
    Full(Full),
    /// This payload can never be logged.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The disk is broken, in a new file too. Every later call says the same.
    Failed(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => full.fmt(f),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "a payload of {bytes} bytes is above the limit of {bytes_max}")
            }
            Self::Failed(error) => write!(f, "the log cannot be written: {error}"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<NoSpare> for WriteError {
    fn from(none: NoSpare) -> Self {
        match none {
            NoSpare::Full(full) => Self::Full(full),
            NoSpare::Broken(error) => Self::Failed(error.to_string()),
        }
    }
}

/// How much of the disk the log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments, the one being written included.
    pub segments: u64,
    /// All files together, the one made ready included.
    pub bytes: u64,
    /// The limit.
    pub bytes_max: u64,
    /// Bytes of segments that hold something not yet delivered.
    pub undelivered_bytes: u64,
    /// Bytes that undelivered segments may still take before the log is full: up to its limit, less the segment that is kept
    /// back, and up to what the disk has beside its reserve. Delivered segments are room, but for those that always stay.
    pub available_bytes: u64,
    /// Payloads that were given up undelivered since the start, to make room for newer ones.
    pub dropped: u64,
    /// Lowest number that is still there.
    pub oldest: SeqNo,
    /// Free on the disk, 0 when it could not be asked.
    pub disk_free_bytes: u64,
}
