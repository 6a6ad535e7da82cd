//! Queries: their catalogue, how they are bound and run, and the RPKI payloads that some of them need.

pub(super) mod bind;
pub(super) mod catalogue;
mod community;
mod json;
pub(super) mod kind;
mod notes;
mod peers;
pub(super) mod rpki;
pub(super) mod run;
pub(super) mod text;
mod when;
