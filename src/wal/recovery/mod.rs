//! Recovery at the start, and the copy of a damaged log.

pub(super) mod recover;
pub(super) mod salvage;
pub(super) mod tail;
