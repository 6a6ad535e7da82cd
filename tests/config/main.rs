//! Tests of the configuration and of `.env.example`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod example;
mod golden;
mod load;
mod reload;
mod warnings;
