//! Rules of the repository that no lint checks.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails should panic"
)]

mod events;
mod protocol;
mod rules;
mod source;
mod structure;
mod vocabulary;
