//! Options of a log.

use super::LogId;
use super::error::OpenError;
use super::format::{CLOSING_BYTES, FRAMES_START, GROUP_ALIGN, PAYLOAD_BYTES_MAX};
use super::seq::SeqNo;
use crate::num::{to_u64, to_usize};

/// The collector's own state at one point of the log, stored at the head of each segment.
///
/// After a restart the state is this snapshot plus the payloads from `next` on. The log does not interpret
/// the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSnapshot {
    /// Lowest sequence number that the snapshot does not cover.
    pub next: SeqNo,
    /// The serialized state.
    pub bytes: Vec<u8>,
}

/// Limits and identity of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment file in bytes: [`Options::SEGMENT_BYTES_MIN`] to [`Options::SEGMENT_BYTES_MAX`].
    pub segment_bytes: u64,
    /// Maximum size of all segment files together, in bytes.
    pub bytes_max: u64,
    /// Percentage of the file system that must stay free: no new file is created below it. At most 90.
    pub free_percent_min: u8,
    /// Size of delivered segments, in bytes, above which they are recycled although the log is below
    /// `bytes_max`.
    pub keep_bytes: u64,
    /// Number of delivered segments that are never recycled: they can be delivered again to a database that
    /// was restored from a backup.
    pub keep_segments_min: usize,
    /// Log id if the directory holds no log.
    pub new_log_id: LogId,
    /// Sequence number of the first payload if the directory holds no log: 1, except in a copy of another
    /// log.
    pub first: SeqNo,
    /// State snapshot if the directory holds no log: `None`, except in a copy of another log.
    pub snapshot: Option<StateSnapshot>,
    /// Compress payloads with LZ4 where that saves at least one eighth.
    pub compress: bool,
    /// Drop the oldest segments when the log is full, delivered or not, instead of returning
    /// [`super::WriteError::Full`]. Readers return the loss as a gap. The newest segment is never dropped.
    pub drop_oldest: bool,
    /// Random number from which the salts of this run's segments are derived.
    pub salt_seed: u64,
    /// Highest sequence number that a system outside the log directory has seen of the log with this id.
    /// Numbers up to it are not assigned again, even if the log has lost its end.
    pub external_high_water: Option<(LogId, SeqNo)>,
    /// Wall clock in µs since the Unix epoch, for time stamps in the log. No decision depends on it.
    pub now: i64,
}

impl Options {
    /// Minimum segment size: both headers and a few groups.
    pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
    /// Maximum segment size: frame offsets have 32 bits.
    pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

    /// Default options; a new log gets the id `new_log_id`.
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

    /// Maximum payload size in bytes: what always fits into a segment beside headers, snapshot and closing
    /// frames.
    #[must_use]
    pub fn payload_bytes_max(&self) -> usize {
        // A snapshot of up to half of this size can precede the payload.
        let half = self.segment_bytes.saturating_sub(FRAMES_START + GROUP_ALIGN + CLOSING_BYTES + 512) / 2;
        to_usize(half).min(PAYLOAD_BYTES_MAX)
    }

    /// Checks ranges and dependencies.
    ///
    /// # Errors
    /// [`OpenError::Options`].
    pub(super) fn check(&self) -> Result<(), OpenError> {
        if !(Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(OpenError::Options("segment_bytes must be from 64 KiB to 2 GiB"));
        }
        // The open segment, the one prepared next, an undelivered one, and the reserve for a group that is
        // relocated.
        let others = 4;
        if self.bytes_max / self.segment_bytes < to_u64(self.keep_segments_min).saturating_add(others) {
            return Err(OpenError::Options("bytes_max must hold keep_segments_min + 4 segments"));
        }
        if self.free_percent_min > 90 {
            return Err(OpenError::Options("free_percent_min must be at most 90"));
        }
        Ok(())
    }
}
