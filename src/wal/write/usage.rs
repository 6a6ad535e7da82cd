//! Disk usage of the log, and how much of it the log may use.

use crate::num::to_u64;
use crate::wal::catalogue::Catalogue;
use crate::wal::options::Options;
use crate::wal::seq::SeqNo;
use crate::wal::storage::Space;

/// Disk usage of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of segments, including the open one.
    pub segments: u64,
    /// Size of all files in bytes, including the file prepared for the next segment.
    pub bytes: u64,
    /// Size limit of the log in bytes.
    pub bytes_max: u64,
    /// Size in bytes of the segments that hold at least one undelivered payload.
    pub undelivered_bytes: u64,
    /// Bytes by which undelivered segments can grow before the log is full.
    ///
    /// The bound is the size limit less one reserved segment, or the free disk space less its reserve if that
    /// is less. Delivered segments count as available, except those that are always kept.
    pub available_bytes: u64,
    /// Bytes that still fit into the open segment; 0 if none is open.
    pub open_bytes: u64,
    /// Payloads that were dropped undelivered since the start (see [`crate::wal::Options::drop_oldest`]).
    pub dropped: u64,
    /// Lowest sequence number that the log still holds.
    pub oldest: SeqNo,
    /// Free bytes of the file system; 0 if unknown.
    pub disk_free_bytes: u64,
}

/// Limits on the disk space of the log, from [`Options`].
#[derive(Clone, Copy, Debug)]
pub(in crate::wal) struct SpaceLimits {
    pub(in crate::wal) segment_bytes: u64,
    pub(in crate::wal) bytes_max: u64,
    pub(in crate::wal) free_percent_min: u8,
    pub(in crate::wal) keep_bytes: u64,
    pub(in crate::wal) keep_segments_min: usize,
}

impl SpaceLimits {
    pub(in crate::wal) const fn new(options: &Options) -> Self {
        Self {
            segment_bytes: options.segment_bytes,
            bytes_max: options.bytes_max,
            free_percent_min: options.free_percent_min,
            keep_bytes: options.keep_bytes,
            keep_segments_min: options.keep_segments_min,
        }
    }

    /// Bytes of the file system that must stay free.
    pub(in crate::wal) fn reserve_bytes(&self, space: Space) -> u64 {
        space.total_bytes / 100 * u64::from(self.free_percent_min)
    }

    /// [`Usage::available_bytes`] for segments of `bytes` in total, `delivered` of them delivered, and a
    /// prepared file of `spare_bytes`.
    pub(in crate::wal) fn available_bytes(
        &self,
        bytes: u64,
        delivered: u64,
        spare_bytes: u64,
        space: Option<Space>,
    ) -> u64 {
        let kept = delivered.min(to_u64(self.keep_segments_min).saturating_mul(self.segment_bytes));
        let by_cap = self.bytes_max.saturating_sub(self.segment_bytes);
        let by_disk = space.map_or(u64::MAX, |space| {
            let own = bytes.saturating_add(spare_bytes);
            own.saturating_add(space.free_bytes).saturating_sub(self.reserve_bytes(space))
        });
        by_cap.min(by_disk).saturating_sub(kept).saturating_sub(bytes.saturating_sub(delivered))
    }
}

/// Number of segments, from the oldest on, whose payloads are all delivered. The newest is never counted.
pub(in crate::wal) fn delivered_segments(catalogue: &Catalogue, retired: SeqNo) -> usize {
    let bounds = (0..catalogue.segments.len()).map_while(|index| catalogue.bound(index));
    bounds.take_while(|bound| bound.prev() <= retired).count()
}

/// Size in bytes of the segments that [`delivered_segments`] counts.
pub(in crate::wal) fn delivered_bytes(catalogue: &Catalogue, retired: SeqNo) -> u64 {
    let count = delivered_segments(catalogue, retired);
    catalogue.segments.iter().take(count).map(|segment| segment.bytes).sum()
}
