//! Appending to the log: the open segment, the rotation to the next one, and the allocation of segment files.

pub(super) mod rotate;
pub(super) mod segment_allocator;
pub(super) mod segment_writer;
pub(super) mod sync_group;
pub(super) mod usage;
pub(super) mod writer;
