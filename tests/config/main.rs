//! Tests of the configuration, and of what is generated from it: `.env.example`, references, manual pages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod compatibility;
mod deployment;
mod example;
mod golden;
mod load;
mod manual;
mod reload;
mod warnings;
