//! Queries: their catalogue, and the RPKI payloads that some of them need.

pub(super) mod catalogue;
pub(super) mod rpki;
