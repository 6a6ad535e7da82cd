//! One drain transaction before it is sent: records gathered, folded and encoded. Pure.

pub(super) mod builder;
pub(super) mod dedup;
pub(super) mod initial_load;
pub(super) mod peers;
pub(super) mod record_range;
pub(super) mod rib;
pub(super) mod sealed;
