//! Reading the log: frames of a segment, segments as a whole, and batches in order.

pub(super) mod losses;
pub(super) mod reader;
pub(super) mod scan;
pub(super) mod segment_scan;
