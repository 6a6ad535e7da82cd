//! The write-ahead log: opaque bytes, durable, in order.
//!
//! ```text
//!  recover ──► Writer ──► segment files ──► Reader ──► Item::Data | Item::Gap
//!                │  └── Pool: the next segment, zeroed ahead or recycled
//!                └───── Log: which segments there are, shared with the readers of this process
//! ```
//!
//! What is written is found again or its loss is told: every sequence number below the durable mark comes out of a
//! [`Reader`] exactly once, as data or inside a gap. The promise, the byte diagrams, the steps of recovery and the
//! limits are in docs/WAL.md. Nothing here knows what a payload means.

mod catalogue;
mod compress;
mod disk;
pub mod format;
mod group;
pub mod inspect;
mod segment_allocator;
mod reader;
mod recover;
mod error;
mod salvage;
mod scan;
mod storage;
mod segment_scan;
mod rotate;
mod writer;

use std::fmt;

pub use crate::log_id::LogId;
pub use catalogue::Log;
pub use disk::Disk;
pub use error::{Full, Usage, WriteError};
pub use format::GapReason;
pub use reader::{Item, ReadError, Reader};
pub use recover::{Damage, OpenError, Recovered, recover};
pub use salvage::{SalvageError, Salvaged, salvage};
pub use storage::{Space, Storage, StorageFile};
pub use writer::Writer;

/// A payload is at most this long; longer ones are refused before anything is written.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// The place of a payload in the log: dense from 1 per log id. 0 stands for "none yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// Before the first payload.
    pub const NONE: Self = Self(0);
    /// Above every payload: a reader with this limit reads all that is durable.
    pub const MAX: Self = Self(u64::MAX);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number before this one.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a log is kept. All limits are here; none is built in.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// All segment files together take at most this much.
    pub bytes_max: u64,
    /// No new file is made when it would leave less than this share of the disk free.
    pub free_percent_min: u8,
    /// Delivered segments beyond this many bytes are reused although the cap is not reached.
    pub keep_bytes: u64,
    /// This many delivered segments are always kept, for a database that comes back older than it was.
    pub keep_segments_min: usize,
    /// Identity of the log when the directory holds none yet.
    pub new_log_id: LogId,
    /// Number of the first payload when the directory holds none yet: 1, except in a copy of another log.
    pub first: SeqNo,
    /// What stands at the head of the segments when the directory holds none yet, and before which number it tells the
    /// state: nothing, except in a copy of another log.
    pub snapshot: Option<(SeqNo, Vec<u8>)>,
    /// Payloads are stored compressed when that makes them smaller by an eighth.
    pub compress: bool,
    /// At the cap the oldest segments are given up, delivered or not, instead of taking nothing: the loss is told as a
    /// gap. The newest is never given up.
    pub drop_oldest: bool,
    /// A number nobody can foresee: the salts of this run's segments derive from it.
    pub salt_seed: u64,
    /// Another place that knows how far this log once was (the delivery checkpoint). Numbers up to it are not
    /// given a second time.
    pub external_high_water: Option<(LogId, SeqNo)>,
    /// Wall clock, µs since the epoch, for the times inside the log. Nothing is decided by it.
    pub now: i64,
}

impl Options {
    /// The smallest segment that makes sense: headers and a few groups.
    pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
    /// Offsets inside a segment are 32 bit wide.
    pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

    /// The defaults of the product for a log that, if it is new, gets this identity.
    #[must_use]
    pub const fn new(new_log_id: LogId, salt_seed: u64, now: i64) -> Self {
        Self {
            segment_bytes: 64 << 20,
            bytes_max: 10 << 30,
            free_percent_min: 10,
            keep_bytes: u64::MAX,
            keep_segments_min: 2,
            new_log_id,
            first: SeqNo(1),
            snapshot: None,
            compress: false,
            drop_oldest: false,
            salt_seed,
            external_high_water: None,
            now,
        }
    }

    /// The longest payload that is sure to fit a segment of this size beside its headers, snapshot and closing frames.
    #[must_use]
    pub fn payload_bytes_max(&self) -> usize {
        // A snapshot of up to half as much may stand before it.
        let room = self
            .segment_bytes
            .saturating_sub(format::FRAMES_START + format::GROUP_ALIGN + format::CLOSING_BYTES + 512)
            / 2;
        usize::try_from(room).map_or(PAYLOAD_BYTES_MAX, |room| room.min(PAYLOAD_BYTES_MAX))
    }

    fn check(&self) -> Result<(), OpenError> {
        if !(Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(OpenError::Options("segment_bytes must be from 64 KiB to 2 GiB"));
        }
        let kept = u64::try_from(self.keep_segments_min).unwrap_or(u64::MAX);
        // One that is written, one made ready, one undelivered, one for what has to move: fewer could make no progress.
        if self.bytes_max / self.segment_bytes < kept.saturating_add(4) {
            return Err(OpenError::Options("bytes_max must hold at least 4 segments beside the kept ones"));
        }
        if self.free_percent_min > 90 {
            return Err(OpenError::Options("free_percent_min must be at most 90"));
        }
        Ok(())
    }
}
